//! Reading events in the one order of the ledger.

use chrono::{DateTime, Utc};
use domain::{Recorded, StreamKey, StreamKind};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};
use uuid::Uuid;

use crate::decode::{EVENT_COLUMNS, StoredEvent, stream_key};
use crate::{DecodeError, Store, StoreError};

/// Rows of one page at most.
const PAGE_LIMIT: u32 = 10_000;
/// The columns that a [`LedgerRow`] is read from besides [`EVENT_COLUMNS`], of es.ledger as `l`.
const LEDGER_COLUMNS: &str = "l.position, l.ledger_time, l.aggregate_type AS stream_type, l.aggregate_id AS stream_id, \
     l.sequence AS stream_sequence, l.event_id AS ledger_event_id, l.event_type AS ledger_event_type, l.actor_id";

/// One row of the ledger with its event. A row that cannot be read is an error in itself, not of the page, so that a
/// reader can park its stream and go on with the others.
#[derive(Debug, Clone)]
pub struct LedgerRow {
    /// Its place in the one order, from 1, without gaps.
    pub position: u64,
    /// When it got its place; never falls from one position to the next.
    pub ledger_time: DateTime<Utc>,
    /// The kind of stream, by its stored name.
    pub aggregate_type: String,
    /// Which stream, as stored.
    pub aggregate_id: String,
    /// The stream, if it is of a kind that this code knows.
    pub key: Option<StreamKey>,
    /// The event's number in its stream.
    pub sequence: u64,
    /// Its identity.
    pub event_id: Uuid,
    /// What kind of event.
    pub event_type: String,
    /// Who acted; nil for the system and the worker.
    pub actor_id: Uuid,
    /// The event, or why this code cannot read it.
    pub recorded: Result<Recorded, DecodeError>,
}

impl Store {
    /// The events after position `after`, in order, at most `limit` (and 10,000).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails or a key cannot be unwrapped.
    pub async fn ledger(&self, after: u64, limit: u32) -> Result<Vec<LedgerRow>, StoreError> {
        let mut connection = self.0.pool.acquire().await?;
        self.ledger_on(&mut connection, after, limit).await
    }

    /// As [`Store::ledger`], on a connection that the caller has already, inside its transaction if it has one.
    ///
    /// # Errors
    ///
    /// As [`Store::ledger`].
    pub async fn ledger_on(
        &self,
        connection: &mut PgConnection,
        after: u64,
        limit: u32,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        // Positions have no gaps, so the page is a range: that keeps the plan right at every size.
        let rows = sqlx::query(&format!(
            "SELECT {LEDGER_COLUMNS}, {EVENT_COLUMNS}
             FROM es.ledger l LEFT JOIN es.events e USING (aggregate_type, aggregate_id, sequence)
             WHERE l.position > $1 AND l.position <= $1 + $2 ORDER BY l.position"
        ))
        .bind(after.cast_signed())
        .bind(i64::from(limit.min(PAGE_LIMIT)))
        .fetch_all(&mut *connection)
        .await?;
        self.ledger_rows(connection, rows).await
    }

    /// The events of these kinds of stream after position `after` up to `to` (and 10,000 positions), in order. Events of
    /// streams of a kind that this code does not know are among them: who reads only some kinds should not miss that
    /// there are new ones.
    ///
    /// # Errors
    ///
    /// As [`Store::ledger`].
    pub async fn ledger_of_kinds(
        &self,
        kinds: &[StreamKind],
        after: u64,
        to: u64,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        let others: Vec<&str> =
            StreamKind::ALL.iter().filter(|kind| !kinds.contains(kind)).map(|kind| kind.as_str()).collect();
        let mut connection = self.0.pool.acquire().await?;
        let rows = sqlx::query(&format!(
            "SELECT {LEDGER_COLUMNS}, {EVENT_COLUMNS}
             FROM es.ledger l LEFT JOIN es.events e USING (aggregate_type, aggregate_id, sequence)
             WHERE l.position > $1 AND l.position <= $2 AND l.aggregate_type <> ALL ($3) ORDER BY l.position"
        ))
        .bind(after.cast_signed())
        .bind(to.min(after + u64::from(PAGE_LIMIT)).cast_signed())
        .bind(others)
        .fetch_all(&mut *connection)
        .await?;
        self.ledger_rows(&mut connection, rows).await
    }

    /// The events of these streams after position `after` up to `to`, in order, at most `limit` (and 10,000), on a
    /// connection that the caller has already.
    ///
    /// # Errors
    ///
    /// As [`Store::ledger`].
    pub async fn ledger_of_streams_on(
        &self,
        connection: &mut PgConnection,
        streams: &[StreamKey],
        after: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        let (kinds, ids): (Vec<&str>, Vec<String>) =
            streams.iter().map(|stream| (stream.kind.as_str(), stream.id.to_string())).unzip();
        let rows = sqlx::query(&format!(
            "SELECT {LEDGER_COLUMNS}, {EVENT_COLUMNS}
             FROM es.ledger l LEFT JOIN es.events e USING (aggregate_type, aggregate_id, sequence)
             WHERE (l.aggregate_type, l.aggregate_id) IN (SELECT k, i FROM unnest($1::text[], $2::text[]) s(k, i))
               AND l.position > $3 AND l.position <= $4 ORDER BY l.position LIMIT $5"
        ))
        .bind(kinds)
        .bind(ids)
        .bind(after.cast_signed())
        .bind(to.cast_signed())
        .bind(i64::from(limit.min(PAGE_LIMIT)))
        .fetch_all(&mut *connection)
        .await?;
        self.ledger_rows(connection, rows).await
    }

    async fn ledger_rows(&self, connection: &mut PgConnection, rows: Vec<PgRow>) -> Result<Vec<LedgerRow>, StoreError> {
        let events = rows
            .iter()
            .map(|row| {
                let there = row.try_get::<Option<Uuid>, _>("event_id")?.is_some();
                there.then(|| StoredEvent::from_row(row)).transpose()
            })
            .collect::<Result<Vec<Option<StoredEvent>>, sqlx::Error>>()?;
        let keys = self.key_ring(connection, events.iter().flatten()).await?;
        rows.iter()
            .zip(events)
            .map(|(row, event)| {
                let aggregate_type: String = row.try_get("stream_type")?;
                let aggregate_id: String = row.try_get("stream_id")?;
                Ok(LedgerRow {
                    position: row.try_get::<i64, _>("position")?.unsigned_abs(),
                    ledger_time: row.try_get("ledger_time")?,
                    key: stream_key(&aggregate_type, &aggregate_id),
                    aggregate_type,
                    aggregate_id,
                    sequence: row.try_get::<i64, _>("stream_sequence")?.unsigned_abs(),
                    event_id: row.try_get("ledger_event_id")?,
                    event_type: row.try_get("ledger_event_type")?,
                    actor_id: row.try_get("actor_id")?,
                    recorded: event.ok_or(DecodeError::Missing).and_then(|event| event.recorded(&keys)),
                })
            })
            .collect()
    }

    /// The highest position; 0 in an empty ledger.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn head(&self) -> Result<u64, StoreError> {
        let head: i64 =
            sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM es.ledger").fetch_one(&self.0.pool).await?;
        Ok(head.unsigned_abs())
    }

    /// The last position whose ledger time is not after `time`; 0 if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn position_at_time(&self, time: DateTime<Utc>) -> Result<u64, StoreError> {
        let position: i64 = sqlx::query_scalar("SELECT es.position_at($1)").bind(time).fetch_one(&self.0.pool).await?;
        Ok(position.unsigned_abs())
    }

    /// The number of the stream's last event at or before `position`, and that event's position; `None` if the stream
    /// did not exist then.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn version_at(&self, key: StreamKey, position: u64) -> Result<Option<(u64, u64)>, StoreError> {
        let found: Option<(i64, i64)> = sqlx::query_as(
            "SELECT sequence, position FROM es.ledger
             WHERE aggregate_type = $1 AND aggregate_id = $2 AND position <= $3 ORDER BY sequence DESC LIMIT 1",
        )
        .bind(key.kind.as_str())
        .bind(key.id.to_string())
        .bind(position.min(i64::MAX.unsigned_abs()).cast_signed())
        .fetch_optional(&self.0.pool)
        .await?;
        Ok(found.map(|(sequence, position)| (sequence.unsigned_abs(), position.unsigned_abs())))
    }
}
