//! What every step says beside its result: traces, warnings, figures.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where a number comes from, by the marks of the engineering basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mark {
    /// Read in a stored public text; may be cited.
    V,
    /// Known from the named standard or book, not re-read: cited as unverified.
    K,
    /// An internal estimate without a public source; never shown as literature.
    E,
    /// Arithmetic or chemistry derived here: the formula is its own source.
    D,
}

impl Mark {
    /// Whether the source was read for this basis, or is arithmetic.
    #[must_use]
    pub const fn verified(self) -> bool {
        match self {
            Self::V | Self::D => true,
            Self::K | Self::E => false,
        }
    }
}

/// One engineering calculation: what went in, what came out, by which formula and on whose authority.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceEntry {
    /// The calculation, for example `equalisation.volume`.
    pub tool: String,
    /// What went in; each key ends in its unit, for example `flow_m3_per_day`.
    pub inputs: BTreeMap<String, Value>,
    /// What came out; keys as in `inputs`.
    pub outputs: BTreeMap<String, Value>,
    /// The formula in plain notation.
    pub formula: String,
    /// The source as the basis names it; `internal estimate` for mark E.
    pub source: String,
    /// How far the source can be trusted.
    pub mark: Mark,
    /// Whether the source was read, or is arithmetic.
    pub verified: bool,
}

impl TraceEntry {
    pub(crate) fn new(tool: &str, formula: &str, mark: Mark, source: &str) -> Self {
        let source = match mark {
            Mark::E if !source.starts_with("internal estimate") => format!("internal estimate; {source}"),
            Mark::V | Mark::K | Mark::E | Mark::D => source.to_owned(),
        };
        Self {
            tool: tool.to_owned(),
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            formula: formula.to_owned(),
            source: source.trim_end_matches("; ").to_owned(),
            mark,
            verified: mark.verified(),
        }
    }

    pub(crate) fn input(mut self, name: &str, value: f64) -> Self {
        self.inputs.insert(name.to_owned(), number(value));
        self
    }

    pub(crate) fn word(mut self, name: &str, value: &str) -> Self {
        self.inputs.insert(name.to_owned(), Value::String(value.to_owned()));
        self
    }

    pub(crate) fn output(mut self, name: &str, value: f64) -> Self {
        self.outputs.insert(name.to_owned(), number(value));
        self
    }
}

/// A number of the trace, to seven significant digits.
fn number(value: f64) -> Value {
    Value::from(significant(value, 7))
}

/// `value` to so many significant digits; not a number or infinite becomes zero, so that JSON never holds a null.
pub(crate) fn significant(value: f64, digits: i32) -> f64 {
    if !value.is_finite() || value == 0.0 {
        return 0.0;
    }
    let magnitude = digits - 1 - value.abs().log10().floor() as i32;
    let rounded = if magnitude >= 0 {
        let factor = 10f64.powi(magnitude);
        (value * factor).round() / factor
    } else {
        let factor = 10f64.powi(-magnitude);
        (value / factor).round() * factor
    };
    if rounded.is_finite() { rounded } else { value }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why there is a warning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum WarningCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl WarningCode {
            /// The code as clients see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The sheet has no filled field.
    SheetEmpty = "SHEET_EMPTY",
    /// Every quality parameter is a default.
    DefaultsOnly = "DEFAULTS_ONLY",
    /// A unit is not known, so the value was not used.
    UnitUnknown = "UNIT_UNKNOWN",
    /// A value could not be read, so it was not used.
    ValueNotUnderstood = "VALUE_NOT_UNDERSTOOD",
    /// A value is outside what is physically or practically possible.
    OutOfRange = "OUT_OF_RANGE",
    /// A quality parameter is not in the library, so it was not used.
    ParameterUnknown = "PARAMETER_UNKNOWN",
    /// A parameter is given twice; the first one counts.
    ParameterRepeated = "PARAMETER_REPEATED",
    /// Two parameters contradict each other.
    ParametersInconsistent = "PARAMETERS_INCONSISTENT",
    /// Consumption and wastewater contradict each other.
    FlowInconsistent = "FLOW_INCONSISTENT",
    /// There is no usable flow.
    FlowMissing = "FLOW_MISSING",
    /// There is no usable quality parameter and nothing to assume one from.
    ParametersMissing = "PARAMETERS_MISSING",
    /// A named regulation does not govern the named discharge point or country.
    RegulationMismatch = "REGULATION_MISMATCH",
    /// No regulation is named; one was assumed.
    RegulationAssumed = "REGULATION_ASSUMED",
    /// A parameter is higher in the effluent than in the influent.
    ParameterRises = "PARAMETER_RISES",
    /// A limit is not met by the design.
    LimitNotMet = "LIMIT_NOT_MET",
    /// A limit is met with less than the regulatory margin.
    MarginThin = "MARGIN_THIN",
    /// A unit works outside the range its design data hold for.
    UnitOutOfRange = "UNIT_OUT_OF_RANGE",
    /// A cost curve is used beyond the sizes it was made for.
    CostOutOfRange = "COST_OUT_OF_RANGE",
    /// A whole-plant figure is outside the sanity range of its technology.
    SanityRange = "SANITY_RANGE",
    /// A laboratory test is needed before this can be built.
    TestNeeded = "TEST_NEEDED",
    /// The proposed train was changed so that it can work.
    TrainRepaired = "TRAIN_REPAIRED",
    /// A side stream has no destination that is sure to accept it.
    SideStream = "SIDE_STREAM",
    /// The sheet is larger than what is read; the rest was left out.
    SheetTooLarge = "SHEET_TOO_LARGE",
}

/// Something the reader of the proposal must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Why.
    pub code: WarningCode,
    /// In words, without anything a person typed.
    pub message: String,
    /// The fields of the sheet it is about, as `section-id/field-id`.
    pub fields: Vec<String>,
}

impl Warning {
    pub(crate) fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: vec![] }
    }

    pub(crate) fn at(mut self, field: impl Into<String>) -> Self {
        self.fields.push(field.into());
        self
    }
}

/// The input cannot be used at all; the warnings name the fields to correct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the technical data cannot be used as it is")]
pub struct Unusable {
    /// What is wrong, with fields.
    pub findings: Vec<Warning>,
}

/// A calculated number the narrative may state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is, in English.
    pub name: String,
    /// Finite.
    pub value: f64,
    /// As people write it.
    pub unit: String,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { name: name.into(), value: significant(value, 9), unit: unit.to_owned() }
    }
}

/// A number for people: enough digits to check it, thousands separated.
pub(crate) fn shown(value: f64) -> String {
    let rounded = significant(value, 4);
    if rounded.abs() >= 1e7 {
        return format!("{rounded:.2e}");
    }
    if rounded.abs() < 1000.0 {
        return format!("{rounded}");
    }
    let whole = format!("{:.0}", rounded.abs());
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rounded < 0.0 { format!("-{grouped}") } else { grouped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        assert_eq!(shown(1_234_567.0), "1,235,000");
        assert_eq!(shown(0.123_456), "0.1235");
        assert_eq!(shown(2.4e7), "2.40e7");
        assert_eq!(shown(-1850.0), "-1,850");
        assert_eq!(significant(f64::NAN, 3), 0.0);
        assert!(significant(f64::MAX, 3).is_finite());
    }
}
