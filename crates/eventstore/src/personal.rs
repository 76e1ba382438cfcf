//! Personal values at rest: sealed with a key per data subject, which is itself wrapped by the master key.
//!
//! In an event's JSON `{"$personal": v}` becomes `{"$sealed": "<base64 of nonce and ciphertext>"}` (XChaCha20-Poly1305,
//! bound to stream, sequence and subject, so that no value can be moved to another event). Destroying a subject's key
//! leaves history and hash chain as they are; its values then read `{"$erased": true}`. JSON that people enter may hold
//! objects that look like ours: those are kept apart inside `{"$literal": …}`.

mod keys;
mod seal;

pub(crate) use keys::{FreshKeys, Key, KeyRing, SubjectKeys, open_bytes, seal_bytes};
pub use keys::{InvalidMasterKey, MasterKey};
pub use seal::reveal;
pub(crate) use seal::{Place, has_clear_marker, has_stored_marker, open, seal};
