//! The generation process: reads a job's stream, does its next step, records what came of it, until the job has ended.
//!
//! Nothing is kept here between two steps: the stream tells what the next one is. Each command's id is made from what
//! it says, so whoever repeats one, after whatever crash, adds nothing. No database connection is held while a step
//! runs; a step may wait half a minute for a language model.

mod record;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::project::Open;
use domain::proposal::{FailureClass, FailureCode, Generation, Stage, StepOutput, Usage};
use domain::{Proposal, ProposalId};
use drafting::{Drafter, Reaction, StepFailure, StepInput};
use eventstore::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::lease::Lease;
use record::{Recorded, Recorder};

/// How often a running step looks whether somebody cancelled the job.
const CANCELLATION_LOOK: Duration = Duration::from_secs(1);

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
    recorder: Recorder,
    settings: Settings,
    worker: Uuid,
    places: Arc<Semaphore>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// Why the process stopped working at a job that has not ended.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// Another worker has it, this one is shutting down, or it cannot go on yet: the sweep finds it again.
    #[error("the job goes on elsewhere")]
    Elsewhere,
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How a step came out, as far as the process is concerned.
enum Step {
    Finished(StepOutput, Option<Usage>),
    Failed(StepFailure),
    Cancelled,
    Deadline,
}

impl Generations {
    /// A process that works until `cancel`.
    #[must_use]
    pub fn new(store: Store, drafter: Arc<Drafter>, settings: Settings, cancel: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            recorder: Recorder::new(store.clone()),
            store,
            drafter,
            worker: Uuid::now_v7(),
            places: Arc::new(Semaphore::new(settings.places)),
            settings,
            cancel,
            tasks: TaskTracker::new(),
        }))
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

    /// Waits until a job could begin, and says how many could. `None` when `cancel` came first.
    pub async fn free_places(&self, cancel: &CancellationToken) -> Option<usize> {
        tokio::select! {
            () = cancel.cancelled() => None,
            place = self.0.places.acquire() => place.ok().map(|_place| self.0.places.available_permits() + 1),
        }
    }

    /// Begins to work at a job in a task of its own. `false` if there is no free place.
    #[must_use]
    pub fn start(&self, proposal: ProposalId) -> bool {
        let Ok(place) = Arc::clone(&self.0.places).try_acquire_owned() else { return false };
        let this = self.clone();
        self.0.tasks.spawn(async move {
            let _place = place;
            this.drive(proposal).await;
        });
        true
    }

    /// Works at a job as soon as there is a place. Returns whether it has ended or somebody else has it, so that a
    /// message about it is done with.
    pub async fn work_at(&self, proposal: ProposalId) -> bool {
        let Ok(place) = Arc::clone(&self.0.places).acquire_owned().await else { return false };
        let this = self.clone();
        let worked = self.0.tasks.spawn(async move {
            let _place = place;
            this.drive(proposal).await
        });
        worked.await.unwrap_or(false)
    }

    /// Waits until every task has stopped; call it after cancelling.
    pub async fn stopped(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn drive(&self, proposal: ProposalId) -> bool {
        let inner = &*self.0;
        let lease = match Lease::take(inner.store.pool(), proposal, inner.worker, inner.settings.lease).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return true,
            Err(error) => {
                tracing::debug!(proposal.id = %proposal, %error, "the lease could not be taken");
                return false;
            }
        };
        let span = tracing::info_span!("generation", proposal.id = %proposal);
        let worked = inner.run(proposal, &lease).instrument(span.clone()).await;
        lease.release().await;
        match worked {
            Ok(()) => true,
            Err(Stopped::Elsewhere) => true,
            Err(error @ Stopped::Store(_)) => {
                span.in_scope(|| {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the job waits for the sweep");
                });
                false
            }
        }
    }
}

impl Inner {
    async fn run(&self, proposal: ProposalId, lease: &Lease) -> Result<(), Stopped> {
        let mut inputs: Option<(Open, u64)> = None;
        let mut seen = 0;
        loop {
            if lease.lost.is_cancelled() || self.cancel.is_cancelled() {
                return Err(Stopped::Elsewhere);
            }
            let (state, version) = self.load(proposal).await?;
            let Some(generation) = state.generation.as_deref().filter(|g| g.phase.is_active()) else { return Ok(()) };
            let now = self.store.clock().now();
            if generation.cancellation_requested {
                self.ended(self.recorder.cancel(proposal, generation).await?, "cancelled", generation);
            } else if now >= generation.request.deadline_at {
                self.fail(proposal, generation, FailureCode::AiTimeout, vec![]).await?;
            } else if let Some(due) = generation.retry_at.filter(|due| *due > now) {
                self.wait_until(due.min(generation.request.deadline_at), proposal, version, lease).await?;
                continue;
            } else if seen == version {
                // Whatever was tried left no event: trying again at once would only turn in a circle.
                return Err(Stopped::Elsewhere);
            } else {
                self.step(proposal, generation, version, &mut inputs, lease).await?;
            }
            seen = version;
        }
    }

    /// Does the next step and records what came of it.
    async fn step(
        &self,
        proposal: ProposalId,
        generation: &Generation,
        version: u64,
        inputs: &mut Option<(Open, u64)>,
        lease: &Lease,
    ) -> Result<(), Stopped> {
        let stage = generation.next_step();
        let Recorded::Done(attempt) = self.recorder.begin(proposal, stage, version).await? else { return Ok(()) };
        let (project, inputs_position) = match inputs {
            Some(known) => known,
            None => match self.inputs(generation).await? {
                Some(read) => inputs.insert(read),
                None => return self.fail(proposal, generation, FailureCode::Internal, vec![]).await,
            },
        };
        let input = StepInput { generation, project, proposal, inputs_position: *inputs_position, attempt };
        if stage == Stage::Publish {
            return match self.recorder.publish(proposal, &self.drafter, input).await? {
                Ok(recorded) => {
                    self.ended(recorded, "completed", generation);
                    Ok(())
                }
                Err(failure) => self.failed(proposal, generation, stage, attempt, failure).await,
            };
        }
        let begun = tokio::time::Instant::now();
        let outcome = self.attempt(stage, input, version, lease).await?;
        let elapsed = begun.elapsed();
        metrics::histogram!("generation_step_seconds", "stage" => stage.as_str()).record(elapsed.as_secs_f64());
        match outcome {
            Step::Finished(output, usage) => {
                let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(stage = stage.as_str(), attempt, elapsed_ms, "step finished");
                self.recorder.finish(proposal, stage, attempt, output, usage, elapsed_ms).await
            }
            Step::Failed(failure) => self.failed(proposal, generation, stage, attempt, failure).await,
            // The loop looks at the stream again and ends the job for the right reason.
            Step::Cancelled | Step::Deadline => Ok(()),
        }
    }

    /// Runs one attempt; stops it when the job is cancelled, its deadline passes, or the lease is lost.
    async fn attempt(&self, stage: Stage, input: StepInput<'_>, version: u64, lease: &Lease) -> Result<Step, Stopped> {
        let stop = CancellationToken::new();
        let _stop_when_left = stop.clone().drop_guard();
        let left = input.generation.request.deadline_at - self.store.clock().now();
        let proposal = input.proposal;
        tokio::select! {
            result = self.drafter.run(stage, input, &stop) => Ok(match result {
                Ok(result) => Step::Finished(result.output, result.usage),
                Err(failure) => Step::Failed(failure),
            }),
            () = tokio::time::sleep(left.to_std().unwrap_or_default()) => Ok(Step::Deadline),
            () = self.cancelled(proposal, version) => Ok(Step::Cancelled),
            () = lease.lost.cancelled() => Err(Stopped::Elsewhere),
            () = self.cancel.cancelled() => Err(Stopped::Elsewhere),
        }
    }

    /// Returns when somebody has asked to cancel the job. It reads the stream, so it works without NATS.
    async fn cancelled(&self, proposal: ProposalId, after: u64) {
        let mut looks = tokio::time::interval(CANCELLATION_LOOK);
        looks.tick().await;
        loop {
            looks.tick().await;
            let asked = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM es.events WHERE aggregate_type = 'proposal' AND aggregate_id = $1
                    AND sequence > $2 AND event_type = 'cancellation-requested')",
            )
            .bind(proposal.to_string())
            .bind(after.cast_signed())
            .fetch_one(self.store.pool())
            .await;
            if asked.unwrap_or(false) {
                return;
            }
        }
    }

    /// Records a failure, and that the step is tried again later or the job ends.
    async fn failed(
        &self,
        proposal: ProposalId,
        generation: &Generation,
        stage: Stage,
        attempt: u32,
        failure: StepFailure,
    ) -> Result<(), Stopped> {
        // `failures` counts those of the step begun before, too, until the stage moves on.
        let before = if generation.stage == Some(stage) { generation.failures } else { 0 };
        let class: FailureClass = failure.class;
        match failure.reaction(before) {
            Reaction::RetryAfter(pause) => {
                let retry_at = self.store.clock().now() + pause;
                tracing::warn!(
                    stage = stage.as_str(),
                    attempt,
                    class = class.as_str(),
                    retry_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                    "step failed, it will be tried again"
                );
                self.recorder.fail_step(proposal, stage, attempt, class, Some(retry_at)).await
            }
            Reaction::GiveUp(code) => {
                tracing::warn!(stage = stage.as_str(), attempt, class = class.as_str(), "step failed for good");
                self.recorder.fail_step(proposal, stage, attempt, class, None).await?;
                self.fail(proposal, generation, code, failure.warnings).await
            }
        }
    }

    async fn fail(
        &self,
        proposal: ProposalId,
        generation: &Generation,
        code: FailureCode,
        warnings: Vec<domain::document::Warning>,
    ) -> Result<(), Stopped> {
        let recorded = self.recorder.fail(proposal, generation, code, warnings).await?;
        self.ended(recorded, "failed", generation);
        Ok(())
    }

    fn ended<T>(&self, recorded: Recorded<T>, outcome: &'static str, generation: &Generation) {
        if let Recorded::Done(_) = recorded {
            let seconds = (self.store.clock().now() - generation.request.requested_at).as_seconds_f64();
            metrics::counter!("generations_total", "outcome" => outcome).increment(1);
            metrics::histogram!("generation_seconds", "outcome" => outcome).record(seconds);
            tracing::info!(
                outcome,
                elapsed_ms = (seconds * 1000.0) as u64,
                tokens.total = generation.usage.input_tokens + generation.usage.output_tokens,
                "generation ended"
            );
        }
    }

    /// The project as it was at the request, and the ledger position of that. `None` if it was never open then.
    async fn inputs(&self, generation: &Generation) -> Result<Option<(Open, u64)>, Stopped> {
        let request = &generation.request;
        let id = request.project.as_uuid();
        let (project, _) = self
            .store
            .load_at::<domain::Project>(id, Some(request.project_version))
            .await
            .map_err(|error| Stopped::Store(Box::new(error)))?;
        let position = self
            .store
            .position_of(request.project.into(), request.project_version)
            .await
            .map_err(|error| Stopped::Store(Box::new(error)))?;
        // The request came after these events, so their positions are only a moment away.
        let position = position.ok_or(Stopped::Elsewhere)?;
        Ok(project.open().cloned().map(|open| (open, position)))
    }

    async fn load(&self, proposal: ProposalId) -> Result<(Proposal, u64), Stopped> {
        self.store.load_at::<Proposal>(proposal.as_uuid(), None).await.map_err(|error| Stopped::Store(Box::new(error)))
    }

    /// Waits for a retry that is due later; a cancellation ends the wait.
    async fn wait_until(
        &self,
        due: DateTime<Utc>,
        proposal: ProposalId,
        version: u64,
        lease: &Lease,
    ) -> Result<(), Stopped> {
        let left = (due - self.store.clock().now()).to_std().unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(left) => Ok(()),
            () = self.cancelled(proposal, version) => Ok(()),
            () = lease.lost.cancelled() => Err(Stopped::Elsewhere),
            () = self.cancel.cancelled() => Err(Stopped::Elsewhere),
        }
    }
}
