//! From a call to a command, and from its refusals to problems.

use std::sync::Arc;
use std::time::Duration;

use domain::{AccountRefusal, ProjectRefusal, ProposalRefusal};
use eventstore::{AFTER_DEADLINE, CommandContext, Committed, ExecuteError, Session, StoreError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::{ETAG, HeaderValue};
use projections::ViewError;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::answer::Answer;
use crate::app::App;
use crate::etag::Etag;
use crate::kept::highest;
use crate::problem::{Problem, catalogue};

/// How long before the request's end the answer to a write leaves at the latest.
const LEFT_FOR_THE_ANSWER: Duration = Duration::from_millis(250);

/// Why an operation on aggregates refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// An account did.
    #[error(transparent)]
    Account(#[from] AccountRefusal),
    /// A project did.
    #[error(transparent)]
    Project(#[from] ProjectRefusal),
    /// A proposal did.
    #[error(transparent)]
    Proposal(#[from] ProposalRefusal),
    /// What it leaves behind could not be shown.
    #[error("there is no answer")]
    Unanswered(Problem),
    /// Something could not be loaded. The store reports what.
    #[error("something could not be loaded")]
    NotLoaded,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Unanswered(problem)
    }
}

impl From<ViewError> for Refusal {
    fn from(error: ViewError) -> Self {
        Self::Unanswered(error.into())
    }
}

impl From<StoreError> for Refusal {
    fn from(_: StoreError) -> Self {
        Self::NotLoaded // The store keeps the error and reports it instead of what the operation returns.
    }
}

impl App {
    /// Carries out a command that is answered with what it leaves behind. `operation` makes the answer before anything is
    /// written, so that a committed write is never answered with a failure; with an idempotency key the answer is kept in
    /// the transaction of the events. The positions of the answer are added when the events have theirs.
    ///
    /// # Errors
    ///
    /// The problem that the refusal or failure is to the caller.
    pub async fn write<F>(&self, context: CommandContext, operation: F) -> Result<Answer, Problem>
    where
        F: for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<Answer, Refusal>> + Send + Sync + 'static,
    {
        let (asked, operation) = (context.clone(), Arc::new(operation));
        let keyed = context.request_hash.is_some();
        let written = self.store().execute(context, move |session: &mut Session| {
            let operation = Arc::clone(&operation);
            async move {
                let answer = operation(session).await?;
                if keyed {
                    session.answer(answer.to_kept());
                }
                Ok(answer)
            }
            .boxed()
        });
        match written.await {
            Ok(committed) => Ok(self.placed(&asked, committed).await),
            Err(ExecuteError::AlreadyDone) => {
                Ok(self.kept_answer(&asked).await?.ok_or(catalogue::IDEMPOTENCY_IN_PROGRESS)?)
            }
            Err(error) => Err(self.failed(error, asked.name)),
        }
    }

    /// Carries out a command that leaves nothing to answer with: see [`eventstore::Store::execute`].
    ///
    /// # Errors
    ///
    /// As [`App::write`].
    pub(crate) async fn execute<T, F>(&self, context: CommandContext, operation: F) -> Result<Committed<T>, Problem>
    where
        T: Send + 'static,
        F: for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<T, Refusal>> + Send + Sync + 'static,
    {
        let name = context.name;
        self.store().execute(context, operation).await.map_err(|error| self.failed(error, name))
    }

    /// The answer with the positions of what was written.
    async fn placed(&self, context: &CommandContext, committed: Committed<Answer>) -> Answer {
        let by = answer_by(context);
        let last = match context.actor.as_account() {
            Some(account) => self.settle(account, &committed, by).await,
            None => None,
        };
        let Committed { value: answer, events, .. } = committed;
        let newest = events.last().map(|event| (event.stream, event.sequence));
        let changed = match answer.left.as_ref().map(|left| &left.changed) {
            None => None,
            Some(changed) if changed.unsequenced.is_empty() => None,
            // The usual case: what was written last changed it last.
            Some(changed) if changed.unsequenced.iter().copied().eq(newest) => last,
            Some(changed) => match timeout_at(by, self.store().positions(&changed.unsequenced, Duration::ZERO)).await {
                Ok(Ok(positions)) => highest(&positions),
                Ok(Err(_)) | Err(_) => None,
            },
        };
        answer.placed(newest.is_some(), last, changed, self.store().epoch())
    }

    fn failed(&self, error: ExecuteError<Refusal>, name: &'static str) -> Problem {
        match error {
            ExecuteError::Refused(refusal) => self.refused(refusal),
            ExecuteError::Claimed(kind) => match kind {
                domain::account::claims::EMAIL => catalogue::REGISTER_USER_ALREADY_EXISTS,
                domain::account::claims::JOB_SLOT => catalogue::GENERATION_LIMIT,
                _ => catalogue::CONCURRENT_WRITE,
            }
            .into(),
            ExecuteError::Constraint(constraint) if constraint == identity::EMAIL_TAKEN_CONSTRAINT => {
                catalogue::REGISTER_USER_ALREADY_EXISTS.into()
            }
            ExecuteError::Constraint(constraint) => {
                tracing::error!(command.name = name, constraint, "a row beside the events was refused");
                catalogue::INTERNAL_ERROR.into()
            }
            ExecuteError::InProgress | ExecuteError::AlreadyDone => catalogue::IDEMPOTENCY_IN_PROGRESS.into(),
            ExecuteError::Contended => catalogue::CONCURRENT_WRITE.into(),
            ExecuteError::Overloaded | ExecuteError::Deadline => catalogue::SERVICE_UNAVAILABLE.into(),
            ExecuteError::Store(error) => error.into(),
        }
    }

    fn refused(&self, refusal: Refusal) -> Problem {
        match refusal {
            Refusal::Unanswered(problem) => problem,
            Refusal::Account(AccountRefusal::NotFound) => catalogue::USER_NOT_FOUND.into(),
            Refusal::Account(AccountRefusal::AlreadyRegistered) => catalogue::REGISTER_USER_ALREADY_EXISTS.into(),
            Refusal::Project(refusal) => match refusal {
                ProjectRefusal::NotFound => catalogue::PROJECT_NOT_FOUND.into(),
                ProjectRefusal::ProposalNotFound => catalogue::PROPOSAL_NOT_FOUND.into(),
                ProjectRefusal::DocumentTooLarge => catalogue::DOCUMENT_TOO_LARGE.into(),
                ProjectRefusal::Stale { current } => self.stale(current),
                // New ids are random, and a running generation is answered with its job: neither gets here.
                ProjectRefusal::AlreadyCreated | ProjectRefusal::GenerationActive { .. } => {
                    catalogue::CONCURRENT_WRITE.into()
                }
            },
            Refusal::Proposal(refusal) => proposal_problem(refusal),
            Refusal::NotLoaded => {
                tracing::error!("an operation gave up without a reason");
                catalogue::INTERNAL_ERROR.into()
            }
        }
    }

    /// The refusal of a write whose `If-Match` names another version than `current`.
    fn stale(&self, current: u64) -> Problem {
        let etag = Etag::resource(current, None, self.store().epoch()).to_string();
        let header = HeaderValue::from_str(&etag).expect("digits and quotes are a header's value");
        Problem::from(catalogue::PRECONDITION_FAILED)
            .with("currentEtag", json!(etag))
            .with("changedSince", json!([]))
            .header(ETAG, header)
    }
}

/// What was written is answered by then, whatever is still unknown of it: right after that the caller is told that the
/// request took too long, and might send it again.
pub(crate) fn answer_by(context: &CommandContext) -> Instant {
    context.deadline + AFTER_DEADLINE - LEFT_FOR_THE_ANSWER
}

fn proposal_problem(refusal: ProposalRefusal) -> Problem {
    match refusal {
        ProposalRefusal::NotFound => catalogue::JOB_NOT_FOUND,
        ProposalRefusal::AlreadyFinished | ProposalRefusal::CancellationPending => catalogue::JOB_ALREADY_FINISHED,
        // Steps are the worker's, and ids of new proposals are random: neither gets here.
        ProposalRefusal::AlreadyRequested | ProposalRefusal::OutOfTurn => catalogue::CONCURRENT_WRITE,
    }
    .into()
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let unreachable = match &error {
            StoreError::Database(cause) => is_unreachable(cause),
            StoreError::Decode { .. }
            | StoreError::Encode
            | StoreError::Key(_)
            | StoreError::AlreadyDone
            | StoreError::Erasures(_)
            | StoreError::Panicked => false,
        };
        if unreachable {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database cannot be reached");
            return catalogue::SERVICE_UNAVAILABLE.into();
        }
        tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
        catalogue::INTERNAL_ERROR.into()
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Database(error) => error.into(),
            ViewError::Store(error) => error.into(),
            ViewError::Unreadable(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a read model cannot be read");
                catalogue::INTERNAL_ERROR.into()
            }
            ViewError::NotBuilt(_) | ViewError::Moved => {
                tracing::error!(error = &error as &dyn std::error::Error, "a read model is not there");
                catalogue::SERVICE_UNAVAILABLE.into()
            }
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Whether a later try may succeed: no connection, none to be had in time, or a database that starts, stops or is full.
fn is_unreachable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        // Classes of PostgreSQL's appendix A: 08 connection, 53 resources, 57 operator intervention.
        sqlx::Error::Database(refusal) => {
            refusal.code().is_some_and(|code| ["08", "53", "57"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}
