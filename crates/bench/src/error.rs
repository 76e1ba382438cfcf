//! Why a measurement could not be made.

use std::error::Error as _;
use std::io;
use std::process::ExitStatus;

use http::StatusCode;

/// A measurement could not be made. A request that fails under load is no such thing: it is counted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be started, watched or stopped.
    #[error("{0} could not be {1}")]
    Program(&'static str, &'static str, #[source] io::Error),
    /// It ended by itself.
    #[error("`allegiant {0}` ended with {1}")]
    Ended(&'static str, ExitStatus),
    /// Something did not happen in time.
    #[error("{what} took longer than {seconds} s")]
    TooLong {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// No connection, or one that broke.
    #[error("the connection to the server failed")]
    Connection(#[source] io::Error),
    /// The conversation broke.
    #[error("the server could not be talked to over HTTP")]
    Http(#[from] hyper::Error),
    /// Preparing the load, a request was refused.
    #[error("{what} was answered with {status} {code}")]
    Refused {
        /// Method and path.
        what: String,
        /// The status.
        status: StatusCode,
        /// The problem's code, or nothing.
        code: String,
    },
    /// An answer lacks what the contract promises.
    #[error("the answer to {0} lacks {1}")]
    Lacks(String, &'static str),
    /// A generation ended otherwise than with a proposal.
    #[error("a generation ended as {0}")]
    Generation(String),
    /// The account could not be given as many projects as were asked for.
    #[error("the account could not be filled: {0}")]
    Fill(String),
    /// PostgreSQL, or the way to it.
    #[error("PostgreSQL refused")]
    Database(#[from] sqlx::Error),
    /// The database of a row could not be prepared.
    #[error("the database could not be migrated")]
    Migration(#[from] eventstore::MigrateError),
    /// The store could not be opened.
    #[error("the store could not be opened")]
    Open(#[from] eventstore::OpenError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] eventstore::StoreError),
    /// A read model could not be read.
    #[error("a read model could not be read")]
    View(#[from] projections::ViewError),
    /// A read model could not be rebuilt.
    #[error("a read model could not be rebuilt")]
    Rebuild(#[from] projections::RebuildError),
    /// A command failed under load.
    #[error("a command failed")]
    Command(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// pgbench did not end well.
    #[error("pgbench failed: {0}")]
    Pgbench(String),
    /// The chain that was measured is broken.
    #[error("the hash chain does not verify")]
    Chain,
    /// An event that was measured cannot be read.
    #[error("an event of the ledger cannot be read")]
    Unreadable,
    /// A fact about the machine or a result could not be read or written.
    #[error("{0}")]
    File(&'static str, #[source] io::Error),
    /// Somebody ended the measurement.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// A command that failed under load.
    pub fn command(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Command(Box::new(error))
    }

    /// The error and what caused it, on one line.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
