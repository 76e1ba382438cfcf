//! An event as it was recorded: the fact, and who, when, where and why.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AccountEvent, AccountId, ProjectEvent, ProjectId, ProposalEvent, ProposalId, StoreEvent, account::Role};

/// The four kinds of stream. They sort in the order in which one append writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamKind {
    /// One person's account, with its sessions as facts.
    Account,
    /// One project: header, data, files, and the ids, versions and status of its proposals.
    Project,
    /// One proposal: its generation, from the request on, and its result.
    Proposal,
    /// The store as a whole: its epochs.
    Store,
}

impl StreamKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Account, Self::Project, Self::Proposal, Self::Store];

    /// The stored name, cqrs-es' aggregate type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Project => "project",
            Self::Proposal => "proposal",
            Self::Store => "store",
        }
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no kind of stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a kind of stream")]
pub struct NotAStreamKind;

impl FromStr for StreamKind {
    type Err = NotAStreamKind;

    fn from_str(text: &str) -> Result<Self, NotAStreamKind> {
        Self::ALL.into_iter().find(|k| k.as_str() == text).ok_or(NotAStreamKind)
    }
}

/// One stream: the history of one aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// Which kind of aggregate.
    pub kind: StreamKind,
    /// Which one.
    pub id: Uuid,
}

impl From<AccountId> for StreamKey {
    fn from(id: AccountId) -> Self {
        Self { kind: StreamKind::Account, id: id.as_uuid() }
    }
}

impl From<ProjectId> for StreamKey {
    fn from(id: ProjectId) -> Self {
        Self { kind: StreamKind::Project, id: id.as_uuid() }
    }
}

impl From<ProposalId> for StreamKey {
    fn from(id: ProposalId) -> Self {
        Self { kind: StreamKind::Proposal, id: id.as_uuid() }
    }
}

/// What kind of being acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorKind {
    /// A person, by their account.
    Account,
    /// The system itself: an operator's command line, a timer.
    System,
    /// The generation process.
    Worker,
}

/// Who acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// What kind of being.
    pub kind: ActorKind,
    /// The account's id; nil for the system and the worker.
    pub id: Uuid,
}

impl Actor {
    /// The generation process.
    pub const WORKER: Self = Self { kind: ActorKind::Worker, id: Uuid::nil() };
    /// The system itself.
    pub const SYSTEM: Self = Self { kind: ActorKind::System, id: Uuid::nil() };

    /// A person.
    #[must_use]
    pub const fn account(id: AccountId) -> Self {
        Self { kind: ActorKind::Account, id: id.as_uuid() }
    }

    /// The person's account, if a person acted.
    #[must_use]
    pub fn as_account(self) -> Option<AccountId> {
        (self.kind == ActorKind::Account).then(|| AccountId::from_uuid(self.id))
    }
}

/// Who, why and in which course of events. Every value is a string in JSON, since cqrs-es reads metadata as a map of
/// strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// What kind of being acted.
    pub actor_kind: ActorKind,
    /// The account's id; nil for the system and the worker.
    pub actor_id: Uuid,
    /// The roles the actor had, joined by commas.
    #[serde(default)]
    pub roles: String,
    /// The person whose key seals the personal values of the event.
    pub subject: Uuid,
    /// What the events of one course of business have in common.
    pub correlation_id: String,
    /// The event that this one answers, if it answers one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The HTTP request, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The command whose decision this event is.
    pub command_id: Uuid,
    /// The trace, in the form of the W3C header of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Metadata {
    /// Who acted.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor { kind: self.actor_kind, id: self.actor_id }
    }

    /// Joins roles into the stored form.
    #[must_use]
    pub fn join_roles(roles: &[Role]) -> String {
        roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
    }
}

/// What happened, to whichever aggregate.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// To an account.
    Account(AccountEvent),
    /// To a project.
    Project(ProjectEvent),
    /// To a proposal.
    Proposal(ProposalEvent),
    /// To the store as a whole.
    Store(StoreEvent),
}

/// One event of one stream, as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its stream.
    pub stream: StreamKey,
    /// Its number in the stream, from 1.
    pub sequence: u64,
    /// Its identity.
    pub event_id: Uuid,
    /// When the server decided it.
    pub recorded_at: DateTime<Utc>,
    /// Who, why and in which course of events.
    pub metadata: Metadata,
    /// What happened.
    pub fact: Fact,
}

impl Recorded {
    /// The account it happened to, if it happened to one.
    #[must_use]
    pub fn account(&self) -> Option<(AccountId, &AccountEvent)> {
        match &self.fact {
            Fact::Account(event) => Some((AccountId::from_uuid(self.stream.id), event)),
            Fact::Project(_) | Fact::Proposal(_) | Fact::Store(_) => None,
        }
    }

    /// The project it happened to, if it happened to one.
    #[must_use]
    pub fn project(&self) -> Option<(ProjectId, &ProjectEvent)> {
        match &self.fact {
            Fact::Project(event) => Some((ProjectId::from_uuid(self.stream.id), event)),
            Fact::Account(_) | Fact::Proposal(_) | Fact::Store(_) => None,
        }
    }

    /// The proposal it happened to, if it happened to one.
    #[must_use]
    pub fn proposal(&self) -> Option<(ProposalId, &ProposalEvent)> {
        match &self.fact {
            Fact::Proposal(event) => Some((ProposalId::from_uuid(self.stream.id), event)),
            Fact::Account(_) | Fact::Project(_) | Fact::Store(_) => None,
        }
    }
}
