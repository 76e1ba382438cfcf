//! One job, driven from wherever it stands to its end.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::project::Open;
use domain::proposal::{FailureClass, FailureCode, Generation, Stage};
use domain::{Project, Proposal, ProposalId};
use drafting::{Reaction, StepFailure, StepInput, StepResult};
use futures::FutureExt as _;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::record::{FailedAttempt, Recorded, Recorder};
use super::{Inner, Stopped};
use crate::lease::Lease;

/// How often a running or waiting step looks whether somebody cancelled the job.
const CANCELLATION_LOOK: Duration = Duration::from_secs(1);
/// How long the last event that a job reads may take to get its position in the ledger.
const POSITION_WAIT: Duration = Duration::from_secs(5);

/// One job that this process has a lease of.
pub(super) struct Job<'a> {
    process: &'a Inner,
    proposal: ProposalId,
    lease: &'a Lease,
    recorder: Recorder,
}

/// What all steps read: the project as it was at the request, and the ledger position of that.
struct Inputs {
    project: Open,
    position: u64,
}

/// How an attempt at a step came out.
enum Attempt {
    Finished(StepResult),
    Failed(StepFailure),
    Cancelled,
    Deadline,
}

impl<'a> Job<'a> {
    pub(super) fn new(process: &'a Inner, proposal: ProposalId, lease: &'a Lease) -> Self {
        let recorder = Recorder::new(process.store.clone(), proposal, lease.hold());
        Self { process, proposal, lease, recorder }
    }

    /// Goes on until the job has ended.
    pub(super) async fn run(&self) -> Result<(), Stopped> {
        let mut inputs = None;
        let mut seen = 0;
        loop {
            if self.lease.lost.is_cancelled() {
                return Err(Stopped::Lost);
            }
            if self.process.cancel.is_cancelled() {
                return Err(Stopped::Stopping);
            }
            let loaded = self.process.store.load_at::<Proposal>(self.proposal.as_uuid(), None).await;
            let (state, version) = loaded.map_err(Stopped::store)?;
            let Some(generation) = state.generation.as_deref().filter(|g| g.phase.is_active()) else { return Ok(()) };
            if seen == version {
                return Err(Stopped::Stuck);
            }
            let now = self.now();
            let deadline = generation.request.deadline_at;
            if generation.cancellation_requested {
                self.ended(self.recorder.cancel(generation).await?, "cancelled", generation);
            } else if now >= deadline {
                self.fail(generation, FailureCode::AiTimeout).await?;
            } else if let Some(due) = generation.retry_at.filter(|due| *due > now) {
                self.wait_until(due.min(deadline), version).await?;
                continue;
            } else {
                self.step(generation, version, &mut inputs).await?;
            }
            seen = version;
        }
    }

    /// Does the next step and records what came of it.
    async fn step(&self, generation: &Generation, version: u64, inputs: &mut Option<Inputs>) -> Result<(), Stopped> {
        if inputs.is_none() {
            *inputs = self.inputs(generation).await?;
        }
        // A request for a project that was not open is never written by us.
        let Some(Inputs { project, position }) = inputs else {
            return self.fail(generation, FailureCode::Internal).await;
        };
        let stage = generation.next_step();
        let Recorded::Done(attempt) = self.recorder.begin(stage, version).await? else { return Ok(()) };
        let input = StepInput { generation, project, proposal: self.proposal, inputs_position: *position, attempt };
        if stage == Stage::Publish {
            return match self.recorder.publish(&self.process.drafter, input).await? {
                Ok(recorded) => {
                    self.ended(recorded, "completed", generation);
                    Ok(())
                }
                Err(failure) => self.failed(generation, stage, attempt, failure).await,
            };
        }
        let begun = Instant::now();
        let outcome = self.attempt(stage, input, version).await?;
        let elapsed = begun.elapsed();
        metrics::histogram!("generation_step_seconds", "stage" => stage.as_str()).record(elapsed.as_secs_f64());
        match outcome {
            Attempt::Finished(result) => {
                let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(stage = stage.as_str(), attempt, elapsed_ms, "step finished");
                self.recorder.finish(stage, attempt, result, elapsed_ms).await
            }
            Attempt::Failed(failure) => self.failed(generation, stage, attempt, failure).await,
            Attempt::Deadline => self.fail(generation, FailureCode::AiTimeout).await,
            // The next look at the stream finds the request.
            Attempt::Cancelled => Ok(()),
        }
    }

    /// Runs one attempt; stops it when the job is cancelled, its deadline passes, or the lease is lost.
    async fn attempt(&self, stage: Stage, input: StepInput<'_>, version: u64) -> Result<Attempt, Stopped> {
        let stop = CancellationToken::new();
        let _stop_when_left = stop.clone().drop_guard();
        // A step that panics would otherwise be begun again and again, with a call of the model each time.
        let running = AssertUnwindSafe(self.process.drafter.run(stage, input, &stop)).catch_unwind();
        tokio::select! {
            // What was paid for is not thrown away.
            biased;
            result = running => Ok(match result {
                Ok(Ok(result)) => Attempt::Finished(result),
                Ok(Err(failure)) => Attempt::Failed(failure),
                Err(_) => Attempt::Failed(defect()),
            }),
            () = sleep(self.left_until(input.generation.request.deadline_at)) => Ok(Attempt::Deadline),
            () = self.cancelled(version) => Ok(Attempt::Cancelled),
            () = self.lease.lost.cancelled() => Err(Stopped::Lost),
            () = self.process.cancel.cancelled() => Err(Stopped::Stopping),
        }
    }

    /// Waits for a retry that is due later; a cancellation ends the wait.
    async fn wait_until(&self, due: DateTime<Utc>, version: u64) -> Result<(), Stopped> {
        tokio::select! {
            () = sleep(self.left_until(due)) => Ok(()),
            () = self.cancelled(version) => Ok(()),
            () = self.lease.lost.cancelled() => Err(Stopped::Lost),
            () = self.process.cancel.cancelled() => Err(Stopped::Stopping),
        }
    }

    /// Returns when somebody has asked to cancel the job. It reads the stream, so it works without NATS.
    async fn cancelled(&self, after: u64) {
        let mut looks = interval(CANCELLATION_LOOK);
        looks.tick().await;
        loop {
            looks.tick().await;
            let asked = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM es.events WHERE aggregate_type = 'proposal' AND aggregate_id = $1
                    AND sequence > $2 AND event_type = 'cancellation-requested')",
            )
            .bind(self.proposal.to_string())
            .bind(after.cast_signed())
            .fetch_one(self.process.store.pool())
            .await;
            // While the database is away nobody can ask for anything.
            if asked.unwrap_or(false) {
                return;
            }
        }
    }

    /// Records a failure, and that the step is tried again later or the job ends.
    async fn failed(
        &self,
        generation: &Generation,
        stage: Stage,
        attempt: u32,
        failure: StepFailure,
    ) -> Result<(), Stopped> {
        // `failures` counts those of the step begun before, too, until the stage moves on.
        let before = if generation.stage == Some(stage) { generation.failures } else { 0 };
        let reaction = failure.reaction(before);
        let StepFailure { class, usage, warnings, .. } = failure;
        let failed = FailedAttempt { stage, attempt, class, usage };
        match reaction {
            Reaction::RetryAfter(pause) => {
                tracing::warn!(
                    stage = stage.as_str(),
                    attempt,
                    class = class.as_str(),
                    retry_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                    "step failed, it will be tried again"
                );
                self.recorder.retry(failed, self.now() + pause).await
            }
            Reaction::GiveUp(code) => {
                tracing::warn!(stage = stage.as_str(), attempt, class = class.as_str(), "step failed for good");
                let recorded = self.recorder.give_up(generation, failed, code, warnings).await?;
                self.ended(recorded, "failed", generation);
                Ok(())
            }
        }
    }

    async fn fail(&self, generation: &Generation, code: FailureCode) -> Result<(), Stopped> {
        let recorded = self.recorder.fail(generation, code).await?;
        self.ended(recorded, "failed", generation);
        Ok(())
    }

    fn ended(&self, recorded: Recorded<()>, outcome: &'static str, generation: &Generation) {
        let Recorded::Done(()) = recorded else { return };
        let seconds = (self.now() - generation.request.requested_at).as_seconds_f64();
        metrics::counter!("generations_total", "outcome" => outcome).increment(1);
        metrics::histogram!("generation_seconds", "outcome" => outcome).record(seconds);
        tracing::info!(
            outcome,
            elapsed_ms = (seconds * 1000.0) as u64,
            tokens.total = generation.usage.input_tokens + generation.usage.output_tokens,
            "generation ended"
        );
    }

    /// What the steps read. `None` if the project was not open then.
    async fn inputs(&self, generation: &Generation) -> Result<Option<Inputs>, Stopped> {
        let store = &self.process.store;
        let (id, version) = (generation.request.project, generation.request.project_version);
        let (project, _) = store.load_at::<Project>(id.as_uuid(), Some(version)).await.map_err(Stopped::store)?;
        let Some(project) = project.open().cloned() else { return Ok(None) };
        // The sweep may find a job before the sequencer has come to it.
        let mut ledger = store.signals().ledger();
        let position = timeout(POSITION_WAIT, async {
            loop {
                ledger.mark_unchanged();
                if let Some(position) = store.position_of(id.into(), version).await.map_err(Stopped::store)? {
                    return Ok::<u64, Stopped>(position);
                }
                ledger.changed().await.map_err(Stopped::store)?;
            }
        });
        let position = position.await.map_err(|_| Stopped::Stuck)??;
        Ok(Some(Inputs { project, position }))
    }

    fn now(&self) -> DateTime<Utc> {
        self.process.store.clock().now()
    }

    fn left_until(&self, time: DateTime<Utc>) -> Duration {
        (time - self.now()).to_std().unwrap_or_default()
    }
}

/// A step that failed for a reason in our own code.
pub(super) fn defect() -> StepFailure {
    StepFailure { class: FailureClass::Defect, retry_after: None, warnings: vec![], usage: None }
}
