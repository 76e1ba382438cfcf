//! A NATS server that a test may stop without disturbing others.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::process::{Child, bound};
use crate::{PATIENCE, ROOT, free_port, listens, word};

/// A NATS server with the project's own settings, on a port and a directory of its own.
#[derive(Debug)]
pub struct PrivateNats {
    binary: PathBuf,
    port: u16,
    password: String,
    directory: PathBuf,
    running: Option<Child>,
}

impl PrivateNats {
    /// Starts one; `None`, with a clear line, if this machine has no NATS server.
    pub async fn start() -> Option<Self> {
        let fetched = PathBuf::from(ROOT).join(".dev/bin/nats-server");
        let binary = if fetched.exists() { fetched } else { PathBuf::from("nats-server") };
        let found = Command::new(&binary).arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            // Not captured by the test runner, as what the printing macros write is.
            _ = writeln!(
                std::io::stderr(),
                "SKIPPED: no NATS server on this machine that a test could stop (./dev fetches one)"
            );
            return None;
        }
        let directory = std::env::temp_dir().join(word("allegiant-nats-"));
        std::fs::create_dir(&directory).unwrap();
        let mut nats = Self { binary, port: free_port().await, password: word("p"), directory, running: None };
        nats.go_on().await;
        Some(nats)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("nats://allegiant:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// A client of it.
    pub async fn client(&self) -> async_nats::Client {
        let options = async_nats::ConnectOptions::with_user_and_password("allegiant".into(), self.password.clone());
        options.connect(format!("127.0.0.1:{}", self.port)).await.unwrap()
    }

    /// Ends it as a loss of power would.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Starts it again without anything that it had stored, and waits until it answers.
    pub async fn go_on_empty(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.directory).unwrap();
        std::fs::create_dir(&self.directory).unwrap();
        self.go_on().await;
    }

    /// Starts it again where it was, and waits until it answers.
    pub async fn go_on(&mut self) {
        self.kill();
        let mut command = bound(&self.binary, "KILL");
        command
            .args(["--config", &format!("{ROOT}/ops/nats.conf"), "--addr", "127.0.0.1"])
            .args(["--port", &self.port.to_string(), "--store_dir", self.directory.to_str().unwrap()])
            .env("NATS_PASSWORD", &self.password)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.running = Some(Child::spawn(&mut command));
        testkit::wait_until(PATIENCE, async || listens(self.port).await.then_some(())).await;
    }
}

impl Drop for PrivateNats {
    fn drop(&mut self) {
        self.kill();
        // What a test leaves in the directory for temporary files does no harm.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
