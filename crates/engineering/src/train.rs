//! Builds, evaluates and ranks candidate trains (section 5 of the engineering basis).

mod rank;
mod repair;
mod sensitivity;
mod synthesis;

use crate::basis::DesignBasis;
use crate::facts::Facts;
use crate::note::{Figure, TraceEntry, Unusable, Warning};
use crate::process::{ProcessId, Stage};
use crate::reference::ReferenceMatch;
use serde::{Deserialize, Serialize};
use units::{Area, Money, Ratio};

/// A treatment train: unit processes in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Train {
    /// What it is known by, for example `Extended aeration`; unique among candidates.
    pub name: String,
    /// The unit processes in order, each at most once.
    pub units: Vec<ProcessId>,
    /// Whether it is the user's or the model's wish.
    pub wished: bool,
}

/// A gate that added or forbade units, with the number that fired it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The code of the basis, for example `G5`.
    pub code: String,
    /// What it is about.
    pub title: String,
    /// What it did.
    pub action: String,
    /// The number that fired it.
    pub value: f64,
    /// The number it was compared with.
    pub threshold: f64,
    /// The unit of both.
    pub unit: String,
}

/// The weights of the score; shown with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// Margin to the limits.
    pub margin: Ratio,
    /// CAPEX.
    pub capex: Ratio,
    /// OPEX, as a 20-year present value.
    pub opex: Ratio,
    /// Footprint.
    pub footprint: Ratio,
    /// Operability.
    pub operability: Ratio,
}

/// A candidate, fully propagated, sized and costed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The train.
    pub train: Train,
    /// The weighted score, 0 to 1.
    pub score: Ratio,
    /// The least margin (L - C)/L over the limited parameters, typically; negative if a limit is not met.
    pub margin: f64,
    /// The same if every unit works at the low end of its range.
    pub margin_at_worst: f64,
    /// The parameter with the least margin.
    pub tightest: Option<String>,
    /// Whether every limit is met typically.
    pub complies: bool,
    /// Total CAPEX.
    pub capex: Money,
    /// OPEX per year.
    pub opex_per_year: Money,
    /// Present value of CAPEX and 20 years of OPEX at 9 %.
    pub present_value: Money,
    /// Area.
    pub area_m2: Area,
    /// Operability, 0 to 1, weighted by CAPEX.
    pub operability: Ratio,
}

/// Why an alternative was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RejectionCode {
    /// A limit is not met.
    NotCompliant,
    /// The water is outside the range of a unit.
    OutOfRange,
    /// It costs more for no gain that counts.
    Dominated,
    /// Its concentrate has nowhere to go.
    NoConcentrateRoute,
}

/// An alternative that was not chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RejectedAlternative {
    /// The technology; unique.
    pub technology: String,
    /// The stage of its core.
    pub stage: Stage,
    /// Why, as a code.
    pub code: RejectionCode,
    /// The number that decided.
    pub number: f64,
    /// What it was compared with.
    pub threshold: f64,
    /// The unit of both.
    pub unit: String,
    /// Why, as a sentence.
    pub reason: String,
}

/// What the ends of an assumed range would change for the chosen train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// The name of the assumption.
    pub assumption: String,
    /// The low end of its range.
    pub least: f64,
    /// The high end of its range.
    pub most: f64,
    /// The unit of both.
    pub unit: String,
    /// CAPEX at the low end.
    pub capex_at_least: Money,
    /// CAPEX at the high end.
    pub capex_at_most: Money,
    /// The least margin to a limit at the low end.
    pub margin_at_least: f64,
    /// The least margin to a limit at the high end.
    pub margin_at_most: f64,
}

/// The comparison of trains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainComparison {
    /// The train to build.
    pub chosen: Train,
    /// Why, as a sentence.
    pub reason: String,
    /// Every candidate, best first.
    pub candidates: Vec<Candidate>,
    /// Every alternative that was not chosen, each technology once.
    pub rejected: Vec<RejectedAlternative>,
    /// The gates that fired.
    pub gates: Vec<Gate>,
    /// The weights of the score.
    pub weights: Weights,
    /// Reference cases with a similarity of 0.5 or more, best first.
    pub reference_cases: Vec<ReferenceMatch>,
    /// What the assumptions about flow and influent mean for cost and margin.
    pub sensitivities: Vec<Sensitivity>,
    /// Numbers the narrative may state.
    pub figures: Vec<Figure>,
    /// The calculations.
    pub trace: Vec<TraceEntry>,
    /// What the reader must know.
    pub warnings: Vec<Warning>,
}

/// Compares candidate trains for the basis; `wish` is a train of the user or the model, evaluated by the same code.
///
/// # Errors
///
/// [`Unusable`] if no train at all can be built for the basis.
pub fn compare(basis: &DesignBasis, facts: &Facts, wish: Option<&[ProcessId]>) -> Result<TrainComparison, Unusable> {
    let plan = synthesis::plan(basis, wish);
    rank::choose(basis, facts, plan)
}

#[cfg(test)]
mod tests;
