//! The chain, computed again from the tables.

use sqlx::PgConnection;

use super::raw::read;
use super::{GENESIS, hash_at, link};
use crate::database::begin;
use crate::evidence::Hash;
use crate::{Store, StoreError};

/// Rows checked in one statement.
const SECTION: u64 = 16_384;

/// What a check of the chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainVerdict {
    /// The first position checked.
    pub from: u64,
    /// The last position checked.
    pub to: u64,
    /// How many rows were found good.
    pub checked: u64,
    /// The first position whose row is missing, or is not what was hashed.
    pub first_mismatch: Option<u64>,
}

impl ChainVerdict {
    /// Whether every position of the range is there and untouched.
    #[must_use]
    pub const fn ok(&self) -> bool {
        self.first_mismatch.is_none()
    }
}

/// Why a position is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The ledger has no row for it, or its event is not there.
    Missing,
    /// The ledger and the event do not say the same.
    Disagrees,
    /// The row is not what was hashed.
    NotWhatWasHashed,
}

/// Follows the chain from position to position.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    /// The next position.
    next: u64,
    /// The link before it, if that is known.
    previous: Option<Hash>,
    /// How many positions were good.
    pub good: u64,
    /// How many were not.
    pub bad: u64,
    /// The first of those.
    pub first: Option<(u64, Fault)>,
}

impl Follower {
    /// Begins at `from`; `previous` is the link before it, if there is one.
    pub(crate) const fn new(from: u64, previous: Option<Hash>) -> Self {
        Self { next: from, previous, good: 0, bad: 0, first: None }
    }

    /// Reads and checks the positions up to `to`, and hands each stored link on; zeros where there is none. The connection
    /// must be in a transaction.
    pub(crate) async fn follow(
        &mut self,
        connection: &mut PgConnection,
        to: u64,
        mut each: impl FnMut(u64, Hash),
    ) -> Result<(), sqlx::Error> {
        read(connection, self.next, to, |row| {
            self.missing(row.position - 1, &mut each);
            if row.position < self.next {
                // A position that is there twice.
                return self.fault(row.position, Fault::Disagrees);
            }
            let fault = match &self.previous {
                _ if !row.same => Some(Fault::Disagrees),
                Some(previous) if link(previous, &row.digest) != row.hash => Some(Fault::NotWhatWasHashed),
                // After a gap nothing can be said of the next link.
                Some(_) | None => None,
            };
            match fault {
                Some(fault) => self.fault(row.position, fault),
                None => self.good += 1,
            }
            self.previous = Some(row.hash);
            self.next += 1;
            each(row.position, row.hash);
        })
        .await?;
        self.missing(to, &mut each);
        Ok(())
    }

    fn missing(&mut self, to: u64, each: &mut impl FnMut(u64, Hash)) {
        while self.next <= to {
            self.fault(self.next, Fault::Missing);
            self.previous = None;
            each(self.next, GENESIS);
            self.next += 1;
        }
    }

    fn fault(&mut self, position: u64, fault: Fault) {
        self.bad += 1;
        self.first.get_or_insert((position, fault));
    }
}

impl Store {
    /// Computes the chain of the positions `from` to `to` again, both included and cut to what there is, starting from
    /// the stored hash before them. Stops after the first part of the ledger in which something is wrong.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails. A broken chain is a verdict, not an error.
    pub async fn verify_chain(&self, from: u64, to: u64) -> Result<ChainVerdict, StoreError> {
        let from = from.max(1);
        let to = to.min(self.head().await?);
        // Whoever asked may be gone before the answer.
        let mut transaction = begin(&self.0.pool, "BEGIN READ ONLY").await?;
        let mut verdict = ChainVerdict { from, to, checked: 0, first_mismatch: None };
        let previous = hash_at(&mut transaction, from - 1).await?;
        if previous.is_none() {
            verdict.first_mismatch = Some(from - 1);
            return Ok(verdict);
        }
        let mut follower = Follower::new(from, previous);
        let mut last = from - 1;
        while last < to && follower.first.is_none() {
            last = to.min(last + SECTION);
            follower.follow(&mut transaction, last, |_, _| ()).await?;
        }
        verdict.first_mismatch = follower.first.map(|(position, _)| position);
        verdict.checked = verdict.first_mismatch.map_or(follower.good, |position| position - from);
        Ok(verdict)
    }
}
