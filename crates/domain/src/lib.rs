//! What the business knows and decides: the aggregates `account`, `project`, `proposal` and `store`, their commands and
//! events, and the versioned types of the documents that events hold. Pure: nothing here reads a clock, a socket or a table.

pub mod account;
pub mod clock;
pub mod data;
pub mod document;
pub mod ids;
pub mod personal;
pub mod project;
pub mod proposal;
pub mod recorded;
pub mod store;
pub mod text;

pub use account::{Account, AccountCommand, AccountEvent, AccountRefusal, Role};
pub use clock::Clock;
pub use ids::{AccountId, JobId, ProjectId, ProposalId, SessionId};
pub use personal::Personal;
pub use project::{Project, ProjectCommand, ProjectEvent, ProjectRefusal};
pub use proposal::{Proposal, ProposalCommand, ProposalEvent, ProposalRefusal};
pub use recorded::{Actor, ActorKind, Fact, Metadata, Recorded, StreamKey, StreamKind};
pub use store::{StoreCommand, StoreEvent, StoreLife, StoreRefusal};
