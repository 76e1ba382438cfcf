//! Streams that a generation no longer follows, since one of their events could not be read or folded.

use std::collections::{BTreeMap, HashMap};

use domain::StreamKey;
use sqlx::{PgConnection, Row as _};
use tracing::warn;

use crate::generation::{Generation, Held};

/// A stream that is not followed from an event on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parking {
    pub(crate) stream: StreamKey,
    pub(crate) from_sequence: u64,
    pub(crate) position: u64,
    /// Holds no stored value.
    pub(crate) error: String,
}

impl Parking {
    /// Says so in the log, once.
    pub(crate) fn warn(&self, generation: Generation) {
        warn!(
            projection = generation.name,
            generation = generation.number,
            stream.kind = self.stream.kind.as_str(),
            stream.id = %self.stream.id,
            position = self.position,
            error = self.error,
            "stream parked"
        );
    }
}

/// The parked streams of a generation, with the first event of each that is missing.
pub(crate) type Parked = HashMap<StreamKey, u64>;

/// The parked streams of these generations, in one look.
pub(crate) async fn load(connection: &mut PgConnection, held: &[Held]) -> Result<Vec<Parked>, sqlx::Error> {
    let (names, (versions, numbers)): (Vec<&str>, (Vec<i32>, Vec<i32>)) =
        held.iter().map(|held| (held.generation.name, (held.generation.version, held.generation.number))).unzip();
    let rows = sqlx::query(
        "SELECT g.place, p.aggregate_type, p.aggregate_id, p.from_sequence
         FROM unnest($1::text[], $2::integer[], $3::integer[]) WITH ORDINALITY g(name, version, generation, place)
         JOIN views.parked p USING (name, version, generation)",
    )
    .bind(names)
    .bind(versions)
    .bind(numbers)
    .fetch_all(connection)
    .await?;
    let mut parked = vec![Parked::new(); held.len()];
    for row in rows {
        let (kind, id): (String, String) = (row.try_get("aggregate_type")?, row.try_get("aggregate_id")?);
        let place = usize::try_from(row.try_get::<i64, _>("place")? - 1).ok();
        if let (Some(stream), Some(of)) = (stream_key(&kind, &id), place.and_then(|place| parked.get_mut(place))) {
            of.insert(stream, row.try_get::<i64, _>("from_sequence")?.unsigned_abs());
        }
    }
    Ok(parked)
}

/// The parked streams of a generation, first parked first.
pub(crate) async fn streams(
    connection: &mut PgConnection,
    generation: Generation,
    limit: i64,
) -> Result<Vec<StreamKey>, sqlx::Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT aggregate_type, aggregate_id FROM views.parked
         WHERE name = $1 AND version = $2 AND generation = $3 ORDER BY position LIMIT $4",
    )
    .bind(generation.name)
    .bind(generation.version)
    .bind(generation.number)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows.iter().filter_map(|(kind, id)| stream_key(kind, id)).collect())
}

fn stream_key(kind: &str, id: &str) -> Option<StreamKey> {
    Some(StreamKey { kind: kind.parse().ok()?, id: id.parse().ok()? })
}

/// Writes down new parkings, and how many events of each stream were passed over.
pub(crate) async fn note(
    connection: &mut PgConnection,
    generation: Generation,
    new: &[Parking],
    skipped: &BTreeMap<StreamKey, u64>,
) -> Result<(), sqlx::Error> {
    for parking in new {
        sqlx::query(
            "INSERT INTO views.parked AS p
                (name, version, generation, aggregate_type, aggregate_id, from_sequence, position, error, skipped)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)
             ON CONFLICT (name, version, generation, aggregate_type, aggregate_id) DO UPDATE
                SET from_sequence = excluded.from_sequence, position = excluded.position, error = excluded.error
                WHERE excluded.from_sequence < p.from_sequence",
        )
        .bind(generation.name)
        .bind(generation.version)
        .bind(generation.number)
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
    let (kinds, ids) = columns(skipped.keys());
    let counts: Vec<i64> = skipped.values().map(|count| count.cast_signed()).collect();
    sqlx::query(
        "UPDATE views.parked p SET skipped = p.skipped + n.count
         FROM unnest($4::text[], $5::text[], $6::bigint[]) n(kind, id, count)
         WHERE p.name = $1 AND p.version = $2 AND p.generation = $3
           AND p.aggregate_type = n.kind AND p.aggregate_id = n.id",
    )
    .bind(generation.name)
    .bind(generation.version)
    .bind(generation.number)
    .bind(kinds)
    .bind(ids)
    .bind(counts)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets that these streams are parked.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    generation: Generation,
    streams: impl Iterator<Item = &StreamKey>,
) -> Result<(), sqlx::Error> {
    let (kinds, ids) = columns(streams);
    sqlx::query(
        "DELETE FROM views.parked p USING unnest($4::text[], $5::text[]) n(kind, id)
         WHERE p.name = $1 AND p.version = $2 AND p.generation = $3
           AND p.aggregate_type = n.kind AND p.aggregate_id = n.id",
    )
    .bind(generation.name)
    .bind(generation.version)
    .bind(generation.number)
    .bind(kinds)
    .bind(ids)
    .execute(connection)
    .await?;
    Ok(())
}

fn columns<'a>(streams: impl Iterator<Item = &'a StreamKey>) -> (Vec<&'static str>, Vec<String>) {
    streams.map(|stream| (stream.kind.as_str(), stream.id.to_string())).unzip()
}
