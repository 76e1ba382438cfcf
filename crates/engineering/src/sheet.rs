//! Reads the technical sheet: whatever JSON it is, there is a reading or a finding, never a panic and never a guess.
//!
//! Nothing a person typed as text leaves this module: words become known values of an enum or a finding that names the
//! field.

mod field;
mod number;
mod words;

use crate::limits::{Receiver, Regulation, ReuseUse};
use crate::note::{TraceEntry, Warning, WarningCode};
use crate::parameter::Parameter;
use field::{Field, fields, flow, many, not_understood, one, origin, out_of_range, plain, quantity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use units::{Dimension, Flow, Ratio};

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
