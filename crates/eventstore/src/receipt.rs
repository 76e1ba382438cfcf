//! What commands leave behind beside their events: for repetitions of the same command, and only for a time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::StreamKey;
use serde_json::Value;
use sqlx::Row;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::append::answer_place;
use crate::personal::open_bytes;
use crate::{Store, StoreError};

/// One batch of receipts that are old enough. The lock keeps several instances from taking the same rows. They lie in the
/// table as they were written, so the oldest are found first.
const FORGET: &str = "
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended('retention:receipts', 0)) AS mine
)
DELETE FROM es.command_receipts WHERE ctid = ANY (ARRAY(
    SELECT r.ctid FROM es.command_receipts r
    WHERE (SELECT mine FROM turn) AND r.recorded_at < clock_timestamp() - make_interval(secs => $1) LIMIT $2))";

/// What a command left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The digest of its request, if it had one.
    pub request_hash: Option<[u8; 32]>,
    /// The streams it appended to, with first and last sequence.
    pub streams: Vec<(StreamKey, u64, u64)>,
    /// The answer kept by [`crate::Session::answer`]; none once the account's key is destroyed.
    pub answer: Option<Vec<u8>>,
    /// When.
    pub recorded_at: DateTime<Utc>,
}

impl Store {
    /// What the command `id` left behind; `None` if it had no effect so far, or its receipt is no longer kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails or the receipt cannot be read.
    pub async fn receipt(&self, command_id: Uuid) -> Result<Option<Receipt>, StoreError> {
        let mut connection = self.0.pool.acquire().await?;
        let row = sqlx::query(
            "SELECT request_hash, outcome, subject, answer, recorded_at FROM es.command_receipts WHERE command_id = $1",
        )
        .bind(command_id)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let outcome: Value = row.try_get("outcome")?;
        let subject: Uuid = row.try_get("subject")?;
        let place = answer_place(command_id);
        let answer = match row.try_get::<Option<Vec<u8>>, _>("answer")? {
            None => None,
            Some(sealed) if subject.is_nil() => open_bytes(&self.0.own_key, &sealed, &place),
            Some(sealed) => {
                let ring = self.0.keys.ring(&mut connection, [subject]).await?;
                ring.get(subject).and_then(|key| open_bytes(key, &sealed, &place))
            }
        };
        let hash: Option<Vec<u8>> = row.try_get("request_hash")?;
        Ok(Some(Receipt {
            request_hash: hash.and_then(|hash| hash.try_into().ok()),
            streams: outcome["streams"].as_array().into_iter().flatten().filter_map(appended).collect(),
            answer,
            recorded_at: row.try_get("recorded_at")?,
        }))
    }

    /// Removes receipts that are older than `kept`, with the answers in them, at most `at_most`; returns how many. None
    /// while another instance is at it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn forget_receipts(&self, kept: Duration, at_most: i64) -> Result<u64, StoreError> {
        let removed = sqlx::query(FORGET).bind(kept.as_secs_f64()).bind(at_most).execute(&self.0.pool).await?;
        Ok(removed.rows_affected())
    }

    /// The positions of these events, each if it has one; waits for missing ones at most `within`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn positions(
        &self,
        events: &[(StreamKey, u64)],
        within: Duration,
    ) -> Result<Vec<Option<u64>>, StoreError> {
        let until = Instant::now() + within;
        let mut ledger = self.signals().ledger();
        loop {
            ledger.mark_unchanged();
            let found = self.look_up_positions(events).await?;
            let complete = found.iter().all(Option::is_some);
            if complete || !matches!(timeout_at(until, ledger.changed()).await, Ok(Ok(()))) {
                return Ok(found);
            }
        }
    }

    async fn look_up_positions(&self, events: &[(StreamKey, u64)]) -> Result<Vec<Option<u64>>, StoreError> {
        let positions: Vec<Option<i64>> = sqlx::query_scalar(
            "SELECT l.position FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY n(t, id, s, ord)
             LEFT JOIN es.ledger l ON l.aggregate_type = n.t AND l.aggregate_id = n.id AND l.sequence = n.s
             ORDER BY n.ord",
        )
        .bind(events.iter().map(|(stream, _)| stream.kind.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|(stream, _)| stream.id.to_string()).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, sequence)| sequence.cast_signed()).collect::<Vec<_>>())
        .fetch_all(&self.0.pool)
        .await?;
        Ok(positions.into_iter().map(|position| position.map(i64::unsigned_abs)).collect())
    }
}

fn appended(stream: &Value) -> Option<(StreamKey, u64, u64)> {
    let key = crate::decode::stream_key(stream["type"].as_str()?, stream["id"].as_str()?)?;
    Some((key, stream["from"].as_u64()?, stream["to"].as_u64()?))
}
