//! Reading one's own writes: what a read must contain, and waiting for it.

use std::time::Duration;

use domain::AccountId;
use eventstore::StoreError;
use futures::future::BoxFuture;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tokio::time::{Instant, timeout_at};

use crate::Views;
use crate::batch::Model;
use crate::documents::{Unreadable, position};
use crate::runner::LIVE;

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
}

impl From<Unreadable> for ViewError {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(Box::new(error))
    }
}

/// The columns of a statement that [`Freshness`] is read from; `$1` must be the reader's account.
pub(crate) fn freshness_columns(models: &[Model]) -> String {
    format!(
        "{} AS included, EXISTS (SELECT FROM es.event_pending p WHERE p.actor_id = $1) AS pending,
         coalesce((SELECT max(l.position) FROM es.ledger l WHERE l.actor_id = $1), 0) AS written",
        checkpoint(models)
    )
}

/// An expression: the position up to which all these models contain everything.
pub(crate) fn checkpoint(models: &[Model]) -> String {
    format!(
        "(SELECT coalesce(min(c.position), 0) FROM views.checkpoints c WHERE (c.name, c.version) IN ({}))",
        names(models)
    )
}

/// A list for `IN`: names and versions, which are constants of ours.
pub(crate) fn names(models: &[Model]) -> String {
    models.iter().map(|model| format!("('{}', {})", model.name, model.version)).collect::<Vec<_>>().join(", ")
}

/// Reads the columns of [`freshness_columns`].
pub(crate) fn freshness(row: &PgRow, reader: &Reader) -> Result<Freshness, sqlx::Error> {
    let included = position(row, "included")?;
    let pending: bool = row.try_get("pending")?;
    let wanted = position(row, "written")?.max(reader.min_position.unwrap_or(0));
    Ok(Freshness { position: included, behind: pending || included < wanted })
}

impl Views {
    /// Waits until all read models contain what the reader should see, or until its patience ends.
    ///
    /// # Errors
    ///
    /// [`ViewError`] if the database fails.
    pub async fn wait_for(&self, reader: &Reader) -> Result<Freshness, ViewError> {
        self.wait(reader, &LIVE).await
    }

    /// Looks once; if something is missing, waits for it and looks again.
    pub(crate) async fn fresh<'a, T>(
        &'a self,
        reader: &Reader,
        models: &[Model],
        look: impl Fn() -> BoxFuture<'a, Result<Answer<T>, ViewError>>,
    ) -> Result<Answer<T>, ViewError> {
        let answer = look().await?;
        if !answer.freshness.behind || reader.within.is_zero() {
            return Ok(answer);
        }
        self.wait(reader, models).await?;
        look().await
    }

    async fn wait(&self, reader: &Reader, models: &[Model]) -> Result<Freshness, ViewError> {
        let deadline = Instant::now() + reader.within;
        let statement = format!("SELECT {}", freshness_columns(models));
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
