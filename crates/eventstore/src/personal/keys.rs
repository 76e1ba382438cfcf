//! The master key and the keys of data subjects.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use sqlx::{PgConnection, Row};
use tokio::time::Instant;
use uuid::Uuid;

use crate::StoreError;

/// 32 random bytes that encrypt personal values of one data subject.
pub(crate) type Key = [u8; 32];

const NONCE: usize = 24;
/// How long a key may be used from memory: the time after which every instance has noticed a destruction.
const CACHED_FOR: Duration = Duration::from_secs(3);
const CACHED_AT_MOST: usize = 10_000;

/// The key from outside the database that wraps all others. Losing it loses every personal value.
#[derive(Clone)]
pub struct MasterKey(Key);

/// The text is not a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 32 bytes in base64")]
pub struct InvalidMasterKey;

impl MasterKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 32 bytes in standard base64, white space around them ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidMasterKey`] if it is something else.
    pub fn from_base64(text: &str) -> Result<Self, InvalidMasterKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| InvalidMasterKey)?;
        Ok(Self(bytes.try_into().map_err(|_| InvalidMasterKey)?))
    }

    /// A key for one purpose, derived by HKDF-SHA-256 (RFC 5869) with `info` as the purpose's name.
    #[must_use]
    pub fn derive(&self, info: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(None, &self.0).expand(info, &mut key).expect("32 bytes are within HKDF's bound");
        key
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

/// Encrypts `clear`: a random nonce, then ciphertext and tag. `bound_to` must be given again to open it.
pub(crate) fn seal_bytes(key: &Key, clear: &[u8], bound_to: &[u8]) -> Vec<u8> {
    let nonce = XNonce::generate();
    let mut sealed = nonce.to_vec();
    let ciphertext = XChaCha20Poly1305::new(key.into())
        .encrypt(&nonce, Payload { msg: clear, aad: bound_to })
        .expect("a value in memory is shorter than the cipher's bound of 256 GiB");
    sealed.extend(ciphertext);
    sealed
}

/// Decrypts what [`seal_bytes`] made; `None` if it was made with another key, bound to something else, or changed.
pub(crate) fn open_bytes(key: &Key, sealed: &[u8], bound_to: &[u8]) -> Option<Vec<u8>> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE)?;
    let nonce: [u8; NONCE] = nonce.try_into().ok()?;
    XChaCha20Poly1305::new(key.into()).decrypt(&nonce.into(), Payload { msg: ciphertext, aad: bound_to }).ok()
}

/// The keys needed to read some rows. A subject without a key here reads as erased.
#[derive(Default)]
pub(crate) struct KeyRing(HashMap<Uuid, Key>);

impl KeyRing {
    #[cfg(test)]
    pub(crate) fn of(keys: impl IntoIterator<Item = (Uuid, Key)>) -> Self {
        Self(keys.into_iter().collect())
    }

    pub(crate) fn get(&self, subject: Uuid) -> Option<&Key> {
        self.0.get(&subject)
    }
}

/// Keys made inside a transaction that is not committed yet. They are kept for others only after its commit.
#[derive(Default)]
pub(crate) struct FreshKeys(Vec<(Uuid, Key)>);

/// The subjects' keys: unwrapped, cached for seconds, made when first needed.
pub(crate) struct SubjectKeys {
    wrapping: Key,
    cache: Mutex<HashMap<Uuid, Cached>>,
}

#[derive(Clone, Copy)]
struct Cached {
    /// Without a key: it was destroyed, which is for ever.
    key: Option<Key>,
    until: Instant,
}

impl SubjectKeys {
    pub(crate) fn new(master: &MasterKey) -> Self {
        Self { wrapping: master.derive(b"allegiant/subject-key/v1"), cache: Mutex::default() }
    }

    /// The keys of `subjects` that exist.
    pub(crate) async fn ring(
        &self,
        connection: &mut PgConnection,
        subjects: impl IntoIterator<Item = Uuid>,
    ) -> Result<KeyRing, StoreError> {
        let mut ring = KeyRing::default();
        let mut unknown = Vec::new();
        for subject in subjects {
            match self.cached(subject) {
                Some(Some(key)) => _ = ring.0.insert(subject, key),
                Some(None) => (),
                None => unknown.push(subject),
            }
        }
        if unknown.is_empty() {
            return Ok(ring);
        }
        unknown.sort_unstable();
        unknown.dedup();
        let rows = sqlx::query("SELECT subject, wrapped FROM es.subject_keys WHERE subject = ANY ($1)")
            .bind(&unknown)
            .fetch_all(connection)
            .await?;
        for row in rows {
            let subject: Uuid = row.try_get("subject")?;
            let wrapped: Option<Vec<u8>> = row.try_get("wrapped")?;
            let key = wrapped.map(|wrapped| self.unwrap(subject, &wrapped)).transpose()?;
            if let Some(key) = self.remember(subject, key) {
                ring.0.insert(subject, key);
            }
        }
        Ok(ring)
    }

    /// The key to seal new values of `subject` with, made if there is none yet; `None` if it was destroyed.
    pub(crate) async fn for_sealing(
        &self,
        connection: &mut PgConnection,
        subject: Uuid,
        fresh: &mut FreshKeys,
    ) -> Result<Option<Key>, StoreError> {
        if let Some((_, key)) = fresh.0.iter().find(|(known, _)| *known == subject) {
            return Ok(Some(*key));
        }
        if let Some(cached) = self.cached(subject) {
            return Ok(cached);
        }
        if let Some(key) = self.ring(connection, [subject]).await?.get(subject) {
            return Ok(Some(*key));
        }
        if let Some(None) = self.cached(subject) {
            return Ok(None);
        }
        let key = Key::generate();
        let wrapped = seal_bytes(&self.wrapping, &key, subject.as_bytes());
        sqlx::query("INSERT INTO es.subject_keys (subject, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(subject)
            .bind(wrapped)
            .execute(&mut *connection)
            .await?;
        // Somebody else's key may have come first; a statement of its own sees it.
        let wrapped: Option<Vec<u8>> = sqlx::query_scalar("SELECT wrapped FROM es.subject_keys WHERE subject = $1")
            .bind(subject)
            .fetch_one(connection)
            .await?;
        let Some(wrapped) = wrapped else {
            return Ok(self.remember(subject, None));
        };
        let key = self.unwrap(subject, &wrapped)?;
        fresh.0.push((subject, key));
        Ok(Some(key))
    }

    /// The transaction that made these keys is committed.
    pub(crate) fn committed(&self, fresh: FreshKeys) {
        for (subject, key) in fresh.0 {
            self.remember(subject, Some(key));
        }
    }

    /// The key of `subject` was destroyed.
    pub(crate) fn destroyed(&self, subject: Uuid) {
        self.remember(subject, None);
    }

    fn unwrap(&self, subject: Uuid, wrapped: &[u8]) -> Result<Key, StoreError> {
        open_bytes(&self.wrapping, wrapped, subject.as_bytes())
            .and_then(|key| key.try_into().ok())
            .ok_or(StoreError::Key(subject))
    }

    fn cached(&self, subject: Uuid) -> Option<Option<Key>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(&subject).filter(|cached| Instant::now() < cached.until).map(|cached| cached.key)
    }

    /// Keeps what was read, and says what holds: a key that was read before its destruction does not come back.
    fn remember(&self, subject: Uuid, key: Option<Key>) -> Option<Key> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if cache.get(&subject).is_some_and(|cached| cached.key.is_none() && now < cached.until) {
            return None;
        }
        if cache.len() >= CACHED_AT_MOST {
            cache.retain(|_, cached| now < cached.until);
            if cache.len() >= CACHED_AT_MOST {
                cache.clear();
            }
        }
        cache.insert(subject, Cached { key, until: now + CACHED_FOR });
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_with_its_key_and_in_its_place() {
        let (key, other) = (Key::generate(), Key::generate());
        let sealed = seal_bytes(&key, b"Ana", b"here");
        assert_eq!(open_bytes(&key, &sealed, b"here"), Some(b"Ana".to_vec()));
        assert_eq!(open_bytes(&other, &sealed, b"here"), None);
        assert_eq!(open_bytes(&key, &sealed, b"there"), None);
        let mut changed = sealed.clone();
        changed[NONCE] ^= 1;
        assert_eq!(open_bytes(&key, &changed, b"here"), None);
        assert_eq!(open_bytes(&key, &sealed[..10], b"here"), None);
    }

    #[test]
    fn a_master_key_is_32_bytes_and_shows_none_of_them() {
        let text = STANDARD.encode([7; 32]);
        let key = MasterKey::from_base64(&format!(" {text}\n")).unwrap();
        assert_eq!(format!("{key:?}"), "MasterKey");
        assert_ne!(key.derive(b"a"), key.derive(b"b"));
        assert_eq!(MasterKey::from_base64("c2hvcnQ=").unwrap_err(), InvalidMasterKey);
        assert_eq!(MasterKey::from_base64("!").unwrap_err(), InvalidMasterKey);
    }

    #[tokio::test]
    async fn a_destroyed_key_does_not_come_back_from_a_read_that_began_before() {
        let keys = SubjectKeys::new(&MasterKey::from_bytes([1; 32]));
        let subject = Uuid::now_v7();
        keys.destroyed(subject);
        assert_eq!(keys.remember(subject, Some([2; 32])), None);
        assert_eq!(keys.cached(subject), Some(None));
    }
}
