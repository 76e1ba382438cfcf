//! From a data sheet to a proposal, step by step.
//!
//! A [`Drafter`] runs one step at a time: what it needs are the request and the outputs of the steps before, and what
//! comes of it is stored as an event, so that a step that has an output never runs again. Numbers come from
//! `engineering` alone. The text comes from a language model or from templates, is compared with the numbers, and is
//! corrected where it says something else.

mod breaker;
mod checks;
mod design;
mod failure;
mod model;
mod narrative;
mod prose;
mod publication;
mod settings;
mod warnings;

use chrono::{DateTime, Utc};
use domain::document::Warning;
use domain::project::Open;
use domain::proposal::{FailureClass, Generation, Publication, Stage, StepOutput, Usage};
use domain::{Clock, ProposalId};
use engineering::{DesignBasis, Plant, TrainComparison, Unusable};
use tokio_util::sync::CancellationToken;

pub use breaker::BreakerState;
pub use failure::{Reaction, StepFailure};
pub use model::ModelCheck;
pub use settings::{ModelSettings, Price, Secret, Settings, SettingsError};

use design::{Design, facts, output, stored};
use model::Model;

/// Who writes the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// Templates of our own.
    Offline,
    /// A language model behind an OpenAI-compatible interface.
    OpenAi {
        /// Its name.
        model: String,
    },
}

/// What a step works on.
#[derive(Debug, Clone, Copy)]
pub struct StepInput<'a> {
    /// The request, and the outputs so far.
    pub generation: &'a Generation,
    /// The project as it was at the request.
    pub project: &'a Open,
    /// The proposal that is being made.
    pub proposal: ProposalId,
    /// The ledger position of the last event at which the project was read.
    pub inputs_position: u64,
    /// Which attempt at the step this is, from 1.
    pub attempt: u32,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepResult {
    /// Its output.
    pub output: StepOutput,
    /// What it used of a language model; the narrative step alone says so.
    pub usage: Option<Usage>,
}

/// Makes proposals.
pub struct Drafter {
    model: Option<Model>,
}

impl Drafter {
    /// A drafter with these settings.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] if the settings of the language model cannot work.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, SettingsError> {
        let model = settings.model.map(|settings| Model::new(settings, clock)).transpose()?;
        Ok(Self { model })
    }

    /// Who writes the text.
    #[must_use]
    pub fn provider(&self) -> Provider {
        match &self.model {
            None => Provider::Offline,
            Some(model) => Provider::OpenAi { model: model.name().to_owned() },
        }
    }

    /// Asks the provider whether it knows the model, within five seconds. Templates are always there.
    pub async fn check_model(&self) -> ModelCheck {
        match &self.model {
            None => ModelCheck::Found,
            Some(model) => model.check().await,
        }
    }

    /// Whether calls of the language model go through at the moment.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.model.as_ref().map_or(BreakerState::Closed, Model::breaker)
    }

    /// Runs one step, from [`Stage::Sheet`] to [`Stage::Checks`].
    ///
    /// # Errors
    ///
    /// [`StepFailure`], with its class; [`StepFailure::reaction`] says what to do. A step that `cancel` stopped fails,
    /// too: look at the token first.
    pub async fn run(
        &self,
        stage: Stage,
        input: StepInput<'_>,
        cancel: &CancellationToken,
    ) -> Result<StepResult, StepFailure> {
        if cancel.is_cancelled() {
            return Err(StepFailure::new(FailureClass::Timeout));
        }
        let StepInput { generation, project, .. } = input;
        let output = match stage {
            Stage::Sheet => output(&engineering::sheet::read(&project.data, &project.touched))?,
            Stage::Basis => {
                let sheet = stored(generation, Stage::Sheet)?;
                output(&engineering::basis::derive(&sheet, &facts(generation, project)).map_err(unusable)?)?
            }
            Stage::Trains => {
                let basis: DesignBasis = stored(generation, Stage::Basis)?;
                output(&engineering::train::compare(&basis, &facts(generation, project), None).map_err(unusable)?)?
            }
            Stage::Sizing => {
                let basis: DesignBasis = stored(generation, Stage::Basis)?;
                let comparison: TrainComparison = stored(generation, Stage::Trains)?;
                output(&engineering::sizing::size(&basis, &comparison.chosen))?
            }
            Stage::Costs => {
                let basis: DesignBasis = stored(generation, Stage::Basis)?;
                let plant: Plant = stored(generation, Stage::Sizing)?;
                output(&engineering::cost::estimate(&basis, &facts(generation, project), &plant))?
            }
            Stage::Narrative => {
                let design = Design::of(generation)?;
                let (narrative, usage) = narrative::write(self.model.as_ref(), &design, &input, cancel).await?;
                return Ok(StepResult { output: output(&narrative)?, usage: Some(usage) });
            }
            Stage::Checks => output(&checks::run(&Design::of(generation)?, &input)?)?,
            // Saving is a command, not a step with an output: see `publication`.
            Stage::Publish => return Err(StepFailure::new(FailureClass::Defect)),
        };
        Ok(StepResult { output, usage: None })
    }

    /// The whole proposal, after [`Stage::Checks`].
    ///
    /// # Errors
    ///
    /// [`StepFailure`] of class defect if a stored output is missing, was erased, or does not fit.
    pub fn publication(
        &self,
        input: StepInput<'_>,
        version: String,
        now: DateTime<Utc>,
    ) -> Result<Publication, StepFailure> {
        publication::of(&input, version, now)
    }

    /// What is noticed about a project's sheet at the request. Nothing of it prevents a generation.
    #[must_use]
    pub fn request_warnings(&self, project: &Open) -> Vec<Warning> {
        warnings::of_request(project, self.model.is_none())
    }
}

fn unusable(unusable: Unusable) -> StepFailure {
    let warnings = unusable.findings.iter().map(warnings::of_engineering).collect();
    StepFailure { warnings, ..StepFailure::new(FailureClass::InputUnusable) }
}

/// `value` to so many significant digits; what is no number becomes zero, since JSON has none for it.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    if !value.is_finite() || value == 0.0 {
        return 0.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm of an f64 is below 400")]
    let places = digits - 1 - value.abs().log10().floor() as i32;
    let text = if places >= 0 {
        format!("{value:.*}", usize::try_from(places).unwrap_or_default())
    } else {
        let factor = 10_f64.powi(-places);
        format!("{}", (value / factor).round() * factor)
    };
    text.parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn numbers_keep_their_significant_digits() {
        for (value, result) in
            [(1_234.567_89, 1_234.57), (0.000_123_456_78, 0.000_123_457), (1_234_567.0, 1_234_570.0), (-2.0, -2.0)]
        {
            assert!((rounded(value, 6) - result).abs() < 1e-12, "{value}");
        }
        for nothing in [0.0, f64::NAN, f64::INFINITY] {
            assert!(rounded(nothing, 3).abs() < f64::EPSILON);
        }
    }
}
