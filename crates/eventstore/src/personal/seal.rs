//! Sealing and opening the personal values inside a JSON document.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::personal::{ERASED, ERASED_TEXT, PERSONAL, SEALED};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Key, open_bytes, seal_bytes};

/// The member that holds an object which only looks like one of ours.
const LITERAL: &str = "$literal";

/// Where a value stands. It is part of what is authenticated, so a value opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) aggregate_type: &'a str,
    pub(crate) aggregate_id: &'a str,
    pub(crate) sequence: i64,
    pub(crate) subject: Uuid,
}

impl Place<'_> {
    /// The place as bytes: the parts of variable length end with a character that they cannot hold.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        format!("{}\0{}\0{}\0{}", self.aggregate_type, self.aggregate_id, self.sequence, self.subject).into_bytes()
    }
}

/// Whether JSON that is about to be written holds anything to seal or keep apart. A member's name appears in JSON
/// text with its quotes; inside a string they would be escaped.
pub(crate) fn has_clear_marker(json: &str) -> bool {
    json.contains("\"$") && [PERSONAL, SEALED, LITERAL].iter().any(|name| json.contains(&format!("\"{name}\"")))
}

/// Whether stored JSON holds anything to open.
pub(crate) fn has_stored_marker(json: &str) -> bool {
    json.contains("\"$") && [SEALED, LITERAL].iter().any(|name| json.contains(&format!("\"{name}\"")))
}

/// Replaces each `{"$personal": v}` by its sealed form; without a key, which was destroyed then, by the erased form.
pub(crate) fn seal(value: &mut Value, key: Option<&Key>, place: &Place<'_>) {
    if let Some(personal) = only_member(value, PERSONAL) {
        let clear = personal.to_string();
        *value = key.map_or_else(
            || json!({ERASED: true}),
            |key| json!({SEALED: STANDARD.encode(seal_bytes(key, clear.as_bytes(), &place.bytes()))}),
        );
        return;
    }
    let looks_like_ours = only_member(value, SEALED).is_some() || only_member(value, LITERAL).is_some();
    for_each_child(value, |child| seal(child, key, place));
    if looks_like_ours {
        *value = json!({LITERAL: value.take()});
    }
}

/// Undoes [`seal`].
///
/// # Errors
///
/// [`NotSealedHere`] if a sealed value does not open with the key: damaged, moved, or sealed under another key.
pub(crate) fn open(value: &mut Value, key: Option<&Key>, place: &Place<'_>) -> Result<(), NotSealedHere> {
    if let Some(sealed) = only_member(value, SEALED) {
        *value = match key {
            None => json!({ERASED: true}),
            Some(key) => {
                let sealed = sealed.as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or(NotSealedHere)?;
                let clear = open_bytes(key, &sealed, &place.bytes()).ok_or(NotSealedHere)?;
                let personal: Value = serde_json::from_slice(&clear).map_err(|_| NotSealedHere)?;
                json!({PERSONAL: personal})
            }
        };
        return Ok(());
    }
    if let Some(literal) = only_member(value, LITERAL) {
        *value = literal.take();
    }
    let mut result = Ok(());
    for_each_child(value, |child| result = result.and(open(child, key, place)));
    result
}

/// A sealed value that does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotSealedHere;

/// Puts plain values in the place of opened ones, and `[erased]` in the place of erased ones: for people to read.
pub fn reveal(value: &mut Value) {
    if let Some(personal) = only_member(value, PERSONAL) {
        *value = personal.take();
    } else if only_member(value, ERASED).is_some() {
        *value = ERASED_TEXT.into();
    } else {
        for_each_child(value, reveal);
    }
}

/// The value of an object's member `name`, if that is its only member.
fn only_member<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let object: &mut Map<String, Value> = value.as_object_mut()?;
    if object.len() == 1 { object.get_mut(name) } else { None }
}

fn for_each_child(value: &mut Value, mut visit: impl FnMut(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(&mut visit),
        Value::Object(members) => members.values_mut().for_each(&mut visit),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = [9; 32];

    fn place(sequence: i64) -> Place<'static> {
        Place { aggregate_type: "project", aggregate_id: "x", sequence, subject: Uuid::nil() }
    }

    fn document() -> Value {
        json!({
            "client": {"$personal": "Aguas del Sur"},
            "notes": [{"$personal": null}, {"$personal": {"deep": [1.5, "b"]}}],
            "entered": {"a": {"$sealed": "no"}, "b": {"$literal": {"$sealed": {"$literal": 1}}}, "c": "\"$sealed\""},
            "n": 0.1,
        })
    }

    #[test]
    fn sealing_hides_personal_values_and_opening_gives_the_document_back() {
        let mut value = document();
        assert!(has_clear_marker(&value.to_string()));
        seal(&mut value, Some(&KEY), &place(1));
        let stored = value.to_string();
        assert!(has_stored_marker(&stored));
        for hidden in ["Aguas", "deep", "$personal"] {
            assert!(!stored.contains(hidden), "{hidden}");
        }
        open(&mut value, Some(&KEY), &place(1)).unwrap();
        assert_eq!(value, document());
    }

    #[test]
    fn a_value_moved_to_another_event_does_not_open() {
        let mut value = document();
        seal(&mut value, Some(&KEY), &place(1));
        assert_eq!(open(&mut value.clone(), Some(&KEY), &place(2)), Err(NotSealedHere));
        assert_eq!(open(&mut value, Some(&[8; 32]), &place(1)), Err(NotSealedHere));
    }

    #[test]
    fn without_a_key_values_are_erased_and_what_people_entered_stays() {
        let mut value = document();
        seal(&mut value, Some(&KEY), &place(1));
        open(&mut value, None, &place(1)).unwrap();
        assert_eq!(value["client"], json!({"$erased": true}));
        assert_eq!(value["entered"], document()["entered"]);
        reveal(&mut value);
        assert_eq!(value["client"], "[erased]");
    }

    #[test]
    fn new_values_of_an_erased_subject_are_never_written() {
        let mut value = document();
        seal(&mut value, None, &place(1));
        assert_eq!(value["client"], json!({"$erased": true}));
        assert!(!value.to_string().contains("Aguas"));
    }

    #[test]
    fn text_that_quotes_a_marker_is_no_marker() {
        let text = json!({"note": "he wrote \"$sealed\": and \"$personal\""}).to_string();
        assert!(!has_clear_marker(&text) && !has_stored_marker(&text));
    }

    #[test]
    fn people_read_plain_values() {
        let mut value = document();
        reveal(&mut value);
        assert_eq!(value["client"], "Aguas del Sur");
        assert_eq!(value["notes"], json!([null, {"deep": [1.5, "b"]}]));
    }
}
