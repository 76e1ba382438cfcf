//! Filling a generation in one go: the ledger is read ahead, folded in memory and written in bulk.

use domain::StreamKind;
use eventstore::failpoint::{self, Point};
use eventstore::{DecodeError, LedgerRow, Store, StoreError};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::folding::Folding;
use crate::generation::Generation;
use crate::parking::Parked;
use crate::{Progress, ReadModel};

/// Ledger positions that are read at once.
const PAGE: u64 = 2_000;
/// The same for models that follow proposals, some of whose events have hundreds of kilobytes.
const PAGE_OF_PROPOSALS: u64 = 500;
/// Bytes of documents, as JSON, that are held in memory. In memory they take up to four times as much.
const MEMORY: usize = 16 << 20;

/// What is to be filled.
pub(crate) struct Filling<'a> {
    pub(crate) store: &'a Store,
    pub(crate) generation: Generation,
    /// The ledger position that is contained already.
    pub(crate) after: u64,
    /// The last position to fold.
    pub(crate) to: u64,
    pub(crate) parked: Parked,
    pub(crate) progress: &'a (dyn Fn(Progress) + Send + Sync),
    pub(crate) cancel: &'a CancellationToken,
}

/// A generation could not be filled; the live one was not touched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FillError {
    #[error("the ledger cannot be read")]
    Store(#[from] StoreError),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Unknown(#[from] UnknownEvent),
    #[error("cancelled")]
    Cancelled,
}

/// An event that this release does not know: a newer one wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event at ledger position {position} is of a newer release: {what}")]
pub struct UnknownEvent {
    /// Where it is in the ledger.
    pub position: u64,
    /// What is unknown about it.
    pub what: String,
}

impl UnknownEvent {
    /// Looks at a row of the ledger.
    pub(crate) fn in_row(row: &LedgerRow) -> Option<Self> {
        match &row.recorded {
            Err(error @ (DecodeError::UnknownType(_) | DecodeError::UnknownStream(_))) => {
                Some(Self { position: row.position, what: error.to_string() })
            }
            Ok(_)
            | Err(
                DecodeError::Missing | DecodeError::Payload { .. } | DecodeError::Metadata { .. } | DecodeError::Sealed,
            ) => None,
        }
    }
}

/// Folds the ledger behind [`Filling::after`] up to [`Filling::to`], and returns the position reached. What is written
/// is written in pieces, so that no transaction is long, and the checkpoint with the last of them.
pub(crate) async fn fill<M: ReadModel>(filling: Filling<'_>) -> Result<u64, FillError> {
    let Filling { store, generation, after, to, parked, progress, cancel } = filling;
    let mut folding = Folding::<M>::new(generation, parked);
    let mut pages = read_ahead(store.clone(), M::KINDS, after, to);
    let mut reached = after;
    // Loading and purging need no transaction: what is half done is read by nobody.
    let mut connection = store.pool().acquire().await?;
    while let Some(page) = pages.recv().await {
        if cancel.is_cancelled() {
            return Err(FillError::Cancelled);
        }
        let (position, rows) = page?;
        if let Some(unknown) = rows.iter().find_map(UnknownEvent::in_row) {
            return Err(unknown.into());
        }
        take_in(&mut folding, &mut connection, &rows, reached, MEMORY).await?;
        reached = position;
        progress(Progress { position: reached, to });
    }
    write(&mut folding, &mut connection, reached).await?;
    Ok(reached)
}

/// Folds rows behind the position `reached`. Documents are written whenever more than `memory` bytes of them are held.
pub(crate) async fn take_in<M: ReadModel>(
    folding: &mut Folding<M>,
    connection: &mut PgConnection,
    rows: &[LedgerRow],
    reached: u64,
    memory: usize,
) -> Result<(), sqlx::Error> {
    let mut rest = rows;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(folding.next_chunk(rest));
        folding.fold(connection, chunk).await?;
        folding.purge(connection).await?;
        if memory < folding.weight() {
            write(folding, connection, reached).await?;
        }
        rest = behind;
    }
    Ok(())
}

/// Writes what is in memory, with the position up to which everything is contained.
pub(crate) async fn write<M: ReadModel>(
    folding: &mut Folding<M>,
    connection: &mut PgConnection,
    position: u64,
) -> Result<(), sqlx::Error> {
    let generation = folding.generation();
    let mut transaction = connection.begin().await?;
    // What a crash takes away is built again anyway.
    sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *transaction).await?;
    for parking in folding.write(&mut transaction).await? {
        parking.warn(generation);
    }
    sqlx::query("UPDATE views.checkpoints SET position = $4 WHERE name = $1 AND version = $2 AND generation = $3")
        .bind(generation.name)
        .bind(generation.version)
        .bind(generation.number)
        .bind(position.cast_signed())
        .execute(&mut *transaction)
        .await?;
    failpoint::reach(Point::RebuildWritten).await?;
    transaction.commit().await
}

type Page = Result<(u64, Vec<LedgerRow>), StoreError>;

/// Reads the ledger page by page, one page ahead of whoever folds: on a core and a connection of its own.
fn read_ahead(store: Store, kinds: &'static [StreamKind], after: u64, to: u64) -> mpsc::Receiver<Page> {
    let (pages, read) = mpsc::channel(1);
    let page = if kinds.contains(&StreamKind::Proposal) { PAGE_OF_PROPOSALS } else { PAGE };
    tokio::spawn(async move {
        let mut after = after;
        while after < to {
            let end = to.min(after + page);
            let rows = store.ledger_of_kinds(kinds, after, end).await;
            let failed = rows.is_err();
            // Nobody folds any more: cancelled or failed.
            if pages.send(rows.map(|rows| (end, rows))).await.is_err() || failed {
                return;
            }
            after = end;
        }
    });
    read
}
