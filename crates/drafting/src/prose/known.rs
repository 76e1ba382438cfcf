//! What was calculated, and how a sentence compares with it.

use std::collections::BTreeSet;

use super::quantity::{Dimension, Quantity, quantities};
use super::{folded, words};

/// What a calculated number is about, where the sentence must say the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// Anything.
    Any,
    DesignFlow,
    Capex,
    Opex,
    /// A water-quality parameter, by its name.
    Parameter(String),
}

/// A calculated number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fact {
    pub(crate) dimension: Dimension,
    pub(crate) value: f64,
    pub(crate) about: About,
}

/// Everything that was calculated.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    facts: Vec<Fact>,
    /// Names of parameters as a text may write them, each as [`words`] leaves it, with the parameter's own name.
    names: Vec<(String, String)>,
}

/// A number in a text that no calculation has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contradiction {
    /// The number as it is written, with what follows it.
    pub(crate) written: String,
    pub(crate) dimension: Dimension,
    pub(crate) about: About,
    /// The nearest calculated number of the same kind.
    pub(crate) calculated: Option<f64>,
}

/// Names that texts give to parameters, beside those of the library.
const ALIASES: &[(&str, &[&str])] = &[
    ("BOD", &["bod", "bod5", "dbo", "dbo5"]),
    ("COD", &["cod", "dqo"]),
    ("TSS", &["tss", "sst", "suspended solids", "solidos suspendidos"]),
    ("FOG", &["fog", "gya", "oil and grease", "fats oils and grease", "grasas y aceites"]),
    ("TN", &["tn", "nt", "total nitrogen", "nitrogeno total"]),
    ("TP", &["tp", "pt", "total phosphorus", "fosforo total"]),
    ("TDS", &["tds", "sdt", "dissolved solids", "solidos disueltos"]),
];

impl Known {
    pub(crate) fn learn(&mut self, dimension: Dimension, value: f64, about: About) {
        if value.is_finite() {
            self.facts.push(Fact { dimension, value, about });
        }
    }

    /// Learns a value whose unit is written as people write it; a unit that is no dimension of ours is let go.
    pub(crate) fn learn_with_unit(&mut self, value: f64, unit: &str, about: &About) {
        for quantity in quantities(&format!("1 {unit}")) {
            if let Some(&(factor, _)) = quantity.readings.first() {
                self.learn(quantity.dimension, value * factor, about.clone());
            }
        }
    }

    /// Learns every quantity of a sentence that the calculations wrote, for what the sentence names and for anything.
    pub(crate) fn learn_text(&mut self, sentence: &str) {
        for quantity in quantities(sentence) {
            let mut abouts = self.wanted(sentence, &quantity).unwrap_or_default();
            abouts.insert(About::Any);
            for about in abouts {
                for &(value, _) in &quantity.readings {
                    self.learn(quantity.dimension, value, about.clone());
                }
            }
        }
    }

    pub(crate) fn learn_parameter(&mut self, name: &str) {
        let aliases = ALIASES.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, aliases)| aliases);
        let spellings = std::iter::once(words(name)).chain(aliases.iter().map(|alias| format!(" {alias} ")));
        for spelling in spellings {
            if !self.names.iter().any(|(known, _)| *known == spelling) {
                self.names.push((spelling, name.to_owned()));
            }
        }
    }

    /// The quantities of a sentence that no calculation has.
    pub(crate) fn contradictions(&self, sentence: &str) -> Vec<Contradiction> {
        let text: Vec<char> = sentence.chars().collect();
        let mut found = Vec::new();
        for quantity in quantities(sentence) {
            if is_advice(sentence, quantity.dimension) {
                continue;
            }
            let candidates = self.candidates(sentence, &quantity);
            if candidates.iter().any(|fact| agrees(&quantity, fact.value)) || is_whole(sentence, &quantity) {
                continue;
            }
            let shown = quantity.readings[0].0;
            let nearest = candidates.iter().min_by(|a, b| (a.value - shown).abs().total_cmp(&(b.value - shown).abs()));
            let end = (quantity.end + 12).min(text.len());
            let written: String = text[quantity.start..end].iter().collect();
            found.push(Contradiction {
                written: written.trim().to_owned(),
                dimension: quantity.dimension,
                about: nearest.map_or(About::Any, |fact| fact.about.clone()),
                calculated: nearest.map(|fact| fact.value),
            });
        }
        found
    }

    /// The facts that a quantity may state.
    fn candidates(&self, sentence: &str, quantity: &Quantity) -> Vec<&Fact> {
        let wanted = self.wanted(sentence, quantity);
        let same = |fact: &&Fact| fact.dimension == quantity.dimension;
        let about = |fact: &&Fact| wanted.as_ref().is_none_or(|wanted| wanted.contains(&fact.about));
        self.facts.iter().filter(same).filter(about).collect()
    }

    /// What a quantity is about, judged by what the sentence names near it; `None` if that does not matter.
    fn wanted(&self, sentence: &str, quantity: &Quantity) -> Option<BTreeSet<About>> {
        let text = folded(sentence);
        let before: String = text[..quantity.start].iter().collect();
        let after: String = text[quantity.end..].iter().collect();
        match quantity.dimension {
            Dimension::Money => cost(&before, &after).map(|about| BTreeSet::from([about])),
            Dimension::Flow => design_flow(&before).then(|| BTreeSet::from([About::DesignFlow])),
            Dimension::Percent if speaks_of_removal(sentence) => self.named(sentence),
            Dimension::Concentration => self.named(sentence).map(|mut named| {
                // Beside a parameter's own values, a sentence may name a unit's: solids in a tank, a dose.
                named.insert(About::Any);
                named
            }),
            Dimension::Percent
            | Dimension::Volume
            | Dimension::Area
            | Dimension::Power
            | Dimension::EnergyPerVolume
            | Dimension::EnergyPerTime
            | Dimension::MassRate
            | Dimension::MoneyPerVolume
            | Dimension::MoneyPerEnergy
            | Dimension::MoneyPerFlow
            | Dimension::Years
            | Dimension::Months => None,
        }
    }

    /// The parameters that a sentence names. Lists put names and numbers apart (`BOD and COD by 99 and 97 %`), so each
    /// number may be about each of them.
    fn named(&self, sentence: &str) -> Option<BTreeSet<About>> {
        let text = words(sentence);
        let names = self.names.iter().filter(|(word, _)| text.contains(word.as_str()));
        let named: BTreeSet<About> = names.map(|(_, name)| About::Parameter(name.clone())).collect();
        (!named.is_empty()).then_some(named)
    }
}

/// Within one per cent, or within the last digit shown.
fn agrees(quantity: &Quantity, value: f64) -> bool {
    const SLACK: f64 = 1e-9;
    quantity.readings.iter().any(|&(shown, step)| {
        let difference = (shown - value).abs();
        difference <= 0.01 * value.abs() + SLACK || difference <= 0.5 * step * (1.0 + SLACK) + SLACK
    })
}

/// `100 %` of something that is not removed is a way to say `all`.
fn is_whole(sentence: &str, quantity: &Quantity) -> bool {
    let whole = quantity.readings.iter().any(|&(shown, _)| (shown - 100.0).abs() < f64::EPSILON);
    quantity.dimension == Dimension::Percent && whole && !speaks_of_removal(sentence)
}

/// Months and years that are no time to build, to last or to pay back: a campaign of measurements, a guarantee.
fn is_advice(sentence: &str, dimension: Dimension) -> bool {
    const LASTING: &[&str] = &[
        " life",
        " vida",
        " pay",
        " recuper",
        " retorno",
        " amorti",
        " present value",
        " valor presente",
        " horizon",
        " last",
    ];
    const BUILDING: &[&str] = &[
        " build",
        " construct",
        " implement",
        " start up",
        " startup",
        " commission",
        " deliver",
        " execut",
        " constru",
        " puesta en marcha",
        " ejecuci",
        " plazo",
        " schedule",
    ];
    let text = words(sentence);
    let speaks_of = |stems: &[&str]| stems.iter().any(|stem| text.contains(stem));
    match dimension {
        Dimension::Years => !speaks_of(LASTING),
        Dimension::Months => !speaks_of(BUILDING),
        Dimension::Flow
        | Dimension::Volume
        | Dimension::Area
        | Dimension::Power
        | Dimension::EnergyPerVolume
        | Dimension::EnergyPerTime
        | Dimension::MassRate
        | Dimension::Concentration
        | Dimension::Percent
        | Dimension::Money
        | Dimension::MoneyPerVolume
        | Dimension::MoneyPerEnergy
        | Dimension::MoneyPerFlow => false,
    }
}

fn speaks_of_removal(sentence: &str) -> bool {
    let text = words(sentence);
    [" remov", " remoc", " remuev", " reduc", " elimin"].iter().any(|stem| text.contains(stem))
}

fn design_flow(before: &str) -> bool {
    const NAMES: &[&str] =
        &["design flow", "average flow", "caudal de diseno", "caudal medio", "plant treats", "planta trata"];
    const OTHERS: &[&str] = &["peak", "pico", "maxim", "punta", "hour", "hora"];
    let before = words(before);
    let last = NAMES.iter().filter_map(|name| before.rfind(name)).max();
    last.is_some_and(|at| before[at..].len() <= 60 && !OTHERS.iter().any(|other| before[at..].contains(other)))
}

/// Whether an amount of money is named as capital or as operating cost: by the last word before it that says so, else
/// by the first behind it.
fn cost(before: &str, after: &str) -> Option<About> {
    const CAPEX: &[&str] = &[
        " capex ",
        " capital cost",
        " capital expend",
        " capital investment",
        " investment ",
        " inversion ",
        " costo de capital ",
        " coste de capital ",
    ];
    const OPEX: &[&str] = &[
        " opex ",
        " operating cost",
        " operating expend",
        " operational cost",
        " running cost",
        " cost of operation ",
        " costo de operacion ",
        " costos de operacion ",
        " costo operativo ",
        " costos operativos ",
        " coste operativo ",
        " costes operativos ",
        " costo anual de operacion ",
        " operacion anual ",
    ];
    const OTHER: &[&str] = &[
        " saving",
        " ahorro",
        " npv ",
        " van ",
        " present value ",
        " valor presente ",
        " budget ",
        " presupuesto ",
        " range ",
        " rango ",
        " between ",
        " entre ",
    ];
    let (before, after) = (words(before), words(after));
    let kinds = [(CAPEX, Some(About::Capex)), (OPEX, Some(About::Opex)), (OTHER, None)];
    let last = |text: &str, names: &[&str]| names.iter().filter_map(|name| text.rfind(name)).max();
    let first = |text: &str, names: &[&str]| names.iter().filter_map(|name| text.find(name)).min();
    let said_before =
        kinds.iter().filter_map(|(names, about)| last(&before, names).map(|at| (at, about))).max_by_key(|(at, _)| *at);
    let said = said_before.or_else(|| {
        kinds.iter().filter_map(|(names, about)| first(&after, names).map(|at| (at, about))).min_by_key(|(at, _)| *at)
    });
    said.and_then(|(_, about)| about.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let mut known = Known::default();
        for (dimension, value, about) in [
            (Dimension::Flow, 230.0, About::DesignFlow),
            (Dimension::Flow, 230.0, About::Any),
            (Dimension::Flow, 414.0, About::Any),
            (Dimension::Flow, 350.0, About::Any),
            (Dimension::Money, 210_000.0, About::Capex),
            (Dimension::Money, 95_000.0, About::Capex),
            (Dimension::Money, 99_000.0, About::Opex),
            (Dimension::Percent, 98.64, About::Parameter("BOD".into())),
            (Dimension::Percent, 95.0, About::Parameter("COD".into())),
            (Dimension::Percent, 20.0, About::Any),
            (Dimension::Concentration, 1750.0, About::Parameter("BOD".into())),
            (Dimension::Concentration, 23.8, About::Parameter("BOD".into())),
            (Dimension::Concentration, 3500.0, About::Any),
            (Dimension::Concentration, 155.0, About::Parameter("COD".into())),
            (Dimension::Months, 8.0, About::Any),
        ] {
            known.learn(dimension, value, about);
        }
        known.learn_parameter("BOD");
        known.learn_parameter("COD");
        known
    }

    #[test]
    fn numbers_within_one_per_cent_or_the_last_digit_shown_agree() {
        for sentence in [
            "The plant treats 230 m³ of dairy wastewater per day.",
            "The design flow is 231 m³/d, the peak flow 17.25 m³/h.",
            "CAPEX is USD 0.21 million and OPEX USD 99,000 per year.",
            "Of the capital cost of USD 210,000, USD 95,000 is equipment.",
            "BOD removal reaches 98.6 %, and 95 % of the COD is removed.",
            "BOD falls from 1,750 to 24 mg/L with MLSS of 3,500 mg/L.",
            "La DBO baja de 1.750 mg/L a 23,8 mg/L.",
            "A margin of 20 % is kept and 100 % of the water is treated, built within 8 months.",
            "BOD and COD are reduced by 98.6 and 95 %.",
            "Measure the flow for 3 months and keep the records for 5 years.",
        ] {
            assert_eq!(known().contradictions(sentence), [], "{sentence}");
        }
    }

    #[test]
    fn other_numbers_contradict_and_the_nearest_calculated_one_is_told() {
        for (sentence, calculated) in [
            ("The plant treats 350 m³/d.", Some(230.0)),
            ("El caudal de diseño es de 350 m³/d.", Some(230.0)),
            ("CAPEX is USD 99,000.", Some(95_000.0)),
            ("The operating cost is USD 210,000 a year.", Some(99_000.0)),
            ("It removes 95 % of BOD.", Some(98.64)),
            ("It removes 100 % of the BOD.", Some(98.64)),
            ("BOD falls to 155 mg/L.", Some(23.8)),
            ("Construction takes 14 months.", Some(8.0)),
            ("It needs 18 kW.", None),
        ] {
            let found = known().contradictions(sentence);
            assert_eq!(found.len(), 1, "{sentence}: {found:?}");
            assert_eq!(found[0].calculated, calculated, "{sentence}");
        }
    }
}
