//! How large a document may become, how it is merged, and how much of it is filled.

use serde_json::json;

use crate::data::{Completeness, MAX_BYTES, completeness, merge, too_large};

#[test]
fn a_document_of_one_mebibyte_is_taken_and_one_more_byte_is_not() {
    let fits = json!({"a": "x".repeat(MAX_BYTES - r#"{"a":""}"#.len())});
    assert_eq!(fits.to_string().len(), MAX_BYTES);
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
