//! From a call to a command, and from its refusals to problems.

use domain::{AccountRefusal, ProjectRefusal, ProposalRefusal};
use eventstore::{CommandContext, Committed, ExecuteError, Receipt, Session, StoreError};
use futures::future::BoxFuture;
use http::header::{ETAG, HeaderValue};
use projections::ViewError;
use serde_json::json;

use crate::app::App;
use crate::etag::Etag;
use crate::problem::{Problem, catalogue};

/// Why an operation on aggregates refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// Something could not be loaded. The store reports what.
    #[error("something could not be loaded")]
    NotLoaded,
}

impl From<StoreError> for Refusal {
    fn from(_: StoreError) -> Self {
        Self::NotLoaded // The store keeps the error and reports it instead of what the operation returns.
    }
}

/// What became of a command that was not refused.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It was carried out now.
    Done(Committed<T>),
    /// The same request was carried out before, under the same idempotency key.
    Repeated(Receipt),
}

impl App {
    /// Carries out a command: see [`eventstore::Store::execute`].
    ///
    /// # Errors
    ///
    /// The problem that the refusal or failure is to the caller.
    pub async fn execute<T, F>(&self, context: CommandContext, operation: F) -> Result<Outcome<T>, Problem>
    where
        T: Send + 'static,
        F: for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<T, Refusal>> + Send + Sync + 'static,
    {
        let (command_id, request_hash, name) = (context.command_id, context.request_hash, context.name);
        match self.store().execute(context, operation).await {
            Ok(committed) => Ok(Outcome::Done(committed)),
            Err(ExecuteError::AlreadyDone) => match self.store().receipt(command_id).await? {
                Some(receipt) if receipt.request_hash == request_hash => Ok(Outcome::Repeated(receipt)),
                Some(_) => Err(catalogue::IDEMPOTENCY_KEY_REUSED.into()),
                None => Err(catalogue::IDEMPOTENCY_IN_PROGRESS.into()),
            },
            Err(ExecuteError::Refused(refusal)) => Err(self.refused(&refusal)),
            Err(ExecuteError::Claimed(kind)) => Err(match kind {
                domain::account::claims::EMAIL => catalogue::REGISTER_USER_ALREADY_EXISTS,
                domain::account::claims::JOB_SLOT => catalogue::GENERATION_LIMIT,
                _ => catalogue::CONCURRENT_WRITE,
            }
            .into()),
            Err(ExecuteError::Constraint(constraint)) => {
                if constraint == identity::EMAIL_TAKEN_CONSTRAINT {
                    return Err(catalogue::REGISTER_USER_ALREADY_EXISTS.into());
                }
                tracing::error!(command.name = name, constraint, "a row beside the events was refused");
                Err(catalogue::INTERNAL_ERROR.into())
            }
            Err(ExecuteError::Contended) => Err(catalogue::CONCURRENT_WRITE.into()),
            Err(ExecuteError::Overloaded | ExecuteError::Deadline) => Err(catalogue::SERVICE_UNAVAILABLE.into()),
            Err(ExecuteError::Store(error)) => Err(error.into()),
        }
    }

    fn refused(&self, refusal: &Refusal) -> Problem {
        match refusal {
            Refusal::Account(AccountRefusal::NotFound) => catalogue::USER_NOT_FOUND.into(),
            Refusal::Account(AccountRefusal::AlreadyRegistered) => catalogue::REGISTER_USER_ALREADY_EXISTS.into(),
            Refusal::Project(refusal) => match refusal {
                ProjectRefusal::NotFound => catalogue::PROJECT_NOT_FOUND.into(),
                ProjectRefusal::ProposalNotFound => catalogue::PROPOSAL_NOT_FOUND.into(),
                ProjectRefusal::DocumentTooLarge => catalogue::DOCUMENT_TOO_LARGE.into(),
                ProjectRefusal::Stale { current } => self.stale(*current),
                // New ids are random, and a running generation is answered with its job: neither gets here.
                ProjectRefusal::AlreadyCreated | ProjectRefusal::GenerationActive { .. } => {
                    catalogue::CONCURRENT_WRITE.into()
                }
            },
            Refusal::Proposal(refusal) => proposal_problem(*refusal),
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
