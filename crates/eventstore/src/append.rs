//! Writing what an attempt decided: one statement where that is enough, else one transaction.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use domain::AccountId;
use serde_json::json;
use sqlx::{PgConnection, Row};
use tokio::time::Instant;
use uuid::Uuid;

use crate::StoreError;
use crate::database::STATEMENT_TIMEOUT;
use crate::failpoint::{self, Point};
use crate::personal::{FreshKeys, Place, has_clear_marker, seal, seal_bytes};
use crate::session::{Claim, NewEvent, Session};

/// Appends to several streams, each at its expected version, all or nothing, with the receipt; one row per stream. The
/// streams' locks are tried, never waited for: with one not free, or a version that is another, nothing is written.
const APPEND: &str = "
WITH v AS MATERIALIZED (
    SELECT t, id, expected, pg_try_advisory_xact_lock(hashtextextended(t || ':' || id, 0)) AS free,
           coalesce((SELECT max(sequence) FROM es.events WHERE aggregate_type = t AND aggregate_id = id), 0) AS actual
    FROM unnest($1::text[], $2::text[], $3::bigint[]) s(t, id, expected)
), ins AS (
    INSERT INTO es.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                           event_id, recorded_at, actor_id)
    SELECT t, id, v.expected + row_number() OVER (PARTITION BY t, id ORDER BY ord), type, version, payload::json,
           metadata::json, event_id, $10, $11
    FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $12::uuid[])
         WITH ORDINALITY e(t, id, type, version, payload, metadata, event_id, ord) JOIN v USING (t, id)
    WHERE (SELECT bool_and(free AND actual = expected) FROM v)
    ORDER BY t COLLATE \"C\", id COLLATE \"C\", ord
    RETURNING insert_order
), receipt AS (
    INSERT INTO es.command_receipts (command_id, request_hash, outcome, subject, answer)
    SELECT $13, $14, $15::json, $16, $17 WHERE EXISTS (SELECT FROM ins)
)
SELECT (SELECT bool_and(free AND actual = expected) FROM v) AS appended,
       (SELECT min(insert_order) FROM ins) AS first_order, (SELECT max(insert_order) FROM ins) AS last_order";

const RECEIPT: &str = "INSERT INTO es.command_receipts (command_id, request_hash, outcome, subject, answer)
VALUES ($1, $2, $3::json, $4, $5)";

/// Takes the lock of every stream, in the order given, each until the end of the transaction.
pub(crate) const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended(t || ':' || id, 0))
FROM unnest($1::text[], $2::text[]) s(t, id)";

/// Whoever gives a command waits for its end at least so much longer than until its deadline: an attempt that has begun by
/// then is written within this time, or not at all.
pub const AFTER_DEADLINE: Duration = Duration::from_secs(5);
/// Kept free of it, for the commit itself and the way back to the caller.
const MARGIN: Duration = Duration::from_millis(500);

/// What came of writing.
pub(crate) enum Outcome {
    /// Written, with the lowest and highest insert order of its events, if there were any.
    Done(Option<(i64, i64)>),
    /// Another command was faster: decide anew.
    Conflict,
    /// The command had been carried out.
    AlreadyDone,
    /// Somebody else holds a claim of this kind.
    Claimed(&'static str),
    /// A unique constraint of another table was violated.
    Constraint(String),
    /// The connection was lost when the transaction may have been committed already.
    Unknown(StoreError),
    /// It would have been written so late that nobody could have been told. Nothing was.
    Late,
    /// Nothing was written.
    Failed(StoreError),
}

impl Session {
    /// Writes everything the attempt decided. The events are put in the order in which they are stored.
    pub(crate) async fn write(&mut self) -> Outcome {
        // Types and ids sort as their texts do.
        self.events.sort_by_key(|event| (event.recorded.stream, event.recorded.sequence));
        let claims = std::mem::take(&mut self.claims);
        let also = std::mem::take(self.also.get_mut().unwrap_or_else(PoisonError::into_inner));
        let nothing = self.events.is_empty() && claims.is_empty() && also.is_empty();
        if nothing && self.answer.is_none() && self.context.request_hash.is_none() {
            return Outcome::Done(None);
        }
        if self.context.deadline <= Instant::now() {
            give_up(self).await;
            return Outcome::Late;
        }
        if let Err(error) = failpoint::reach(Point::AppendBefore).await {
            return Outcome::Failed(error.into());
        }
        let mut fresh = FreshKeys::default();
        let alone = self.transaction.is_none() && claims.is_empty() && also.is_empty() && !self.events.is_empty();
        let outcome = if alone && STATEMENT_TIMEOUT <= self.left() {
            let store = self.store.clone();
            match store.pool.acquire().await {
                Ok(mut connection) => {
                    // Autocommit: a broken connection leaves open whether it was committed.
                    self.append(&mut connection, &mut fresh).await.unwrap_or_else(|error| classify(error, true))
                }
                Err(error) => Outcome::Failed(error.into()),
            }
        } else {
            self.write_in_transaction(claims, also, &mut fresh).await
        };
        if matches!(outcome, Outcome::Done(_)) {
            if let Err(error) = failpoint::reach(Point::AppendAfter).await {
                return Outcome::Unknown(error.into());
            }
            self.store.keys.committed(fresh);
        }
        outcome
    }

    async fn write_in_transaction(
        &mut self,
        claims: Vec<Claim>,
        also: Vec<crate::session::Also>,
        fresh: &mut FreshKeys,
    ) -> Outcome {
        let mut transaction = match self.transaction.take() {
            Some(transaction) => transaction,
            None => match self.store.pool.begin().await {
                Ok(transaction) => transaction,
                Err(error) => return Outcome::Failed(error.into()),
            },
        };
        let outcome = self.write_on(&mut transaction, claims, also, fresh).await;
        if !matches!(outcome, Outcome::Done(_)) {
            // Waited for: until it has ended nobody else gets its locks. A broken connection has ended it already.
            drop(transaction.rollback().await);
            return outcome;
        }
        match transaction.commit().await {
            Ok(()) => outcome,
            Err(error) => classify(error.into(), true),
        }
    }

    /// Everything that the transaction holds before its commit.
    async fn write_on(
        &self,
        transaction: &mut PgConnection,
        mut claims: Vec<Claim>,
        also: Vec<crate::session::Also>,
        fresh: &mut FreshKeys,
    ) -> Outcome {
        let left = self.left();
        if left < STATEMENT_TIMEOUT
            && let Err(error) = bound_statements(transaction, left).await
        {
            return Outcome::Failed(error.into());
        }
        // The append comes first: it never waits, and a claim must not be refused on outdated streams.
        let written = match self.append(transaction, fresh).await {
            Ok(outcome @ Outcome::Done(_)) => outcome,
            Ok(outcome) => return outcome,
            Err(error) => return classify(error, false),
        };
        // In one order, so that two commands do not wait for each other's claims.
        claims.sort_by(|a, b| a.order().cmp(&b.order()));
        for claim in claims {
            match claim.write(transaction).await {
                Ok(true) => (),
                Ok(false) => return Outcome::Claimed(claim.kind()),
                Err(error) => return classify(error.into(), false),
            }
        }
        for write in also {
            if let Err(error) = write(transaction).await {
                return classify(error.into(), false);
            }
        }
        if let Err(error) = failpoint::reach(Point::AppendUncommitted).await {
            return Outcome::Failed(error.into());
        }
        if self.left().is_zero() { Outcome::Late } else { written }
    }

    /// How long something may still be written: the caller hears of a failure right after that.
    fn left(&self) -> Duration {
        (self.context.deadline + AFTER_DEADLINE - MARGIN).saturating_duration_since(Instant::now())
    }

    /// The events and the receipt.
    async fn append(&self, connection: &mut PgConnection, fresh: &mut FreshKeys) -> Result<Outcome, StoreError> {
        let context = &self.context;
        let actor = context.actor.id;
        let subject = context.actor.as_account().map_or(Uuid::nil(), AccountId::as_uuid);
        let answer = self.sealed_answer(connection, fresh).await?;
        let outcome = self.receipt();
        if self.events.is_empty() {
            sqlx::query(RECEIPT)
                .bind(context.command_id)
                .bind(context.request_hash.as_ref().map(<[u8; 32]>::as_slice))
                .bind(outcome)
                .bind(subject)
                .bind(answer)
                .execute(connection)
                .await?;
            return Ok(Outcome::Done(None));
        }
        let (mut stream_types, mut stream_ids, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        for (key, stream) in self.streams.iter().filter(|(_, stream)| stream.base < stream.version) {
            stream_types.push(key.kind.as_str());
            stream_ids.push(key.id.to_string());
            expected.push(stream.base.cast_signed());
        }
        let count = self.events.len();
        let mut columns = Columns::with_capacity(count);
        for event in &self.events {
            columns.push(event, self.sealed_payload(event, connection, fresh).await?)?;
        }
        let row = sqlx::query(APPEND)
            .bind(stream_types)
            .bind(stream_ids)
            .bind(expected)
            .bind(columns.aggregate_types)
            .bind(columns.aggregate_ids)
            .bind(columns.event_types)
            .bind(columns.event_versions)
            .bind(columns.payloads)
            .bind(columns.metadata)
            .bind(self.now)
            .bind(actor)
            .bind(columns.event_ids)
            .bind(context.command_id)
            .bind(context.request_hash.as_ref().map(<[u8; 32]>::as_slice))
            .bind(outcome)
            .bind(subject)
            .bind(answer)
            .fetch_one(connection)
            .await?;
        if !row.try_get::<bool, _>("appended")? {
            return Ok(Outcome::Conflict);
        }
        Ok(Outcome::Done(Some((row.try_get("first_order")?, row.try_get("last_order")?))))
    }

    async fn sealed_payload(
        &self,
        event: &NewEvent,
        connection: &mut PgConnection,
        fresh: &mut FreshKeys,
    ) -> Result<String, StoreError> {
        if !has_clear_marker(&event.payload) {
            return Ok(event.payload.clone());
        }
        let recorded = &event.recorded;
        let key = self.store.keys.for_sealing(connection, recorded.metadata.subject, fresh).await?;
        let mut value = serde_json::from_str(&event.payload).map_err(|_| StoreError::Encode)?;
        let aggregate_id = recorded.stream.id.to_string();
        let place = Place {
            aggregate_type: recorded.stream.kind.as_str(),
            aggregate_id: &aggregate_id,
            sequence: recorded.sequence.cast_signed(),
            subject: recorded.metadata.subject,
        };
        seal(&mut value, key.as_ref(), &place);
        Ok(value.to_string())
    }

    /// The answer to keep, sealed for the acting account, or for the store where no account acts; none if the account's
    /// key was destroyed.
    async fn sealed_answer(
        &self,
        connection: &mut PgConnection,
        fresh: &mut FreshKeys,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(answer) = &self.answer else {
            return Ok(None);
        };
        let key = match self.context.actor.as_account() {
            Some(account) => self.store.keys.for_sealing(connection, account.as_uuid(), fresh).await?,
            None => Some(self.store.own_key),
        };
        Ok(key.map(|key| seal_bytes(&key, answer, &answer_place(self.context.command_id))))
    }

    /// The streams appended to: type, id, first and last sequence.
    fn receipt(&self) -> String {
        let streams: Vec<_> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.base < stream.version)
            .map(|(key, stream)| json!({"type": key.kind, "id": key.id, "from": stream.base + 1, "to": stream.version}))
            .collect();
        json!({"streams": streams}).to_string()
    }
}

/// No statement of this transaction runs longer from now on.
async fn bound_statements(transaction: &mut PgConnection, longest: Duration) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT set_config('statement_timeout', $1, true)")
        .bind(longest.as_millis().max(1).to_string())
        .execute(transaction)
        .await?;
    Ok(())
}

/// What a stored answer opens with.
pub(crate) fn answer_place(command_id: Uuid) -> Vec<u8> {
    [b"answer\0".as_slice(), command_id.as_bytes()].concat()
}

struct Columns {
    aggregate_types: Vec<&'static str>,
    aggregate_ids: Vec<String>,
    event_types: Vec<String>,
    event_versions: Vec<String>,
    payloads: Vec<String>,
    metadata: Vec<String>,
    event_ids: Vec<Uuid>,
}

impl Columns {
    fn with_capacity(count: usize) -> Self {
        Self {
            aggregate_types: Vec::with_capacity(count),
            aggregate_ids: Vec::with_capacity(count),
            event_types: Vec::with_capacity(count),
            event_versions: Vec::with_capacity(count),
            payloads: Vec::with_capacity(count),
            metadata: Vec::with_capacity(count),
            event_ids: Vec::with_capacity(count),
        }
    }

    fn push(&mut self, event: &NewEvent, payload: String) -> Result<(), StoreError> {
        self.aggregate_types.push(event.recorded.stream.kind.as_str());
        self.aggregate_ids.push(event.recorded.stream.id.to_string());
        self.event_types.push(event.event_type.clone());
        self.event_versions.push(event.event_version.clone());
        self.payloads.push(payload);
        self.metadata.push(serde_json::to_string(&event.recorded.metadata).map_err(|_| StoreError::Encode)?);
        self.event_ids.push(event.recorded.event_id);
        Ok(())
    }
}

impl Claim {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Take { kind, .. }
            | Self::TakeOneOf { kind, .. }
            | Self::Release { kind, .. }
            | Self::ReleaseAll { kind, .. } => kind,
        }
    }

    fn order(&self) -> (&'static str, BTreeSet<&[u8]>) {
        let keys = match self {
            Self::Take { key, .. } | Self::Release { key, .. } => BTreeSet::from([key.as_slice()]),
            Self::TakeOneOf { keys, .. } => keys.iter().map(Vec::as_slice).collect(),
            Self::ReleaseAll { .. } => BTreeSet::new(),
        };
        (self.kind(), keys)
    }

    /// Whether the claim could be taken; releasing always can.
    async fn write(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        match self {
            Self::Take { kind, key, holder } => take(connection, kind, key, *holder).await,
            Self::TakeOneOf { kind, keys, holder } => {
                let has_one: bool = sqlx::query_scalar(
                    "SELECT EXISTS (SELECT FROM es.claims WHERE kind = $1 AND key = ANY ($2) AND holder = $3)",
                )
                .bind(kind)
                .bind(keys)
                .bind(holder)
                .fetch_one(&mut *connection)
                .await?;
                if has_one {
                    return Ok(true);
                }
                for key in keys {
                    if take(connection, kind, key, *holder).await? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Release { kind, key, holder } => {
                sqlx::query("DELETE FROM es.claims WHERE kind = $1 AND key = $2 AND holder = $3")
                    .bind(kind)
                    .bind(key)
                    .bind(holder)
                    .execute(connection)
                    .await?;
                Ok(true)
            }
            Self::ReleaseAll { kind, holder } => {
                sqlx::query("DELETE FROM es.claims WHERE kind = $1 AND holder = $2")
                    .bind(kind)
                    .bind(holder)
                    .execute(connection)
                    .await?;
                Ok(true)
            }
        }
    }
}

async fn take(connection: &mut PgConnection, kind: &str, key: &[u8], holder: Uuid) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query("INSERT INTO es.claims (kind, key, holder) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(kind)
        .bind(key)
        .bind(holder)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    if taken == 1 {
        return Ok(true);
    }
    // Whoever was first has committed by now; a statement of its own sees whom it is for.
    let held: Option<Uuid> = sqlx::query_scalar("SELECT holder FROM es.claims WHERE kind = $1 AND key = $2")
        .bind(kind)
        .bind(key)
        .fetch_optional(connection)
        .await?;
    Ok(held == Some(holder))
}

/// What an error of the database means for the command. `committing`: the statement may have committed the transaction.
fn classify(error: StoreError, committing: bool) -> Outcome {
    let StoreError::Database(cause) = &error else {
        return Outcome::Failed(error);
    };
    let sqlx::Error::Database(database) = &**cause else {
        // Not an answer of the server: the connection broke. Waiting for a connection is no such case.
        let sent = !matches!(&**cause, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed);
        return if committing && sent { Outcome::Unknown(error) } else { Outcome::Failed(error) };
    };
    let code = database.code().unwrap_or_default();
    match (&*code, database.constraint()) {
        ("23505", Some("events_pkey")) => Outcome::Conflict,
        ("23505", Some("command_receipts_pkey")) => Outcome::AlreadyDone,
        ("23505", Some(constraint)) => Outcome::Constraint(constraint.to_owned()),
        // A deadlock or a serialisation failure: nothing was written, and another try may succeed.
        ("40P01" | "40001", _) => Outcome::Conflict,
        // The server ended the connection; it does not say whether before or after the commit.
        (code, _) if committing && (code.starts_with("57P0") || code.starts_with("08")) => Outcome::Unknown(error),
        _ => Outcome::Failed(error),
    }
}

/// Ends a transaction without its changes; a broken connection has done so already.
pub(crate) async fn give_up(session: &mut Session) {
    if let Some(transaction) = session.transaction.take() {
        drop(transaction.rollback().await);
    }
}
