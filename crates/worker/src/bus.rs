//! The bus: names, the envelope, and the stream whose sequence is the ledger's position.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self, Context};
use domain::StreamKind;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

/// How long the bus keeps an envelope. Every consumer has its own position, and the ledger keeps everything for ever.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a consumer may take to acknowledge; jobs that take longer say every third of it that they go on.
pub const ACK_WAIT: Duration = Duration::from_secs(30);
/// How many envelopes one consumer may have open.
const MAX_ACK_PENDING: i64 = 256;

/// What goes over the bus for one event: where to find it. No payload, so nothing to erase and no limit on size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Position in the ledger, equal to the sequence of the message.
    pub position: u64,
    /// Kind of stream; a text, since a newer release may know more of them than this one.
    pub stream_type: String,
    /// Which stream.
    pub stream_id: String,
    /// Type of event.
    pub event_type: String,
    /// Identity of the event.
    pub event_id: Uuid,
}

/// How the bus does, for health and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BusStatus {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// The relay keeps up.
    Up,
    /// No connection, or JetStream does not answer.
    Down,
    /// The stream is ahead of the ledger, or was published from another one: it belongs to a newer state of this store
    /// than the database holds.
    AheadOfLedger,
}

/// Why the bus cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The server is older than what we rely on.
    #[error("the NATS server is older than 2.10")]
    TooOld,
    /// There is no connection.
    #[error("there is no connection to NATS")]
    NotConnected,
    /// Another relay published first.
    #[error("another relay was faster")]
    Overtaken,
    /// JetStream refused or did not answer.
    #[error("JetStream does not answer")]
    JetStream(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The stream is ahead of the ledger.
    #[error("the stream is at {stream}, the ledger only at {ledger}: see `allegiant restore accept`")]
    AheadOfLedger {
        /// The stream's last sequence.
        stream: u64,
        /// The ledger's last position.
        ledger: u64,
    },
    /// The stream's last message is of an event that the ledger does not have at that position.
    #[error("the stream holds another event than the ledger at {position}: see `allegiant restore accept`")]
    OtherLedger {
        /// Where.
        position: u64,
    },
    /// The database did not answer.
    #[error("the database does not answer")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl BusError {
    pub(crate) fn jetstream(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::JetStream(Box::new(error))
    }

    pub(crate) fn database(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Database(Box::new(error))
    }
}

/// A connection to NATS, and the names that this store uses there. Every name holds the store's own random id and its
/// epoch, so that two stores, or two lives of one store, never meet.
#[derive(Clone)]
pub struct Bus {
    client: async_nats::Client,
    context: Context,
    store: Arc<str>,
    epoch: u32,
    name: Arc<str>,
    status: Arc<watch::Sender<BusStatus>>,
}

impl Bus {
    /// Uses `client` for the store with this id and epoch.
    #[must_use]
    pub fn new(client: async_nats::Client, store_id: Uuid, epoch: u32) -> Self {
        let mut context = jetstream::new(client.clone());
        context.set_timeout(Duration::from_secs(5));
        let store: Arc<str> = format!("allegiant-{}", store_id.simple()).into();
        let name = format!("{store}-{epoch}").into();
        Self { client, context, store, epoch, name, status: Arc::new(watch::channel(BusStatus::Unknown).0) }
    }

    /// How the bus does.
    #[must_use]
    pub fn status(&self) -> BusStatus {
        if self.connected() { *self.status.borrow() } else { BusStatus::Down }
    }

    /// Notes how the bus does, and returns whether that is news.
    pub(crate) fn note(&self, status: BusStatus) -> bool {
        self.status.send_if_modified(|known| std::mem::replace(known, status) != status)
    }

    fn connected(&self) -> bool {
        match self.client.connection_state() {
            State::Connected => true,
            State::Pending | State::Disconnected => false,
        }
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// The epoch in which this connection publishes.
    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The stream's name in another epoch of the same store.
    pub(crate) fn name_in(&self, epoch: u32) -> String {
        format!("{}-{epoch}", self.store)
    }

    /// The epoch whose stream of this store has this name.
    pub(crate) fn epoch_of(&self, stream: &str) -> Option<u32> {
        stream.strip_prefix(&*self.store)?.strip_prefix('-')?.parse().ok()
    }

    /// The subject of an event.
    #[must_use]
    pub fn subject(&self, stream_type: &str, event_type: &str) -> String {
        format!("{}.{stream_type}.{event_type}", self.name)
    }

    /// The stream, made if it is not there: its first message will then have the sequence `first`.
    ///
    /// # Errors
    ///
    /// [`BusError`] if there is no connection, or the server is too old or does not answer.
    pub async fn stream(&self, first: u64) -> Result<Stream, BusError> {
        // Without a connection there is no version either.
        if !self.connected() {
            return Err(BusError::NotConnected);
        }
        if !self.client.is_server_compatible(2, 10, 0) {
            return Err(BusError::TooOld);
        }
        let config = Config {
            name: self.name.to_string(),
            subjects: vec![format!("{}.>", self.name)],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            max_age: MAX_AGE,
            first_sequence: Some(first),
            ..Config::default()
        };
        self.context.get_or_create_stream(config).await.map_err(BusError::jetstream)
    }

    /// The durable consumer of this name for these types of proposal events, made or brought to this configuration.
    ///
    /// # Errors
    ///
    /// [`BusError`] if there is no connection or no stream yet, or JetStream does not answer.
    pub async fn consumer(&self, durable: &str, event_types: &[&str]) -> Result<PullConsumer, BusError> {
        if !self.connected() {
            return Err(BusError::NotConnected);
        }
        let config = pull::Config {
            durable_name: Some(durable.to_owned()),
            filter_subjects: event_types
                .iter()
                .map(|event| self.subject(StreamKind::Proposal.as_str(), event))
                .collect(),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: MAX_ACK_PENDING,
            ..pull::Config::default()
        };
        self.context.create_consumer_on_stream(config, &*self.name).await.map_err(BusError::jetstream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_says_where_to_find_the_event_and_nothing_of_what_it_holds() {
        let envelope = Envelope {
            position: 7,
            stream_type: "proposal".to_owned(),
            stream_id: Uuid::nil().to_string(),
            event_type: "generation-requested".to_owned(),
            event_id: Uuid::nil(),
        };
        let json = serde_json::to_value(&envelope).unwrap();
        let mut keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["eventId", "eventType", "position", "streamId", "streamType"]);
    }
}
