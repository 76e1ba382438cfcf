//! Which parts of a document are personal data, decided by their place. When in doubt a text is personal: that costs an
//! encryption, while a text wrongly in the clear can never be taken back.

use serde_json::{Map, Value};

use super::stored::Stored;

/// Whatever lies below these keys is personal, at any depth of the document.
const PERSONAL_KEYS: [&str; 5] = ["notes", "field_observations", "basic_info", "client", "description"];
/// The section of the sheet that is personal as a whole.
const PERSONAL_SECTION: &str = "field-notes";
/// Keys of a field, beside its value, that describe the form and not the plant's people.
const FORM_KEYS: [&str; 12] = [
    "id",
    "label",
    "unit",
    "units",
    "type",
    "source",
    "importance",
    "required",
    "options",
    "placeholder",
    "validationMessage",
    "multiline",
];
/// Types of fields that hold technical values.
const TECHNICAL_TYPES: [&str; 5] = ["number", "unit", "select", "combobox", "tags"];

/// What the place of a value says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Whatever stands here is personal.
    Personal,
    /// Free text here is personal, numbers and switches are not.
    Free,
    /// Technical: readable, unless the value itself holds a personal key.
    Technical,
}

impl Place {
    fn hides(self, value: &Value) -> bool {
        match self {
            Self::Personal => true,
            Self::Free => has_text(value) || has_personal_key(value),
            Self::Technical => has_personal_key(value),
        }
    }

    /// A change at this place. Both sides are personal if one is.
    pub(super) fn store(self, old: Option<&Value>, new: Option<&Value>) -> (Option<Stored>, Option<Stored>) {
        let personal = old.into_iter().chain(new).any(|value| self.hides(value));
        (old.map(|value| Stored::new(value.clone(), personal)), new.map(|value| Stored::new(value.clone(), personal)))
    }

    const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Personal, _) | (_, Self::Personal) => Self::Personal,
            (Self::Free, _) | (_, Self::Free) => Self::Free,
            (Self::Technical, Self::Technical) => Self::Technical,
        }
    }
}

/// Whether all below this key is personal.
pub(super) fn is_personal_key(key: &str) -> bool {
    PERSONAL_KEYS.contains(&key)
}

/// The place of a top-level member that is compared as plain JSON. A sheet that does not fit its shape is one, too.
pub(super) fn of_member(key: &str) -> Place {
    match key {
        "regulations" => Place::Technical,
        key if is_personal_key(key) => Place::Personal,
        _ => Place::Free,
    }
}

/// The place of a section's own member (anything but a matched field).
pub(super) fn of_section_member(section: &str, key: &str) -> Place {
    match key {
        _ if section == PERSONAL_SECTION => Place::Personal,
        "title" => Place::Technical,
        key if is_personal_key(key) => Place::Personal,
        _ => Place::Free,
    }
}

/// The place of one member of a field, by what the field was and what it is now.
pub(super) fn of_field_member(section: &str, key: &str, old: &Map<String, Value>, new: &Map<String, Value>) -> Place {
    match key {
        _ if section == PERSONAL_SECTION => Place::Personal,
        "value" => of_value(old).or(of_value(new)),
        key if FORM_KEYS.contains(&key) => Place::Technical,
        key if is_personal_key(key) => Place::Personal,
        _ => Place::Free,
    }
}

/// The place of a field that came or went as a whole.
pub(super) fn of_field(section: &str, field: &Value) -> Place {
    let Some(members) = field.as_object() else { return Place::Free };
    let hidden = members.iter().any(|(key, value)| of_field_member(section, key, members, members).hides(value));
    if hidden { Place::Personal } else { Place::Technical }
}

/// The place of a section that came or went as a whole.
pub(super) fn of_section(id: &str, section: &Value) -> Place {
    let Some(members) = section.as_object() else { return Place::Free };
    let hidden = members.iter().any(|(key, value)| match (key.as_str(), value) {
        ("id", _) => id == PERSONAL_SECTION,
        ("fields", Value::Array(fields)) => fields.iter().any(|field| of_field(id, field).hides(field)),
        (key, value) => of_section_member(id, key).hides(value),
    });
    if hidden { Place::Personal } else { Place::Technical }
}

fn of_value(field: &Map<String, Value>) -> Place {
    let text = |key| field.get(key).and_then(Value::as_str);
    if field.get("multiline") == Some(&Value::Bool(true)) || text("type") == Some("text") {
        Place::Personal
    } else if text("type").is_some_and(|kind| TECHNICAL_TYPES.contains(&kind)) {
        Place::Technical
    } else {
        Place::Free
    }
}

fn has_text(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(has_text),
        Value::Object(members) => members.values().any(has_text),
    }
}

/// Also finds keys that start with `$`, so that nobody's own data can pass for a mark of the event store's.
fn has_personal_key(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        Value::Array(items) => items.iter().any(has_personal_key),
        Value::Object(members) => {
            members.iter().any(|(key, value)| is_personal_key(key) || key.starts_with('$') || has_personal_key(value))
        }
    }
}
