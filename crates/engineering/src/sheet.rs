//! Reads the technical sheet: whatever JSON it is, there is a reading or a finding, never a panic and never a guess.
//!
//! Nothing a person typed as text leaves this module: words become known values of an enum or a finding that names the
//! field.

mod number;
mod words;

use crate::limits::{Receiver, Regulation, ReuseUse};
use crate::note::{Mark, TraceEntry, Warning, WarningCode};
use crate::parameter::Parameter;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use units::{Dimension, Flow, Ratio, label};

pub use words::{Constraint, Objective};

/// Where a value on the sheet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadingOrigin {
    /// Imported from a laboratory report.
    Measured,
    /// Typed by the user.
    Typed,
    /// Still what the template of the sheet came with, so an assumption.
    TemplateDefault,
    /// Suggested by a model and not touched by the user, so an assumption.
    Suggested,
}

/// A water-quality value of the sheet in its canonical unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParameterReading {
    /// Which parameter.
    pub parameter: Parameter,
    /// In `unit`; finite, not negative, physically possible.
    pub value: f64,
    /// The canonical unit of the parameter.
    pub unit: String,
    /// Where it comes from.
    pub origin: ReadingOrigin,
    /// The field, as `section-id/field-id`.
    pub field: String,
}

/// A flow of the sheet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowReading {
    /// More than zero.
    pub flow_m3_per_day: Flow,
    /// Where it comes from.
    pub origin: ReadingOrigin,
    /// The field, as `section-id/field-id`.
    pub field: String,
}

/// What a flow field of the sheet holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowField {
    /// Nothing.
    #[default]
    Absent,
    /// A flow above zero.
    Given(FlowReading),
    /// Something that could not be read; a warning says why.
    NotUnderstood {
        /// The field.
        field: String,
    },
    /// A number that can not be a flow to treat: zero, negative or beyond any plant.
    Impossible {
        /// The field.
        field: String,
    },
}

impl FlowField {
    /// The flow, if there is one.
    #[must_use]
    pub fn given(&self) -> Option<&FlowReading> {
        match self {
            Self::Given(reading) => Some(reading),
            Self::Absent | Self::NotUnderstood { .. } | Self::Impossible { .. } => None,
        }
    }

    /// The field that holds something unusable.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        match self {
            Self::NotUnderstood { field } | Self::Impossible { field } => Some(field),
            Self::Absent | Self::Given(_) => None,
        }
    }
}

/// A plain number of the sheet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberReading {
    /// The value; its unit is in the name of the field that holds this.
    pub value: Ratio,
    /// Where it comes from.
    pub origin: ReadingOrigin,
    /// The field, as `section-id/field-id`.
    pub field: String,
}

/// How many people are served, as the sheet's choice says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeopleReading {
    /// The least.
    pub least: Ratio,
    /// The most, unless open-ended.
    pub most: Option<Ratio>,
    /// The field, as `section-id/field-id`.
    pub field: String,
}

/// Everything understood on the sheet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SheetReading {
    /// Water quality, in the order of the library, each parameter at most once.
    pub parameters: Vec<ParameterReading>,
    /// Wastewater generated.
    pub wastewater: FlowField,
    /// Water consumption.
    pub consumption: FlowField,
    /// A design flow set by the user.
    pub design_flow: FlowField,
    /// Peak over average flow.
    pub peak_factor: Option<NumberReading>,
    /// Hours of operation per day.
    pub operating_hours_per_day: Option<NumberReading>,
    /// People served daily.
    pub people: Option<PeopleReading>,
    /// What water costs now.
    pub water_price_usd_per_m3: Option<NumberReading>,
    /// The main objective.
    pub objective: Option<Objective>,
    /// Where treated water goes.
    pub discharge: Option<Receiver>,
    /// What treated water is to be used for again, in order, each once.
    pub reuse: Vec<ReuseUse>,
    /// Regulations named, in order, each once.
    pub regulations: Vec<Regulation>,
    /// Constraints named, in order, each once.
    pub constraints: Vec<Constraint>,
    /// How many fields the sheet has.
    pub fields_total: u32,
    /// How many of them hold something.
    pub fields_filled: u32,
    /// How values were read and converted.
    pub trace: Vec<TraceEntry>,
    /// What could not be understood.
    pub warnings: Vec<Warning>,
}

/// More fields than this are left out, with a warning.
const MOST_FIELDS: usize = 2_000;
/// Larger flows are beyond any plant, in m³/d.
const MOST_FLOW: f64 = 2e6;
/// Smaller flows are a drip, in m³/d.
const LEAST_FLOW: f64 = 0.05;

/// Reads the project-data document.
///
/// `touched` has the fields, as `section-id/field-id`, whose value changed in an event after the one that created
/// them: an untouched value equal to the template's is an assumption, whatever its `source` says.
#[must_use]
pub fn read(data: &Value, touched: &BTreeSet<String>) -> SheetReading {
    let mut reading = SheetReading::default();
    let fields = fields(data, touched, &mut reading);
    let mut quality: BTreeMap<Parameter, ParameterReading> = BTreeMap::new();
    for field in &fields {
        if field.is_empty() {
            continue;
        }
        match field.id {
            "wastewater-generated" => reading.wastewater = flow(field, &mut reading),
            "water-consumption" => reading.consumption = flow(field, &mut reading),
            "design-flow" => {
                // The library's default of 50 L/s counts only if the user has set it.
                if field.touched {
                    reading.design_flow = flow(field, &mut reading);
                }
            }
            "peak-factor" => {
                reading.peak_factor = plain(field, Dimension::None, 1.0..=20.0, &mut reading);
                let default = reading.peak_factor.as_mut().filter(|peak| peak.value.value() == 2.0 && !field.touched);
                if let Some(peak) = default {
                    peak.origin = ReadingOrigin::TemplateDefault;
                }
            }
            "operating-hours" => {
                reading.operating_hours_per_day = plain(field, Dimension::HoursPerDay, 0.5..=24.0, &mut reading);
            }
            "water-cost" => {
                reading.water_price_usd_per_m3 = plain(field, Dimension::PricePerVolume, 0.0..=1_000.0, &mut reading);
            }
            "people-served-daily" => match words::people(field.value) {
                Some((least, most)) => {
                    let (least, most) = (Ratio::clamped(least), most.map(Ratio::clamped));
                    reading.people = Some(PeopleReading { least, most, field: field.key.clone() });
                }
                None => reading.warnings.push(not_understood(field, "the number of people")),
            },
            "project-objective" => reading.objective = one(field, words::objective, &mut reading.warnings),
            "discharge-point" => reading.discharge = one(field, words::receiver, &mut reading.warnings),
            "reuse-goals" => reading.reuse = many(field, words::reuse, &mut reading.warnings),
            "regulatory-requirements" => reading.regulations = many(field, words::regulation, &mut reading.warnings),
            "constraints" => reading.constraints = many(field, words::constraint, &mut reading.warnings),
            _ => parameter(field, &mut quality, &mut reading),
        }
    }
    reading.parameters = quality.into_values().collect();
    cross_checks(&mut reading);
    reading
}

/// A field of the sheet, borrowed from the document.
struct Field<'a> {
    /// For findings: `section-id/field-id`, made harmless.
    key: String,
    id: &'a str,
    label: Option<&'a str>,
    value: &'a Value,
    unit: Option<&'a str>,
    source: Option<&'a str>,
    touched: bool,
    /// Whether an unknown parameter here deserves a finding.
    quality: bool,
    prose: bool,
}

impl Field<'_> {
    fn is_empty(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        }
    }
}

fn fields<'a>(data: &'a Value, touched: &BTreeSet<String>, reading: &mut SheetReading) -> Vec<Field<'a>> {
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

fn not_understood(field: &Field<'_>, what: &str) -> Warning {
    let message = format!("The value of this field could not be read as {what}, so it was not used.");
    Warning::new(WarningCode::ValueNotUnderstood, message).at(&field.key)
}

fn origin(field: &Field<'_>) -> ReadingOrigin {
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
        Value::String(text) => match number::parse(text) {
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
fn quantity(field: &Field<'_>, dimension: Dimension, reading: &mut SheetReading) -> Result<f64, Warning> {
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

fn out_of_range(field: &Field<'_>, least: f64, most: f64, unit: &str) -> Warning {
    let message = format!(
        "The value of this field is outside {} to {} {unit}, so it was not used.",
        crate::note::shown(least),
        crate::note::shown(most)
    );
    let message = message.replace(" ,", ",");
    Warning::new(WarningCode::OutOfRange, message).at(&field.key)
}

fn flow(field: &Field<'_>, reading: &mut SheetReading) -> FlowField {
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

fn plain(
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

fn one<T>(field: &Field<'_>, understand: fn(&str) -> Option<T>, warnings: &mut Vec<Warning>) -> Option<T> {
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

fn many<T: PartialEq>(field: &Field<'_>, understand: fn(&str) -> Option<T>, warnings: &mut Vec<Warning>) -> Vec<T> {
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

/// The values the template of the sheet comes with.
const TEMPLATE: &[(Parameter, f64)] = &[
    (Parameter::Ph, 7.2),
    (Parameter::Turbidity, 15.0),
    (Parameter::Tds, 500.0),
    (Parameter::Hardness, 180.0),
    (Parameter::Temperature, 25.0),
    (Parameter::Bod5, 300.0),
    (Parameter::Cod, 600.0),
    (Parameter::Tss, 250.0),
];

fn parameter(field: &Field<'_>, quality: &mut BTreeMap<Parameter, ParameterReading>, reading: &mut SheetReading) {
    if field.prose {
        return;
    }
    let Some(parameter) = Parameter::recognise(field.id, field.label) else {
        if field.quality {
            let message = "This parameter is not in the library, so it was not used in the calculations.";
            reading.warnings.push(Warning::new(WarningCode::ParameterUnknown, message).at(&field.key));
        }
        return;
    };
    let value = match quantity(field, parameter.dimension(), reading) {
        Ok(value) => value,
        Err(warning) => return reading.warnings.push(warning),
    };
    let least = if parameter == Parameter::Temperature { 0.0 } else { -0.0 };
    if !(least..=parameter.most()).contains(&value) {
        return reading.warnings.push(out_of_range(field, 0.0, parameter.most(), parameter.unit()));
    }
    // A zero nobody stands for is an empty field of the template, not a measurement.
    if value == 0.0 && !field.touched && !matches!(field.source, Some("manual" | "imported")) {
        return;
    }
    let default = !field.touched && TEMPLATE.contains(&(parameter, value));
    let origin = if default { ReadingOrigin::TemplateDefault } else { origin(field) };
    if quality.contains_key(&parameter) {
        let message = format!("{} is given twice; the first value counts.", parameter.name());
        reading.warnings.push(Warning::new(WarningCode::ParameterRepeated, message).at(&field.key));
        return;
    }
    let unit = parameter.unit().to_owned();
    // `+ 0.0` turns a negative zero into a plain one.
    let taken = ParameterReading { parameter, value: value + 0.0, unit, origin, field: field.key.clone() };
    quality.insert(parameter, taken);
}

/// Parameters that contradict each other are reported, not altered.
fn cross_checks(reading: &mut SheetReading) {
    let find = |parameter| reading.parameters.iter().find(|reading| reading.parameter == parameter);
    let pairs = [
        (Parameter::Bod5, Parameter::Cod),
        (Parameter::AmmoniaN, Parameter::Tkn),
        (Parameter::AmmoniaN, Parameter::Tn),
        (Parameter::Tkn, Parameter::Tn),
        (Parameter::Tph, Parameter::OilGrease),
        (Parameter::ChromiumVi, Parameter::Chromium),
        (Parameter::FecalColiforms, Parameter::TotalColiforms),
    ];
    let mut warnings = Vec::new();
    for (part, whole) in pairs {
        if let (Some(part), Some(whole)) = (find(part), find(whole))
            && part.value > whole.value
        {
            let message = format!(
                "{} is higher than {}, of which it is a part; both were used as given.",
                part.parameter.name(),
                whole.parameter.name()
            );
            let warning = Warning::new(WarningCode::ParametersInconsistent, message);
            warnings.push(warning.at(&part.field).at(&whole.field));
        }
    }
    if let (Some(tds), Some(ec)) = (find(Parameter::Tds), find(Parameter::Conductivity))
        && ec.value > 0.0
        && !(0.4..=1.0).contains(&(tds.value / ec.value))
    {
        let message = "TDS in mg/L is usually 0.55 to 0.75 of the conductivity in µS/cm; one of them may be wrong.";
        warnings.push(Warning::new(WarningCode::ParametersInconsistent, message).at(&tds.field).at(&ec.field));
    }
    reading.warnings.extend(warnings);
}

#[cfg(test)]
mod tests;
