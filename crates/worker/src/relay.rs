//! The relay: every row of the ledger goes out as one message, and the message's sequence is the row's position.
//!
//! It keeps no checkpoint of its own: the stream's last sequence is one. Each message is published only if the one
//! before it is the last in the stream, so a second relay, or one that woke up late, is refused by the server itself.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use domain::StreamKind;
use eventstore::Store;
use sqlx::Row as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bus::{Bus, BusError, BusStatus, Envelope};

/// How many rows are read at a time, and so how many messages wait for their acknowledgement.
const BATCH: i64 = 256;
/// The first pause after an error; it doubles up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Publishes until `cancel`. Errors are logged once and followed by another try.
pub async fn run(store: Store, bus: Bus, cancel: CancellationToken) {
    let mut pause = MIN_PAUSE;
    while !cancel.is_cancelled() {
        match publish(&store, &bus, &cancel).await {
            Ok(()) => pause = MIN_PAUSE,
            Err(error) => {
                let ahead = matches!(error, BusError::AheadOfLedger { .. });
                let status = if ahead { BusStatus::AheadOfLedger } else { BusStatus::Down };
                if bus.status() != status {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the relay stopped, it will try again");
                }
                bus.note(status);
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_PAUSE),
                }
            }
        }
    }
}

/// Takes its place from the stream, then publishes what follows, until an error or `cancel`.
async fn publish(store: &Store, bus: &Bus, cancel: &CancellationToken) -> Result<(), BusError> {
    let first = first_needed(store).await?;
    let mut stream = bus.stream(first).await?;
    let mut position = stream.info().await.map_err(BusError::jetstream)?.state.last_sequence.max(first - 1);
    let head = store.head().await.map_err(BusError::database)?;
    if position > head {
        return Err(BusError::AheadOfLedger { stream: position, ledger: head });
    }
    bus.note(BusStatus::Up);
    let mut heads = store.signals().ledger();
    loop {
        heads.borrow_and_update();
        loop {
            let rows = rows(store, position).await?;
            let Some(last) = rows.last().map(|row| row.position) else { break };
            send(bus, position, rows).await?;
            position = last;
            metrics::gauge!("relay_position").set(position as f64);
        }
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            changed = heads.changed() => if changed.is_err() { return Ok(()) },
            () = tokio::time::sleep(MAX_PAUSE) => (),
        }
    }
}

/// Where a stream that is made anew begins: at the oldest generation that has not ended, else after the ledger's head.
async fn first_needed(store: &Store) -> Result<u64, BusError> {
    let first: i64 = sqlx::query_scalar(
        "SELECT coalesce(
             (SELECT min(l.position) FROM es.claims c
                JOIN es.ledger l ON l.aggregate_type = 'proposal' AND l.aggregate_id = c.holder::text AND l.sequence = 1
               WHERE c.kind = $1),
             (SELECT max(position) + 1 FROM es.ledger), 1)",
    )
    .bind(domain::account::claims::JOB_SLOT)
    .fetch_one(store.pool())
    .await
    .map_err(BusError::database)?;
    Ok(first.unsigned_abs())
}

async fn rows(store: &Store, after: u64) -> Result<Vec<Envelope>, BusError> {
    let rows = sqlx::query(
        "SELECT position, aggregate_type, aggregate_id, event_type, event_id FROM es.ledger
          WHERE position > $1 ORDER BY position LIMIT $2",
    )
    .bind(after.cast_signed())
    .bind(BATCH)
    .fetch_all(store.pool())
    .await
    .map_err(BusError::database)?;
    rows.iter()
        .map(|row| {
            let kind: &str = row.try_get("aggregate_type")?;
            let id: &str = row.try_get("aggregate_id")?;
            let wrong = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
            Ok(Envelope {
                position: row.try_get::<i64, _>("position")?.unsigned_abs(),
                stream_type: kind.parse::<StreamKind>().map_err(|error| wrong(error.into()))?,
                stream_id: id.parse::<Uuid>().map_err(|error| wrong(error.into()))?,
                event_type: row.try_get("event_type")?,
                event_id: row.try_get("event_id")?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(BusError::database)
}

/// Publishes the rows one after the other without waiting in between; the server refuses what does not follow.
async fn send(bus: &Bus, after: u64, rows: Vec<Envelope>) -> Result<(), BusError> {
    let mut last = after;
    let mut waiting = VecDeque::with_capacity(rows.len());
    for envelope in rows {
        let payload = serde_json::to_vec(&envelope).map_err(BusError::jetstream)?;
        let message = PublishMessage::build().payload(payload.into()).expected_last_sequence(last);
        let subject = bus.subject(envelope.stream_type, &envelope.event_type);
        let acknowledged = bus.context().send_publish(subject, message).await.map_err(BusError::jetstream)?;
        waiting.push_back((envelope.position, acknowledged));
        last = envelope.position;
    }
    for (position, acknowledged) in waiting {
        let stored = acknowledged.await.map_err(BusError::jetstream)?;
        if stored.sequence != position {
            return Err(BusError::AheadOfLedger { stream: stored.sequence, ledger: position });
        }
    }
    Ok(())
}
