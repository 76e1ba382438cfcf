//! Checks a finished design against itself (section 7 of the engineering basis).

use crate::basis::DesignBasis;
use crate::cost::CostEstimate;
use crate::sizing::Plant;
use crate::train::TrainComparison;
use serde::{Deserialize, Serialize};
/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As it should be.
    Passed,
    /// Wrong: the proposal must not be published like this, or says so.
    Failed,
    /// Unusual: the reader must know.
    Warning,
    /// It does not apply.
    Skipped,
}
/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The code of the basis, for example `C04`; unique.
    pub id: String,
    /// What is checked.
    pub title: String,
    /// How it ended.
    pub status: CheckStatus,
    /// What was expected.
    pub expected: Option<String>,
    /// What was found.
    pub actual: Option<String>,
    /// In words.
    pub message: String,
}
use crate::limits::Receiver;
use crate::note::shown;
use crate::parameter::Parameter;
use crate::process::ProcessId;
use crate::sizing::Destination;
use std::collections::BTreeSet;
use units::Money;
/// Runs every check that applies to the calculated design; those of the text (C11, C12) are the drafter's.
#[must_use]
pub fn run(basis: &DesignBasis, trains: &TrainComparison, plant: &Plant, estimate: &CostEstimate) -> Vec<Check> {
    let mut found = vec![water(basis, plant)];
    found.extend(masses(plant));
    found.extend([
        equipment_sum(plant, estimate),
        lines_sum(estimate),
        removals(plant),
        propagation(plant),
        limits(basis, plant),
        margins(basis, plant),
        each_once(basis, plant),
        catalogue(basis, plant),
        flow(basis, plant),
        criteria(plant),
        order(trains),
        sludge(plant, estimate),
        energy(plant, estimate),
        whole_plant(basis, plant, estimate),
        classes(basis, estimate),
        area(plant),
        side_streams(basis, plant),
        assumptions(basis, plant, estimate),
        traces(basis, trains, plant, estimate),
        choice(trains),
        payback(estimate),
        months(plant),
        confidence(basis),
    ]);
    found
}
/// A check that passes or has `otherwise`.
fn check(id: &str, title: &str, fine: bool, otherwise: CheckStatus, expected: String, actual: String) -> Check {
    let status = if fine { CheckStatus::Passed } else { otherwise };
    let message = match status {
        CheckStatus::Passed => format!("{title}: as expected."),
        CheckStatus::Failed | CheckStatus::Warning | CheckStatus::Skipped => {
            format!("{title}: expected {expected}, found {actual}.")
        }
    };
    Check {
        id: id.to_owned(),
        title: title.to_owned(),
        status,
        expected: Some(expected),
        actual: Some(actual),
        message,
    }
}
fn skipped(id: &str, title: &str, why: &str) -> Check {
    let (expected, actual) = (None, None);
    Check {
        id: id.to_owned(),
        title: title.to_owned(),
        status: CheckStatus::Skipped,
        expected,
        actual,
        message: why.to_owned(),
    }
}
fn close(one: f64, other: f64, tolerance: f64) -> bool {
    (one - other).abs() <= tolerance * one.abs().max(other.abs()).max(1e-9)
}
fn usd(money: Money) -> String {
    format!("{:.2} USD", money.usd())
}
