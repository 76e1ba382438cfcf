//! Where the binary under test is.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The `allegiant` of this build: the one beside the running test program.
///
/// Cargo builds it for the tests of the crate `server`, and so for those of the whole workspace, but not for another
/// crate's alone. Another build, such as one with fail-points, is given to [`crate::site::Site::with_binary`].
///
/// # Panics
///
/// If there is none, or if one of its sources is newer: a test must not pass on yesterday's program.
#[must_use]
pub fn allegiant() -> PathBuf {
    let program = std::env::current_exe().expect("the running program has a path");
    // Test programs lie in `deps`, other programs of the workspace beside the binary itself.
    let beside = program.ancestors().skip(1).take(2).map(|directory| directory.join("allegiant"));
    let found = beside.into_iter().find(|binary| binary.is_file());
    let binary = found.expect("there is no allegiant beside this program: run `cargo build -p server` first");
    if let Some(newer) = newer_source(&binary) {
        panic!("{} is older than {}: run `cargo build -p server` first", binary.display(), newer.display());
    }
    binary
}

/// A source of the binary that has changed since it was built, by the list that Cargo writes beside it.
fn newer_source(binary: &Path) -> Option<PathBuf> {
    let changed = |path: &Path| -> Option<SystemTime> { path.metadata().ok()?.modified().ok() };
    let built = changed(binary)?;
    let list = std::fs::read_to_string(binary.with_extension("d")).ok()?;
    let sources = list.split_once(": ")?.1;
    sources.split_whitespace().map(PathBuf::from).find(|source| changed(source).is_some_and(|time| built < time))
}

/// The build with fail-points, which `./dev test` makes before the normal one (`docs/kill-matrix.md`).
///
/// # Panics
///
/// If the run of tests has not made it.
#[must_use]
pub fn with_failpoints() -> PathBuf {
    std::env::var_os("ALLEGIANT_FAILPOINTS_BIN")
        .map(PathBuf::from)
        .expect("ALLEGIANT_FAILPOINTS_BIN is not set: run `./dev test`, which builds with fail-points first")
}
