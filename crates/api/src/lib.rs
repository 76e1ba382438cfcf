//! The HTTP interface: every route of the contract that exists so far, and what is the same for all of them.
//!
//! ```text
//! serve ─► Front (ids, CORS, time, problems, log) ─► router ─► Call: who, how often, what ─► handler ─► Answer or Problem
//! ```
//!
//! A handler takes a [`call::Call`] with an [`call::Input`] of its own, gives a command to [`App::write`] or asks
//! [`App::views`], and returns an [`answer::Answer`] or a [`problem::Problem`].

pub mod answer;
mod app;
mod audit;
mod auth;
pub mod call;
mod command;
mod config;
mod cursor;
mod data;
pub mod etag;
pub mod fields;
mod front;
mod health;
mod jobs;
mod kept;
pub mod limits;
mod openapi;
mod precondition;
pub mod problem;
mod projects;
mod proposals;
pub mod request;
mod router;
mod serve;
mod service;
mod timeline;

pub use app::{Advice, App, Metrics, ModelState, Parts, Probe, in_time};
pub use command::Refusal;
pub use config::{ApiConfig, NotAnAddress, PublicUrl};
pub use front::Front;
pub use limits::{InvalidAddress, Limiter};
pub use serve::serve;
