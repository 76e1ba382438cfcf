//! The stages of a generation, what people see of them, and how it can fail.

use std::ops::RangeInclusive;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// A stage of a generation. The order is the order of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Reading the technical sheet as it was at the request.
    Sheet,
    /// Setting flows, loads and limits.
    Basis,
    /// Comparing treatment trains.
    Trains,
    /// Sizing the chosen train.
    Sizing,
    /// Pricing it.
    Costs,
    /// Writing the text.
    Narrative,
    /// Checking the text against the calculations.
    Checks,
    /// Saving the proposal.
    Publish,
}

impl Stage {
    /// All stages, in the order of work.
    pub const ALL: [Self; 8] = [
        Self::Sheet,
        Self::Basis,
        Self::Trains,
        Self::Sizing,
        Self::Costs,
        Self::Narrative,
        Self::Checks,
        Self::Publish,
    ];

    /// The name in jobs, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sheet => "sheet",
            Self::Basis => "basis",
            Self::Trains => "trains",
            Self::Sizing => "sizing",
            Self::Costs => "costs",
            Self::Narrative => "narrative",
            Self::Checks => "checks",
            Self::Publish => "publish",
        }
    }

    /// The stage that follows.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage > self)
    }

    /// Progress in per cent, from the stage's start to its end.
    #[must_use]
    pub const fn progress(self) -> RangeInclusive<u8> {
        match self {
            Self::Sheet => 5..=5,
            Self::Basis => 15..=15,
            Self::Trains => 25..=38,
            Self::Sizing => 42..=42,
            Self::Costs => 52..=52,
            Self::Narrative => 58..=84,
            Self::Checks => 88..=88,
            Self::Publish => 95..=95,
        }
    }

    /// Progress after `elapsed` in the stage: a point every ten seconds, up to the stage's end.
    #[must_use]
    pub fn progress_after(self, elapsed: TimeDelta) -> u8 {
        let range = self.progress();
        let points = u8::try_from(elapsed.num_seconds().max(0) / 10).unwrap_or(u8::MAX);
        range.start().saturating_add(points).min(*range.end())
    }

    /// What people read while the stage goes on.
    #[must_use]
    pub const fn current_step(self) -> &'static str {
        match self {
            Self::Sheet => "Reading the project and its technical sheet",
            Self::Basis => "Setting the design basis: flows, loads, limits",
            Self::Trains => "Comparing treatment trains and reference cases",
            Self::Sizing => "Sizing the equipment",
            Self::Costs => "Estimating CAPEX and OPEX",
            Self::Narrative => "Writing the proposal",
            Self::Checks => "Checking the text against the calculations",
            Self::Publish => "Saving the proposal",
        }
    }
}

/// Why a generation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each text says what the code means")]
pub enum FailureCode {
    AiUnavailable,
    AiTimeout,
    AiOutputRejected,
    SpendLimit,
    InputUnusable,
    Cancelled,
    Internal,
}

impl FailureCode {
    /// The code, as jobs show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AiUnavailable => "AI_UNAVAILABLE",
            Self::AiTimeout => "AI_TIMEOUT",
            Self::AiOutputRejected => "AI_OUTPUT_REJECTED",
            Self::SpendLimit => "SPEND_LIMIT",
            Self::InputUnusable => "INPUT_UNUSABLE",
            Self::Cancelled => "CANCELLED",
            Self::Internal => "INTERNAL",
        }
    }

    /// What people read. It never holds a provider's words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::AiUnavailable => "The AI service is not available at the moment. Please try again in a few minutes.",
            Self::AiTimeout => "The generation took too long and was stopped. Please try again.",
            Self::AiOutputRejected => {
                "The result did not pass the engineering checks. Please review the technical data and try again."
            }
            Self::SpendLimit => "The limit for AI use has been reached. Please try again later.",
            Self::InputUnusable => "The technical data cannot be used as it is. Please check the marked fields.",
            Self::Cancelled => "The generation was cancelled.",
            Self::Internal => "Something went wrong on our side. Please try again.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_never_falls_from_one_stage_to_the_next() {
        for (earlier, later) in Stage::ALL.iter().zip(&Stage::ALL[1..]) {
            assert!(earlier.progress().end() < later.progress().start(), "{earlier:?} {later:?}");
            assert_eq!(earlier.next(), Some(*later));
        }
        assert_eq!(Stage::Publish.next(), None);
    }

    #[test]
    fn a_long_stage_moves_by_a_point_every_ten_seconds_up_to_its_end() {
        assert_eq!(Stage::Narrative.progress_after(TimeDelta::seconds(9)), 58);
        assert_eq!(Stage::Narrative.progress_after(TimeDelta::seconds(31)), 61);
        assert_eq!(Stage::Narrative.progress_after(TimeDelta::hours(9000)), 84);
        assert_eq!(Stage::Narrative.progress_after(TimeDelta::seconds(-5)), 58);
    }
}
