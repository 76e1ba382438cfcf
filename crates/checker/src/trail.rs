//! What a store holds, as it is stored and not as the server would show it.

use std::collections::HashMap;

use sqlx::{PgPool, Row as _};
use uuid::Uuid;

/// All events, ledger rows and receipts of a store.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// By stream and sequence.
    pub events: Vec<Event>,
    /// By position.
    pub ledger: Vec<Line>,
    /// Of each command, the streams it appended to.
    pub receipts: HashMap<Uuid, Vec<Range>>,
    /// Events without a position.
    pub pending: u64,
}

/// The place of an event: kind and id of its stream, and its number there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The stream, as `kind:id`.
    pub stream: String,
    /// The number, from 1.
    pub sequence: u64,
}

/// A stored event, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where.
    pub place: Place,
    /// Its identity.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: String,
    /// The command it came from.
    pub command: Uuid,
    /// The tag of that command, if a person gave it.
    pub tag: Option<String>,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The position.
    pub position: u64,
    /// Of which event.
    pub place: Place,
    /// The identity of that event.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: String,
}

/// Events of one stream that one command appended, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The stream, as `kind:id`.
    pub stream: String,
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

impl Trail {
    /// Reads all of a store, at one moment.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn load(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut transaction = pool.begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut *transaction).await?;
        let events = sqlx::query(
            "SELECT aggregate_type || ':' || aggregate_id AS stream, sequence, event_id, event_type,
                    (metadata ->> 'command_id')::uuid AS command,
                    CASE metadata ->> 'actor_kind' WHEN 'account' THEN metadata ->> 'correlation_id' END AS tag
             FROM es.events ORDER BY aggregate_type, aggregate_id, sequence",
        );
        let ledger = sqlx::query(
            "SELECT position, aggregate_type || ':' || aggregate_id AS stream, sequence, event_id, event_type
             FROM es.ledger ORDER BY position",
        );
        let receipts = sqlx::query(
            "SELECT command_id, s ->> 'type' || ':' || (s ->> 'id') AS stream, (s ->> 'from')::bigint AS first,
                    (s ->> 'to')::bigint AS last
             FROM es.command_receipts LEFT JOIN json_array_elements(outcome -> 'streams') s ON true",
        );
        let mut trail = Self::default();
        for row in events.fetch_all(&mut *transaction).await? {
            let place = Place { stream: row.try_get("stream")?, sequence: number(&row, "sequence")? };
            let (event_id, event_type) = (row.try_get("event_id")?, row.try_get("event_type")?);
            let (command, tag) = (row.try_get("command")?, row.try_get("tag")?);
            trail.events.push(Event { place, event_id, event_type, command, tag });
        }
        for row in ledger.fetch_all(&mut *transaction).await? {
            let place = Place { stream: row.try_get("stream")?, sequence: number(&row, "sequence")? };
            let (event_id, event_type) = (row.try_get("event_id")?, row.try_get("event_type")?);
            trail.ledger.push(Line { position: number(&row, "position")?, place, event_id, event_type });
        }
        for row in receipts.fetch_all(&mut *transaction).await? {
            let ranges = trail.receipts.entry(row.try_get("command_id")?).or_default();
            if let Some(stream) = row.try_get("stream")? {
                ranges.push(Range { stream, from: number(&row, "first")?, to: number(&row, "last")? });
            }
        }
        let pending: i64 =
            sqlx::query_scalar("SELECT count(*) FROM es.event_pending").fetch_one(&mut *transaction).await?;
        trail.pending = pending.unsigned_abs();
        transaction.rollback().await?;
        Ok(trail)
    }

    /// The positions of all events that have one.
    #[must_use]
    pub fn positions(&self) -> HashMap<&Place, u64> {
        self.ledger.iter().map(|line| (&line.place, line.position)).collect()
    }

    /// The events of each command that a person gave, by its tag.
    #[must_use]
    pub fn by_tag(&self) -> HashMap<&str, Vec<&Event>> {
        let mut by_tag: HashMap<&str, Vec<&Event>> = HashMap::new();
        for event in &self.events {
            if let Some(tag) = &event.tag {
                by_tag.entry(tag).or_default().push(event);
            }
        }
        by_tag
    }
}

fn number(row: &sqlx::postgres::PgRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(i64::unsigned_abs)
}
