//! Processes of ours: they end with the test at the latest.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{self, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::PATIENCE;

/// How many lines of a process's output are kept.
const MOST_LINES: usize = 200_000;

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub struct Child(pub(crate) process::Child);

impl Child {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// If the program cannot be started.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{} cannot be started: {error}", command.get_program().display())),
        )
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Sends it a signal. Its number is its own for as long as nobody has asked how it ended, so no other process is hit.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            let process = Pid::from_raw(self.0.id().cast_signed()).expect("a child has a number");
            kill_process(process, signal).expect("a process of ours takes signals");
        }
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        testkit::wait_until(PATIENCE, async || self.0.try_wait().unwrap()).await
    }

    /// Ends it as a loss of power would.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command for a server of a test's own. Should this program be killed, so that it drops nothing, the kernel ends the
/// server with this signal. It does so when the thread ends that started it: so no short-lived thread may.
pub(crate) fn bound(program: impl AsRef<OsStr>, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// The memory that a process holds, in bytes; `None` if there is no such process.
#[must_use]
pub fn memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What a process has written.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// Keeps each line of an output as it comes, in a thread of its own; hands the first one on.
pub(crate) fn keep_lines(
    output: impl Read + Send + 'static,
    log: Log,
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
pub(crate) fn read_all(mut output: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut read = Vec::new();
        output.read_to_end(&mut read).unwrap();
        read
    })
}
