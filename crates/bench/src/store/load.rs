//! Many clients, each with one command under way at every moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::AccountId;
use eventstore::Store;
use projections::{ProjectDocument, ReadModel as _};
use tokio::task::JoinSet;

use super::commands::Outcome;
use crate::Error;

/// What came of a load.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Events acknowledged a second.
    pub acknowledged: f64,
    /// Events a second until the last of them was numbered and in the read models, too.
    pub followed: f64,
}

/// Has `clients` accounts send commands for `length`, which must all succeed, then waits until the last event is in the
/// read models.
///
/// # Errors
///
/// The first command that failed, or [`Error::TooLong`].
pub async fn run<C, F>(store: &Store, clients: u16, length: Duration, command: C) -> Result<Rates, Error>
where
    C: Fn(Store, AccountId) -> F + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    let command = Arc::new(command);
    let mut accounts = Vec::new();
    for _ in 0..clients {
        let account = AccountId::generate();
        // Whoever writes has signed in before, and so has a key.
        store.ensure_key(account).await?;
        accounts.push(account);
    }
    let begin = Instant::now();
    let mut running = JoinSet::new();
    for account in accounts {
        let (store, command) = (store.clone(), Arc::clone(&command));
        running.spawn(async move {
            let mut events = 0;
            while begin.elapsed() < length {
                let committed = command(store.clone(), account).await.map_err(Error::command)?;
                events += committed.events.len();
            }
            Ok(events)
        });
    }
    let events = running.join_all().await.into_iter().sum::<Result<usize, Error>>()?;
    let acknowledged = begin.elapsed();
    wait_until_followed(store, Duration::from_secs(120)).await?;
    let per_second = |took: Duration| events as f64 / took.as_secs_f64();
    Ok(Rates { acknowledged: per_second(acknowledged), followed: per_second(begin.elapsed()) })
}

/// Waits until every event is numbered.
///
/// # Errors
///
/// [`Error::TooLong`] if that takes longer than `within`.
pub async fn wait_until_numbered(store: &Store, within: Duration) -> Result<(), Error> {
    wait(store, within, "NOT EXISTS (SELECT FROM es.event_pending)").await
}

/// Waits until every event is numbered and in the read model of projects.
///
/// # Errors
///
/// [`Error::TooLong`] if that takes longer than `within`.
pub async fn wait_until_followed(store: &Store, within: Duration) -> Result<(), Error> {
    let followed = format!(
        "NOT EXISTS (SELECT FROM es.event_pending) AND coalesce((SELECT max(position) FROM es.ledger), 0)
            <= (SELECT position FROM views.checkpoints WHERE live AND name = '{}')",
        ProjectDocument::NAME
    );
    wait(store, within, &followed).await
}

async fn wait(store: &Store, within: Duration, condition: &str) -> Result<(), Error> {
    let begin = Instant::now();
    // It changes at least every 200 ms, whatever happens.
    let mut projected = store.signals().projected();
    while begin.elapsed() < within {
        projected.borrow_and_update();
        if sqlx::query_scalar(&format!("SELECT {condition}")).fetch_one(store.pool()).await? {
            return Ok(());
        }
        let _ = projected.changed().await;
    }
    Err(Error::TooLong { what: "following the events", seconds: within.as_secs() })
}
