//! What the clients were told.

use std::time::Duration;

/// Everything that the clients of a run remember.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Every command that was sent.
    pub commands: Vec<Command>,
    /// Every read that lacked something which had been sent before it ended.
    pub reads: Vec<LackingRead>,
}

/// A command as its client knows it, all its attempts together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its tag, which no other command has.
    pub tag: String,
    /// What it does.
    pub effect: Effect,
    /// What its client was told in the end.
    pub verdict: Verdict,
    /// The position in the answer, if there was one.
    pub position: Option<u64>,
}

/// The events of a command that has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// Each of these once.
    pub always: &'static [&'static str],
    /// Each of these once at most.
    pub perhaps: &'static [&'static str],
}

impl Effect {
    /// No event at all.
    pub const NONE: Self = Self { always: &[], perhaps: &[] };
    /// A project is opened.
    pub const CREATE: Self = Self { always: &["project-created"], perhaps: &[] };
    /// A field of its header is given another value.
    pub const HEADER: Self = Self { always: &["project-details-changed"], perhaps: &[] };
    /// A place of its sheet is given another value.
    pub const SHEET: Self = Self { always: &["project-data-changed"], perhaps: &[] };
    /// It is deleted; a generation under way is cancelled with it.
    pub const DELETE: Self =
        Self { always: &["project-deleted"], perhaps: &["cancellation-requested", "generation-cancelled"] };
    /// A generation is asked for.
    pub const GENERATE: Self =
        Self { always: &["generation-accepted", "generation-requested"], perhaps: &["project-status-moved"] };
    /// A generation is cancelled: at once, or when the worker comes to it.
    pub const CANCEL: Self = Self {
        always: &[],
        perhaps: &["cancellation-requested", "generation-cancelled", "generation-ended", "project-status-moved"],
    };
}

/// What a client was told of a command in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was carried out: its events are there.
    Acknowledged,
    /// It was refused: nothing of it is there.
    Refused,
    /// The client was cut off, or told of a failure: all of it is there, or nothing.
    Unknown,
}

/// A read that lacked a write which its own account had sent before the read ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LackingRead {
    /// Method and path.
    pub read: String,
    /// The position up to which it said to contain everything.
    pub told: u64,
    /// The commands whose effect it does not show, the oldest first; one that was refused later may be among them.
    pub lacks: Vec<String>,
    /// Of those, one that had been acknowledged before the read began.
    pub acknowledged: Option<String>,
    /// How long the answer took.
    pub waited: Duration,
}
