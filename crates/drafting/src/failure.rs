//! Failed steps, and what to do about them.

use std::time::Duration;

use domain::document::Warning;
use domain::proposal::{FailureClass, FailureCode, Usage};

/// A step failed. Nothing in here comes from a provider's words.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the step failed: {}", class.as_str())]
pub struct StepFailure {
    /// Why. A cancelled step fails as [`FailureClass::Timeout`]; who holds the token knows better.
    pub class: FailureClass,
    /// How long the provider asked us to wait.
    pub retry_after: Option<Duration>,
    /// What a person can correct.
    pub warnings: Vec<Warning>,
    /// What the failed step used of a language model.
    pub usage: Option<Usage>,
}

/// What to do about a failed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Try the step again after this time.
    RetryAfter(Duration),
    /// End the generation.
    GiveUp(FailureCode),
}

/// The first wait; it doubles with each failure.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// No wait of our own is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A provider may ask for a longer wait, but not for more than this.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

impl StepFailure {
    pub(crate) fn new(class: FailureClass) -> Self {
        Self { class, retry_after: None, warnings: vec![], usage: None }
    }

    /// What to do, when the step has failed `failures_so_far` times before this one. Waits double from two seconds to
    /// a minute, are spread by up to a half, and are never shorter than what the provider asked for.
    #[must_use]
    pub fn reaction(&self, failures_so_far: u32) -> Reaction {
        let (retries, code) = policy(self.class);
        if failures_so_far >= retries {
            return Reaction::GiveUp(code);
        }
        let own = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures_so_far)).min(LONGEST_WAIT);
        let asked = self.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        // All who were refused together would otherwise come back together.
        let spread = 1.0 + rand::random_range(0.0..0.5);
        Reaction::RetryAfter(own.max(asked).mul_f64(spread))
    }
}

/// How often a class of failure is tried again, and how the generation ends if that did not help.
const fn policy(class: FailureClass) -> (u32, FailureCode) {
    match class {
        FailureClass::RateLimit | FailureClass::Overload | FailureClass::Connection => (8, FailureCode::AiUnavailable),
        FailureClass::Timeout => (2, FailureCode::AiTimeout),
        FailureClass::CutOff => (3, FailureCode::AiUnavailable),
        FailureClass::InvalidOutput => (2, FailureCode::AiOutputRejected),
        // The same question seldom gets another answer: one more try is enough.
        FailureClass::Refusal | FailureClass::Length => (1, FailureCode::AiOutputRejected),
        FailureClass::Quota => (0, FailureCode::SpendLimit),
        FailureClass::Auth | FailureClass::BadRequest => (0, FailureCode::AiUnavailable),
        FailureClass::InputUnusable => (0, FailureCode::InputUnusable),
        FailureClass::Defect => (0, FailureCode::Internal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_are_bounded_and_honour_the_provider() {
        let failure = StepFailure::new(FailureClass::Overload);
        for (failures, least) in [(0, 2), (1, 4), (4, 32), (7, 60)] {
            let Reaction::RetryAfter(wait) = failure.reaction(failures) else { panic!("no retry after {failures}") };
            let least = Duration::from_secs(least);
            assert!(least <= wait && wait <= least.mul_f64(1.5), "{failures}: {wait:?}");
        }
        let asked = |seconds| StepFailure { retry_after: Some(Duration::from_secs(seconds)), ..failure.clone() };
        assert!(matches!(asked(90).reaction(0), Reaction::RetryAfter(wait) if wait >= Duration::from_secs(90)));
        assert!(matches!(asked(86_400).reaction(0), Reaction::RetryAfter(wait) if wait <= Duration::from_secs(450)));
    }

    #[test]
    fn what_cannot_get_better_is_given_up_at_once() {
        for (class, code) in [
            (FailureClass::Quota, FailureCode::SpendLimit),
            (FailureClass::Auth, FailureCode::AiUnavailable),
            (FailureClass::BadRequest, FailureCode::AiUnavailable),
            (FailureClass::InputUnusable, FailureCode::InputUnusable),
            (FailureClass::Defect, FailureCode::Internal),
        ] {
            assert_eq!(StepFailure::new(class).reaction(0), Reaction::GiveUp(code));
        }
        assert_eq!(
            StepFailure::new(FailureClass::InvalidOutput).reaction(2),
            Reaction::GiveUp(FailureCode::AiOutputRejected)
        );
        assert_eq!(StepFailure::new(FailureClass::Timeout).reaction(2), Reaction::GiveUp(FailureCode::AiTimeout));
    }
}
