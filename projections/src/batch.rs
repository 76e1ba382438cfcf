//! A read model without its type, for all that goes over several of them, and one batch of the ledger for one of them.

#[cfg(test)]
mod tests;

use eventstore::LedgerRow;
use futures::future::BoxFuture;
use sqlx::PgConnection;

use crate::ReadModel;
use crate::fill::{self, FillError, Filling};
use crate::folding::Folding;
use crate::generation::Generation;
use crate::parking::{Parked, Parking};
use crate::rebuild::RebuildError;
use crate::retry::{self, Refolding};

/// A read model without its type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) version: i32,
    #[cfg(test)]
    pub(crate) table: &'static str,
    feed: Feed,
    fill: Fill,
    refold: Refold,
}

type Feed = for<'a> fn(
    &'a mut PgConnection,
    Generation,
    &'a [LedgerRow],
    Parked,
) -> BoxFuture<'a, Result<Vec<Parking>, sqlx::Error>>;
type Fill = for<'a> fn(Filling<'a>) -> BoxFuture<'a, Result<u64, FillError>>;
type Refold = for<'a> fn(&'a mut PgConnection, Refolding<'a>) -> BoxFuture<'a, Result<(), RebuildError>>;

impl Model {
    pub(crate) const fn of<M: ReadModel>() -> Self {
        Self {
            name: M::NAME,
            version: M::VERSION,
            #[cfg(test)]
            table: M::TABLE,
            feed: |connection, generation, rows, parked| Box::pin(feed::<M>(connection, generation, rows, parked)),
            fill: |filling| Box::pin(fill::fill::<M>(filling)),
            refold: |connection, refolding| Box::pin(retry::refold::<M>(connection, refolding)),
        }
    }

    /// Folds the rows into the documents of a generation and writes them. Returns what had to be parked.
    pub(crate) async fn feed(
        &self,
        connection: &mut PgConnection,
        generation: Generation,
        rows: &[LedgerRow],
        parked: Parked,
    ) -> Result<Vec<Parking>, sqlx::Error> {
        (self.feed)(connection, generation, rows, parked).await
    }

    /// Folds a part of the ledger into an empty generation, or one that was filled up to there before.
    pub(crate) async fn fill(&self, filling: Filling<'_>) -> Result<u64, FillError> {
        (self.fill)(filling).await
    }

    /// Folds a parked stream again, with all that lies in the same documents.
    pub(crate) async fn refold(
        &self,
        connection: &mut PgConnection,
        refolding: Refolding<'_>,
    ) -> Result<(), RebuildError> {
        (self.refold)(connection, refolding).await
    }
}

async fn feed<M: ReadModel>(
    connection: &mut PgConnection,
    generation: Generation,
    rows: &[LedgerRow],
    parked: Parked,
) -> Result<Vec<Parking>, sqlx::Error> {
    let mut folding = Folding::<M>::new(generation, parked);
    let mut new = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(folding.next_chunk(rest));
        folding.fold(connection, chunk).await?;
        new.extend(folding.write(connection).await?);
        rest = behind;
    }
    Ok(new)
}
