//! The reference: pgbench, inserting the same row into a table that equals the events' table.

use std::process::Stdio;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _, PgConnection, Row as _};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::world::World;
use crate::Error;

/// A row of the events' table, its stream and time left out.
#[derive(Debug, Clone)]
pub struct Sample {
    event_type: String,
    payload: String,
    metadata: String,
    actor: String,
}

/// The same columns and the same key; no trigger, as nothing follows it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS bench_events
    (LIKE es.events INCLUDING CONSTRAINTS INCLUDING IDENTITY INCLUDING INDEXES INCLUDING DEFAULTS)";

/// Every value is a parameter, as it is for any client; the streams are new ones.
const SCRIPT: &str = "INSERT INTO bench_events (aggregate_type, aggregate_id, sequence, event_type, event_version, \
    payload, metadata, event_id, recorded_at, actor_id) VALUES ('project', gen_random_uuid()::text, 1, :event_type, '1', \
    :payload, :metadata, gen_random_uuid(), clock_timestamp(), :actor);\n";

impl Sample {
    /// The last event that was stored, whose row is about to be inserted again and again; makes the table, too.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], also if there is no event.
    pub async fn take(connection: &mut PgConnection) -> Result<Self, Error> {
        connection.execute(TABLE).await?;
        let row = sqlx::query(
            "SELECT event_type, payload::text, metadata::text, actor_id::text FROM es.events
             ORDER BY insert_order DESC LIMIT 1",
        )
        .fetch_one(connection)
        .await?;
        Ok(Self {
            event_type: row.try_get("event_type")?,
            payload: row.try_get("payload")?,
            metadata: row.try_get("metadata")?,
            actor: row.try_get("actor_id")?,
        })
    }

    /// Bytes of payload and metadata.
    pub const fn bytes(&self) -> usize {
        self.payload.len() + self.metadata.len()
    }
}

/// Runs pgbench and returns rows a second.
///
/// # Errors
///
/// [`Error::Program`] if it cannot be run, [`Error::Pgbench`] if it does not end well.
pub async fn rows_per_second(world: &World, sample: &Sample, clients: u16, seconds: f64) -> Result<f64, Error> {
    let options: &PgConnectOptions = world.options();
    let url = options.to_url_lossy();
    let password = percent_decoded(url.password().unwrap_or_default());
    let mut child = Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--file=-"])
        .arg(format!("--client={clients}"))
        .arg(format!("--time={}", seconds.ceil().max(1.0)))
        .arg(format!("--define=event_type={}", sample.event_type))
        .arg(format!("--define=payload={}", sample.payload))
        .arg(format!("--define=metadata={}", sample.metadata))
        .arg(format!("--define=actor={}", sample.actor))
        .env("PGHOST", options.get_host())
        .env("PGPORT", options.get_port().to_string())
        .env("PGUSER", options.get_username())
        .env("PGPASSWORD", password)
        .env("PGDATABASE", options.get_database().unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| Error::Program("pgbench", "started", e))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(SCRIPT.as_bytes()).await.map_err(|e| Error::Program("pgbench", "told what to do", e))?;
    }
    let output = child.wait_with_output().await.map_err(|e| Error::Program("pgbench", "watched", e))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match rate(&said) {
        Some(rate) if output.status.success() => Ok(rate),
        Some(_) | None => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(Error::Pgbench(errors.lines().last().unwrap_or_default().to_owned()))
        }
    }
}

/// The rate in what pgbench says: `tps = 12345.678 (without initial connection time)`.
fn rate(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split_whitespace().next()?.parse().ok()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found_in_what_pgbench_says() {
        let said =
            "transaction type: -\nlatency average = 0.5 ms\ntps = 16123.456789 (without initial connection time)\n";
        assert_eq!(rate(said), Some(16_123.456_789));
        assert_eq!(rate("pgbench: error"), None);
    }

    #[test]
    fn a_password_is_what_its_address_says() {
        assert_eq!(percent_decoded("a%20b%2F%"), "a b/%");
    }
}
