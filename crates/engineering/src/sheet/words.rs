//! Words of the sheet's choices, in English and Spanish, turned into known values by whole words.

use crate::facts::fold;
use crate::limits::{Receiver, Regulation, ReuseUse};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the project is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Comply with discharge regulations.
    Discharge,
    /// Use treated water again.
    Reuse,
    /// Make supply, drinking or process water from a source.
    Supply,
    /// Spend less on water or energy.
    Savings,
}

impl Objective {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discharge => "Comply with discharge regulations",
            Self::Reuse => "Reuse treated water",
            Self::Supply => "Produce supply water",
            Self::Savings => "Reduce costs",
        }
    }
}

/// What limits the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// Limited space for installation.
    LimitedSpace,
    /// Limited budget.
    LimitedBudget,
    /// Complex water quality: hardness, salinity, metals.
    ComplexWater,
    /// Few or no skilled operators.
    FewOperators,
    /// Unreliable or dear electricity.
    LimitedEnergy,
    /// Neighbours who must not smell or hear it.
    OdorNoise,
    /// A short time to build.
    ShortTime,
    /// A remote or hard to reach site.
    RemoteSite,
}

impl Constraint {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LimitedSpace => "Limited space for installation",
            Self::LimitedBudget => "Limited budget",
            Self::ComplexWater => "Complex water quality (hardness, salinity, metals)",
            Self::FewOperators => "Few skilled operators",
            Self::LimitedEnergy => "Limited or unreliable electricity",
            Self::OdorNoise => "Odor or noise restrictions",
            Self::ShortTime => "Short time to build",
            Self::RemoteSite => "Remote site",
        }
    }
}

/// The first entry of `table` one of whose names is found in `text` as whole words.
fn find<T: Copy>(text: &str, table: &[(T, &[&str])]) -> Option<T> {
    const LONGEST_CHOICE: usize = 200;
    if text.len() > LONGEST_CHOICE {
        return None;
    }
    let padded = format!(" {} ", fold(text));
    table
        .iter()
        .find_map(|&(value, names)| names.iter().any(|name| padded.contains(&format!(" {name} "))).then_some(value))
}

pub(super) fn objective(text: &str) -> Option<Objective> {
    find(
        text,
        &[
            (
                Objective::Reuse,
                &["reuse", "reuso", "reutilizar", "reutilizacion", "recycle", "recycling", "reciclar", "recirculation"],
            ),
            (
                Objective::Supply,
                &[
                    "drinking",
                    "potable",
                    "supply",
                    "purify",
                    "purification",
                    "potabilizar",
                    "abastecimiento",
                    "process water",
                    "human consumption",
                    "consumo humano",
                ],
            ),
            (
                Objective::Discharge,
                &[
                    "discharge",
                    "descarga",
                    "descargas",
                    "vertido",
                    "comply",
                    "compliance",
                    "cumplir",
                    "cumplimiento",
                    "regulations",
                    "treat",
                    "tratar",
                    "treatment",
                ],
            ),
            (
                Objective::Savings,
                &["cost", "costs", "costos", "costes", "reduce", "reducir", "savings", "save", "ahorro", "ahorrar"],
            ),
        ],
    )
}

pub(super) fn receiver(text: &str) -> Option<Receiver> {
    find(
        text,
        &[
            (Receiver::Sewer, &["sewer", "sewerage", "sewage", "alcantarillado", "drenaje", "drainage", "colector"]),
            (
                Receiver::River,
                &[
                    "river",
                    "stream",
                    "creek",
                    "rio",
                    "arroyo",
                    "canal",
                    "surface water",
                    "water body",
                    "cuerpo de agua",
                    "cuerpo receptor",
                    "quebrada",
                ],
            ),
            (
                Receiver::Lake,
                &["lake", "reservoir", "lago", "laguna", "lagoon", "embalse", "presa", "wetland", "humedal"],
            ),
            (Receiver::Sea, &["sea", "ocean", "marine", "coast", "estuary", "mar", "oceano", "estuario", "bahia"]),
            (
                Receiver::Soil,
                &[
                    "infiltration",
                    "soil",
                    "well",
                    "ground",
                    "absorption",
                    "infiltracion",
                    "suelo",
                    "pozo",
                    "drainfield",
                    "leach field",
                ],
            ),
            (Receiver::Irrigation, &["irrigation", "riego", "green areas", "areas verdes"]),
            (
                Receiver::NoDischarge,
                &["zero", "none", "no discharge", "reuse", "reuso", "recirculation", "closed loop", "zld", "ninguno"],
            ),
        ],
    )
}

pub(super) fn reuse(text: &str) -> Option<ReuseUse> {
    find(
        text,
        &[
            (ReuseUse::Cooling, &["cooling", "enfriamiento", "torres"]),
            (ReuseUse::Boiler, &["boiler", "boilers", "caldera", "calderas", "steam"]),
            (
                ReuseUse::Toilets,
                &["toilet", "toilets", "flushing", "sanitarios", "inodoros", "wc", "descarga de sanitarios"],
            ),
            (
                ReuseUse::Irrigation,
                &[
                    "irrigation",
                    "riego",
                    "landscape",
                    "landscaping",
                    "jardines",
                    "garden",
                    "gardens",
                    "green areas",
                    "areas verdes",
                    "agricultural",
                    "agricultura",
                ],
            ),
            (ReuseUse::Cleaning, &["cleaning", "washing", "wash", "lavado", "limpieza", "floor", "floors", "vehicle"]),
            (ReuseUse::Fire, &["fire", "incendio", "incendios"]),
            (ReuseUse::Recharge, &["recharge", "recarga", "aquifer", "acuifero"]),
            (ReuseUse::Drinking, &["drinking", "potable", "human consumption", "consumo humano"]),
            (
                ReuseUse::Process,
                &["process", "processes", "industrial", "proceso", "procesos", "production", "produccion"],
            ),
            (ReuseUse::Ornamental, &["fountain", "fountains", "ornamental", "fuentes", "lakes", "recreational"]),
        ],
    )
}

pub(super) fn regulation(text: &str) -> Option<Regulation> {
    find(
        text,
        &[
            (Regulation::Nom001, &["nom 001", "nom001"]),
            (Regulation::Nom002, &["nom 002", "nom002"]),
            (Regulation::Nom003, &["nom 003", "nom003"]),
            (Regulation::Nom127, &["nom 127", "nom127"]),
            (Regulation::Cr33601, &["33601", "reglamento de vertido", "reglamento de vertido y reuso"]),
            (Regulation::CrDrinking, &["rtcr", "25991", "38924"]),
            (Regulation::EpaDrinking, &["sdwa", "safe drinking water", "npdwr"]),
            (Regulation::EpaReuse, &["water reuse", "epa reuse", "reuse guidelines"]),
            (Regulation::EpaDischarge, &["cwa", "clean water act", "npdes", "40 cfr 133", "epa"]),
            (Regulation::EuReuse, &["2020 741"]),
            (Regulation::EuUwwtd, &["91 271", "2024 3019", "uwwtd", "urban waste water", "urban wastewater"]),
            (Regulation::WhoDrinking, &["who", "oms"]),
        ],
    )
}

pub(super) fn constraint(text: &str) -> Option<Constraint> {
    find(
        text,
        &[
            (Constraint::LimitedSpace, &["space", "area", "espacio", "superficie", "footprint"]),
            (Constraint::LimitedBudget, &["budget", "presupuesto", "investment", "inversion", "capital", "financial"]),
            (Constraint::ComplexWater, &["water quality", "calidad", "salinity", "hardness", "metals", "metales"]),
            (
                Constraint::FewOperators,
                &[
                    "operators",
                    "operator",
                    "personnel",
                    "staff",
                    "skilled",
                    "operadores",
                    "personal",
                    "technical capacity",
                    "maintenance",
                ],
            ),
            (Constraint::LimitedEnergy, &["energy", "electricity", "power", "energia", "electricidad", "electrical"]),
            (
                Constraint::OdorNoise,
                &["odor", "odour", "odors", "noise", "olor", "olores", "ruido", "neighbors", "neighbours", "vecinos"],
            ),
            (
                Constraint::ShortTime,
                &["time", "deadline", "schedule", "tiempo", "plazo", "urgent", "urgente", "urgency"],
            ),
            (Constraint::RemoteSite, &["remote", "access", "remoto", "remota", "acceso", "logistics", "location"]),
        ],
    )
}

/// The range of people behind a choice such as `500 to 1000`, `More than 5000`, `Less than 50`, or a number.
pub(super) fn people(value: &Value) -> Option<(f64, Option<f64>)> {
    const MOST_PEOPLE: f64 = 1e8;
    let possible = |people: f64| (people.is_finite() && (1.0..=MOST_PEOPLE).contains(&people)).then_some(people);
    if let Some(number) = value.as_f64() {
        return possible(number).map(|people| (people, Some(people)));
    }
    let text = value.as_str().filter(|text| text.len() <= 60)?;
    let joined = text.replace([',', '.'], "");
    let folded = fold(&joined);
    let numbers: Vec<f64> = folded.split(' ').filter_map(|word| word.parse().ok()).collect();
    let padded = format!(" {folded} ");
    let says = |words: &[&str]| words.iter().any(|word| padded.contains(&format!(" {word} ")));
    match numbers.as_slice() {
        [one] if says(&["more", "over", "above", "mas", "greater"]) => Some((possible(*one)?, None)),
        [one] if says(&["less", "under", "below", "menos", "up", "hasta"]) => Some((1.0, Some(possible(*one)?))),
        [one] => possible(*one).map(|people| (people, Some(people))),
        [low, high] if low < high => Some((possible(*low)?, Some(possible(*high)?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_understood_by_whole_words() {
        assert_eq!(objective("Comply with discharge regulations"), Some(Objective::Discharge));
        assert_eq!(objective("Reuse treated water"), Some(Objective::Reuse));
        assert_eq!(receiver("Municipal sewer"), Some(Receiver::Sewer));
        assert_eq!(receiver("River or stream"), Some(Receiver::River));
        assert_eq!(receiver("Marvellous"), None);
        assert_eq!(reuse("Cooling towers"), Some(ReuseUse::Cooling));
        assert_eq!(reuse("Toilet flushing"), Some(ReuseUse::Toilets));
        assert_eq!(regulation("NOM-001 (MX - Discharge)"), Some(Regulation::Nom001));
        assert_eq!(regulation("NOM-002 (MX - Rivers)"), Some(Regulation::Nom002));
        assert_eq!(regulation("Reglamento de Vertido (CR)"), Some(Regulation::Cr33601));
        assert_eq!(regulation("EPA CWA (US)"), Some(Regulation::EpaDischarge));
        assert_eq!(regulation("EPA SDWA (US)"), Some(Regulation::EpaDrinking));
        assert_eq!(regulation("house rules"), None);
        assert_eq!(
            constraint("Complex water quality (high hardness, salinity, metals)"),
            Some(Constraint::ComplexWater)
        );
    }

    #[test]
    fn people_are_a_range() {
        assert_eq!(people(&Value::from("500 to 1000")), Some((500.0, Some(1000.0))));
        assert_eq!(people(&Value::from("More than 5000")), Some((5000.0, None)));
        assert_eq!(people(&Value::from("1,000 - 5,000")), Some((1000.0, Some(5000.0))));
        assert_eq!(people(&Value::from(320)), Some((320.0, Some(320.0))));
        assert_eq!(people(&Value::from("many")), None);
    }
}
