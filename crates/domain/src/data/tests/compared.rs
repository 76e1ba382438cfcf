//! What a difference says, and what it keeps to itself.

use serde_json::{Value, json};

use super::{applied, in_the_clear, stored};
use crate::data::{DataDiff, apply, diff, touched};

fn sheet() -> Value {
    json!({"technical_sections": [
        {"id": "economics-scale", "title": "Economics & Scale", "fields": [
            {"id": "water-consumption", "label": "Water Consumption", "type": "unit", "unit": "m³/day", "value": ""},
            {"id": "people", "label": "People", "type": "select", "value": "", "options": ["1", "2"]},
            {"id": "story", "label": "Story", "type": "text", "value": ""}
        ]},
        {"id": "field-notes", "title": "Field Notes", "fields": [{"id": "field-notes", "type": "text", "value": ""}]}
    ]})
}

/// The event's JSON after `edit`, checked to lead there.
fn event(edit: impl FnOnce(&mut Value)) -> Value {
    let (old, mut new) = (sheet(), sheet());
    edit(&mut new["technical_sections"]);
    let diff = stored(&old, &new);
    assert_eq!(applied(&diff, &old), new);
    serde_json::to_value(diff).unwrap()
}

#[test]
fn an_entered_value_is_one_change_of_one_field() {
    assert_eq!(
        event(|sheet| sheet[0]["fields"][0]["value"] = json!("412")),
        json!({"fields": [{"section": "economics-scale", "field": "water-consumption", "part": "value", "old": "",
                           "new": "412", "label": "Water Consumption", "unit": "m³/day"}]})
    );
}

#[test]
fn absent_and_null_are_two_things() {
    let set = event(|sheet| sheet[0]["fields"][1]["unit"] = Value::Null);
    assert_eq!(set["fields"][0].get("old"), None);
    assert_eq!(set["fields"][0].get("new"), Some(&Value::Null));
}

#[test]
fn a_difference_may_stand_flat_in_a_tagged_event() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(tag = "type")]
    enum Event {
        Changed {
            #[serde(flatten)]
            diff: DataDiff,
        },
    }
    let (old, mut new) = (sheet(), sheet());
    new["technical_sections"][0]["fields"][0]["value"] = json!(0.1);
    new["technical_sections"][0]["fields"][2]["value"] = Value::Null;
    let event = Event::Changed { diff: diff(&old, &new) };
    let text = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
}

#[test]
fn each_part_of_a_field_is_a_change_and_other_keys_are_named() {
    let parts = event(|sheet| {
        let field = &mut sheet[0]["fields"][1];
        (field["label"], field["source"], field["notes"]) = (json!("Guests"), json!("ai"), json!("asked Ana"));
        field["options"] = json!(["3"]);
    });
    let parts: Vec<_> =
        parts["fields"].as_array().unwrap().iter().map(|c| (&c["part"], &c["key"], &c["new"])).collect();
    assert_eq!(
        json!(parts),
        json!([["label", null, "Guests"], ["other", "options", ["3"]], ["notes", null, {"$personal": "asked Ana"}],
               ["source", null, "ai"]])
    );
}

#[test]
fn free_text_is_marked_and_a_technical_value_is_not() {
    let text = event(|sheet| sheet[0]["fields"][2]["value"] = json!("Ana says"));
    assert_eq!(text["fields"][0]["new"], json!({"$personal": "Ana says"}));
    assert_eq!(text["fields"][0]["label"], "Story");
    let number = event(|sheet| sheet[0]["fields"][2]["value"] = json!(5_551_234));
    assert_eq!(number["fields"][0]["new"], json!({"$personal": 5_551_234}));
    let note = event(|sheet| sheet[1]["fields"][0]["value"] = json!("Ana says"));
    assert_eq!(
        (&note["fields"][0]["old"], &note["fields"][0]["new"]),
        (&json!({"$personal": ""}), &json!({"$personal": "Ana says"}))
    );
}

#[test]
fn a_field_that_was_free_text_hides_its_old_value_when_it_becomes_a_number() {
    let (mut old, mut new) = (sheet(), sheet());
    old["technical_sections"][0]["fields"][2]["value"] = json!("Ana says");
    new["technical_sections"][0]["fields"][2]["type"] = json!("number");
    let event = serde_json::to_value(stored(&old, &new)).unwrap();
    assert!(!in_the_clear(&event).contains("Ana"), "{event}");
}

#[test]
fn a_value_that_looks_like_a_mark_of_ours_is_wrapped() {
    for fake in [json!({"$personal": "x"}), json!({"$erased": true}), json!([{"$sealed": "x"}])] {
        let wrapped = event(|sheet| sheet[0]["fields"][0]["value"] = fake.clone());
        assert_eq!(wrapped["fields"][0]["new"], json!({"$personal": fake}));
    }
}

#[test]
fn sections_and_fields_come_and_go_as_a_whole_at_their_place() {
    let came =
        event(|sheet| sheet.as_array_mut().unwrap().insert(1, json!({"id": "custom", "title": "Site", "fields": []})));
    assert_eq!(
        came,
        json!({"sections": [{"section": "custom", "part": "whole", "position": 1, "title": "Site",
                             "new": {"id": "custom", "title": "Site", "fields": []}}]})
    );
    let went = event(|sheet| drop(sheet[0]["fields"].as_array_mut().unwrap().remove(1)));
    assert_eq!((&went["fields"][0]["part"], &went["fields"][0]["position"]), (&json!("whole"), &json!(1)));
    assert_eq!(went["fields"][0]["old"]["options"], json!(["1", "2"]));
    assert_eq!(went["fields"][0].get("new"), None);
}

#[test]
fn renaming_and_reordering_say_so() {
    let renamed = event(|sheet| sheet[0]["title"] = json!("Scale"));
    assert_eq!(
        (&renamed["sections"][0]["part"], &renamed["sections"][0]["old"]),
        (&json!("title"), &json!("Economics & Scale"))
    );
    let moved = event(|sheet| sheet.as_array_mut().unwrap().reverse());
    assert_eq!(
        moved,
        json!({"orders": [{"old": ["economics-scale", "field-notes"], "new": ["field-notes", "economics-scale"]}]})
    );
}

#[test]
fn a_repeated_id_is_told_apart_by_its_occurrence() {
    let field = |value: &str| json!({"id": "x", "type": "unit", "value": value});
    let document = |last: &str| json!({"technical_sections": [{"id": "s", "fields": [field("1"), field(last)]}]});
    let diff = stored(&document("2"), &document("3"));
    assert_eq!((diff.fields.len(), diff.fields[0].occurrence), (1, 1));
    assert_eq!(applied(&diff, &document("2")), document("3"));
}

#[test]
fn the_template_of_a_new_project_is_its_sections() {
    let diff = stored(&json!({}), &sheet());
    assert_eq!((diff.pointers.len(), diff.sections.len()), (1, 2));
    assert_eq!(applied(&diff, &json!({})), sheet());
    let reset = stored(&sheet(), &json!({"technical_sections": []}));
    assert_eq!((reset.pointers.len(), reset.sections.len()), (0, 2));
}

#[test]
fn what_lies_outside_the_sheet_is_told_by_pointer() {
    let old = json!({"quality": {"BOD": {"value": 1, "unit": "mg/L"}}, "sections": [{"id": "a"}], "regulations": []});
    let new = json!({"quality": {"BOD": {"value": 2, "unit": "mg/L"}}, "sections": [{"id": "a"}, {"id": "b"}],
                     "regulations": ["NOM-001"], "notes": {"Ana": 1}});
    let diff = stored(&old, &new);
    assert_eq!(
        serde_json::to_value(&diff.pointers).unwrap(),
        json!([{"pointer": "/quality/BOD/value", "old": 1, "new": 2},
               {"pointer": "/regulations/0", "new": "NOM-001"},
               {"pointer": "/sections/1", "new": {"$personal": {"id": "b"}}},
               {"pointer": "/notes", "new": {"$personal": {"Ana": 1}}}])
    );
    assert_eq!(applied(&diff, &old), new);
    assert_eq!(applied(&stored(&new, &old), &new), old);
}

#[test]
fn what_is_cut_off_an_array_is_told_item_by_item_from_its_end() {
    let (old, new) = (json!({"regulations": ["a", "b", "c"]}), json!({"regulations": ["a"]}));
    let diff = stored(&old, &new);
    assert_eq!(
        serde_json::to_value(&diff.pointers).unwrap(),
        json!([{"pointer": "/regulations/2", "old": "c"}, {"pointer": "/regulations/1", "old": "b"}])
    );
    assert_eq!(applied(&diff, &old), new);
}

#[test]
fn an_erased_value_reads_as_erased() {
    let diff: DataDiff =
        serde_json::from_value(json!({"pointers": [{"pointer": "/notes", "new": {"$erased": true}}]})).unwrap();
    let mut document = json!({"notes": "Ana"});
    apply(&diff, &mut document);
    assert_eq!(document, json!({"notes": "[erased]"}));
}

#[test]
fn an_event_stays_in_proportion_to_the_document() {
    let deep = |leaf: u32| (0..30).fold(json!(vec![leaf; 2_000]), |inner, _| json!({"k".repeat(250): inner}));
    let wide = |value: u32| {
        let fields: Vec<_> = (0..9_000).map(|n| json!({"id": format!("{n}"), "value": value})).collect();
        json!({"technical_sections": [{"id": "s".repeat(250), "fields": fields}]})
    };
    for (old, new) in [(json!({"a": deep(1)}), json!({"a": deep(2)})), (wide(1), wide(2)), (json!({}), wide(1))] {
        let diff = stored(&old, &new);
        let (document, event) = (new.to_string().len(), serde_json::to_string(&diff).unwrap().len());
        assert!(event < 3 * document, "{event} bytes for {document}");
        assert_eq!(applied(&diff, &old), new);
    }
}

#[test]
fn only_values_of_fields_that_were_there_are_touched() {
    let mut new = sheet();
    new["technical_sections"][0]["fields"][0]["value"] = json!(5);
    new["technical_sections"][0]["fields"][1]["options"] = json!([]);
    new["technical_sections"][0]["fields"].as_array_mut().unwrap().push(json!({"id": "new", "value": 1}));
    assert_eq!(touched(&diff(&sheet(), &new)).collect::<Vec<_>>(), [("economics-scale", "water-consumption")]);
    assert_eq!(touched(&diff(&json!({}), &new)).count(), 0);
}
