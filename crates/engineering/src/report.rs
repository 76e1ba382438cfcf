//! What all steps together have to say: assumptions, figures, warnings and traces, each once.

use crate::basis::{Assumption, DesignBasis, dedupe};
use crate::cost::CostEstimate;
use crate::note::{Figure, TraceEntry, Warning};
use crate::sizing::Plant;
use crate::train::TrainComparison;

/// Every assumption of the design; each name and each text once, at least one.
#[must_use]
pub fn assumptions(basis: &DesignBasis, plant: &Plant, estimate: &CostEstimate) -> Vec<Assumption> {
    let mut all: Vec<Assumption> =
        [&basis.assumptions, &plant.assumptions, &estimate.assumptions].into_iter().flatten().cloned().collect();
    dedupe(&mut all);
    all
}

/// Every number the narrative may state.
#[must_use]
pub fn figures(basis: &DesignBasis, trains: &TrainComparison, plant: &Plant, estimate: &CostEstimate) -> Vec<Figure> {
    [&basis.figures, &trains.figures, &plant.figures, &estimate.figures].into_iter().flatten().cloned().collect()
}

/// Every warning, each once.
#[must_use]
pub fn warnings(basis: &DesignBasis, trains: &TrainComparison, plant: &Plant, estimate: &CostEstimate) -> Vec<Warning> {
    let mut all: Vec<Warning> = Vec::new();
    for warning in [&basis.warnings, &trains.warnings, &plant.warnings, &estimate.warnings].into_iter().flatten() {
        if !all.contains(warning) {
            all.push(warning.clone());
        }
    }
    all
}

/// Every calculation, in the order of the steps.
#[must_use]
pub fn trace(basis: &DesignBasis, trains: &TrainComparison, plant: &Plant, estimate: &CostEstimate) -> Vec<TraceEntry> {
    [&basis.trace, &trains.trace, &plant.trace, &estimate.trace].into_iter().flatten().cloned().collect()
}
