//! Reading one's own writes: what a read must contain, and waiting for it.

use std::sync::Arc;
use std::time::Duration;

use domain::AccountId;
use eventstore::StoreError;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tokio::time::{Instant, timeout_at};

use crate::Views;
use crate::batch::Model;
use crate::documents::{Unreadable, position};
use crate::generation::Tables;
use crate::runner::LIVE;

/// How often a read looks for its tables before it gives up.
pub(crate) const LOOKS: u32 = 4;
/// PostgreSQL's code for a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// Who reads, and what the answer should contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// The account: its own earlier writes should be contained, and only what is its own is found.
    pub account: AccountId,
    /// A ledger position that should be contained, if the caller named one.
    pub min_position: Option<u64>,
    /// How long to wait for that at most.
    pub within: Duration,
}

/// What a read contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Everything up to this ledger position is contained.
    pub position: u64,
    /// Whether that is less than the reader should see: after the longest wait there is no more to be had.
    pub behind: bool,
}

/// The answer to a read.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// What was found.
    pub value: T,
    /// What it contains.
    pub freshness: Freshness,
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<M> {
    /// The document.
    pub document: M,
    /// The ledger position of the last event that changed it.
    pub position: u64,
}

impl<M> Found<M> {
    /// The same with another document in the same place.
    pub fn map<N>(self, to: impl FnOnce(M) -> N) -> Found<N> {
        Found { document: to(self.document), position: self.position }
    }
}

/// A read failed.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// PostgreSQL, or the way to it.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// Events could not be read.
    #[error("the event store failed")]
    Store(#[from] StoreError),
    /// A stored document is not of the shape that this code knows.
    #[error("a stored document cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is nothing to read yet under the version of the documents that this release knows.
    #[error("the read model {0} is still to be built: allegiant projections rebuild {0}")]
    NotBuilt(&'static str),
    /// Whenever a table was read, it was gone. Only if generations come and go within milliseconds.
    #[error("the tables that are read were replaced again and again")]
    Moved,
}

impl ViewError {
    /// Whether a table that was read is there no longer.
    pub(crate) fn tables_are_gone(&self) -> bool {
        match self {
            Self::Moved => true,
            Self::Database(sqlx::Error::Database(error)) => error.code().as_deref() == Some(UNDEFINED_TABLE),
            Self::Database(_) | Self::Store(_) | Self::Unreadable(_) | Self::NotBuilt(_) => false,
        }
    }
}

impl From<Unreadable> for ViewError {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(Box::new(error))
    }
}

/// The columns of a statement that [`Freshness`] is read from; `$1` must be the reader's account.
pub(crate) fn freshness_columns(tables: &Tables, models: &[Model]) -> String {
    format!(
        "{} AS included, EXISTS (SELECT FROM es.event_pending p WHERE p.actor_id = $1) AS pending,
         coalesce((SELECT max(l.position) FROM es.ledger l WHERE l.actor_id = $1), 0) AS written",
        tables.checkpoint(models)
    )
}

/// Reads the columns of [`freshness_columns`].
pub(crate) fn freshness(row: &PgRow, reader: &Reader) -> Result<Freshness, ViewError> {
    let included = contained(row, "included")?;
    let pending: bool = row.try_get("pending")?;
    let wanted = position(row, "written")?.max(reader.min_position.unwrap_or(0));
    Ok(Freshness { position: included, behind: pending || included < wanted })
}

/// Reads what [`Tables::checkpoint`] came to.
pub(crate) fn contained(row: &PgRow, column: &str) -> Result<u64, ViewError> {
    row.try_get::<Option<i64>, _>(column)?.map(i64::unsigned_abs).ok_or(ViewError::Moved)
}

impl Views {
    /// Waits until all read models contain what the reader should see, or until its patience ends.
    ///
    /// # Errors
    ///
    /// [`ViewError`] if the database fails.
    pub async fn wait_for(&self, reader: &Reader) -> Result<Freshness, ViewError> {
        self.on_tables(|tables| async move { self.wait(reader, &LIVE, &tables).await }.boxed()).await
    }

    /// Looks once; if something is missing, waits for it and looks again.
    pub(crate) async fn fresh<'a, T: Send>(
        &'a self,
        reader: &'a Reader,
        models: &'a [Model],
        look: impl Fn(Arc<Tables>) -> BoxFuture<'a, Result<Answer<T>, ViewError>> + Sync,
    ) -> Result<Answer<T>, ViewError> {
        let look = &look;
        self.on_tables(|tables| {
            async move {
                let answer = look(Arc::clone(&tables)).await?;
                if !answer.freshness.behind || reader.within.is_zero() {
                    return Ok(answer);
                }
                self.wait(reader, models, &tables).await?;
                look(tables).await
            }
            .boxed()
        })
        .await
    }

    /// Reads the tables that are live. If one of them is gone meanwhile, reads those that took their place.
    pub(crate) async fn on_tables<'f, T>(
        &self,
        read: impl Fn(Arc<Tables>) -> BoxFuture<'f, Result<T, ViewError>>,
    ) -> Result<T, ViewError> {
        let mut tables = self.known.tables(self.store.pool()).await?;
        for _ in 0..LOOKS {
            match read(tables).await {
                Err(error) if error.tables_are_gone() => tables = self.known.look(self.store.pool()).await?,
                done => return done,
            }
        }
        Err(ViewError::Moved)
    }

    async fn wait(&self, reader: &Reader, models: &[Model], tables: &Tables) -> Result<Freshness, ViewError> {
        let deadline = Instant::now() + reader.within;
        let statement = format!("SELECT {}", freshness_columns(tables, models));
        let mut projected = self.store.signals().projected();
        loop {
            // Marked as seen before the look, so that what comes after it wakes.
            projected.borrow_and_update();
            let row = sqlx::query(&statement).bind(reader.account.as_uuid()).fetch_one(self.store.pool()).await?;
            let freshness = freshness(&row, reader)?;
            if !freshness.behind || deadline <= Instant::now() {
                return Ok(freshness);
            }
            // The deadline and the end of the signals are noticed by the next look.
            if let Ok(Err(_)) = timeout_at(deadline, projected.changed()).await {
                return Ok(freshness);
            }
        }
    }
}
