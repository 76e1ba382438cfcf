//! How much of the technical sheet is filled. The web client computes the same number in the browser.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SHEET;

/// How much of the technical sheet is filled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completeness {
    /// Filled fields per hundred fields, rounded to the nearest integer, halves up; 0 for a sheet without fields.
    pub percentage: u8,
    /// Filled fields.
    pub completed: u64,
    /// All fields.
    pub total: u64,
}

/// Counts the objects in `technical_sections[*].fields[*]`. A field is filled if its `value` is present, not null and
/// not `""`; an empty array, 0 and false are filled.
#[must_use]
pub fn completeness(document: &Value) -> Completeness {
    let sections = document.get(SHEET).and_then(Value::as_array).into_iter().flatten();
    let fields = sections.filter_map(|section| section.get("fields")?.as_array()).flatten();
    let (mut completed, mut total) = (0, 0);
    for field in fields.filter_map(Value::as_object) {
        total += 1;
        completed += u64::from(field.get("value").is_some_and(|value| !value.is_null() && value != ""));
    }
    Completeness { percentage: percentage(completed, total), completed, total }
}

/// `floor((filled / total) * 100 + 0.5)` in 64-bit floating point, in this order of operations (contract 8.0).
fn percentage(completed: u64, total: u64) -> u8 {
    if total == 0 {
        return 0;
    }
    // Exact: a document of 1 MiB has fewer than 2^53 fields. The quotient is at most 1, so the result is at most 100.
    ((completed as f64 / total as f64) * 100.0 + 0.5).floor() as u8
}
