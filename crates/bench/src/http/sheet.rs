//! The data documents that are sent.

use serde_json::{Value, json};

/// A sheet as the web client stores it, though without the keys it keeps there for display only.
const SHEET: &str = include_str!("../../../engineering/tests/sheets/dairy-cheese-230.json");

/// The field whose value changes.
const CHANGED: &str = "water-consumption";

/// The whole sheet, about 20 kB: each field with a description, a placeholder and options, as the web client sends it.
pub fn whole() -> Value {
    let mut data = serde_json::from_str::<Value>(SHEET).map(|mut file| file["data"].take()).unwrap_or_default();
    let options: Vec<_> = (1..=9).map(|n| format!("Choice {n} of those that the web client offers for it")).collect();
    for field in fields(&mut data) {
        let label = field["label"].as_str().unwrap_or_default().to_owned();
        field["description"] = json!(format!("{label}: as measured, or else as it is known from bills and permits."));
        field["placeholder"] = json!(format!("Enter a value for {label}"));
        field["options"] = json!(options);
    }
    data
}

/// The text of the whole sheet with `mark` in the place of one value.
pub fn changed(mark: &str) -> String {
    let mut data = whole();
    for field in fields(&mut data).filter(|field| field["id"] == CHANGED) {
        field["value"] = json!(mark);
    }
    data.to_string()
}

/// The text of a small document with `mark` in the place of one value.
pub fn small(mark: &str) -> String {
    json!({"notes": format!("Flow read at the meter: {mark} litres."), "field_observations": "Sampled after lunch."})
        .to_string()
}

fn fields(data: &mut Value) -> impl Iterator<Item = &mut Value> {
    let sections = data["technical_sections"].as_array_mut().into_iter().flatten();
    sections.flat_map(|section| section["fields"].as_array_mut().into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::scenario::MARK;
    use crate::load::Body;

    #[test]
    fn the_whole_sheet_is_of_the_size_the_figures_are_for() {
        let length = whole().to_string().len();
        assert!((18_000..=22_000).contains(&length), "{length}");
    }

    #[test]
    fn two_bodies_differ_in_one_value_of_one_field() {
        let body = Body::numbered(&changed(MARK), MARK, 412);
        let [mut one, mut other] = [body.next(), body.next()].map(|b| serde_json::from_slice::<Value>(&b).unwrap());
        assert_ne!(one, other);
        for (data, value) in [(&mut one, "412"), (&mut other, "413")] {
            let mut changed: Vec<_> = fields(data).filter(|field| field["id"] == CHANGED).collect();
            assert_eq!(changed.len(), 1);
            assert_eq!(changed[0]["value"], value);
            changed[0]["value"] = Value::Null;
        }
        assert_eq!(one, other);
    }

    #[test]
    fn a_small_body_is_json_with_its_number() {
        let body = Body::numbered(&small(MARK), MARK, 9);
        let data: Value = serde_json::from_slice(&body.next()).unwrap();
        assert_eq!(data["notes"], "Flow read at the meter: 9 litres.");
    }
}
