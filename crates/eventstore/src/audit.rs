//! Reading events as auditors do: by stream, actor, type, course of events, position and time, with their proofs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{Metadata, StreamKind};
use serde_json::Value;
use sqlx::{FromRow, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::chain::GENESIS;
use crate::decode::{self, EVENT_COLUMNS, StoredEvent, schema_version};
use crate::{DecodeError, Store, StoreError};

/// Events of one page at most.
const PAGE_LIMIT: u32 = 500;

/// Which events; every condition that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Of this kind of stream.
    pub stream_kind: Option<StreamKind>,
    /// Of this stream.
    pub stream_id: Option<Uuid>,
    /// Of one of these types; empty: of any.
    pub event_types: Vec<String>,
    /// By this account; nil: by the system or the worker.
    pub actor: Option<Uuid>,
    /// About this data subject: the streams it owns.
    pub subject: Option<Uuid>,
    /// In this course of events.
    pub correlation_id: Option<String>,
    /// At this position or after it.
    pub from_position: Option<u64>,
    /// At this position or before it.
    pub to_position: Option<u64>,
    /// Recorded at this time or after it.
    pub from: Option<DateTime<Utc>>,
    /// Recorded before this time.
    pub to: Option<DateTime<Utc>>,
    /// The newest first.
    pub descending: bool,
    /// Beyond this position in the order of the page: the `next` of the page before.
    pub after: Option<u64>,
    /// Events at most, 1 to 500.
    pub limit: u32,
}

/// A page of events, and what follows.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The events, in the order asked for.
    pub events: Vec<AuditedEvent>,
    /// The cursor of the page after this one, if there may be one.
    pub next: Option<u64>,
    /// The highest position when the page was read.
    pub head: u64,
}

/// An event with its proofs, as auditors read it.
#[derive(Debug, Clone)]
pub struct AuditedEvent {
    /// Its place in the one order.
    pub position: u64,
    /// Its identity.
    pub event_id: Uuid,
    /// The kind of stream, by its stored name.
    pub aggregate_type: String,
    /// Which stream, as stored.
    pub aggregate_id: String,
    /// Its number in the stream.
    pub sequence: u64,
    /// What kind of event.
    pub event_type: String,
    /// The version of its stored shape.
    pub schema_version: u32,
    /// When the server decided it.
    pub recorded_at: DateTime<Utc>,
    /// Who, why and in which course of events.
    pub metadata: Result<Metadata, DecodeError>,
    /// The payload as it was stored, without its type: personal values opened, erased ones as `[erased]`.
    pub payload: Result<Value, DecodeError>,
    /// Its link of the hash chain.
    pub hash: [u8; 32],
    /// The link before it; zeros before the first.
    pub previous_hash: [u8; 32],
}

/// An event without a place in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The kind of stream, by its stored name.
    pub aggregate_type: String,
    /// Which stream, as stored.
    pub aggregate_id: String,
    /// Its number in the stream.
    pub sequence: i64,
    /// When it says it was recorded.
    pub recorded_at: DateTime<Utc>,
}

impl Store {
    /// One page of events that meet the query's conditions.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails or a key cannot be unwrapped.
    pub async fn audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        let limit = query.limit.clamp(1, PAGE_LIMIT);
        let mut connection = self.0.pool.acquire().await?;
        let mut sql = selection(&query);
        sql.push(if query.descending { " ORDER BY l.position DESC" } else { " ORDER BY l.position" });
        sql.push(" LIMIT ").push_bind(i64::from(limit));
        // Asked first: what the page holds is then never beyond the head.
        let rows = sql.build().fetch_all(&mut *connection).await?;
        let head: i64 =
            sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM es.ledger").fetch_one(&mut *connection).await?;
        let stored = rows.iter().map(StoredEvent::from_row).collect::<Result<Vec<_>, _>>()?;
        let keys = self.key_ring(&mut connection, &stored).await?;
        let events = rows
            .iter()
            .zip(stored)
            .map(|(row, event)| {
                Ok(AuditedEvent {
                    position: row.try_get::<i64, _>("position")?.unsigned_abs(),
                    hash: hash(row.try_get("hash")?),
                    previous_hash: row.try_get::<Option<_>, _>("previous_hash")?.map_or(GENESIS, hash),
                    payload: event.readable_payload(&keys),
                    metadata: serde_json::from_str(&event.metadata)
                        .map_err(|error| DecodeError::Metadata { column: error.column() }),
                    schema_version: schema_version(&event.event_version),
                    event_id: event.event_id,
                    aggregate_type: event.aggregate_type,
                    aggregate_id: event.aggregate_id,
                    sequence: event.sequence.unsigned_abs(),
                    event_type: event.event_type,
                    recorded_at: event.recorded_at,
                })
            })
            .collect::<Result<Vec<_>, sqlx::Error>>()?;
        let full = events.len() == limit as usize;
        Ok(AuditPage {
            next: events.last().filter(|_| full).map(|event| event.position),
            events,
            head: head.unsigned_abs(),
        })
    }

    /// Events older than `grace` that have no place in the ledger and so are in no read model and no proof: there are
    /// none, unless somebody wrote behind the store's back. Reads every event; at most `limit` (and 1,000) are named.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn strays(&self, grace: Duration, limit: u32) -> Result<Vec<Stray>, StoreError> {
        let before = self.clock().now() - chrono::TimeDelta::from_std(grace).unwrap_or_default();
        let rows: Vec<(String, String, i64, DateTime<Utc>)> = sqlx::query_as(
            "SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.recorded_at FROM es.events e
             WHERE e.recorded_at < $1 AND NOT EXISTS (
                 SELECT FROM es.ledger l WHERE l.aggregate_type = e.aggregate_type
                 AND l.aggregate_id = e.aggregate_id AND l.sequence = e.sequence)
             ORDER BY e.aggregate_type, e.aggregate_id, e.sequence LIMIT $2",
        )
        .bind(before)
        .bind(i64::from(limit.min(1_000)))
        .fetch_all(&self.0.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(aggregate_type, aggregate_id, sequence, recorded_at)| Stray {
                aggregate_type,
                aggregate_id,
                sequence,
                recorded_at,
            })
            .collect())
    }
}

fn selection(query: &AuditQuery) -> QueryBuilder<'static, Postgres> {
    let mut sql = QueryBuilder::new(format!(
        "SELECT l.position, l.hash, {EVENT_COLUMNS},
                (SELECT p.hash FROM es.ledger p WHERE p.position = l.position - 1) AS previous_hash
         FROM es.ledger l JOIN es.events e USING (aggregate_type, aggregate_id, sequence) WHERE true"
    ));
    if let Some(kind) = query.stream_kind {
        sql.push(" AND l.aggregate_type = ").push_bind(kind.as_str());
    }
    if let Some(id) = query.stream_id {
        sql.push(" AND l.aggregate_id = ").push_bind(id.to_string());
    }
    if !query.event_types.is_empty() {
        sql.push(" AND l.event_type = ANY (").push_bind(query.event_types.clone()).push(")");
    }
    if let Some(actor) = query.actor {
        sql.push(" AND l.actor_id = ").push_bind(actor);
    }
    if let Some(subject) = query.subject {
        sql.push(" AND e.metadata->>'subject' = ").push_bind(subject.to_string());
    }
    if let Some(correlation_id) = &query.correlation_id {
        sql.push(" AND e.metadata->>'correlation_id' = ").push_bind(correlation_id.clone());
    }
    if let Some(from) = query.from {
        sql.push(" AND e.recorded_at >= ").push_bind(from);
    }
    if let Some(to) = query.to {
        sql.push(" AND e.recorded_at < ").push_bind(to);
    }
    let (mut low, mut high) = (query.from_position.unwrap_or(0), query.to_position.unwrap_or(u64::MAX));
    match query.after {
        Some(after) if query.descending => high = high.min(after.saturating_sub(1)),
        Some(after) => low = low.max(after.saturating_add(1)),
        None => (),
    }
    let bound = |position: u64| position.min(i64::MAX.unsigned_abs()).cast_signed();
    sql.push(" AND l.position >= ").push_bind(bound(low));
    sql.push(" AND l.position <= ").push_bind(bound(high));
    sql
}

/// The table admits 32 bytes only.
fn hash(bytes: Vec<u8>) -> [u8; 32] {
    bytes.try_into().unwrap_or(GENESIS)
}

/// Names the stream and event of an audited event that cannot be read.
impl AuditedEvent {
    /// The payload.
    ///
    /// # Errors
    ///
    /// [`StoreError::Decode`] if a sealed value in it does not open.
    pub fn into_payload(self) -> Result<Value, StoreError> {
        let Self { aggregate_type, aggregate_id, sequence, payload, .. } = self;
        payload.map_err(|error| decode::failed(&aggregate_type, &aggregate_id, sequence.cast_signed(), error))
    }
}
