//! Bounds, completeness and merging.

use serde_json::{Value, json};

use crate::data::{
    Completeness,
    bounds::{self, BoundsError, check, of_parse_error},
    completeness, merge, too_large,
};

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({}), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({"a": inner}) })
}

fn found(body: &Value) -> Vec<(String, &'static str)> {
    check(body).err().into_iter().flatten().map(|BoundsError { pointer, code }| (pointer, code)).collect()
}

#[test]
fn thirty_two_levels_are_taken_and_one_more_is_too_deep() {
    assert_eq!(found(&nested(32)), []);
    let errors = found(&nested(33));
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].0.matches('/').count(), errors[0].1), (32, "too_deep"));
}

#[test]
fn a_key_has_at_most_256_characters_of_any_size() {
    assert_eq!(found(&json!({"a": {"ñ".repeat(256): 1}})), []);
    assert_eq!(found(&json!({"a": {"ñ".repeat(257): 1}})), [("/a".to_owned(), "too_long")]);
}

#[test]
fn the_character_nul_is_refused_in_keys_and_texts() {
    assert_eq!(found(&json!({"a~/b": ["x", "x\0"]})), [("/a~0~1b/1".to_owned(), "nul_character")]);
    assert_eq!(found(&json!({"a": {"\0": 1}})), [("/a".to_owned(), "nul_character")]);
}

#[test]
fn at_most_twenty_errors_are_listed() {
    assert_eq!(found(&json!(vec!["\0"; 50])).len(), bounds::MAX_ERRORS);
    let keys: Value = (0..50).map(|n| (format!("{n}\0"), json!(n))).collect();
    assert_eq!(found(&keys).len(), bounds::MAX_ERRORS);
}

#[test]
fn what_the_parser_refuses_has_the_codes_of_the_other_bounds() {
    let code = |text: &str| {
        let error = serde_json::from_str::<Value>(text).unwrap_err();
        of_parse_error(&error).map(|error| error.code)
    };
    assert_eq!(code(r#"{"a": 1e999}"#), Some("not_finite"));
    assert_eq!(code(&"[".repeat(200)), Some("too_deep"));
    assert_eq!(code(r#"{"a": NaN}"#), None);
    assert_eq!(code(r#"{"a": "number out of range"#), None);
}

#[test]
fn a_document_of_one_mebibyte_is_taken_and_one_more_byte_is_not() {
    let fits = json!({"a": "x".repeat(bounds::MAX_BYTES - r#"{"a":""}"#.len())});
    assert_eq!(fits.to_string().len(), bounds::MAX_BYTES);
    assert!(!too_large(&fits));
    assert!(too_large(&json!({"ab": fits["a"]})));
}

#[test]
fn objects_are_merged_key_by_key_and_all_else_is_replaced() {
    let old =
        json!({"quality": {"BOD": {"value": 1, "unit": "mg/L"}, "pH": 7}, "tags": [1, 2], "name": "x", "gone": {}});
    let patch = json!({"quality": {"BOD": {"value": 2}}, "tags": [3], "name": null, "gone": 5, "new": {"a": null}});
    assert_eq!(
        merge(&old, &patch),
        json!({"quality": {"BOD": {"value": 2, "unit": "mg/L"}, "pH": 7}, "tags": [3], "name": null, "gone": 5,
               "new": {"a": null}})
    );
}

#[test]
fn a_field_is_filled_unless_its_value_is_absent_null_or_empty_text() {
    let values =
        json!([{"value": 0}, {"value": false}, {"value": []}, {"value": " "}, {"value": ""}, {"value": null}, {}]);
    let document = json!({"technical_sections": [{"fields": values}, {"fields": [7, null, {"value": "x"}]}, 5, {}]});
    assert_eq!(completeness(&document), Completeness { percentage: 63, completed: 5, total: 8 });
}

#[test]
fn a_sheet_that_is_none_has_no_fields() {
    for document in
        [json!({}), json!({"technical_sections": {}}), json!({"technical_sections": [{"fields": {}}]}), json!(1)]
    {
        assert_eq!(completeness(&document), Completeness::default());
    }
}

#[test]
fn halves_are_rounded_up() {
    let document = |filled: usize, total: usize| {
        let fields: Vec<_> = (0..total).map(|n| json!({"value": if n < filled { "x" } else { "" }})).collect();
        json!({"technical_sections": [{"fields": fields}]})
    };
    assert_eq!(completeness(&document(1, 8)).percentage, 13);
    assert_eq!(completeness(&document(1, 3)).percentage, 33);
    assert_eq!(completeness(&document(199, 200)).percentage, 100);
}
