//! The points of the build that has them.

use std::io::Write as _;
use std::sync::OnceLock;

use rustix::process::{Signal, getpid, kill_process};

use super::Point;
use super::plan::{Action, InvalidPlan, Plan};

static PLAN: OnceLock<Plan> = OnceLock::new();

/// Says what is to happen in this process: entries such as `append.after=kill@3` or `unknown-events=TYPE,TYPE`, between
/// semicolons. `kill@N` ends the process with SIGKILL at the Nth time, `error@N` breaks a connection there, `pause@N`
/// holds whoever comes there from the Nth time on. Each first writes `failpoint POINT: ACTION` to standard error.
///
/// # Errors
///
/// [`InvalidPlan`] if the text is none, or there is one already.
pub fn configure(plan: &str) -> Result<(), InvalidPlan> {
    PLAN.set(Plan::read(plan)?).map_err(|_| InvalidPlan::Twice)
}

/// Tells that the caller has come to `point`, where the plan may end the process or hold the caller.
///
/// # Errors
///
/// [`sqlx::Error::Io`], as of a broken connection, if the plan says so.
pub async fn reach(point: Point) -> Result<(), sqlx::Error> {
    let Some(action) = PLAN.get().and_then(|plan| plan.come_to(point)) else {
        return Ok(());
    };
    // If nobody reads standard error any more, the action is what counts.
    _ = writeln!(std::io::stderr().lock(), "failpoint {}: {}", point.name(), action.name());
    match action {
        Action::Kill => {
            kill_process(getpid(), Signal::KILL).expect("a process may end itself");
            std::future::pending().await
        }
        Action::Pause => std::future::pending().await,
        Action::Error => Err(sqlx::Error::Io(std::io::Error::other("a fail-point broke the connection"))),
    }
}

pub(super) fn is_unknown(event_type: &str) -> bool {
    PLAN.get().is_some_and(|plan| plan.is_unknown(event_type))
}
