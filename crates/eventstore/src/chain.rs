//! The hash chain: computed by the database as it numbers events, and here again by whoever checks it.
//!
//! `hash(n) = SHA-256(hash(n − 1) ‖ digest(n))`, with 32 zero bytes before the first. `digest` is the SHA-256 of every
//! column of the event with its position and ledger time; each field is preceded by its length in four bytes,
//! big-endian. Numbers are eight bytes; times are microseconds since 2000-01-01T00:00:00Z in eight bytes; texts are
//! UTF-8; payload and metadata are the exact stored texts. See `es.event_digest` in the migrations.

mod export;
mod raw;
mod verdict;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::evidence::Hash;

pub(crate) use verdict::Follower;
pub use verdict::{ChainVerdict, Fault};

/// What stands before the first event.
pub const GENESIS: Hash = [0; 32];

/// The first field of every digest: which rules it was made by.
const RULES: &[u8] = b"allegiant-ledger-1";
/// Microseconds from 1970 to 2000, where PostgreSQL's times begin.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
/// One ledger row with its event, complete and exact: a line of an export. Whoever has it and the hash before it can
/// compute its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportedEvent {
    /// Its place in the one order.
    pub position: u64,
    /// When it got its place.
    pub ledger_time: DateTime<Utc>,
    /// The kind of stream.
    pub stream_type: String,
    /// Which stream.
    pub stream_id: String,
    /// Its number in the stream.
    pub version: u64,
    /// What kind of event.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The version of its shape, as stored.
    pub event_version: String,
    /// The exact stored payload, personal values sealed.
    pub payload: String,
    /// The exact stored metadata.
    pub metadata: String,
    /// The order in which it was written.
    pub insert_order: i64,
    /// Its identity.
    pub id: Uuid,
    /// When the server decided it.
    pub recorded_at: DateTime<Utc>,
    /// Who acted.
    pub actor_id: Uuid,
    /// Its link of the chain.
    #[serde(with = "hex::serde")]
    pub hash: Hash,
    /// The link before it.
    #[serde(with = "hex::serde")]
    pub previous_hash: Hash,
}

impl ExportedEvent {
    /// The link that this event makes after `previous`. The row is untouched if it equals `hash`.
    #[must_use]
    pub fn link(&self, previous: &Hash) -> Hash {
        let mut event = Sha256::new();
        let mut field = |bytes: &[u8]| {
            event.update((bytes.len() as u32).to_be_bytes());
            event.update(bytes);
        };
        field(RULES);
        field(&self.position.to_be_bytes());
        field(&time(self.ledger_time));
        field(self.stream_type.as_bytes());
        field(self.stream_id.as_bytes());
        field(&self.version.to_be_bytes());
        field(self.event_type.as_bytes());
        field(self.event_version.as_bytes());
        field(self.payload.as_bytes());
        field(self.metadata.as_bytes());
        field(&self.insert_order.to_be_bytes());
        field(self.id.as_bytes());
        field(&time(self.recorded_at));
        field(self.actor_id.as_bytes());
        link(previous, &event.finalize().into())
    }
}

fn time(time: DateTime<Utc>) -> [u8; 8] {
    time.timestamp_micros().saturating_sub(POSTGRES_EPOCH).to_be_bytes()
}

/// The link that an event with this digest makes after `previous`.
pub(crate) fn link(previous: &Hash, digest: &Hash) -> Hash {
    Sha256::new().chain_update(previous).chain_update(digest).finalize().into()
}

/// The stored link at a position; zeros before the first. `None` if there is none.
pub(crate) async fn hash_at(connection: &mut PgConnection, position: u64) -> Result<Option<Hash>, sqlx::Error> {
    if position == 0 {
        return Ok(Some(GENESIS));
    }
    let hash: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM es.ledger WHERE position = $1")
        .bind(position.min(i64::MAX.unsigned_abs()).cast_signed())
        .fetch_optional(connection)
        .await?;
    Ok(hash.and_then(|hash| hash.try_into().ok()))
}
