//! The outputs of finished steps, and the design that they make together.

use domain::Personal;
use domain::project::Open;
use domain::proposal::{FailureClass, Generation, Language, ProposalType, Stage, StepOutput};
use engineering::{Assumption, CostEstimate, DesignBasis, Facts, Figure, Plant, TraceEntry, TrainComparison, Warning};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::failure::StepFailure;

/// The version of all outputs' shapes. A change that old outputs do not fit is a new number.
const SCHEMA: u32 = 1;

/// What the engineering steps found.
#[derive(Debug, Clone)]
pub(crate) struct Design {
    pub(crate) basis: DesignBasis,
    pub(crate) comparison: TrainComparison,
    pub(crate) plant: Plant,
    pub(crate) costs: CostEstimate,
}

impl Design {
    /// The design as the finished steps left it.
    pub(crate) fn of(generation: &Generation) -> Result<Self, StepFailure> {
        Ok(Self {
            basis: stored(generation, Stage::Basis)?,
            comparison: stored(generation, Stage::Trains)?,
            plant: stored(generation, Stage::Sizing)?,
            costs: stored(generation, Stage::Costs)?,
        })
    }

    /// Every assumption, each name and text once.
    pub(crate) fn assumptions(&self) -> Vec<&Assumption> {
        let mut found: Vec<&Assumption> = Vec::new();
        for assumption in
            [&self.basis.assumptions, &self.plant.assumptions, &self.costs.assumptions].into_iter().flatten()
        {
            if !found.iter().any(|other| other.name == assumption.name || other.text == assumption.text) {
                found.push(assumption);
            }
        }
        found
    }

    /// Every warning once.
    pub(crate) fn warnings(&self) -> Vec<&Warning> {
        let mut found: Vec<&Warning> = Vec::new();
        let all = [&self.basis.warnings, &self.comparison.warnings, &self.plant.warnings, &self.costs.warnings];
        for warning in all.into_iter().flatten() {
            if !found.contains(&warning) {
                found.push(warning);
            }
        }
        found
    }

    /// The calculations, in the order of the steps.
    pub(crate) fn traces(&self) -> [&[TraceEntry]; 4] {
        [&self.basis.trace, &self.comparison.trace, &self.plant.trace, &self.costs.trace]
    }

    /// Numbers that a text may state.
    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figure> {
        [&self.basis.figures, &self.comparison.figures, &self.plant.figures, &self.costs.figures].into_iter().flatten()
    }
}

/// What engineering must know beside the sheet.
pub(crate) fn facts(generation: &Generation, project: &Open) -> Facts {
    Facts {
        sector: project.header.sector.clone(),
        subsector: project.header.subsector.clone(),
        location: project.header.location.known().cloned().unwrap_or_default(),
        proposal_type: match generation.request.proposal_type {
            ProposalType::Conceptual => engineering::ProposalType::Conceptual,
            ProposalType::Technical => engineering::ProposalType::Technical,
            ProposalType::Detailed => engineering::ProposalType::Detailed,
        },
        language: match generation.request.language {
            Language::En => engineering::Language::En,
            Language::Es => engineering::Language::Es,
        },
    }
}

/// The result of a step as its event holds it.
pub(crate) fn output(result: &impl Serialize) -> Result<StepOutput, StepFailure> {
    let document = serde_json::to_value(result).map_err(|error| misfit("the result of a step", &error))?;
    let sha256 = hex::encode(Sha256::digest(document.to_string()));
    Ok(StepOutput { schema: SCHEMA, document: Personal::new(document), sha256 })
}

/// The result of a finished step. One that is missing, erased or of another shape cannot be worked on.
pub(crate) fn stored<T: DeserializeOwned>(generation: &Generation, stage: Stage) -> Result<T, StepFailure> {
    let defect = || StepFailure::new(FailureClass::Defect);
    let output = generation.outputs.get(&stage).filter(|output| output.schema == SCHEMA).ok_or_else(defect)?;
    let document = output.document.known().ok_or_else(defect)?;
    T::deserialize(document).map_err(|error| misfit(stage.as_str(), &error))
}

/// Only the kind of the error is logged: its text may repeat what people wrote.
fn misfit(what: &str, error: &serde_json::Error) -> StepFailure {
    tracing::error!(generation.step = what, error.kind = ?error.classify(), "a step's output does not have its shape");
    StepFailure::new(FailureClass::Defect)
}
