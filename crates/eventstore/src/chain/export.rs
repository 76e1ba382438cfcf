//! The ledger as whoever verifies it elsewhere gets it.

use futures::stream::{self, Stream};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};

use super::{ExportedEvent, GENESIS, hash_at};
use crate::evidence::Hash;
use crate::{Store, StoreError};

/// Rows read at once.
const PAGE: u64 = 2_000;

impl Store {
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
    previous: Option<Hash>,
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
            let last = to.min(self.next + PAGE - 1);
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

/// A ledger row with its event, if that is there and says the same as the ledger.
struct Link {
    position: u64,
    event: Option<ExportedEvent>,
}

impl FromRow<'_, PgRow> for Link {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let position = row.try_get::<i64, _>("position")?.unsigned_abs();
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
                hash: row.try_get::<Vec<u8>, _>("hash")?.try_into().unwrap_or(GENESIS),
                previous_hash: GENESIS,
            })
        } else {
            None
        };
        Ok(Self { position, event })
    }
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
