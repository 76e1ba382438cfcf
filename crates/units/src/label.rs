//! The units people write on a technical sheet, and what they are worth in the canonical unit.

/// What kind of thing a unit measures, and so which canonical unit it is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// m³/d.
    Flow,
    /// mg/L.
    Concentration,
    /// mg/L as CaCO₃.
    Hardness,
    /// °C.
    Temperature,
    /// MPN/100 mL.
    Organisms,
    /// NTU.
    Turbidity,
    /// Pt-Co.
    Color,
    /// µS/cm.
    Conductivity,
    /// h/d.
    HoursPerDay,
    /// USD/m³.
    PricePerVolume,
    /// L per person and day.
    LitresPerPerson,
    /// Helminth eggs per litre.
    EggsPerLitre,
    /// mL/L (settleable solids).
    Settleable,
    /// A plain number.
    None,
}

impl Dimension {
    /// The canonical unit as people write it.
    #[must_use]
    pub const fn canonical(self) -> &'static str {
        match self {
            Self::Flow => "m³/d",
            Self::Concentration => "mg/L",
            Self::Hardness => "mg/L CaCO₃",
            Self::Temperature => "°C",
            Self::Organisms => "MPN/100 mL",
            Self::Turbidity => "NTU",
            Self::Color => "Pt-Co",
            Self::Conductivity => "µS/cm",
            Self::HoursPerDay => "h/d",
            Self::PricePerVolume => "USD/m³",
            Self::LitresPerPerson => "L/(person·d)",
            Self::EggsPerLitre => "eggs/L",
            Self::Settleable => "mL/L",
            Self::None => "",
        }
    }
}

/// A unit somebody wrote: canonical value = (written value + `offset`) · `scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// What it measures.
    pub dimension: Dimension,
    /// The factor to the canonical unit.
    pub scale: f64,
    /// Added before scaling; zero for all but temperatures.
    pub offset: f64,
    /// The factor holds only for dilute water (ppm), or the count is another method's (CFU): worth a note.
    pub approximate: bool,
}

impl Unit {
    /// The value in the canonical unit; not finite only if `value` is not or overflows.
    #[must_use]
    pub fn to_canonical(self, value: f64) -> f64 {
        (value + self.offset) * self.scale
    }

    /// The value in this unit of a canonical one.
    #[must_use]
    pub fn from_canonical(self, value: f64) -> f64 {
        value / self.scale - self.offset
    }
}

/// Reads a unit label as people write it; `None` if it is not known. An empty label is a plain number.
///
/// Case, spaces, dots, brackets, accents, super- and subscripts and the words for "per day" do not matter.
#[must_use]
pub fn parse(label: &str) -> Option<Unit> {
    let folded = fold(label)?;
    TABLE.iter().find_map(|&(dimension, scale, offset, approximate, names)| {
        names.contains(&folded.as_str()).then_some(Unit { dimension, scale, offset, approximate })
    })
}

/// Longer labels than this are free text.
const LONGEST_LABEL: usize = 40;

fn fold(label: &str) -> Option<String> {
    if label.chars().count() > LONGEST_LABEL {
        return None;
    }
    let mut folded = String::new();
    for c in label.chars() {
        match c {
            ' ' | '\u{a0}' | '\u{202f}' | '.' | '·' | '^' | '(' | ')' | '_' | '-' | '*' | '⋅' => {}
            '⁰' | '₀' => folded.push('0'),
            '¹' | '₁' => folded.push('1'),
            '²' | '₂' => folded.push('2'),
            '³' | '₃' => folded.push('3'),
            '⁴' | '₄' => folded.push('4'),
            'µ' | 'μ' => folded.push('u'),
            'º' | '˚' => folded.push('°'),
            'á' | 'Á' => folded.push('a'),
            'é' | 'É' => folded.push('e'),
            'í' | 'Í' => folded.push('i'),
            'ó' | 'Ó' => folded.push('o'),
            'ñ' | 'Ñ' => folded.push('n'),
            _ => folded.extend(c.to_lowercase()),
        }
    }
    // The part behind the last slash is the time or the volume: one spelling of each.
    if let Some((head, tail)) = folded.rsplit_once('/') {
        let tail = match tail {
            "day" | "days" | "dia" | "diario" => "d",
            "month" | "mes" | "mo" => "month",
            "hour" | "hr" | "hora" => "h",
            "minute" | "minuto" => "min",
            "sec" | "second" | "seg" => "s",
            "year" | "yr" | "ano" => "y",
            "liter" | "litre" | "litro" | "lt" => "l",
            other => other,
        };
        folded = format!("{head}/{tail}");
    }
    Some(folded)
}

type Row = (Dimension, f64, f64, bool, &'static [&'static str]);

/// Days in a mean month: 365.25/12.
const MONTH_PER_DAY: f64 = 12.0 / 365.25;
/// Litres in a US gallon, exactly, over 1,000.
const GALLON_M3: f64 = 0.003_785_411_784;

const TABLE: &[Row] = &[
    (Dimension::Flow, 1.0, 0.0, false, &["m3/d", "m3d", "cmd", "cubicmeters/d", "cubicmetres/d"]),
    (Dimension::Flow, 1e-3, 0.0, false, &["l/d", "lpd", "liters/d", "litres/d", "litros/d"]),
    (Dimension::Flow, 1.0, 0.0, false, &["kl/d"]),
    (Dimension::Flow, 1000.0, 0.0, false, &["megaliters/d"]),
    (Dimension::Flow, GALLON_M3, 0.0, false, &["gal/d", "gpd", "gallons/d", "galones/d", "usgal/d"]),
    (Dimension::Flow, MONTH_PER_DAY, 0.0, false, &["m3/month"]),
    (Dimension::Flow, MONTH_PER_DAY * 1e-3, 0.0, false, &["l/month"]),
    (Dimension::Flow, MONTH_PER_DAY * GALLON_M3, 0.0, false, &["gal/month", "gallons/month"]),
    (Dimension::Flow, 1.0 / 365.25, 0.0, false, &["m3/y"]),
    (Dimension::Flow, 86.4, 0.0, false, &["l/s", "lps"]),
    (Dimension::Flow, 86_400.0, 0.0, false, &["m3/s"]),
    (Dimension::Flow, 24.0, 0.0, false, &["m3/h"]),
    (Dimension::Flow, 0.024, 0.0, false, &["l/h"]),
    (Dimension::Flow, 1440.0, 0.0, false, &["m3/min"]),
    (Dimension::Flow, 1.44, 0.0, false, &["l/min", "lpm"]),
    (Dimension::Flow, 1440.0 * GALLON_M3, 0.0, false, &["gpm", "gal/min", "usgpm"]),
    (Dimension::Flow, 1e6 * GALLON_M3, 0.0, false, &["mgd"]),
    (Dimension::Concentration, 1.0, 0.0, false, &["mg/l", "g/m3", "mgo2/l", "mgn/l", "mgp/l"]),
    (Dimension::Concentration, 1.0, 0.0, true, &["ppm"]),
    (Dimension::Concentration, 1000.0, 0.0, false, &["g/l", "kg/m3"]),
    (Dimension::Concentration, 1e-3, 0.0, false, &["ug/l", "mcg/l", "mg/m3"]),
    (Dimension::Concentration, 1e-3, 0.0, true, &["ppb"]),
    (Dimension::Concentration, 1e-6, 0.0, false, &["ng/l"]),
    (Dimension::Concentration, 1e4, 0.0, true, &["%", "%w/v"]),
    (Dimension::Hardness, 1.0, 0.0, false, &["mg/lcaco3", "mgcaco3/l", "mg/lascaco3", "mg/lcomocaco3"]),
    (Dimension::Hardness, 1.0, 0.0, true, &["ppmcaco3"]),
    (Dimension::Hardness, 50.04, 0.0, false, &["meq/l"]),
    (Dimension::Hardness, 17.85, 0.0, false, &["°dh", "dh"]),
    (Dimension::Hardness, 10.0, 0.0, false, &["°fh", "fh"]),
    (Dimension::Hardness, 17.12, 0.0, false, &["gpg", "grains/gal"]),
    (Dimension::Temperature, 1.0, 0.0, false, &["°c", "c", "celsius", "degc"]),
    (Dimension::Temperature, 1.0 / 1.8, -32.0, false, &["°f", "f", "fahrenheit", "degf"]),
    (Dimension::Temperature, 1.0, -273.15, false, &["k", "kelvin"]),
    (Dimension::Organisms, 1.0, 0.0, false, &["mpn/100ml", "nmp/100ml"]),
    (Dimension::Organisms, 1.0, 0.0, true, &["cfu/100ml", "ufc/100ml"]),
    (Dimension::Organisms, 100.0, 0.0, false, &["mpn/ml", "nmp/ml"]),
    (Dimension::Organisms, 100.0, 0.0, true, &["cfu/ml", "ufc/ml"]),
    (Dimension::Organisms, 0.1, 0.0, false, &["mpn/l", "nmp/l"]),
    (Dimension::Organisms, 0.1, 0.0, true, &["cfu/l", "ufc/l"]),
    (Dimension::Turbidity, 1.0, 0.0, false, &["ntu", "unt", "fnu"]),
    (
        Dimension::Color,
        1.0,
        0.0,
        false,
        &["ptco", "pt/co", "upc", "upt/co", "uptco", "ptcounits", "hazen", "tcu", "cu"],
    ),
    (Dimension::Conductivity, 1.0, 0.0, false, &["us/cm", "umhos/cm", "umho/cm"]),
    (Dimension::Conductivity, 1000.0, 0.0, false, &["ms/cm", "ds/m"]),
    (Dimension::Conductivity, 10_000.0, 0.0, false, &["s/m"]),
    (Dimension::HoursPerDay, 1.0, 0.0, false, &["h/d", "h", "hours", "horas", "hours/d", "hrs/d", "horas/d"]),
    (Dimension::PricePerVolume, 1.0, 0.0, false, &["usd/m3", "$/m3", "us$/m3", "dollars/m3"]),
    (Dimension::PricePerVolume, 1000.0, 0.0, false, &["usd/l"]),
    (Dimension::PricePerVolume, 1.0 / GALLON_M3, 0.0, false, &["usd/gal"]),
    (Dimension::PricePerVolume, 1.0 / (1000.0 * GALLON_M3), 0.0, false, &["usd/kgal", "usd/1000gal"]),
    (Dimension::LitresPerPerson, 1.0, 0.0, false, &["l/person/d", "l/p/d", "lpcd", "l/hab/d"]),
    (Dimension::EggsPerLitre, 1.0, 0.0, false, &["eggs/l", "huevos/l", "hh/l"]),
    (Dimension::Settleable, 1.0, 0.0, false, &["ml/l"]),
    (Dimension::None, 1.0, 0.0, false, &["", "none", "ph", "unitsofph", "phunits", "unidades", "su", "x"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(value: f64, label: &str) -> f64 {
        parse(label).unwrap_or_else(|| panic!("{label} is not known")).to_canonical(value)
    }

    #[test]
    fn flows_in_every_unit_of_the_sheet() {
        for (value, label, m3_per_day) in [
            (230.0, "m³/day", 230.0),
            (230.0, "m3/d", 230.0),
            (900_000.0, "L/day", 900.0),
            (1_056_688.0, "gal/day", 4000.0),
            (18_000.0, "m³/month", 591.376),
            (10.0, "m³/h", 240.0),
            (1.0, "L/s", 86.4),
            (1.0, "GPM", 5.450_992_969),
            (1.0, "MGD", 3_785.411_784),
            (1000.0, "gal/month", 0.124_366_712),
            (1.0, "m³/día", 1.0),
        ] {
            let found = canonical(value, label);
            assert!((found - m3_per_day).abs() <= 1e-4 * m3_per_day, "{value} {label} = {found}, not {m3_per_day}");
        }
    }

    #[test]
    fn concentrations_and_the_rest() {
        for (value, label, expected) in [
            (1.6, "g/L", 1600.0),
            (850.0, "µg/L", 0.85),
            (850.0, "μg/L", 0.85),
            (1.0, "ppm", 1.0),
            (180.0, "mg/L CaCO₃", 180.0),
            (2.0, "meq/L", 100.08),
            (1.0, "°dH", 17.85),
            (77.0, "°F", 25.0),
            (298.15, "K", 25.0),
            (2.4e7, "MPN/100 mL", 2.4e7),
            (10.0, "NMP/L", 1.0),
            (15.0, "NTU", 15.0),
            (1200.0, "Pt-Co", 1200.0),
            (5.4, "mS/cm", 5400.0),
            (2.0, "dS/m", 2000.0),
            (2.1, "USD/m³", 2.1),
            (24.0, "h/day", 24.0),
        ] {
            let found = canonical(value, label);
            assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{value} {label} = {found}, not {expected}");
        }
    }

    #[test]
    fn what_is_not_a_unit_is_not_guessed() {
        for label in ["furlong/fortnight", "mg", "barrels", "m³", "mg/L m³/day", &"x".repeat(500)] {
            assert_eq!(parse(label), None, "{label}");
        }
    }

    #[test]
    fn a_conversion_undoes_itself() {
        for &(dimension, scale, offset, approximate, names) in TABLE {
            let unit = Unit { dimension, scale, offset, approximate };
            let back = unit.from_canonical(unit.to_canonical(12.5));
            assert!((back - 12.5).abs() < 1e-9, "{names:?}");
        }
    }
}
