//! Ed25519 signatures (RFC 8032), by which evidence can be told from what the database's owner might have written.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};

/// The key from outside the database that signs checkpoints, and what else must not come from the database's owner.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// The text is not a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing key is 32 bytes in base64")]
pub struct InvalidSigningKey;

/// The text or the bytes are not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 32 bytes in base64 that Ed25519 knows")]
pub struct InvalidPublicKey;

/// A signature: 64 bytes.
pub type Signature = [u8; 64];

impl SigningKey {
    /// The key with this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Reads the 32 bytes of a seed in standard base64, white space around them ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidSigningKey`] if it is something else.
    pub fn from_base64(text: &str) -> Result<Self, InvalidSigningKey> {
        let seed = STANDARD.decode(text.trim()).map_err(|_| InvalidSigningKey)?;
        Ok(Self::from_seed(seed.as_slice().try_into().map_err(|_| InvalidSigningKey)?))
    }

    /// What others verify this key's signatures with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The name of the pair: see [`PublicKey::key_id`].
    #[must_use]
    pub fn key_id(&self) -> String {
        self.public_key().key_id()
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// The half of a signing key that everybody may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// Reads 32 bytes in standard base64, white space around them ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidPublicKey`] if it is something else.
    pub fn from_base64(text: &str) -> Result<Self, InvalidPublicKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| InvalidPublicKey)?;
        Self::from_bytes(bytes.as_slice().try_into().map_err(|_| InvalidPublicKey)?)
    }

    /// The key with these bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidPublicKey`] if they are no point of the curve, or one with which anybody can sign.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidPublicKey> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| InvalidPublicKey)?;
        if key.is_weak() { Err(InvalidPublicKey) } else { Ok(Self(key)) }
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key in standard base64.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.as_bytes())
    }

    /// The key's name: the first eight bytes of its SHA-256, in hexadecimal digits.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(&Sha256::digest(self.as_bytes())[..8])
    }

    /// Whether this key's owner signed the message.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// RFC 8032, section 7.1, test 3.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let key = SigningKey::from_seed(&bytes("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"));
        let public = bytes("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
        assert_eq!(key.public_key().as_bytes(), &public);
        let signature = key.sign(&bytes::<2>("af82"));
        let expected = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                        18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
        assert_eq!(hex::encode(signature), expected);
        assert!(key.public_key().verify(&[0xaf, 0x82], &signature));
    }

    #[test]
    fn another_message_another_signature_or_another_key_does_not_verify() {
        let key = SigningKey::from_seed(&[1; 32]);
        let signature = key.sign(b"checkpoint");
        assert!(!key.public_key().verify(b"checkpoinT", &signature));
        for at in [0, 31, 32, 63] {
            let mut changed = signature;
            changed[at] ^= 1;
            assert!(!key.public_key().verify(b"checkpoint", &changed), "byte {at}");
        }
        assert!(!SigningKey::from_seed(&[2; 32]).public_key().verify(b"checkpoint", &signature));
    }

    #[test]
    fn keys_are_32_bytes_in_base64_and_the_secret_one_is_never_shown() {
        let key = SigningKey::from_base64(" AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n").unwrap();
        assert_eq!(key.public_key(), SigningKey::from_seed(&[1; 32]).public_key());
        assert_eq!(format!("{key:?}"), "SigningKey");
        let public = key.public_key();
        assert_eq!(PublicKey::from_base64(&public.to_base64()), Ok(public.clone()));
        assert_eq!((key.key_id().len(), key.key_id()), (16, public.key_id()));
        for not in ["", "AQEB", "not base64", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"] {
            assert!(SigningKey::from_base64(not).is_err() && PublicKey::from_base64(not).is_err(), "{not}");
        }
        // The neutral element: any signature of a certain form would verify with it.
        let mut weak = [0; 32];
        weak[0] = 1;
        assert_eq!(PublicKey::from_bytes(&weak), Err(InvalidPublicKey));
    }
}
