//! The relay: every row of the ledger goes out as one message, and the message's sequence is the row's position.
//!
//! It keeps no checkpoint of its own: the stream's last sequence is one. Each message is published only if the one
//! before it is the last in the stream, so a second relay, or one that woke up late, is refused by the server itself. It
//! then takes its place anew from the stream, as after any error.

use std::convert::Infallible;
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Stream;
use domain::account::claims::JOB_SLOT;
use eventstore::Store;
use eventstore::failpoint::{self, Point};
use sqlx::Row as _;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, BusError, BusStatus, Envelope};
use crate::sight::sight;

/// How many rows are read at a time, and so how many messages wait for their acknowledgement.
const BATCH: i64 = 256;
/// How often an idle relay looks whether the stream is still there and where it stands.
const LOOK: Duration = Duration::from_secs(2);
/// The first pause after an error; it doubles up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Publishes until `cancel`. Errors are logged once and followed by another try.
pub async fn run(store: Store, bus: Bus, cancel: CancellationToken) {
    let mut pause = MIN_PAUSE;
    // For the gauge alone; until the stream was first seen all of the ledger counts as not published.
    let mut published = 0;
    loop {
        let began = Instant::now();
        // It may be left at any point: the stream alone says how far it came.
        let Some(Err(error)) = cancel.run_until_cancelled(publish(&store, &bus, &mut published)).await else { return };
        note_lag(*store.signals().ledger().borrow(), published);
        let status = match &error {
            // Another relay does the same work; this one stands by.
            BusError::Overtaken => BusStatus::Up,
            BusError::AheadOfLedger { .. } | BusError::OtherLedger { .. } => BusStatus::AheadOfLedger,
            BusError::TooOld | BusError::NotConnected | BusError::JetStream(_) | BusError::Database(_) => {
                BusStatus::Down
            }
        };
        if bus.note(status) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the relay stopped, it will try again");
        }
        if status == BusStatus::Up || began.elapsed() > MAX_PAUSE {
            pause = MIN_PAUSE;
        }
        if cancel.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Takes its place from the stream, then publishes what follows, until an error.
async fn publish(store: &Store, bus: &Bus, position: &mut u64) -> Result<Infallible, BusError> {
    let mut heads = store.signals().ledger();
    let mut stream = bus.stream(first_needed(store).await?).await?;
    *position = place(store, &mut stream).await?;
    is_of_this_ledger(store, bus, &stream).await?;
    let mut looked = Instant::now();
    bus.note(BusStatus::Up);
    loop {
        let head = *heads.borrow_and_update();
        loop {
            let rows = rows(store, *position).await?;
            let Some(last) = rows.last().map(|row| row.position) else { break };
            failpoint::reach(Point::RelayBefore).await.map_err(BusError::database)?;
            send(bus, *position, rows).await?;
            failpoint::reach(Point::RelayAfter).await.map_err(BusError::database)?;
            *position = last;
        }
        note_lag(head, *position);
        if looked.elapsed() >= LOOK {
            *position = place(store, &mut stream).await?;
            looked = Instant::now();
        }
        // This changes every 200 ms, whether or not the ledger has grown.
        heads.changed().await.map_err(BusError::database)?;
    }
}

fn note_lag(head: u64, published: u64) {
    metrics::gauge!("relay_lag_events").set(head.saturating_sub(published) as f64);
}

/// The position of the last message in the stream.
async fn place(store: &Store, stream: &mut Stream) -> Result<u64, BusError> {
    let last = stream.info().await.map_err(BusError::jetstream)?.state.last_sequence;
    let head = store.head().await.map_err(BusError::database)?;
    if last > head { Err(BusError::AheadOfLedger { stream: last, ledger: head }) } else { Ok(last) }
}

/// The stream may have been away while an older backup was restored and grew beyond it.
async fn is_of_this_ledger(store: &Store, bus: &Bus, stream: &Stream) -> Result<(), BusError> {
    let sight = sight(stream, bus.epoch()).await?;
    if sight.event.is_some() && sight.contradicts(store).await? {
        return Err(BusError::OtherLedger { position: sight.position });
    }
    Ok(())
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
    .bind(JOB_SLOT)
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
            Ok(Envelope {
                position: row.try_get::<i64, _>("position")?.unsigned_abs(),
                stream_type: row.try_get("aggregate_type")?,
                stream_id: row.try_get("aggregate_id")?,
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
    let mut waiting = Vec::with_capacity(rows.len());
    for envelope in rows {
        let payload = serde_json::to_vec(&envelope).map_err(BusError::jetstream)?;
        let message = PublishMessage::build().payload(payload.into()).expected_last_sequence(last);
        let subject = bus.subject(&envelope.stream_type, &envelope.event_type);
        waiting.push(bus.context().send_publish(subject, message).await.map_err(BusError::jetstream)?);
        last = envelope.position;
    }
    failpoint::reach(Point::RelaySent).await.map_err(BusError::database)?;
    for acknowledged in waiting {
        acknowledged.await.map_err(|error| match error.kind() {
            PublishErrorKind::WrongLastSequence => BusError::Overtaken,
            _ => BusError::jetstream(error),
        })?;
    }
    Ok(())
}
