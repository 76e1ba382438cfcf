use super::*;
use serde_json::json;

fn document(fields: Value) -> Value {
    json!({ "technical_sections": [{ "id": "water-quality", "fields": fields }] })
}

fn reading(fields: Value) -> SheetReading {
    read(&document(fields), &BTreeSet::new())
}

fn codes(reading: &SheetReading) -> Vec<WarningCode> {
    reading.warnings.iter().map(|warning| warning.code).collect()
}

#[test]
fn values_are_converted_and_say_where_they_come_from() {
    let reading = reading(json!([
        { "id": "bod5", "value": "1.6", "unit": "g/L", "source": "manual" },
        { "id": "zinc", "value": "35,5", "unit": "mg/L", "source": "imported" },
        { "id": "temperature", "value": 86, "unit": "°F", "source": "manual" },
    ]));
    let values: Vec<_> = reading.parameters.iter().map(|p| (p.parameter, p.value.round(), p.origin)).collect();
    assert_eq!(
        values,
        [
            (Parameter::Temperature, 30.0, ReadingOrigin::Typed),
            (Parameter::Bod5, 1600.0, ReadingOrigin::Typed),
            (Parameter::Zinc, 36.0, ReadingOrigin::Measured),
        ]
    );
    assert!(reading.trace.iter().any(|entry| entry.tool == "sheet.unit"));
    assert!(reading.trace.iter().any(|entry| entry.formula.contains("decimal sign")));
}

#[test]
fn a_template_value_nobody_touched_is_an_assumption() {
    let data = document(json!([{ "id": "ph", "value": 7.2, "unit": "", "source": "manual" }]));
    assert_eq!(read(&data, &BTreeSet::new()).parameters[0].origin, ReadingOrigin::TemplateDefault);
    let touched = BTreeSet::from(["water-quality/ph".to_owned()]);
    assert_eq!(read(&data, &touched).parameters[0].origin, ReadingOrigin::Typed);
}

#[test]
fn what_is_not_understood_is_refused_with_its_field() {
    for (field, code) in [
        (json!({ "id": "cod", "value": "12 15", "unit": "mg/L" }), WarningCode::ValueNotUnderstood),
        (json!({ "id": "cod", "value": "NaN", "unit": "mg/L" }), WarningCode::ValueNotUnderstood),
        (json!({ "id": "cod", "value": true, "unit": "mg/L" }), WarningCode::ValueNotUnderstood),
        (json!({ "id": "cod", "value": 5, "unit": "furlongs" }), WarningCode::UnitUnknown),
        (json!({ "id": "cod", "value": 5 }), WarningCode::UnitUnknown),
        (json!({ "id": "cod", "value": -5, "unit": "mg/L" }), WarningCode::OutOfRange),
        (json!({ "id": "cod", "value": 1e9, "unit": "mg/L" }), WarningCode::OutOfRange),
        (json!({ "id": "ph", "value": 15, "unit": "" }), WarningCode::OutOfRange),
        (json!({ "id": "temperature", "value": 150, "unit": "°C" }), WarningCode::OutOfRange),
        (json!({ "id": "unobtainium", "value": 5, "unit": "mg/L" }), WarningCode::ParameterUnknown),
    ] {
        let reading = reading(json!([field]));
        assert!(reading.parameters.is_empty(), "{field}");
        assert_eq!(codes(&reading), [code], "{field}");
        assert!(reading.warnings[0].fields[0].starts_with("water-quality/"), "{field}");
    }
}

#[test]
fn a_zero_counts_only_if_somebody_stands_for_it() {
    assert_eq!(reading(json!([{ "id": "lead", "value": 0, "unit": "mg/L", "source": "manual" }])).parameters.len(), 1);
    assert_eq!(reading(json!([{ "id": "lead", "value": 0, "unit": "mg/L" }])).parameters.len(), 0);
}

#[test]
fn a_repeated_parameter_counts_once() {
    let reading = reading(json!([
        { "id": "bod5", "value": 100, "unit": "mg/L" },
        { "id": "extra", "label": "DBO5", "value": 200, "unit": "mg/L" },
    ]));
    assert_eq!(reading.parameters.len(), 1);
    assert_eq!(reading.parameters[0].value, 100.0);
    assert_eq!(codes(&reading), [WarningCode::ParameterRepeated]);
}

#[test]
fn a_flow_of_zero_or_less_is_impossible_and_another_word_is_not_understood() {
    let flow = |value: Value, unit: &str| {
        let fields = json!([{ "id": "wastewater-generated", "value": value, "unit": unit }]);
        read(&json!({ "technical_sections": [{ "id": "economics-scale", "fields": fields }] }), &BTreeSet::new())
            .wastewater
    };
    assert!(matches!(flow(json!("0"), "m³/day"), FlowField::Impossible { .. }));
    assert!(matches!(flow(json!(-3), "m³/day"), FlowField::Impossible { .. }));
    assert!(matches!(flow(json!("lots"), "m³/day"), FlowField::NotUnderstood { .. }));
    assert!(matches!(flow(json!("5"), "buckets"), FlowField::NotUnderstood { .. }));
    assert_eq!(flow(json!(""), "m³/day"), FlowField::Absent);
    assert_eq!(flow(json!("1,850"), "m³/day").given().unwrap().flow_m3_per_day.m3_per_day(), 1850.0);
}

#[test]
fn nothing_a_person_typed_is_repeated() {
    let secret = "Ana Torres, ana@example.com";
    let data = json!({
        "notes": secret,
        "technical_sections": [{
            "id": secret,
            "title": secret,
            "fields": [
                { "id": secret, "label": secret, "value": secret, "unit": secret, "notes": secret },
                { "id": "discharge-point", "value": secret },
                { "id": "reuse-goals", "value": [secret, secret] },
                { "id": "bod5", "value": secret, "unit": secret },
                { "id": "people-served-daily", "value": secret },
            ],
        }, { "id": "water-quality", "fields": [{ "id": secret, "label": secret, "value": 5, "unit": secret }] }],
        "quality": { secret: { "value": 5, "unit": secret } },
    });
    let reading = read(&data, &BTreeSet::new());
    assert!(!reading.warnings.is_empty());
    let stored = serde_json::to_string(&reading).unwrap();
    assert!(!stored.contains("Ana") && !stored.contains("example.com"), "{stored}");
}

#[test]
fn the_older_layout_is_read_too() {
    let data = json!({ "quality": { "BOD": { "value": 1750, "unit": "mg/L" } } });
    let reading = read(&data, &BTreeSet::new());
    assert_eq!((reading.parameters[0].parameter, reading.parameters[0].value), (Parameter::Bod5, 1750.0));
    assert_eq!(reading.parameters[0].field, "quality/BOD");
}

#[test]
fn an_empty_document_is_an_empty_reading() {
    for data in [json!(null), json!({}), json!([]), json!("x"), json!({ "technical_sections": {} })] {
        let reading = read(&data, &BTreeSet::new());
        assert_eq!((reading.fields_total, reading.fields_filled), (0, 0), "{data}");
        assert_eq!(codes(&reading), [WarningCode::SheetEmpty], "{data}");
    }
}
