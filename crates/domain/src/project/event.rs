//! What has happened to a project. A variant is never renamed, removed or given another meaning.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DetailChange, Header, Status};
use crate::data::{Completeness, DataDiff};
use crate::proposal::{FailureCode, ProposalType};
use crate::{AccountId, ProposalId};

/// The course of typing that an edit of the technical sheet belongs to. The timeline shows one entry for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Editing {
    /// The identity of the entry.
    pub id: Uuid,
    /// Who types.
    pub by: AccountId,
    /// When the first edit came.
    pub began_at: DateTime<Utc>,
    /// When this edit came.
    pub at: DateTime<Utc>,
}

/// How a generation ended, as far as the project is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum GenerationOutcome {
    /// There is a proposal.
    Completed {
        /// Its version, such as `v1.0`.
        version: String,
    },
    /// There is none, for a reason.
    Failed {
        /// The reason.
        code: FailureCode,
    },
    /// There is none, since somebody no longer wanted it.
    Cancelled,
}

/// What has happened to a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ProjectEvent {
    /// Somebody opened a project.
    ProjectCreated {
        /// Whose it is.
        owner: AccountId,
        /// Its header.
        #[serde(flatten)]
        header: Header,
    },
    /// Fields of the header were changed.
    ProjectDetailsChanged {
        /// Each with its old and its new value.
        changes: Vec<DetailChange>,
    },
    /// Somebody set the status.
    ProjectStatusSet {
        /// The status before.
        old: Status,
        /// The status now.
        new: Status,
    },
    /// The status followed a generation.
    ProjectStatusMoved {
        /// The status before.
        old: Status,
        /// The status now.
        new: Status,
    },
    /// The technical sheet was changed in places.
    ProjectDataChanged {
        /// The course of typing.
        editing: Editing,
        /// How much of the sheet is filled now.
        completeness: Completeness,
        /// The places.
        #[serde(flatten)]
        diff: DataDiff,
    },
    /// The technical sheet was replaced as a whole; the difference is what that changed.
    ProjectDataReplaced {
        /// The course of typing.
        editing: Editing,
        /// How much of the sheet is filled now.
        completeness: Completeness,
        /// The places.
        #[serde(flatten)]
        diff: DataDiff,
    },
    /// The project was deleted with everything in it.
    ProjectDeleted,
    /// A generation was taken on.
    GenerationAccepted {
        /// The proposal it will make.
        proposal: ProposalId,
        /// The depth asked for.
        proposal_type: ProposalType,
    },
    /// The generation ended.
    GenerationEnded {
        /// The proposal it was to make.
        proposal: ProposalId,
        /// How.
        outcome: GenerationOutcome,
    },
    /// A proposal was deleted.
    ProposalDeleted {
        /// Which.
        proposal: ProposalId,
    },
}

impl DomainEvent for ProjectEvent {
    fn event_type(&self) -> String {
        match self {
            Self::ProjectCreated { .. } => "project-created",
            Self::ProjectDetailsChanged { .. } => "project-details-changed",
            Self::ProjectStatusSet { .. } => "project-status-set",
            Self::ProjectStatusMoved { .. } => "project-status-moved",
            Self::ProjectDataChanged { .. } => "project-data-changed",
            Self::ProjectDataReplaced { .. } => "project-data-replaced",
            Self::ProjectDeleted => "project-deleted",
            Self::GenerationAccepted { .. } => "generation-accepted",
            Self::GenerationEnded { .. } => "generation-ended",
            Self::ProposalDeleted { .. } => "proposal-deleted",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
