//! Epochs: the lives of a store between restored backups.
//!
//! A position that an older backup lacks is given out a second time, for another event. Whoever has seen the first one
//! must be able to tell the two apart, so that accepting such a backup opens a new epoch; its number is in every name
//! and tag that outlives the database.

use std::time::Duration;

use domain::store::EpochOpened;
use domain::{AccountId, StoreCommand, StoreLife, StoreRefusal};
use futures::future::BoxFuture;
use sqlx::{PgConnection, Row};
use tokio::time::{Instant, MissedTickBehavior, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::chain::GENESIS;
use crate::{CommandContext, Committed, ExecuteError, Store, StoreError};

/// How often a server looks whether it is still in the store's epoch.
const LOOK: Duration = Duration::from_secs(1);

/// Why an epoch was not opened.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The store refused.
    #[error(transparent)]
    Refused(#[from] StoreRefusal),
    /// Its stream could not be read.
    #[error("the store's own stream cannot be read")]
    Unreadable(#[from] StoreError),
}

/// More that is written in the transaction which opens an epoch, as the tables' owner.
pub type Beside = for<'c> fn(&'c mut PgConnection, u64) -> BoxFuture<'c, Result<(), sqlx::Error>>;

impl Store {
    /// Opens the epoch: its event, the number in `es.store`, and what `beside` writes on the same connection, all or
    /// nothing; `beside` also gets the head. The connections of this store must belong to a login that may act as
    /// `allegiant_owner`, as the one that migrates may; a server's may not. This store itself stays in the old epoch.
    ///
    /// # Errors
    ///
    /// [`ExecuteError`] if the epoch is not a later one, the login may not do it, or the ledger does not end, with
    /// nothing pending, at the head that was signed for.
    pub async fn open_epoch(
        &self,
        context: CommandContext,
        opened: EpochOpened,
        beside: Beside,
    ) -> Result<Committed<()>, ExecuteError<EpochError>> {
        let (id, from) = (self.store_id(), self.epoch());
        self.execute(context, move |session| {
            let opened = opened.clone();
            Box::pin(async move {
                session.load::<StoreLife>(id).await?;
                let (to, head) = (opened.opening.epoch, opened.opening.head);
                // Nobody's personal values are in it, so that nobody's key is needed to read it.
                let subject = AccountId::from_uuid(Uuid::nil());
                session.handle::<StoreLife>(id, subject, StoreCommand::OpenEpoch(opened))?;
                session
                    .also(move |connection| Box::pin(async move { switch(connection, from, to, head, beside).await }));
                Ok(())
            })
        })
        .await
    }

    /// The ledger's last position and its hash; 0 and zeros in an empty ledger.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn head_and_hash(&self) -> Result<(u64, [u8; 32]), StoreError> {
        let row = sqlx::query("SELECT position, hash FROM es.ledger ORDER BY position DESC LIMIT 1")
            .fetch_optional(self.pool())
            .await?;
        let Some(row) = row else { return Ok((0, GENESIS)) };
        let (position, hash): (i64, Vec<u8>) = (row.try_get("position")?, row.try_get("hash")?);
        // The table admits 32 bytes only.
        Ok((position.unsigned_abs(), hash.try_into().unwrap_or(GENESIS)))
    }

    /// Has everything that is pending numbered; `false` if that takes longer than `within`. For commands that do not
    /// follow the ledger as a server does.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn number_pending(&self, within: Duration) -> Result<bool, StoreError> {
        let until = Instant::now() + within;
        let mut ledger = self.signals().ledger();
        loop {
            ledger.mark_unchanged();
            if self.pending().await?.0 == 0 {
                return Ok(true);
            }
            self.0.sequencer.wake(0);
            // It changes every 200 ms at the latest.
            if timeout_at(until, ledger.changed()).await.is_err() {
                return Ok(false);
            }
        }
    }

    /// Waits until the store is in another epoch than this one was opened in, or has another identity: whatever this
    /// process knows then belongs to a past that was given up. `false` if `cancel` came first.
    pub async fn superseded(&self, cancel: CancellationToken) -> bool {
        let mut timer = tokio::time::interval(LOOK);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while cancel.run_until_cancelled(timer.tick()).await.is_some() {
            let now: Result<(Uuid, i32), sqlx::Error> =
                sqlx::query_as("SELECT store_id, epoch FROM es.store").fetch_one(self.pool()).await;
            match now {
                Ok((id, epoch)) if (id, epoch.unsigned_abs()) == (self.store_id(), self.epoch()) => failing = false,
                Ok(_) => return true,
                Err(error) if !failing => {
                    failing = true;
                    warn!(error = &error as &dyn std::error::Error, "not known whether the epoch still holds");
                }
                Err(_) => (),
            }
        }
        false
    }
}

/// The server's role may read and add; this one statement needs the owner's. The login goes back to the server's role
/// before the commit, as its connection may be used again.
async fn switch(
    connection: &mut PgConnection,
    from: u32,
    to: u32,
    head: u64,
    beside: Beside,
) -> Result<(), sqlx::Error> {
    sqlx::query("SET LOCAL ROLE allegiant_owner").execute(&mut *connection).await?;
    sqlx::query("SELECT es.open_epoch($1, $2, $3)")
        .bind(from.cast_signed())
        .bind(to.cast_signed())
        .bind(head.cast_signed())
        .execute(&mut *connection)
        .await?;
    beside(connection, head).await?;
    sqlx::query("SET LOCAL ROLE allegiant_server").execute(connection).await?;
    Ok(())
}
