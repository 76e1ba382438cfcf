//! Carrying out a command: decide, append, and decide anew if another was faster.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::{Actor, Recorded, Role, StreamKey};
use futures::future::BoxFuture;
use metrics::{counter, histogram};
use sqlx::{Postgres, Transaction};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, warn};
use uuid::Uuid;

use crate::append::{LOCK, Outcome, give_up};
use crate::keyed;
use crate::session::NewEvent;
use crate::{Session, Store, StoreError};

/// How long a command waits for the locks of its streams, from its first conflict on. Long enough for a queue of people
/// who type into one large sheet, which must refuse nobody.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long a command waits for a permit to start.
const PERMIT_WAIT: Duration = Duration::from_secs(2);
/// How soon a database that does not answer is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Attempts under locks. More than one is needed only if the decision turns to streams it had not seen before.
const LOCKED_ATTEMPTS: u32 = 5;

/// Who wants something done, in which course of events, and until when.
#[derive(Debug, Clone)]
pub struct CommandContext {
    /// Identifies the command: the same id has its effect once.
    pub command_id: Uuid,
    /// Who acts.
    pub actor: Actor,
    /// The roles the actor has.
    pub roles: Vec<Role>,
    /// What the events of one course of business have in common.
    pub correlation_id: String,
    /// The event that this command answers, if it answers one.
    pub causation_id: Option<Uuid>,
    /// The HTTP request, if there is one.
    pub request_id: Option<String>,
    /// The trace, in the form of the W3C header of that name.
    pub traceparent: Option<String>,
    /// Digest of the request, if it came with an idempotency key: then even no event leaves a receipt, and no two
    /// attempts at the command run at the same time.
    pub request_hash: Option<[u8; 32]>,
    /// No attempt starts later, and none is written later than [`crate::AFTER_DEADLINE`] after it.
    pub deadline: Instant,
    /// The command's name in metrics.
    pub name: &'static str,
}

/// A command that was carried out.
#[derive(Debug, Clone)]
pub struct Committed<T> {
    /// What the operation returned.
    pub value: T,
    /// The events, in the order in which they are stored. None: nothing changed.
    pub events: Vec<Recorded>,
    /// Whether the commit's answer was lost, and its events were found afterwards.
    pub replayed: bool,
    /// The highest insert order of the events.
    pub last_insert_order: Option<i64>,
    /// The lowest insert order of the events.
    pub first_insert_order: Option<i64>,
}

/// Why a command was not carried out. Nothing was written, except in the case of [`ExecuteError::AlreadyDone`].
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<E> {
    /// The operation refused.
    #[error("refused")]
    Refused(E),
    /// A receipt of this command id exists: see [`Store::receipt`].
    #[error("the command was carried out before")]
    AlreadyDone,
    /// The same command, given with an idempotency key, is being carried out.
    #[error("the command is being carried out")]
    InProgress,
    /// Somebody else holds what was claimed.
    #[error("the {0} is taken")]
    Claimed(&'static str),
    /// A row written beside the events violates this unique constraint.
    #[error("constraint {0} is violated")]
    Constraint(String),
    /// A stream's lock was not had in time.
    #[error("the stream is busy")]
    Contended,
    /// Too many commands are being carried out.
    #[error("too many commands at the same time")]
    Overloaded,
    /// The deadline passed.
    #[error("the deadline has passed")]
    Deadline,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl<E> ExecuteError<E> {
    /// The outcome's name in metrics.
    const fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::AlreadyDone => "repeated",
            Self::InProgress => "in-progress",
            Self::Claimed(_) => "claimed",
            Self::Constraint(_) => "constraint",
            Self::Contended => "contended",
            Self::Overloaded => "overloaded",
            Self::Deadline => "deadline",
            Self::Store(_) => "failed",
        }
    }
}

impl Store {
    /// Carries out a command: `operation` loads aggregates in the session and has them decide; what they decided is
    /// appended, all or nothing. It runs detached: dropping the returned future does not stop it. On a conflict
    /// `operation` runs again from the beginning, then under the locks of its streams; so it must do nothing outside its
    /// session, and use no other connection.
    ///
    /// # Errors
    ///
    /// [`ExecuteError`]; a connection lost during the commit is resolved through the receipt first.
    pub async fn execute<T, E, F>(&self, context: CommandContext, operation: F) -> Result<Committed<T>, ExecuteError<E>>
    where
        F: for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<T, E>> + Send + Sync + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let began = Instant::now();
        let name = context.name;
        let result = self.detached(context, operation).await;
        let outcome = match &result {
            Ok(committed) if committed.events.is_empty() => "unchanged",
            Ok(_) => "committed",
            Err(error) => error.name(),
        };
        counter!("commands_total", "command" => name, "outcome" => outcome).increment(1);
        histogram!("command_seconds", "command" => name).record(began.elapsed().as_secs_f64());
        result
    }

    async fn detached<T, E, F>(&self, context: CommandContext, operation: F) -> Result<Committed<T>, ExecuteError<E>>
    where
        F: for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<T, E>> + Send + Sync + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let turn = match context.request_hash {
            Some(_) => Some(self.0.keyed.enter(context.command_id).ok_or(ExecuteError::InProgress)?),
            None => None,
        };
        let patience = context.deadline.min(Instant::now() + PERMIT_WAIT);
        let permit = timeout_at(patience, Arc::clone(&self.0.commands).acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(ExecuteError::Overloaded)?;
        let store = self.clone();
        let task = async move {
            let (_permit, _turn) = (permit, turn);
            store.run(Arc::new(context), operation).await
        };
        let running = self.0.running.spawn(task.in_current_span());
        running.await.unwrap_or(Err(ExecuteError::Store(StoreError::Panicked)))
    }

    async fn run<T, E, F>(&self, context: Arc<CommandContext>, operation: F) -> Result<Committed<T>, ExecuteError<E>>
    where
        F: for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<T, E>> + Send + Sync,
    {
        if context.deadline <= Instant::now() {
            return Err(ExecuteError::Deadline);
        }
        let mut lost = None;
        let first = match context.request_hash {
            Some(_) => {
                let mut transaction = self.0.pool.begin().await.map_err(StoreError::from)?;
                self.claim_turn(&context, &mut transaction).await?;
                Some(transaction)
            }
            None => None,
        };
        let session = Session::new(Arc::clone(&self.0), Arc::clone(&context), first);
        let mut seen = match self.resolved(self.attempt(session, &operation).await, &mut lost).await? {
            Attempt::Done(committed) => return Ok(committed),
            Attempt::Again(streams) => streams,
            Attempt::Lost(_) => BTreeSet::new(),
        };
        let until = context.deadline.min(Instant::now() + LOCK_WAIT);
        for _ in 0..LOCKED_ATTEMPTS {
            // One command per stream and process waits in the database, the others here.
            let Some(_turn) = self.0.queues.turn(&seen, until).await else {
                return Err(ExecuteError::Contended);
            };
            let Some(mut locked) = self.lock(&seen, until).await? else {
                return Err(ExecuteError::Contended);
            };
            self.claim_turn(&context, &mut locked).await?;
            if context.deadline <= Instant::now() {
                return Err(ExecuteError::Deadline);
            }
            let session = Session::new(Arc::clone(&self.0), Arc::clone(&context), Some(locked));
            match self.resolved(self.attempt(session, &operation).await, &mut lost).await? {
                Attempt::Done(committed) => return Ok(committed),
                Attempt::Again(streams) => seen.extend(streams),
                Attempt::Lost(_) => (),
            }
        }
        Err(ExecuteError::Contended)
    }

    /// In the transaction of an attempt at a command with a key: no other instance may be at one meanwhile.
    async fn claim_turn<E>(
        &self,
        context: &CommandContext,
        transaction: &mut Transaction<'static, Postgres>,
    ) -> Result<(), ExecuteError<E>> {
        if context.request_hash.is_none() || keyed::claim(transaction, context.command_id).await? {
            return Ok(());
        }
        Err(ExecuteError::InProgress)
    }

    /// Finds out what became of an attempt whose commit got no answer, and remembers it: should it turn out to have
    /// been committed after all while another attempt ran, that one finds the receipt, and the first is the answer.
    async fn resolved<T, E>(
        &self,
        attempt: Result<Attempt<T>, ExecuteError<E>>,
        lost: &mut Option<Committed<T>>,
    ) -> Result<Attempt<T>, ExecuteError<E>> {
        match attempt {
            Ok(Attempt::Lost(committed)) => *lost = Some(committed),
            Err(ExecuteError::AlreadyDone) if lost.is_some() => (),
            other => return other,
        }
        let Some(mut committed) = lost.take() else {
            return Err(ExecuteError::AlreadyDone);
        };
        match self.find(&committed.events).await? {
            Some((first, last)) => {
                self.0.sequencer.wake(first);
                committed.first_insert_order = Some(first);
                committed.last_insert_order = Some(last);
                Ok(Attempt::Done(committed))
            }
            None => {
                let streams = committed.events.iter().map(|event| event.stream).collect();
                *lost = Some(committed);
                Ok(Attempt::Again(streams))
            }
        }
    }

    /// A transaction that holds the locks of `streams`; `None` if they were not had in time. The locks are taken in a
    /// statement of their own: one that waited inside a load would then read what was there before the wait.
    async fn lock(
        &self,
        streams: &BTreeSet<StreamKey>,
        until: Instant,
    ) -> Result<Option<Transaction<'static, Postgres>>, StoreError> {
        let mut transaction = self.0.pool.begin().await?;
        let wait = until.saturating_duration_since(Instant::now()).as_millis().max(1);
        sqlx::query("SELECT set_config('lock_timeout', $1, true)")
            .bind(wait.to_string())
            .execute(&mut *transaction)
            .await?;
        let (types, ids): (Vec<_>, Vec<_>) =
            streams.iter().map(|stream| (stream.kind.as_str(), stream.id.to_string())).unzip();
        match sqlx::query(LOCK).bind(types).bind(ids).execute(&mut *transaction).await {
            Ok(_) => Ok(Some(transaction)),
            Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("55P03" | "57014")) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn attempt<T, E, F>(&self, mut session: Session, operation: &F) -> Result<Attempt<T>, ExecuteError<E>>
    where
        F: for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<T, E>> + Send + Sync,
    {
        let result = operation(&mut session).await;
        let failure = session.failure.take();
        let value = match (failure, result) {
            (None, Ok(value)) => value,
            (failure, result) => {
                give_up(&mut session).await;
                return Err(match (failure, result) {
                    (Some(StoreError::AlreadyDone), _) => ExecuteError::AlreadyDone,
                    (Some(failure), _) => ExecuteError::Store(failure),
                    (None, Err(refusal)) => ExecuteError::Refused(refusal),
                    (None, Ok(_)) => unreachable!("that is the arm above"),
                });
            }
        };
        let orders = match session.write().await {
            Outcome::Done(orders) => orders,
            Outcome::Conflict => return Ok(Attempt::Again(session.streams.into_keys().collect())),
            Outcome::AlreadyDone => return Err(ExecuteError::AlreadyDone),
            Outcome::Claimed(kind) => return Err(ExecuteError::Claimed(kind)),
            Outcome::Constraint(name) => return Err(ExecuteError::Constraint(name)),
            Outcome::Late => return Err(ExecuteError::Deadline),
            Outcome::Failed(error) => return Err(ExecuteError::Store(error)),
            // Without events there is nothing to find it by; a repetition of the command does no harm.
            Outcome::Unknown(error) if session.events.is_empty() => return Err(ExecuteError::Store(error)),
            Outcome::Unknown(error) => {
                warn!(command.id = %session.context.command_id, error = &error as &dyn std::error::Error,
                    "connection lost during a commit, looking for its events");
                return Ok(Attempt::Lost(Committed::new(value, session.events, None, true)));
            }
        };
        if let Some((first, _)) = orders {
            self.0.sequencer.wake(first);
        }
        for draft in session.due_snapshots() {
            draft.write_later(&self.0);
        }
        Ok(Attempt::Done(Committed::new(value, session.events, orders, false)))
    }

    /// Whether these events, whose commit got no answer, are stored: then their lowest and highest insert order. Waits
    /// for the streams' locks first, which the lost transaction holds until it has ended either way.
    async fn find(&self, events: &[Recorded]) -> Result<Option<(i64, i64)>, StoreError> {
        let streams: BTreeSet<StreamKey> = events.iter().map(|event| event.stream).collect();
        let until = Instant::now() + LOCK_WAIT;
        let mut locked = loop {
            match self.lock(&streams, until).await {
                Ok(Some(locked)) => break locked,
                Ok(None) => return Err(sqlx::Error::PoolTimedOut.into()),
                // The database may be starting again.
                Err(_) if Instant::now() < until => tokio::time::sleep(RETRY_AFTER).await,
                Err(error) => return Err(error),
            }
        };
        let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT min(insert_order), max(insert_order) FROM es.events e
             JOIN unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[]) n(t, id, s, event_id)
               ON e.aggregate_type = n.t AND e.aggregate_id = n.id AND e.sequence = n.s AND e.event_id = n.event_id",
        )
        .bind(events.iter().map(|event| event.stream.kind.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.stream.id.to_string()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.sequence.cast_signed()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.event_id).collect::<Vec<_>>())
        .fetch_one(&mut *locked)
        .await?;
        Ok(first.zip(last))
    }
}

/// What came of one attempt that was not refused.
enum Attempt<T> {
    Done(Committed<T>),
    /// Another command was faster on one of these streams.
    Again(BTreeSet<StreamKey>),
    /// The connection was lost during the commit: this may be stored, or not.
    Lost(Committed<T>),
}

impl<T> Committed<T> {
    fn new(value: T, events: Vec<NewEvent>, orders: Option<(i64, i64)>, replayed: bool) -> Self {
        Self {
            value,
            events: events.into_iter().map(|event| event.recorded).collect(),
            replayed,
            first_insert_order: orders.map(|(first, _)| first),
            last_insert_order: orders.map(|(_, last)| last),
        }
    }
}
