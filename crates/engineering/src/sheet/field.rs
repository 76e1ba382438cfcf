//! The fields of a sheet, and their values as numbers, flows and choices.

use super::{FlowField, FlowReading, NumberReading, ReadingOrigin, SheetReading};
use crate::note::{Mark, TraceEntry, Warning, WarningCode};
use serde_json::Value;
use std::collections::BTreeSet;
use units::{Dimension, Flow, Ratio, label};

/// More fields than this are left out, with a warning.
const MOST_FIELDS: usize = 2_000;

/// Larger flows are beyond any plant, in m³/d.
const MOST_FLOW: f64 = 2e6;

/// Smaller flows are a drip, in m³/d.
const LEAST_FLOW: f64 = 0.05;

/// A field of the sheet, borrowed from the document.
pub(super) struct Field<'a> {
    /// For findings: `section-id/field-id`, made harmless.
    pub(super) key: String,
    pub(super) id: &'a str,
    pub(super) label: Option<&'a str>,
    pub(super) value: &'a Value,
    pub(super) unit: Option<&'a str>,
    pub(super) source: Option<&'a str>,
    pub(super) touched: bool,
    /// Whether an unknown parameter here deserves a finding.
    pub(super) quality: bool,
    pub(super) prose: bool,
}

impl Field<'_> {
    pub(super) fn is_empty(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        }
    }
}

pub(super) fn fields<'a>(data: &'a Value, touched: &BTreeSet<String>, reading: &mut SheetReading) -> Vec<Field<'a>> {
    let text = |value: &'a Value, key: &str| value.get(key).and_then(Value::as_str);
    let mut found = Vec::new();
    let sections = data.get("technical_sections").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (s, section) in sections.iter().enumerate() {
        let section_id = text(section, "id").unwrap_or_default();
        let fields = section.get("fields").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (f, field) in fields.iter().enumerate().filter(|(_, field)| field.is_object()) {
            reading.fields_total = reading.fields_total.saturating_add(1);
            let value = field.get("value").unwrap_or(&Value::Null);
            if !value.is_null() && value.as_str() != Some("") {
                reading.fields_filled = reading.fields_filled.saturating_add(1);
            }
            let id = text(field, "id").unwrap_or_default();
            found.push(Field {
                key: format!("{}/{}", harmless(section_id, "section", s), harmless(id, "field", f)),
                id,
                label: text(field, "label"),
                value,
                unit: text(field, "unit"),
                source: text(field, "source"),
                touched: touched.contains(&format!("{section_id}/{id}")),
                quality: section_id == "water-quality",
                prose: text(field, "type") == Some("text") || field.get("multiline") == Some(&Value::Bool(true)),
            });
        }
    }
    // The older layout, which the endpoint for single parameters still writes.
    for (n, (name, field)) in data.get("quality").and_then(Value::as_object).into_iter().flatten().enumerate() {
        reading.fields_total = reading.fields_total.saturating_add(1);
        let value = field.get("value").unwrap_or(&Value::Null);
        if !value.is_null() && value.as_str() != Some("") {
            reading.fields_filled = reading.fields_filled.saturating_add(1);
        }
        found.push(Field {
            key: format!("quality/{}", harmless(name, "parameter", n)),
            id: name,
            label: text(field, "parameter").or(text(field, "name")),
            value,
            unit: text(field, "unit"),
            source: text(field, "source"),
            touched: true,
            quality: true,
            prose: false,
        });
    }
    if found.len() > MOST_FIELDS {
        found.truncate(MOST_FIELDS);
        let message = format!("Only the first {MOST_FIELDS} fields of the sheet were read.");
        reading.warnings.push(Warning::new(WarningCode::SheetTooLarge, message));
    }
    if reading.fields_filled == 0 {
        reading.warnings.push(Warning::new(WarningCode::SheetEmpty, "The technical sheet has no filled field."));
    }
    found
}

/// An id fit for a finding; text a person may have typed is replaced by its place.
fn harmless(id: &str, what: &str, place: usize) -> String {
    const LONGEST_ID: usize = 64;
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !id.is_empty() && id.len() <= LONGEST_ID && id.chars().all(fine) {
        id.to_owned()
    } else {
        format!("{what}-{}", place + 1)
    }
}

pub(super) fn not_understood(field: &Field<'_>, what: &str) -> Warning {
    let message = format!("The value of this field could not be read as {what}, so it was not used.");
    Warning::new(WarningCode::ValueNotUnderstood, message).at(&field.key)
}

pub(super) fn origin(field: &Field<'_>) -> ReadingOrigin {
    match field.source {
        Some("imported") => ReadingOrigin::Measured,
        Some("ai") if !field.touched => ReadingOrigin::Suggested,
        Some(_) | None => ReadingOrigin::Typed,
    }
}

/// The number of a field, with a note in the trace if it needed interpretation.
fn number_of(field: &Field<'_>, reading: &mut SheetReading) -> Result<f64, Warning> {
    let (value, note) = match field.value {
        Value::Number(number) => (number.as_f64(), None),
        Value::String(text) => match super::number::parse(text) {
            Some((value, note)) => (Some(value), note),
            None => (None, None),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => (None, None),
    };
    let value = value.filter(|value| value.is_finite()).ok_or_else(|| not_understood(field, "one number"))?;
    if let Some(note) = note {
        let entry = TraceEntry::new("sheet.number", note, Mark::D, "engineering basis 1.1")
            .word("field", &field.key)
            .output("value", value);
        reading.trace.push(entry);
    }
    Ok(value)
}

/// The number of a field in the canonical unit of `dimension`.
pub(super) fn quantity(field: &Field<'_>, dimension: Dimension, reading: &mut SheetReading) -> Result<f64, Warning> {
    let value = number_of(field, reading)?;
    let written = field.unit.unwrap_or_default();
    let unit = label::parse(written);
    // Hardness and alkalinity are often written in plain mg/L, meaning as CaCO₃; hours and factors without a unit.
    let fits = |found: Dimension| {
        found == dimension
            || (dimension == Dimension::Hardness && found == Dimension::Concentration)
            || (dimension == Dimension::HoursPerDay && found == Dimension::None)
            || (dimension == Dimension::None && written.is_empty())
    };
    let Some(unit) = unit.filter(|unit| fits(unit.dimension)) else {
        let message =
            format!("The unit of this field is not one for {}, so its value was not used.", described(dimension));
        return Err(Warning::new(WarningCode::UnitUnknown, message).at(&field.key));
    };
    let canonical = unit.to_canonical(value);
    if canonical.is_finite() && (unit.scale != 1.0 || unit.offset != 0.0) {
        let entry = TraceEntry::new("sheet.unit", "(value + offset) x factor", Mark::D, "engineering basis 1.2")
            .word("field", &field.key)
            .input("value_as_written", value)
            .input("factor", unit.scale)
            .input("offset", unit.offset)
            .output(&format!("value_{}", dimension.canonical()), canonical);
        reading.trace.push(entry);
    }
    Ok(canonical)
}

const fn described(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Flow => "a flow",
        Dimension::Concentration => "a concentration",
        Dimension::Hardness => "a concentration as CaCO₃",
        Dimension::Temperature => "a temperature",
        Dimension::Organisms => "a count of organisms",
        Dimension::Turbidity => "turbidity",
        Dimension::Color => "color",
        Dimension::Conductivity => "conductivity",
        Dimension::HoursPerDay => "hours per day",
        Dimension::PricePerVolume => "a price of water",
        Dimension::LitresPerPerson => "litres per person and day",
        Dimension::EggsPerLitre => "helminth eggs",
        Dimension::Settleable => "settleable solids",
        Dimension::None => "a plain number",
    }
}

pub(super) fn out_of_range(field: &Field<'_>, least: f64, most: f64, unit: &str) -> Warning {
    let message = format!(
        "The value of this field is outside {} to {} {unit}, so it was not used.",
        crate::note::shown(least),
        crate::note::shown(most)
    );
    let message = message.replace(" ,", ",");
    Warning::new(WarningCode::OutOfRange, message).at(&field.key)
}

pub(super) fn flow(field: &Field<'_>, reading: &mut SheetReading) -> FlowField {
    let key = field.key.clone();
    match quantity(field, Dimension::Flow, reading) {
        Ok(value) if (LEAST_FLOW..=MOST_FLOW).contains(&value) => {
            let flow_m3_per_day = Flow::clamped(value);
            FlowField::Given(FlowReading { flow_m3_per_day, origin: origin(field), field: key })
        }
        Ok(_) => {
            reading.warnings.push(out_of_range(field, LEAST_FLOW, MOST_FLOW, "m³/d"));
            FlowField::Impossible { field: key }
        }
        Err(warning) => {
            reading.warnings.push(warning);
            FlowField::NotUnderstood { field: key }
        }
    }
}

pub(super) fn plain(
    field: &Field<'_>,
    dimension: Dimension,
    range: std::ops::RangeInclusive<f64>,
    reading: &mut SheetReading,
) -> Option<NumberReading> {
    match quantity(field, dimension, reading) {
        Ok(value) if range.contains(&value) => {
            Some(NumberReading { value: Ratio::clamped(value), origin: origin(field), field: field.key.clone() })
        }
        Ok(_) => {
            reading.warnings.push(out_of_range(field, *range.start(), *range.end(), dimension.canonical()));
            None
        }
        Err(warning) => {
            reading.warnings.push(warning);
            None
        }
    }
}

pub(super) fn one<T>(field: &Field<'_>, understand: fn(&str) -> Option<T>, warnings: &mut Vec<Warning>) -> Option<T> {
    let text = match field.value {
        Value::String(text) => Some(text.as_str()),
        Value::Array(items) if items.len() == 1 => items[0].as_str(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let understood = text.and_then(understand);
    if understood.is_none() {
        warnings.push(not_understood(field, "one of the known choices"));
    }
    understood
}

pub(super) fn many<T: PartialEq>(
    field: &Field<'_>,
    understand: fn(&str) -> Option<T>,
    warnings: &mut Vec<Warning>,
) -> Vec<T> {
    const MOST_CHOICES: usize = 50;
    let texts: Vec<Option<&str>> = match field.value {
        Value::String(text) => {
            text.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()).map(Some).collect()
        }
        Value::Array(items) => items.iter().take(MOST_CHOICES).map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![None],
    };
    let mut found = Vec::new();
    let mut strange = 0;
    for text in texts {
        match text.and_then(understand) {
            Some(value) if !found.contains(&value) => found.push(value),
            Some(_) => {}
            None => strange += 1,
        }
    }
    if strange > 0 {
        let message = format!("{strange} of the choices of this field are not known, so they were not used.");
        warnings.push(Warning::new(WarningCode::ValueNotUnderstood, message).at(&field.key));
    }
    found
}
