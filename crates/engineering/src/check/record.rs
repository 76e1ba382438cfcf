//! Checks of what is said about the design: assumptions, traces, the choice.

use super::{Check, CheckStatus, check};
use crate::basis::DesignBasis;
use crate::cost::CostEstimate;
use crate::sizing::Plant;
use crate::train::TrainComparison;
use std::collections::BTreeSet;

pub(super) fn assumptions(basis: &DesignBasis, plant: &Plant, estimate: &CostEstimate) -> Check {
    let all = crate::report::assumptions(basis, plant, estimate);
    let named: BTreeSet<&str> = all.iter().map(|assumption| assumption.name.as_str()).collect();
    let missing =
        basis.influent.iter().find(|influent| !influent.origin.is_given() && !named.contains(influent.name.as_str()));
    let fine = missing.is_none() && !all.is_empty() && named.len() == all.len();
    let actual = missing
        .map_or_else(|| format!("{} assumptions", all.len()), |influent| format!("{} is not named", influent.name));
    check("C26", "Every assumed value is named", fine, CheckStatus::Failed, "each once".to_owned(), actual)
}

pub(super) fn traces(basis: &DesignBasis, trains: &TrainComparison, plant: &Plant, estimate: &CostEstimate) -> Check {
    let all = crate::report::trace(basis, trains, plant, estimate);
    let bare = all.iter().find(|entry| entry.formula.is_empty() || entry.source.is_empty() || entry.outputs.is_empty());
    let dressed = all.iter().find(|entry| entry.verified != entry.mark.verified());
    let actual = bare.or(dressed).map_or_else(|| format!("{} entries", all.len()), |entry| entry.tool.clone());
    check(
        "C27",
        "Every calculation has formula, inputs and source",
        bare.is_none() && dressed.is_none(),
        CheckStatus::Failed,
        "complete".to_owned(),
        actual,
    )
}

pub(super) fn choice(trains: &TrainComparison) -> Check {
    let first = trains.candidates.first();
    let chosen = first.is_some_and(|candidate| candidate.train == trains.chosen);
    let names: BTreeSet<&str> = trains.rejected.iter().map(|other| other.technology.as_str()).collect();
    let explained = trains.candidates.iter().skip(1).all(|c| names.contains(c.train.name.as_str()));
    let fine = chosen && explained && names.len() == trains.rejected.len();
    check(
        "C28",
        "The best train is chosen and the others have a reason",
        fine,
        CheckStatus::Failed,
        format!("{} reasons", trains.candidates.len().saturating_sub(1)),
        format!("{} reasons", trains.rejected.len()),
    )
}
