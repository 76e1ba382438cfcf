//! A Redis server that a test may stop without disturbing others.

use std::io::Write as _;
use std::process::Stdio;

use crate::process::{Child, bound};
use crate::{PATIENCE, ROOT, free_port, listens, word};

/// A Redis server with the project's own settings, on a port of its own. It keeps nothing on the disk.
#[derive(Debug)]
pub struct PrivateRedis {
    port: u16,
    password: String,
    running: Option<Child>,
}

impl PrivateRedis {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If this machine has no Redis, or if it does not start.
    pub async fn start() -> Self {
        let mut redis = Self { port: free_port().await, password: word("p"), running: None };
        redis.go_on().await;
        redis
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://default:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// Ends it as a loss of power would. What it held is lost.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Starts it again where it was, and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not in time.
    pub async fn go_on(&mut self) {
        self.kill();
        let mut command = bound("redis-server", "KILL");
        // The settings are read from standard input, so that the password is on no command line.
        command.arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = Child::spawn(&mut command);
        let directory = std::env::temp_dir();
        let settings = format!(
            "include \"{ROOT}/ops/redis.conf\"\nbind 127.0.0.1\nport {}\nrequirepass {}\ndir \"{}\"\n",
            self.port,
            self.password,
            directory.display()
        );
        child.0.stdin.take().unwrap().write_all(settings.as_bytes()).unwrap();
        self.running = Some(child);
        testkit::wait_until(PATIENCE, async || listens(self.port).await.then_some(())).await;
    }
}
