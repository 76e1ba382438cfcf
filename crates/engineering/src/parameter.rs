//! The library of water-quality parameters: ids of the sheet, other names in English and Spanish, units, kinds.

use crate::facts::fold;
use serde::{Deserialize, Serialize};
use units::Dimension;

/// How a parameter behaves in a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Flow times concentration is a load.
    Load,
    /// Organisms, reduced in powers of ten; listed with the loads.
    Organisms,
    /// A property without a load: pH, temperature, turbidity, colour, conductivity, residual chlorine.
    Intensive,
}

macro_rules! parameters {
    ($($name:ident: $shown:literal, $kind:ident, $dimension:ident, $most:literal, [$($id:literal),*], [$($alias:literal),*];)*) => {
        /// A water-quality parameter.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Parameter {
            $(#[doc = $shown] $name,)*
        }

        impl Parameter {
            /// All of them, in the order they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name people read; unique.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $shown,)* }
            }

            /// How it behaves in a balance.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// What its unit measures.
            #[must_use]
            pub const fn dimension(self) -> Dimension {
                match self { $(Self::$name => Dimension::$dimension,)* }
            }

            /// The largest value taken for real, in the canonical unit.
            pub(crate) const fn most(self) -> f64 {
                match self { $(Self::$name => $most,)* }
            }

            const fn ids(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($id),*],)* }
            }

            const fn aliases(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($alias),*],)* }
            }
        }
    };
}

// Name: shown, kind, unit, largest value, ids of the sheet, other names as `fold` leaves them.
parameters! {
    Ph: "pH", Intensive, None, 14.0, ["ph"], ["potencial de hidrogeno", "ph value"];
    Temperature: "Temperature", Intensive, Temperature, 100.0, ["temperature"], ["temperatura", "t", "temp"];
    Bod5: "BOD", Load, Concentration, 5e5, ["bod5", "bod"], ["bod5", "bod", "dbo", "dbo5", "dbo5 20", "cbod5", "biochemical oxygen demand", "demanda bioquimica de oxigeno", "bod5 biochemical oxygen demand"];
    Cod: "COD", Load, Concentration, 1e6, ["cod"], ["dqo", "codt", "dqot", "chemical oxygen demand", "demanda quimica de oxigeno", "cod chemical oxygen demand"];
    Tss: "TSS", Load, Concentration, 2e5, ["tss"], ["sst", "ss", "suspended solids", "total suspended solids", "solidos suspendidos totales", "solidos suspendidos", "total suspended solids tss"];
    OilGrease: "FOG", Load, Concentration, 1e5, ["fats-oils-greases", "fog", "oil-grease"], ["fog", "o g", "g a", "gya", "oil and grease", "oils and greases", "grasas y aceites", "hem", "fats oils and grease", "fats oils and grease fog"];
    Tph: "TPH", Load, Concentration, 1e5, ["tph"], ["htp", "hidrocarburos", "hidrocarburos totales de petroleo", "total petroleum hydrocarbons"];
    Tn: "TN", Load, Concentration, 2e4, ["nitrogen-total", "total-nitrogen", "tn"], ["nt", "n total", "total n", "total nitrogen", "nitrogeno total"];
    Tkn: "TKN", Load, Concentration, 2e4, ["tkn"], ["ntk", "kjeldahl nitrogen", "total kjeldahl nitrogen", "nitrogeno kjeldahl"];
    AmmoniaN: "NH4-N", Load, Concentration, 2e4, ["ammonia", "ammonium", "nh4-n"], ["nh4 n", "nh3 n", "ammonia nitrogen", "nitrogeno amoniacal"];
    NitrateN: "NO3-N", Load, Concentration, 2e4, ["nitrate", "nitrates", "no3-n"], ["no3 n", "nitrate nitrogen", "nitrogeno de nitratos"];
    Tp: "TP", Load, Concentration, 1e4, ["phosphorus-total", "total-phosphorus", "tp"], ["pt", "p total", "total p", "total phosphorus", "fosforo total"];
    Tds: "TDS", Load, Concentration, 3.5e5, ["tds"], ["sdt", "std", "dissolved solids", "total dissolved solids", "solidos disueltos", "solidos disueltos totales", "total dissolved solids tds"];
    Alkalinity: "Alkalinity", Load, Hardness, 1e5, ["alkalinity"], ["alcalinidad", "total alkalinity", "alcalinidad total"];
    Hardness: "Hardness", Load, Hardness, 1e5, ["hardness"], ["dureza", "dureza total", "total hardness"];
    Chlorides: "Chloride", Load, Concentration, 2e5, ["chlorides", "chloride"], ["cl", "cloruro", "cloruros"];
    Sulfates: "Sulfate", Load, Concentration, 1e5, ["sulfates", "sulfate", "sulphates"], ["so4", "sulfato", "sulfatos", "sulphate"];
    Silica: "Silica", Load, Concentration, 1e4, ["silica"], ["sio2", "silice"];
    Fluoride: "Fluoride", Load, Concentration, 1e4, ["fluoride"], ["f", "fluoruro", "fluoruros"];
    Boron: "Boron", Load, Concentration, 1e4, ["boron"], ["b", "boro"];
    Calcium: "Calcium", Load, Concentration, 1e5, ["calcium"], ["ca", "calcio"];
    Magnesium: "Magnesium", Load, Concentration, 1e5, ["magnesium"], ["mg", "magnesio"];
    Sodium: "Sodium", Load, Concentration, 2e5, ["sodium"], ["na", "sodio"];
    Iron: "Iron", Load, Concentration, 1e5, ["iron"], ["fe", "hierro"];
    Manganese: "Manganese", Load, Concentration, 1e4, ["manganese"], ["mn", "manganeso"];
    Aluminium: "Aluminium", Load, Concentration, 1e5, ["aluminium", "aluminum"], ["al", "aluminio"];
    Arsenic: "Arsenic", Load, Concentration, 1e4, ["arsenic"], ["as", "arsenico"];
    Cadmium: "Cadmium", Load, Concentration, 1e5, ["cadmium"], ["cd", "cadmio"];
    Chromium: "Chromium", Load, Concentration, 1e5, ["chromium", "chromium-total"], ["cr", "cromo", "total chromium", "cromo total"];
    ChromiumVi: "Chromium VI", Load, Concentration, 1e5, ["chromium-vi", "hexavalent-chromium"], ["cr vi", "crvi", "cr6", "cromo hexavalente", "hexavalent chromium"];
    Copper: "Copper", Load, Concentration, 1e5, ["copper"], ["cu", "cobre"];
    Lead: "Lead", Load, Concentration, 1e5, ["lead"], ["pb", "plomo"];
    Mercury: "Mercury", Load, Concentration, 1e4, ["mercury"], ["hg", "mercurio"];
    Nickel: "Nickel", Load, Concentration, 1e5, ["nickel"], ["ni", "niquel"];
    Zinc: "Zinc", Load, Concentration, 1e5, ["zinc"], ["zn"];
    Cyanide: "Cyanide", Load, Concentration, 1e5, ["cyanide"], ["cn", "cianuro", "cianuros"];
    Phenols: "Phenols", Load, Concentration, 1e5, ["phenols", "phenol"], ["fenoles", "fenol"];
    Surfactants: "Surfactants", Load, Concentration, 1e5, ["surfactants", "saam"], ["mbas", "detergents", "detergentes", "sustancias activas al azul de metileno"];
    Sulfide: "Sulfide", Load, Concentration, 1e5, ["sulfide", "sulphide"], ["h2s", "sulfuro", "sulfuros"];
    Toc: "TOC", Load, Concentration, 5e5, ["toc"], ["cot", "carbono organico total", "total organic carbon"];
    SettleableSolids: "Settleable solids", Load, Settleable, 1000.0, ["settleable-solids"], ["solidos sedimentables", "ssed"];
    TotalColiforms: "Total coliforms", Organisms, Organisms, 1e13, ["total-coliforms"], ["ct", "coliformes totales", "total coliform"];
    FecalColiforms: "Fecal coliforms", Organisms, Organisms, 1e13, ["fecal-coliforms", "faecal-coliforms"], ["cf", "fc", "coliformes fecales", "coliformes termotolerantes", "thermotolerant coliforms", "fecal coliform"];
    EColi: "E. coli", Organisms, Organisms, 1e13, ["ecoli", "e-coli"], ["e coli", "escherichia coli"];
    HelminthEggs: "Helminth eggs", Organisms, EggsPerLitre, 1e7, ["helminth-eggs"], ["huevos de helminto", "helminths"];
    Turbidity: "Turbidity", Intensive, Turbidity, 1e6, ["turbidity"], ["turbiedad", "turbidez"];
    Color: "Color", Intensive, Color, 1e6, ["color", "colour"], ["color verdadero", "true color", "true colour"];
    Conductivity: "Conductivity", Intensive, Conductivity, 1e6, ["conductivity"], ["ce", "ec", "conductividad", "electrical conductivity", "conductividad electrica"];
    ChlorineResidual: "Residual chlorine", Intensive, Concentration, 1e4, ["chlorine-residual"], ["cloro residual libre", "cloro residual", "residual chlorine", "free chlorine"];
}

impl Parameter {
    /// The metals that hydroxide precipitation removes.
    pub(crate) const METALS: &'static [Self] = &[
        Self::Arsenic,
        Self::Cadmium,
        Self::Chromium,
        Self::ChromiumVi,
        Self::Copper,
        Self::Lead,
        Self::Mercury,
        Self::Nickel,
        Self::Zinc,
    ];

    /// The canonical unit as people write it.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        self.dimension().canonical()
    }

    /// Whether it belongs in the treatment-efficiency table.
    #[must_use]
    pub const fn has_load(self) -> bool {
        match self.kind() {
            Kind::Load | Kind::Organisms => true,
            Kind::Intensive => false,
        }
    }

    /// Recognises a parameter by its id, else by a whole other name; never by a part of a word.
    #[must_use]
    pub fn recognise(id: &str, label: Option<&str>) -> Option<Self> {
        let id = id.trim().to_lowercase();
        let by_id = Self::ALL.iter().copied().find(|parameter| parameter.ids().contains(&id.as_str()));
        by_id.or_else(|| Self::named(&id)).or_else(|| Self::named(label?))
    }

    /// Recognises a parameter by a whole name, or by a name that only adds its abbreviation in brackets.
    pub(crate) fn named(text: &str) -> Option<Self> {
        const LONGEST_NAME: usize = 120;
        if text.len() > LONGEST_NAME {
            return None;
        }
        let whole = |text: &str| {
            let folded = fold(text);
            if folded.is_empty() {
                return None;
            }
            Self::ALL.iter().copied().find(|parameter| {
                fold(parameter.name()) == folded
                    || parameter.ids().iter().any(|id| fold(id) == folded)
                    || parameter.aliases().contains(&folded.as_str())
            })
        };
        whole(text).or_else(|| {
            let (before, rest) = text.split_once('(')?;
            let inside = rest.split_once(')')?.0;
            match (whole(before), whole(inside)) {
                // "Nitrogen (mg)" must not become magnesium: the part before the bracket counts first.
                (Some(parameter), _) => Some(parameter),
                (None, Some(parameter)) if inside.len() > 2 => Some(parameter),
                (None, _) => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_recognised_by_id_then_alias_never_by_a_part() {
        assert_eq!(Parameter::recognise("bod5", None), Some(Parameter::Bod5));
        assert_eq!(Parameter::recognise("0f9d", Some("DBO5,20")), Some(Parameter::Bod5));
        assert_eq!(Parameter::recognise("0f9d", Some("BOD₅ (Biochemical Oxygen Demand)")), Some(Parameter::Bod5));
        assert_eq!(Parameter::recognise("0f9d", Some("Sólidos suspendidos totales")), Some(Parameter::Tss));
        assert_eq!(Parameter::recognise("Pb", None), Some(Parameter::Lead));
        for strange in ["lead time", "codification", "pbx", "mlss", "", "total"] {
            assert_eq!(Parameter::recognise(strange, Some(strange)), None, "{strange}");
        }
    }

    #[test]
    fn no_two_parameters_share_a_name() {
        let mut seen = std::collections::BTreeMap::new();
        for &parameter in Parameter::ALL {
            for name in parameter.aliases().iter().chain(parameter.ids()).map(|name| fold(name)) {
                if let Some(other) = seen.insert(name.clone(), parameter) {
                    assert_eq!(other, parameter, "{name}");
                }
            }
        }
    }
}
