//! How the read models stand, for health, metrics and the command line.

use chrono::{DateTime, Utc};
use eventstore::{Store, StoreError};
use sqlx::Row as _;

use crate::documents::position;
use crate::fill::UnknownEvent;
use crate::generation::{Generation, versions};
use crate::rebuild::{RebuildError, named};
use crate::runner::LIVE;

/// Parked streams that are told at most.
const TOLD: i64 = 100;

/// How one read model stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelStatus {
    /// Its name.
    pub name: String,
    /// The version that is read.
    pub version: i32,
    /// The generation that is read.
    pub generation: i32,
    /// The ledger position up to which it contains everything.
    pub position: u64,
    /// Ledger positions it has still to read.
    pub lag_events: u64,
    /// The age of the oldest event it has still to read, in seconds; 0 if there is none.
    pub lag_seconds: f64,
    /// Streams it no longer follows.
    pub parked: u64,
    /// Events of those streams that it lacks.
    pub skipped: u64,
    /// The event before which this release's runner stands still, since it does not know it.
    pub yielded: Option<UnknownEvent>,
}

/// What a generation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationState {
    /// It is read.
    Live,
    /// It was read before and is fed on, for a rollback.
    Former,
    /// It is being filled, or was left half done.
    Building,
}

impl GenerationState {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Former => "former",
            Self::Building => "building",
        }
    }
}

/// A generation of a read model, also of a version that this release does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationStatus {
    /// The model's name.
    pub name: String,
    /// The version of its documents.
    pub version: i32,
    /// Its number.
    pub generation: i32,
    /// What it is for.
    pub state: GenerationState,
    /// The ledger position up to which it contains everything.
    pub position: u64,
    /// Ledger positions it has still to read.
    pub lag_events: u64,
    /// Streams it no longer follows.
    pub parked: u64,
    /// When it was made.
    pub made_at: DateTime<Utc>,
}

/// A stream that a read model no longer follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedStream {
    /// The kind of stream.
    pub kind: String,
    /// Which stream.
    pub id: String,
    /// The first of its events that is missing.
    pub from_sequence: u64,
    /// Where that is in the ledger.
    pub position: u64,
    /// How many events are missing.
    pub skipped: u64,
    /// Why.
    pub error: String,
    /// Since when.
    pub parked_at: DateTime<Utc>,
}

/// How the read models that are read stand, by name: those whose versions this release knows.
///
/// # Errors
///
/// If the database fails.
pub async fn status(store: &Store) -> Result<Vec<ModelStatus>, StoreError> {
    let rows = sqlx::query(&format!(
        "SELECT c.name, c.version, c.generation, c.position,
                greatest(0, coalesce((SELECT max(l.position) FROM es.ledger l), 0) - c.position) AS lag_events,
                coalesce((SELECT greatest(0, extract(epoch FROM clock_timestamp() - l.ledger_time))
                          FROM es.ledger l WHERE l.position = c.position + 1), 0)::double precision AS lag_seconds,
                p.streams AS parked, p.skipped
         FROM views.checkpoints c CROSS JOIN LATERAL (
             SELECT count(*) AS streams, coalesce(sum(p.skipped), 0)::bigint AS skipped FROM views.parked p
             WHERE p.name = c.name AND p.version = c.version AND p.generation = c.generation) p
         WHERE c.live AND (c.name, c.version) IN ({}) ORDER BY c.name",
        versions(&LIVE)
    ))
    .fetch_all(store.pool())
    .await?;
    let mut models = Vec::with_capacity(rows.len());
    let mut looked: Vec<(u64, Option<UnknownEvent>)> = Vec::new();
    for row in rows {
        let (at, lag_events) = (position(&row, "position")?, position(&row, "lag_events")?);
        let yielded = match looked.iter().find(|(position, _)| *position == at) {
            _ if lag_events == 0 => None,
            Some((_, yielded)) => yielded.clone(),
            None => {
                let next = store.ledger(at, 1).await?;
                let yielded = next.first().and_then(UnknownEvent::in_row);
                looked.push((at, yielded.clone()));
                yielded
            }
        };
        models.push(ModelStatus {
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            generation: row.try_get("generation")?,
            position: at,
            lag_events,
            lag_seconds: row.try_get("lag_seconds")?,
            parked: position(&row, "parked")?,
            skipped: position(&row, "skipped")?,
            yielded,
        });
    }
    Ok(models)
}

/// Every generation there is, by name.
///
/// # Errors
///
/// If the database fails.
pub async fn generations(store: &Store) -> Result<Vec<GenerationStatus>, StoreError> {
    let rows = sqlx::query(
        "SELECT c.name, c.version, c.generation, c.position, c.live, c.filled, c.made_at,
                greatest(0, coalesce((SELECT max(l.position) FROM es.ledger l), 0) - c.position) AS lag_events,
                (SELECT count(*) FROM views.parked p
                 WHERE p.name = c.name AND p.version = c.version AND p.generation = c.generation) AS parked
         FROM views.checkpoints c ORDER BY c.name, c.version, c.generation",
    )
    .fetch_all(store.pool())
    .await?;
    let mut generations = Vec::with_capacity(rows.len());
    for row in rows {
        let state = match (row.try_get("live")?, row.try_get("filled")?) {
            (true, _) => GenerationState::Live,
            (false, true) => GenerationState::Former,
            (false, false) => GenerationState::Building,
        };
        generations.push(GenerationStatus {
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            generation: row.try_get("generation")?,
            state,
            position: position(&row, "position")?,
            lag_events: position(&row, "lag_events")?,
            parked: position(&row, "parked")?,
            made_at: row.try_get("made_at")?,
        });
    }
    Ok(generations)
}

/// The streams that a model no longer follows where it is read, first parked first, a hundred at most.
///
/// # Errors
///
/// [`RebuildError`] if there is no such model or the database fails.
pub async fn parked(store: &Store, name: &str) -> Result<Vec<ParkedStream>, RebuildError> {
    let model = named(name)?;
    let number: Option<i32> =
        sqlx::query_scalar("SELECT generation FROM views.checkpoints WHERE name = $1 AND version = $2 AND live")
            .bind(model.name)
            .bind(model.version)
            .fetch_optional(store.pool())
            .await?;
    let number = number.ok_or(RebuildError::NotBuilt(model.name))?;
    Ok(parked_in(store, Generation::of(&model, number)).await?)
}

pub(crate) async fn parked_in(store: &Store, generation: Generation) -> Result<Vec<ParkedStream>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT aggregate_type, aggregate_id, from_sequence, position, skipped, error, parked_at FROM views.parked
         WHERE name = $1 AND version = $2 AND generation = $3 ORDER BY position LIMIT $4",
    )
    .bind(generation.name)
    .bind(generation.version)
    .bind(generation.number)
    .bind(TOLD)
    .fetch_all(store.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ParkedStream {
                kind: row.try_get("aggregate_type")?,
                id: row.try_get("aggregate_id")?,
                from_sequence: position(row, "from_sequence")?,
                position: position(row, "position")?,
                skipped: position(row, "skipped")?,
                error: row.try_get("error")?,
                parked_at: row.try_get("parked_at")?,
            })
        })
        .collect()
}

impl ModelStatus {
    /// Sets the model's gauges.
    #[expect(clippy::cast_precision_loss, reason = "a gauge need not be exact beyond 2^53")]
    pub(crate) fn measure(&self) {
        metrics::gauge!("projection_lag_events", "projection" => self.name.clone()).set(self.lag_events as f64);
        metrics::gauge!("projection_lag_seconds", "projection" => self.name.clone()).set(self.lag_seconds);
        metrics::gauge!("projection_parked_streams", "projection" => self.name.clone()).set(self.parked as f64);
        metrics::gauge!("projection_yielded", "projection" => self.name.clone()).set(if self.yielded.is_some() {
            1.0
        } else {
            0.0
        });
    }
}
