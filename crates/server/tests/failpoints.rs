//! The build with fail-points is another one than the build that runs for real. `docs/kill-matrix.md` describes it.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::Path;
use std::process::{Command, Stdio};

use rig::binary::with_failpoints;
use rig::client::sign_up;
use rig::jobs::project;
use rig::sheets::dairy;
use rig::site::Site;
use serde_json::json;

/// What only the build with fail-points contains: its setting, the names of points, and what it says at them.
const MARKS: [&str; 4] = ["FAILPOINTS", "append.uncommitted", "projection.written", "failpoint "];

fn marks_in(binary: impl AsRef<Path>) -> Vec<&'static str> {
    let code = std::fs::read(binary).unwrap();
    let code = String::from_utf8_lossy(&code);
    MARKS.into_iter().filter(|mark| code.contains(mark)).collect()
}

#[test]
fn the_normal_build_knows_nothing_of_fail_points() {
    assert_eq!(marks_in(env!("CARGO_BIN_EXE_allegiant")), [""; 0]);
    assert_eq!(marks_in(with_failpoints()), MARKS, "the marks are no longer what the build with fail-points contains");
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

#[tokio::test]
async fn a_rebuild_that_is_killed_anywhere_leaves_a_whole_read_model_and_can_be_done_again() {
    let mut site = Site::new().await.with_binary(with_failpoints());
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let path = format!("/projects/{}", project(&ana, &dairy()).await);
    // Only the last of these has made its generation live.
    for (point, read) in [("rebuild.written", 1), ("swap.written", 1), ("swap.after", 2)] {
        site.set("FAILPOINTS", format!("{point}=kill@1"));
        let killed = site.run(&["projections", "rebuild", "projects"]).await;
        assert!(!killed.status.success(), "{point}");
        assert!(String::from_utf8_lossy(&killed.stderr).contains(point), "it was not killed there");
        site.unset("FAILPOINTS");
        let verified = site.run(&["projections", "verify", "projects"]).await;
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(said.contains(&format!("generation {read} equals the fold of the ledger")), "{point}: {said}");
        ana.patch(&path, &json!({"name": point})).await.ok(200);
        assert_eq!(ana.get(&path).await.ok(200)["name"], point);
    }
    let rebuilt = site.run(&["projections", "rebuild", "projects"]).await;
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    let listed = site.run(&["projections", "list"]).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    let generations: Vec<&str> = listed.lines().filter(|line| line.starts_with("projects ")).collect();
    assert!(!listed.contains("building") && generations.len() == 2, "what was left half done is still there: {listed}");
    drop(server);
    site.close().await;
}
