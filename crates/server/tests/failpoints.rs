//! The build with fail-points is another one than the build that runs for real. `docs/kill-matrix.md` describes it.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::process::{Command, Stdio};

/// What only the build with fail-points contains: its setting, the names of points, and what it says at them.
const MARKS: [&str; 4] = ["FAILPOINTS", "append.uncommitted", "projection.written", "failpoint "];

#[expect(clippy::disallowed_methods, reason = "where the test run put a build is no setting of the system")]
fn with_failpoints() -> String {
    std::env::var("ALLEGIANT_FAILPOINTS_BIN")
        .expect("ALLEGIANT_FAILPOINTS_BIN is not set: run `./dev test -p server`, which builds with fail-points first")
}

fn marks_in(binary: &str) -> Vec<&'static str> {
    let code = std::fs::read(binary).unwrap();
    let code = String::from_utf8_lossy(&code);
    MARKS.into_iter().filter(|mark| code.contains(mark)).collect()
}

#[test]
fn the_normal_build_knows_nothing_of_fail_points() {
    assert_eq!(marks_in(env!("CARGO_BIN_EXE_allegiant")), [""; 0]);
    assert_eq!(marks_in(&with_failpoints()), MARKS, "the marks are no longer what the build with fail-points contains");
}

#[test]
fn a_plan_that_names_no_point_is_refused_before_anything_begins() {
    for (plan, why) in [
        ("append.later=kill", "there is no fail-point append.later"),
        ("append.after=explode", "append.after=explode is not of the form"),
    ] {
        let run = Command::new(with_failpoints())
            .arg("serve")
            .env_clear()
            .env("FAILPOINTS", plan)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(!run.status.success() && said.starts_with(&format!("allegiant: FAILPOINTS: {why}")), "{said}");
    }
}
