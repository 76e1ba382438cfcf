//! Who started a session, and when it was last used.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use domain::SessionId;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use uuid::Uuid;

use super::authenticate::SessionRow;
use crate::secrets::SealKeys;

/// The longest name of a browser that is kept, in bytes.
const USER_AGENT_BYTES: usize = 512;
/// How exactly the last use of a session is known.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Sessions whose last use waits to be written, at most.
const WAITING: usize = 10_000;

/// From where somebody signs in: personal data, stored only sealed, and not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Network address.
    pub ip: Option<IpAddr>,
    /// Browser, as it names itself; stored up to 512 bytes.
    pub user_agent: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client(…)")
    }
}

impl Client {
    /// Sealed so that it opens only for this session.
    pub(super) fn seal(&self, seals: &SealKeys, session: SessionId) -> Vec<u8> {
        let cut = |agent: &String| agent[..agent.floor_char_boundary(USER_AGENT_BYTES)].to_owned();
        let kept = Self { ip: self.ip, user_agent: self.user_agent.as_ref().map(cut) };
        let json = serde_json::to_vec(&kept).expect("an address and a text are plain JSON");
        seals.seal(&json, session.as_uuid().as_bytes())
    }

    /// What was sealed for this session; nothing is known if it cannot be opened.
    pub(super) fn open(seals: &SealKeys, sealed: &[u8], session: SessionId) -> Self {
        let json = seals.open(sealed, session.as_uuid().as_bytes());
        json.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_else(|| {
            tracing::warn!(session.id = %session, "what is sealed about a session cannot be opened");
            Self::default()
        })
    }
}

/// Uses of sessions that wait to be written, off the path of the requests that noted them.
#[derive(Default, Clone)]
pub(super) struct LastSeen(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    uses: Mutex<HashMap<SessionId, DateTime<Utc>>>,
    /// Held by who writes. One at a time, so that a slow database meets one writer with more to write.
    writing: Arc<tokio::sync::Mutex<()>>,
}

impl LastSeen {
    /// Notes a use, unless one was written in the last minute; returns whether it was noted.
    pub(super) fn note(&self, pool: &PgPool, row: &SessionRow, now: DateTime<Utc>) -> bool {
        if now - row.last_seen_at < SEEN_EVERY {
            return false;
        }
        {
            let mut uses = self.0.uses.lock().unwrap_or_else(PoisonError::into_inner);
            if uses.len() < WAITING {
                uses.insert(row.session_id, now);
            }
        }
        if let Ok(turn) = Arc::clone(&self.0.writing).try_lock_owned() {
            let (last_seen, pool) = (self.clone(), pool.clone());
            tokio::spawn(async move {
                if let Err(error) = last_seen.write_waiting(&pool).await {
                    tracing::warn!(%error, "the last use of sessions was not written");
                }
                drop(turn);
            });
        }
        true
    }

    /// Writes what waits, after whoever is writing.
    pub(super) async fn write(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let _turn = self.0.writing.lock().await;
        self.write_waiting(pool).await
    }

    async fn write_waiting(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let uses = std::mem::take(&mut *self.0.uses.lock().unwrap_or_else(PoisonError::into_inner));
        if uses.is_empty() {
            return Ok(());
        }
        let (ids, times): (Vec<Uuid>, Vec<DateTime<Utc>>) = uses.into_iter().map(|(id, at)| (id.as_uuid(), at)).unzip();
        // Another instance may have written since; rows are locked in one order whoever writes.
        sqlx::query(
            "UPDATE identity.sessions s SET last_seen_at = u.at
             FROM (SELECT s.id, u.at FROM unnest($1::uuid[], $2::timestamptz[]) u (id, at)
                   JOIN identity.sessions s USING (id) WHERE s.last_seen_at + $3 <= u.at ORDER BY s.id FOR UPDATE OF s) u
             WHERE s.id = u.id",
        )
        .bind(ids)
        .bind(times)
        .bind(sqlx::postgres::types::PgInterval::try_from(SEEN_EVERY).map_err(sqlx::Error::Encode)?)
        .execute(pool)
        .await
        .map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secrets;

    #[test]
    fn a_client_opens_only_for_its_session_and_shows_nothing_in_debug_output() {
        let seals = Secrets::derive(&[1; 32]).seals;
        let (session, other) = (SessionId::generate(), SessionId::generate());
        let client =
            Client { ip: Some("2001:db8::7".parse().unwrap()), user_agent: Some("Firefox \u{1F98A}/140".into()) };
        let sealed = client.seal(&seals, session);
        assert_eq!(Client::open(&seals, &sealed, session), client);
        assert_eq!(Client::open(&seals, &sealed, other), Client::default());
        assert_eq!(format!("{client:?}"), "Client(…)");
        assert!(!sealed.windows(7).any(|bytes| bytes == b"Firefox"));
    }

    #[test]
    fn a_long_user_agent_is_cut_between_characters() {
        let seals = Secrets::derive(&[1; 32]).seals;
        let session = SessionId::generate();
        let client = Client { ip: None, user_agent: Some(format!("x{}", "é".repeat(10_000))) };
        let opened = Client::open(&seals, &client.seal(&seals, session), session);
        assert_eq!(opened.user_agent, Some(format!("x{}", "é".repeat(255))));
    }
}
