//! What holds for every input.

use engineering::{
    DesignBasis, Facts, Language, Parameter, Plant, ProcessId, ProposalType, Train, basis, check, cost, sheet, sizing,
    train,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn facts(subsector: &str, location: &str) -> Facts {
    Facts {
        sector: "industrial".into(),
        subsector: Some(subsector.into()),
        location: location.into(),
        proposal_type: ProposalType::Technical,
        language: Language::En,
    }
}

/// A sheet with this flow and quality.
fn document(flow: Value, unit: &str, quality: &[(&str, Value, &str)]) -> Value {
    let fields: Vec<Value> = quality
        .iter()
        .map(|(id, value, unit)| json!({ "id": id, "value": value, "unit": unit, "source": "manual" }))
        .collect();
    json!({ "technical_sections": [
        { "id": "project-context", "fields": [
            { "id": "discharge-point", "value": "River or stream" },
            { "id": "project-objective", "value": "Comply with discharge regulations" },
        ] },
        { "id": "economics-scale", "fields": [
            { "id": "wastewater-generated", "value": flow, "unit": unit, "source": "manual" },
            { "id": "peak-factor", "value": 1.8, "source": "manual" },
            { "id": "operating-hours", "value": 20, "unit": "h/day", "source": "manual" },
        ] },
        { "id": "water-quality", "fields": fields },
    ] })
}

fn derived(data: &Value, facts: &Facts) -> DesignBasis {
    basis::derive(&sheet::read(data, &BTreeSet::new()), facts).expect("usable")
}

fn whole(data: &Value, facts: &Facts) -> Option<Plant> {
    let basis = basis::derive(&sheet::read(data, &BTreeSet::new()), facts).ok()?;
    let trains = train::compare(&basis, facts, None).ok()?;
    let plant = sizing::size(&basis, &trains.chosen);
    let estimate = cost::estimate(&basis, facts, &plant);
    let checks = check::run(&basis, &trains, &plant, &estimate);
    assert!(!checks.is_empty());
    // A number that is not finite would be stored as null and could not be read back.
    let stored = serde_json::to_string(&(&basis, &trains, &plant, &estimate)).expect("it can be stored");
    let read: (DesignBasis, engineering::TrainComparison, Plant, engineering::CostEstimate) =
        serde_json::from_str(&stored).expect("every number is finite");
    assert_eq!(read, (basis, trains, plant.clone(), estimate));
    Some(plant)
}

fn any_json() -> impl Strategy<Value = Value> {
    let id = prop_oneof![
        Just("technical_sections".to_owned()),
        Just("fields".to_owned()),
        Just("id".to_owned()),
        Just("value".to_owned()),
        Just("unit".to_owned()),
        Just("quality".to_owned()),
        "[a-z]{0,6}",
    ];
    let text = prop_oneof![
        Just("wastewater-generated".to_owned()),
        Just("water-quality".to_owned()),
        Just("bod5".to_owned()),
        Just("regulatory-requirements".to_owned()),
        Just("people-served-daily".to_owned()),
        Just("m³/day".to_owned()),
        Just("mg/L".to_owned()),
        Just("NaN".to_owned()),
        "\\PC{0,12}",
        "[0-9., e+-]{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(id.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A value as a field of the sheet may hold it, sensible or not.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0.0..1e4f64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just("NaN"), Just(""), Just("1,850"), Just("35,5"), Just("-1"), Just("1e308"), Just("12 15")]
            .prop_map(Value::from),
        Just(json!([1, 2])),
        Just(Value::Null),
    ]
}

fn any_quality() -> impl Strategy<Value = Vec<(&'static str, Value, &'static str)>> {
    let ids = prop::sample::select(vec![
        ("ph", ""),
        ("temperature", "°C"),
        ("bod5", "mg/L"),
        ("cod", "mg/L"),
        ("tss", "mg/L"),
        ("tds", "mg/L"),
        ("fats-oils-greases", "mg/L"),
        ("nitrogen-total", "mg/L"),
        ("phosphorus-total", "mg/L"),
        ("chromium", "µg/L"),
        ("nickel", "mg/L"),
        ("cyanide", "mg/L"),
        ("silica", "mg/L"),
        ("sulfates", "g/L"),
        ("hardness", "mg/L CaCO₃"),
        ("fecal-coliforms", "MPN/100 mL"),
        ("turbidity", "NTU"),
        ("color", "Pt-Co"),
    ]);
    prop::collection::vec((ids, any_value()).prop_map(|((id, unit), value)| (id, value, unit)), 0..12)
}

fn any_subsector() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["food_processing", "hotel", "textile_manufacturing", "other", "water_utility", "oil_gas"])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_json_gives_a_reading_or_findings(data in any_json()) {
        let reading = sheet::read(&data, &BTreeSet::new());
        match basis::derive(&reading, &facts("hotel", "Mexico")) {
            Ok(basis) => prop_assert!(basis.flow_m3_per_day.m3_per_day() > 0.0),
            Err(unusable) => prop_assert!(!unusable.findings.is_empty()),
        }
    }

    #[test]
    fn any_sheet_gives_a_finite_design_or_findings(
        flow in any_value(), quality in any_quality(), subsector in any_subsector(), reuse in any::<bool>(),
    ) {
        let mut data = document(flow, "m³/day", &quality);
        if reuse {
            data["technical_sections"][0]["fields"].as_array_mut().unwrap().push(
                json!({ "id": "reuse-goals", "value": ["Irrigation", "Cooling towers"] }),
            );
        }
        if let Some(plant) = whole(&data, &facts(subsector, "Guadalajara, Mexico")) {
            for row in &plant.efficiency {
                prop_assert!((0.0..=100.0).contains(&row.removal_percent), "{row:?}");
                prop_assert!(row.effluent.is_finite() && row.effluent >= 0.0, "{row:?}");
            }
        }
    }

    #[test]
    fn more_flow_never_costs_less(
        flow in 5.0..5_000.0f64, factor in 1.0..4.0f64, bod in 50.0..3_000.0f64, fog in 0.0..500.0f64,
    ) {
        let facts = facts("food_processing", "Puebla, Mexico");
        let quality = [
            ("bod5", json!(bod), "mg/L"),
            ("cod", json!(bod * 2.0), "mg/L"),
            ("tss", json!(300), "mg/L"),
            ("fats-oils-greases", json!(fog), "mg/L"),
        ];
        let small = derived(&document(json!(flow), "m³/day", &quality), &facts);
        let large = derived(&document(json!(flow * factor), "m³/day", &quality), &facts);
        let chosen: Train = train::compare(&small, &facts, None).unwrap().chosen;
        let cost = |basis: &DesignBasis| cost::estimate(basis, &facts, &sizing::size(basis, &chosen));
        let (less, more) = (cost(&small), cost(&large));
        prop_assert!(less.capex.total.cents <= more.capex.total.cents, "{} > {}", less.capex.total.usd(), more.capex.total.usd());
        prop_assert!(less.opex.total.cents <= more.opex.total.cents, "{} > {}", less.opex.total.usd(), more.opex.total.usd());
    }

    #[test]
    fn the_unit_of_the_input_does_not_change_the_result(flow in 10.0..4_000.0f64, bod in 50.0..3_000.0f64) {
        let facts = facts("food_processing", "Puebla, Mexico");
        let flow = flow.round();
        let bod = bod.round();
        let plant = |flow: f64, flow_unit: &str, bod: f64, unit: &'static str| {
            let quality = [("bod5", json!(bod), unit), ("tss", json!(300), "mg/L")];
            whole(&document(json!(flow), flow_unit, &quality), &facts).unwrap()
        };
        let metric = plant(flow, "m³/day", bod, "mg/L");
        let other = plant(flow * 1000.0, "L/day", bod / 1000.0, "g/L");
        let (one, two) = (metric.flow_m3_per_day.m3_per_day(), other.flow_m3_per_day.m3_per_day());
        prop_assert!((one - two).abs() <= 1e-9 * one);
        prop_assert_eq!(metric.units.len(), other.units.len());
        for (a, b) in metric.efficiency.iter().zip(&other.efficiency) {
            prop_assert!((a.effluent - b.effluent).abs() <= 1e-5 * a.effluent.max(1e-9), "{a:?} {b:?}");
        }
        for (a, b) in metric.equipment.iter().zip(&other.equipment) {
            prop_assert!((a.capex.cents - b.capex.cents).abs() <= 1, "{a:?} {b:?}");
        }
    }

    #[test]
    fn zero_contaminant_stays_zero(flow in 10.0..4_000.0f64, tss in prop::bool::ANY, metal in prop::bool::ANY) {
        let facts = facts("food_processing", "Puebla, Mexico");
        let mut quality = vec![("bod5", json!(1200), "mg/L"), ("tds", json!(0), "mg/L"), ("nitrogen-total", json!(0), "mg/L")];
        if tss {
            quality.push(("tss", json!(0), "mg/L"));
        }
        if metal {
            quality.push(("nickel", json!(0), "mg/L"));
        }
        let plant = whole(&document(json!(flow), "m³/day", &quality), &facts).unwrap();
        for row in plant.efficiency.iter().filter(|row| row.influent == 0.0) {
            prop_assert_eq!(row.effluent, 0.0);
            prop_assert!(!row.present);
        }
        prop_assert!(plant.efficiency.iter().any(|row| row.parameter == Parameter::Tds && row.influent == 0.0));
    }

    #[test]
    fn any_wish_is_judged_and_kept_in_order(
        picks in prop::collection::vec(prop::sample::select(ProcessId::ALL.to_vec()), 1..8),
    ) {
        let facts = facts("food_processing", "Puebla, Mexico");
        let quality = [("bod5", json!(900), "mg/L"), ("tss", json!(400), "mg/L"), ("fats-oils-greases", json!(200), "mg/L")];
        let basis = derived(&document(json!(300), "m³/day", &quality), &facts);
        let trains = train::compare(&basis, &facts, Some(&picks)).unwrap();
        let wished = trains.candidates.iter().find(|candidate| candidate.train.wished);
        prop_assert!(wished.is_some());
        for candidate in &trains.candidates {
            prop_assert!(candidate.train.units.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
