//! The history checker: many clients write through two instances of the real server while everything around it is
//! disturbed, read back what they wrote, and afterwards the whole store is compared with what they were told.
//!
//! ```text
//! hands ─► commands, each with a tag ─► two servers, one database ─► what was told: History
//!                                        ▲ disturbances                        │
//! Trail: events, ledger, receipts, read models ◄── afterwards ── assertions ◄──┘
//! ```
//!
//! - [`assertions`] says what must hold of any store and of any history, whoever made them: the kill matrix uses it too.
//! - [`run`] makes a history under load. Everything random in it derives from one seed.
//! - [`kill`] kills one part of the system in the middle of such a load: a cell of the kill matrix.
//!
//! A command's tag is its `X-Correlation-Id`, which the server stores with each of its events, and also the value that it
//! writes. So a read tells which command it shows, and an event tells which command it belongs to.

pub mod assertions;
mod disturbance;
pub mod history;
pub mod kill;
mod load;
mod models;
pub mod run;
pub mod trail;
pub mod violation;
mod watch;

pub use watch::Watched;
