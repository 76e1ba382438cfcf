//! A circuit breaker: after failures in a row the provider is left alone for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::Clock;

/// So many failures in a row open the breaker.
const MOST_FAILURES: u32 = 5;
/// So long an open breaker lets no call through.
const PAUSE: Duration = Duration::from_secs(30);

/// Whether calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// All of them.
    Closed,
    /// None.
    Open,
    /// One, to see.
    HalfOpen,
}

impl BreakerState {
    /// The word in health and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

#[derive(Debug, Default)]
struct Memory {
    failures: u32,
    opened_at: Option<DateTime<Utc>>,
    trial: bool,
}

pub(crate) struct Breaker {
    clock: Clock,
    memory: Mutex<Memory>,
}

/// Leave to make one call. Dropped without an outcome (a cancelled call), it says nothing about the provider.
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    trial: bool,
}

impl Breaker {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, memory: Mutex::default() }
    }

    pub(crate) fn state(&self) -> BreakerState {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match memory.opened_at {
            None => BreakerState::Closed,
            Some(_) if self.left(&memory).is_zero() => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
        }
    }

    /// Leave for a call, or how long to wait.
    pub(crate) fn enter(&self) -> Result<Permit<'_>, Duration> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let trial = match memory.opened_at {
            None => false,
            Some(_) => {
                let left = self.left(&memory);
                if !left.is_zero() {
                    return Err(left);
                }
                if memory.trial {
                    return Err(Duration::from_secs(1));
                }
                memory.trial = true;
                true
            }
        };
        Ok(Permit { breaker: self, trial })
    }

    /// A clock that was set back must not keep the breaker open for longer than its pause.
    fn left(&self, memory: &Memory) -> Duration {
        memory.opened_at.map_or(Duration::ZERO, |opened_at| {
            let passed = (self.clock.now() - opened_at).to_std().unwrap_or(PAUSE);
            PAUSE.saturating_sub(passed)
        })
    }
}

impl Permit<'_> {
    /// The provider answered, if only with a refusal.
    pub(crate) fn answered(self) {
        let mut memory = self.breaker.memory.lock().unwrap_or_else(PoisonError::into_inner);
        (memory.failures, memory.opened_at) = (0, None);
    }

    /// The provider could not be reached or was overloaded.
    pub(crate) fn failed(self) {
        let mut memory = self.breaker.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.failures = memory.failures.saturating_add(1);
        if self.trial || memory.failures >= MOST_FAILURES {
            memory.opened_at = Some(self.breaker.clock.now());
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.trial {
            self.breaker.memory.lock().unwrap_or_else(PoisonError::into_inner).trial = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    fn breaker() -> (Breaker, Arc<AtomicI64>) {
        let seconds = Arc::new(AtomicI64::new(0));
        let read = seconds.clone();
        let clock = Clock::new(move || DateTime::from_timestamp(read.load(Ordering::Relaxed), 0).unwrap_or_default());
        (Breaker::new(clock), seconds)
    }

    fn fail(breaker: &Breaker) {
        breaker.enter().map(Permit::failed).expect("the breaker lets calls through");
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_after_the_pause_closes_it() {
        let (breaker, seconds) = breaker();
        for _ in 0..MOST_FAILURES {
            assert_eq!(breaker.state(), BreakerState::Closed);
            fail(&breaker);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.enter().err(), Some(PAUSE));
        seconds.store(30, Ordering::Relaxed);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        let trial = breaker.enter().unwrap_or_else(|_| panic!("one call must go through"));
        assert!(breaker.enter().is_err(), "only one call is let through to see");
        trial.answered();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_failed_trial_opens_it_again_and_an_unfinished_one_lets_another_try() {
        let (breaker, seconds) = breaker();
        (0..MOST_FAILURES).for_each(|_| fail(&breaker));
        seconds.store(30, Ordering::Relaxed);
        drop(breaker.enter());
        fail(&breaker);
        assert_eq!(breaker.state(), BreakerState::Open);
        seconds.store(-1000, Ordering::Relaxed);
        assert_eq!(breaker.state(), BreakerState::HalfOpen, "a clock set back does not keep it open");
    }

    #[test]
    fn an_answer_in_between_starts_the_count_anew() {
        let (breaker, _) = breaker();
        for _ in 0..3 {
            (1..MOST_FAILURES).for_each(|_| fail(&breaker));
            breaker.enter().map(Permit::answered).expect("the breaker lets calls through");
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
