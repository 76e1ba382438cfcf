//! What all handlers share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::document::Warning;
use domain::project::Open;
use domain::{AccountId, Clock};
use eventstore::{Committed, Store};
use futures::future::BoxFuture;
use http::HeaderValue;
use identity::{Credentials, Passwords, Sessions};
use projections::{Answer, Reader, Views};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::answer::X_EVENT_POSITION;
use crate::call::{Caller, Envelope};
use crate::config::ApiConfig;
use crate::health::Health;
use crate::limits::Limiter;
use crate::problem::{Kind, Problem, catalogue};

/// Writes all metrics in Prometheus' text format.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;
/// Says what to tell somebody who asks for a proposal from a project as it stands.
pub type Advice = Arc<dyn Fn(&Open) -> Vec<Warning> + Send + Sync>;
/// Asks something this service depends on whether it answers.
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// What the server puts together.
pub struct Parts {
    /// The settings.
    pub config: ApiConfig,
    /// Events.
    pub store: Store,
    /// Read models.
    pub views: Views,
    /// Addresses and passwords.
    pub credentials: Credentials,
    /// The hashing of passwords.
    pub passwords: Passwords,
    /// Sessions.
    pub sessions: Sessions,
    /// Counts what is limited. Its [`Limiter::run`] is the server's to spawn.
    pub limiter: Arc<Limiter>,
    /// What `/metrics` answers.
    pub metrics: Metrics,
    /// Warnings at the request of a proposal.
    pub advice: Advice,
    /// Whether NATS answers.
    pub nats: Probe,
    /// How the provider of the language model does, without calling it.
    pub model: Arc<dyn Fn() -> ModelState + Send + Sync>,
}

/// How the provider of the language model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelState {
    /// There is none: texts come from templates.
    NotConfigured,
    /// It is called.
    Closed,
    /// It is called, but has not confirmed the model that was set.
    Unconfirmed,
    /// It is tried with one call.
    HalfOpen,
    /// It failed too often and is not called for a while.
    Open,
}

/// What all handlers share. Clones are the same.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    parts: Parts,
    health: Health,
    draining: AtomicBool,
    tasks: TaskTracker,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("config", &self.0.parts.config).finish_non_exhaustive()
    }
}

impl App {
    /// The app of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared {
            parts,
            health: Health::default(),
            draining: AtomicBool::new(false),
            tasks: TaskTracker::new(),
        }))
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ApiConfig {
        &self.0.parts.config
    }

    /// Events.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.parts.store
    }

    /// Read models.
    #[must_use]
    pub fn views(&self) -> &Views {
        &self.0.parts.views
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.store().clock()
    }

    /// What to tell somebody who asks for a proposal from a project as it stands.
    #[must_use]
    pub fn advice(&self, project: &Open) -> Vec<Warning> {
        (self.0.parts.advice)(project)
    }

    /// Says that the process is about to stop: readiness answers 503 from now on, everything else as before.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Does something that no answer waits for, and the end of the service does.
    pub(crate) fn do_beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(work);
    }

    /// Waits until nothing goes on any more that no answer waited for. For the end of the process, after the last answer.
    pub(crate) async fn finished(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    pub(crate) fn health(&self) -> &Health {
        &self.0.health
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.parts.sessions
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0.parts.limiter
    }

    /// Waits, at most as long as configured and until `by`, until the events of a write have positions and the read models
    /// contain what `account` wrote; returns the position of the last event. `None` if there was no event, or if its
    /// position was not known in time: the write is a success in either case, and its answer must not come too late.
    pub async fn settle<T>(&self, account: AccountId, committed: &Committed<T>, by: Instant) -> Option<u64> {
        let until = by.min(Instant::now() + self.config().wait_for_reads);
        let left = || until.saturating_duration_since(Instant::now());
        let position = self.store().settle(committed, left()).await?;
        let reader = Reader { account, min_position: Some(position), within: left() };
        if let Ok(Err(error)) = timeout_at(until, self.views().wait_for(&reader)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "not known whether the read models have followed");
        }
        Some(position)
    }

    /// The caller as reader: what its reads must contain, and how long they wait for it.
    ///
    /// # Errors
    ///
    /// A validation problem if the header `X-Min-Position` is no position.
    pub fn reader(&self, caller: &Caller, envelope: &Envelope) -> Result<Reader, Problem> {
        let min_position = envelope.min_position()?;
        Ok(Reader { account: caller.account_id, min_position, within: self.config().wait_for_reads })
    }
}

/// What a read found, and the position up to which everything is in it.
///
/// # Errors
///
/// [`catalogue::READ_MODEL_BEHIND`] if the position was not reached that the caller asked for with `X-Min-Position`.
pub fn in_time<T>(answer: Answer<T>, reader: &Reader) -> Result<(T, u64), Problem> {
    let Answer { value, freshness } = answer;
    if reader.min_position.is_some_and(|wanted| freshness.position < wanted) {
        return Err(catalogue::READ_MODEL_BEHIND.into());
    }
    Ok((value, freshness.position))
}

/// As [`in_time`], where there may be nothing: then the refusal tells the position, too, up to which there is nothing.
///
/// # Errors
///
/// As [`in_time`], and `missing` if nothing was found.
pub(crate) fn found_in_time<T>(answer: Answer<Option<T>>, reader: &Reader, missing: Kind) -> Result<(T, u64), Problem> {
    let (found, position) = in_time(answer, reader)?;
    let found = found.ok_or_else(|| Problem::from(missing).header(X_EVENT_POSITION, HeaderValue::from(position)))?;
    Ok((found, position))
}

/// How long an answer about health is used again.
pub(crate) const HEALTH_KEPT: Duration = Duration::from_secs(2);
