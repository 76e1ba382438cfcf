//! Properties of any document; the rules one by one are in the modules below.

mod bounded;
mod compared;
mod generated;
mod shown;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use generated::{MARK, any_object, edited_sheets, planted};

/// The diff, after a way through the event store and back.
fn stored(old: &Value, new: &Value) -> DataDiff {
    let diff = diff(old, new);
    let text = serde_json::to_string(&diff).unwrap();
    let read: DataDiff = serde_json::from_str(&text).unwrap();
    assert_eq!(read, diff, "{text}");
    read
}

fn applied(diff: &DataDiff, old: &Value) -> Value {
    let mut document = old.clone();
    apply(diff, &mut document);
    document
}

/// Everything in the JSON but the contents of `{"$personal": …}`.
fn in_the_clear(value: &Value) -> String {
    match value {
        Value::Object(members) if members.len() == 1 && members.contains_key("$personal") => String::new(),
        Value::Object(members) => members.iter().map(|(key, value)| key.clone() + &in_the_clear(value)).collect(),
        Value::Array(items) => items.iter().map(in_the_clear).collect(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

/// What an erasure makes of an event.
fn erased(value: Value) -> Value {
    match value {
        Value::Object(members) if members.len() == 1 && members.contains_key("$personal") => json!({"$erased": true}),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, erased(value))).collect(),
        Value::Array(items) => items.into_iter().map(erased).collect(),
        other => other,
    }
}

proptest! {
    #[test]
    fn a_diff_leads_from_any_document_to_any_other((old, new) in (any_object(), any_object())) {
        let diff = stored(&old, &new);
        prop_assert_eq!(diff.is_empty(), old == new);
        prop_assert_eq!(applied(&diff, &old), new);
    }

    #[test]
    fn a_diff_leads_from_any_sheet_to_its_edited_form((old, new) in edited_sheets()) {
        prop_assert_eq!(applied(&stored(&old, &new), &old), new.clone());
        prop_assert_eq!(applied(&stored(&new, &old), &new), old);
    }

    #[test]
    fn an_edit_of_a_well_formed_sheet_is_never_told_as_plain_json((old, new) in edited_sheets()) {
        let diff = diff(&old, &new);
        prop_assert!(diff.pointers.iter().all(|change| !change.pointer.starts_with("/technical_sections")), "{diff:?}");
    }

    #[test]
    fn personal_data_stands_in_an_event_only_where_it_is_marked((old, new) in (planted(), planted())) {
        for diff in [diff(&old, &new), diff(&json!({}), &new), diff(&old, &json!({})), diff(&old, &json!(7))] {
            let event = serde_json::to_value(&diff).unwrap();
            prop_assert!(!in_the_clear(&event).contains(MARK), "{event}");
        }
    }

    #[test]
    fn an_erased_event_can_be_applied_and_shows_nothing((old, new) in (planted(), planted())) {
        let first = erased(serde_json::to_value(diff(&json!({}), &old)).unwrap());
        let then = erased(serde_json::to_value(diff(&old, &new)).unwrap());
        let mut document = json!({});
        for event in [first, then] {
            let diff: DataDiff = serde_json::from_value(event).unwrap();
            apply(&diff, &mut document);
            prop_assert!(!serde_json::to_string(&timeline_changes(&diff)).unwrap().contains(MARK));
        }
        prop_assert!(!document.to_string().contains(MARK), "{document}");
    }

    #[test]
    fn a_patch_is_found_again_and_nothing_disappears((old, patch) in (any_object(), any_object())) {
        let merged = merge(&old, &patch);
        prop_assert_eq!(&merge(&merged, &patch), &merged, "merging again changes nothing");
        prop_assert_eq!(&merge(&json!({}), &patch), &patch);
        prop_assert_eq!(&merge(&old, &json!({})), &old);
        prop_assert!(contains(&merged, &patch));
        prop_assert!(keeps_keys(&old, &merged));
    }

    #[test]
    fn the_percentage_is_the_one_of_the_contract(filled in 0_u32..300, empty in 0_u32..300) {
        let field = |value: &str| json!({"value": value});
        let fields: Vec<_> = (0..filled).map(|_| field("x")).chain((0..empty).map(|_| field(""))).collect();
        let total = filled + empty;
        let expected = if total == 0 { 0.0 } else { (f64::from(filled) / f64::from(total) * 100.0 + 0.5).floor() };
        let found = completeness(&json!({"technical_sections": [{"fields": fields}]}));
        prop_assert_eq!((found.completed, found.total), (u64::from(filled), u64::from(total)));
        prop_assert_eq!(f64::from(found.percentage), expected);
    }

    #[test]
    fn joining_shows_the_first_old_and_the_last_new_value(documents in prop::collection::vec(edited_sheets(), 1..4)) {
        let states: Vec<Value> = documents.into_iter().flat_map(|(old, new)| [old, new]).collect();
        let entry = states.windows(2).map(|pair| timeline_changes(&diff(&pair[0], &pair[1]))).fold(vec![], join);
        prop_assert!(entry.len() <= 200);
        let back = join(entry.clone(), timeline_changes(&diff(states.last().unwrap(), &states[0])));
        for change in visible(&entry) {
            prop_assert!(change.old_value.chars().count() <= 200 && change.new_value.chars().count() <= 200);
            let after = back.iter().find(|other| other.field == change.field).unwrap();
            prop_assert_eq!(&after.old_value, &change.old_value);
        }
    }
}

/// Whether all of `patch` is in `merged`: its objects key by key, the rest as it is.
fn contains(merged: &Value, patch: &Value) -> bool {
    match (merged, patch) {
        (Value::Object(merged), Value::Object(patch)) => {
            patch.iter().all(|(key, value)| merged.get(key).is_some_and(|merged| contains(merged, value)))
        }
        (merged, patch) => merged == patch,
    }
}

fn keeps_keys(old: &Value, merged: &Value) -> bool {
    match (old, merged) {
        (Value::Object(old), Value::Object(merged)) => {
            old.iter().all(|(key, value)| merged.get(key).is_some_and(|merged| keeps_keys(value, merged)))
        }
        (_, _) => true, // What was no object, or is none any more, was replaced.
    }
}
