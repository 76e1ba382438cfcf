//! The service in process, on real servers.

mod audit;
mod auth;
mod front;
mod limits;
mod serve;
mod support;
