//! Relay, consumer, sweep and generation process on a real PostgreSQL and a real NATS server, with a provider of a
//! language model on this machine.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does: by a panic")]

mod begin;
mod lease;
mod process;
mod provider;
mod relay;
mod retention;
mod trouble;
mod world;
