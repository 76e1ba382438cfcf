//! How the read models stand, for health, metrics and the command line.

use eventstore::Store;
use sqlx::Row as _;

use crate::documents::position;

/// How one read model stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelStatus {
    /// Its name.
    pub name: String,
    /// The version that is read.
    pub version: i32,
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
}

/// How the read models that are read stand, by name.
///
/// # Errors
///
/// If the database fails.
pub async fn status(store: &Store) -> Result<Vec<ModelStatus>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT c.name, c.version, c.position,
                greatest(0, coalesce((SELECT max(l.position) FROM es.ledger l), 0) - c.position) AS lag_events,
                coalesce((SELECT greatest(0, extract(epoch FROM clock_timestamp() - l.ledger_time))
                          FROM es.ledger l WHERE l.position = c.position + 1), 0)::double precision AS lag_seconds,
                (SELECT count(*) FROM views.parked p WHERE p.name = c.name AND p.version = c.version) AS parked,
                (SELECT coalesce(sum(p.skipped), 0)::bigint FROM views.parked p
                 WHERE p.name = c.name AND p.version = c.version) AS skipped
         FROM views.checkpoints c WHERE c.live ORDER BY c.name",
    )
    .fetch_all(store.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ModelStatus {
                name: row.try_get("name")?,
                version: row.try_get("version")?,
                position: position(row, "position")?,
                lag_events: position(row, "lag_events")?,
                lag_seconds: row.try_get("lag_seconds")?,
                parked: position(row, "parked")?,
                skipped: position(row, "skipped")?,
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
    }
}
