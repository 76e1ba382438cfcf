//! Whether the service and what it stands on do well. Answers are kept for two seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use projections::ModelStatus;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::app::{App, HEALTH_KEPT, ModelState};

/// How long a part may take to answer before it counts as down.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Read models that are further behind than this are degraded, in seconds.
const LAG_DEGRADED: f64 = 5.0;
/// If all read models are further behind than this, the service is unhealthy, in seconds.
const LAG_UNHEALTHY: f64 = 60.0;

/// Keeps the last answers.
#[derive(Debug, Default)]
pub(crate) struct Health {
    last: Mutex<Option<(Instant, Report)>>,
    ready: Mutex<Option<(Instant, Readiness)>>,
    /// Whether the read models have once contained everything there was.
    caught_up: AtomicBool,
}

/// The state of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// All is well.
    Healthy,
    /// It works, but something is missing.
    Degraded,
    /// It does not work.
    Unhealthy,
}

/// The state of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It answers.
    Up,
    /// It does not answer.
    Down,
    /// It answers, but not as it should.
    Degraded,
}

/// How the service does.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct Report {
    /// The whole.
    pub status: Overall,
    /// This release.
    pub version: String,
    /// The environment.
    pub environment: String,
    /// When it was looked.
    pub timestamp: DateTime<Utc>,
    /// `healthy` or `unhealthy`.
    pub database: &'static str,
    /// `healthy`, `unhealthy` or `not configured`.
    pub redis: &'static str,
    /// `configured`, `not configured` or `circuit open`.
    pub openai: &'static str,
    /// The parts.
    pub checks: Checks,
}

/// How the parts do.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checks {
    /// The database.
    pub postgres: Check,
    /// The bus.
    pub nats: Check,
    /// What instances share limits through; absent where each counts by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<Check>,
    /// The language model.
    pub openai: ModelCheck,
    /// The read models.
    pub projections: ProjectionCheck,
}

/// How a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Whether it answers.
    pub status: State,
    /// After how many milliseconds.
    pub latency_ms: u64,
}

/// How the language model's provider does. It is never called for this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ModelCheck {
    /// Degraded while it is not called.
    pub status: State,
    /// The breaker: `closed`, `half-open` or `open`.
    pub breaker: &'static str,
}

/// How far behind the read models are: the worst of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionCheck {
    /// Degraded if behind, if a stream is set aside, or if the next event is for a newer release.
    pub status: State,
    /// Events still to read.
    pub lag_events: u64,
    /// Age of the oldest of them.
    pub lag_seconds: f64,
    /// Streams that are set aside since one of their events could not be folded, in all read models together.
    pub parked_streams: u64,
    /// Whether they stand still before an event that this release does not know.
    pub yielded: bool,
}

/// Whether requests may be sent here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `not ready`.
    pub status: &'static str,
    /// `connected`, or what is missing.
    pub database: &'static str,
}

impl Readiness {
    const READY: Self = Self { status: "ready", database: "connected" };

    /// Whether requests may be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self == Self::READY
    }

    const fn lacking(database: &'static str) -> Self {
        Self { status: "not ready", database }
    }
}

impl App {
    /// How the service does, as of two seconds ago at most.
    pub(crate) async fn report(&self) -> Report {
        let mut last = self.health().last.lock().await;
        if let Some((at, report)) = &*last
            && at.elapsed() < HEALTH_KEPT
        {
            return report.clone();
        }
        let report = self.look().await;
        *last = Some((Instant::now(), report.clone()));
        report
    }

    /// Whether requests may be sent here.
    pub(crate) async fn readiness(&self) -> Readiness {
        if self.is_draining() {
            return Readiness::lacking("connected");
        }
        let mut last = self.health().ready.lock().await;
        if let Some((at, readiness)) = &*last
            && (at.elapsed() < HEALTH_KEPT && readiness.is_ready())
        {
            return readiness.clone();
        }
        let looked = tokio::time::timeout(ANSWER_WITHIN, self.look_whether_ready()).await;
        let readiness = looked.unwrap_or(Readiness::lacking("disconnected"));
        *last = Some((Instant::now(), readiness.clone()));
        readiness
    }

    async fn look_whether_ready(&self) -> Readiness {
        match eventstore::migrations_current(self.store().pool()).await {
            Ok(true) => (),
            Ok(false) => return Readiness::lacking("migrations missing"),
            Err(_) => return Readiness::lacking("disconnected"),
        }
        if !self.health().caught_up.load(Ordering::Relaxed) {
            match projections::status(self.store()).await {
                // One that is missing is still to be built under the version that this release knows.
                Ok(models) if models.len() < projections::names().len() => {
                    return Readiness::lacking("read models missing");
                }
                Ok(models) if models.iter().all(|model| model.lag_events == 0) => {
                    self.health().caught_up.store(true, Ordering::Relaxed);
                }
                Ok(_) => return Readiness::lacking("catching up"),
                Err(_) => return Readiness::lacking("disconnected"),
            }
        }
        Readiness::READY
    }

    async fn look(&self) -> Report {
        let nats = self.parts().nats.as_ref();
        let (postgres, nats, redis, models) = tokio::join!(
            timed(sqlx::query("SELECT 1").execute(self.store().pool()).map(|answer| answer.is_ok())),
            timed(nats()),
            self.look_at_redis(),
            tokio::time::timeout(ANSWER_WITHIN, projections::status(self.store())),
        );
        let models = models.ok().and_then(Result::ok);
        let projections = projections(models.as_deref());
        let all_far_behind = models
            .as_deref()
            .is_some_and(|models| !models.is_empty() && models.iter().all(|model| model.lag_seconds > LAG_UNHEALTHY));
        let model = (self.parts().model)();
        let openai = match model {
            ModelState::NotConfigured | ModelState::Closed => ModelCheck { status: State::Up, breaker: "closed" },
            ModelState::Unconfirmed => ModelCheck { status: State::Degraded, breaker: "closed" },
            ModelState::HalfOpen => ModelCheck { status: State::Degraded, breaker: "half-open" },
            ModelState::Open => ModelCheck { status: State::Degraded, breaker: "open" },
        };
        let parts = [Some(nats.status), redis.map(|check| check.status), Some(openai.status), Some(projections.status)];
        let status = if postgres.status != State::Up || all_far_behind {
            Overall::Unhealthy
        } else if parts.into_iter().flatten().any(|state| state != State::Up) {
            Overall::Degraded
        } else {
            Overall::Healthy
        };
        Report {
            status,
            version: self.config().version.clone(),
            environment: self.config().environment.clone(),
            timestamp: self.clock().now(),
            database: word(postgres.status),
            redis: redis.map_or("not configured", |check| word(check.status)),
            openai: match model {
                ModelState::NotConfigured => "not configured",
                ModelState::Closed | ModelState::Unconfirmed | ModelState::HalfOpen => "configured",
                ModelState::Open => "circuit open",
            },
            checks: Checks { postgres, nats, redis, openai, projections },
        }
    }

    async fn look_at_redis(&self) -> Option<Check> {
        let began = Instant::now();
        let answers = self.limiter().ping().await?;
        Some(check(answers, began))
    }
}

async fn timed(probe: impl Future<Output = bool>) -> Check {
    let began = Instant::now();
    let answers = tokio::time::timeout(ANSWER_WITHIN, probe).await.unwrap_or(false);
    check(answers, began)
}

fn check(answers: bool, began: Instant) -> Check {
    let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Check { status: if answers { State::Up } else { State::Down }, latency_ms }
}

const fn word(state: State) -> &'static str {
    match state {
        State::Up => "healthy",
        State::Down | State::Degraded => "unhealthy",
    }
}

fn projections(models: Option<&[ModelStatus]>) -> ProjectionCheck {
    let Some(models) = models else {
        let status = State::Down;
        return ProjectionCheck { status, lag_events: 0, lag_seconds: 0.0, parked_streams: 0, yielded: false };
    };
    let lag_events = models.iter().map(|model| model.lag_events).max().unwrap_or(0);
    let lag_seconds = models.iter().map(|model| model.lag_seconds).fold(0.0, f64::max);
    let parked_streams = models.iter().map(|model| model.parked).sum();
    let yielded = models.iter().any(|model| model.yielded.is_some());
    let well = lag_seconds <= LAG_DEGRADED && parked_streams == 0 && !yielded;
    let status = if well { State::Up } else { State::Degraded };
    ProjectionCheck { status, lag_events, lag_seconds, parked_streams, yielded }
}
