//! The store on a real PostgreSQL: what it promises, and what tries to break it.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does: by a panic")]

mod append;
mod append_only;
mod audit;
mod chain;
mod claims;
mod concurrency;
mod connection_loss;
mod contract;
mod epochs;
mod erasures;
mod evidence;
mod interop;
mod migrations;
mod personal;
mod sequencer;
mod snapshots;
mod support;
