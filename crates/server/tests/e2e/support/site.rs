//! A database, the settings of servers on it, and the servers themselves.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{self, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::TestDatabase;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use uuid::Uuid;

use super::PATIENCE;

const BINARY: &str = env!("CARGO_BIN_EXE_allegiant");
/// How many sites there are at a time: more would only slow each other down.
static PLACES: Semaphore = Semaphore::const_new(6);
/// How long an answer may take while a server that it could do without is away.
pub const AWAY_COSTS_AT_MOST: Duration = Duration::from_secs(2);
/// How many lines of a server's output are kept.
const MOST_LINES: usize = 200_000;

/// A migrated database with the settings of its servers.
pub struct Site {
    settings: BTreeMap<&'static str, String>,
    /// As superuser.
    pub pool: PgPool,
    database: TestDatabase,
    _place: SemaphorePermit<'static>,
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
        let pool = PgPoolOptions::new().max_connections(2).connect_lazy(&database.url).unwrap();
        let settings = BTreeMap::from([
            ("DATABASE_URL", database.url.clone()),
            ("DATABASE_CONNECTIONS", "6".to_owned()),
            ("NATS_URL", testkit::nats_url()),
            ("REDIS_URL", testkit::redis_url()),
            ("MASTER_KEY", random_key()),
            ("PORT", "0".to_owned()),
            ("ENVIRONMENT", "development".to_owned()),
            ("RATE_LIMITS", "off".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("RUST_BACKTRACE", "1".to_owned()),
        ]);
        Self { settings, pool, database, _place: place }
    }

    /// The same with another setting.
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

    /// The value of a setting.
    pub fn setting(&self, name: &str) -> &str {
        &self.settings[name]
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(BINARY);
        command.args(arguments).env_clear().envs(&self.settings).stdin(Stdio::null());
        Child(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary can be started"))
    }

    /// Starts a server and waits until it listens.
    pub async fn start(&self) -> Server {
        let mut child = self.spawn(&["serve"]);
        let log = Arc::new(Mutex::new(Vec::new()));
        let (listening, first_line) = tokio::sync::oneshot::channel();
        keep_lines(child.0.stdout.take().unwrap(), Arc::clone(&log), Some(listening));
        keep_lines(child.0.stderr.take().unwrap(), Arc::clone(&log), None);
        let Ok(Ok(line)) = timeout(PATIENCE, first_line).await else {
            panic!("the server did not listen; it said:\n{}", log.lock().unwrap().join("\n"));
        };
        let announced: serde_json::Value =
            serde_json::from_str(&line).expect("the first line of standard output is JSON");
        let address = announced["listening"].as_str().expect("the first line says where the server listens").to_owned();
        Server { child, url: format!("http://{address}"), log }
    }

    /// Runs a command that ends by itself.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut child = self.spawn(arguments);
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
        let jetstream = async_nats::jetstream::new(testkit::nats().await);
        // There is none if the servers used another bus.
        let _ = jetstream.delete_stream(self.bus_name().await).await;
        self.close_without_store().await;
    }

    /// Removes the database, in which there was never a store.
    pub async fn close_without_store(self) {
        self.pool.close().await;
        self.database.close().await;
    }
}

/// 32 random bytes in base64.
pub fn random_key() -> String {
    let (first, second) = (Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes());
    base64::engine::general_purpose::STANDARD.encode([first, second].concat())
}

/// A process of ours, which ends with the test at the latest.
struct Child(process::Child);

impl Child {
    async fn ended(&mut self) -> ExitStatus {
        testkit::wait_until(PATIENCE, async || self.0.try_wait().unwrap()).await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running server.
pub struct Server {
    child: Child,
    /// Where it listens, without a slash at the end.
    pub url: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Ends it as a loss of power would.
    pub async fn kill(mut self) {
        self.child.0.kill().unwrap();
        let ended = self.child.ended().await;
        assert!(ended.code().is_none(), "the server had ended by itself before it was killed: {ended}");
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        let process = self.child.0.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &process]).status().unwrap();
        assert!(sent.success());
        self.child.ended().await
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_none()
    }

    /// Everything it has written until now, to standard output and to standard error.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.lock().unwrap();
            let told = log.iter().rev().filter(|line| !line.contains(r#""level":"DEBUG""#)).take(20);
            let told: Vec<String> = told.map(|line| line.chars().take(400).collect()).collect();
            eprintln!("the server at {} said last, the newest first:\n{}", self.url, told.join("\n"));
        }
    }
}

/// Keeps each line of an output as it comes, in a thread of its own; hands the first one on.
fn keep_lines(
    output: impl Read + Send + 'static,
    log: Arc<Mutex<Vec<String>>>,
    mut first: Option<tokio::sync::oneshot::Sender<String>>,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(first) = first.take() {
                let _ = first.send(line.clone());
            }
            let mut log = log.lock().unwrap();
            if log.len() < MOST_LINES {
                log.push(line);
            }
        }
    });
}

/// Reads an output to its end, in a thread of its own, so that its writer never waits.
fn read_all(mut output: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut read = Vec::new();
        output.read_to_end(&mut read).unwrap();
        read
    })
}
