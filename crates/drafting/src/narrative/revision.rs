//! Compares a text with the evidence, and mends what a second try did not.

use std::collections::BTreeSet;

use domain::document::Deviation;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Justification, MOST_SUMMARY, TrainWish};
use super::evidence::Evidence;
use super::story::Story;
use super::templates;
use crate::prose::known::Contradiction;
use crate::prose::plain::shortened;
use crate::prose::quantity::Dimension;
use crate::prose::statement::{Verdict, revised, statements};

/// More differences than these are not listed: the text is beyond mending line by line.
const MOST_DIFFERENCES: usize = 40;
/// A technical approach with fewer characters explains nothing.
const LEAST_APPROACH: usize = 200;
/// The most characters of a passage that is quoted.
const MOST_QUOTED: usize = 160;

/// A passage of a text that does not agree with the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Difference {
    /// Which part of the answer.
    pub(crate) place: String,
    /// What is written there.
    pub(crate) written: String,
    /// What the calculations have, or that the catalogue does not have it.
    pub(crate) found: String,
}

/// The differences between a text and the evidence.
pub(crate) fn differences(answer: &Answer, evidence: &Evidence) -> Vec<Difference> {
    let mut found = Vec::new();
    for (place, text) in parts(answer) {
        for sentence in statements(text) {
            if let Some(citation) = evidence.catalogue.strange(sentence) {
                let written = shortened(&citation, MOST_QUOTED);
                found.push(Difference { place: place.to_owned(), written, found: "not in the catalogue".to_owned() });
            }
            for contradiction in evidence.known.contradictions(sentence) {
                let written = format!("{} ({})", contradiction.written, shortened(sentence, MOST_QUOTED));
                found.push(Difference { place: place.to_owned(), written, found: calculated(&contradiction) });
            }
        }
    }
    found.truncate(MOST_DIFFERENCES);
    found
}

fn parts(answer: &Answer) -> impl Iterator<Item = (&'static str, &str)> {
    [
        ("executive_summary", answer.executive_summary.as_str()),
        ("technical_approach", answer.technical_approach.as_str()),
    ]
    .into_iter()
    .chain(answer.recommendations.iter().map(|text| ("recommendations", text.as_str())))
    .chain(answer.technology_justifications.iter().map(|one| ("technology_justifications", one.justification.as_str())))
    .chain(answer.train_wish.iter().map(|wish| ("train_wish", wish.argument.as_str())))
}

fn calculated(contradiction: &Contradiction) -> String {
    match contradiction.calculated {
        Some(value) => format!("calculated: {} {}", templates::shown(value), unit(contradiction.dimension)),
        None => "nothing of the kind was calculated".to_owned(),
    }
}

const fn unit(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Flow => "m³/d",
        Dimension::Volume => "m³",
        Dimension::Area => "m²",
        Dimension::Power => "kW",
        Dimension::EnergyPerVolume => "kWh/m³",
        Dimension::EnergyPerTime => "kWh/d",
        Dimension::MassRate => "kg/d",
        Dimension::Concentration => "mg/L",
        Dimension::Percent => "%",
        Dimension::Money => "USD",
        Dimension::MoneyPerVolume => "USD/m³",
        Dimension::MoneyPerEnergy => "USD/kWh",
        Dimension::MoneyPerFlow => "USD per m³/d",
        Dimension::Years => "years",
        Dimension::Months => "months",
    }
}

/// A text in which every statement agrees with the evidence, and what was changed for that.
pub(crate) fn mended(answer: &Answer, evidence: &Evidence, story: &Story<'_>) -> (Answer, Vec<Deviation>) {
    let mut mender = Mender { evidence, story, deviations: vec![] };
    let template = templates::write(story);
    let mut summary = mender.mend("Executive summary", &answer.executive_summary);
    if summary.is_empty() {
        summary.clone_from(&template.executive_summary);
    }
    let mut approach = mender.mend("Technical approach", &answer.technical_approach);
    if approach.chars().count() < LEAST_APPROACH {
        let reason = "The text was too short to explain the design; it was replaced by the template's.".to_owned();
        mender.note("Technical approach: length".to_owned(), None, reason);
        approach.clone_from(&template.technical_approach);
    }
    let mut recommendations: Vec<String> = answer
        .recommendations
        .iter()
        .map(|text| mender.mend("Recommendations", text))
        .filter(|text| !text.is_empty())
        .collect();
    if recommendations.is_empty() {
        recommendations = template.recommendations;
    }
    let technology_justifications = answer
        .technology_justifications
        .iter()
        .map(|one| Justification {
            technology: one.technology.clone(),
            justification: mender.mend("Technology justification", &one.justification),
        })
        .filter(|one| !one.justification.is_empty())
        .collect();
    let train_wish = answer.train_wish.as_ref().and_then(|wish| {
        let argument = mender.mend("Train argued for", &wish.argument);
        (!argument.is_empty()).then(|| TrainWish { technologies: wish.technologies.clone(), argument })
    });
    let executive_summary = shortened(&summary, MOST_SUMMARY);
    let answer = Answer {
        executive_summary,
        technical_approach: approach,
        recommendations,
        technology_justifications,
        train_wish,
    };
    (answer, mender.deviations)
}

struct Mender<'a> {
    evidence: &'a Evidence,
    story: &'a Story<'a>,
    deviations: Vec<Deviation>,
}

impl Mender<'_> {
    /// The text with every statement that does not agree replaced by what was calculated, or left out.
    fn mend(&mut self, place: &str, text: &str) -> String {
        let mut said = BTreeSet::new();
        revised(text, |sentence| {
            if let Some(citation) = self.evidence.catalogue.strange(sentence) {
                let citation = shortened(&citation, MOST_QUOTED);
                let reason =
                    format!("The text cited \"{citation}\", which is not in the catalogue; the statement was removed.");
                self.note(format!("{place}: citation"), None, reason);
                return Verdict::Remove;
            }
            let contradictions = self.evidence.known.contradictions(sentence);
            let Some(first) = contradictions.first() else { return Verdict::Keep };
            let better = templates::statement(self.story, first.dimension, &first.about);
            let written = shortened(&first.written, MOST_QUOTED);
            let value = first.calculated.map(|value| format!("{} {}", templates::shown(value), unit(first.dimension)));
            // The same replacement twice in one text would read like a stutter.
            match better.filter(|better| said.insert(better.clone()) && !text.contains(better.as_str())) {
                Some(better) => {
                    let reason =
                        format!("The text said \"{written}\", which was not calculated; the statement was replaced.");
                    self.note(format!("{place}: number"), value, reason);
                    Verdict::Replace(better)
                }
                None => {
                    let reason =
                        format!("The text said \"{written}\", which was not calculated; the statement was removed.");
                    self.note(format!("{place}: number"), value, reason);
                    Verdict::Remove
                }
            }
        })
    }

    fn note(&mut self, topic: String, proposal_value: Option<String>, reason: String) {
        if self.deviations.len() < MOST_DIFFERENCES {
            self.deviations.push(Deviation { topic, case_id: None, case_value: None, proposal_value, reason });
        }
    }
}
