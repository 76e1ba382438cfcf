//! A database with the settings of servers on it.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use base64::Engine as _;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::TestDatabase;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::process::read_all;
use crate::server::{Server, Settings, spawn};
use crate::{binary, word};

/// How many sites of the shared servers there are at a time: more would only slow each other down.
static PLACES: Semaphore = Semaphore::const_new(6);
/// How long an answer may take while a server that it could do without is away.
pub const AWAY_COSTS_AT_MOST: Duration = Duration::from_secs(2);

/// A migrated database with the settings of its servers.
pub struct Site {
    binary: PathBuf,
    settings: Settings,
    /// As superuser.
    pub pool: PgPool,
    /// None if the database goes with a cluster of its own.
    shared: Option<(TestDatabase, SemaphorePermit<'static>)>,
}

impl Site {
    /// A new one, on the servers of the test run.
    pub async fn new() -> Self {
        Self::on(testkit::database).await
    }

    /// A new one whose database has nothing in it.
    pub async fn empty() -> Self {
        Self::on(testkit::empty_database).await
    }

    async fn on(database: impl AsyncFnOnce() -> TestDatabase) -> Self {
        let place = PLACES.acquire().await.unwrap();
        let database = database().await;
        let mut site = Self::at(&database.url, binary::allegiant()).with("NATS_URL", testkit::nats_url());
        site.set("REDIS_URL", testkit::redis_url());
        site.shared = Some((database, place));
        site
    }

    /// A new one in a cluster of its own, migrated by this binary. It uses neither NATS nor Redis until it is told where
    /// they are, with [`Site::set`]: their addresses lead to nobody.
    pub async fn in_cluster(cluster: &Cluster, binary: PathBuf) -> Self {
        let site = Self::at(&cluster.create_database(&word("site")).await, binary);
        let migrated = site.run(&["migrate"]).await;
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        site
    }

    fn at(database_url: &str, binary: PathBuf) -> Self {
        let settings = Settings::from([
            ("DATABASE_URL", database_url.to_owned()),
            ("DATABASE_CONNECTIONS", "6".to_owned()),
            ("NATS_URL", "nats://allegiant:x@127.0.0.1:1".to_owned()),
            ("REDIS_URL", "redis://default:x@127.0.0.1:1".to_owned()),
            ("MASTER_KEY", random_key()),
            ("SIGNING_KEY", random_key()),
            ("ERASURE_LIST_FILE", std::env::temp_dir().join(word("allegiant-erasures-")).display().to_string()),
            ("PORT", "0".to_owned()),
            ("ENVIRONMENT", "development".to_owned()),
            ("RATE_LIMITS", "off".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("RUST_BACKTRACE", "1".to_owned()),
        ]);
        let pool = PgPoolOptions::new().max_connections(2).connect_lazy(database_url).unwrap();
        Self { binary, settings, pool, shared: None }
    }

    /// The same with another build of the binary.
    #[must_use]
    pub fn with_binary(mut self, binary: PathBuf) -> Self {
        self.binary = binary;
        self
    }

    /// The same with another setting.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// Changes a setting of servers that are started from now on.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.insert(name, value.into());
    }

    /// Takes a setting away.
    pub fn unset(&mut self, name: &'static str) {
        self.settings.remove(name);
    }

    /// The same site for one more instance, which listens on this port. Its database goes with this one.
    #[must_use]
    pub fn on_port(&self, port: u16) -> Self {
        let mut other = Self {
            binary: self.binary.clone(),
            settings: self.settings.clone(),
            pool: self.pool.clone(),
            shared: None,
        };
        other.set("PORT", port.to_string());
        other
    }

    /// The value of a setting.
    pub fn setting(&self, name: &str) -> &str {
        &self.settings[name]
    }

    /// Starts a server and waits until it listens.
    pub async fn start(&self) -> Server {
        Server::start_with(&self.binary, &self.settings).await
    }

    /// Runs a command that ends by itself.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut child = spawn(&self.binary, &self.settings, arguments);
        let (stdout, stderr) = (read_all(child.0.stdout.take().unwrap()), read_all(child.0.stderr.take().unwrap()));
        let status = child.ended().await;
        Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
    }

    /// Runs `serve` with settings that it refuses; returns what it said.
    pub async fn refused(&self) -> String {
        let output = self.run(&["serve"]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "the server ended as if all were well:\n{said}");
        assert!(output.stdout.is_empty(), "it listened before it refused to start");
        said
    }

    /// The name of the stream on the bus.
    pub async fn bus_name(&self) -> String {
        let (id, epoch): (Uuid, i32) =
            sqlx::query_as("SELECT store_id, epoch FROM es.store").fetch_one(&self.pool).await.unwrap();
        format!("allegiant-{}-{epoch}", id.simple())
    }

    /// Counts rows.
    pub async fn count(&self, from: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {from}");
        sqlx::query_scalar(&query).fetch_one(&self.pool).await.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Removes the stream on the shared bus and the database.
    pub async fn close(self) {
        if self.shared.is_some() {
            let jetstream = async_nats::jetstream::new(testkit::nats().await);
            // There is none if the servers used another bus.
            let _ = jetstream.delete_stream(self.bus_name().await).await;
        }
        self.close_without_store().await;
    }

    /// Removes the database, in which there was never a store.
    pub async fn close_without_store(self) {
        self.pool.close().await;
        if let Some((database, _place)) = self.shared {
            database.close().await;
        }
    }
}

/// 32 random bytes in base64.
pub fn random_key() -> String {
    let (first, second) = (Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes());
    base64::engine::general_purpose::STANDARD.encode([first, second].concat())
}
