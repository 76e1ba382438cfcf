//! What the process writes: one command for each thing that can come of a step.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::account::claims::JOB_SLOT;
use domain::document::Warning;
use domain::project::{GenerationOutcome, Open, ProjectCommand};
use domain::proposal::{FailureClass, FailureCode, Generation, ProposalCommand, Stage, StepOutput, Usage};
use domain::{AccountId, Actor, JobId, Project, Proposal, ProposalId, ProposalRefusal};
use drafting::{Drafter, StepFailure, StepInput};
use eventstore::{Claim, CommandContext, ExecuteError, Session, Store, StoreError};
use futures::FutureExt as _;
use uuid::Uuid;

use super::Stopped;

/// No attempt at a command starts later than this after the first.
const COMMAND_TIME: Duration = Duration::from_secs(20);

/// What came of a command.
pub enum Recorded<T> {
    /// It was recorded now.
    Done(T),
    /// The job is somewhere else by now: somebody ended it, or recorded the same before.
    Superseded,
}

/// Why an operation ended without events.
enum Refusal {
    /// The aggregate refused.
    Proposal(ProposalRefusal),
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

/// Writes what the process decides.
pub struct Recorder {
    store: Store,
}

impl Recorder {
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Begins a step; answers the number of the attempt.
    pub async fn begin(&self, proposal: ProposalId, stage: Stage, version: u64) -> Result<Recorded<u32>, Stopped> {
        // The version makes the id: whoever saw the same stream begins the same attempt, and only one of them does.
        let id = command_id(proposal, &format!("begin {} {version}", stage.as_str()));
        let begun = self.on_proposal(id, "begin-step", proposal, move || ProposalCommand::BeginStep { stage }).await?;
        Ok(match begun {
            Recorded::Done(state) => state.requested().map_or(Recorded::Superseded, |g| Recorded::Done(g.attempt)),
            Recorded::Superseded => Recorded::Superseded,
        })
    }

    /// Hands in the output of a step.
    pub async fn finish(
        &self,
        proposal: ProposalId,
        stage: Stage,
        attempt: u32,
        output: StepOutput,
        usage: Option<Usage>,
        elapsed_ms: u64,
    ) -> Result<(), Stopped> {
        let id = command_id(proposal, &format!("finish {} {attempt}", stage.as_str()));
        let command = move || ProposalCommand::FinishStep {
            stage,
            attempt,
            output: output.clone(),
            usage: usage.clone(),
            elapsed_ms,
        };
        self.on_proposal(id, "finish-step", proposal, command).await.map(drop)
    }

    /// Notes that a step failed.
    pub async fn fail_step(
        &self,
        proposal: ProposalId,
        stage: Stage,
        attempt: u32,
        class: FailureClass,
        retry_at: Option<DateTime<Utc>>,
    ) -> Result<(), Stopped> {
        let id = command_id(proposal, &format!("fail {} {attempt}", stage.as_str()));
        let command = move || ProposalCommand::FailStep { stage, attempt, class, retry_at };
        self.on_proposal(id, "fail-step", proposal, command).await.map(drop)
    }

    /// Ends the job without a proposal.
    pub async fn fail(
        &self,
        proposal: ProposalId,
        generation: &Generation,
        code: FailureCode,
        warnings: Vec<Warning>,
    ) -> Result<Recorded<()>, Stopped> {
        let ended = End {
            proposal,
            project: generation.request.project.as_uuid(),
            owner: generation.request.owner,
            command: ProposalCommand::Fail { code, warnings },
            outcome: GenerationOutcome::Failed { code },
        };
        self.end("fail-generation", ended).await
    }

    /// Ends a job that was cancelled.
    pub async fn cancel(&self, proposal: ProposalId, generation: &Generation) -> Result<Recorded<()>, Stopped> {
        let ended = End {
            proposal,
            project: generation.request.project.as_uuid(),
            owner: generation.request.owner,
            command: ProposalCommand::ConfirmCancellation,
            outcome: GenerationOutcome::Cancelled,
        };
        self.end("confirm-cancellation", ended).await
    }

    /// Saves the proposal: in one transaction it gets its version from the project and its place in it.
    pub async fn publish(
        &self,
        proposal: ProposalId,
        drafter: &Arc<Drafter>,
        input: StepInput<'_>,
    ) -> Result<Result<Recorded<()>, StepFailure>, Stopped> {
        let id = command_id(proposal, "publish");
        let owner = input.generation.request.owner;
        let project = input.generation.request.project.as_uuid();
        let material: Arc<(Arc<Drafter>, Generation, Open, u64, u32)> = Arc::new((
            Arc::clone(drafter),
            input.generation.clone(),
            input.project.clone(),
            input.inputs_position,
            input.attempt,
        ));
        let operation = self.store.execute(context(id, proposal, "publish"), move |session: &mut Session| {
            let material = Arc::clone(&material);
            async move {
                let (drafter, generation, as_requested, inputs_position, attempt) = &*material;
                let version = match session.load::<Project>(project).await?.open() {
                    Some(open) if open.active == Some(proposal) => open.next_version(),
                    // The project went, and with it whoever wanted the proposal.
                    Some(_) | None => return Err(ProposalRefusal::AlreadyFinished.into()),
                };
                session.load::<Proposal>(proposal.as_uuid()).await?;
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
                session.handle::<Proposal>(
                    proposal.as_uuid(),
                    owner,
                    ProposalCommand::Publish(Box::new(publication)),
                )?;
                Ok(())
            }
            .boxed()
        });
        match operation.await {
            Ok(_) => Ok(Ok(Recorded::Done(()))),
            Err(ExecuteError::Refused(Refusal::Step(failure))) => Ok(Err(failure)),
            Err(error) => superseded(error).map(Ok),
        }
    }

    async fn end(&self, name: &'static str, end: End) -> Result<Recorded<()>, Stopped> {
        let proposal = end.proposal;
        let id = command_id(proposal, name);
        let operation = self.store.execute(context(id, proposal, name), move |session: &mut Session| {
            let End { project, owner, command, outcome, .. } = end.clone();
            async move {
                session.load::<Project>(project).await?;
                session.load::<Proposal>(proposal.as_uuid()).await?;
                end_in_project(session, project, owner, proposal, outcome)?;
                session.handle::<Proposal>(proposal.as_uuid(), owner, command)?;
                Ok(())
            }
            .boxed()
        });
        match operation.await {
            Ok(_) => Ok(Recorded::Done(())),
            Err(error) => superseded(error),
        }
    }

    async fn on_proposal(
        &self,
        id: Uuid,
        name: &'static str,
        proposal: ProposalId,
        command: impl Fn() -> ProposalCommand + Send + Sync + 'static,
    ) -> Result<Recorded<Proposal>, Stopped> {
        let operation = self.store.execute(context(id, proposal, name), move |session: &mut Session| {
            let command = command();
            async move {
                let state = session.load::<Proposal>(proposal.as_uuid()).await?;
                let owner = state.requested()?.request.owner;
                session.handle::<Proposal>(proposal.as_uuid(), owner, command)?;
                Ok(session.aggregate::<Proposal>(proposal.as_uuid()).clone())
            }
            .boxed()
        });
        match operation.await {
            Ok(committed) => Ok(Recorded::Done(committed.value)),
            Err(error) => superseded(error),
        }
    }
}

/// How a job ends in both of its streams.
#[derive(Clone)]
struct End {
    proposal: ProposalId,
    project: Uuid,
    owner: AccountId,
    command: ProposalCommand,
    outcome: GenerationOutcome,
}

/// Notes the end in the project, unless it went, and gives the account's place for a job back.
fn end_in_project(
    session: &mut Session,
    project: Uuid,
    owner: AccountId,
    proposal: ProposalId,
    outcome: GenerationOutcome,
) -> Result<(), Refusal> {
    let command = ProjectCommand::EndGeneration { proposal, outcome };
    if let Err(refusal) = session.handle::<Project>(project, owner, command) {
        tracing::error!(proposal.id = %proposal, %refusal, "a project refused the end of its generation");
        return Err(ProposalRefusal::OutOfTurn.into());
    }
    session.claim(Claim::ReleaseAll { kind: JOB_SLOT, holder: proposal.as_uuid() });
    Ok(())
}

/// The id of a command is made from what it says, so that repeating it adds nothing.
fn command_id(proposal: ProposalId, command: &str) -> Uuid {
    Uuid::new_v5(&proposal.as_uuid(), command.as_bytes())
}

fn context(command_id: Uuid, proposal: ProposalId, name: &'static str) -> CommandContext {
    CommandContext {
        command_id,
        actor: Actor::WORKER,
        roles: vec![],
        correlation_id: JobId::from(proposal).to_string(),
        causation_id: None,
        request_id: None,
        traceparent: None,
        request_hash: None,
        deadline: tokio::time::Instant::now() + COMMAND_TIME,
        name,
    }
}

/// Tells what others did meanwhile from what is broken.
fn superseded<T>(error: ExecuteError<Refusal>) -> Result<Recorded<T>, Stopped> {
    match error {
        ExecuteError::AlreadyDone => Ok(Recorded::Superseded),
        ExecuteError::Refused(Refusal::Proposal(refusal)) => {
            tracing::debug!(%refusal, "somebody else was faster");
            Ok(Recorded::Superseded)
        }
        ExecuteError::Refused(Refusal::Step(_) | Refusal::Store) => {
            Err(Stopped::Store("an operation reported a failure that is not its own".into()))
        }
        ExecuteError::Store(error) => Err(Stopped::Store(Box::new(error))),
        error @ (ExecuteError::Claimed(_)
        | ExecuteError::Constraint(_)
        | ExecuteError::Contended
        | ExecuteError::Overloaded
        | ExecuteError::Deadline) => Err(Stopped::Store(error.to_string().into())),
    }
}
