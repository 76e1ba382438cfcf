//! Technical sheets as the web client stores them, each with the project it belongs to and a few facts.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

/// A sheet.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// What it is called.
    pub name: String,
    /// The project, as it is created.
    pub project: Value,
    /// The project's data.
    pub data: Value,
    /// The proposal to ask for.
    pub proposal_type: String,
    /// What must come out.
    pub facts: Value,
}

impl Sheet {
    fn read(text: &str) -> Self {
        let sheet: Value = serde_json::from_str(text).expect("a sheet is JSON");
        let text = |key: &str| sheet[key].as_str().expect("a sheet has a name and a type of proposal").to_owned();
        Self {
            name: text("name"),
            project: sheet["project"].clone(),
            data: sheet["data"].clone(),
            proposal_type: text("proposal_type"),
            facts: sheet["facts"].clone(),
        }
    }

    /// The same with another value in a field.
    pub fn with(mut self, section: &str, field: &str, key: &str, value: Value) -> Self {
        let sections = self.data["technical_sections"].as_array_mut().unwrap();
        let section = sections.iter_mut().find(|other| other["id"] == section).expect("the sheet has the section");
        let fields = section["fields"].as_array_mut().unwrap();
        let field = fields.iter_mut().find(|other| other["id"] == field).expect("the section has the field");
        field[key] = value;
        self
    }

    /// The fields of a section.
    pub fn fields(&self, section: &str) -> Vec<&Value> {
        let sections = self.data["technical_sections"].as_array().unwrap();
        let section = sections.iter().find(|other| other["id"] == section).expect("the sheet has the section");
        section["fields"].as_array().unwrap().iter().collect()
    }
}

/// A cheese dairy with 230 m³ of wastewater a day; it lives in this project.
pub fn dairy() -> Sheet {
    Sheet::read(include_str!("../../engineering/tests/sheets/dairy-cheese-230.json"))
}

/// A hotel of which little is known; it lives in this project.
pub fn hotel() -> Sheet {
    Sheet::read(include_str!("../../engineering/tests/sheets/hotel-thin-data.json"))
}

/// A sheet with nothing on it.
pub fn blank() -> Sheet {
    Sheet { name: "blank".to_owned(), data: json!({"technical_sections": []}), facts: json!({}), ..dairy() }
}

/// Every sheet there is: the two that live here, and those of the shared folder if it is there.
pub fn all() -> Vec<Sheet> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/sheets"));
    let Ok(files) = std::fs::read_dir(folder) else {
        // Not captured by the test runner, as what the printing macros write is.
        _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the shared sheets are not here ({}); two copies are used",
            folder.display()
        );
        return vec![dairy(), hotel()];
    };
    let mut sheets: Vec<Sheet> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| Sheet::read(&std::fs::read_to_string(path).unwrap()))
        .collect();
    for own in [dairy(), hotel()] {
        if !sheets.iter().any(|sheet| sheet.name == own.name) {
            sheets.push(own);
        }
    }
    sheets.sort_by(|a, b| a.name.cmp(&b.name));
    sheets
}

/// A number as people type it: `1,850`, `35,5`, `2.4e7`.
pub fn number(value: &Value) -> Option<f64> {
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    let text = value.as_str()?.trim();
    let decimal_comma = text.split_once(',').is_some_and(|(_, rest)| rest.len() != 3);
    text.replace(',', if decimal_comma { "." } else { "" }).parse().ok()
}

/// How many mg/L one of a unit of mass concentration is.
pub fn milligrams_per_litre(unit: &str) -> Option<f64> {
    match unit {
        "mg/L" | "ppm" => Some(1.0),
        "g/L" => Some(1_000.0),
        "µg/L" | "μg/L" | "ug/L" => Some(0.001),
        _ => None,
    }
}
