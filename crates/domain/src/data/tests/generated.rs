//! Documents to try the rules on.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// Stands in every text of [`planted`] that is personal.
pub const MARK: &str = "SECRET";

const KEYS: [&str; 14] = [
    "a",
    "b/c",
    "~d",
    "",
    "0",
    "id",
    "fields",
    "title",
    "notes",
    "value",
    "type",
    "$personal",
    "$erased",
    "technical_sections",
];

/// Any JSON, with keys that are likely to meet.
fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_i32..1_000).prop_map(|eighths| json!(f64::from(eighths) / 8.0)),
        select(vec!["", "x", "y", "[erased]"]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 60, 5, |inner| {
        prop_oneof![vec(inner.clone(), 0..5).prop_map(Value::from), object(inner).boxed()]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let key = prop_oneof![9 => select(KEYS.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    vec((key, value), 0..6).prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// Any JSON object.
pub fn any_object() -> impl Strategy<Value = Value> {
    object(any_json())
}

fn field() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        select(vec!["", "412", "7.2", "Yes"]).prop_map(Value::from),
        (0..500).prop_map(Value::from),
        vec(select(vec!["Cooling", "Laundry"]), 0..3).prop_map(Value::from),
        "[a-zñ你]{190,210}".prop_map(Value::from),
    ];
    let kind = select(vec!["number", "unit", "text", "tags", "select", "combobox", "unheard-of"]);
    let rest = (option::of(select(vec!["", "m³/day", "mg/L"])), option::of("[a-c]{0,3}"), option::of(0_usize..3));
    (select(vec!["flow", "ph", "bod5", "tss"]), option::of(value), kind, rest).prop_map(
        |(id, value, kind, (unit, notes, options))| {
            let mut field = Map::from_iter([("id".to_owned(), json!(id)), ("type".to_owned(), json!(kind))]);
            let optional = [
                ("value", value),
                ("unit", unit.map(Value::from)),
                ("notes", notes.map(Value::from)),
                ("options", options.map(|count| json!(vec!["Yes"; count]))),
                ("label", Some(json!(id.to_uppercase()))),
            ];
            field.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
            Value::Object(field)
        },
    )
}

fn section() -> impl Strategy<Value = Value> {
    let id = select(vec!["economics-scale", "water-quality", "field-notes", "custom-1"]);
    (id, "[A-C]{1,2}", vec(field(), 0..6), option::of("[a-c]{0,3}")).prop_map(|(id, title, fields, notes)| {
        let mut section = json!({"id": id, "title": title, "fields": fields});
        if let Some(notes) = notes {
            section["notes"] = json!(notes);
        }
        section
    })
}

/// A sheet, repeated ids included, and what an editor made of it.
pub fn edited_sheets() -> impl Strategy<Value = (Value, Value)> {
    #[derive(Debug, Clone)]
    enum Edit {
        ReplaceField(usize, usize, Value),
        RemoveField(usize, usize),
        InsertField(usize, usize, Value),
        SwapFields(usize, usize, usize),
        ReplaceSection(usize, Value),
        RemoveSection(usize),
        InsertSection(usize, Value),
        SwapSections(usize, usize),
    }
    let place = || 0_usize..6;
    let edit = prop_oneof![
        (place(), place(), field()).prop_map(|(s, f, new)| Edit::ReplaceField(s, f, new)),
        (place(), place()).prop_map(|(s, f)| Edit::RemoveField(s, f)),
        (place(), place(), field()).prop_map(|(s, f, new)| Edit::InsertField(s, f, new)),
        (place(), place(), place()).prop_map(|(s, f, g)| Edit::SwapFields(s, f, g)),
        (place(), section()).prop_map(|(s, new)| Edit::ReplaceSection(s, new)),
        place().prop_map(Edit::RemoveSection),
        (place(), section()).prop_map(|(s, new)| Edit::InsertSection(s, new)),
        (place(), place()).prop_map(|(s, t)| Edit::SwapSections(s, t)),
    ];
    (vec(section(), 1..6), vec(edit, 0..5)).prop_map(|(old, edits)| {
        let mut new = old.clone();
        for edit in edits {
            let sections = new.len().max(1);
            if let Edit::InsertSection(s, section) = edit {
                new.insert(s % (new.len() + 1), section);
                continue;
            }
            if new.is_empty() {
                continue;
            }
            let fields = |new: &mut Vec<Value>, s: usize| new[s % sections]["fields"].as_array().unwrap().clone();
            let (s, changed) = match edit {
                Edit::ReplaceSection(s, section) => {
                    new[s % sections] = section;
                    continue;
                }
                Edit::RemoveSection(s) => {
                    new.remove(s % sections);
                    continue;
                }
                Edit::SwapSections(s, t) => {
                    new.swap(s % sections, t % sections);
                    continue;
                }
                Edit::InsertSection(..) => unreachable!("handled above"),
                Edit::InsertField(s, f, field) => {
                    let mut fields = fields(&mut new, s);
                    fields.insert(f % (fields.len() + 1), field);
                    (s, fields)
                }
                Edit::ReplaceField(s, f, field) => {
                    let mut fields = fields(&mut new, s);
                    let count = fields.len().max(1);
                    fields.splice(f % count..(f % count + 1).min(fields.len()), [field]);
                    (s, fields)
                }
                Edit::RemoveField(s, f) => {
                    let mut fields = fields(&mut new, s);
                    if !fields.is_empty() {
                        fields.remove(f % fields.len());
                    }
                    (s, fields)
                }
                Edit::SwapFields(s, f, g) => {
                    let mut fields = fields(&mut new, s);
                    let count = fields.len().max(1);
                    if !fields.is_empty() {
                        fields.swap(f % count, g % count);
                    }
                    (s, fields)
                }
            };
            new[s % sections]["fields"] = Value::Array(changed);
        }
        (json!({"technical_sections": old}), json!({"technical_sections": new}))
    })
}

/// A text that is personal.
fn secret() -> impl Strategy<Value = Value> {
    (0..3).prop_map(|number| json!(format!("{MARK} {number}")))
}

/// Something personal of any shape. Below a personal key even the keys are.
fn secrets(key: &'static str) -> impl Strategy<Value = Value> {
    secret().prop_recursive(3, 12, 3, |inner| {
        let key = select(vec!["a", key, "notes"]).prop_map(str::to_owned);
        let members = vec((key, inner.clone()), 0..3);
        prop_oneof![
            vec(inner, 0..3).prop_map(Value::from),
            members.prop_map(|m| Value::Object(m.into_iter().collect()))
        ]
    })
}

/// A document with secrets at every place that is personal, and none elsewhere.
pub fn planted() -> impl Strategy<Value = Value> {
    let personal = || option::of(secrets("SECRET key"));
    let technical = || prop_oneof![Just(json!("412")), Just(json!(7.5)), Just(json!(["Cooling"])), Just(Value::Null)];
    let kind = select(vec!["number", "unit", "select", "combobox", "tags", "text", "multiline", "unheard-of", "none"]);
    let field = (select(vec!["f", "g"]), kind, secret(), technical(), personal(), personal(), 0..3).prop_map(
        |(id, kind, secret, technical, notes, description, more)| {
            let mut field = json!({"id": id, "label": "Open", "type": kind, "unit": "mg/L", "importance": more});
            let hidden = ["text", "multiline", "unheard-of", "none"].contains(&kind);
            field["value"] = if hidden { secret.clone() } else { technical };
            if kind == "multiline" {
                field["type"] = json!("number");
                field["multiline"] = json!(true);
            } else if kind == "none" {
                field.as_object_mut().unwrap().remove("type");
            }
            field["notes"] = notes.unwrap_or_default();
            field["options"] = if more == 1 { json!([{"description": description}]) } else { json!(["Open"]) };
            field["suggestion"] = secret;
            field
        },
    );
    let fields = vec(field, 0..4);
    let ids = select(vec!["economics-scale", "field-notes", "custom"]);
    let section = (ids, fields, personal(), personal(), secret(), 0..8).prop_map(
        |(id, fields, notes, description, secret, shape)| {
            let mut section = json!({"id": id, "title": "Open", "fields": fields, "notes": notes});
            section["description"] = description.unwrap_or_default();
            match (id, shape) {
                ("field-notes", _) => {
                    section["title"] = secret.clone();
                    for field in section["fields"].as_array_mut().unwrap() {
                        field["label"] = secret.clone();
                        field["value"] = secret.clone();
                        field["unit"] = secret.clone();
                    }
                }
                (_, 0) => section["fields"] = json!([secret, {"value": secret}]),
                (_, 1) => section["fields"] = json!({"x": [secret]}),
                (_, 2) => section["own"] = json!({"y": [secret]}),
                (_, _) => (),
            }
            section
        },
    );
    let sheet = prop_oneof![8 => vec(section, 0..4).prop_map(Value::from), 1 => secrets("b")];
    (sheet, personal(), personal(), personal(), personal(), secrets("b"), technical()).prop_map(
        |(sheet, notes, observations, basic, client, own, open)| {
            json!({
                "technical_sections": sheet, "notes": notes, "field_observations": observations, "basic_info": basic,
                "deep": {"list": [{"client": client, "own": own}], "open": 5},
                "regulations": [open, {"client": own}], "own": own
            })
        },
    )
}
