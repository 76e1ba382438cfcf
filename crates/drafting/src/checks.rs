//! The checks step: the calculations against themselves, and the text against the calculations.

use domain::document::Deviation;
use domain::proposal::{FailureClass, Stage};
use engineering::{Check, CheckStatus, ProcessId, UnknownProcess};
use serde::{Deserialize, Serialize};

use crate::StepInput;
use crate::design::{Design, facts, stored};
use crate::failure::StepFailure;
use crate::narrative::Narrative;
use crate::narrative::answer::{Answer, TrainWish};
use crate::narrative::evidence::Evidence;
use crate::narrative::revision::mended;
use crate::narrative::story::Story;

/// Checks of engineering without which a proposal would contradict itself: sums, removals, and the list of parameters.
const INDISPENSABLE: &[&str] = &["C03", "C04", "C05", "C09"];

/// The output of the checks step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checked {
    pub(crate) checks: Vec<Check>,
    /// The text in which every statement agrees with the calculations.
    pub(crate) answer: Answer,
    pub(crate) deviations: Vec<Deviation>,
}

pub(crate) fn run(design: &Design, input: &StepInput<'_>) -> Result<Checked, StepFailure> {
    let narrative: Narrative = stored(input.generation, Stage::Narrative)?;
    let mut checks = engineering::check::run(&design.basis, &design.comparison, &design.plant, &design.costs);
    let broken = |check: &&Check| check.status == CheckStatus::Failed && INDISPENSABLE.contains(&check.id.as_str());
    if let Some(check) = checks.iter().find(broken) {
        tracing::error!(proposal.id = %input.proposal, check.id = %check.id, "the design contradicts itself");
        return Err(StepFailure::new(FailureClass::InvalidOutput));
    }
    let story = Story { design, language: input.generation.request.language };
    let (answer, mut deviations) = mended(&narrative.answer, &Evidence::of(design), &story);
    checks.retain(|check| check.id != "C12");
    let numbers = deviations.iter().filter(|deviation| deviation.topic.ends_with("number")).count();
    let citations = deviations.iter().filter(|deviation| deviation.topic.ends_with("citation")).count();
    checks.push(text_check("C12", "Numbers in the text equal calculated ones", numbers, "statement with a number"));
    checks.push(text_check(
        "text-citations",
        "Cited regulations and cases are in the catalogue",
        citations,
        "citation",
    ));
    deviations.extend(answer.train_wish.as_ref().map(|wish| argued_for(wish, design, input)));
    Ok(Checked { checks, answer, deviations })
}

/// The train that the model argues for, judged by the same calculation as all others.
fn argued_for(wish: &TrainWish, design: &Design, input: &StepInput<'_>) -> Deviation {
    let units: Result<Vec<ProcessId>, _> = wish.technologies.iter().map(|technology| technology.parse()).collect();
    let chosen = &design.comparison.chosen;
    let verdict = match units {
        Err(UnknownProcess) => {
            "It names a technology that the catalogue does not have, so it was not calculated.".to_owned()
        }
        Ok(units) => {
            let facts = facts(input.generation, input.project);
            let compared = engineering::train::compare(&design.basis, &facts, Some(&units)).ok();
            let candidates = compared.map(|comparison| comparison.candidates).unwrap_or_default();
            let score = |wished: bool| {
                let found = candidates
                    .iter()
                    .find(|one| if wished { one.train.wished } else { one.train.units == chosen.units });
                found.map(|candidate| f64::from(candidate.score))
            };
            match (score(true), score(false)) {
                (Some(wished), Some(ours)) => {
                    format!("By the same calculation it scores {wished:.2} against {ours:.2}.")
                }
                (Some(_) | None, Some(_) | None) => "It cannot be built for this water as it is named.".to_owned(),
            }
        }
    };
    Deviation {
        topic: "Another train argued for by the language model".to_owned(),
        case_id: None,
        case_value: Some(wish.technologies.join(" + ")),
        proposal_value: Some(chosen.name.clone()),
        reason: format!("{} {verdict}", wish.argument),
    }
}

fn text_check(id: &str, title: &str, changed: usize, what: &str) -> Check {
    let (status, message) = match changed {
        0 => (CheckStatus::Passed, "Every one agrees.".to_owned()),
        1 => (CheckStatus::Warning, format!("1 {what} did not agree and was replaced or removed.")),
        _ => (CheckStatus::Warning, format!("{changed} {what}s did not agree and were replaced or removed.")),
    };
    let message = message.replace("statement with a numbers", "statements with numbers");
    Check { id: id.to_owned(), title: title.to_owned(), status, expected: None, actual: None, message }
}
