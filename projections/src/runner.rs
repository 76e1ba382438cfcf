//! The live runner: follows the ledger and keeps all read models up to date.

use std::time::Duration;

use eventstore::failpoint::{self, Point};
use eventstore::{Store, StoreError};
use sqlx::{PgConnection, Row as _};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::batch::Model;
use crate::reader::names;
use crate::{AccountDocument, JobDocument, ProjectDataDocument, ProjectDocument, ProposalState, TimelineEntry, status};

/// Ledger positions in one transaction at most.
const BATCH: u32 = 500;
/// Waiting time after a failure: it doubles from the first to the second.
const RETRY_AFTER: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];
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
#[derive(Clone)]
pub struct Runner {
    store: Store,
    models: Vec<Model>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// Nothing to do, or another instance is doing it.
    Idle,
    /// Documents now contain everything up to this position; `more` says whether there may be more to do.
    Done { position: u64, more: bool },
}

impl Runner {
    /// A runner of all live models.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, models: LIVE.to_vec() }
    }

    #[cfg(test)]
    pub(crate) fn with(store: Store, models: Vec<Model>) -> Self {
        Self { store, models }
    }

    /// Runs until `cancel`. A failure is logged once and tried again, ever more slowly.
    pub async fn run(self, cancel: CancellationToken) {
        let mut ledger = self.store.signals().ledger();
        let mut failing: Option<Duration> = None;
        let mut measured: Option<tokio::time::Instant> = None;
        // Cancelled between two batches, not in the middle of one.
        while !cancel.is_cancelled() {
            ledger.borrow_and_update();
            match self.batch().await {
                Ok(batch) => {
                    if failing.take().is_some() {
                        info!("projections go on");
                    }
                    if measured.is_none_or(|at| MEASURE_EVERY <= at.elapsed()) {
                        measured = Some(tokio::time::Instant::now());
                        self.measure().await;
                    }
                    if batch.more() {
                        continue;
                    }
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        // Also every 200 ms; if the sender is gone, so is the store.
                        changed = ledger.changed() => if changed.is_err() { break },
                    }
                }
                Err(error) => {
                    if failing.is_none() {
                        error!(error = &error as &dyn std::error::Error, "projections stand still, trying again");
                    }
                    let [first, longest] = RETRY_AFTER;
                    let wait = failing.map_or(first, |last| (last * 2).min(longest));
                    failing = Some(wait);
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = tokio::time::sleep(wait) => (),
                    }
                }
            }
        }
    }

    /// Folds all that the ledger holds now, unless another instance is doing it, and returns the position reached.
    ///
    /// # Errors
    ///
    /// [`RunnerError`] if a batch fails; those before it are kept.
    pub async fn catch_up(&self) -> Result<Option<u64>, RunnerError> {
        let mut reached = None;
        loop {
            match self.batch().await? {
                Batch::Idle => return Ok(reached),
                Batch::Done { position, .. } => reached = Some(position),
            }
        }
    }

    /// One batch of the ledger for all models that have not read it: documents and checkpoints in one transaction.
    async fn batch(&self) -> Result<Batch, RunnerError> {
        if !self.is_behind().await? {
            return Ok(Batch::Idle);
        }
        let mut transaction = self.store.pool().begin().await?;
        let checkpoints = self.lock(&mut transaction).await?;
        let Some(lowest) = checkpoints.iter().map(|(_, position)| *position).min() else {
            return Ok(Batch::Idle);
        };
        let rows = self.store.ledger_on(&mut transaction, lowest, BATCH).await?;
        let Some(last) = rows.last().map(|row| row.position) else {
            return Ok(Batch::Idle);
        };
        let mut parked = Vec::new();
        for (model, position) in &checkpoints {
            let unread = &rows[rows.partition_point(|row| row.position <= *position)..];
            if unread.is_empty() {
                continue;
            }
            let new = model.feed(&mut transaction, unread).await?;
            parked.extend(new.into_iter().map(|parking| (model.name, parking)));
        }
        failpoint::reach(Point::ProjectionWritten).await?;
        self.advance(&mut transaction, &checkpoints, last).await?;
        transaction.commit().await?;
        failpoint::reach(Point::ProjectionAfter).await?;
        self.store.signals().tell_projected(last);
        for (name, parking) in parked {
            warn!(
                projection = name,
                stream.kind = parking.stream.kind.as_str(),
                stream.id = %parking.stream.id,
                position = parking.position,
                error = parking.error,
                "stream parked"
            );
        }
        Ok(Batch::Done { position: last, more: rows.len() == BATCH as usize })
    }

    /// Whether there is anything to do. Looked up first, since locking is writing.
    async fn is_behind(&self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(&format!(
            "SELECT EXISTS (SELECT FROM views.checkpoints c WHERE c.live AND (c.name, c.version) IN ({})
                            AND c.position < (SELECT max(l.position) FROM es.ledger l))",
            names(&self.models)
        ))
        .fetch_one(self.store.pool())
        .await
    }

    /// The models whose checkpoints no other instance is moving, locked, with their positions.
    async fn lock(&self, connection: &mut PgConnection) -> Result<Vec<(Model, u64)>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT name, version, position FROM views.checkpoints WHERE live
             ORDER BY name, version FOR UPDATE SKIP LOCKED",
        )
        .fetch_all(connection)
        .await?;
        let mut locked = Vec::with_capacity(rows.len());
        for row in rows {
            let (name, version): (String, i32) = (row.try_get("name")?, row.try_get("version")?);
            // What a newer or older release keeps is left to it.
            let ours = self.models.iter().find(|model| model.name == name && model.version == version);
            if let Some(model) = ours {
                locked.push((*model, crate::documents::position(&row, "position")?));
            }
        }
        Ok(locked)
    }

    async fn advance(
        &self,
        connection: &mut PgConnection,
        models: &[(Model, u64)],
        position: u64,
    ) -> Result<(), sqlx::Error> {
        let (names, versions): (Vec<&str>, Vec<i32>) =
            models.iter().map(|(model, _)| (model.name, model.version)).unzip();
        sqlx::query(
            "WITH moved AS (
                UPDATE views.checkpoints c SET position = $3 FROM unnest($1::text[], $2::integer[]) n(name, version)
                WHERE c.name = n.name AND c.version = n.version AND c.position < $3)
             SELECT pg_notify('es_projected', ($3::bigint)::text)",
        )
        .bind(names)
        .bind(versions)
        .bind(position.cast_signed())
        .execute(connection)
        .await?;
        Ok(())
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

impl Batch {
    const fn more(self) -> bool {
        match self {
            Self::Idle => false,
            Self::Done { more, .. } => more,
        }
    }
}
