//! Latencies in, a few figures out.

use std::time::Duration;

use serde::Serialize;

/// How a set of durations is distributed, in milliseconds. All are 0 if there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// Half of the durations are not above this.
    pub p50_ms: f64,
    /// 99 % of the durations are not above this.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Distribution {
    /// Reads the figures off the sorted durations.
    pub fn of(durations: &mut [Duration]) -> Self {
        durations.sort_unstable();
        let at = |percent| percentile(durations, percent).map_or(0.0, milliseconds);
        Self { p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

/// The nearest-rank percentile: the smallest value with at least `percent` % of all values not above it, which is the one
/// at rank ⌈percent · n / 100⌉. It is always a value that occurred, never one between two.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (percent * sorted.len()).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Distribution {
        let mut durations: Vec<_> = milliseconds.into_iter().map(Duration::from_millis).collect();
        Distribution::of(&mut durations)
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        assert_eq!(of((1..=200).rev()), Distribution { p50_ms: 100.0, p99_ms: 198.0, max_ms: 200.0 });
        assert_eq!(of([5, 1, 3]), Distribution { p50_ms: 3.0, p99_ms: 5.0, max_ms: 5.0 });
    }

    #[test]
    fn one_value_is_every_percentile_and_none_are_zero() {
        assert_eq!(of([7]), Distribution { p50_ms: 7.0, p99_ms: 7.0, max_ms: 7.0 });
        assert_eq!(of([]), Distribution::default());
    }
}
