//! The real binary, from outside: its HTTP interface, its command line, its servers, and its sudden end.
//!
//! Every test has a database and server processes of its own. Nothing is waited for longer than a stated limit, and only
//! processes that a test started are ended.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod bad_input;
mod command_line;
mod compose;
mod kills;
mod main_job;
mod model_calls;
mod projections;
mod real_input;
mod restore;
mod rules;
mod secrets;
mod servers_away;
mod shutdown;
