//! What the hands of an account know together: which writes were sent, and which were acknowledged.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use crate::history::Verdict;
use crate::load::caller::Caller;

/// Writes of one place that are looked through for what a read lacks.
const LOOKED_THROUGH: usize = 8;
/// Acknowledged writes of one place that are remembered: no read is so far behind that it shows an older one.
const REMEMBERED: usize = 200;

/// An account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) caller: Caller,
    known: Mutex<Known>,
}

/// Its projects and jobs.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) projects: Vec<Project>,
    /// Names of acknowledged jobs, with their projects; the newest last.
    pub(crate) jobs: Vec<(String, String)>,
}

/// A project whose opening was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) id: String,
    /// The command that opened it.
    pub(crate) opened_by: String,
    /// The command that deletes it, as soon as one was sent, and whether it was acknowledged.
    pub(crate) deleted_by: Option<(String, bool)>,
    /// Places of its header and of its sheet, each written by one hand, one command after the other.
    pub(crate) places: BTreeMap<String, Place>,
    /// The tag of its header that was seen last.
    pub(crate) etag: Option<String>,
}

/// One place and its writes in the order in which they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    writes: Vec<(String, Option<Verdict>)>,
}

/// What a read lacks of one place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lack {
    /// Writes that were sent after the one shown, the oldest first.
    pub(crate) lacks: Vec<String>,
    /// Of those, the one that had been acknowledged before the read began.
    pub(crate) acknowledged: Option<String>,
}

impl Account {
    pub(crate) fn new(token: String) -> Self {
        Self { caller: Caller::new(token), known: Mutex::default() }
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panics while holding it")
    }
}

impl Known {
    pub(crate) fn project(&mut self, id: &str) -> Option<&mut Project> {
        self.projects.iter_mut().find(|project| project.id == id)
    }

    /// Projects that nobody has begun to delete.
    pub(crate) fn open(&self) -> Vec<&Project> {
        self.projects.iter().filter(|project| project.deleted_by.is_none()).collect()
    }

    /// Forgets the oldest projects whose deletion was acknowledged, so that a long run does not remember all of them.
    pub(crate) fn forget_deleted(&mut self, keep: usize) {
        let deleted = |project: &Project| project.deleted_by.as_ref().is_some_and(|(_, acknowledged)| *acknowledged);
        let mut excess = self.projects.iter().filter(|project| deleted(project)).count().saturating_sub(keep);
        self.projects.retain(|project| {
            let forget = deleted(project) && 0 < excess;
            excess -= usize::from(forget);
            !forget
        });
    }
}

impl Place {
    /// A place that this command has filled already.
    pub(crate) fn filled_by(tag: &str) -> Self {
        Self { writes: vec![(tag.to_owned(), Some(Verdict::Acknowledged))] }
    }

    pub(crate) fn sent(&mut self, tag: &str) {
        self.writes.push((tag.to_owned(), None));
    }

    pub(crate) fn told(&mut self, tag: &str, verdict: Verdict) {
        if let Some(write) = self.writes.iter_mut().rev().find(|(other, _)| other == tag) {
            write.1 = Some(verdict);
        }
        let acknowledged =
            |(at, write): (usize, &(String, Option<Verdict>))| (write.1 == Some(Verdict::Acknowledged)).then_some(at);
        let kept = self.writes.iter().enumerate().filter_map(acknowledged).rev().nth(REMEMBERED).unwrap_or_default();
        self.writes.drain(..kept);
    }

    /// The last acknowledged write.
    pub(crate) fn acknowledged(&self) -> Option<&str> {
        let last = self.writes.iter().rev().find(|(_, verdict)| *verdict == Some(Verdict::Acknowledged));
        last.map(|(tag, _)| tag.as_str())
    }

    /// What a read that shows `shown` here lacks, if `acknowledged` was the last acknowledged write when it began.
    ///
    /// # Errors
    ///
    /// What is wrong with a value that cannot be here.
    pub(crate) fn lack(&self, shown: Option<&str>, acknowledged: Option<&str>) -> Result<Lack, &'static str> {
        let at = |tag: &str| self.writes.iter().position(|(other, _)| other == tag);
        let shown_at = match shown {
            None => None,
            Some(shown) => Some(at(shown).ok_or("shows a value that nobody wrote there")?),
        };
        if shown_at.is_some_and(|shown| self.writes[shown].1 == Some(Verdict::Refused)) {
            return Err("shows a value that was refused");
        }
        let next = shown_at.map_or(0, |shown| shown + 1);
        let newer = self.writes[next..].iter().filter(|(_, verdict)| *verdict != Some(Verdict::Refused));
        let lacks = newer.map(|(tag, _)| tag.clone()).take(LOOKED_THROUGH).collect();
        let acknowledged = acknowledged.filter(|tag| at(tag).is_some_and(|at| next <= at)).map(str::to_owned);
        Ok(Lack { lacks, acknowledged })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        let mut place = Place::filled_by("a");
        for (tag, verdict) in [("b", Verdict::Refused), ("c", Verdict::Acknowledged)] {
            place.sent(tag);
            place.told(tag, verdict);
        }
        place.sent("d");
        place
    }

    #[test]
    fn a_read_lacks_what_was_sent_after_the_write_that_it_shows() {
        let lack = |shown, acknowledged| place().lack(shown, acknowledged).unwrap();
        assert_eq!(lack(Some("d"), Some("c")), Lack::default());
        assert_eq!(lack(Some("c"), Some("c")), Lack { lacks: vec!["d".into()], acknowledged: None });
        let both = vec!["c".to_owned(), "d".to_owned()];
        assert_eq!(lack(Some("a"), Some("c")), Lack { lacks: both.clone(), acknowledged: Some("c".into()) });
        assert_eq!(lack(Some("a"), Some("a")), Lack { lacks: both, acknowledged: None });
        assert_eq!(lack(None, Some("a")).acknowledged, Some("a".to_owned()));
    }

    #[test]
    fn a_read_cannot_show_what_was_refused_or_never_written() {
        assert!(place().lack(Some("b"), None).is_err());
        assert!(place().lack(Some("x"), None).is_err());
    }

    #[test]
    fn old_writes_are_forgotten() {
        let mut place = Place::filled_by("first");
        for number in 0..1_000 {
            let tag = number.to_string();
            place.sent(&tag);
            place.told(&tag, Verdict::Acknowledged);
        }
        assert!(place.writes.len() <= REMEMBERED + 1, "{}", place.writes.len());
        assert_eq!(place.acknowledged(), Some("999"));
    }
}
