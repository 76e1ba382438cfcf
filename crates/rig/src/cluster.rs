//! A PostgreSQL cluster that a test may kill without disturbing others.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::timeout;

use crate::process::{Child, Signal, bound};
use crate::{PATIENCE, free_port, word};

/// The oldest PostgreSQL that is served.
const OLDEST: u32 = 15;
/// How long one attempt to sign in may take while the cluster starts.
const SIGN_IN: Duration = Duration::from_secs(2);

/// Whether what the cluster acknowledges survives the loss of power, or only the loss of its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// It waits for the disk, as in production.
    Waits,
    /// It does not, which makes tests fast. What a process wrote survives its `SIGKILL` all the same.
    DoesNotWait,
}

/// A cluster on a port and in a directory of its own, reachable from this machine only. It goes when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    user: Option<User>,
    directory: PathBuf,
    port: u16,
    password: String,
    disk: Disk,
    running: Option<Child>,
}

/// Whose rights PostgreSQL takes where root starts it, since it refuses to run as root.
#[derive(Debug)]
struct User {
    id: u32,
    group: u32,
}

impl Cluster {
    /// Makes one and waits until it answers.
    ///
    /// # Panics
    ///
    /// If this machine has no PostgreSQL 15 or newer, or if the cluster does not start.
    pub async fn start(disk: Disk) -> Self {
        let programs = programs().expect("PostgreSQL 15 or newer is installed (./dev install)");
        let directory = std::env::temp_dir().join(word("allegiant-postgres-"));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        // Root made the directory: then another user must own it.
        let user = (fs::metadata(&directory).unwrap().uid() == 0).then(User::find);
        if let Some(user) = &user {
            chown(&directory, Some(user.id), Some(user.group)).unwrap();
        }
        let mut cluster =
            Self { programs, user, directory, port: free_port().await, password: word("p"), disk, running: None };
        cluster.initialise();
        cluster.restart().await;
        cluster
    }

    /// The address of a database in it, as superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Where its data is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes a database with nothing in it; returns its address.
    ///
    /// # Panics
    ///
    /// If the cluster refuses.
    pub async fn create_database(&self, name: &str) -> String {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        connection.execute(format!("CREATE DATABASE {name} TEMPLATE template0").as_str()).await.unwrap();
        connection.close().await.unwrap();
        self.url(name)
    }

    /// Ends the postmaster with `SIGKILL`. Its backends notice and end by themselves, without a word to their clients.
    ///
    /// # Panics
    ///
    /// If it did not run.
    pub fn kill_postmaster(&mut self) {
        self.running.take().expect("the postmaster runs").kill();
    }

    /// Kills the backend of a server of ours whose last statement is like this, with `SIGKILL`, as soon as there is one.
    /// The postmaster ends all other backends and recovers, as it does after any crash of one.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    pub async fn kill_backend(&self, database_url: &str, statement: &str) {
        let mut connection = PgConnection::connect(database_url).await.unwrap();
        let backend: i32 = testkit::wait_until(PATIENCE, async || {
            sqlx::query_scalar(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND query LIKE $1 ORDER BY state = 'active' DESC, query_start DESC LIMIT 1",
            )
            .bind(statement)
            .fetch_optional(&mut connection)
            .await
            .unwrap()
        })
        .await;
        let backend = Pid::from_raw(backend).expect("a backend has a number");
        // It may have ended a moment ago; whoever took its number since then is a backend of this cluster, too.
        let _ = kill_process(backend, Signal::KILL);
    }

    /// Starts it, or starts it again where it was, and waits until it has recovered and answers.
    ///
    /// # Panics
    ///
    /// If it does not in time.
    pub async fn restart(&mut self) {
        self.stop().await;
        let mut child = self.launch();
        let url = self.url("postgres");
        testkit::wait_until(PATIENCE, async || {
            if !child.is_running() {
                // The last backends of a killed postmaster still hold its memory: once they have ended it starts.
                child = self.launch();
            }
            let connection = timeout(SIGN_IN, PgConnection::connect(&url)).await.ok()?.ok()?;
            connection.close().await.ok()
        })
        .await;
        self.running = Some(child);
    }

    /// Asks it to end at once and in order, and waits until it has.
    pub async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.signal(Signal::INT);
            running.ended().await;
        }
    }

    /// Whether the postmaster runs.
    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(Child::is_running)
    }

    fn initialise(&self) {
        let secret = self.directory.with_extension("secret");
        fs::write(&secret, &self.password).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some(user) = &self.user {
            chown(&secret, Some(user.id), Some(user.group)).unwrap();
        }
        let mut command = self.command("initdb");
        // The thousands of hashes that make scram safe take a test, which is not optimised, longer than what it tests.
        command.args(["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "md5", "--no-sync", "--pwfile"]);
        let made = command.arg(&secret).stdout(Stdio::null()).output().expect("initdb can be started");
        fs::remove_file(&secret).unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn launch(&self) -> Child {
        let mut command = self.command("postgres");
        command.args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"] {
            command.args(["-c", setting]);
        }
        if self.disk == Disk::DoesNotWait {
            command.args(["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]);
        }
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        Child::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log))
    }

    /// A program of PostgreSQL with this cluster's directory, run by the user who owns it.
    fn command(&self, program: &str) -> Command {
        // Should this program be killed, the cluster ends at once and its next start recovers it.
        let ended = bound(self.programs.join(program), "QUIT");
        let mut command = match &self.user {
            None => ended,
            Some(User { id, group }) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={id}"), format!("--regid={group}")]).arg("--clear-groups").arg("--");
                command.arg(ended.get_program()).args(ended.get_args());
                command
            }
        };
        command.arg("-D").arg(&self.directory).current_dir("/");
        command
    }

    /// Where it tells what befell it.
    fn log(&self) -> PathBuf {
        self.directory.with_extension("log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(10).collect();
            eprintln!("PostgreSQL said last, the newest first:\n{}", last.join("\n"));
        }
        if let Some(mut running) = self.running.take() {
            running.signal(Signal::QUIT);
            drop(running);
        }
        // What a test leaves in the directory for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.directory);
        let _ = fs::remove_file(self.log());
    }
}

impl User {
    /// PostgreSQL's own user if there is one, and else the one who owns nothing.
    fn find() -> Self {
        let users = fs::read_to_string("/etc/passwd").expect("the machine has users");
        let find = |name: &str| {
            let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let mut fields = line.split(':').skip(1).map_while(|field| field.parse().ok());
            Some(Self { id: fields.next()?, group: fields.next()? })
        };
        find("postgres").or_else(|| find("nobody")).expect("there is a user who may run PostgreSQL")
    }
}

/// The directory of the newest PostgreSQL's programs: where Debian has them, or else on the path.
fn programs() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let of_version = |entry: fs::DirEntry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path()));
    let newest = installed
        .filter_map(of_version)
        .filter(|(version, path)| OLDEST <= *version && path.join("bin/initdb").is_file())
        .max_by_key(|(version, _)| *version);
    newest.map(|(_, path)| path.join("bin")).or_else(on_the_path)
}

fn on_the_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let initdb = std::env::split_paths(&path).map(|directory| directory.join("initdb")).find(|file| file.is_file())?;
    fs::canonicalize(initdb).ok()?.parent().map(Path::to_owned)
}
