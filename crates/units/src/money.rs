//! Money in whole cents of a stated year, so that sums are exact.

use serde::{Deserialize, Serialize};

/// An amount in US dollars of a given year, in whole cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Whole cents.
    pub cents: i64,
    /// The year whose prices these are.
    pub year: u16,
}

impl Money {
    /// More than any plant costs (a hundred million million dollars), and far from the end of `i64`, so sums do not wrap.
    const MOST_CENTS: f64 = 1e16;

    /// Nothing, in prices of `year`.
    #[must_use]
    pub const fn nothing(year: u16) -> Self {
        Self { cents: 0, year }
    }

    /// A calculated amount in dollars, rounded to the nearest cent and held within what a plant can cost.
    #[must_use]
    pub fn from_usd(usd: f64, year: u16) -> Self {
        let cents = (usd * 100.0).round();
        let cents = if cents.is_nan() { 0.0 } else { cents.clamp(-Self::MOST_CENTS, Self::MOST_CENTS) };
        Self { cents: cents as i64, year }
    }

    /// The amount in dollars.
    #[must_use]
    pub fn usd(self) -> f64 {
        self.cents as f64 / 100.0
    }

    /// The sum with another amount of the same year.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        debug_assert_eq!(self.year, other.year, "amounts of different years are not added without an index");
        Self { cents: self.cents.saturating_add(other.cents), year: self.year }
    }

    /// The sum of amounts of one year.
    #[must_use]
    pub fn sum(year: u16, all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::nothing(year), Self::plus)
    }

    /// The amount times a factor, rounded to the nearest cent.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self::from_usd(self.usd() * factor, self.year)
    }

    /// Splits into `parts` amounts that differ by at most a cent and add up exactly.
    #[must_use]
    pub fn split(self, parts: u32) -> Vec<Self> {
        let parts = i64::from(parts.max(1));
        let (share, rest) = (self.cents.div_euclid(parts), self.cents.rem_euclid(parts));
        (0..parts).map(|n| Self { cents: share + i64::from(n < rest), year: self.year }).collect()
    }

    /// The amount in prices of another year by the ratio of two cost indices: C₂ = C₁ · I₂/I₁.
    #[must_use]
    pub fn indexed(self, index_then: f64, index_now: f64, year: u16) -> Self {
        Self::from_usd(self.usd() * index_now / index_then, year)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_adds_up_to_the_cent() {
        let whole = Money::from_usd(100.0, 2023);
        let parts = whole.split(3);
        assert_eq!(parts.iter().map(|part| part.cents).collect::<Vec<_>>(), [3334, 3333, 3333]);
        assert_eq!(Money::sum(2023, parts), whole);
    }

    #[test]
    fn nonsense_is_no_money() {
        assert_eq!(Money::from_usd(f64::NAN, 2023).cents, 0);
        assert!(Money::from_usd(f64::INFINITY, 2023).usd() <= 1e14);
    }
}
