//! The generation process: reads a job's stream, does its next step, records what came of it, until the job has ended.
//!
//! Nothing is kept here between two steps: the stream tells what the next one is. Each command's id is made from what
//! it says, so whoever repeats one, after whatever crash, adds nothing. No database connection is held while a step
//! runs; a step may wait half a minute for a language model.

mod job;
mod record;

use std::sync::Arc;
use std::time::Duration;

use domain::ProposalId;
use drafting::Drafter;
use eventstore::Store;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::lease::Lease;
use job::Job;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many jobs run at once in this process.
    pub places: usize,
    /// How long a worker may show no sign of life before another one takes its job.
    pub lease: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { places: 4, lease: Duration::from_secs(6) }
    }
}

/// The generations that this process works at.
#[derive(Clone)]
pub struct Generations(Arc<Inner>);

struct Inner {
    store: Store,
    drafter: Arc<Drafter>,
    settings: Settings,
    places: Arc<Semaphore>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// What became of a job that was begun here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// It has ended, or somebody else has it.
    Done,
    /// It could not go on for now.
    Later,
}

/// Why the process stopped working at a job that has not ended.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// Somebody else has it.
    #[error("the lease was lost")]
    Lost,
    /// This process is shutting down.
    #[error("the process is shutting down")]
    Stopping,
    /// Trying again at once would only turn in a circle.
    #[error("the job does not move")]
    Stuck,
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Stopped {
    fn store(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Store(Box::new(error))
    }
}

impl Generations {
    /// A process that works until `cancel`.
    #[must_use]
    pub fn new(store: Store, drafter: Arc<Drafter>, settings: Settings, cancel: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(settings.places));
        Self(Arc::new(Inner { store, drafter, settings, places, cancel, tasks: TaskTracker::new() }))
    }

    /// What was set.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Where the events are.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Waits until a job could begin. It takes no place: somebody else may be faster.
    pub async fn free_place(&self) {
        // Nobody closes the semaphore.
        drop(self.0.places.acquire().await);
    }

    /// Begins to work at a job in a task of its own. `None` if there is no free place, or no more work is taken on.
    #[must_use]
    pub fn start(&self, proposal: ProposalId) -> Option<JoinHandle<Worked>> {
        if self.0.cancel.is_cancelled() {
            return None;
        }
        let place = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        let inner = Arc::clone(&self.0);
        Some(self.0.tasks.spawn(async move {
            let _place = place;
            let span = tracing::info_span!("generation", proposal.id = %proposal);
            inner.work_at(proposal).instrument(span).await
        }))
    }

    /// Waits until every task has stopped; call it after cancelling.
    pub async fn stopped(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Inner {
    async fn work_at(&self, proposal: ProposalId) -> Worked {
        let lease = match Lease::take(self.store.pool(), proposal, self.settings.lease).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return Worked::Done,
            Err(error) => {
                tracing::debug!(%error, "the lease could not be taken");
                return Worked::Later;
            }
        };
        match Job::new(self, proposal, &lease).run().await {
            Ok(()) => {
                lease.release().await;
                Worked::Done
            }
            Err(Stopped::Lost) => Worked::Done,
            Err(Stopped::Stopping) => {
                lease.release().await;
                Worked::Later
            }
            Err(error @ (Stopped::Stuck | Stopped::Store(_))) => {
                // The lease is left to run out: that is the pause before the next try.
                tracing::warn!(error = &error as &dyn std::error::Error, "the job waits for the sweep");
                Worked::Later
            }
        }
    }
}
