//! Read models: JSONB documents that follow the ledger, the runner that keeps them up to date, and the queries on them.
//!
//! ```text
//! ledger ─► Runner: fold ─► documents + checkpoint, one transaction ─► Views: reads that contain the caller's writes
//!                     └──────────── the same fold, over events not contained yet ─► answers to writes, job reads
//! ```
//!
//! - [`ReadModel`] is one pure function from document and event to document, with a name, a version and a table.
//! - [`Runner`] folds the ledger into the documents. A stream with an event that it cannot fold is parked: the others go
//!   on, and [`status()`] shows it.
//! - [`rebuild()`] fills a model anew beside the one that is read and has it take its place; [`rollback`] undoes that;
//!   [`verify`] compares what is stored with the fold of the ledger; [`retry`] folds parked streams again.
//! - [`Views`] reads: by id, lists, and the present state of what was just written ([`Current`]).

mod account;
mod batch;
mod current;
mod documents;
mod fill;
mod folding;
mod generation;
#[cfg(test)]
mod history;
mod job;
mod lists;
mod model;
mod overlay;
mod parking;
mod portfolio;
mod project;
mod project_data;
mod proposal;
mod reader;
mod rebuild;
mod retry;
mod runner;
mod start_over;
mod status;
mod timeline;
mod verify;
mod views;

pub use account::AccountDocument;
pub use current::{Ahead, Current, LastChange};
pub use fill::UnknownEvent;
pub use job::{JobDocument, JobPreview, JobStatus};
pub use lists::{JobFilter, Page, TimelineLine};
pub use model::{ReadModel, Row, Versions};
pub use portfolio::{ProjectFilter, ProjectPage, ProjectStats, StageStats};
pub use project::ProjectDocument;
pub use project_data::ProjectDataDocument;
pub use proposal::{AwaitedProposal, ProposalDocumentRow, ProposalState, ProposalStatus};
pub use reader::{Answer, Found, Freshness, Reader, ViewError};
pub use rebuild::{Progress, RebuildError, Rebuilt, names, rebuild, rollback};
pub use retry::{Retried, retry};
pub use runner::{Runner, RunnerError};
pub use start_over::start_over;
pub use status::{GenerationState, GenerationStatus, ModelStatus, ParkedStream, generations, parked, status};
pub use timeline::{EntryType, TimelineEntry};
pub use verify::{Difference, Verdict, verify};
pub use views::{JobRead, ProjectDetail, Views};
