//! What the tests stand on.

pub mod chain;
pub mod client;
pub mod gate;
pub mod jobs;
pub mod model;
pub mod nats;
pub mod rules;
pub mod sheets;
pub mod site;

use std::time::Duration;

/// How long anything may take that takes moments on an idle machine. Tests share two cores with each other.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A word of letters alone that stands nowhere else, so that finding it means something.
pub fn word(prefix: &str) -> String {
    let letters = uuid::Uuid::new_v4().simple().to_string();
    let letters =
        letters.bytes().map(|digit| char::from(if digit.is_ascii_digit() { digit - b'0' + b'g' } else { digit }));
    format!("{prefix}{}", letters.collect::<String>())
}

/// A port of the loopback address on which nobody listens.
pub async fn free_port() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}
