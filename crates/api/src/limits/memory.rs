//! The logs of one process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::{Log, Verdict, tighter};

/// Most logs kept. Beyond it, and if none has expired, who is new is not counted: that is better than refusing them.
const LOGS: usize = 50_000;

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<String, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    /// When each event stops to count, first to last.
    ends: VecDeque<Instant>,
}

impl Entry {
    fn forget(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|end| *end <= now) {
            self.ends.pop_front();
        }
    }
}

impl Memory {
    pub(super) fn take(&self, logs: &[Log]) -> Verdict {
        let now = Instant::now();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut verdict = None;
        for log in logs {
            let used = match entries.get_mut(&log.key) {
                Some(entry) => {
                    entry.forget(now);
                    entry.ends.len()
                }
                None => 0,
            };
            let ends = entries.get(&log.key).and_then(|entry| entry.ends.front());
            let reset = ends.map_or(log.window, |end| end.saturating_duration_since(now));
            let used = u32::try_from(used).unwrap_or(u32::MAX);
            let left = log.limit.saturating_sub(used);
            let remaining = left.saturating_sub(u32::from(log.counts));
            verdict = Some(tighter(verdict, Verdict { allowed: left > 0, limit: log.limit, remaining, reset }));
        }
        let Some(verdict) = verdict else {
            return Verdict { allowed: true, limit: u32::MAX, remaining: u32::MAX, reset: std::time::Duration::ZERO };
        };
        if verdict.allowed {
            for log in logs.iter().filter(|log| log.counts) {
                add(&mut entries, log, now);
            }
        }
        verdict
    }

    pub(super) fn note(&self, logs: &[Log]) {
        let now = Instant::now();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for log in logs {
            add(&mut entries, log, now);
        }
    }
}

fn add(entries: &mut HashMap<String, Entry>, log: &Log, now: Instant) {
    if entries.len() >= LOGS && !entries.contains_key(&log.key) {
        entries.retain(|_, entry| {
            entry.forget(now);
            !entry.ends.is_empty()
        });
        if entries.len() >= LOGS {
            return;
        }
    }
    let entry = entries.entry(log.key.clone()).or_default();
    entry.forget(now);
    // A log that is over its limit need not remember more than the limit: these are the last to go.
    if entry.ends.len() >= log.limit as usize {
        entry.ends.pop_front();
    }
    entry.ends.push_back(now + log.window);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn log(key: &str, limit: u32) -> Log {
        Log { key: key.to_owned(), limit, window: MINUTE, counts: true }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_minute_counts_exactly_and_refused_requests_do_not() {
        let memory = Memory::default();
        let logs = [log("a", 3)];
        assert_eq!(memory.take(&logs), Verdict { allowed: true, limit: 3, remaining: 2, reset: MINUTE });
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(memory.take(&logs).allowed && memory.take(&logs).allowed);
        for _ in 0..100 {
            let refused = memory.take(&logs);
            assert_eq!(refused, Verdict { allowed: false, limit: 3, remaining: 0, reset: Duration::from_secs(50) });
        }
        tokio::time::advance(Duration::from_secs(50)).await;
        assert!(memory.take(&logs).allowed, "the first one is a minute old");
        assert!(!memory.take(&logs).allowed);
        assert!(memory.take(&[log("b", 3)]).allowed, "others have their own log");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_counts_in_all_logs_or_in_none() {
        let memory = Memory::default();
        let looked_at = Log { counts: false, ..log("failed", 1) };
        let both = [log("all", 5), looked_at.clone()];
        assert!(memory.take(&both).allowed && memory.take(&both).allowed);
        memory.note(std::slice::from_ref(&looked_at));
        assert!(!memory.take(&both).allowed);
        assert_eq!(memory.take(&[log("all", 5)]).remaining, 2, "two counted, the refused one did not");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let memory = Memory::default();
        for n in 0..LOGS + 10 {
            memory.take(&[log(&n.to_string(), 1)]);
        }
        assert_eq!(memory.0.lock().unwrap().len(), LOGS);
        tokio::time::advance(MINUTE).await;
        memory.take(&[log("fresh", 1)]);
        assert_eq!(memory.0.lock().unwrap().len(), 1, "what has expired makes room");
    }
}
