//! Backups as an operator makes and restores them: with PostgreSQL's own programs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::word;

/// A dump of one database, which goes with this.
#[derive(Debug)]
pub struct Backup(PathBuf);

impl Backup {
    /// Dumps a database while whoever works on it goes on.
    ///
    /// # Panics
    ///
    /// If PostgreSQL's client programs are not installed, or the dump fails.
    pub async fn of(url: &str) -> Self {
        let file = std::env::temp_dir().join(word("allegiant-backup-"));
        let mut command = Command::new("pg_dump");
        command.args(["--format=custom", "--dbname", plain(url), "--file"]).arg(&file);
        succeeds(command).await;
        Self(file)
    }

    /// Restores it into an empty database, in one transaction. The cluster must have the roles that the dump names.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn restore(&self, url: &str) {
        let mut command = Command::new("pg_restore");
        command.args(["--single-transaction", "--exit-on-error", "--dbname", plain(url)]).arg(&self.0);
        succeeds(command).await;
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        // What a test leaves in the directory for temporary files does no harm.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The address without sqlx' own parameters, which PostgreSQL's programs refuse.
fn plain(url: &str) -> &str {
    url.split_once('?').map_or(url, |(plain, _)| plain)
}

/// Elsewhere than where the test goes on meanwhile.
async fn succeeds(mut command: Command) {
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.expect("PostgreSQL's client programs are installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
