//! Proposals: a finished generation's result, and what the project says of it.

use chrono::{DateTime, Utc};
use domain::document::ProposalDocument;
use domain::project::GenerationOutcome;
use domain::proposal::ProposalType;
use domain::{AccountId, JobId, ProjectEvent, ProjectId, ProposalEvent, ProposalId, Recorded, StreamKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ReadModel;

/// What the project says of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ProposalStatus {
    Draft,
    Current,
    Archived,
}

impl ProposalStatus {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "Draft",
            Self::Current => "Current",
            Self::Archived => "Archived",
        }
    }

    /// The status with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Draft, Self::Current, Self::Archived].into_iter().find(|status| status.as_str() == word)
    }
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposalDocumentRow {
    /// Its identity.
    pub id: ProposalId,
    /// The project.
    pub project: ProjectId,
    /// Whose it is.
    pub owner: AccountId,
    /// Its depth.
    pub proposal_type: ProposalType,
    /// Its version, such as `v1.0`.
    pub version: String,
    /// Its title.
    pub title: String,
    /// What the project says of it.
    pub status: ProposalStatus,
    /// When it was saved.
    pub created_at: DateTime<Utc>,
    /// When anything of it last changed.
    pub updated_at: DateTime<Utc>,
    /// The version of the project's stream at the last event about the proposal; the first part of its `ETag`.
    pub project_version: u64,
    /// The proposal itself.
    pub document: ProposalDocument,
}

impl ProposalDocumentRow {
    /// The job that made it.
    #[must_use]
    pub fn job(&self) -> JobId {
        JobId::from(self.id)
    }
}

/// What is stored for a proposal, from the acceptance of its generation on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ProposalState {
    /// The generation goes on: nobody is shown anything.
    Awaited(AwaitedProposal),
    /// There is a proposal.
    Saved(Box<ProposalDocumentRow>),
}

/// What is known of a proposal before there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedProposal {
    /// The project.
    pub project: ProjectId,
    /// Whose it is.
    pub owner: AccountId,
    /// The depth asked for.
    pub proposal_type: ProposalType,
    /// The version of the project's stream at the last event about the proposal.
    pub project_version: u64,
}

impl ProposalState {
    /// The proposal, if there is one.
    #[must_use]
    pub fn into_saved(self) -> Option<ProposalDocumentRow> {
        match self {
            Self::Saved(proposal) => Some(*proposal),
            Self::Awaited(_) => None,
        }
    }
}

/// Folds the proposal's stream, and of the project's what is about the proposal. Both streams are written together, the
/// project's part first.
impl ReadModel for ProposalState {
    const NAME: &'static str = "proposals";
    const VERSION: i32 = 1;
    const TABLE: &'static str = "views.proposals_v1";
    const KINDS: &'static [StreamKind] = &[StreamKind::Project, StreamKind::Proposal];
    /// A proposal has some hundred kilobytes.
    const AT_ONCE: usize = 100;

    fn keys(recorded: &Recorded) -> Vec<Uuid> {
        use ProjectEvent as E;
        use ProposalEvent as P;
        if let Some((_, event)) = recorded.project() {
            return match event {
                E::GenerationAccepted { proposal, .. }
                | E::GenerationEnded { proposal, .. }
                | E::ProposalDeleted { proposal } => vec![proposal.as_uuid()],
                E::ProjectCreated { .. }
                | E::ProjectDetailsChanged { .. }
                | E::ProjectStatusSet { .. }
                | E::ProjectStatusMoved { .. }
                | E::ProjectDataChanged { .. }
                | E::ProjectDataReplaced { .. }
                | E::ProjectDeleted => vec![],
            };
        }
        match recorded.proposal() {
            Some((
                id,
                P::GenerationRequested(_)
                | P::ProposalGenerated { .. }
                | P::GenerationFailed { .. }
                | P::GenerationCancelled,
            )) => {
                vec![id.as_uuid()]
            }
            Some((
                _,
                P::GenerationStarted
                | P::StageReached { .. }
                | P::StepSucceeded { .. }
                | P::StepFailed { .. }
                | P::LateResultDiscarded { .. }
                | P::GenerationCompleted
                | P::CancellationRequested,
            ))
            | None => vec![],
        }
    }

    fn fold(document: Option<Self>, recorded: &Recorded) -> Option<Self> {
        if let Some((project, event)) = recorded.project() {
            return of_project(document, project, event, recorded);
        }
        if let Some((id, event)) = recorded.proposal() {
            return of_proposal(document, id, event, recorded);
        }
        document
    }

    fn purge(recorded: &Recorded) -> Option<Uuid> {
        crate::model::deleted_project(recorded)
    }

    fn project(&self) -> Option<Uuid> {
        Some(match self {
            Self::Awaited(awaited) => awaited.project.as_uuid(),
            Self::Saved(saved) => saved.project.as_uuid(),
        })
    }
}

fn of_project(
    document: Option<ProposalState>,
    project: ProjectId,
    event: &ProjectEvent,
    recorded: &Recorded,
) -> Option<ProposalState> {
    use ProjectEvent as E;
    match event {
        E::GenerationAccepted { proposal_type, .. } => Some(ProposalState::Awaited(AwaitedProposal {
            project,
            // The data subject of a project is its owner; the request, right behind this, says it in so many words.
            owner: AccountId::from_uuid(recorded.metadata.subject),
            proposal_type: *proposal_type,
            project_version: recorded.sequence,
        })),
        E::GenerationEnded { outcome, .. } => match outcome {
            GenerationOutcome::Completed { .. } => document.map(|state| state.at(recorded.sequence)),
            GenerationOutcome::Failed { .. } | GenerationOutcome::Cancelled => None,
        },
        E::ProposalDeleted { .. } => None,
        E::ProjectCreated { .. }
        | E::ProjectDetailsChanged { .. }
        | E::ProjectStatusSet { .. }
        | E::ProjectStatusMoved { .. }
        | E::ProjectDataChanged { .. }
        | E::ProjectDataReplaced { .. }
        | E::ProjectDeleted => document,
    }
}

fn of_proposal(
    document: Option<ProposalState>,
    id: ProposalId,
    event: &ProposalEvent,
    recorded: &Recorded,
) -> Option<ProposalState> {
    use ProposalEvent as P;
    match (document, event) {
        (Some(ProposalState::Awaited(awaited)), P::GenerationRequested(request)) => {
            Some(ProposalState::Awaited(AwaitedProposal { owner: request.owner, ..awaited }))
        }
        (Some(ProposalState::Awaited(awaited)), P::ProposalGenerated { version, title, document, .. }) => {
            // Without its content, after an erasure, there is nothing to show.
            let document = document.known()?;
            Some(ProposalState::Saved(Box::new(ProposalDocumentRow {
                id,
                project: awaited.project,
                owner: awaited.owner,
                proposal_type: awaited.proposal_type,
                version: version.clone(),
                title: title.clone(),
                status: ProposalStatus::Draft,
                created_at: recorded.recorded_at,
                updated_at: recorded.recorded_at,
                project_version: awaited.project_version,
                document: ProposalDocument::clone(document),
            })))
        }
        (_, P::GenerationFailed { .. } | P::GenerationCancelled) => None,
        (
            document,
            P::ProposalGenerated { .. }
            | P::GenerationRequested(_)
            | P::GenerationStarted
            | P::StageReached { .. }
            | P::StepSucceeded { .. }
            | P::StepFailed { .. }
            | P::LateResultDiscarded { .. }
            | P::GenerationCompleted
            | P::CancellationRequested,
        ) => document,
    }
}

impl ProposalState {
    fn at(self, version: u64) -> Self {
        match self {
            Self::Awaited(awaited) => Self::Awaited(AwaitedProposal { project_version: version, ..awaited }),
            Self::Saved(saved) => Self::Saved(Box::new(ProposalDocumentRow { project_version: version, ..*saved })),
        }
    }
}
