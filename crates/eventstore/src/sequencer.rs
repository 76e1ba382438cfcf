//! Gives pending events their positions, by calling `es.sequence_pending` until nothing is left to do.
//!
//! Every process has one task for it; appends wake it and several wake-ups become one call. Two rules keep wake-ups from
//! being lost between processes: whoever held the head looks again after its commit, in a statement of its own; and
//! whoever did not get the head repeats its call until its own events are no longer pending.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::StreamKey;
use metrics::gauge;
use sqlx::{PgPool, Row};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::failpoint::{self, Point};
use crate::signals::TICK;
use crate::{Committed, Signals, Store, StoreError};

/// Rows that one call numbers at most.
const BATCH: i32 = 1_000;
/// How soon a call is repeated while another instance holds the head.
const HELD_ELSEWHERE: Duration = Duration::from_millis(2);
/// How soon a call is repeated after the database failed.
const AFTER_FAILURE: Duration = Duration::from_millis(200);
/// Pending rows that the gauge counts at most.
const COUNTED: i64 = 100_000;

/// The process's sequencer task.
#[derive(Clone)]
pub(crate) struct Sequencer(Arc<State>);

struct State {
    pool: PgPool,
    signals: Signals,
    /// The lowest insert order that somebody waits for; `i64::MAX` if nobody does.
    lowest: AtomicI64,
    wake: Notify,
    rounds: watch::Sender<()>,
}

impl Sequencer {
    pub(crate) fn start(pool: PgPool, signals: Signals, cancel: CancellationToken) -> Self {
        let sequencer = Self(Arc::new(State {
            pool,
            signals,
            lowest: AtomicI64::new(i64::MAX),
            wake: Notify::new(),
            rounds: watch::Sender::new(()),
        }));
        tokio::spawn({
            let sequencer = sequencer.clone();
            async move { _ = cancel.run_until_cancelled(sequencer.work()).await }
        });
        sequencer
    }

    /// Has everything from `insert_order` on numbered, soon.
    pub(crate) fn wake(&self, insert_order: i64) {
        self.0.lowest.fetch_min(insert_order, Ordering::AcqRel);
        self.0.wake.notify_one();
    }

    async fn work(&self) {
        loop {
            self.0.wake.notified().await;
            let from = self.0.lowest.swap(i64::MAX, Ordering::AcqRel);
            if from == i64::MAX {
                continue;
            }
            if let Err(error) = self.number(from).await {
                warn!(error = &error as &dyn std::error::Error, "events not numbered, trying again");
                tokio::time::sleep(AFTER_FAILURE).await;
                self.wake(from);
            }
            self.0.rounds.send_replace(());
        }
    }

    /// Numbers everything that is pending from insert order `from` on.
    async fn number(&self, from: i64) -> Result<(), sqlx::Error> {
        let pool = &self.0.pool;
        let mut search_from = from;
        loop {
            failpoint::reach(Point::SequenceBefore).await?;
            let row = sqlx::query("SELECT head, numbered, next_search FROM es.sequence_pending($1, $2)")
                .bind(search_from)
                .bind(BATCH)
                .fetch_optional(pool)
                .await?;
            if let Some(row) = &row {
                let head: i64 = row.try_get("head")?;
                if 0 < row.try_get::<i32, _>("numbered")? {
                    failpoint::reach(Point::SequenceAfter).await?;
                    self.0.signals.sequenced(head.unsigned_abs());
                }
                if let Some(next) = row.try_get("next_search")? {
                    search_from = next;
                    continue;
                }
            } else {
                tokio::time::sleep(HELD_ELSEWHERE).await;
            }
            // In a statement of its own: it sees what came while the head was held, here or elsewhere.
            let left: Option<i64> =
                sqlx::query_scalar("SELECT min(insert_order) FROM es.event_pending WHERE insert_order >= $1")
                    .bind(from)
                    .fetch_one(pool)
                    .await?;
            match left {
                Some(left) => search_from = left,
                None => return Ok(()),
            }
        }
    }
}

impl Store {
    /// The position of the last of the events, if they get positions `within` that time. A write may be answered
    /// without.
    pub async fn settle<T>(&self, committed: &Committed<T>, within: Duration) -> Option<u64> {
        let last = committed.events.last()?;
        let until = Instant::now() + within;
        let mut rounds = self.0.sequencer.0.rounds.subscribe();
        let mut ledger = self.signals().ledger();
        loop {
            rounds.mark_unchanged();
            ledger.mark_unchanged();
            match timeout_at(until, self.position_of(last.stream, last.sequence)).await {
                Ok(Ok(Some(position))) => return Some(position),
                Ok(Ok(None)) => (),
                Ok(Err(error)) => {
                    warn!(error = &error as &dyn std::error::Error, "position of an event not found out");
                    return None;
                }
                Err(_) => return None,
            }
            let moved = async {
                tokio::select! {
                    _ = rounds.changed() => (),
                    _ = ledger.changed() => (),
                }
            };
            timeout_at(until, moved).await.ok()?;
        }
    }

    /// The position of an event, if it has one yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn position_of(&self, key: StreamKey, sequence: u64) -> Result<Option<u64>, StoreError> {
        let position: Option<i64> = sqlx::query_scalar(
            "SELECT position FROM es.ledger WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3",
        )
        .bind(key.kind.as_str())
        .bind(key.id.to_string())
        .bind(sequence.cast_signed())
        .fetch_optional(&self.0.pool)
        .await?;
        Ok(position.map(i64::unsigned_abs))
    }

    /// Numbers what was left over, every 200 ms until `cancel`: events of a process that died between append and
    /// wake-up, of another writer, or of a restored backup. Keeps the gauges of pending events and of the head.
    pub async fn run_sequencer(&self, cancel: CancellationToken) {
        let mut timer = tokio::time::interval(TICK);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(timer.tick()).await.is_some() {
            match self.pending().await {
                Ok((pending, head)) => {
                    gauge!("ledger_pending_events").set(pending as f64);
                    gauge!("ledger_head_position").set(head as f64);
                    if 0 < pending {
                        self.0.sequencer.wake(0);
                    }
                }
                Err(error) => warn!(error = &error as &dyn std::error::Error, "pending events not counted"),
            }
        }
    }

    /// How many events have no position yet (counted up to 100,000), and the head's position.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn pending(&self) -> Result<(u64, u64), StoreError> {
        let (pending, head): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM (SELECT FROM es.event_pending LIMIT $1) pending),
                    coalesce((SELECT max(position) FROM es.ledger), 0)",
        )
        .bind(COUNTED)
        .fetch_one(&self.0.pool)
        .await?;
        Ok((pending.unsigned_abs(), head.unsigned_abs()))
    }
}
