//! The store as a whole: its epochs, which are its lives between restored backups. One stream per store, whose identity
//! is the store's own.

use chrono::{DateTime, SecondsFormat, Utc};
use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The epoch in which every store begins.
pub const FIRST_EPOCH: u32 = 1;

/// Characters in an operator's reason at most.
pub const REASON_LIMIT: usize = 500;

/// What has happened to a store as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum StoreEvent {
    /// An older backup was accepted as what happened: positions after its head are given out a second time from here on.
    EpochOpened(EpochOpened),
}

impl DomainEvent for StoreEvent {
    fn event_type(&self) -> String {
        match self {
            Self::EpochOpened(_) => "epoch-opened",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// An opening, and the signature by which it can be told from one that the database's owner wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochOpened {
    /// What was accepted.
    #[serde(flatten)]
    pub opening: Opening,
    /// The name of the key pair that signed.
    pub key_id: String,
    /// The half of the key pair that everybody may know, in base64.
    pub public_key: String,
    /// Ed25519 (RFC 8032) over [`Opening::statement`], in hexadecimal digits.
    pub signature: String,
}

/// What an operator accepts with an older backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// The store's identity.
    pub store: Uuid,
    /// The epoch that begins; above every one that was seen.
    pub epoch: u32,
    /// The ledger's last position before it: whatever was given out after that is lost.
    pub head: u64,
    /// The ledger's hash at that position, in hexadecimal digits; zeros at position 0.
    pub head_hash: String,
    /// What was seen elsewhere of a newer state.
    pub seen: Vec<Seen>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// When it was accepted, to the microsecond.
    pub accepted_at: DateTime<Utc>,
}

/// A state of the store that somebody outside the restored tables has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Who has seen it.
    pub by: Witness,
    /// In which epoch.
    pub epoch: u32,
    /// Up to which position; 0 if the epoch alone is known.
    pub position: u64,
}

/// Who can tell that the ledger once reached further, or went another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// The stream of envelopes on JetStream.
    Bus,
    /// A signed checkpoint on JetStream.
    CheckpointStream,
    /// A signed checkpoint in a file.
    CheckpointFile,
    /// A read model.
    ReadModel,
}

impl Witness {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bus => "bus",
            Self::CheckpointStream => "checkpoint-stream",
            Self::CheckpointFile => "checkpoint-file",
            Self::ReadModel => "read-model",
        }
    }
}

impl Opening {
    /// The text that is signed: one line each, ended by a line feed; the reason as a JSON string or `null`.
    #[must_use]
    pub fn statement(&self) -> String {
        let mut text = format!(
            "allegiant-epoch-1\nstore {}\nepoch {}\nhead {} {}\n",
            self.store, self.epoch, self.head, self.head_hash
        );
        for Seen { by, epoch, position } in &self.seen {
            text.push_str(&format!("seen {} {epoch} {position}\n", by.as_str()));
        }
        let reason = self.reason.as_deref().map_or(Value::Null, Value::from);
        let accepted_at = self.accepted_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        text.push_str(&format!("reason {reason}\naccepted-at {accepted_at}\n"));
        text
    }
}

/// What somebody wants done to a store as a whole.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreCommand {
    /// Accept an older backup.
    OpenEpoch(EpochOpened),
}

/// Why a command to the store as a whole is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreRefusal {
    /// The store is in that epoch or a later one already.
    #[error("the store is in epoch {current} already")]
    EpochPassed {
        /// The epoch it is in.
        current: u32,
    },
    /// The reason is longer than [`REASON_LIMIT`] characters, or holds control characters.
    #[error("the reason must be one line of at most {REASON_LIMIT} characters")]
    Reason,
}

/// What a store must remember to decide its next command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreLife {
    /// The number of its last event.
    pub version: u64,
    /// The epoch it is in.
    pub epoch: u32,
}

impl Default for StoreLife {
    fn default() -> Self {
        Self { version: 0, epoch: FIRST_EPOCH }
    }
}

impl StoreLife {
    fn decide(&self, command: StoreCommand) -> Result<Vec<StoreEvent>, StoreRefusal> {
        match command {
            StoreCommand::OpenEpoch(opened) if opened.opening.epoch <= self.epoch => {
                Err(StoreRefusal::EpochPassed { current: self.epoch })
            }
            StoreCommand::OpenEpoch(opened) => match &opened.opening.reason {
                Some(reason) if REASON_LIMIT < reason.chars().count() || reason.contains(char::is_control) => {
                    Err(StoreRefusal::Reason)
                }
                Some(_) | None => Ok(vec![StoreEvent::EpochOpened(opened)]),
            },
        }
    }
}

impl Aggregate for StoreLife {
    const TYPE: &'static str = "store";
    type Command = StoreCommand;
    type Event = StoreEvent;
    type Error = StoreRefusal;
    type Services = ();

    async fn handle(&mut self, command: StoreCommand, (): &(), sink: &EventSink<Self>) -> Result<(), StoreRefusal> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: StoreEvent) {
        self.version += 1;
        match event {
            StoreEvent::EpochOpened(opened) => self.epoch = opened.opening.epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn opened(epoch: u32, reason: Option<&str>) -> EpochOpened {
        let opening = Opening {
            store: Uuid::from_u128(7),
            epoch,
            head: 90,
            head_hash: "ab".repeat(32),
            seen: vec![Seen { by: Witness::Bus, epoch: 1, position: 100 }],
            reason: reason.map(str::to_owned),
            accepted_at: DateTime::UNIX_EPOCH,
        };
        EpochOpened { opening, key_id: String::new(), public_key: String::new(), signature: String::new() }
    }

    fn store() -> TestFramework<StoreLife> {
        TestFramework::with(())
    }

    #[test]
    fn an_epoch_opens_once_and_only_forwards() {
        let (second, fifth) = (opened(2, None), opened(5, None));
        store()
            .given_no_previous_events()
            .when(StoreCommand::OpenEpoch(second.clone()))
            .then_expect_events(vec![StoreEvent::EpochOpened(second.clone())]);
        for epoch in [1, 4, 5] {
            store()
                .given(vec![StoreEvent::EpochOpened(fifth.clone())])
                .when(StoreCommand::OpenEpoch(opened(epoch, None)))
                .then_expect_error(StoreRefusal::EpochPassed { current: 5 });
        }
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        for reason in ["a\nb", &"x".repeat(REASON_LIMIT + 1)] {
            store()
                .given_no_previous_events()
                .when(StoreCommand::OpenEpoch(opened(2, Some(reason))))
                .then_expect_error(StoreRefusal::Reason);
        }
    }

    #[test]
    fn the_signed_text_says_everything_once() {
        let text = opened(2, Some("disk \"A\" was lost")).opening.statement();
        let expected = format!(
            "allegiant-epoch-1\nstore 00000000-0000-0000-0000-000000000007\nepoch 2\nhead 90 {}\nseen bus 1 100\n\
             reason \"disk \\\"A\\\" was lost\"\naccepted-at 1970-01-01T00:00:00.000000Z\n",
            "ab".repeat(32)
        );
        assert_eq!(text, expected);
    }
}
