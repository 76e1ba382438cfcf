//! The proposal: the generation process, step by step, and what comes of it.

mod event;
mod stage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use event::{FailureClass, ProposalEvent, Request, StepOutput, Usage};
pub use stage::{FailureCode, Stage};

use crate::document::{ProposalDocument, Warning};
use crate::{AccountId, Personal};

/// The depth of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProposalType {
    /// A first idea.
    Conceptual,
    /// Sized and priced.
    Technical,
    /// In full detail.
    Detailed,
}

impl ProposalType {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conceptual => "Conceptual",
            Self::Technical => "Technical",
            Self::Detailed => "Detailed",
        }
    }

    /// The type with this word, in whatever case.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Conceptual, Self::Technical, Self::Detailed]
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(word))
    }
}

/// The language of the prose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
}

/// What somebody wants done to a proposal.
#[derive(Debug, Clone, PartialEq)]
pub enum ProposalCommand {
    /// Ask for it.
    Request(Box<Request>),
    /// Begin a step, or begin it again. Starts the generation if it has not started yet.
    BeginStep {
        /// The step.
        stage: Stage,
    },
    /// Hand in the output of a step.
    FinishStep {
        /// The step.
        stage: Stage,
        /// The attempt that has it.
        attempt: u32,
        /// What came of it.
        output: StepOutput,
        /// What it used of a language model.
        usage: Option<Usage>,
        /// How long it took in milliseconds.
        elapsed_ms: u64,
    },
    /// Note that a step failed and will be tried again.
    FailStep {
        /// The step.
        stage: Stage,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        class: FailureClass,
        /// When it is tried again; `None` if it is not.
        retry_at: Option<DateTime<Utc>>,
        /// What it used of a language model all the same.
        usage: Option<Usage>,
    },
    /// Save the proposal.
    Publish(Box<Publication>),
    /// End the generation without a proposal.
    Fail {
        /// Why.
        code: FailureCode,
        /// What to look at.
        warnings: Vec<Warning>,
    },
    /// No longer want it. Ends a generation that no worker has begun; else it asks the worker to end it.
    Cancel,
    /// End a running generation that was cancelled.
    ConfirmCancellation,
}

/// All of a proposal that its saving adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// Its version.
    pub version: String,
    /// Its title.
    pub title: String,
    /// From the request to the proposal, in seconds.
    pub generation_time_seconds: f64,
    /// The technologies, in the order of the train.
    pub key_technologies: Vec<String>,
    /// The whole proposal.
    pub document: ProposalDocument,
}

/// Why a proposal command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposalRefusal {
    /// There is no such generation.
    #[error("there is no such generation")]
    NotFound,
    /// The generation exists already.
    #[error("the generation exists already")]
    AlreadyRequested,
    /// The generation has ended.
    #[error("the generation has ended")]
    AlreadyFinished,
    /// The generation was cancelled and goes no further.
    #[error("the generation was cancelled")]
    CancellationPending,
    /// A step was begun or finished out of its turn.
    #[error("the step is not the next one")]
    OutOfTurn,
}

/// Where a generation is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// No worker has begun.
    Queued,
    /// A worker has begun.
    Running,
    /// There is a proposal.
    Completed,
    /// There is none, for a reason.
    Failed(FailureCode),
    /// There is none, since nobody wanted it any more.
    Cancelled,
}

impl Phase {
    /// Whether the generation goes on.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// What a proposal must remember to decide its next command.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The number of its last event.
    pub version: u64,
    /// The generation, once it was asked for.
    pub generation: Option<Box<Generation>>,
}

/// A generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    /// What was asked for.
    pub request: Request,
    /// Where it is in its life.
    pub phase: Phase,
    /// The step begun last.
    pub stage: Option<Stage>,
    /// The attempt at that step.
    pub attempt: u32,
    /// When a failed step is tried again.
    pub retry_at: Option<DateTime<Utc>>,
    /// How often the present step has failed.
    pub failures: u32,
    /// Outputs of the finished steps.
    pub outputs: BTreeMap<Stage, StepOutput>,
    /// What all steps used of a language model.
    pub usage: Usage,
    /// Whether somebody no longer wants it.
    pub cancellation_requested: bool,
}

impl Generation {
    /// The step to do next: the first without an output.
    #[must_use]
    pub fn next_step(&self) -> Stage {
        Stage::ALL.into_iter().find(|stage| !self.outputs.contains_key(stage)).unwrap_or(Stage::Publish)
    }

    fn decide(&self, command: ProposalCommand) -> Result<Vec<ProposalEvent>, ProposalRefusal> {
        use ProposalCommand as C;
        use ProposalEvent as E;
        if let C::Request(_) = command {
            return Err(ProposalRefusal::AlreadyRequested);
        }
        if let C::Cancel = command {
            return match self.phase {
                Phase::Queued => Ok(vec![E::CancellationRequested, E::GenerationCancelled]),
                Phase::Running if self.cancellation_requested => Ok(vec![]),
                Phase::Running => Ok(vec![E::CancellationRequested]),
                Phase::Cancelled => Ok(vec![]),
                Phase::Completed | Phase::Failed(_) => Err(ProposalRefusal::AlreadyFinished),
            };
        }
        if !self.phase.is_active() {
            return match command {
                C::FinishStep { stage, attempt, .. } | C::FailStep { stage, attempt, .. } => {
                    Ok(vec![E::LateResultDiscarded { stage, attempt }])
                }
                _ => Err(ProposalRefusal::AlreadyFinished),
            };
        }
        match command {
            C::Request(_) | C::Cancel => Ok(vec![]), // Decided above.
            C::BeginStep { .. } if self.cancellation_requested => Err(ProposalRefusal::CancellationPending),
            C::BeginStep { stage } if stage != self.next_step() => Err(ProposalRefusal::OutOfTurn),
            C::BeginStep { stage } => {
                let attempt = if self.stage == Some(stage) { self.attempt + 1 } else { 1 };
                let reached = E::StageReached { stage, attempt };
                Ok(match self.phase {
                    Phase::Queued => vec![E::GenerationStarted, reached],
                    Phase::Running | Phase::Completed | Phase::Failed(_) | Phase::Cancelled => vec![reached],
                })
            }
            C::FinishStep { stage, attempt, .. } | C::FailStep { stage, attempt, .. }
                if self.stage != Some(stage) || self.attempt != attempt || self.outputs.contains_key(&stage) =>
            {
                Ok(vec![E::LateResultDiscarded { stage, attempt }])
            }
            C::FinishStep { stage, attempt, output, usage, elapsed_ms } => {
                Ok(vec![E::StepSucceeded { stage, attempt, output, usage, elapsed_ms }])
            }
            C::FailStep { stage, attempt, class, retry_at, usage } => {
                Ok(vec![E::StepFailed { stage, attempt, class, retry_at, usage }])
            }
            C::Publish(_) if self.cancellation_requested => Err(ProposalRefusal::CancellationPending),
            C::Publish(_) if self.next_step() != Stage::Publish => Err(ProposalRefusal::OutOfTurn),
            C::Publish(publication) => Ok(publication.into_events()),
            C::Fail { code, warnings } => Ok(vec![E::GenerationFailed { code, warnings }]),
            C::ConfirmCancellation if self.cancellation_requested => Ok(vec![E::GenerationCancelled]),
            C::ConfirmCancellation => Err(ProposalRefusal::OutOfTurn),
        }
    }

    fn note(&mut self, event: ProposalEvent) {
        use ProposalEvent as E;
        match event {
            E::GenerationStarted => self.phase = Phase::Running,
            E::StageReached { stage, attempt } => {
                if self.stage != Some(stage) {
                    self.failures = 0;
                }
                (self.stage, self.attempt, self.retry_at) = (Some(stage), attempt, None);
            }
            E::StepSucceeded { stage, output, usage, .. } => {
                self.outputs.insert(stage, output);
                if let Some(used) = usage {
                    self.usage.add(&used);
                }
            }
            E::StepFailed { retry_at, usage, .. } => {
                self.failures += 1;
                self.retry_at = retry_at;
                if let Some(used) = usage {
                    self.usage.add(&used);
                }
            }
            E::GenerationCompleted => self.phase = Phase::Completed,
            E::GenerationFailed { code, .. } => self.phase = Phase::Failed(code),
            E::CancellationRequested => self.cancellation_requested = true,
            E::GenerationCancelled => self.phase = Phase::Cancelled,
            // The result is for projections; the process needs only to know that it has ended.
            E::ProposalGenerated { .. } | E::LateResultDiscarded { .. } | E::GenerationRequested(_) => (),
        }
    }
}

impl Publication {
    fn into_events(self) -> Vec<ProposalEvent> {
        let Self { version, title, generation_time_seconds, key_technologies, document } = self;
        vec![
            ProposalEvent::ProposalGenerated {
                version,
                title,
                capex_usd: document.capex,
                opex_usd: document.opex,
                key_technologies,
                generation_time_seconds,
                document: Personal::new(Box::new(document)),
            },
            ProposalEvent::GenerationCompleted,
        ]
    }
}

impl Usage {
    /// Adds what another step used.
    pub fn add(&mut self, other: &Self) {
        self.model.clone_from(&other.model);
        self.requests += other.requests;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cost_estimate_usd += other.cost_estimate_usd;
        self.seconds += other.seconds;
    }
}

impl Proposal {
    /// The generation, if it was asked for.
    ///
    /// # Errors
    ///
    /// [`ProposalRefusal::NotFound`].
    pub fn requested(&self) -> Result<&Generation, ProposalRefusal> {
        self.generation.as_deref().ok_or(ProposalRefusal::NotFound)
    }

    /// The generation, if `by` asked for it.
    ///
    /// # Errors
    ///
    /// [`ProposalRefusal::NotFound`]: someone else's generation looks like none at all.
    pub fn owned_by(&self, by: AccountId) -> Result<&Generation, ProposalRefusal> {
        self.requested().ok().filter(|generation| generation.request.owner == by).ok_or(ProposalRefusal::NotFound)
    }
}

impl Aggregate for Proposal {
    const TYPE: &'static str = "proposal";
    type Command = ProposalCommand;
    type Event = ProposalEvent;
    type Error = ProposalRefusal;
    type Services = ();

    async fn handle(
        &mut self,
        command: ProposalCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), ProposalRefusal> {
        let events = match (&self.generation, command) {
            (None, ProposalCommand::Request(request)) => vec![ProposalEvent::GenerationRequested(request)],
            (None, _) => return Err(ProposalRefusal::NotFound),
            (Some(generation), command) => generation.decide(command)?,
        };
        for event in events {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: ProposalEvent) {
        self.version += 1;
        match (&mut self.generation, event) {
            (None, ProposalEvent::GenerationRequested(request)) => {
                self.generation = Some(Box::new(Generation {
                    request: *request,
                    phase: Phase::Queued,
                    stage: None,
                    attempt: 0,
                    retry_at: None,
                    failures: 0,
                    outputs: BTreeMap::new(),
                    usage: Usage::default(),
                    cancellation_requested: false,
                }));
            }
            (Some(generation), event) => generation.note(event),
            // History is never refused: what befell a proposal that nobody asked for changes nothing.
            (None, _) => (),
        }
    }
}
