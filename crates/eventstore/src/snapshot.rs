//! Loading: snapshot and tail in one statement. Snapshots are ours alone: sealed, written off the request's path, and
//! ignored when other code wrote them or they cannot be read.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::StreamKind;
use sqlx::{PgConnection, Row};
use tracing::warn;
use uuid::Uuid;

use crate::decode::{self, StoredEvent};
use crate::failpoint::{self, Point};
use crate::personal::{FreshKeys, open_bytes, seal_bytes};
use crate::store::Inner;
use crate::{StoreError, Stored};

/// Events after which a new snapshot is worth its writing.
pub(crate) const EVERY: u64 = 50;

/// An aggregate as it stands, and what is needed to go on from there.
pub(crate) struct Loaded<A> {
    pub(crate) aggregate: A,
    /// The number of the stream's last event; 0 if there is none.
    pub(crate) version: u64,
    /// The number of the last event that the snapshot holds; 0 without one.
    pub(crate) snapshot: u64,
    pub(crate) subjects: Subjects,
    /// A receipt of the command asked about exists.
    pub(crate) done: bool,
}

/// Whose personal values a state may hold. A snapshot goes with one subject's key, so a state with values of several
/// gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subjects {
    None,
    One(Uuid),
    Several,
}

impl Subjects {
    pub(crate) fn and(self, subject: Uuid) -> Self {
        match self {
            Self::None => Self::One(subject),
            Self::One(known) if known == subject => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

/// The newest snapshot of this code and the events after it, in one statement, and whether `command` has a receipt.
const LOAD: &str = "
WITH snapshot AS MATERIALIZED (
    SELECT sequence, subject, body FROM es.snapshots
    WHERE aggregate_type = $1 AND aggregate_id = $2 AND code_version = $3 AND $5
)
SELECT s.subject, s.body, coalesce(s.sequence, 0) AS sequence,
       EXISTS (SELECT FROM es.command_receipts WHERE command_id = $4) AS done,
       NULL::text AS aggregate_type, NULL::text AS aggregate_id, NULL::text AS event_type, NULL::text AS event_version,
       NULL::json AS payload, NULL::json AS metadata, NULL::uuid AS event_id, NULL::timestamptz AS recorded_at,
       true AS head
FROM (SELECT) one LEFT JOIN snapshot s ON true
UNION ALL
SELECT NULL, NULL, e.sequence, NULL, e.aggregate_type, e.aggregate_id, e.event_type, e.event_version,
       e.payload, e.metadata, e.event_id, e.recorded_at, false
FROM es.events e
WHERE e.aggregate_type = $1 AND e.aggregate_id = $2 AND e.sequence > coalesce((SELECT sequence FROM snapshot), 0)";

/// Loads the aggregate `id`, and looks for a receipt of `command`.
pub(crate) async fn load<A: Stored>(
    store: &Inner,
    connection: &mut PgConnection,
    id: Uuid,
    command: Option<Uuid>,
) -> Result<Loaded<A>, StoreError> {
    match read::<A>(store, connection, id, command, true).await? {
        Some(loaded) => Ok(loaded),
        // The snapshot cannot be read: then from the first event on.
        None => Ok(read::<A>(store, connection, id, command, false).await?.unwrap_or(Loaded {
            aggregate: A::default(),
            version: 0,
            snapshot: 0,
            subjects: Subjects::None,
            done: false,
        })),
    }
}

async fn read<A: Stored>(
    store: &Inner,
    connection: &mut PgConnection,
    id: Uuid,
    command: Option<Uuid>,
    with_snapshot: bool,
) -> Result<Option<Loaded<A>>, StoreError> {
    let rows = sqlx::query(LOAD)
        .bind(A::TYPE)
        .bind(id.to_string())
        .bind(A::code_version())
        .bind(command)
        .bind(with_snapshot)
        .fetch_all(&mut *connection)
        .await?;
    let mut head = None;
    let mut tail = Vec::with_capacity(rows.len());
    for row in &rows {
        if row.try_get("head")? {
            head = Some(row);
        } else {
            tail.push(<StoredEvent as sqlx::FromRow<_>>::from_row(row)?);
        }
    }
    tail.sort_unstable_by_key(|event| event.sequence);
    let mut loaded = Loaded { aggregate: A::default(), version: 0, snapshot: 0, subjects: Subjects::None, done: false };
    let mut body: Option<(Uuid, Vec<u8>, i64)> = None;
    if let Some(head) = head {
        loaded.done = head.try_get("done")?;
        if let Some(sealed) = head.try_get::<Option<Vec<u8>>, _>("body")? {
            body = Some((head.try_get("subject")?, sealed, head.try_get("sequence")?));
        }
    }
    let snapshot_subject = body.iter().map(|(subject, ..)| *subject).filter(|subject| !subject.is_nil());
    let subjects: Vec<Uuid> = tail.iter().filter_map(StoredEvent::sealed_subject).chain(snapshot_subject).collect();
    loaded.subjects = subjects.iter().fold(Subjects::None, |all, subject| all.and(*subject));
    let keys = store.keys.ring(connection, subjects).await?;
    if let Some((subject, sealed, sequence)) = body {
        let key = if subject.is_nil() { Some(&store.own_key) } else { keys.get(subject) };
        let state = key
            .and_then(|key| open_bytes(key, &sealed, &bound_to::<A>(id, sequence, subject)))
            .and_then(|clear| serde_json::from_slice(&clear).ok());
        let Some(state) = state else {
            // The key was destroyed a moment ago, or the row was tampered with.
            return Ok(None);
        };
        loaded.aggregate = state;
        loaded.version = sequence.unsigned_abs();
        loaded.snapshot = loaded.version;
    }
    for event in tail {
        let (aggregate_id, sequence) = (event.aggregate_id.clone(), event.sequence);
        let event = event.event::<A>(&keys).map_err(|error| decode::failed(A::TYPE, &aggregate_id, sequence, error))?;
        loaded.aggregate.apply(event);
        loaded.version = sequence.unsigned_abs();
    }
    Ok(Some(loaded))
}

/// What a snapshot opens with: only as this stream's, at this sequence, by this code.
fn bound_to<A: Stored>(id: Uuid, sequence: i64, subject: Uuid) -> Vec<u8> {
    format!("snapshot\0{}\0{id}\0{sequence}\0{}\0{subject}", A::TYPE, A::code_version()).into_bytes()
}

/// A snapshot to be written.
pub(crate) struct Draft {
    kind: StreamKind,
    id: Uuid,
    code_version: i64,
    sequence: i64,
    subject: Uuid,
    clear: Vec<u8>,
    bound_to: Vec<u8>,
}

impl Draft {
    /// The state of `aggregate` at `version`, if it may be kept.
    pub(crate) fn of<A: Stored>(id: Uuid, aggregate: &A, version: u64, subjects: Subjects) -> Option<Self> {
        let subject = match subjects {
            Subjects::None => Uuid::nil(),
            Subjects::One(subject) => subject,
            Subjects::Several => return None,
        };
        let sequence = version.cast_signed();
        Some(Self {
            kind: A::KIND,
            id,
            code_version: A::code_version(),
            sequence,
            subject,
            clear: serde_json::to_vec(aggregate).ok()?,
            bound_to: bound_to::<A>(id, sequence, subject),
        })
    }

    /// Writes it in the background, unless enough others are being written: then a later command does.
    pub(crate) fn write_later(self, store: &Arc<Inner>) {
        let Ok(permit) = Arc::clone(&store.snapshots).try_acquire_owned() else {
            return;
        };
        let inner = Arc::clone(store);
        store.running.spawn(async move {
            let _permit = permit;
            let (kind, id) = (self.kind, self.id);
            if let Err(error) = self.write(&inner).await {
                warn!(stream.kind = %kind, stream.id = %id, error = &error as &dyn std::error::Error, "snapshot not written");
            }
        });
    }

    async fn write(self, store: &Inner) -> Result<(), StoreError> {
        let mut connection = store.pool.acquire().await?;
        let key = if self.subject.is_nil() {
            Some(store.own_key)
        } else {
            let mut fresh = FreshKeys::default();
            let key = store.keys.for_sealing(&mut connection, self.subject, &mut fresh).await?;
            store.keys.committed(fresh);
            key
        };
        let Some(key) = key else {
            return Ok(());
        };
        let made_at: DateTime<Utc> = store.clock.now();
        failpoint::reach(Point::SnapshotBefore).await?;
        // Not if the key was destroyed meanwhile: the row would outlive the purge.
        sqlx::query(
            "INSERT INTO es.snapshots AS s (aggregate_type, aggregate_id, code_version, sequence, subject, body, made_at)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE NOT EXISTS (SELECT FROM es.subject_keys WHERE subject = $5 AND wrapped IS NULL)
             ON CONFLICT (aggregate_type, aggregate_id, code_version) DO UPDATE
                 SET sequence = excluded.sequence, subject = excluded.subject, body = excluded.body,
                     made_at = excluded.made_at
                 WHERE s.sequence < excluded.sequence",
        )
        .bind(self.kind.as_str())
        .bind(self.id.to_string())
        .bind(self.code_version)
        .bind(self.sequence)
        .bind(self.subject)
        .bind(seal_bytes(&key, &self.clear, &self.bound_to))
        .bind(made_at)
        .execute(&mut *connection)
        .await?;
        failpoint::reach(Point::SnapshotAfter).await?;
        Ok(())
    }
}
