//! The project: header, technical sheet, and the generation and proposals that it owns.

mod event;
mod header;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub use event::{Editing, GenerationOutcome, ProjectEvent};
pub use header::{DetailChange, Header, HeaderPatch, TO_BE_DEFINED};
pub use status::Status;

use crate::proposal::ProposalType;
use crate::{AccountId, ProposalId, data};

/// How long after an edit another one by the same account still belongs to the same course of typing.
const EDITING_PAUSE: TimeDelta = TimeDelta::minutes(5);
/// How long one course of typing lasts at most.
const EDITING_SPAN: TimeDelta = TimeDelta::minutes(60);

/// What somebody wants done to a project.
#[derive(Debug, Clone, PartialEq)]
pub enum ProjectCommand {
    /// Open a project.
    Create {
        /// Whose it will be.
        owner: AccountId,
        /// Its header.
        header: Header,
    },
    /// Change the header, and set the status by hand.
    Change {
        /// Who asks.
        by: AccountId,
        /// Fields to set.
        patch: HeaderPatch,
        /// Status to set.
        status: Option<Status>,
        /// The header's version the caller has seen, if it must be that one.
        expected: Option<u64>,
    },
    /// Change the technical sheet.
    ChangeData {
        /// Who asks.
        by: AccountId,
        /// When.
        at: DateTime<Utc>,
        /// What to merge in, or the whole new document.
        body: Value,
        /// Whether `body` replaces the document instead of being merged into it.
        replace: bool,
        /// An identity for a timeline entry, used if this edit begins one.
        entry: Uuid,
        /// The sheet's version the caller has seen, if it must be that one.
        expected: Option<u64>,
    },
    /// Delete the project.
    Delete {
        /// Who asks.
        by: AccountId,
        /// The header's version the caller has seen, if it must be that one.
        expected: Option<u64>,
    },
    /// Take on a generation.
    AcceptGeneration {
        /// Who asks.
        by: AccountId,
        /// The proposal it will make.
        proposal: ProposalId,
        /// The depth asked for.
        proposal_type: ProposalType,
    },
    /// Note how a generation ended. [`Project::next_version`] tells the version a new proposal gets.
    EndGeneration {
        /// The proposal it was to make.
        proposal: ProposalId,
        /// How it ended.
        outcome: GenerationOutcome,
    },
    /// Delete a proposal.
    DeleteProposal {
        /// Who asks.
        by: AccountId,
        /// Which.
        proposal: ProposalId,
    },
}

/// Why a project command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectRefusal {
    /// There is no such project, it was deleted, or it is somebody else's.
    #[error("there is no such project")]
    NotFound,
    /// The project exists already.
    #[error("the project exists already")]
    AlreadyCreated,
    /// The project has no such proposal.
    #[error("there is no such proposal")]
    ProposalNotFound,
    /// The resource changed since the caller read it.
    #[error("the version is {current}")]
    Stale {
        /// The version that the resource has.
        current: u64,
    },
    /// The document would be larger than a project may hold.
    #[error("the document would be too large")]
    DocumentTooLarge,
    /// A generation of the project is under way.
    #[error("a generation is under way")]
    GenerationActive {
        /// The proposal it will make.
        proposal: ProposalId,
    },
}

/// What a project must remember to decide its next command. All else is for projections.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// The number of its last event.
    pub version: u64,
    /// Where it is in its life.
    #[serde(flatten)]
    pub state: State,
}

/// Where a project is in its life.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Nobody has opened it.
    #[default]
    NotCreated,
    /// It is open.
    Open(Box<Open>),
    /// It was deleted.
    Deleted {
        /// Whose it was.
        owner: AccountId,
    },
}

/// A project that is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// Whose it is.
    pub owner: AccountId,
    /// Its header.
    pub header: Header,
    /// Its status.
    pub status: Status,
    /// The status that the running generation moved it out of.
    pub status_before: Status,
    /// The version of the last event that changed the header or the status by hand.
    pub header_version: u64,
    /// The technical sheet.
    pub data: Value,
    /// The version of the last event that changed the sheet.
    pub data_version: u64,
    /// Sheet fields, as `section/field`, whose value was changed after they were created: what somebody entered, and
    /// not the template.
    pub touched: BTreeSet<String>,
    /// The course of typing that goes on.
    pub editing: Option<Editing>,
    /// The generation under way.
    pub active: Option<ProposalId>,
    /// How many versions were given out; deleting a proposal gives none back.
    pub versions: u32,
    /// Its proposals.
    pub proposals: Vec<ProposalId>,
}

impl Project {
    /// The project, if it is open and `by` owns it.
    ///
    /// # Errors
    ///
    /// [`ProjectRefusal::NotFound`]: someone else's project looks like none at all.
    pub fn owned_by(&self, by: AccountId) -> Result<&Open, ProjectRefusal> {
        match &self.state {
            State::Open(open) if open.owner == by => Ok(open),
            State::Open(_) | State::NotCreated | State::Deleted { .. } => Err(ProjectRefusal::NotFound),
        }
    }

    /// The project, if it is open.
    #[must_use]
    pub fn open(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) => Some(open),
            State::NotCreated | State::Deleted { .. } => None,
        }
    }

    fn decide(&self, command: ProjectCommand) -> Result<Vec<ProjectEvent>, ProjectRefusal> {
        use ProjectCommand as C;
        use ProjectEvent as E;
        match command {
            C::Create { owner, header } => match self.state {
                State::NotCreated => Ok(vec![E::ProjectCreated { owner, header }]),
                State::Open(_) | State::Deleted { .. } => Err(ProjectRefusal::AlreadyCreated),
            },
            C::Change { by, patch, status, expected } => self.owned_by(by)?.change(patch, status, expected),
            C::ChangeData { by, at, body, replace, entry, expected } => {
                self.owned_by(by)?.change_data(by, at, &body, replace, entry, expected)
            }
            C::Delete { by, expected } => {
                let open = self.owned_by(by)?;
                fresh(expected, open.header_version)?;
                Ok(vec![E::ProjectDeleted])
            }
            C::AcceptGeneration { by, proposal, proposal_type } => {
                let open = self.owned_by(by)?;
                if let Some(active) = open.active {
                    return Err(ProjectRefusal::GenerationActive { proposal: active });
                }
                let mut events = vec![E::GenerationAccepted { proposal, proposal_type }];
                if matches!(open.status, Status::InPreparation | Status::ProposalReady) {
                    events.push(E::ProjectStatusMoved { old: open.status, new: Status::GeneratingProposal });
                }
                Ok(events)
            }
            C::EndGeneration { proposal, outcome } => {
                Ok(self.open().map_or_else(Vec::new, |open| open.end(proposal, outcome)))
            }
            C::DeleteProposal { by, proposal } => {
                let open = self.owned_by(by)?;
                if !open.proposals.contains(&proposal) {
                    return Err(ProjectRefusal::ProposalNotFound);
                }
                let mut events = vec![E::ProposalDeleted { proposal }];
                if open.proposals.len() == 1 && open.status == Status::ProposalReady {
                    events.push(E::ProjectStatusMoved { old: open.status, new: Status::InPreparation });
                }
                Ok(events)
            }
        }
    }
}

impl Open {
    /// The version that the next proposal gets: `v1.0`, `v1.1`, … `v1.10`; never one that was given out before.
    #[must_use]
    pub fn next_version(&self) -> String {
        format!("v1.{}", self.versions)
    }

    fn change(
        &self,
        patch: HeaderPatch,
        status: Option<Status>,
        expected: Option<u64>,
    ) -> Result<Vec<ProjectEvent>, ProjectRefusal> {
        fresh(expected, self.header_version)?;
        let mut events = Vec::new();
        let changes = self.header.changes(patch);
        if !changes.is_empty() {
            events.push(ProjectEvent::ProjectDetailsChanged { changes });
        }
        if let Some(new) = status
            && new != self.status
        {
            events.push(ProjectEvent::ProjectStatusSet { old: self.status, new });
        }
        Ok(events)
    }

    fn change_data(
        &self,
        by: AccountId,
        at: DateTime<Utc>,
        body: &Value,
        replace: bool,
        entry: Uuid,
        expected: Option<u64>,
    ) -> Result<Vec<ProjectEvent>, ProjectRefusal> {
        fresh(expected, self.data_version)?;
        let merged;
        let new = if replace {
            body
        } else {
            merged = data::merge(&self.data, body);
            &merged
        };
        let diff = data::diff(&self.data, new);
        if diff.is_empty() {
            return Ok(vec![]);
        }
        if data::too_large(new) {
            return Err(ProjectRefusal::DocumentTooLarge);
        }
        let editing = match self.editing {
            Some(open) if open.by == by && at - open.at < EDITING_PAUSE && at - open.began_at < EDITING_SPAN => {
                Editing { at, ..open }
            }
            Some(_) | None => Editing { id: entry, by, began_at: at, at },
        };
        let completeness = data::completeness(new);
        Ok(vec![if replace {
            ProjectEvent::ProjectDataReplaced { editing, completeness, diff }
        } else {
            ProjectEvent::ProjectDataChanged { editing, completeness, diff }
        }])
    }

    /// Another generation than the active one changes nothing: it was ended before, by somebody else.
    fn end(&self, proposal: ProposalId, outcome: GenerationOutcome) -> Vec<ProjectEvent> {
        if self.active != Some(proposal) {
            return vec![];
        }
        let after = match &outcome {
            GenerationOutcome::Completed { .. } => Status::ProposalReady,
            GenerationOutcome::Failed { .. } | GenerationOutcome::Cancelled => match self.status_before {
                Status::GeneratingProposal => Status::InPreparation,
                before => before,
            },
        };
        let mut events = vec![ProjectEvent::GenerationEnded { proposal, outcome }];
        if self.status == Status::GeneratingProposal {
            events.push(ProjectEvent::ProjectStatusMoved { old: self.status, new: after });
        }
        events
    }

    fn note(&mut self, event: ProjectEvent, version: u64) {
        use ProjectEvent as E;
        match event {
            E::ProjectDetailsChanged { changes } => {
                self.header_version = version;
                for change in changes {
                    self.header.apply(change);
                }
            }
            E::ProjectStatusSet { new, .. } => {
                self.header_version = version;
                self.status = new;
            }
            E::ProjectStatusMoved { old, new } => {
                self.status_before = old;
                self.status = new;
            }
            E::ProjectDataChanged { editing, diff, .. } | E::ProjectDataReplaced { editing, diff, .. } => {
                self.touched.extend(data::touched(&diff).map(|(section, field)| format!("{section}/{field}")));
                data::apply(&diff, &mut self.data);
                self.data_version = version;
                self.editing = Some(editing);
            }
            E::GenerationAccepted { proposal, .. } => {
                self.active = Some(proposal);
                self.status_before = self.status;
            }
            E::GenerationEnded { proposal, outcome } => {
                self.active = None;
                if let GenerationOutcome::Completed { .. } = outcome {
                    self.versions += 1;
                    self.proposals.push(proposal);
                }
            }
            E::ProposalDeleted { proposal } => self.proposals.retain(|other| *other != proposal),
            E::ProjectCreated { .. } | E::ProjectDeleted => (),
        }
    }
}

fn fresh(expected: Option<u64>, current: u64) -> Result<(), ProjectRefusal> {
    match expected {
        Some(expected) if expected != current => Err(ProjectRefusal::Stale { current }),
        Some(_) | None => Ok(()),
    }
}

impl Aggregate for Project {
    const TYPE: &'static str = "project";
    type Command = ProjectCommand;
    type Event = ProjectEvent;
    type Error = ProjectRefusal;
    type Services = ();

    async fn handle(&mut self, command: ProjectCommand, (): &(), sink: &EventSink<Self>) -> Result<(), ProjectRefusal> {
        for event in self.decide(command)? {
            sink.write(event, self).await; // Applies it to `self`, too.
        }
        Ok(())
    }

    fn apply(&mut self, event: ProjectEvent) {
        use ProjectEvent as E;
        self.version += 1;
        match (&mut self.state, event) {
            (state, E::ProjectCreated { owner, header }) => {
                *state = State::Open(Box::new(Open {
                    owner,
                    header,
                    status: Status::InPreparation,
                    status_before: Status::InPreparation,
                    header_version: self.version,
                    data: Value::Object(serde_json::Map::new()),
                    data_version: self.version,
                    touched: BTreeSet::new(),
                    editing: None,
                    active: None,
                    versions: 0,
                    proposals: vec![],
                }));
            }
            (State::Open(open), E::ProjectDeleted) => self.state = State::Deleted { owner: open.owner },
            (State::Open(open), event) => open.note(event, self.version),
            // History is never refused: what befell a project that is not open changes nothing.
            (State::NotCreated | State::Deleted { .. }, _) => (),
        }
    }
}
