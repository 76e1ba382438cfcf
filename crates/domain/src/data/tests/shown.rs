//! What the timeline shows.

use serde_json::{Value, json};

use crate::data::{TimelineChange, diff, join, timeline_changes, visible};

fn document(field: Value) -> Value {
    json!({"technical_sections": [{"id": "scale", "title": "Scale", "fields": [field]}]})
}

fn flow(value: Value) -> Value {
    document(json!({"id": "flow", "label": "Flow", "type": "unit", "unit": "m³/day", "value": value}))
}

fn between(old: &Value, new: &Value) -> Vec<TimelineChange> {
    timeline_changes(&diff(old, new))
}

fn short(changes: &[TimelineChange]) -> Vec<(&str, &str, &str)> {
    visible(changes).map(|c| (c.field.as_str(), c.old_value.as_str(), c.new_value.as_str())).collect()
}

#[test]
fn a_value_is_shown_with_label_and_unit() {
    assert_eq!(
        serde_json::to_value(between(&flow(json!("")), &flow(json!(412)))).unwrap(),
        json!([{"field": "scale/flow", "label": "Flow", "old_value": "", "new_value": "412", "unit": "m³/day"}])
    );
}

#[test]
fn what_only_describes_the_form_is_not_shown() {
    let old = document(json!({"id": "flow", "value": 1, "options": [], "source": "imported"}));
    let form = json!({"id": "flow", "value": 1, "options": ["x"], "source": "manual", "unit": "", "placeholder": "x"});
    assert!(!diff(&old, &document(form.clone())).is_empty());
    assert_eq!(between(&old, &document(form)), []);
    let unit = document(json!({"id": "flow", "value": 1, "options": [], "source": "imported", "unit": "L/s"}));
    assert_eq!(short(&between(&old, &unit)), [("scale/flow/unit", "", "L/s")]);
}

#[test]
fn lists_are_shown_with_commas_and_values_are_cut_at_200_characters() {
    let long = "ñ".repeat(300);
    let shown = between(&flow(json!(["Cooling", "Laundry"])), &flow(json!(long)));
    assert_eq!(shown[0].old_value, "Cooling, Laundry");
    assert_eq!(shown[0].new_value, "ñ".repeat(200));
}

#[test]
fn a_change_behind_the_cut_is_still_a_change_and_its_undoing_is_none() {
    let (one, two) = (flow(json!("x".repeat(300) + "1")), flow(json!("x".repeat(300) + "2")));
    let entry = between(&one, &two);
    assert_eq!(visible(&entry).count(), 1);
    assert_eq!(visible(&join(entry, between(&two, &one))).count(), 0);
}

#[test]
fn joined_changes_have_the_first_old_and_the_last_new_value() {
    let states = [json!(""), json!("4"), json!("41"), json!("412")].map(flow);
    let entry = states.windows(2).map(|pair| between(&pair[0], &pair[1])).fold(vec![], join);
    assert_eq!(short(&entry), [("scale/flow", "", "412")]);
    let back = join(entry, between(&states[3], &states[0]));
    assert_eq!((short(&back), back.len()), (vec![], 1));
    assert_eq!(short(&join(back, between(&states[0], &states[1]))), [("scale/flow", "", "4")]);
}

#[test]
fn what_comes_and_goes_is_shown_by_value_or_name() {
    let empty = document(json!({"id": "flow", "label": "Flow"}));
    let bare = json!({"technical_sections": [{"id": "scale", "title": "Scale", "fields": []}]});
    let none = json!({"technical_sections": []});
    assert_eq!(short(&between(&bare, &empty)), [("scale/flow", "", "Flow")]);
    assert_eq!(
        short(&join(between(&bare, &empty), between(&empty, &flow(json!(7))))),
        [("scale/flow", "", "7"), ("scale/flow/unit", "", "m³/day")]
    );
    assert_eq!(short(&between(&none, &bare)), [("scale", "", "Scale")]);
    assert_eq!(short(&between(&bare, &none)), [("scale", "Scale", "")]);
    assert_eq!(short(&between(&json!({"notes": "a"}), &json!({"notes": "b"}))), [("notes", "a", "b")]);
}

#[test]
fn personal_values_say_so() {
    let text = |value: &str| document(json!({"id": "t", "type": "text", "value": value}));
    assert!(between(&text(""), &text("Ana"))[0].personal);
    assert!(!between(&flow(json!(1)), &flow(json!(2)))[0].personal);
    let number = |value: u32| document(json!({"id": "t", "type": "number", "value": value}));
    assert!(join(between(&text(""), &text("Ana")), between(&number(1), &number(2)))[0].personal, "Ana was there");
}

#[test]
fn an_entry_holds_200_changes_and_gives_up_unseen_ones_first() {
    let change =
        |n: usize, new: &str| TimelineChange { field: n.to_string(), new_value: new.to_owned(), ..Default::default() };
    let entry = join(
        (0..200).map(|n| change(n, if n == 7 { "" } else { "x" })).collect(),
        vec![change(200, "y"), change(201, "z")],
    );
    assert_eq!(entry.len(), 200);
    assert_eq!(visible(&entry).count(), 200);
    assert_eq!(entry.last().unwrap().field, "200");
}
