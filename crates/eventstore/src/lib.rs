//! The one writer and the one reader of events.
//!
//! ```text
//! execute ─► load (snapshot + tail) ─► decide ─► append, one statement ─► sequencer ─► ledger ─► ledger(), audit(), export()
//! ```
//!
//! - [`Store::execute`] carries out a command: it decides on loaded aggregates and appends to one or several streams,
//!   all or nothing, once per command id.
//! - The sequencer gives every event a gapless position and a place in the hash chain. [`Store::ledger`] reads in that
//!   order; [`Store::verify_chain`] computes the chain again.
//! - Personal values are sealed before they are written and opened in one place, whoever loads: see [`personal`].

mod append;
mod audit;
pub mod chain;
mod database;
mod decode;
mod epoch;
mod erasures;
mod error;
pub mod evidence;
mod execute;
pub mod failpoint;
mod keyed;
mod ledger;
pub mod personal;
mod queue;
mod receipt;
mod sequencer;
mod session;
mod signals;
mod signing;
mod snapshot;
mod store;
mod stored;

pub use append::AFTER_DEADLINE;
pub use audit::{AuditPage, AuditQuery, AuditedEvent, Stray};
pub use chain::{ChainVerdict, ExportedEvent};
pub use database::{MIGRATOR, MigrateError, Settings, begin, connect, grant_server_role, migrate, migrations_current};
pub use decode::{DecodeError, EVENT_COLUMNS, StoredEvent, schema_version};
pub use epoch::{Beside, EpochError};
pub use erasures::{AlsoErase, ErasureList, ErasureListError, Reconciled};
pub use error::StoreError;
pub use execute::{CommandContext, Committed, ExecuteError};
pub use ledger::LedgerRow;
pub use personal::MasterKey;
pub use receipt::Receipt;
pub use session::{Claim, Reading, Session};
pub use signals::Signals;
pub use signing::{InvalidPublicKey, InvalidSigningKey, PublicKey, Signature, SigningKey};
pub use store::{OpenError, Store};
pub use stored::Stored;
