//! The keys of this crate, each derived from the master key for one purpose.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

const KEY_BYTES: usize = 32;
/// XChaCha20-Poly1305: long enough to be drawn at random without counting.
const NONCE_BYTES: usize = 24;

/// All keys of this crate. Its `Debug` output shows none of them.
#[derive(Clone)]
pub struct Secrets {
    /// Signs access tokens.
    pub tokens: TokenKeys,
    /// Turns addresses into what is stored of them.
    pub emails: EmailKeys,
    /// Seals what is kept about a session's client.
    pub seals: SealKeys,
}

impl Secrets {
    /// Derives the keys from the master key: HKDF-SHA-256 (RFC 5869) without salt, one `info` for each purpose.
    /// Another master key gives other keys: no token is ours and no address is found any more.
    #[must_use]
    pub fn derive(master: &[u8; KEY_BYTES]) -> Self {
        let extracted = Hkdf::<Sha256>::new(None, master);
        let key = |info: &str| {
            let mut key = [0; KEY_BYTES];
            extracted.expand(info.as_bytes(), &mut key).expect("HKDF-SHA-256 gives up to 8160 bytes");
            key
        };
        Self {
            tokens: TokenKeys(key("allegiant identity: access tokens, version 1")),
            emails: EmailKeys(key("allegiant identity: e-mail addresses, version 1")),
            seals: SealKeys(key("allegiant identity: session clients, version 1")),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// The key that signs access tokens.
#[derive(Clone)]
pub struct TokenKeys([u8; KEY_BYTES]);

impl TokenKeys {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeys(…)")
    }
}

/// The key under which addresses are hashed.
#[derive(Clone)]
pub struct EmailKeys([u8; KEY_BYTES]);

impl EmailKeys {
    /// What is stored of an address: HMAC-SHA-256 over it in lower case, so that `Ana@Example.com` and
    /// `ana@example.com` are one account, and nobody without the key can try addresses against a stolen table.
    #[must_use]
    pub fn key(&self, email: &str) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(email.to_lowercase().as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for EmailKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailKeys(…)")
    }
}

/// The key under which small personal values are sealed, with XChaCha20-Poly1305.
#[derive(Clone)]
pub struct SealKeys([u8; KEY_BYTES]);

impl SealKeys {
    /// Seals `plain` so that it can only be opened with the same `context`, such as the row it belongs to.
    pub(crate) fn seal(&self, plain: &[u8], context: &[u8]) -> Vec<u8> {
        let nonce = rand::random::<[u8; NONCE_BYTES]>();
        let sealed = XChaCha20Poly1305::new(&self.0.into())
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: context })
            .expect("only messages beyond 256 GiB are refused");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`Self::seal`] gave; `None` if it was changed, moved to another context or sealed with another key.
    pub(crate) fn open(&self, sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        XChaCha20Poly1305::new(&self.0.into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: context })
            .ok()
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_has_its_own_key_and_each_master_key_its_own_set() {
        let (first, second) = (Secrets::derive(&[1; 32]), Secrets::derive(&[2; 32]));
        assert_eq!(first.tokens.0, Secrets::derive(&[1; 32]).tokens.0);
        let all = [&first, &second].map(|s| [s.tokens.0, s.emails.0, s.seals.0]).concat();
        for (at, key) in all.iter().enumerate() {
            assert!(!all[..at].contains(key));
        }
    }

    /// The derivation is stored data's key: if this changes, nobody can sign in any more.
    #[test]
    fn the_derivation_stays_as_it_is() {
        // Computed with Python's hmac module from RFC 5869 and RFC 2104.
        let expected = "f22ba3b9ed43a50a702bdd1b516340f2a4f44288c7fbed19314f381cffc594f4";
        let key = Secrets::derive(&[7; 32]).emails.key("Ana.Torres@example.com");
        assert_eq!(key.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
    }

    #[test]
    fn addresses_are_compared_without_case() {
        let emails = Secrets::derive(&[1; 32]).emails;
        assert_eq!(emails.key("Ana.Torres@Example.com"), emails.key("ana.torres@example.COM"));
        assert_eq!(emails.key("JOSÉ@example.com"), emails.key("josé@example.com"));
        assert_ne!(emails.key("ana@example.com"), emails.key("ana@example.org"));
        assert_ne!(emails.key("ana@example.com"), Secrets::derive(&[2; 32]).emails.key("ana@example.com"));
    }

    #[test]
    fn a_seal_opens_only_unchanged_in_its_context_and_with_its_key() {
        let seals = Secrets::derive(&[1; 32]).seals;
        let sealed = seals.seal(b"192.0.2.7", b"session 1");
        assert_eq!(seals.open(&sealed, b"session 1").as_deref(), Some(b"192.0.2.7".as_slice()));
        assert_ne!(sealed, seals.seal(b"192.0.2.7", b"session 1"));
        assert_eq!(seals.open(&sealed, b"session 2"), None);
        assert_eq!(Secrets::derive(&[2; 32]).seals.open(&sealed, b"session 1"), None);
        assert_eq!(seals.open(&sealed[..10], b"session 1"), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seals.open(&changed, b"session 1"), None, "byte {at}");
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        let secrets = Secrets::derive(&[1; 32]);
        assert_eq!(format!("{secrets:?}"), "Secrets(…)");
        assert_eq!(
            format!("{:?} {:?} {:?}", secrets.tokens, secrets.emails, secrets.seals),
            "TokenKeys(…) EmailKeys(…) SealKeys(…)"
        );
    }
}
