//! Signing: who does it, when, and what is checked before.

use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::{counter, gauge};
use sqlx::{PgConnection, Row};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::file::{CheckpointFile, FileError};
use super::tree::{Frontier, leaf};
use super::{Checkpoint, Statement};
use crate::chain::{Follower, GENESIS};
use crate::database::begin;
use crate::{SigningKey, Store, StoreError};

/// Positions that one checkpoint adds to the tree at most, so that a statement stays short when there is much to catch up.
const SPAN: u64 = 50_000;
/// How long the last checkpoint of a process may take.
const AT_THE_END: Duration = Duration::from_secs(5);
/// How soon a try is repeated that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// When a checkpoint is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// After so many positions.
    pub positions: u64,
    /// Or after this time, if there is a new position.
    pub period: Duration,
}

impl Default for Due {
    fn default() -> Self {
        Self { positions: 1_000, period: Duration::from_secs(60) }
    }
}

impl Due {
    /// Whenever there is a new position.
    pub const ALWAYS: Self = Self { positions: 1, period: Duration::ZERO };

    fn is_now(self, last: Option<&Checkpoint>, head: u64, now: DateTime<Utc>) -> bool {
        let (from, since) = last.map_or((0, None), |last| {
            let Statement { position, created_at, .. } = last.statement;
            (position, (now - created_at).to_std().ok())
        });
        from < head && (self.positions <= head - from || since.is_none_or(|since| self.period <= since))
    }
}

/// What came of a try to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signing {
    /// A checkpoint was added.
    Added(Box<Checkpoint>),
    /// None is due.
    NotDue,
    /// Another instance is at it.
    Elsewhere,
}

/// No checkpoint is signed: something is not as it was.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The store failed.
    #[error("the ledger cannot be read")]
    Store(#[from] StoreError),
    /// A position that is to be signed is not what was hashed.
    #[error("position {0} of the ledger is not what was hashed")]
    Ledger(u64),
    /// The last checkpoint in the database is not what was signed.
    #[error("the checkpoint at position {0} in the database is not what was signed")]
    Checkpoint(u64),
    /// The ledger ends before the last checkpoint.
    #[error("the ledger ends at {head}, before the last checkpoint at {signed}")]
    Shorter {
        /// The ledger's last position.
        head: u64,
        /// The checkpoint's.
        signed: u64,
    },
    /// The copy outside the database says otherwise, or cannot be written.
    #[error("the checkpoints' file cannot be used")]
    File(#[from] FileError),
}

impl From<sqlx::Error> for SigningError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl SigningError {
    /// What was found to be false, as a label; `None` if nothing was, but something failed.
    fn found(&self) -> Option<&'static str> {
        match self {
            Self::Ledger(_) | Self::Shorter { .. } => Some("ledger"),
            Self::Checkpoint(_) => Some("checkpoint"),
            Self::File(error) => error.is_contradiction().then_some("file"),
            Self::Store(_) => None,
        }
    }
}

impl Store {
    /// Signs a checkpoint if one is due, unless another instance is at it. What it adds to the tree is verified first: a
    /// link that is false is never signed.
    ///
    /// # Errors
    ///
    /// [`SigningError`] if the ledger or the last checkpoint is not what it was, or the database fails.
    pub async fn sign_checkpoint(&self, key: &SigningKey, due: Due) -> Result<Signing, SigningError> {
        let mut turn = begin(self.pool(), "BEGIN").await?;
        let signing = self.sign_in(&mut turn, key, due).await;
        // Waited for either way: until it has ended, the next try would find the turn taken.
        if let Ok(Signing::Added(checkpoint)) = &signing {
            turn.commit().await?;
            gauge!("checkpoint_position").set(checkpoint.statement.position as f64);
        } else {
            turn.rollback().await?;
        }
        signing
    }

    async fn sign_in(&self, turn: &mut PgConnection, key: &SigningKey, due: Due) -> Result<Signing, SigningError> {
        let ours: Option<i32> = sqlx::query_scalar("SELECT 1 FROM es.checkpoint_turn WHERE one FOR UPDATE SKIP LOCKED")
            .fetch_optional(&mut *turn)
            .await?;
        if ours.is_none() {
            return Ok(Signing::Elsewhere);
        }
        let (last, frontier) = last(turn, key).await?;
        let head: i64 =
            sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM es.ledger").fetch_one(&mut *turn).await?;
        let (head, signed) = (head.unsigned_abs(), frontier.size());
        if head < signed {
            return Err(SigningError::Shorter { head, signed });
        }
        let now = self.clock().now();
        if !due.is_now(last.as_ref(), head, now) {
            return Ok(Signing::NotDue);
        }
        let before = last.as_ref().map_or(GENESIS, |last| last.statement.head_hash);
        let (frontier, head_hash) = grow(turn, frontier, before, head.min(signed + SPAN)).await?;
        let checkpoint = Statement {
            store_id: self.store_id(),
            epoch: self.epoch(),
            position: frontier.size(),
            root_hash: frontier.root(),
            head_hash,
            created_at: DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now),
        }
        .sign(key);
        insert(turn, &checkpoint, &frontier).await?;
        Ok(Signing::Added(Box::new(checkpoint)))
    }

    /// The checkpoints after a place in the store's history, in order, at most `limit` (and 1,000). `None` stands for a
    /// row that is no checkpoint.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn checkpoints(
        &self,
        after: (u32, u64),
        limit: u32,
    ) -> Result<Vec<(u64, Option<Checkpoint>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM es.checkpoints WHERE epoch > $1 OR epoch = $1 AND position > $2
             ORDER BY epoch, position LIMIT $3",
        )
        .bind(i32::try_from(after.0).unwrap_or(i32::MAX))
        .bind(after.1.min(i64::MAX.unsigned_abs()).cast_signed())
        .bind(i64::from(limit.min(1_000)))
        .fetch_all(self.pool())
        .await?;
        let read = |row| Ok((position(row)?, Checkpoint::from_row(row)?));
        Ok(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?)
    }

    /// The last checkpoint, if there is one that can be read.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn last_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let row = sqlx::query("SELECT * FROM es.checkpoints ORDER BY position DESC LIMIT 1")
            .fetch_optional(self.pool())
            .await?;
        Ok(row.map(|row| Checkpoint::from_row(&row)).transpose()?.flatten())
    }

    /// Signs whenever a checkpoint is due, and once more at the end, until `cancel`; keeps `file` up to date. What is
    /// found to be false is an alarm in log and metrics, and is tried again.
    pub async fn run_checkpoints(
        &self,
        key: SigningKey,
        due: Due,
        file: Option<CheckpointFile>,
        cancel: CancellationToken,
    ) {
        let mut ledger = self.signals().ledger();
        let (mut signed, mut looked, mut failing) = (0, None::<Instant>, None::<String>);
        loop {
            let heard = *ledger.borrow_and_update();
            let pause = if failing.is_some() { AFTER_FAILURE } else { due.period };
            let overdue = looked.is_none_or(|looked| pause <= looked.elapsed());
            if overdue || failing.is_none() && signed + due.positions <= heard {
                match self.sign_and_copy(&key, due, file.as_ref()).await {
                    Ok(Some(position)) => {
                        // There may be more than one checkpoint's worth.
                        (signed, looked, failing) = (position, Some(Instant::now()), None);
                        continue;
                    }
                    Ok(None) => {
                        (signed, failing) = (heard.max(signed), None);
                    }
                    Err(error) => failing = Some(alarm(&error, failing)),
                }
                looked = Some(Instant::now());
            }
            // The ledger's signal comes every 200 ms at least.
            if let None | Some(Err(_)) = cancel.run_until_cancelled(ledger.changed()).await {
                break;
            }
        }
        // What was written last should not wait for the next start.
        if let Ok(Err(error)) = timeout(AT_THE_END, self.sign_and_copy(&key, Due::ALWAYS, file.as_ref())).await {
            alarm(&error, failing);
        }
    }

    /// The position of the new checkpoint, if there is one.
    async fn sign_and_copy(
        &self,
        key: &SigningKey,
        due: Due,
        file: Option<&CheckpointFile>,
    ) -> Result<Option<u64>, SigningError> {
        if let Some(file) = file {
            // First: over a ledger that the file contradicts nothing is signed.
            file.catch_up(self, key).await?;
        }
        let Signing::Added(checkpoint) = self.sign_checkpoint(key, due).await? else { return Ok(None) };
        if let Some(file) = file {
            file.catch_up(self, key).await?;
        }
        Ok(Some(checkpoint.statement.position))
    }
}

/// Counts and tells what was found, once for as long as it stays the same.
fn alarm(error: &SigningError, before: Option<String>) -> String {
    let said = error.to_string();
    match error.found() {
        Some(found) => {
            counter!("evidence_mismatches_total", "found" => found).increment(1);
            if before.as_ref() != Some(&said) {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the evidence does not hold, nothing is signed"
                );
            }
        }
        None if before.as_ref() != Some(&said) => {
            tracing::warn!(error = error as &dyn std::error::Error, "no checkpoint signed, trying again");
        }
        None => (),
    }
    said
}

/// The last checkpoint, and the tree up to it. The subtrees that were kept are believed only if they lead to a root that
/// this key signed; under a checkpoint of another key the tree is computed from the ledger.
async fn last(connection: &mut PgConnection, key: &SigningKey) -> Result<(Option<Checkpoint>, Frontier), SigningError> {
    let row = sqlx::query("SELECT * FROM es.checkpoints ORDER BY position DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok((None, Frontier::default())) };
    let position = position(&row)?;
    let last = Checkpoint::from_row(&row)?.ok_or(SigningError::Checkpoint(position))?;
    let frontier = if last.public_key == key.public_key() {
        Frontier::from_bytes(position, row.try_get("frontier")?).ok_or(SigningError::Checkpoint(position))?
    } else {
        tracing::warn!(
            key.id = last.public_key.key_id(),
            "the last checkpoint is by another key, reading the ledger again"
        );
        grow(connection, Frontier::default(), GENESIS, position).await?.0
    };
    let holds = last.is_by(std::slice::from_ref(&last.public_key))
        && last.statement.position == position
        && last.statement.root_hash == frontier.root();
    if holds { Ok((Some(last), frontier)) } else { Err(SigningError::Checkpoint(position)) }
}

/// Adds the links up to `to` to the tree, each verified; returns the last of them, too.
async fn grow(
    connection: &mut PgConnection,
    mut tree: Frontier,
    before: [u8; 32],
    to: u64,
) -> Result<(Frontier, [u8; 32]), SigningError> {
    let mut head = before;
    let mut follower = Follower::new(tree.size() + 1, Some(before));
    while tree.size() < to {
        let until = to.min(tree.size() + SPAN);
        follower
            .follow(connection, until, |_, hash| {
                tree.push(leaf(&hash));
                head = hash;
            })
            .await?;
        if let Some((position, _)) = follower.first {
            return Err(SigningError::Ledger(position));
        }
    }
    Ok((tree, head))
}

async fn insert(connection: &mut PgConnection, checkpoint: &Checkpoint, tree: &Frontier) -> Result<(), sqlx::Error> {
    let Checkpoint { statement, public_key, signature } = checkpoint;
    sqlx::query(
        "INSERT INTO es.checkpoints (position, store_id, epoch, root_hash, head_hash, created_at, public_key, signature,
                                     frontier)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(statement.position.cast_signed())
    .bind(statement.store_id)
    .bind(statement.epoch.cast_signed())
    .bind(statement.root_hash.as_slice())
    .bind(statement.head_hash.as_slice())
    .bind(statement.created_at)
    .bind(public_key.as_bytes().as_slice())
    .bind(signature.as_slice())
    .bind(tree.to_bytes())
    .execute(connection)
    .await?;
    Ok(())
}

fn position(row: &sqlx::postgres::PgRow) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>("position")?.unsigned_abs())
}
