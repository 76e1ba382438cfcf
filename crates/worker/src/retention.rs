//! Retention: removes what is kept only for a time, when that is over.

use std::time::Duration;

use eventstore::{Store, StoreError};
use metrics::counter;
use tokio_util::sync::CancellationToken;

/// Rows that one statement removes at most: short enough that nobody waits for it.
const BATCH: i64 = 2_000;

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Receipts of commands, and the answers in them: so long an idempotency key is known.
    pub receipts: Duration,
}

impl Default for Kept {
    fn default() -> Self {
        Self { receipts: Duration::from_secs(24 * 3600) }
    }
}

/// Looks every `period` until `cancel`. Any number of instances may: only one of them removes rows at a time.
pub async fn run(store: Store, kept: Kept, period: Duration, cancel: CancellationToken) {
    let mut failing = false;
    loop {
        match cancel.run_until_cancelled(forget(&store, kept)).await {
            None => return,
            Some(Ok(())) => failing = false,
            Some(Err(error)) if !failing => {
                failing = true;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what is out of date stays until the next look"
                );
            }
            Some(Err(_)) => (),
        }
        if cancel.run_until_cancelled(tokio::time::sleep(period)).await.is_none() {
            return;
        }
    }
}

async fn forget(store: &Store, kept: Kept) -> Result<(), StoreError> {
    loop {
        let removed = store.forget_receipts(kept.receipts, BATCH).await?;
        counter!("receipts_removed_total").increment(removed);
        if removed < BATCH.unsigned_abs() {
            return Ok(());
        }
    }
}
