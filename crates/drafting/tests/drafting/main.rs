//! The drafting from outside: step by step, without a model and against a provider on this machine.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod model;
mod offline;
mod support;
