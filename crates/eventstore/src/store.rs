//! The store: opened once per process, cheap to clone.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use cqrs_es::persist::PersistedEventRepository;
use domain::{AccountId, Clock, Recorded, StreamKey};
use postgres_es::PostgresEventRepository;
use sqlx::{PgConnection, PgPool, Row};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::decode::{self, EVENT_COLUMNS, StoredEvent};
use crate::keyed::Keyed;
use crate::personal::{FreshKeys, KeyRing, SubjectKeys};
use crate::queue::Queues;
use crate::sequencer::Sequencer;
use crate::{ErasureList, MasterKey, Signals, StoreError, Stored, snapshot};

/// Events that one call of [`Store::stream`] gives at most.
const STREAM_LIMIT: i64 = 5_000;
/// Snapshots written at the same time at most.
const SNAPSHOT_PERMITS: usize = 2;
/// Commands carried out at the same time, unless the server says otherwise.
const COMMAND_PERMITS: usize = 64;

/// The one writer and the one reader of events.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    store_id: Uuid,
    epoch: u32,
    pub(crate) keys: SubjectKeys,
    /// For snapshots of streams without personal values, and answers to whoever is not signed in.
    pub(crate) own_key: [u8; 32],
    pub(crate) signals: Signals,
    pub(crate) sequencer: Sequencer,
    pub(crate) queues: Queues,
    pub(crate) keyed: Keyed,
    pub(crate) commands: Arc<Semaphore>,
    pub(crate) snapshots: Arc<Semaphore>,
    pub(crate) running: TaskTracker,
    pub(crate) erasures: OnceLock<ErasureList>,
    /// Ends the background tasks with the last clone of the store.
    _background: DropGuard,
}

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// PostgreSQL, or the way to it; also a database that was never migrated.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The personal values in this database were sealed under another master key.
    #[error("the master key is not the one this database was written with")]
    WrongMasterKey,
}

impl Store {
    /// Opens the store on a migrated database, whose connections act as `allegiant_server` ([`crate::connect`]). Starts
    /// two background tasks, which end with the last clone: the sequencer's and the listener's, the latter with one
    /// connection of its own.
    ///
    /// # Errors
    ///
    /// [`OpenError::WrongMasterKey`] if the database was first opened with another master key.
    pub async fn open(pool: PgPool, master: MasterKey, clock: Clock) -> Result<Self, OpenError> {
        Self::open_with(pool, master, clock, COMMAND_PERMITS).await
    }

    /// As [`Store::open`], with the number of commands that may be carried out at the same time.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub async fn open_with(
        pool: PgPool,
        master: MasterKey,
        clock: Clock,
        command_permits: usize,
    ) -> Result<Self, OpenError> {
        check_master_key(&pool, &master).await?;
        let row = sqlx::query("SELECT store_id, epoch FROM es.store").fetch_one(&pool).await?;
        let epoch: i32 = row.try_get("epoch")?;
        let cancel = CancellationToken::new();
        let signals = Signals::start(&pool, cancel.clone());
        let sequencer = Sequencer::start(pool.clone(), signals.clone(), cancel.clone());
        Ok(Self(Arc::new(Inner {
            clock,
            store_id: row.try_get("store_id")?,
            epoch: epoch.unsigned_abs(),
            keys: SubjectKeys::new(&master),
            own_key: master.derive(b"allegiant/snapshot/v1"),
            signals,
            sequencer,
            queues: Queues::default(),
            keyed: Keyed::default(),
            commands: Arc::new(Semaphore::new(command_permits)),
            snapshots: Arc::new(Semaphore::new(SNAPSHOT_PERMITS)),
            running: TaskTracker::new(),
            erasures: OnceLock::new(),
            pool,
            _background: cancel.drop_guard(),
        })))
    }

    /// The pool of connections.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// The clock that commands are dated by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Which store this is; a copied database gets another.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.0.store_id
    }

    /// Which life of the store this is; a restored older backup begins a new one.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.0.epoch
    }

    /// What wakes readers.
    #[must_use]
    pub fn signals(&self) -> &Signals {
        &self.0.signals
    }

    /// Waits until no command is being carried out and no snapshot written. For the end of the process, after the
    /// last request was taken.
    pub async fn drain(&self) {
        self.0.running.close();
        self.0.running.wait().await;
        self.0.running.reopen();
    }

    /// The state of an aggregate and its version (0: there is no such stream): now, or right after its event number
    /// `version` as it was then. A version beyond the last gives the state now.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails or an event cannot be read.
    pub async fn load_at<A: Stored>(&self, id: Uuid, version: Option<u64>) -> Result<(A, u64), StoreError> {
        let Some(version) = version else {
            let mut connection = self.0.pool.acquire().await?;
            let loaded = snapshot::load::<A>(&self.0, &mut connection, id, None).await?;
            return Ok((loaded.aggregate, loaded.version));
        };
        // Whole streams are read by the stock repository; opening and upcasting stay in one place.
        let rows = PostgresEventRepository::new(self.0.pool.clone())
            .with_tables("es.events", "es.snapshots")
            .get_events::<A>(&id.to_string())
            .await
            .map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
        let keys = {
            let subjects: BTreeSet<Uuid> = rows.iter().map(decode::serialized_subject).collect();
            let mut connection = self.0.pool.acquire().await?;
            self.0.keys.ring(&mut connection, subjects).await?
        };
        let mut state = (A::default(), 0);
        for row in rows {
            let sequence = row.sequence as u64;
            if version < sequence {
                break;
            }
            let (aggregate_type, aggregate_id) = (row.aggregate_type.clone(), row.aggregate_id.clone());
            let event = decode::event::<A>(row, &keys)
                .map_err(|error| decode::failed(&aggregate_type, &aggregate_id, sequence.cast_signed(), error))?;
            state.0.apply(event);
            state.1 = sequence;
        }
        Ok(state)
    }

    /// Events of one stream after its event number `after`, at most `limit` (and 5,000), in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails or an event cannot be read.
    pub async fn stream(&self, key: StreamKey, after: u64, limit: i64) -> Result<Vec<Recorded>, StoreError> {
        let mut connection = self.0.pool.acquire().await?;
        self.stream_on(&mut connection, key, after, limit).await
    }

    /// As [`Store::stream`], on a connection that the caller has already, inside its transaction if it has one.
    ///
    /// # Errors
    ///
    /// As [`Store::stream`].
    pub async fn stream_on(
        &self,
        connection: &mut PgConnection,
        key: StreamKey,
        after: u64,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        let rows: Vec<StoredEvent> = sqlx::query_as(&format!(
            "SELECT {EVENT_COLUMNS} FROM es.events e
             WHERE e.aggregate_type = $1 AND e.aggregate_id = $2 AND e.sequence > $3 ORDER BY e.sequence LIMIT $4"
        ))
        .bind(key.kind.as_str())
        .bind(key.id.to_string())
        .bind(after.cast_signed())
        .bind(limit.clamp(0, STREAM_LIMIT))
        .fetch_all(&mut *connection)
        .await?;
        self.decode_on(connection, rows).await?.into_iter().collect()
    }

    /// Opens, upcasts and reads rows that the caller loaded itself (with [`EVENT_COLUMNS`]), each for itself.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the keys cannot be fetched. What is wrong with one row is that row's error.
    pub async fn decode_on(
        &self,
        connection: &mut PgConnection,
        rows: Vec<StoredEvent>,
    ) -> Result<Vec<Result<Recorded, StoreError>>, StoreError> {
        let keys = self.key_ring(connection, &rows).await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let (aggregate_type, aggregate_id, sequence) =
                    (row.aggregate_type.clone(), row.aggregate_id.clone(), row.sequence);
                row.recorded(&keys).map_err(|error| decode::failed(&aggregate_type, &aggregate_id, sequence, error))
            })
            .collect())
    }

    pub(crate) async fn key_ring(
        &self,
        connection: &mut PgConnection,
        rows: impl IntoIterator<Item = &StoredEvent>,
    ) -> Result<KeyRing, StoreError> {
        let subjects: BTreeSet<Uuid> = rows.into_iter().filter_map(StoredEvent::sealed_subject).collect();
        self.0.keys.ring(connection, subjects).await
    }

    /// Destroys the key of a data subject: its personal values read as erased from now on, here at once and on other
    /// instances within seconds. Its snapshots and stored answers are removed. Cannot be undone. Where there is a list of
    /// erasures ([`Store::keep_erasures`]), this one is on its disk before this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] if the database fails; the key may then exist still. [`StoreError::Erasures`] if the list
    /// cannot be written: the key is gone, but a restored backup might bring it back; to be tried again.
    pub async fn destroy_key(&self, subject: AccountId) -> Result<(), StoreError> {
        sqlx::query("SELECT es.destroy_subject_key($1)").bind(subject.as_uuid()).execute(&self.0.pool).await?;
        self.0.keys.destroyed(subject.as_uuid());
        match self.0.erasures.get() {
            Some(list) => self.note_erasures(list, vec![subject.as_uuid()]).await,
            None => Ok(()),
        }
    }

    /// Makes sure that `subject` has a key, or knows that it was destroyed: afterwards sealing needs no query.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails or the key cannot be unwrapped.
    pub async fn ensure_key(&self, subject: AccountId) -> Result<(), StoreError> {
        let mut connection = self.0.pool.acquire().await?;
        let mut fresh = FreshKeys::default();
        self.0.keys.for_sealing(&mut connection, subject.as_uuid(), &mut fresh).await?;
        self.0.keys.committed(fresh);
        Ok(())
    }
}

async fn check_master_key(pool: &PgPool, master: &MasterKey) -> Result<(), OpenError> {
    let ours = master.derive(b"allegiant/master-key-check/v1");
    sqlx::query("INSERT INTO es.master_key_check (value) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(ours.as_slice())
        .execute(pool)
        .await?;
    let stored: Vec<u8> = sqlx::query_scalar("SELECT value FROM es.master_key_check").fetch_one(pool).await?;
    if bool::from(stored.as_slice().ct_eq(&ours)) { Ok(()) } else { Err(OpenError::WrongMasterKey) }
}
