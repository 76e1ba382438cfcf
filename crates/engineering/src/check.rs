//! Checks a finished design against itself (section 7 of the engineering basis).

mod design;
mod money;
mod record;

use crate::basis::DesignBasis;
use crate::cost::CostEstimate;
use crate::sizing::Plant;
use crate::train::TrainComparison;
use serde::{Deserialize, Serialize};
use units::Money;

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

/// Runs every check that applies to the calculated design; those of the text (C11, C12) are the drafter's.
#[must_use]
pub fn run(basis: &DesignBasis, trains: &TrainComparison, plant: &Plant, estimate: &CostEstimate) -> Vec<Check> {
    let mut found = vec![design::water(basis, plant)];
    found.extend(design::masses(plant));
    found.extend([
        money::equipment_sum(plant, estimate),
        money::lines_sum(estimate),
        design::removals(plant),
        design::propagation(plant),
        design::limits(basis, plant),
        design::margins(basis, plant),
        design::each_once(basis, plant),
        design::catalogue(basis, plant),
        design::flow(basis, plant),
        design::criteria(plant),
        design::order(trains),
        design::sludge(plant, estimate),
        money::specific_energy(basis, plant),
        money::energy(plant, estimate),
        money::whole_plant(basis, plant, estimate),
        money::classes(basis, estimate),
        design::area(plant),
        design::side_streams(plant),
        record::assumptions(basis, plant, estimate),
        record::traces(basis, trains, plant, estimate),
        record::choice(trains),
        money::payback(estimate),
        design::months(plant),
        design::confidence(basis),
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
