//! What a step knows about the project beside the outputs of earlier steps.

use serde::{Deserialize, Serialize};

/// The facts of the project and the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The sector as the project has it, for example `industrial`.
    pub sector: String,
    /// The subsector as the project has it, for example `food_processing`.
    pub subsector: Option<String>,
    /// The place in words, for example `Guadalajara, Mexico`. Read for the country; never repeated in a result.
    pub location: String,
    /// How detailed the proposal is to be.
    pub proposal_type: ProposalType,
    /// The language of the prose; results of this crate are English.
    pub language: Language,
}

/// How detailed a proposal is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProposalType {
    /// First idea.
    Conceptual,
    /// For a decision.
    Technical,
    /// For a tender.
    Detailed,
}

/// The language of the prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Spanish.
    Es,
}

/// The countries whose regulations, prices and wages are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Country {
    /// Mexico.
    Mexico,
    /// Costa Rica.
    CostaRica,
    /// Colombia or Peru.
    Andean,
    /// United States.
    UnitedStates,
    /// Spain and the rest of the European Union.
    EuropeanUnion,
    /// Any other, or not understood.
    Other,
}

/// The kinds of water the default values and data requirements are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SectorKind {
    /// Sewage of homes, offices, hotels, towns.
    Domestic,
    /// Food and beverage industry, kitchens.
    Food,
    /// Textile, pharmaceutical, chemical industry.
    Chemical,
    /// Oil, gas, metal finishing.
    OilMetal,
    /// Natural water made into supply.
    Supply,
}

impl Facts {
    /// The country of the location, by whole words.
    #[must_use]
    pub fn country(&self) -> Country {
        let words = fold(&self.location);
        let padded = format!(" {words} ");
        let has = |name: &str| padded.contains(&format!(" {name} "));
        let table: [(Country, &[&str]); 5] = [
            (
                Country::Mexico,
                &[
                    "mexico",
                    "mx",
                    "cdmx",
                    "jalisco",
                    "nuevo leon",
                    "puebla",
                    "queretaro",
                    "guanajuato",
                    "sonora",
                    "chihuahua",
                    "coahuila",
                    "veracruz",
                    "yucatan",
                    "quintana roo",
                    "baja california",
                    "sinaloa",
                    "michoacan",
                    "oaxaca",
                    "tamaulipas",
                    "guadalajara",
                    "monterrey",
                    "tijuana",
                ],
            ),
            (
                Country::CostaRica,
                &["costa rica", "cr", "san jose cr", "alajuela", "guanacaste", "puntarenas", "limon cr"],
            ),
            (Country::Andean, &["colombia", "peru", "co", "pe"]),
            (Country::UnitedStates, &["usa", "us", "united states", "estados unidos"]),
            (
                Country::EuropeanUnion,
                &[
                    "spain",
                    "espana",
                    "france",
                    "germany",
                    "italy",
                    "portugal",
                    "ireland",
                    "netherlands",
                    "belgium",
                    "austria",
                    "poland",
                    "greece",
                ],
            ),
        ];
        // "New Mexico, USA" is not Mexico: the last word of a place is its country.
        if padded.ends_with(" usa ") || padded.ends_with(" united states ") || padded.ends_with(" us ") {
            return Country::UnitedStates;
        }
        table
            .iter()
            .find_map(|&(country, names)| names.iter().any(|name| has(name)).then_some(country))
            .unwrap_or(Country::Other)
    }
}

/// Lower case without accents, every other character than a letter or digit a single space.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        let c = match c {
            'á' | 'à' | 'ä' | 'â' => 'a',
            'é' | 'è' | 'ë' | 'ê' => 'e',
            'í' | 'ì' | 'ï' => 'i',
            'ó' | 'ò' | 'ö' | 'ô' => 'o',
            'ú' | 'ù' | 'ü' => 'u',
            'ñ' => 'n',
            '₀'..='₉' => char::from(b'0' + (c as u32 - '₀' as u32) as u8),
            '⁰' => '0',
            '¹' => '1',
            '²' => '2',
            '³' => '3',
            '⁴'..='⁹' => char::from(b'0' + (c as u32 - '⁰' as u32) as u8),
            c if c.is_alphanumeric() => c,
            _ => ' ',
        };
        if c != ' ' || !(folded.is_empty() || folded.ends_with(' ')) {
            folded.push(c);
        }
    }
    folded.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(location: &str) -> Country {
        Facts {
            sector: "industrial".into(),
            subsector: None,
            location: location.into(),
            proposal_type: ProposalType::Technical,
            language: Language::En,
        }
        .country()
    }

    #[test]
    fn the_country_is_read_by_whole_words() {
        assert_eq!(at("Guadalajara, Mexico"), Country::Mexico);
        assert_eq!(at("Querétaro, México"), Country::Mexico);
        assert_eq!(at("Guanacaste, Costa Rica"), Country::CostaRica);
        assert_eq!(at("Albuquerque, New Mexico, USA"), Country::UnitedStates);
        assert_eq!(at("Mexicali"), Country::Other);
        assert_eq!(at(""), Country::Other);
    }

    #[test]
    fn folding_keeps_letters_and_digits() {
        assert_eq!(fold("  DBO₅ (Demanda Bioquímica)  "), "dbo5 demanda bioquimica");
    }
}
