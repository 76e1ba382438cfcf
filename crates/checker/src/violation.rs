//! What can be found, and where it is collected.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use uuid::Uuid;

/// How many findings are kept in full; the others are counted.
const KEPT: usize = 200;
/// How many of one class, so that a frequent one does not hide the others.
const OF_A_CLASS: usize = 10;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An acknowledged command lacks one of its events.
    #[error("command {tag} was acknowledged, and its {event} is not stored")]
    Lost {
        /// The command.
        tag: String,
        /// The type of the event.
        event: &'static str,
    },
    /// A command has an event more than once.
    #[error("command {tag} has {times} events {event}")]
    Repeated {
        /// The command.
        tag: String,
        /// The type of the event.
        event: String,
        /// How many there are.
        times: usize,
    },
    /// A command has an event that it cannot have.
    #[error("command {tag} has an event {event} that is not its own")]
    Strange {
        /// The command.
        tag: String,
        /// The type of the event.
        event: String,
    },
    /// A command was refused and yet has events.
    #[error("command {tag} was refused, and {events} events of it are stored")]
    RefusedWithEffect {
        /// The command.
        tag: String,
        /// How many events.
        events: usize,
    },
    /// A command got another position than that of its last event.
    #[error("command {tag} was told position {told}, and its last event has {stored:?}")]
    FalsePosition {
        /// The command.
        tag: String,
        /// What the answer said.
        told: u64,
        /// Where it is.
        stored: Option<u64>,
    },
    /// Positions are not 1..n.
    #[error("the ledger goes from position {before} to {after}")]
    Gap {
        /// The one before.
        before: u64,
        /// The next one there is.
        after: u64,
    },
    /// The events of a stream do not follow each other, in the table or in the ledger.
    #[error("stream {stream} goes from {before} to {after} in {place}")]
    Order {
        /// Kind and id of the stream.
        stream: String,
        /// The event before.
        before: u64,
        /// The one that follows.
        after: u64,
        /// Where it was seen.
        place: &'static str,
    },
    /// An event has no ledger row, or more than one.
    #[error("event {sequence} of stream {stream} has {rows} rows in the ledger")]
    LedgerRows {
        /// Kind and id of the stream.
        stream: String,
        /// Its number in the stream.
        sequence: u64,
        /// How many rows.
        rows: usize,
    },
    /// A ledger row tells another event than the one at its place in the stream.
    #[error("the ledger's row {position} is of no stored event")]
    LedgerRowAlone {
        /// Where.
        position: u64,
    },
    /// Two events have one identity.
    #[error("event {event_id} is stored more than once")]
    SameEvent {
        /// The identity.
        event_id: Uuid,
    },
    /// Events were left without a position.
    #[error("{count} events wait for a position although nothing is written")]
    Pending {
        /// How many.
        count: u64,
    },
    /// A command's receipt and its events do not fit.
    #[error("the receipt of command {command} {what}")]
    Receipt {
        /// The command's id.
        command: Uuid,
        /// What is wrong.
        what: &'static str,
    },
    /// The hash chain does not verify.
    #[error("the chain breaks at position {position}")]
    Chain {
        /// The first false position.
        position: u64,
    },
    /// A read model is not what the ledger makes of it.
    #[error("read model {model} is not the fold of the ledger: {place} {what}")]
    Model {
        /// The model.
        model: &'static str,
        /// Where: a document, a list, a stream.
        place: String,
        /// What differs; no values.
        what: String,
    },
    /// A read model stopped following a stream, or has not caught up.
    #[error("read model {model} {what}")]
    ModelBehind {
        /// The model.
        model: String,
        /// How.
        what: String,
    },
    /// A read said that it contains everything up to a position, and lacks something from before it.
    #[error("{read} told position {told}, and lacks {tag} of position {position}")]
    StaleRead {
        /// The request.
        read: String,
        /// What it said.
        told: u64,
        /// The command whose effect is missing.
        tag: String,
        /// Where that is.
        position: u64,
    },
    /// A read lacked an acknowledged write of its own account before its patience could have ended.
    #[error("{read} lacks {tag}, which was acknowledged before, after only {} ms", waited.as_millis())]
    GaveUpEarly {
        /// The request.
        read: String,
        /// The command whose effect is missing.
        tag: String,
        /// How long it took.
        waited: Duration,
    },
    /// An answer that must not be.
    #[error("{to}: {what}")]
    Answer {
        /// The request.
        to: String,
        /// What was wrong with the answer.
        what: String,
    },
    /// A bound of the soak was passed.
    #[error("{0}")]
    Bound(String),
}

impl Violation {
    /// What it has in common with others of its kind.
    fn class(&self) -> String {
        let of_answer: String = match self {
            Self::Answer { what, .. } => what.chars().take(16).collect(),
            Self::Lost { .. }
            | Self::Repeated { .. }
            | Self::Strange { .. }
            | Self::RefusedWithEffect { .. }
            | Self::FalsePosition { .. }
            | Self::Gap { .. }
            | Self::Order { .. }
            | Self::LedgerRows { .. }
            | Self::LedgerRowAlone { .. }
            | Self::SameEvent { .. }
            | Self::Pending { .. }
            | Self::Receipt { .. }
            | Self::Chain { .. }
            | Self::Model { .. }
            | Self::ModelBehind { .. }
            | Self::StaleRead { .. }
            | Self::GaveUpEarly { .. }
            | Self::Bound(_) => String::new(),
        };
        format!("{:?}{of_answer}", std::mem::discriminant(self))
    }
}

/// Where whoever sees something puts it. Bounded: the first ones of each class tell most.
#[derive(Debug, Default)]
pub struct Findings(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    count: usize,
    kept: Vec<Violation>,
    of_class: HashMap<String, usize>,
}

impl Findings {
    /// Adds one.
    pub fn add(&self, violation: Violation) {
        let mut found = self.found();
        found.count += 1;
        let of_class = found.of_class.entry(violation.class()).or_default();
        *of_class += 1;
        if *of_class <= OF_A_CLASS && found.kept.len() < KEPT {
            found.kept.push(violation);
        }
    }

    /// Adds several.
    pub fn extend(&self, violations: impl IntoIterator<Item = Violation>) {
        violations.into_iter().for_each(|violation| self.add(violation));
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.found().count
    }

    /// Those that were kept.
    #[must_use]
    pub fn kept(&self) -> Vec<Violation> {
        self.found().kept.clone()
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().expect("nobody panics while adding")
    }
}
