//! What the tests of the other crates stand on: a migrated database of their own, the addresses of the real servers, and
//! a bounded wait.
//!
//! The servers are those that `./dev test` starts for one run, or that `./dev up --test` keeps running.

mod database;
mod template;
mod wait;

pub use database::{TestDatabase, database, empty_database};
pub use wait::wait_until;

/// The address of the NATS server of this test run, `nats://USER:PASSWORD@HOST:PORT`. It is shared: name streams and
/// subjects with [`unique`].
///
/// `async_nats::connect` passes over the user and password of an address (0.51), so code that is given one must hand them
/// on itself, and a test takes [`nats`].
///
/// # Panics
///
/// If no test server is running.
#[must_use]
pub fn nats_url() -> String {
    address("TEST_NATS_URL")
}

/// A connection to the NATS server of this test run.
///
/// # Panics
///
/// If no test server is running.
pub async fn nats() -> async_nats::Client {
    let server: async_nats::ServerAddr = nats_url().parse().expect("TEST_NATS_URL is a NATS address");
    let options = match (server.username(), server.password()) {
        (Some(user), Some(password)) => {
            async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        (None, _) | (_, None) => async_nats::ConnectOptions::new(),
    };
    options.connect(server).await.expect("the test run's NATS server answers")
}

/// The address of the Redis server of this test run. It is shared: begin every key with [`unique`].
///
/// # Panics
///
/// If no test server is running.
#[must_use]
pub fn redis_url() -> String {
    address("TEST_REDIS_URL")
}

/// A name that no other test uses: `prefix`, an underscore and 32 hexadecimal digits.
#[must_use]
pub fn unique(prefix: &str) -> String {
    format!("{prefix}_{}", uuid::Uuid::new_v4().simple())
}

/// Whether tests that compare a committed file with what the code makes of it shall write the file anew instead: set by
/// `./dev write-docs`.
#[must_use]
pub fn writes_generated_files() -> bool {
    std::env::var_os("WRITE_GENERATED_FILES").is_some()
}

#[expect(clippy::disallowed_methods, reason = "the addresses of test servers are no settings of the system")]
fn address(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run `./dev test`, or `eval \"$(./dev up --test)\"` first"))
}
