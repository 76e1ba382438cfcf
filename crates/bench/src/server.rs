//! The server that is measured, as a child process.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use http::{Method, StatusCode, Uri};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Error;
use crate::client::{Connection, Target};

/// How long a start may take until the server is ready.
const START: Duration = Duration::from_secs(60);
/// How long migrating may take.
const MIGRATION: Duration = Duration::from_secs(120);
/// How long the server may take to stop in order.
const STOP: Duration = Duration::from_secs(30);
/// What it is called in errors.
const SERVER: &str = "the server's program";
/// How much of its log is shown after a failure, in bytes.
const LOG_TAIL: usize = 2 * 1024;

/// The servers that the measured one works with. All of it comes from the environment.
#[derive(Clone, Args)]
pub struct Parts {
    /// PostgreSQL, as the server's login
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// PostgreSQL, as the login that may make tables [default: DATABASE_URL]
    #[arg(long, value_name = "URL", env = "MIGRATION_DATABASE_URL", hide_env_values = true)]
    migration_database_url: Option<String>,
    /// NATS with JetStream
    #[arg(long, value_name = "URL", env = "NATS_URL", hide_env_values = true)]
    nats_url: String,
    /// Redis
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    redis_url: String,
    /// Key of the data in that database [default: a new one]
    #[arg(long, value_name = "KEY", env = "MASTER_KEY", hide_env_values = true)]
    master_key: Option<String>,
    /// File with that key
    #[arg(long, value_name = "FILE", env = "MASTER_KEY_FILE")]
    master_key_file: Option<String>,
}

impl Parts {
    /// The database as the login that may make tables.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if the address is none.
    pub fn database(&self) -> Result<PgConnectOptions, Error> {
        Ok(self.migration_url().parse()?)
    }

    fn migration_url(&self) -> &str {
        self.migration_database_url.as_deref().unwrap_or(&self.database_url)
    }

    /// A command with the settings of a measurement. What else the environment sets, such as `DATABASE_CONNECTIONS` or
    /// `LOG`, goes through, so that its effect can be measured.
    fn command(&self, program: &Path, subcommand: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg(subcommand)
            .env("DATABASE_URL", &self.database_url)
            .env("MIGRATION_DATABASE_URL", self.migration_url())
            .env("NATS_URL", &self.nats_url)
            .env("REDIS_URL", &self.redis_url)
            .env("HOST", "127.0.0.1")
            .env("PORT", "0")
            .env("RATE_LIMITS", "off")
            .env("ENVIRONMENT", "development")
            .env_remove("PUBLIC_URL")
            .env_remove("OPENAI_API_KEY")
            .env_remove("OPENAI_API_KEY_FILE")
            .env_remove("MASTER_KEY")
            .env_remove("MASTER_KEY_FILE")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(key) = &self.master_key {
            command.env("MASTER_KEY", key);
        }
        if let Some(file) = &self.master_key_file {
            command.env("MASTER_KEY_FILE", file);
        }
        command
    }
}

/// The server. Dropped without [`Server::stop`], it is killed.
pub struct Server {
    child: Child,
    process: Pid,
    log: JoinHandle<Vec<u8>>,
    address: Option<SocketAddr>,
}

/// The line in which the server says where it listens.
#[derive(Deserialize)]
struct Listening {
    listening: SocketAddr,
}

impl Server {
    /// Migrates and starts. The caller then waits for it with [`Server::ready`] and ends it with [`Server::stop`].
    ///
    /// # Errors
    ///
    /// [`Error::Program`], [`Error::Ended`] or [`Error::TooLong`].
    pub async fn start(program: &Path, mut parts: Parts) -> Result<Self, Error> {
        if parts.master_key.is_none() && parts.master_key_file.is_none() {
            parts.master_key = Some(BASE64_STANDARD.encode(rand::random::<[u8; 32]>()));
        }
        // Its output goes straight to whoever reads ours: there is little of it, and it says why.
        let migrating = parts.command(program, "migrate").stdout(io::stderr()).spawn();
        let mut migrating = migrating.map_err(|e| Error::Program(SERVER, "started", e))?;
        let late = |_| Error::TooLong { what: "migrating", seconds: MIGRATION.as_secs() };
        let status = timeout(MIGRATION, migrating.wait()).await.map_err(late)?;
        let status = status.map_err(|e| Error::Program(SERVER, "watched", e))?;
        if !status.success() {
            return Err(Error::Ended("migrate", status));
        }

        let (log, sink) = io::pipe().map_err(|e| Error::Program(SERVER, "listened to", e))?;
        // The server itself may not change the schema, so it is not told who may.
        let child = parts
            .command(program, "serve")
            .env_remove("MIGRATION_DATABASE_URL")
            .stdout(Stdio::piped())
            .stderr(sink)
            .spawn()
            .map_err(|e| Error::Program(SERVER, "started", e))?;
        let process = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let process = process.ok_or_else(|| Error::Program(SERVER, "watched", io::ErrorKind::NotFound.into()))?;
        let log = std::thread::spawn(|| keep_tail(log));
        Ok(Self { child, process, log, address: None })
    }

    /// Waits until the server says that it is ready, and returns where.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] if it ended instead, [`Error::TooLong`] if it did neither in a minute.
    pub async fn ready(&mut self) -> Result<SocketAddr, Error> {
        let late = |_| Error::TooLong { what: "the server's start", seconds: START.as_secs() };
        timeout(START, async {
            let address = match self.address {
                Some(address) => address,
                None => self.listening().await?,
            };
            self.address = Some(address);
            let target = Target { address, bearer: None };
            let mut looks = interval(Duration::from_millis(20));
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                if let Some(status) = self.child.try_wait().map_err(|e| Error::Program(SERVER, "watched", e))? {
                    return Err(Error::Ended("serve", status));
                }
                let ready = Uri::from_static("/api/v1/health/readiness");
                let request = target.request(Method::GET, &ready, bytes::Bytes::new());
                // Until it listens in full, a refused connection is as good as "not yet".
                let Ok(mut connection) = Connection::open(address).await else { continue };
                if connection.send(request).await.is_ok_and(|answer| answer.status == StatusCode::OK) {
                    return Ok(address);
                }
            }
        })
        .await
        .map_err(late)?
    }

    /// Reads its standard output up to the line with the address; the rest is read and dropped, lest the pipe fill up.
    async fn listening(&mut self) -> Result<SocketAddr, Error> {
        let nothing = || Error::Program(SERVER, "listened to", io::ErrorKind::UnexpectedEof.into());
        let mut lines = BufReader::new(self.child.stdout.take().ok_or_else(nothing)?).lines();
        while let Some(line) = lines.next_line().await.map_err(|e| Error::Program(SERVER, "listened to", e))? {
            if let Ok(Listening { listening }) = serde_json::from_str(&line) {
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(listening);
            }
        }
        let status = self.child.wait().await.map_err(|e| Error::Program(SERVER, "watched", e))?;
        Err(Error::Ended("serve", status))
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.process.as_raw_nonzero().get().unsigned_abs()
    }

    /// Ends it in order, or for good if that takes too long, and returns the end of its log.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] if it cannot be ended, [`Error::Ended`] if it ended with a failure.
    pub async fn stop(mut self) -> (String, Result<(), Error>) {
        let result = self.end().await;
        // The thread ends with the last process that writes to the log, which has just ended.
        let tail =
            if result.is_ok() || self.child.id().is_none() { self.log.join().unwrap_or_default() } else { vec![] };
        (String::from_utf8_lossy(&tail).into_owned(), result)
    }

    async fn end(&mut self) -> Result<(), Error> {
        // Its number cannot have passed to another process: it is ours until we have asked how it ended.
        if self.child.try_wait().map_err(|e| Error::Program(SERVER, "watched", e))?.is_none() {
            kill_process(self.process, Signal::TERM).map_err(|e| Error::Program(SERVER, "stopped", e.into()))?;
        }
        let Ok(status) = timeout(STOP, self.child.wait()).await else {
            self.child.kill().await.map_err(|e| Error::Program(SERVER, "stopped", e))?;
            return Err(Error::TooLong { what: "stopping the server", seconds: STOP.as_secs() });
        };
        let status = status.map_err(|e| Error::Program(SERVER, "watched", e))?;
        if status.success() { Ok(()) } else { Err(Error::Ended("serve", status)) }
    }
}

/// Reads a log as fast as it comes, so that it costs the server no more than writing to a pipe, and keeps its end.
fn keep_tail(mut log: io::PipeReader) -> Vec<u8> {
    let mut tail = VecDeque::new();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = log.read(&mut buffer) {
        tail.extend(&buffer[length.saturating_sub(LOG_TAIL)..length]);
        let excess = tail.len().saturating_sub(LOG_TAIL);
        tail.drain(..excess);
    }
    tail.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_kept() {
        let (log, mut sink) = io::pipe().unwrap();
        let reader = std::thread::spawn(|| keep_tail(log));
        for number in 0..50_000 {
            writeln!(sink, "line {number}").unwrap();
        }
        drop(sink);
        let tail = reader.join().unwrap();
        assert_eq!(tail.len(), LOG_TAIL);
        assert!(tail.ends_with(b"line 49998\nline 49999\n"));
    }
}
