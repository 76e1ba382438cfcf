//! Rebuilding a read model without downtime: a new generation is filled beside the one that is read, and takes its place
//! in one transaction. The one it replaced is fed on, for [`rollback`].

use eventstore::failpoint::{self, Point};
use eventstore::{Store, StoreError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgTransaction};
use tokio_util::sync::CancellationToken;

use crate::batch::Model;
use crate::fill::{FillError, Filling, UnknownEvent};
use crate::generation::{Generation, Held, Lock, hold};
use crate::parking;
use crate::runner::LIVE;

/// Ledger positions that a swap folds at most while nobody else may move the checkpoints.
pub(crate) const GAP: u64 = 1_000;
/// How long a swap waits for the checkpoints, or for whoever reads the view.
pub(crate) const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '10s'";

/// How far a rebuild or a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Ledger positions that are folded.
    pub position: u64,
    /// Where it is going. It may move on while the system is written to.
    pub to: u64,
}

/// What a rebuild or a rollback has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The generation that is read now.
    pub generation: i32,
    /// The one it replaced, which is fed on; `None` if the version had none that was read.
    pub replaced: Option<i32>,
    /// Everything up to this ledger position is contained.
    pub position: u64,
    /// Streams that are set aside in it.
    pub parked: u64,
}

/// A rebuild, a rollback, a check or a retry could not be done. What is read is as before.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is no such read model.
    #[error("there is no read model {0}; there are {list}", list = names().join(", "))]
    NoSuchModel(String),
    /// Another process rebuilds or checks this model.
    #[error("another process is at work on the read model {0}")]
    Busy(&'static str),
    /// There is nothing to go back to.
    #[error("the read model {0} has no former generation to go back to")]
    NoFormer(&'static str),
    /// The version that this release knows was never built.
    #[error("the read model {0} is still to be built: allegiant projections rebuild {0}")]
    NotBuilt(&'static str),
    /// A newer release wrote an event that this one cannot fold.
    #[error(transparent)]
    Unknown(#[from] UnknownEvent),
    /// It was cancelled.
    #[error("cancelled; the read model is as before")]
    Cancelled,
    /// Too much hangs together with a parked stream for folding it while the checkpoint is held.
    #[error("too many streams lie in the same documents: allegiant projections rebuild {0}")]
    TooMuch(&'static str),
    /// The ledger could not be read.
    #[error("the ledger cannot be read")]
    Store(#[from] StoreError),
    /// PostgreSQL, or the way to it.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<FillError> for RebuildError {
    fn from(error: FillError) -> Self {
        match error {
            FillError::Store(error) => Self::Store(error),
            FillError::Database(error) => Self::Database(error),
            FillError::Unknown(unknown) => Self::Unknown(unknown),
            FillError::Cancelled => Self::Cancelled,
        }
    }
}

/// The names of all read models.
#[must_use]
pub fn names() -> Vec<&'static str> {
    LIVE.iter().map(|model| model.name).collect()
}

pub(crate) fn named(name: &str) -> Result<Model, RebuildError> {
    LIVE.into_iter().find(|model| model.name == name).ok_or_else(|| RebuildError::NoSuchModel(name.to_owned()))
}

/// Fills a new generation of the model from the whole ledger and has it read instead of the present one. Reads and
/// writes go on meanwhile. A generation that is half done is dropped: at once if this fails or is cancelled, by the next
/// rebuild or check if it is killed.
///
/// # Errors
///
/// [`RebuildError`]; what is read is then as before.
pub async fn rebuild(
    store: &Store,
    name: &str,
    progress: &(dyn Fn(Progress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Rebuilt, RebuildError> {
    rebuild_model(store, named(name)?, progress, cancel).await
}

/// As [`rebuild`], for a model that need not be one of the live ones.
pub(crate) async fn rebuild_model(
    store: &Store,
    model: Model,
    progress: &(dyn Fn(Progress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Rebuilt, RebuildError> {
    let mut work = Work::begin(store, model, progress, cancel).await?;
    let built = work.make().await?;
    match work.fill_and_swap(built).await {
        Ok(rebuilt) => {
            work.drop_all_but(&[Some(rebuilt.generation), rebuilt.replaced]).await?;
            Ok(rebuilt)
        }
        Err(error) => {
            // If this fails, too, the next rebuild does it.
            let _ = work.drop(built.number).await;
            Err(error)
        }
    }
}

/// Has the generation read again that the last rebuild replaced; a second call undoes the first. Reads and writes go on.
///
/// # Errors
///
/// [`RebuildError`]; what is read is then as before.
pub async fn rollback(store: &Store, name: &str) -> Result<Rebuilt, RebuildError> {
    let (model, cancel) = (named(name)?, CancellationToken::new());
    let mut work = Work::begin(store, model, &|_| (), &cancel).await?;
    let former = work.former().await?.ok_or(RebuildError::NoFormer(model.name))?;
    // It is fed on, so that there is little to fold, if anything.
    work.swap(former).await
}

/// Work on the generations of one model, of which there is one at a time: it holds a lock in a session of its own.
pub(crate) struct Work<'a> {
    pub(crate) store: &'a Store,
    pub(crate) model: Model,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    cancel: &'a CancellationToken,
    session: PgConnection,
}

impl<'a> Work<'a> {
    pub(crate) async fn begin(
        store: &'a Store,
        model: Model,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
        cancel: &'a CancellationToken,
    ) -> Result<Self, RebuildError> {
        let options: PgConnectOptions = (*store.pool().connect_options()).clone();
        let mut session = PgConnection::connect_with(&options).await?;
        sqlx::query("SET ROLE allegiant_server").execute(&mut session).await?;
        let name = format!("allegiant projections {} {}", model.name, model.version);
        let free: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(name)
            .fetch_one(&mut session)
            .await?;
        if free { Ok(Self { store, model, progress, cancel, session }) } else { Err(RebuildError::Busy(model.name)) }
    }

    /// Makes an empty generation, after what others left half done is gone.
    pub(crate) async fn make(&mut self) -> Result<Generation, RebuildError> {
        let left: Vec<i32> = sqlx::query_scalar(
            "SELECT generation FROM views.checkpoints WHERE name = $1 AND version = $2 AND NOT filled
             ORDER BY generation",
        )
        .bind(self.model.name)
        .bind(self.model.version)
        .fetch_all(&mut self.session)
        .await?;
        let number = sqlx::query_scalar("SELECT views.make_generation($1, $2)")
            .bind(self.model.name)
            .bind(self.model.version)
            .fetch_one(&mut self.session)
            .await?;
        for left in left {
            self.drop(left).await?;
        }
        Ok(Generation::of(&self.model, number))
    }

    pub(crate) async fn drop(&mut self, number: i32) -> Result<(), RebuildError> {
        sqlx::query("SELECT views.drop_generation($1, $2, $3)")
            .bind(self.model.name)
            .bind(self.model.version)
            .bind(number)
            .execute(&mut self.session)
            .await?;
        Ok(())
    }

    async fn fill_and_swap(&mut self, built: Generation) -> Result<Rebuilt, RebuildError> {
        let store = self.store;
        self.fill(built, async || store.head().await.map_err(RebuildError::from)).await?;
        self.analyze(built).await?;
        self.swap(built).await
    }

    async fn drop_all_but(&mut self, kept: &[Option<i32>]) -> Result<(), RebuildError> {
        let all: Vec<i32> =
            sqlx::query_scalar("SELECT generation FROM views.checkpoints WHERE name = $1 AND version = $2")
                .bind(self.model.name)
                .bind(self.model.version)
                .fetch_all(&mut self.session)
                .await?;
        for number in all.into_iter().filter(|number| !kept.contains(&Some(*number))) {
            self.drop(number).await?;
        }
        Ok(())
    }

    /// Folds the ledger into a generation until it is close behind the goal, which may move on meanwhile.
    pub(crate) async fn fill(
        &mut self,
        generation: Generation,
        goal: impl AsyncFn() -> Result<u64, RebuildError>,
    ) -> Result<(), RebuildError> {
        loop {
            if self.cancel.is_cancelled() {
                return Err(RebuildError::Cancelled);
            }
            let (after, parked) = self.standing(generation).await?;
            let to = goal().await?;
            if to <= after {
                return Ok(());
            }
            let (store, progress, cancel) = (self.store, self.progress, self.cancel);
            self.model.fill(Filling { store, generation, after, to, parked, progress, cancel }).await?;
            if to - after <= GAP {
                return Ok(());
            }
        }
    }

    /// How far a generation is, and which streams are parked in it.
    pub(crate) async fn standing(&mut self, generation: Generation) -> Result<(u64, parking::Parked), RebuildError> {
        let position: i64 = sqlx::query_scalar(
            "SELECT position FROM views.checkpoints WHERE name = $1 AND version = $2 AND generation = $3",
        )
        .bind(generation.name)
        .bind(generation.version)
        .bind(generation.number)
        .fetch_one(&mut self.session)
        .await?;
        let held = Held { model: self.model, generation, position: position.unsigned_abs(), live: false };
        let parked = parking::load(&mut self.session, &[held]).await?.pop().unwrap_or_default();
        Ok((held.position, parked))
    }

    async fn analyze(&mut self, generation: Generation) -> Result<(), RebuildError> {
        sqlx::query("SELECT views.analyze_generation($1, $2, $3)")
            .bind(generation.name)
            .bind(generation.version)
            .bind(generation.number)
            .execute(&mut self.session)
            .await?;
        Ok(())
    }

    /// Has a generation read instead of the live one, in one transaction under all their checkpoints: it then contains
    /// no less.
    async fn swap(&mut self, to: Generation) -> Result<Rebuilt, RebuildError> {
        loop {
            if self.cancel.is_cancelled() {
                return Err(RebuildError::Cancelled);
            }
            let mut transaction = self.store.pool().begin().await?;
            sqlx::query(LOCK_TIMEOUT).execute(&mut *transaction).await?;
            let held = hold(&mut transaction, &[self.model], Lock::All).await?;
            let live = held.iter().find(|held| held.live).copied();
            let Some(new) = held.iter().find(|held| held.generation == to).copied() else {
                return Err(sqlx::Error::RowNotFound.into());
            };
            let goal = live.map_or(0, |live| live.position);
            let position = self.feed_up_to(&mut transaction, new, goal.min(new.position + GAP)).await?;
            if position < goal {
                // So far behind that others should get their turn: the live one moves on between two steps.
                transaction.commit().await?;
                continue;
            }
            make_live(&mut transaction, to).await?;
            failpoint::reach(Point::SwapWritten).await?;
            let parked: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM views.parked WHERE name = $1 AND version = $2 AND generation = $3",
            )
            .bind(to.name)
            .bind(to.version)
            .bind(to.number)
            .fetch_one(&mut *transaction)
            .await?;
            transaction.commit().await?;
            failpoint::reach(Point::SwapAfter).await?;
            let replaced = live.map(|live| live.generation.number).filter(|number| *number != to.number);
            return Ok(Rebuilt { generation: to.number, replaced, position, parked: parked.unsigned_abs() });
        }
    }

    /// Folds the rest up to `goal` into a generation whose checkpoint the transaction holds, as the runner does.
    pub(crate) async fn feed_up_to(
        &self,
        transaction: &mut PgTransaction<'_>,
        held: Held,
        goal: u64,
    ) -> Result<u64, RebuildError> {
        let Held { model, generation, position, .. } = held;
        let mut position = position;
        while position < goal {
            let limit = u32::try_from(goal - position).unwrap_or(u32::MAX).min(500);
            let rows = self.store.ledger_on(transaction, position, limit).await?;
            if let Some(unknown) = rows.iter().find_map(UnknownEvent::in_row) {
                return Err(unknown.into());
            }
            let Some(last) = rows.last().map(|row| row.position) else { break };
            let held = Held { position, ..held };
            let parked = parking::load(transaction, &[held]).await?.pop().unwrap_or_default();
            for parking in model.feed(transaction, generation, &rows, parked).await? {
                parking.warn(generation);
            }
            position = last;
        }
        sqlx::query(
            "UPDATE views.checkpoints SET position = greatest(position, $4)
             WHERE name = $1 AND version = $2 AND generation = $3",
        )
        .bind(generation.name)
        .bind(generation.version)
        .bind(generation.number)
        .bind(position.cast_signed())
        .execute(&mut **transaction)
        .await?;
        Ok(position)
    }

    /// The newest generation that is fed but not read.
    async fn former(&mut self) -> Result<Option<Generation>, RebuildError> {
        let number: Option<i32> = sqlx::query_scalar(
            "SELECT generation FROM views.checkpoints WHERE name = $1 AND version = $2 AND filled AND NOT live
             ORDER BY generation DESC LIMIT 1",
        )
        .bind(self.model.name)
        .bind(self.model.version)
        .fetch_optional(&mut self.session)
        .await?;
        Ok(number.map(|number| Generation::of(&self.model, number)))
    }
}

async fn make_live(transaction: &mut PgTransaction<'_>, to: Generation) -> Result<(), sqlx::Error> {
    // In two statements, since at no time two may be live.
    sqlx::query("UPDATE views.checkpoints SET live = false WHERE name = $1 AND version = $2 AND live")
        .bind(to.name)
        .bind(to.version)
        .execute(&mut **transaction)
        .await?;
    sqlx::query(
        "UPDATE views.checkpoints SET live = true, filled = true WHERE name = $1 AND version = $2 AND generation = $3",
    )
    .bind(to.name)
    .bind(to.version)
    .bind(to.number)
    .execute(&mut **transaction)
    .await?;
    sqlx::query("SELECT views.show_live($1)").bind(to.name).execute(&mut **transaction).await?;
    Ok(())
}
