//! The real binary from outside, for tests: a database with the settings of servers on it, the servers as processes of
//! their own, and PostgreSQL, NATS and Redis that a test may stop and kill without disturbing others.
//!
//! Everything here fails as tests do, by a panic that says what it saw. Nothing is waited for longer than a stated limit,
//! and only processes that were started here are ended.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

pub mod backup;
pub mod binary;
pub mod chain;
pub mod client;
pub mod cluster;
pub mod gate;
pub mod jobs;
pub mod model;
pub mod nats;
pub mod process;
pub mod redis;
pub mod server;
pub mod sheets;
pub mod site;

/// How long anything may take that takes moments on an idle machine. Tests share two cores with each other.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The checkout that this crate is built from.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A word of letters alone that stands nowhere else, so that finding it means something.
#[must_use]
pub fn word(prefix: &str) -> String {
    let letters = uuid::Uuid::new_v4().simple().to_string();
    let letters =
        letters.bytes().map(|digit| char::from(if digit.is_ascii_digit() { digit - b'0' + b'g' } else { digit }));
    format!("{prefix}{}", letters.collect::<String>())
}

/// A port of the loopback address on which nobody listens. It is none of those that the kernel gives to clients, so that
/// a server that was ended finds it free again.
///
/// # Panics
///
/// If a hundred ports are taken.
pub async fn free_port() -> u16 {
    for _ in 0..100 {
        let [high, low] = [0, 1].map(|at| uuid::Uuid::new_v4().as_bytes()[at]);
        let port = 20_000 + u16::from_be_bytes([high, low]) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
    panic!("no free port was found");
}

/// Whether somebody listens on a port of the loopback address.
async fn listens(port: u16) -> bool {
    timeout(Duration::from_secs(1), TcpStream::connect(("127.0.0.1", port))).await.is_ok_and(|answer| answer.is_ok())
}
