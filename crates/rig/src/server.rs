//! A server of ours as a process.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tokio::time::timeout;

use crate::PATIENCE;
use crate::process::{Child, Log, Signal, keep_lines, memory};

/// Settings of a server by name. It gets these and no others.
pub type Settings = BTreeMap<&'static str, String>;

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens, without a slash at the end.
    pub url: String,
    log: Log,
}

impl Server {
    /// Starts `serve` of this binary and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not listen in time.
    pub async fn start_with(binary: &Path, settings: &Settings) -> Self {
        let mut child = spawn(binary, settings, &["serve"]);
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
        Self { child, url: format!("http://{address}"), log }
    }

    /// The number of its process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// The memory that it holds, in bytes; `None` once it has ended.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        memory(self.process())
    }

    /// Ends it as a loss of power would.
    ///
    /// # Panics
    ///
    /// If it had ended by itself before.
    pub async fn kill(mut self) {
        self.child.0.kill().unwrap();
        let ended = self.child.ended().await;
        assert!(ended.code().is_none(), "the server had ended by itself before it was killed: {ended}");
    }

    /// The same, however it did until then.
    pub fn kill_now(&mut self) {
        self.child.kill();
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        self.child.signal(Signal::TERM);
        self.child.ended().await
    }

    /// Waits until it has ended by itself, as at a fail-point.
    pub async fn ended(&mut self) -> ExitStatus {
        self.child.ended().await
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.is_running()
    }

    /// Everything it has written until now, to standard output and to standard error.
    #[must_use]
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

/// Starts the binary with these settings alone and its output piped.
pub(crate) fn spawn(binary: &Path, settings: &Settings, arguments: &[&str]) -> Child {
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().envs(settings);
    Child::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}
