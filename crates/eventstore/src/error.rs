//! What can go wrong in the store itself, as opposed to a refusal.

use std::sync::Arc;

use crate::{DecodeError, ErasureListError};

/// The store failed. Cheap to clone, so that a failed load can end an attempt whatever the operation makes of it.
///
/// No message holds stored values: they may be personal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// PostgreSQL, or the way to it.
    #[error("the database failed")]
    Database(#[source] Arc<sqlx::Error>),
    /// An event that this code cannot read.
    #[error("event {sequence} of {stream} cannot be read")]
    Decode {
        /// The stream, as `type/id`.
        stream: String,
        /// The event's number in it.
        sequence: i64,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// An event or state that cannot be written as JSON.
    #[error("an event cannot be written as json")]
    Encode,
    /// A subject's key, or a snapshot, was not sealed by this master key, or was damaged.
    #[error("the key of subject {0} cannot be unwrapped")]
    Key(uuid::Uuid),
    /// A receipt of this command id exists: it was carried out before.
    #[error("the command was carried out before")]
    AlreadyDone,
    /// The list of erasures outside the database.
    #[error("an erasure is not on record outside the database")]
    Erasures(#[source] Arc<ErasureListError>),
    /// The code that decided a command panicked; nothing was written.
    #[error("the command's decision panicked")]
    Panicked,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}
