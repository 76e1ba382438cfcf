//! Sessions: one sign-in each, carried by a bearer token, and for browsers on our own origin by a cookie.

mod authenticate;
mod cache;
mod seen;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{AccountId, SessionId};
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgExecutor, PgPool, Row as _};
use uuid::Uuid;

use crate::Secrets;
use crate::secrets::SealKeys;
use crate::token::AccessTokens;
pub use authenticate::{AuthFailure, Bearer, Caller};
use cache::{Cache, Changed};
pub use seen::Client;
use seen::LastSeen;

/// Random bytes of a cookie's value.
const COOKIE_BYTES: usize = 32;
/// Most sessions that [`Sessions::live`] lists.
const LISTED: i64 = 200;
/// Rows that one call of [`Sessions::delete_ended`] deletes at most.
const DELETED_AT_ONCE: i64 = 1000;

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// What the client holds works for this long, unless it is extended.
    pub access: TimeDelta,
    /// A session ends after this long, however often it is extended.
    pub session: TimeDelta,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { access: TimeDelta::seconds(86_400), session: TimeDelta::days(30) }
    }
}

/// What the client gets of a session. Its `Debug` output shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The session.
    pub id: SessionId,
    /// For the header `Authorization: Bearer`.
    pub access_token: String,
    /// How long token and cookie work, in seconds.
    pub expires_in: u64,
    /// The value of the cookie, which is not the token.
    pub cookie_value: String,
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession").field("id", &self.id).field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// The session.
    pub id: SessionId,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends, however often it is extended.
    pub expires_at: DateTime<Utc>,
    /// Who started it.
    pub client: Client,
}

/// Starts, knows and ends sessions. Clones share what they know.
///
/// Whatever changes a session takes the connection of a transaction, or any other. From that call on this instance
/// reads the session's row for every request, so that an end holds at once when it is committed; other instances use
/// what they read for less than a second.
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

struct Shared {
    pool: PgPool,
    tokens: AccessTokens,
    seals: SealKeys,
    lifetimes: Lifetimes,
    cache: Cache,
    last_seen: LastSeen,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("lifetimes", &self.0.lifetimes).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Sessions in this database, with these secrets.
    #[must_use]
    pub fn new(pool: PgPool, secrets: &Secrets, lifetimes: Lifetimes) -> Self {
        Self(Arc::new(Shared {
            pool,
            tokens: AccessTokens::new(&secrets.tokens),
            seals: secrets.seals.clone(),
            lifetimes,
            cache: Cache::default(),
            last_seen: LastSeen::default(),
        }))
    }

    /// A new session, which is one when its row is stored: [`PreparedSession::store`] belongs into the transaction that
    /// records the sign-in.
    #[must_use]
    pub fn prepare(&self, account_id: AccountId, client: &Client, now: DateTime<Utc>) -> PreparedSession {
        let id = SessionId::generate();
        let expires_at = now + self.0.lifetimes.session;
        let (session, access) = self.carriers(account_id, id, now, expires_at);
        let seen = client.seal(&self.0.seals, id);
        PreparedSession { session, account_id, access, created_at: now, expires_at, seen }
    }

    /// Starts a session.
    ///
    /// # Errors
    ///
    /// What the database answers; a violation of a foreign key if the account has no credentials.
    pub async fn start(
        &self,
        executor: impl PgExecutor<'_>,
        account_id: AccountId,
        client: &Client,
        now: DateTime<Utc>,
    ) -> Result<NewSession, sqlx::Error> {
        let prepared = self.prepare(account_id, client, now);
        prepared.store(executor).await?;
        Ok(prepared.session)
    }

    /// Gives a session that is alive a new token and a new cookie, for another access lifetime within the session's.
    /// The old cookie stops working; old tokens work until they expire. `None` if the session is not alive.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn extend(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
        now: DateTime<Utc>,
    ) -> Result<Option<NewSession>, sqlx::Error> {
        self.0.cache.ask(Changed::Session(caller.session_id), Instant::now());
        let row = sqlx::query(
            "SELECT expires_at FROM identity.sessions
             WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL AND access_expires_at > $3 FOR UPDATE",
        )
        .bind(caller.session_id.as_uuid())
        .bind(caller.account_id.as_uuid())
        .bind(now)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (session, access) = self.carriers(caller.account_id, caller.session_id, now, row.try_get("expires_at")?);
        let done = sqlx::query(
            "UPDATE identity.sessions SET token_hash = $2, access_expires_at = $3, last_seen_at = greatest(last_seen_at, $4)
             WHERE id = $1 AND revoked_at IS NULL",
        )
        .bind(caller.session_id.as_uuid())
        .bind(access.token_hash)
        .bind(access.expires_at)
        .bind(now)
        .execute(connection)
        .await?;
        Ok((done.rows_affected() == 1).then_some(session))
    }

    /// Ends a session of this account; true if it was alive. Belongs into the transaction that records the end.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn end(
        &self,
        executor: impl PgExecutor<'_>,
        account_id: AccountId,
        session_id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        self.0.cache.ask(Changed::Session(session_id), Instant::now());
        let was_alive: Option<bool> = sqlx::query_scalar(
            "UPDATE identity.sessions SET revoked_at = $3 WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL
             RETURNING access_expires_at > $3",
        )
        .bind(session_id.as_uuid())
        .bind(account_id.as_uuid())
        .bind(now)
        .fetch_optional(executor)
        .await?;
        Ok(was_alive.unwrap_or(false))
    }

    /// Whether a session of this account is alive, as the database has it now.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn is_alive(
        &self,
        executor: impl PgExecutor<'_>,
        account_id: AccountId,
        session_id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM identity.sessions
             WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL AND access_expires_at > $3)",
        )
        .bind(session_id.as_uuid())
        .bind(account_id.as_uuid())
        .bind(now)
        .fetch_one(executor)
        .await
    }

    /// Ends all sessions of an account but perhaps one, and returns those that were alive. Belongs into the transaction
    /// that records why.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn revoke_all(
        &self,
        executor: impl PgExecutor<'_>,
        account_id: AccountId,
        but: Option<SessionId>,
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionId>, sqlx::Error> {
        self.recheck_account(account_id);
        let ended: Vec<(Uuid, bool)> = sqlx::query_as(
            "UPDATE identity.sessions SET revoked_at = $3
             WHERE account_id = $1 AND id IS DISTINCT FROM $2 AND revoked_at IS NULL
             RETURNING id, access_expires_at > $3",
        )
        .bind(account_id.as_uuid())
        .bind(but.map(SessionId::as_uuid))
        .bind(now)
        .fetch_all(executor)
        .await?;
        Ok(ended.into_iter().filter(|(_, was_alive)| *was_alive).map(|(id, _)| SessionId::from_uuid(id)).collect())
    }

    /// Makes a change to an account's roles, its deactivation or its removal hold at once on this instance. Called
    /// before the change is committed.
    pub fn recheck_account(&self, account_id: AccountId) {
        self.0.cache.ask(Changed::Account(account_id), Instant::now());
    }

    /// The sessions of an account that are alive, newest first, 200 at most.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn live(
        &self,
        executor: impl PgExecutor<'_>,
        account_id: AccountId,
        now: DateTime<Utc>,
    ) -> Result<Vec<LiveSession>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT id, created_at, last_seen_at, expires_at, seen FROM identity.sessions
             WHERE account_id = $1 AND revoked_at IS NULL AND access_expires_at > $2
             ORDER BY created_at DESC, id DESC LIMIT $3",
        )
        .bind(account_id.as_uuid())
        .bind(now)
        .bind(LISTED)
        .fetch_all(executor)
        .await?;
        rows.iter()
            .map(|row| {
                let id = SessionId::from_uuid(row.try_get("id")?);
                Ok(LiveSession {
                    id,
                    created_at: row.try_get("created_at")?,
                    last_seen_at: row.try_get("last_seen_at")?,
                    expires_at: row.try_get("expires_at")?,
                    client: Client::open(&self.0.seals, row.try_get("seen")?, id),
                })
            })
            .collect()
    }

    /// Writes when sessions were last used, as far as that is known here and not written. This happens by itself;
    /// who stops the process, or must see it written, calls this.
    ///
    /// # Errors
    ///
    /// What the database answers. What could not be written is forgotten: the next use of a session is noted again.
    pub async fn write_last_seen(&self) -> Result<(), sqlx::Error> {
        self.0.last_seen.write(&self.0.pool).await
    }

    /// Deletes sessions that ended before `before`, a thousand at most; returns how many. Tokens of a deleted session
    /// are unknown instead of expired or revoked.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn delete_ended(&self, executor: impl PgExecutor<'_>, before: DateTime<Utc>) -> Result<u64, sqlx::Error> {
        let done = sqlx::query(
            "DELETE FROM identity.sessions WHERE id IN
             (SELECT id FROM identity.sessions WHERE access_expires_at < $1 ORDER BY access_expires_at LIMIT $2)",
        )
        .bind(before)
        .bind(DELETED_AT_ONCE)
        .execute(executor)
        .await?;
        Ok(done.rows_affected())
    }

    fn carriers(
        &self,
        account_id: AccountId,
        id: SessionId,
        now: DateTime<Utc>,
        session_expires_at: DateTime<Utc>,
    ) -> (NewSession, Access) {
        let expires_at = (now + self.0.lifetimes.access).min(session_expires_at);
        let random = rand::random::<[u8; COOKIE_BYTES]>();
        let session = NewSession {
            id,
            access_token: self.0.tokens.issue(account_id, id, now, expires_at),
            expires_in: u64::try_from((expires_at - now).num_seconds()).unwrap_or(0),
            cookie_value: URL_SAFE_NO_PAD.encode(random),
        };
        (session, Access { token_hash: Sha256::digest(random).into(), expires_at })
    }
}

/// What a cookie is compared with, and until when it and the token work.
#[derive(Clone)]
struct Access {
    token_hash: [u8; 32],
    expires_at: DateTime<Utc>,
}

/// Ends the sessions of everybody, and returns how many there were. After a restore: those that had ended since the
/// backup, perhaps for a good reason, would live again.
///
/// # Errors
///
/// What the database answers.
pub async fn end_all_sessions(executor: impl PgExecutor<'_>) -> Result<u64, sqlx::Error> {
    let ended = sqlx::query("UPDATE identity.sessions SET revoked_at = clock_timestamp() WHERE revoked_at IS NULL");
    Ok(ended.execute(executor).await?.rows_affected())
}

/// A session whose row is not stored yet.
#[derive(Clone)]
pub struct PreparedSession {
    /// What the client gets, once the row is stored.
    pub session: NewSession,
    account_id: AccountId,
    access: Access,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    seen: Vec<u8>,
}

impl PreparedSession {
    /// Stores the row.
    ///
    /// # Errors
    ///
    /// What the database answers; a violation of a foreign key if the account has no credentials.
    pub async fn store(&self, executor: impl PgExecutor<'_>) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO identity.sessions
                 (id, account_id, token_hash, created_at, last_seen_at, expires_at, access_expires_at, seen)
             VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
        )
        .bind(self.session.id.as_uuid())
        .bind(self.account_id.as_uuid())
        .bind(self.access.token_hash)
        .bind(self.created_at)
        .bind(self.expires_at)
        .bind(self.access.expires_at)
        .bind(&self.seen)
        .execute(executor)
        .await
        .map(|_| ())
    }
}

impl fmt::Debug for PreparedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedSession").field("session", &self.session).finish_non_exhaustive()
    }
}
