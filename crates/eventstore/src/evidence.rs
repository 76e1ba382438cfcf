//! What proves to others that the ledger is what it was: the Merkle tree over the links of its chain, signed checkpoints
//! of the tree's root, proofs of inclusion, and the examination of all of it.
//!
//! The chain alone shows a change that did not rewrite everything after it. A checkpoint shows the rest, provided that a
//! copy of it is where the database's owner cannot change it. `docs/ledger.md` has the formats.

mod checkpoint;
mod file;
mod signer;
pub mod tree;

pub use checkpoint::{Checkpoint, NotACheckpoint, Statement};
pub use file::{CheckpointFile, FileError};
pub use signer::{Due, Signing, SigningError};
pub use tree::Hash;
