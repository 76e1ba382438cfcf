//! What both stores can be asked.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::{Project, ProjectId, ProposalId};
use sqlx::PgConnection;
use tokio::sync::Notify;

/// Why a store did not do as it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Another command was faster.
    Conflict,
    /// This unique constraint is violated.
    Constraint(String),
    /// The command was carried out before.
    AlreadyDone,
    /// This event of a stream cannot be read.
    Unreadable(u64),
    /// Anything else.
    Other(String),
}

/// What a reader of everything was given, and how it ended.
pub struct Reading {
    /// Stream and number of each event.
    pub events: Vec<(ProjectId, u64)>,
    pub end: Result<(), Failure>,
}

/// Holds a command between its load and its append, the first time it comes there.
#[derive(Default)]
pub struct Gate {
    used: AtomicBool,
    pub loaded: Notify,
    pub go_on: Notify,
}

impl Gate {
    pub async fn pass(&self) {
        if !self.used.swap(true, Ordering::SeqCst) {
            self.loaded.notify_one();
            self.go_on.notified().await;
        }
    }
}

/// A store under test, on a database of its own, with the one aggregate that the probes use.
pub trait Subject: Sized {
    /// The table of events.
    const EVENTS: &'static str;

    async fn start() -> Self;

    /// A superuser's connection to its database.
    async fn superuser(&self) -> PgConnection;

    /// Lets go of whatever keeps the table's owner from changing rows.
    async fn unlock(&self);

    /// Opens a project.
    async fn create(&self, project: ProjectId, name: &str) -> Result<(), Failure>;

    /// Adds tags to those that were loaded, one event each, in one command.
    async fn add_tags(&self, project: ProjectId, tags: &[&str], gate: Option<&'static Gate>) -> Result<(), Failure>;

    /// Adds a tag by one command that is sent twice.
    async fn add_tag_twice(&self, project: ProjectId, tag: &str) -> Result<(), Failure>;

    /// Opens a project and asks for a proposal, in one command.
    async fn create_with_proposal(&self, project: ProjectId, proposal: ProposalId) -> Result<(), Failure>;

    /// The state, from a snapshot where there is one.
    async fn state(&self, project: ProjectId) -> Result<Project, Failure>;

    /// Reads the tail of a stream behind this version, on one connection that is always the same, and tells how many
    /// statements over events that connection has prepared.
    async fn tail(&self, project: ProjectId, after: u64) -> i64;

    /// Writes a snapshot in the name of other code, whose state has no tags.
    async fn plant_foreign_snapshot(&self, project: ProjectId);

    /// Reads all events of all projects; calls `midway` once, after the first of them.
    async fn read_all(&self, midway: impl AsyncFnMut()) -> Reading;
}
