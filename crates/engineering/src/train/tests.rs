use super::*;
use crate::basis;
use crate::facts::{Language, ProposalType};
use crate::note::WarningCode;
use crate::sheet;
use serde_json::json;
use std::collections::BTreeSet;

fn facts() -> Facts {
    Facts {
        sector: "municipal".into(),
        subsector: Some("municipal".into()),
        location: "Alajuela, Costa Rica".into(),
        proposal_type: ProposalType::Technical,
        language: Language::En,
    }
}

fn town() -> DesignBasis {
    let data = json!({ "technical_sections": [
        { "id": "project-context", "fields": [{ "id": "discharge-point", "value": "River or stream" }] },
        { "id": "economics-scale", "fields": [{ "id": "wastewater-generated", "value": 500, "unit": "m³/day" }] },
        { "id": "water-quality", "fields": [
            { "id": "bod5", "value": 240, "unit": "mg/L" },
            { "id": "cod", "value": 520, "unit": "mg/L" },
            { "id": "tss", "value": 260, "unit": "mg/L" },
            { "id": "temperature", "value": 22, "unit": "°C" },
        ] },
    ] });
    basis::derive(&sheet::read(&data, &BTreeSet::new()), &facts()).unwrap()
}

#[test]
fn at_least_three_candidates_with_different_cores_are_compared() {
    let comparison = compare(&town(), &facts(), None).unwrap();
    assert!(comparison.candidates.len() >= 3);
    assert_eq!(comparison.candidates[0].train, comparison.chosen);
    let names: BTreeSet<_> = comparison.candidates.iter().map(|candidate| &candidate.train.name).collect();
    assert_eq!(names.len(), comparison.candidates.len());
    for other in &comparison.candidates[1..] {
        assert!(comparison.rejected.iter().any(|rejected| rejected.technology == other.train.name));
    }
    assert!(comparison.gates.iter().any(|gate| gate.code == "G1"));
}

#[test]
fn a_wish_is_put_in_order_and_judged_like_the_others() {
    let wish = [ProcessId::SecondaryClarifier, ProcessId::ExtendedAeration, ProcessId::Gac];
    let comparison = compare(&town(), &facts(), Some(&wish)).unwrap();
    let wished = comparison.candidates.iter().find(|candidate| candidate.train.wished).expect("it is judged");
    assert!(wished.train.units.windows(2).all(|pair| pair[0] < pair[1]));
    // Activated carbon can not do without a filter before it.
    assert!(wished.train.units.contains(&ProcessId::SandFilter));
    assert!(comparison.warnings.iter().any(|warning| warning.code == WarningCode::TrainRepaired));
}

#[test]
fn a_wish_that_is_a_candidate_already_is_not_listed_twice() {
    let first = compare(&town(), &facts(), None).unwrap();
    let wish = first.candidates[1].train.units.clone();
    let again = compare(&town(), &facts(), Some(&wish)).unwrap();
    assert_eq!(again.candidates.len(), first.candidates.len());
    assert_eq!(again.candidates.iter().filter(|candidate| candidate.train.wished).count(), 1);
}

#[test]
fn weak_or_cold_water_rules_anaerobic_treatment_out_with_its_number() {
    let mut cold = town();
    for influent in &mut cold.influent {
        if influent.parameter == crate::Parameter::Temperature {
            influent.value = 14.0;
        }
    }
    let comparison = compare(&cold, &facts(), None).unwrap();
    let rejected = comparison.rejected.iter().find(|other| other.technology.contains("UASB")).unwrap();
    assert_eq!(rejected.code, RejectionCode::OutOfRange);
    assert_eq!((rejected.number, rejected.threshold), (14.0, 20.0));
}
