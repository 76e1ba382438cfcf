//! One figure: what each round gave on both sides, and what it is to reach.

use serde::Serialize;

/// A figure with its rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// Of what the measured values are.
    pub unit: &'static str,
    /// What each round gave.
    pub measured: Vec<f64>,
    /// What it is compared with, and what that gave in the same rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<(String, Vec<f64>)>,
    /// What the ratio is to reach, or the measured value where nothing is compared.
    pub target: Target,
}

/// What a figure is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// As much, or more.
    AtLeast(f64),
    /// As much, or less.
    AtMost(f64),
    /// It only explains another figure.
    None,
}

/// The middle of some values, and the ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median; the lower one of the two middle values of an even number.
    pub median: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Spread {
    /// Of these values; zeros if there are none.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let last = sorted.len().saturating_sub(1);
        Self { median: at(last / 2), low: at(0), high: at(last) }
    }
}

impl Figure {
    /// A figure that stands alone.
    pub fn alone(what: impl Into<String>, unit: &'static str, measured: Vec<f64>, target: Target) -> Self {
        Self { what: what.into(), unit, measured, against: None, target }
    }

    /// What its target is for: the ratio of each round, or the measured value.
    pub fn judged(&self) -> Spread {
        match &self.against {
            None => Spread::of(&self.measured),
            Some((_, reference)) => {
                let ratios: Vec<_> = self.measured.iter().zip(reference).map(|(ours, theirs)| ours / theirs).collect();
                Spread::of(&ratios)
            }
        }
    }

    /// Whether its median reaches its target.
    pub fn is_reached(&self) -> bool {
        match self.target {
            Target::AtLeast(least) => least <= self.judged().median,
            Target::AtMost(most) => self.judged().median <= most,
            Target::None => true,
        }
    }

    /// The figure on one line.
    pub fn line(&self) -> String {
        let Spread { median, low, high } = self.judged();
        let measured = Spread::of(&self.measured).median;
        let Self { what, unit, .. } = self;
        match &self.against {
            Some((reference, values)) => {
                let theirs = Spread::of(values).median;
                format!(
                    "{what}: {measured:.1} {unit}, {reference}: {theirs:.1}, ratio {median:.3} ({low:.3}–{high:.3})"
                )
            }
            None => format!("{what}: {median:.1} {unit} ({low:.1}–{high:.1})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_value_that_occurred() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, low: 1.0, high: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]), Spread { median: 1.0, low: 1.0, high: 4.0 });
        assert_eq!(Spread::of(&[]), Spread { median: 0.0, low: 0.0, high: 0.0 });
    }

    #[test]
    fn a_target_is_for_the_ratio_of_each_round_where_there_is_one() {
        let against = Some(("pgbench".to_owned(), vec![100.0, 50.0, 200.0]));
        let mut figure = Figure { against, ..Figure::alone("x", "1/s", vec![30.0, 30.0, 80.0], Target::AtLeast(0.35)) };
        assert_eq!(figure.judged(), Spread { median: 0.4, low: 0.3, high: 0.6 });
        assert!(figure.is_reached());
        figure.target = Target::AtLeast(0.41);
        assert!(!figure.is_reached());
        figure.against = None;
        figure.target = Target::AtMost(29.0);
        assert!(!figure.is_reached());
    }
}
