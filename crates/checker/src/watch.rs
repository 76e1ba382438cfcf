//! Memory and lag while a run goes on, and the line of progress.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::load::Shared;
use crate::violation::Violation;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(2);
/// How often a line is written.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Memory that a server may hold at any time.
pub(crate) const MOST_MEMORY: u64 = 1 << 30;
/// What the first instance may hold at the end more than after the first tenth of a run (and at least a minute): half as
/// much again, and this.
const GROWTH: u64 = 64 << 20;
/// The shortest run in which growth is judged.
const GROWTH_AFTER: Duration = Duration::from_secs(300);
/// Events that a read model or the relay may lag behind, with every stall of a run.
const MOST_LAG: u64 = 5_000;

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Time since the start, with the memory of the first instance in bytes.
    pub memory: Vec<(Duration, u64)>,
    /// The most that the second instance held.
    pub second_memory: u64,
    /// The longest lag of a read model, in events.
    pub projection_lag: u64,
    /// The longest lag of the relay, in events.
    pub relay_lag: u64,
    /// Most events that waited for a position.
    pub pending: u64,
}

pub(crate) struct Watch<'a> {
    pub(crate) shared: &'a Shared,
    /// Of the first instance.
    pub(crate) process: u32,
    pub(crate) second: watch::Receiver<u32>,
    pub(crate) disturbance: watch::Receiver<&'static str>,
}

impl Watch<'_> {
    pub(crate) async fn run(self, stop: &CancellationToken) -> Watched {
        let (http, began) = (reqwest::Client::new(), Instant::now());
        let mut watched = Watched::default();
        let mut lines = Duration::ZERO;
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return watched,
                _ = ticks.tick() => (),
            }
            let now = began.elapsed();
            if let Some(bytes) = rig::process::memory(self.process) {
                watched.memory.push((now, bytes));
            }
            let second = rig::process::memory(*self.second.borrow()).unwrap_or_default();
            watched.second_memory = watched.second_memory.max(second);
            let metrics = async { http.get(format!("{}/metrics", self.shared.roots[0])).send().await?.text().await };
            let metrics = metrics.await.unwrap_or_default();
            let lag = largest(&metrics, "projection_lag_events");
            watched.projection_lag = watched.projection_lag.max(lag);
            watched.relay_lag = watched.relay_lag.max(largest(&metrics, "relay_lag_events"));
            watched.pending = watched.pending.max(largest(&metrics, "ledger_pending_events"));
            if lines + LINE_EVERY <= now {
                lines = now;
                let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
                let shared = self.shared;
                eprintln!(
                    "{:>5} s  {} acknowledged, {} refused, {} unknown; {} reads, {} behind; lag {lag}; {} + {} MB; {} \
                     findings; {}",
                    now.as_secs(),
                    of(&shared.acknowledged),
                    of(&shared.refused),
                    of(&shared.unknown),
                    of(&shared.reads),
                    of(&shared.behind),
                    watched.memory.last().map_or(0, |(_, bytes)| bytes >> 20),
                    second >> 20,
                    shared.findings.count(),
                    *self.disturbance.borrow(),
                );
            }
        }
    }
}

impl Watched {
    /// The bounds that were passed.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut bound = |holds: bool, what: String| {
            if !holds {
                found.push(Violation::Bound(what));
            }
        };
        let most = self.memory.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default().max(self.second_memory);
        bound(most <= MOST_MEMORY, format!("a server held {} MB, more than {} MB", most >> 20, MOST_MEMORY >> 20));
        for (what, lag) in [("a read model", self.projection_lag), ("the relay", self.relay_lag)] {
            bound(lag <= MOST_LAG, format!("{what} lagged {lag} events, more than {MOST_LAG}"));
        }
        if let Some((early, late)) = self.growth() {
            let allowed = early + early / 2 + GROWTH;
            bound(
                late <= allowed,
                format!(
                    "the first instance grew from {} MB to {} MB, more than to {} MB",
                    early >> 20,
                    late >> 20,
                    allowed >> 20
                ),
            );
        }
        found
    }

    /// Most memory of the first instance early in the run, and least in its last tenth; `None` for a short run.
    #[must_use]
    pub fn growth(&self) -> Option<(u64, u64)> {
        let end = self.memory.last()?.0;
        if end < GROWTH_AFTER {
            return None;
        }
        let warm = (end / 10).max(Duration::from_secs(60));
        let early = self.memory.iter().filter(|(at, _)| *at <= warm).map(|(_, bytes)| *bytes).max()?;
        let late = self.memory.iter().filter(|(at, _)| end - end / 10 <= *at).map(|(_, bytes)| *bytes).min()?;
        Some((early, late))
    }
}

/// The largest value of a metric, over all its labels.
fn largest(metrics: &str, name: &str) -> u64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of events")]
    values.fold(0, |largest: u64, value| largest.max(value as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_of_a_metric_is_read_over_all_labels() {
        let text = "# TYPE lag gauge\nlag{projection=\"a b\"} 3\nlag{projection=\"c\"} 12\nlag_seconds 99\nplain 7\n";
        assert_eq!([largest(text, "lag"), largest(text, "plain"), largest(text, "none")], [12, 7, 0]);
    }

    #[test]
    fn growth_and_lag_beyond_their_bounds_are_found() {
        let minutes = |minute: u64, mb: u64| (Duration::from_secs(60 * minute), mb << 20);
        let steady = Watched { memory: (0..=10).map(|minute| minutes(minute, 60)).collect(), ..Watched::default() };
        assert_eq!(steady.violations(), []);
        let grown = Watched { memory: (0..=10).map(|minute| minutes(minute, 60 + 20 * minute)).collect(), ..steady };
        assert_eq!(grown.violations().len(), 1, "{:?}", grown.violations());
        let behind = Watched { relay_lag: MOST_LAG + 1, ..Watched::default() };
        assert_eq!(behind.violations().len(), 1);
    }
}
