//! The live runner: follows the ledger and keeps all read models up to date.

use std::time::Duration;

use eventstore::failpoint::{self, Point};
use eventstore::{LedgerRow, Store, StoreError};
use sqlx::PgConnection;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::batch::Model;
use crate::fill::UnknownEvent;
use crate::generation::{Held, Lock, hold, versions};
use crate::{
    AccountDocument, JobDocument, ProjectDataDocument, ProjectDocument, ProposalState, ReadModel, TimelineEntry,
    parking, status,
};

/// Ledger positions in one transaction at most.
const BATCH: u32 = 500;
/// Waiting time after a failure: it doubles from the first to the second.
const RETRY_AFTER: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];
/// How long a runner that has yielded waits before it looks again: it doubles from the first to the second.
const LOOK_AFTER: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];
/// How often the gauges are set.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// The models that are read.
pub(crate) const LIVE: [Model; 6] = [
    Model::of::<AccountDocument>(),
    Model::of::<ProjectDocument>(),
    Model::of::<ProjectDataDocument>(),
    Model::of::<TimelineEntry>(),
    Model::of::<ProposalState>(),
    Model::of::<JobDocument>(),
];

/// Follows the ledger and keeps the read models up to date. Any number of instances may run: one of them does each batch.
///
/// An event that this release does not know was written by a newer one, which knows what to do with it. The runner then
/// yields: it does nothing until somebody has moved the checkpoints past that event.
#[derive(Clone)]
pub struct Runner {
    store: Store,
    models: Vec<Model>,
    /// Makes an older release of a runner in tests: it takes events of this type for unknown.
    #[cfg(test)]
    ignores: Option<&'static str>,
}

/// The runner could not do a batch; nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The ledger could not be read.
    #[error("the ledger cannot be read")]
    Store(#[from] StoreError),
    /// PostgreSQL, or the way to it.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// What one batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Batch {
    /// Nothing to do, or another instance is doing it.
    Idle,
    /// Documents now contain everything up to this position; `more` says whether there may be more to do.
    Done { position: u64, more: bool },
    /// The next event is for a newer release.
    Yielded(UnknownEvent),
}

/// What [`Runner::run`] remembers from one batch to the next.
#[derive(Default)]
struct Course {
    /// The highest ledger position that a batch has reached or looked for.
    seen: u64,
    /// Whether the last batch left something.
    more: bool,
    failing: Option<Duration>,
    yielded: Option<(UnknownEvent, Duration)>,
    measured: Option<Instant>,
}

impl Runner {
    /// A runner of all live models.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self::with(store, LIVE.to_vec())
    }

    /// A runner of one live model alone, as far as it is this release's; the others stand still until somebody else
    /// runs them.
    #[must_use]
    pub fn only<M: ReadModel>(store: Store) -> Self {
        Self::with(store, vec![Model::of::<M>()])
    }

    pub(crate) fn with(store: Store, models: Vec<Model>) -> Self {
        Self {
            store,
            models,
            #[cfg(test)]
            ignores: None,
        }
    }

    /// Runs until `cancel`. A failure is logged once and tried again, ever more slowly.
    pub async fn run(self, cancel: CancellationToken) {
        let mut ledger = self.store.signals().ledger();
        let mut course = Course::default();
        // Cancelled between two batches, not in the middle of one.
        while !cancel.is_cancelled() {
            let heard = *ledger.borrow_and_update();
            let batch = self.batch(course.more || course.seen < heard).await;
            course.seen = course.seen.max(heard);
            if course.measured.is_none_or(|at| MEASURE_EVERY <= at.elapsed()) {
                course.measured = Some(Instant::now());
                self.measure().await;
            }
            course.note(&batch);
            match batch {
                Ok(Batch::Done { more: true, .. }) => (),
                Ok(Batch::Idle | Batch::Done { more: false, .. }) => tokio::select! {
                    () = cancel.cancelled() => break,
                    // Also every 200 ms; if the sender is gone, so is the store.
                    changed = ledger.changed() => if changed.is_err() { break },
                },
                Ok(Batch::Yielded(unknown)) => {
                    let wait = course.yielded.as_ref().map_or(LOOK_AFTER[0], |(_, wait)| *wait);
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = self.passed(unknown.position, wait) => (),
                    }
                }
                Err(_) => {
                    let wait = course.failing.unwrap_or(RETRY_AFTER[0]);
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = tokio::time::sleep(wait) => (),
                    }
                }
            }
        }
    }

    /// Waits until somebody is heard to have projected this position, or until it is time to look.
    async fn passed(&self, position: u64, wait: Duration) {
        let mut projected = self.store.signals().projected();
        // Whatever ends the waiting, the next look shows how things are.
        let _ = timeout(wait, projected.wait_for(|reached| position <= *reached)).await;
    }

    /// Folds all that the ledger holds now, unless another instance is doing it, and returns the position reached. Stops
    /// before an event that this release does not know.
    ///
    /// # Errors
    ///
    /// [`RunnerError`] if a batch fails; those before it are kept.
    pub async fn catch_up(&self) -> Result<Option<u64>, RunnerError> {
        let mut reached = None;
        loop {
            match self.batch(false).await? {
                Batch::Idle | Batch::Yielded(_) => return Ok(reached),
                Batch::Done { position, .. } => reached = Some(position),
            }
        }
    }

    /// One batch of the ledger for all generations that have not read it: documents and checkpoints in one transaction.
    /// `woken` says that the ledger is known to have more.
    async fn batch(&self, woken: bool) -> Result<Batch, RunnerError> {
        // Looked up first, since locking is writing.
        if !woken && !self.is_behind().await? {
            return Ok(Batch::Idle);
        }
        let mut transaction = self.store.pool().begin().await?;
        let held = hold(&mut transaction, &self.models, Lock::Free).await?;
        let (front, behind) = in_turn(held);
        let mut turn = front;
        let mut rows = self.rows(&mut transaction, &turn).await?;
        if rows.is_empty() && !behind.is_empty() {
            turn = behind;
            rows = self.rows(&mut transaction, &turn).await?;
        }
        // A full batch has more behind it, and so has one that ends before an unknown event: that is to be seen.
        let mut more = rows.len() == BATCH as usize;
        if let Some((at, unknown)) =
            rows.iter().enumerate().find_map(|(at, row)| Some((at, UnknownEvent::in_row(row)?)))
        {
            if at == 0 {
                return Ok(Batch::Yielded(unknown));
            }
            rows.truncate(at);
            more = true;
        }
        let Some(last) = rows.last().map(|row| row.position) else {
            return Ok(Batch::Idle);
        };
        let parked = parking::load(&mut transaction, &turn).await?;
        let mut new = Vec::new();
        for (held, parked) in turn.iter().zip(parked) {
            let unread = &rows[rows.partition_point(|row| row.position <= held.position)..];
            if !unread.is_empty() {
                let parkings = held.model.feed(&mut transaction, held.generation, unread, parked).await?;
                new.extend(parkings.into_iter().map(|parking| (held.generation, parking)));
            }
        }
        failpoint::reach(Point::ProjectionWritten).await?;
        advance(&mut transaction, &turn, last).await?;
        transaction.commit().await?;
        failpoint::reach(Point::ProjectionAfter).await?;
        self.store.signals().tell_projected(last);
        for (generation, parking) in new {
            parking.warn(generation);
        }
        Ok(Batch::Done { position: last, more })
    }

    /// What the ledger has behind the lowest of these checkpoints.
    async fn rows(&self, connection: &mut PgConnection, turn: &[Held]) -> Result<Vec<LedgerRow>, RunnerError> {
        let Some(lowest) = turn.iter().map(|held| held.position).min() else { return Ok(Vec::new()) };
        let rows = self.store.ledger_on(connection, lowest, BATCH).await?;
        #[cfg(test)]
        let rows = self.as_older(rows);
        Ok(rows)
    }

    /// Whether there is anything to do.
    async fn is_behind(&self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(&format!(
            "SELECT EXISTS (SELECT FROM views.checkpoints c WHERE c.filled AND (c.name, c.version) IN ({})
                            AND c.position < (SELECT max(l.position) FROM es.ledger l))",
            versions(&self.models)
        ))
        .fetch_one(self.store.pool())
        .await
    }

    async fn measure(&self) {
        // A failure shows in the next batch, too, which reports it.
        if let Ok(models) = status(&self.store).await {
            for model in models {
                model.measure();
            }
        }
    }
}

#[cfg(test)]
impl Runner {
    /// The same as it was before there was this type of event.
    pub(crate) fn before(self, event_type: &'static str) -> Self {
        Self { ignores: Some(event_type), ..self }
    }

    fn as_older(&self, mut rows: Vec<LedgerRow>) -> Vec<LedgerRow> {
        for row in &mut rows {
            if Some(row.event_type.as_str()) == self.ignores {
                row.recorded = Err(eventstore::DecodeError::UnknownType(row.event_type.clone()));
            }
        }
        rows
    }
}

impl Course {
    /// Says once what has changed for the worse or for the better.
    fn note(&mut self, batch: &Result<Batch, RunnerError>) {
        self.more = matches!(batch, Ok(Batch::Done { more: true, .. }));
        match batch {
            Ok(done) => {
                if self.failing.take().is_some() {
                    info!("projections go on");
                }
                match done {
                    Batch::Yielded(unknown) => self.yields(unknown),
                    Batch::Done { position, .. } => {
                        self.seen = *position.max(&self.seen);
                        self.goes_on();
                    }
                    Batch::Idle => self.goes_on(),
                }
            }
            Err(error) => {
                if self.failing.is_none() {
                    error!(error = error as &dyn std::error::Error, "projections stand still, trying again");
                }
                let [first, longest] = RETRY_AFTER;
                self.failing = Some(self.failing.map_or(first, |last| (last * 2).min(longest)));
            }
        }
    }

    fn yields(&mut self, unknown: &UnknownEvent) {
        let [first, longest] = LOOK_AFTER;
        match &mut self.yielded {
            Some((before, wait)) if before == unknown => *wait = (*wait * 2).min(longest),
            _ => {
                let UnknownEvent { position, what } = unknown;
                warn!(position, what, "projections yielded to a newer release");
                self.yielded = Some((unknown.clone(), first));
            }
        }
    }

    fn goes_on(&mut self) {
        if let Some((unknown, _)) = self.yielded.take() {
            info!(position = unknown.position, "projections go on, somebody has passed the unknown event");
        }
    }
}

/// Whose turn it is: what is read and all that is as far, and after these what lies behind. A generation that has been
/// put away and is far behind must not hold up the ones that are read.
fn in_turn(held: Vec<Held>) -> (Vec<Held>, Vec<Held>) {
    let read = held.iter().filter(|held| held.live).map(|held| held.position).min();
    held.into_iter().partition(|held| read.is_some_and(|read| read <= held.position))
}

async fn advance(connection: &mut PgConnection, turn: &[Held], position: u64) -> Result<(), sqlx::Error> {
    let (names, (versions, numbers)): (Vec<&str>, (Vec<i32>, Vec<i32>)) =
        turn.iter().map(|held| (held.generation.name, (held.generation.version, held.generation.number))).unzip();
    sqlx::query(
        "WITH moved AS (
            UPDATE views.checkpoints c SET position = $4
            FROM unnest($1::text[], $2::integer[], $3::integer[]) n(name, version, generation)
            WHERE c.name = n.name AND c.version = n.version AND c.generation = n.generation AND c.position < $4)
         SELECT pg_notify('es_projected', ($4::bigint)::text)",
    )
    .bind(names)
    .bind(versions)
    .bind(numbers)
    .bind(position.cast_signed())
    .execute(connection)
    .await?;
    Ok(())
}
