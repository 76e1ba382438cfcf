//! What has happened to a proposal and to the generation that makes it. A variant is never renamed, removed or given
//! another meaning.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FailureCode, Language, ProposalType, Stage};
use crate::document::{ProposalDocument, Warning};
use crate::{AccountId, Personal, ProjectId};

/// What a generation was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The project.
    pub project: ProjectId,
    /// Who asked.
    pub owner: AccountId,
    /// The version of the project's stream whose data is used, so that a replay reads the same.
    pub project_version: u64,
    /// The depth asked for.
    pub proposal_type: ProposalType,
    /// The language of the prose.
    pub language: Language,
    /// What the person would like.
    pub preferences: Personal<Value>,
    /// More facts for the model.
    pub parameters: Personal<Value>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it ends at the latest, if need be without a proposal.
    pub deadline_at: DateTime<Utc>,
    /// What was noticed about the sheet at the request.
    pub warnings: Vec<Warning>,
}

/// The output of a finished step. It may hold what people wrote, so all of it is personal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOutput {
    /// The version of the document's shape.
    pub schema: u32,
    /// The document; `drafting` and `engineering` know its shape.
    pub document: Personal<Value>,
    /// SHA-256 of the document's compact JSON in hexadecimal: it stays comparable after an erasure.
    pub sha256: String,
}

/// What calls to a language model used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The model, `templates` if none was asked.
    pub model: String,
    /// Number of calls.
    pub requests: u32,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Estimated price in US dollars.
    pub cost_estimate_usd: f64,
    /// Seconds spent waiting for answers.
    pub seconds: f64,
}

/// Why a step failed, for deciding whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words are those of the design")]
pub enum FailureClass {
    RateLimit,
    Overload,
    Timeout,
    Connection,
    Refusal,
    Length,
    CutOff,
    InvalidOutput,
    Quota,
    Auth,
    BadRequest,
    InputUnusable,
    Defect,
}

impl FailureClass {
    /// The stored word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "rate-limit",
            Self::Overload => "overload",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Refusal => "refusal",
            Self::Length => "length",
            Self::CutOff => "cut-off",
            Self::InvalidOutput => "invalid-output",
            Self::Quota => "quota",
            Self::Auth => "auth",
            Self::BadRequest => "bad-request",
            Self::InputUnusable => "input-unusable",
            Self::Defect => "defect",
        }
    }
}

/// What has happened to a proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ProposalEvent {
    /// Somebody asked for a proposal.
    GenerationRequested(Box<Request>),
    /// A worker took the job.
    GenerationStarted,
    /// A step begins.
    StageReached {
        /// The step.
        stage: Stage,
        /// Which attempt at it, from 1.
        attempt: u32,
    },
    /// A step has its output and never runs again.
    StepSucceeded {
        /// The step.
        stage: Stage,
        /// The attempt that succeeded.
        attempt: u32,
        /// What came of it.
        output: StepOutput,
        /// What it used of a language model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// How long it took in milliseconds.
        elapsed_ms: u64,
    },
    /// A step failed.
    StepFailed {
        /// The step.
        stage: Stage,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        class: FailureClass,
        /// When it is tried again; absent if it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<DateTime<Utc>>,
        /// What it used of a language model all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
    },
    /// An attempt answered after another one had taken its place.
    LateResultDiscarded {
        /// The step.
        stage: Stage,
        /// The attempt that came late.
        attempt: u32,
    },
    /// The proposal exists.
    ProposalGenerated {
        /// Its version.
        version: String,
        /// Its title.
        title: String,
        /// Capital cost in US dollars.
        capex_usd: f64,
        /// Yearly cost of operation in US dollars.
        opex_usd: f64,
        /// The technologies, in the order of the train.
        key_technologies: Vec<String>,
        /// From the request to the proposal, in seconds.
        generation_time_seconds: f64,
        /// The whole proposal. Its prose may repeat what people wrote, so it is personal.
        document: Personal<Box<ProposalDocument>>,
    },
    /// The generation ended well.
    GenerationCompleted,
    /// The generation ended without a proposal.
    GenerationFailed {
        /// Why.
        code: FailureCode,
        /// What to look at.
        warnings: Vec<Warning>,
    },
    /// Somebody no longer wants the proposal.
    CancellationRequested,
    /// The generation ended since nobody wanted it any more.
    GenerationCancelled,
}

impl DomainEvent for ProposalEvent {
    fn event_type(&self) -> String {
        match self {
            Self::GenerationRequested(_) => "generation-requested",
            Self::GenerationStarted => "generation-started",
            Self::StageReached { .. } => "stage-reached",
            Self::StepSucceeded { .. } => "step-succeeded",
            Self::StepFailed { .. } => "step-failed",
            Self::LateResultDiscarded { .. } => "late-result-discarded",
            Self::ProposalGenerated { .. } => "proposal-generated",
            Self::GenerationCompleted => "generation-completed",
            Self::GenerationFailed { .. } => "generation-failed",
            Self::CancellationRequested => "cancellation-requested",
            Self::GenerationCancelled => "generation-cancelled",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
