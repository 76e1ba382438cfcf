//! What is to happen at which point, as the setting `FAILPOINTS` says it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Point;

/// The plan of a process.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    entries: Vec<Entry>,
    unknown_events: BTreeSet<String>,
}

#[derive(Debug)]
struct Entry {
    point: Point,
    action: Action,
    /// At which time of coming there, from 1.
    turn: u64,
    reached: AtomicU64,
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The process is ended with SIGKILL.
    Kill,
    /// Whoever came there waits for ever, from that time on everybody.
    Pause,
    /// Whoever came there is told that the connection broke.
    Error,
}

/// The text is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// No such point.
    #[error("there is no fail-point {0}")]
    Point(String),
    /// Not of the form of an entry.
    #[error("{0} is not of the form POINT=kill@N, POINT=pause@N, POINT=error@N or unknown-events=TYPE,TYPE")]
    Form(String),
    /// A process has one plan.
    #[cfg(feature = "failpoints")]
    #[error("the fail-points were configured before")]
    Twice,
}

impl Plan {
    /// Reads entries such as `append.after=kill@3;unknown-events=project-renamed`; without `@N` it is the first time.
    pub(crate) fn read(text: &str) -> Result<Self, InvalidPlan> {
        let mut plan = Self::default();
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            let form = || InvalidPlan::Form(entry.to_owned());
            let (name, what) = entry.split_once('=').ok_or_else(form)?;
            if name == "unknown-events" {
                plan.unknown_events.extend(what.split(',').map(|event_type| event_type.trim().to_owned()));
                continue;
            }
            let (action, turn) = what.split_once('@').unwrap_or((what, "1"));
            let point = Point::ALL.iter().find(|point| point.name() == name);
            plan.entries.push(Entry {
                point: *point.ok_or_else(|| InvalidPlan::Point(name.to_owned()))?,
                action: Action::read(action).ok_or_else(form)?,
                turn: turn.parse().ok().filter(|turn| 0 < *turn).ok_or_else(form)?,
                reached: AtomicU64::new(0),
            });
        }
        Ok(plan)
    }

    /// Counts that somebody came to `point`, and says what is to happen now.
    pub(crate) fn come_to(&self, point: Point) -> Option<Action> {
        let due = self.entries.iter().filter(|entry| entry.point == point).filter(|entry| {
            let turn = entry.reached.fetch_add(1, Ordering::Relaxed) + 1;
            match entry.action {
                Action::Kill | Action::Error => turn == entry.turn,
                Action::Pause => entry.turn <= turn,
            }
        });
        // All are counted, not only those before the first that is due.
        due.fold(None, |first, entry| first.or(Some(entry.action)))
    }

    /// Whether events of this type are to be unknown.
    pub(crate) fn is_unknown(&self, event_type: &str) -> bool {
        self.unknown_events.contains(event_type)
    }
}

impl Action {
    fn read(text: &str) -> Option<Self> {
        [Self::Kill, Self::Pause, Self::Error].into_iter().find(|action| action.name() == text)
    }

    /// Its word in the plan.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Error => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_counts_for_itself_and_has_its_turn() {
        let plan = Plan::read("append.after=error@2; append.after=kill@3 ;relay.sent=pause;").unwrap();
        let at = |point| plan.come_to(point);
        assert_eq!([1, 2, 3, 4].map(|_| at(Point::AppendAfter)), [None, Some(Action::Error), Some(Action::Kill), None]);
        assert_eq!([1, 2].map(|_| at(Point::RelaySent)), [Some(Action::Pause); 2], "a pause holds everybody who comes");
        assert_eq!(at(Point::AppendBefore), None);
    }

    #[test]
    fn unknown_events_are_named_by_their_types() {
        let plan = Plan::read("unknown-events=project-renamed, step-failed").unwrap();
        assert!(plan.is_unknown("project-renamed") && plan.is_unknown("step-failed"));
        assert!(!plan.is_unknown("project-created"));
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let refused = |text| Plan::read(text).unwrap_err();
        assert_eq!(refused("append.later=kill"), InvalidPlan::Point("append.later".to_owned()));
        for form in ["append.after", "append.after=explode", "append.after=kill@0", "append.after=kill@often"] {
            assert_eq!(refused(form), InvalidPlan::Form(form.to_owned()));
        }
    }

    #[test]
    fn the_documented_table_holds_every_point_and_no_other() {
        let documented: BTreeSet<&str> = include_str!("../../../../docs/kill-matrix.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        let named: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(named.len(), Point::ALL.len(), "two points have one name");
        assert_eq!(documented, named);
    }
}
