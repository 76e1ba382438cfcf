//! What is noticed about a sheet before anything is calculated.

use domain::document::Warning;
use domain::project::Open;
use engineering::WarningCode;
use engineering::sheet::ReadingOrigin;
use serde_json::Value;

/// Below this completeness a sheet is called incomplete, in per cent.
const ADVISABLE: u8 = 70;
/// The most empty fields that are named.
const MOST_FIELDS: usize = 20;

/// The warnings of a request.
pub(crate) fn of_request(project: &Open, offline: bool) -> Vec<Warning> {
    let reading = engineering::sheet::read(&project.data, &project.touched);
    let mut found = Vec::new();
    let completeness = domain::data::completeness(&project.data);
    if reading.fields_filled == 0 {
        found.push(warning("SHEET_EMPTY", "The technical sheet has no filled field.".to_owned(), vec![]));
    } else if completeness.percentage < ADVISABLE {
        let message = format!("{} % of the sheet is filled; {ADVISABLE} % is advisable.", completeness.percentage);
        found.push(warning("SHEET_INCOMPLETE", message, empty_fields(&project.data)));
    }
    let assumed = |origin| matches!(origin, ReadingOrigin::TemplateDefault | ReadingOrigin::Suggested);
    if !reading.parameters.is_empty() && reading.parameters.iter().all(|parameter| assumed(parameter.origin)) {
        let fields = reading.parameters.iter().take(MOST_FIELDS).map(|parameter| parameter.field.clone()).collect();
        found.push(warning(
            "DEFAULTS_ONLY",
            "Every water-quality value is a default nobody has confirmed.".to_owned(),
            fields,
        ));
    }
    found
        .extend(reading.warnings.iter().filter(|warning| warning.code == WarningCode::UnitUnknown).map(of_engineering));
    if offline {
        found.push(offline_narrative());
    }
    found
}

/// The text comes from templates.
pub(crate) fn offline_narrative() -> Warning {
    let message = "No language model is configured; the text is written from templates.".to_owned();
    warning("OFFLINE_NARRATIVE", message, vec![])
}

/// A warning of the calculations as the document has it.
pub(crate) fn of_engineering(found: &engineering::Warning) -> Warning {
    warning(found.code.as_str(), found.message.clone(), found.fields.clone())
}

fn warning(code: &str, message: String, fields: Vec<String>) -> Warning {
    Warning { code: code.to_owned(), message, fields }
}

/// Empty fields of the sheet, the critical ones first. Ids that people may have typed are left out.
fn empty_fields(data: &Value) -> Vec<String> {
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let mut found: Vec<(u8, String)> = Vec::new();
    for section in data["technical_sections"].as_array().into_iter().flatten() {
        let Some(section_id) = section["id"].as_str().filter(harmless) else { continue };
        for field in section["fields"].as_array().into_iter().flatten() {
            let empty = match &field["value"] {
                Value::Null => true,
                Value::String(text) => text.trim().is_empty(),
                Value::Array(items) => items.is_empty(),
                Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
            };
            if let Some(id) = field["id"].as_str().filter(harmless)
                && empty
            {
                let rank = match field["importance"].as_str() {
                    Some("critical") => 0,
                    Some("recommended") => 1,
                    Some(_) | None => 2,
                };
                found.push((rank, format!("{section_id}/{id}")));
            }
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().take(MOST_FIELDS).map(|(_, field)| field).collect()
}
