//! The clients: accounts, each with several hands that write and read at the same time.

pub(crate) mod account;
pub(crate) mod caller;
mod command;
mod hand;
mod look;

pub(crate) use hand::{Hand, Shared};
