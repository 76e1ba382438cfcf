//! The hash chain: computed by the database as it numbers events, and here again by whoever checks it.
//!
//! `hash(n) = SHA-256(hash(n − 1) ‖ digest(n))`, with 32 zero bytes before the first. `digest` is the SHA-256 of every
//! column of the event with its position and ledger time; each field is preceded by its length in four bytes,
//! big-endian. Numbers are eight bytes; times are microseconds since 2000-01-01T00:00:00Z in eight bytes; texts are
//! UTF-8; payload and metadata are the exact stored texts. See `es.event_digest` in the migrations.

use chrono::{DateTime, Utc};
use futures::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};
use uuid::Uuid;

use crate::{Store, StoreError};

/// What stands before the first event.
pub const GENESIS: [u8; 32] = [0; 32];

/// The first field of every digest: which rules it was made by.
const RULES: &[u8] = b"allegiant-ledger-1";
/// Microseconds from 1970 to 2000, where PostgreSQL's times begin.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
/// Rows read at once.
const PAGE: i64 = 2_000;

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
    pub hash: [u8; 32],
    /// The link before it.
    #[serde(with = "hex::serde")]
    pub previous_hash: [u8; 32],
}

impl ExportedEvent {
    /// The link that this event makes after `previous`. The row is untouched if it equals `hash`.
    #[must_use]
    pub fn link(&self, previous: &[u8; 32]) -> [u8; 32] {
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
        Sha256::new().chain_update(previous).chain_update(event.finalize()).finalize().into()
    }
}

fn time(time: DateTime<Utc>) -> [u8; 8] {
    time.timestamp_micros().saturating_sub(POSTGRES_EPOCH).to_be_bytes()
}

/// What a check of the chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainVerdict {
    /// The first position checked.
    pub from: u64,
    /// The last position checked.
    pub to: u64,
    /// How many rows were found good.
    pub checked: u64,
    /// The first position whose row is missing, or is not what was hashed.
    pub first_mismatch: Option<u64>,
}

impl ChainVerdict {
    /// Whether every position of the range is there and untouched.
    #[must_use]
    pub const fn ok(&self) -> bool {
        self.first_mismatch.is_none()
    }
}

/// A ledger row with its event, if that is there and says the same as the ledger.
struct Link {
    position: u64,
    hash: Vec<u8>,
    event: Option<ExportedEvent>,
}

impl FromRow<'_, PgRow> for Link {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let position = row.try_get::<i64, _>("position")?.unsigned_abs();
        let hash: Vec<u8> = row.try_get("hash")?;
        let event = if row.try_get("same")? {
            Some(ExportedEvent {
                position,
                ledger_time: row.try_get("ledger_time")?,
                stream_type: row.try_get("aggregate_type")?,
                stream_id: row.try_get("aggregate_id")?,
                version: row.try_get::<i64, _>("sequence")?.unsigned_abs(),
                event_type: row.try_get("event_type")?,
                event_version: row.try_get("event_version")?,
                payload: row.try_get_unchecked("payload")?,
                metadata: row.try_get_unchecked("metadata")?,
                insert_order: row.try_get("insert_order")?,
                id: row.try_get("event_id")?,
                recorded_at: row.try_get("recorded_at")?,
                actor_id: row.try_get("actor_id")?,
                hash: hash.clone().try_into().unwrap_or(GENESIS),
                previous_hash: GENESIS,
            })
        } else {
            None
        };
        Ok(Self { position, hash, event })
    }
}

impl Store {
    /// Computes the chain of the positions `from` to `to` again, both included and cut to what there is, starting from
    /// the stored hash before them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails. A broken chain is a verdict, not an error.
    pub async fn verify_chain(&self, from: u64, to: u64) -> Result<ChainVerdict, StoreError> {
        let from = from.max(1);
        let to = to.min(self.head().await?);
        let mut verdict = ChainVerdict { from, to, checked: 0, first_mismatch: None };
        let mut connection = self.0.pool.acquire().await?;
        let mut expected = from;
        let Some(mut previous) = hash_at(&mut connection, from - 1).await? else {
            verdict.first_mismatch = Some(from - 1);
            return Ok(verdict);
        };
        while expected <= to {
            let last = to.min(expected + PAGE.unsigned_abs() - 1);
            let links = links(&mut connection, expected, last).await?;
            for link in &links {
                let computed = link.event.as_ref().map(|event| event.link(&previous));
                if link.position != expected || computed.as_ref().map(<[u8; 32]>::as_slice) != Some(&*link.hash) {
                    verdict.first_mismatch = Some(expected);
                    return Ok(verdict);
                }
                previous = computed.unwrap_or(GENESIS);
                verdict.checked += 1;
                expected += 1;
            }
            if expected <= last {
                verdict.first_mismatch = Some(expected);
                return Ok(verdict);
            }
        }
        Ok(verdict)
    }

    /// Every event from position `from` to `to` (to the head if `None`), in order, as it is stored: enough to verify
    /// the chain without the database. Ends with an error at a position whose event is missing.
    pub fn export(&self, from: u64, to: Option<u64>) -> impl Stream<Item = Result<ExportedEvent, StoreError>> + Send {
        let first = Export { store: self.clone(), next: from.max(1), to, previous: None, page: Vec::new().into_iter() };
        stream::try_unfold(first, Export::step)
    }
}

/// Where an export stands.
struct Export {
    store: Store,
    next: u64,
    to: Option<u64>,
    previous: Option<[u8; 32]>,
    page: std::vec::IntoIter<Link>,
}

impl Export {
    async fn step(mut self) -> Result<Option<(ExportedEvent, Self)>, StoreError> {
        let to = match self.to {
            Some(to) => to,
            // Fixed at the start: an export ends although the ledger grows.
            None => *self.to.insert(self.store.head().await?),
        };
        if self.page.len() == 0 {
            if to < self.next {
                return Ok(None);
            }
            let mut connection = self.store.pool().acquire().await?;
            if self.previous.is_none() {
                self.previous = hash_at(&mut connection, self.next - 1).await?;
            }
            let last = to.min(self.next + PAGE.unsigned_abs() - 1);
            self.page = links(&mut connection, self.next, last).await?.into_iter();
        }
        let Some(link) = self.page.next() else {
            return Ok(None);
        };
        let missing =
            || crate::decode::failed("ledger", "position", link.position.cast_signed(), crate::DecodeError::Missing);
        let mut event = link.event.filter(|event| event.position == self.next).ok_or_else(missing)?;
        event.previous_hash = self.previous.ok_or_else(missing)?;
        self.previous = Some(event.hash);
        self.next += 1;
        Ok(Some((event, self)))
    }
}

async fn hash_at(connection: &mut PgConnection, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
    if position == 0 {
        return Ok(Some(GENESIS));
    }
    let hash: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM es.ledger WHERE position = $1")
        .bind(position.min(i64::MAX.unsigned_abs()).cast_signed())
        .fetch_optional(connection)
        .await?;
    Ok(hash.and_then(|hash| hash.try_into().ok()))
}

async fn links(connection: &mut PgConnection, from: u64, to: u64) -> Result<Vec<Link>, StoreError> {
    let links = sqlx::query_as(
        "SELECT l.position, l.ledger_time, l.hash, l.aggregate_type, l.aggregate_id, l.sequence,
                coalesce((l.event_id, l.event_type, l.actor_id, l.insert_order)
                       = (e.event_id, e.event_type, e.actor_id, e.insert_order), false) AS same,
                e.event_type, e.event_version, e.payload, e.metadata, e.insert_order, e.event_id, e.recorded_at,
                e.actor_id
         FROM es.ledger l LEFT JOIN es.events e USING (aggregate_type, aggregate_id, sequence)
         WHERE l.position >= $1 AND l.position <= $2 ORDER BY l.position",
    )
    .bind(from.cast_signed())
    .bind(to.cast_signed())
    .fetch_all(connection)
    .await?;
    Ok(links)
}
