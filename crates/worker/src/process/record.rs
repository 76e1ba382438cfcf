//! What the process writes: one command for each thing that can come of a step.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::account::claims::JOB_SLOT;
use domain::document::Warning;
use domain::project::{GenerationOutcome, Open, ProjectCommand};
use domain::proposal::{FailureClass, FailureCode, Generation, ProposalCommand, Stage, Usage};
use domain::{AccountId, Actor, JobId, Project, ProjectRefusal, Proposal, ProposalId, ProposalRefusal};
use drafting::{Drafter, StepFailure, StepInput, StepResult};
use eventstore::{Claim, CommandContext, ExecuteError, Session, Store, StoreError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Stopped;
use super::job::defect;
use crate::lease::Hold;

/// How long a command is tried again while the store fails. Answers of a language model wait here: they were paid for.
const COMMAND_TIME: Duration = Duration::from_secs(20);
/// The first pause between two tries; it doubles up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// What came of a command.
pub enum Recorded<T> {
    /// It was recorded now.
    Done(T),
    /// The job is somewhere else by now: somebody ended it, or recorded the same before.
    Superseded,
}

/// An attempt at a step that failed.
pub struct FailedAttempt {
    pub stage: Stage,
    pub attempt: u32,
    pub class: FailureClass,
    /// What it used of a language model all the same.
    pub usage: Option<Usage>,
}

impl FailedAttempt {
    fn command(self, retry_at: Option<DateTime<Utc>>) -> ProposalCommand {
        let Self { stage, attempt, class, usage } = self;
        ProposalCommand::FailStep { stage, attempt, class, retry_at, usage }
    }
}

/// Why an operation ended without events.
enum Refusal {
    /// The proposal refused.
    Proposal(ProposalRefusal),
    /// The project refused, which it never does.
    Project(ProjectRefusal),
    /// The step failed.
    Step(StepFailure),
    /// The store failed; the store itself reports how.
    Store,
}

impl From<ProposalRefusal> for Refusal {
    fn from(refusal: ProposalRefusal) -> Self {
        Self::Proposal(refusal)
    }
}

impl From<ProjectRefusal> for Refusal {
    fn from(refusal: ProjectRefusal) -> Self {
        Self::Project(refusal)
    }
}

impl From<StepFailure> for Refusal {
    fn from(failure: StepFailure) -> Self {
        Self::Step(failure)
    }
}

impl From<StoreError> for Refusal {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

/// Writes what the process decides about one job. Whatever begins a step or ends the job is written only while the
/// lease is held; what came of an attempt is written in any case, since the attempt's number says whether it still counts.
pub struct Recorder {
    store: Store,
    proposal: ProposalId,
    hold: Hold,
}

impl Recorder {
    pub const fn new(store: Store, proposal: ProposalId, hold: Hold) -> Self {
        Self { store, proposal, hold }
    }

    /// Begins a step; answers the number of the attempt.
    pub async fn begin(&self, stage: Stage, version: u64) -> Result<Recorded<u32>, Stopped> {
        // The version makes the id: whoever saw the same stream begins the same attempt, and only one of them does.
        let name = format!("begin {} {version}", stage.as_str());
        let hold = self.hold;
        let begun = self.on_proposal(&name, "begin-step", ProposalCommand::BeginStep { stage }, Some(hold)).await?;
        Ok(match begun {
            Recorded::Done(state) => state.requested().map_or(Recorded::Superseded, |g| Recorded::Done(g.attempt)),
            Recorded::Superseded => Recorded::Superseded,
        })
    }

    /// Hands in what came of a step.
    pub async fn finish(&self, stage: Stage, attempt: u32, result: StepResult, elapsed_ms: u64) -> Result<(), Stopped> {
        let name = format!("finish {} {attempt}", stage.as_str());
        let StepResult { output, usage } = result;
        let command = ProposalCommand::FinishStep { stage, attempt, output, usage, elapsed_ms };
        self.on_proposal(&name, "finish-step", command, None).await.map(drop)
    }

    /// Notes that a step failed and is tried again.
    pub async fn retry(&self, failed: FailedAttempt, retry_at: DateTime<Utc>) -> Result<(), Stopped> {
        let name = format!("fail {} {}", failed.stage.as_str(), failed.attempt);
        let command = failed.command(Some(retry_at));
        self.on_proposal(&name, "fail-step", command, None).await.map(drop)
    }

    /// Notes that a step failed and is not tried again, and ends the job.
    pub async fn give_up(
        &self,
        generation: &Generation,
        failed: FailedAttempt,
        code: FailureCode,
        warnings: Vec<Warning>,
    ) -> Result<Recorded<()>, Stopped> {
        let commands = vec![failed.command(None), ProposalCommand::Fail { code, warnings }];
        self.end("fail-generation", generation, commands, GenerationOutcome::Failed { code }).await
    }

    /// Ends the job without a proposal.
    pub async fn fail(&self, generation: &Generation, code: FailureCode) -> Result<Recorded<()>, Stopped> {
        let commands = vec![ProposalCommand::Fail { code, warnings: vec![] }];
        self.end("fail-generation", generation, commands, GenerationOutcome::Failed { code }).await
    }

    /// Ends a job that was cancelled.
    pub async fn cancel(&self, generation: &Generation) -> Result<Recorded<()>, Stopped> {
        let commands = vec![ProposalCommand::ConfirmCancellation];
        self.end("confirm-cancellation", generation, commands, GenerationOutcome::Cancelled).await
    }

    /// Saves the proposal: in one transaction it gets its version from the project and its place in it.
    pub async fn publish(
        &self,
        drafter: &Arc<Drafter>,
        input: StepInput<'_>,
    ) -> Result<Result<Recorded<()>, StepFailure>, Stopped> {
        let (proposal, hold) = (self.proposal, self.hold);
        let material: Arc<(Arc<Drafter>, Generation, Open, u64, u32)> = Arc::new((
            Arc::clone(drafter),
            input.generation.clone(),
            input.project.clone(),
            input.inputs_position,
            input.attempt,
        ));
        let published = self.carry_out("publish", "publish", move |session: &mut Session| {
            let material = Arc::clone(&material);
            async move {
                let (drafter, generation, as_requested, inputs_position, attempt) = &*material;
                let (owner, project) = (generation.request.owner, generation.request.project.as_uuid());
                if session.load::<Proposal>(proposal.as_uuid()).await?.requested()?.cancellation_requested {
                    return Err(ProposalRefusal::CancellationPending.into());
                }
                let version = match session.load::<Project>(project).await?.open() {
                    Some(open) if open.active == Some(proposal) => open.next_version(),
                    // Whoever deletes the project or ends the generation there cancels it here in the same transaction.
                    Some(_) | None => return Err(defect().into()),
                };
                let input = StepInput {
                    generation,
                    project: as_requested,
                    proposal,
                    inputs_position: *inputs_position,
                    attempt: *attempt,
                };
                let publication = drafter.publication(input, version.clone(), session.now())?;
                let outcome = GenerationOutcome::Completed { version };
                end_in_project(session, project, owner, proposal, outcome)?;
                let command = ProposalCommand::Publish(Box::new(publication));
                session.handle::<Proposal>(proposal.as_uuid(), owner, command)?;
                while_held(session, hold);
                Ok(())
            }
            .boxed()
        });
        match published.await {
            Ok(recorded) => Ok(Ok(recorded)),
            Err(NotRecorded::Step(failure)) => Ok(Err(failure)),
            Err(NotRecorded::Stopped(stopped)) => Err(stopped),
        }
    }

    /// Ends the job in both of its streams.
    async fn end(
        &self,
        name: &'static str,
        generation: &Generation,
        commands: Vec<ProposalCommand>,
        outcome: GenerationOutcome,
    ) -> Result<Recorded<()>, Stopped> {
        let (proposal, hold) = (self.proposal, self.hold);
        let (owner, project) = (generation.request.owner, generation.request.project.as_uuid());
        let ended = self.carry_out(name, name, move |session: &mut Session| {
            let (commands, outcome) = (commands.clone(), outcome.clone());
            async move {
                session.load::<Project>(project).await?;
                session.load::<Proposal>(proposal.as_uuid()).await?;
                end_in_project(session, project, owner, proposal, outcome)?;
                for command in commands {
                    session.handle::<Proposal>(proposal.as_uuid(), owner, command)?;
                }
                while_held(session, hold);
                Ok(())
            }
            .boxed()
        });
        Ok(ended.await?)
    }

    /// A command that concerns the proposal alone, written only while `held` if that is said.
    async fn on_proposal(
        &self,
        id: &str,
        name: &'static str,
        command: ProposalCommand,
        held: Option<Hold>,
    ) -> Result<Recorded<Proposal>, Stopped> {
        let proposal = self.proposal.as_uuid();
        let recorded = self.carry_out(id, name, move |session: &mut Session| {
            let command = command.clone();
            async move {
                let owner = session.load::<Proposal>(proposal).await?.requested()?.request.owner;
                session.handle::<Proposal>(proposal, owner, command)?;
                if let Some(hold) = held {
                    while_held(session, hold);
                }
                Ok(session.aggregate::<Proposal>(proposal).clone())
            }
            .boxed()
        });
        Ok(recorded.await?)
    }

    /// Carries out a command whose id is made from what it says (`id`), so that repeating it adds nothing. While the
    /// store fails it is tried again.
    async fn carry_out<T, F>(&self, id: &str, name: &'static str, operation: F) -> Result<Recorded<T>, NotRecorded>
    where
        F: for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<T, Refusal>> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let operation = Arc::new(operation);
        let deadline = Instant::now() + COMMAND_TIME;
        let mut pause = MIN_PAUSE;
        loop {
            let operation = Arc::clone(&operation);
            let result = self.store.execute(self.context(id, name, deadline), move |session| operation(session)).await;
            let failed: Box<dyn std::error::Error + Send + Sync> = match result {
                Ok(committed) => return Ok(Recorded::Done(committed.value)),
                Err(ExecuteError::AlreadyDone) => return Ok(Recorded::Superseded),
                Err(ExecuteError::Refused(Refusal::Proposal(refusal))) => {
                    tracing::debug!(%refusal, "somebody else was faster");
                    return Ok(Recorded::Superseded);
                }
                Err(ExecuteError::Refused(Refusal::Step(failure))) => return Err(NotRecorded::Step(failure)),
                Err(ExecuteError::Refused(Refusal::Project(refusal))) => return Err(Stopped::store(refusal).into()),
                // See `while_held`.
                Err(ExecuteError::Store(StoreError::Database(error))) if is_lost(&error) => {
                    return Err(Stopped::Lost.into());
                }
                Err(ExecuteError::Store(StoreError::Panicked)) => return Err(NotRecorded::Step(defect())),
                Err(ExecuteError::Store(error @ StoreError::Database(_))) => Box::new(error),
                Err(ExecuteError::Store(
                    error @ (StoreError::Decode { .. }
                    | StoreError::Encode
                    | StoreError::Key(_)
                    | StoreError::AlreadyDone
                    | StoreError::Erasures(_)),
                )) => return Err(Stopped::store(error).into()),
                Err(
                    error @ (ExecuteError::Refused(Refusal::Store)
                    | ExecuteError::Claimed(_)
                    | ExecuteError::Constraint(_)
                    | ExecuteError::InProgress
                    | ExecuteError::Contended
                    | ExecuteError::Overloaded
                    | ExecuteError::Deadline),
                ) => error.to_string().into(),
            };
            if Instant::now() + pause >= deadline {
                return Err(Stopped::Store(failed).into());
            }
            tracing::debug!(command = name, error = &*failed as &dyn std::error::Error, "not recorded, trying again");
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn context(&self, id: &str, name: &'static str, deadline: Instant) -> CommandContext {
        CommandContext {
            command_id: Uuid::new_v5(&self.proposal.as_uuid(), id.as_bytes()),
            actor: Actor::WORKER,
            roles: vec![],
            correlation_id: JobId::from(self.proposal).to_string(),
            causation_id: None,
            request_id: None,
            traceparent: None,
            request_hash: None,
            deadline,
            name,
        }
    }
}

/// Why a command was not recorded.
enum NotRecorded {
    Step(StepFailure),
    Stopped(Stopped),
}

impl From<Stopped> for NotRecorded {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl From<NotRecorded> for Stopped {
    fn from(not: NotRecorded) -> Self {
        match not {
            NotRecorded::Step(failure) => Self::store(failure),
            NotRecorded::Stopped(stopped) => stopped,
        }
    }
}

/// Has the command fail if somebody else has the job by now.
fn while_held(session: &mut Session, hold: Hold) {
    session.also(move |connection| hold.renew(connection).boxed());
}

fn is_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::RowNotFound)
}

/// Notes the end in the project, unless it went, and gives the account's place for a job back.
fn end_in_project(
    session: &mut Session,
    project: Uuid,
    owner: AccountId,
    proposal: ProposalId,
    outcome: GenerationOutcome,
) -> Result<(), ProjectRefusal> {
    session.handle::<Project>(project, owner, ProjectCommand::EndGeneration { proposal, outcome })?;
    session.claim(Claim::ReleaseAll { kind: JOB_SLOT, holder: proposal.as_uuid() });
    Ok(())
}
