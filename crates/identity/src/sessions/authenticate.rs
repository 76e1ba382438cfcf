//! Who sends a request.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::{AccountId, Role, SessionId};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::cache::Carrier;
use super::{COOKIE_BYTES, Sessions};
use crate::credentials::known_roles;

/// Who sends a request: an active account, in a session that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose session it is.
    pub account_id: AccountId,
    /// Which session it is.
    pub session_id: SessionId,
    /// What the account may do, as of a second ago at most.
    pub roles: Vec<Role>,
}

/// What a token of ours says, whether or not its session is alive: enough to end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearer {
    /// Whose session it is.
    pub account_id: AccountId,
    /// Which session it is.
    pub session_id: SessionId,
}

/// Why nobody is signed in by what a request showed.
#[derive(Debug, thiserror::Error)]
pub enum AuthFailure {
    /// It was not made here, or was changed.
    #[error("not a token or cookie of ours")]
    Malformed,
    /// There is no such session.
    #[error("the session is unknown")]
    Unknown,
    /// The session, or what the client holds of it, is over.
    #[error("the session has expired")]
    Expired,
    /// The session was ended, or its account deactivated.
    #[error("the session was revoked")]
    Revoked,
    /// The database could not be asked: this says nothing about the session.
    #[error("the session cannot be read")]
    Storage(#[source] sqlx::Error),
}

impl Sessions {
    /// Who sends a request with this bearer token.
    ///
    /// # Errors
    ///
    /// [`AuthFailure`] says why nobody does.
    pub async fn authenticate_bearer(&self, token: &str, now: DateTime<Utc>) -> Result<Caller, AuthFailure> {
        let claims = self.0.tokens.read(token).map_err(|_| AuthFailure::Malformed)?;
        if claims.expires <= now.timestamp() {
            return Err(AuthFailure::Expired);
        }
        let caller = self.authenticate(Carrier::Bearer(claims.session), now).await?;
        if caller.account_id == claims.account { Ok(caller) } else { Err(AuthFailure::Unknown) }
    }

    /// Who sends a request with this value of the cookie.
    ///
    /// # Errors
    ///
    /// [`AuthFailure`] says why nobody does.
    pub async fn authenticate_cookie(&self, value: &str, now: DateTime<Utc>) -> Result<Caller, AuthFailure> {
        let mut random = [0; COOKIE_BYTES];
        match URL_SAFE_NO_PAD.decode_slice(value, &mut random) {
            Ok(COOKIE_BYTES) => self.authenticate(Carrier::Cookie(Sha256::digest(random).into()), now).await,
            Ok(_) | Err(_) => Err(AuthFailure::Malformed),
        }
    }

    /// The session of a token that was signed here, be it alive or not: for signing out, which an expired token may.
    #[must_use]
    pub fn read_bearer(&self, token: &str) -> Option<Bearer> {
        let claims = self.0.tokens.read(token).ok()?;
        Some(Bearer { account_id: claims.account, session_id: claims.session })
    }

    async fn authenticate(&self, carrier: Carrier, now: DateTime<Utc>) -> Result<Caller, AuthFailure> {
        let asked_at = Instant::now();
        let row = match self.0.cache.get(carrier, asked_at) {
            Some(row) => row,
            None => {
                let row = self.read(carrier).await.map_err(AuthFailure::Storage)?.ok_or(AuthFailure::Unknown)?;
                self.0.cache.put(carrier, row.clone(), asked_at);
                row
            }
        };
        if row.revoked {
            return Err(AuthFailure::Revoked);
        }
        if row.access_expires_at <= now {
            return Err(AuthFailure::Expired);
        }
        if self.0.last_seen.note(&self.0.pool, &row, now) {
            self.0.cache.seen(carrier, now);
        }
        Ok(Caller { account_id: row.account_id, session_id: row.session_id, roles: row.roles })
    }

    async fn read(&self, carrier: Carrier) -> Result<Option<SessionRow>, sqlx::Error> {
        let by = match carrier {
            Carrier::Bearer(session) => sqlx::query_as(
                "SELECT s.id, s.account_id, s.last_seen_at, s.access_expires_at,
                        s.revoked_at IS NOT NULL OR NOT c.is_active AS revoked, c.roles
                 FROM identity.sessions s JOIN identity.credentials c USING (account_id) WHERE s.id = $1",
            )
            .bind(session.as_uuid()),
            Carrier::Cookie(hash) => sqlx::query_as(
                "SELECT s.id, s.account_id, s.last_seen_at, s.access_expires_at,
                        s.revoked_at IS NOT NULL OR NOT c.is_active AS revoked, c.roles
                 FROM identity.sessions s JOIN identity.credentials c USING (account_id) WHERE s.token_hash = $1",
            )
            .bind(hash),
        };
        by.fetch_optional(&self.0.pool).await
    }
}

/// What is read of a session to know who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionRow {
    pub(super) session_id: SessionId,
    pub(super) account_id: AccountId,
    pub(super) last_seen_at: DateTime<Utc>,
    pub(super) access_expires_at: DateTime<Utc>,
    /// Ended, or its account deactivated.
    pub(super) revoked: bool,
    pub(super) roles: Vec<Role>,
}

impl FromRow<'_, PgRow> for SessionRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            session_id: SessionId::from_uuid(row.try_get("id")?),
            account_id: AccountId::from_uuid(row.try_get("account_id")?),
            last_seen_at: row.try_get("last_seen_at")?,
            access_expires_at: row.try_get("access_expires_at")?,
            revoked: row.try_get("revoked")?,
            roles: known_roles(row)?,
        })
    }
}
