//! One attempt at one command: what it loaded, and what it wants written.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use cqrs_es::event_sink::EventSink;
use domain::{AccountId, Metadata, Recorded, StreamKey};
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::task::coop::unconstrained;
use uuid::Uuid;

use crate::execute::CommandContext;
use crate::personal::has_clear_marker;
use crate::snapshot::{self, Draft, Loaded, Subjects};
use crate::store::Inner;
use crate::{StoreError, Stored};

/// Something unique across streams, taken or released together with the command's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Take the key, if nobody else holds it. Taking what one holds already is no change.
    Take {
        /// What kind of thing is unique.
        kind: &'static str,
        /// Which one.
        key: Vec<u8>,
        /// For whom.
        holder: Uuid,
    },
    /// Take the first of these keys that is free, unless the holder has one of them already.
    TakeOneOf {
        /// What kind of thing is unique.
        kind: &'static str,
        /// Which ones will do, in the order to try them.
        keys: Vec<Vec<u8>>,
        /// For whom.
        holder: Uuid,
    },
    /// Release the key, if this holder has it.
    Release {
        /// What kind of thing is unique.
        kind: &'static str,
        /// Which one.
        key: Vec<u8>,
        /// Whose.
        holder: Uuid,
    },
    /// Release every key of this kind that the holder has.
    ReleaseAll {
        /// What kind of thing is unique.
        kind: &'static str,
        /// Whose.
        holder: Uuid,
    },
}

/// Rows of other tables, written in the transaction of the command.
pub(crate) type Also = Box<dyn for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>> + Send>;

/// One attempt at one command.
pub struct Session {
    pub(crate) store: Arc<Inner>,
    pub(crate) context: Arc<CommandContext>,
    pub(crate) now: DateTime<Utc>,
    /// The transaction of an attempt that waited for its streams' locks, or that has a turn of its own.
    pub(crate) transaction: Option<Transaction<'static, Postgres>>,
    pub(crate) streams: BTreeMap<StreamKey, Stream>,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) also: Mutex<Vec<Also>>,
    pub(crate) answer: Option<Vec<u8>>,
    /// What ended the attempt, whatever the operation made of it.
    pub(crate) failure: Option<StoreError>,
}

/// A connection to read with in an attempt. It is the attempt's own if that has one: waiting for another while holding
/// one could take for ever.
pub enum Reading<'s> {
    /// That of the attempt's transaction.
    Attempt(&'s mut PgConnection),
    /// One of the pool.
    Pooled(PoolConnection<Postgres>),
}

impl Reading<'_> {
    /// Whether it is in the attempt's transaction.
    #[must_use]
    pub const fn in_transaction(&self) -> bool {
        matches!(self, Self::Attempt(_))
    }
}

impl Deref for Reading<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Attempt(connection) => connection,
            Self::Pooled(connection) => connection,
        }
    }
}

impl DerefMut for Reading<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Attempt(connection) => connection,
            Self::Pooled(connection) => connection,
        }
    }
}

/// One stream of the attempt: as loaded, and with what was decided since.
pub(crate) struct Stream {
    aggregate: Box<dyn Any + Send + Sync>,
    /// The version when it was loaded.
    pub(crate) base: u64,
    pub(crate) version: u64,
    snapshot: u64,
    subjects: Subjects,
    draft: fn(&Self, Uuid) -> Option<Draft>,
}

/// An event that was decided and is not written yet.
pub(crate) struct NewEvent {
    pub(crate) recorded: Recorded,
    pub(crate) event_type: String,
    pub(crate) event_version: String,
    /// JSON with personal values in clear.
    pub(crate) payload: String,
}

impl Session {
    pub(crate) fn new(
        store: Arc<Inner>,
        context: Arc<CommandContext>,
        transaction: Option<Transaction<'static, Postgres>>,
    ) -> Self {
        let now = store.clock.now();
        Self {
            store,
            context,
            now,
            transaction,
            streams: BTreeMap::new(),
            events: Vec::new(),
            claims: Vec::new(),
            also: Mutex::default(),
            answer: None,
            failure: None,
        }
    }

    /// The aggregate `id` as it stands; a stream that does not exist gives the default state at version 0. Loaded once
    /// per attempt, with what was decided since.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be loaded, or [`StoreError::AlreadyDone`] if the command was carried out before.
    /// Either ends the attempt: `execute` reports it whatever the operation returns.
    pub async fn load<A: Stored>(&mut self, id: Uuid) -> Result<&A, StoreError> {
        let key = StreamKey { kind: A::KIND, id };
        if !self.streams.contains_key(&key) {
            match self.read::<A>(id).await {
                Ok(loaded) => _ = self.streams.insert(key, Stream::new(loaded)),
                Err(error) => {
                    self.failure = Some(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(self.aggregate(id))
    }

    async fn read<A: Stored>(&mut self, id: Uuid) -> Result<Loaded<A>, StoreError> {
        let command = Some(self.context.command_id);
        let store = Arc::clone(&self.store);
        let loaded = match &mut self.transaction {
            Some(transaction) => snapshot::load::<A>(&store, transaction, id, command).await?,
            None => {
                let mut connection: PoolConnection<Postgres> = store.pool.acquire().await?;
                snapshot::load::<A>(&store, &mut connection, id, command).await?
            }
        };
        if loaded.done { Err(StoreError::AlreadyDone) } else { Ok(loaded) }
    }

    /// The version of a loaded stream, with what was decided since; 0 if there is no such stream, or it was not loaded.
    #[must_use]
    pub fn version<A: Stored>(&self, id: Uuid) -> u64 {
        self.streams.get(&StreamKey { kind: A::KIND, id }).map_or(0, |stream| stream.version)
    }

    /// A loaded aggregate, with what was decided since.
    ///
    /// # Panics
    ///
    /// If it was not loaded in this attempt.
    #[must_use]
    pub fn aggregate<A: Stored>(&self, id: Uuid) -> &A {
        let stream =
            self.streams.get(&StreamKey { kind: A::KIND, id }).expect("an aggregate is loaded before it is used");
        stream.aggregate()
    }

    /// Has a loaded aggregate decide. Its events will be appended with the attempt's time; personal values in them are
    /// sealed with the key of `subject`. Returns how many events there are; none means that nothing changes.
    ///
    /// # Errors
    ///
    /// The aggregate's refusal. It then stands as before.
    ///
    /// # Panics
    ///
    /// If the aggregate was not loaded in this attempt.
    pub fn handle<A: Stored>(&mut self, id: Uuid, subject: AccountId, command: A::Command) -> Result<usize, A::Error> {
        let key = StreamKey { kind: A::KIND, id };
        let stream = self.streams.get_mut(&key).expect("an aggregate is loaded before it is used");
        let mut aggregate: A = stream.aggregate::<A>().clone();
        let sink = EventSink::default();
        // Outside tokio's budget, which would make the sink's free lock wait in a task that is busy.
        unconstrained(aggregate.handle(command, &(), &sink))
            .now_or_never()
            .expect("a decision asks nobody and so never waits")?;
        let events = sink.collect().now_or_never().expect("nobody else holds the sink");
        let count = events.len();
        for event in events {
            let Ok(payload) = serde_json::to_string(&event) else {
                self.failure = Some(StoreError::Encode);
                break;
            };
            if has_clear_marker(&payload) {
                stream.subjects = stream.subjects.and(subject.as_uuid());
            }
            stream.version += 1;
            self.events.push(NewEvent {
                event_type: event.event_type(),
                event_version: event.event_version(),
                payload,
                recorded: Recorded {
                    stream: key,
                    sequence: stream.version,
                    event_id: Uuid::now_v7(),
                    recorded_at: self.now,
                    metadata: self.context.metadata(subject),
                    fact: A::fact(event),
                },
            });
        }
        stream.aggregate = Box::new(aggregate);
        Ok(count)
    }

    /// Takes or releases something unique in the transaction of the events. If somebody else holds it, the command ends
    /// as [`crate::ExecuteError::Claimed`].
    pub fn claim(&mut self, claim: Claim) {
        self.claims.push(claim);
    }

    /// Who holds a claim now. Only a [`Claim::Take`] makes sure.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails.
    pub async fn holder(&mut self, kind: &str, key: &[u8]) -> Result<Option<Uuid>, StoreError> {
        let query =
            sqlx::query_scalar("SELECT holder FROM es.claims WHERE kind = $1 AND key = $2").bind(kind).bind(key);
        Ok(match &mut self.transaction {
            Some(transaction) => query.fetch_optional(&mut **transaction).await?,
            None => query.fetch_optional(&self.store.pool).await?,
        })
    }

    /// Writes rows of other tables in the transaction of the events. It must use the connection that it is given. A
    /// violated unique constraint ends the command as [`crate::ExecuteError::Constraint`].
    pub fn also(
        &mut self,
        write: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>> + Send + 'static,
    ) {
        self.also.get_mut().unwrap_or_else(PoisonError::into_inner).push(Box::new(write));
    }

    /// Keeps `answer` with the receipt for a repetition of the command, sealed with the key of the acting account. Where
    /// no account acts, the store's own key seals it: then it must hold nothing personal.
    pub fn answer(&mut self, answer: Vec<u8>) {
        self.answer = Some(answer);
    }

    /// A connection to read other tables with, and the events decided so far in the order in which they will be stored.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if there is no connection to be had. It ends the attempt.
    pub async fn reading(&mut self) -> Result<(Reading<'_>, Vec<&Recorded>), StoreError> {
        let reading = match &mut self.transaction {
            Some(transaction) => Reading::Attempt(transaction),
            None => match self.store.pool.acquire().await {
                Ok(connection) => Reading::Pooled(connection),
                Err(error) => {
                    let error = StoreError::from(error);
                    self.failure = Some(error.clone());
                    return Err(error);
                }
            },
        };
        let mut decided: Vec<&Recorded> = self.events.iter().map(|event| &event.recorded).collect();
        decided.sort_by_key(|event| (event.stream, event.sequence));
        Ok((reading, decided))
    }

    /// The time of this attempt: every event of it has this one.
    #[must_use]
    pub const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The events decided so far, in the order in which they will be appended within each stream.
    pub fn decided(&self) -> impl Iterator<Item = &Recorded> {
        self.events.iter().map(|event| &event.recorded)
    }

    /// Snapshots that are due after this attempt was committed.
    pub(crate) fn due_snapshots(&self) -> Vec<Draft> {
        self.streams
            .iter()
            .filter(|(_, stream)| stream.base < stream.version && snapshot::EVERY <= stream.version - stream.snapshot)
            .filter_map(|(key, stream)| (stream.draft)(stream, key.id))
            .collect()
    }
}

impl Stream {
    fn new<A: Stored>(loaded: Loaded<A>) -> Self {
        Self {
            aggregate: Box::new(loaded.aggregate),
            base: loaded.version,
            version: loaded.version,
            snapshot: loaded.snapshot,
            subjects: loaded.subjects,
            draft: |stream, id| Draft::of::<A>(id, stream.aggregate(), stream.version, stream.subjects),
        }
    }

    fn aggregate<A: Stored>(&self) -> &A {
        self.aggregate.downcast_ref().expect("a stream's kind names its aggregate")
    }
}

impl CommandContext {
    fn metadata(&self, subject: AccountId) -> Metadata {
        Metadata {
            actor_kind: self.actor.kind,
            actor_id: self.actor.id,
            roles: Metadata::join_roles(&self.roles),
            subject: subject.as_uuid(),
            correlation_id: self.correlation_id.clone(),
            causation_id: self.causation_id,
            request_id: self.request_id.clone(),
            command_id: self.command_id,
            traceparent: self.traceparent.clone(),
        }
    }
}
