//! Finds regulations, papers and cases that a sentence cites, and asks whether our catalogue has them.

use super::words;

/// All that may be cited: names of regulations, sources of calculations, and reference cases.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogue {
    /// As [`words`] leaves them, one after another.
    text: String,
    cases: Vec<String>,
}

/// Words behind which a number names a regulation or a standard.
const KINDS: &[&str] = &[
    "nom",
    "nmx",
    "iso",
    "cfr",
    "directive",
    "directiva",
    "decree",
    "decreto",
    "rtcr",
    "conama",
    "ley",
    "law",
    "resolution",
    "resolucion",
    "regulation",
    "reglamento",
    "norma",
    "ntc",
    "ntp",
    "astm",
    "ansi",
    "awwa",
    "une",
    "din",
    "epa",
    "dwa",
    "atv",
    "circular",
    "acuerdo",
    "titulo",
];
/// Words that may stand between the kind and its number.
const BETWEEN: &[&str] =
    &["no", "num", "numero", "eu", "ue", "ce", "ec", "a", "de", "of", "the", "part", "parte", "reuso", "vertido", "y"];

impl Catalogue {
    pub(crate) fn learn(&mut self, citation: &str) {
        self.text.push_str(&words(citation));
    }

    pub(crate) fn learn_case(&mut self, id: &str) {
        for part in words(id).split_whitespace() {
            self.cases.extend([part.to_owned(), part.trim_start_matches('0').to_owned()]);
        }
    }

    /// What the sentence cites that the catalogue does not have.
    pub(crate) fn strange(&self, sentence: &str) -> Option<String> {
        let text = words(sentence);
        let words: Vec<&str> = text.split_whitespace().collect();
        let known = |words: &[&str]| self.text.contains(&format!(" {} ", words.join(" ")));
        let is_number = |word: &&str| word.bytes().all(|b| b.is_ascii_digit());
        for (at, word) in words.iter().enumerate() {
            let rest = &words[at + 1..];
            if KINDS.contains(word) {
                let skipped = rest.iter().take_while(|word| BETWEEN.contains(word)).count().min(4);
                let numbers: Vec<&str> = rest[skipped..].iter().copied().take_while(is_number).take(2).collect();
                // `EPA 2012` is a year, `regulation 25 mg/L` a limit: a name has three digits, or two numbers.
                let names = numbers.len() == 2 || numbers.first().is_some_and(|number| number.len() >= 3);
                if names {
                    let with_kind = known(&[&[*word], &numbers[..1]].concat());
                    let alone = numbers.len() == 2 && known(&numbers) || numbers[0].len() >= 4 && known(&numbers[..1]);
                    if !with_kind && !alone {
                        return Some(format!("{word} {}", numbers.join(" ")));
                    }
                }
            }
            let case = matches!(*word, "case" | "caso" | "ref")
                .then(|| rest.iter().find(|word| !matches!(**word, "no" | "num" | "study" | "de" | "referencia")));
            if let Some(Some(id)) = case
                && is_number(id)
                && !self.cases.iter().any(|case| case == id)
            {
                return Some(format!("{word} {id}"));
            }
            if *word == "et" && rest.first() == Some(&"al") && !(at > 0 && known(&words[at - 1..at])) {
                return Some(format!("{} et al.", if at > 0 { words[at - 1] } else { "" }));
            }
            if matches!(*word, "doi" | "http" | "https" | "www") {
                let address: Vec<&str> = rest.iter().copied().take(3).collect();
                if !(address.len() == 3 && known(&address)) {
                    return Some((*word).to_owned());
                }
            }
        }
        self.strange_author(sentence)
    }

    /// `(Author, 2015)` and `(Author and Other 2015)`.
    fn strange_author(&self, sentence: &str) -> Option<String> {
        for part in sentence.split('(').skip(1) {
            let inside = part.split(')').next().unwrap_or_default().trim();
            let year = inside.rsplit([' ', ',']).next().unwrap_or_default();
            let is_year = year.len() == 4
                && (year.starts_with("19") || year.starts_with("20"))
                && year.bytes().all(|b| b.is_ascii_digit());
            if !is_year || !inside.starts_with(char::is_uppercase) {
                continue;
            }
            let author = words(inside.split([' ', ',']).next().unwrap_or_default());
            if !self.text.contains(&author) {
                return Some(inside.to_owned());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::default();
        for citation in [
            "NOM-001-SEMARNAT-2021",
            "Reglamento de Vertido y Reúso 33601-S-MINAE",
            "40 CFR 133.102 (EPA, secondary treatment)",
            "91/271/EEC",
            "Regulation (EU) 2020/741",
            "EPA 2012 Guidelines for Water Reuse",
            "Tocchi et al., Process Biochem. 48 (2013) 941, doi 10.1016/j.procbio",
        ] {
            catalogue.learn(citation);
        }
        catalogue.learn_case("case-03");
        catalogue
    }

    #[test]
    fn what_the_catalogue_has_may_be_cited() {
        for sentence in [
            "NOM-001-SEMARNAT-2021 sets 150 mg/L of COD.",
            "Decree 33601 and Directive 91/271/EEC agree.",
            "Limits follow 40 CFR 133.102 and Regulation (EU) 2020/741.",
            "As in case 03 (Tocchi et al., 2013).",
            "The EPA 2012 guidelines ask for 10 mg/L.",
            "In any case the regulation sets 25 mg/L.",
        ] {
            assert_eq!(catalogue().strange(sentence), None, "{sentence}");
        }
    }

    #[test]
    fn what_it_does_not_have_is_strange() {
        for sentence in [
            "NOM-999-SEMARNAT-2030 applies.",
            "It complies with ISO 14001.",
            "Decree 12345-S asks for more.",
            "Directive 2000/60/EC applies.",
            "40 CFR 999 applies.",
            "Compare case 17.",
            "Smith et al. found more.",
            "Others agree (Henze, 2008).",
            "See https://example.org/paper.",
        ] {
            assert!(catalogue().strange(sentence).is_some(), "{sentence}");
        }
    }
}
