//! One batch of the ledger for one model: folding, and parking what cannot be folded.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::{Recorded, StreamKey, StreamKind};
use eventstore::LedgerRow;
use futures::future::BoxFuture;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::documents::{self, Unreadable, WriteError};
use crate::model::Documents;
use crate::{ReadModel, Row};

/// A read model without its type, for the runner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) version: i32,
    feed: Feed,
}

type Feed = for<'a> fn(&'a mut PgConnection, &'a [LedgerRow]) -> BoxFuture<'a, Result<Vec<Parking>, sqlx::Error>>;

impl Model {
    pub(crate) const fn of<M: ReadModel>() -> Self {
        Self { name: M::NAME, version: M::VERSION, feed: |connection, rows| Box::pin(feed::<M>(connection, rows)) }
    }

    /// Folds the rows into the model's documents and writes them. Returns what had to be parked.
    pub(crate) async fn feed(
        &self,
        connection: &mut PgConnection,
        rows: &[LedgerRow],
    ) -> Result<Vec<Parking>, sqlx::Error> {
        (self.feed)(connection, rows).await
    }
}

/// A stream that a model no longer follows from an event on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parking {
    pub(crate) stream: StreamKey,
    pub(crate) from_sequence: u64,
    pub(crate) position: u64,
    /// Holds no stored value.
    pub(crate) error: String,
}

/// An event that cannot be folded.
struct Stuck {
    stream: StreamKey,
    sequence: u64,
    error: String,
}

async fn feed<M: ReadModel>(connection: &mut PgConnection, rows: &[LedgerRow]) -> Result<Vec<Parking>, sqlx::Error> {
    let mut parked = parked_streams::<M>(connection).await?;
    let mut skipped: BTreeMap<StreamKey, u64> = BTreeMap::new();
    let mut new = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let chunk = next_chunk::<M>(rest, &parked);
        // Each turn parks one more stream from an earlier event on, so this comes to an end.
        while let Err(stuck) = feed_chunk::<M>(connection, &rest[..chunk], &parked).await? {
            parked.insert(stuck.stream, stuck.sequence);
            new.push(parking(stuck, rows));
        }
        rest = &rest[chunk..];
    }
    for row in rows {
        if let Some(stream) = row.key
            && parked.get(&stream).is_some_and(|from| *from <= row.sequence)
        {
            *skipped.entry(stream).or_default() += 1;
        }
    }
    note_parked::<M>(connection, &new, &skipped).await?;
    Ok(new)
}

/// How many of the rows concern no more documents than may be in memory at once; at least one row.
fn next_chunk<M: ReadModel>(rows: &[LedgerRow], parked: &HashMap<StreamKey, u64>) -> usize {
    let mut keys = BTreeSet::new();
    for (count, row) in rows.iter().enumerate() {
        if let Some(recorded) = concerning::<M>(row, parked).and_then(|row| row.recorded.as_ref().ok()) {
            keys.extend(guarded_keys::<M>(recorded).unwrap_or_default());
        }
        if M::AT_ONCE < keys.len() && 0 < count {
            return count;
        }
    }
    rows.len()
}

/// Folds the rows in memory and writes the documents, or nothing at all if one row cannot be folded.
async fn feed_chunk<M: ReadModel>(
    connection: &mut PgConnection,
    rows: &[LedgerRow],
    parked: &HashMap<StreamKey, u64>,
) -> Result<Result<(), Stuck>, sqlx::Error> {
    let rows: Vec<&LedgerRow> = rows.iter().filter_map(|row| concerning::<M>(row, parked)).collect();
    let mut keys = BTreeSet::new();
    for row in &rows {
        match &row.recorded {
            Ok(recorded) => match guarded_keys::<M>(recorded) {
                Some(named) => keys.extend(named),
                None => return Ok(Err(stuck(row, "panicked"))),
            },
            Err(error) => return Ok(Err(stuck(row, &error.to_string()))),
        }
    }
    let keys: Vec<Uuid> = keys.into_iter().collect();
    let loaded = if keys.is_empty() { HashMap::new() } else { documents::load::<M>(connection, &keys).await? };
    let mut unreadable: HashMap<Uuid, Unreadable> = HashMap::new();
    let mut readable: HashMap<Uuid, Row<M>> = HashMap::with_capacity(loaded.len());
    for (key, row) in loaded {
        match row {
            Ok(row) => _ = readable.insert(key, row),
            Err(error) => _ = unreadable.insert(key, error),
        }
    }
    let mut documents = Documents::new(readable);
    for row in rows {
        let Ok(recorded) = &row.recorded else { continue };
        if let Some(error) = guarded_keys::<M>(recorded).unwrap_or_default().iter().find_map(|key| unreadable.get(key))
        {
            return Ok(Err(stuck(row, &error.to_string())));
        }
        // After a panic the documents are half changed and dropped.
        if catch_unwind(AssertUnwindSafe(|| documents.apply(recorded, Some(row.position)))).is_err() {
            return Ok(Err(stuck(row, "panicked")));
        }
    }
    match documents::write(connection, &documents).await {
        Ok(()) => Ok(Ok(())),
        Err(WriteError::Unstorable(stream, sequence)) => {
            Ok(Err(Stuck { stream, sequence, error: "a document cannot be stored as jsonb".to_owned() }))
        }
        Err(WriteError::Database(error)) => Err(error),
    }
}

/// The row, if the model follows its stream.
fn concerning<'a, M: ReadModel>(row: &'a LedgerRow, parked: &HashMap<StreamKey, u64>) -> Option<&'a LedgerRow> {
    let stream = row.key?;
    let followed = M::KINDS.contains(&stream.kind) && parked.get(&stream).is_none_or(|from| row.sequence < *from);
    followed.then_some(row)
}

/// The keys, unless the model panics over the event.
fn guarded_keys<M: ReadModel>(recorded: &Recorded) -> Option<Vec<Uuid>> {
    catch_unwind(AssertUnwindSafe(|| M::keys(recorded))).ok()
}

fn stuck(row: &LedgerRow, error: &str) -> Stuck {
    // Rows without a stream of ours do not get here.
    let stream = row.key.unwrap_or(StreamKey { kind: StreamKind::Account, id: Uuid::nil() });
    Stuck { stream, sequence: row.sequence, error: format!("{}: {error}", row.event_type) }
}

fn parking(stuck: Stuck, rows: &[LedgerRow]) -> Parking {
    let Stuck { stream, sequence, error } = stuck;
    let position = rows.iter().find(|row| row.key == Some(stream) && row.sequence == sequence);
    Parking { stream, from_sequence: sequence, position: position.map_or(0, |row| row.position), error }
}

async fn parked_streams<M: ReadModel>(connection: &mut PgConnection) -> Result<HashMap<StreamKey, u64>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT aggregate_type, aggregate_id, from_sequence FROM views.parked WHERE name = $1 AND version = $2",
    )
    .bind(M::NAME)
    .bind(M::VERSION)
    .fetch_all(connection)
    .await?;
    let mut parked = HashMap::with_capacity(rows.len());
    for row in rows {
        let kind = row.try_get::<String, _>("aggregate_type")?.parse::<StreamKind>();
        let id = row.try_get::<String, _>("aggregate_id")?.parse::<Uuid>();
        if let (Ok(kind), Ok(id)) = (kind, id) {
            parked.insert(StreamKey { kind, id }, row.try_get::<i64, _>("from_sequence")?.unsigned_abs());
        }
    }
    Ok(parked)
}

async fn note_parked<M: ReadModel>(
    connection: &mut PgConnection,
    new: &[Parking],
    skipped: &BTreeMap<StreamKey, u64>,
) -> Result<(), sqlx::Error> {
    for parking in new {
        sqlx::query(
            "INSERT INTO views.parked AS p
                (name, version, aggregate_type, aggregate_id, from_sequence, position, error, skipped)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
             ON CONFLICT (name, version, aggregate_type, aggregate_id) DO UPDATE
                SET from_sequence = excluded.from_sequence, position = excluded.position, error = excluded.error
                WHERE excluded.from_sequence < p.from_sequence",
        )
        .bind(M::NAME)
        .bind(M::VERSION)
        .bind(parking.stream.kind.as_str())
        .bind(parking.stream.id.to_string())
        .bind(parking.from_sequence.cast_signed())
        .bind(parking.position.cast_signed())
        .bind(&parking.error)
        .execute(&mut *connection)
        .await?;
    }
    if skipped.is_empty() {
        return Ok(());
    }
    let kinds: Vec<&str> = skipped.keys().map(|stream| stream.kind.as_str()).collect();
    let ids: Vec<String> = skipped.keys().map(|stream| stream.id.to_string()).collect();
    let counts: Vec<i64> = skipped.values().map(|count| count.cast_signed()).collect();
    sqlx::query(
        "UPDATE views.parked p SET skipped = p.skipped + n.count
         FROM unnest($3::text[], $4::text[], $5::bigint[]) n(kind, id, count)
         WHERE p.name = $1 AND p.version = $2 AND p.aggregate_type = n.kind AND p.aggregate_id = n.id",
    )
    .bind(M::NAME)
    .bind(M::VERSION)
    .bind(kinds)
    .bind(ids)
    .bind(counts)
    .execute(connection)
    .await?;
    Ok(())
}
