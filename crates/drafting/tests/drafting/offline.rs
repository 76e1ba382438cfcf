//! From a sheet to the whole proposal without a language model, held to the contract's rules.

use std::collections::BTreeSet;

use crate::support::{self, Job, now, offline};
use domain::document::ProposalDocument;
use domain::proposal::{FailureClass, FailureCode, Language, Publication, Stage};
use drafting::{BreakerState, ModelCheck, Provider, Reaction};
use serde_json::{Value, json};

async fn published(sheet: &Value, language: Language) -> (Job, Publication) {
    let mut job = Job::of(sheet, language);
    job.generation.request.warnings = offline().request_warnings(&job.project);
    job.all(&offline()).await.unwrap();
    let publication = offline().publication(job.input(), "v1.0".to_owned(), now()).unwrap();
    (job, publication)
}

/// Every rule of the contract's part 12.1 that a document can break by itself.
fn assert_rules(name: &str, publication: &Publication) {
    let document = &publication.document;
    let json = serde_json::to_value(document).unwrap();
    assert_no_null(&json, name);
    let data = &document.ai_metadata.proposal.technical_data;
    let transparency = &document.ai_metadata.transparency;

    let cents = |usd: f64| {
        let cents = usd * 100.0;
        assert!((cents - cents.round()).abs() < 1e-6, "{name}: {usd} has more than two decimals");
        cents.round() as i64
    };
    let capex = &data.capex_breakdown;
    let lines = [
        capex.equipment_cost,
        capex.civil_works,
        capex.installation_piping,
        capex.engineering_supervision,
        capex.contingency,
    ];
    assert!(lines.iter().all(|line| *line >= 0.0));
    assert_eq!(lines.map(cents).iter().sum::<i64>(), cents(data.capex_usd), "{name}: CAPEX");
    let opex = &data.opex_breakdown;
    let lines = [opex.electrical_energy, opex.chemicals, opex.personnel, opex.maintenance_spare_parts];
    assert_eq!(lines.map(cents).iter().sum::<i64>(), cents(data.annual_opex_usd), "{name}: OPEX");
    let equipment: i64 = data.main_equipment.iter().map(|one| cents(one.capex_usd)).sum();
    assert_eq!(equipment, cents(capex.equipment_cost), "{name}: equipment");
    assert_eq!((document.capex, document.opex), (data.capex_usd, data.annual_opex_usd));
    assert!(data.capex_usd > 0.0 && data.annual_opex_usd > 0.0 && data.design_flow_m3_day > 0.0);

    let rows: BTreeSet<String> =
        data.main_equipment.iter().map(|one| format!("{}|{:?}|{}", one.kind, one.stage, one.capacity_m3_day)).collect();
    assert!(!rows.is_empty() && rows.len() == data.main_equipment.len(), "{name}: equipment is unique");
    for zero in [data.implementation_months, data.payback_years, data.roi_percent, data.annual_savings_usd]
        .into_iter()
        .flatten()
    {
        assert!(zero > 0.0, "{name}: a zero is absent");
    }
    let efficiency = &data.treatment_efficiency;
    let names: BTreeSet<&str> = efficiency.parameters.iter().map(|row| row.parameter_name.as_str()).collect();
    assert!(!names.is_empty() && names.len() == efficiency.parameters.len(), "{name}: parameters are unique");
    assert_eq!(
        efficiency.critical_parameters.iter().collect::<BTreeSet<_>>().len(),
        efficiency.critical_parameters.len()
    );
    for row in &efficiency.parameters {
        let (influent, effluent) = (row.influent_concentration.unwrap(), row.effluent_concentration.unwrap());
        let removal = if influent > effluent { (influent - effluent) / influent * 100.0 } else { 0.0 };
        assert!((removal - row.removal_efficiency_percent).abs() < 0.5, "{name}: {row:?}");
        assert!((0.0..=100.0).contains(&row.removal_efficiency_percent));
    }
    let covered: BTreeSet<String> = efficiency.parameters.iter().map(|row| row.parameter_name.clone()).collect();
    for influent in &data.project_requirements.influent_characteristics.parameters {
        let property = ["pH", "Temperature", "Turbidity", "Color", "Conductivity", "Residual chlorine"]
            .contains(&influent.parameter.as_str());
        assert!(property || covered.contains(&influent.parameter), "{name}: {} is covered", influent.parameter);
    }
    assert!(!data.assumptions.is_empty(), "{name}");
    assert_eq!(data.assumptions.iter().collect::<BTreeSet<_>>().len(), data.assumptions.len(), "{name}");
    let rejected = &data.technology_selection.rejected_alternatives;
    assert_eq!(rejected.iter().map(|one| &one.technology).collect::<BTreeSet<_>>().len(), rejected.len(), "{name}");

    assert!(!publication.key_technologies.is_empty(), "{name}");
    assert_eq!(publication.key_technologies.iter().collect::<BTreeSet<_>>().len(), publication.key_technologies.len());
    let summary = &document.executive_summary;
    assert!(!summary.is_empty() && summary.chars().count() <= 1_200, "{name}");
    assert!(!summary.contains(['\n', '#', '*', '`', '[', '<']), "{name}: {summary}");
    assert!(document.technical_approach.starts_with("## "), "{name}");
    assert!(!document.ai_metadata.proposal.recommendations.is_empty());

    assert!(json["aiMetadata"]["transparency"]["provenCases"].is_array());
    assert!(transparency.calculation_trace.len() <= 200 && !transparency.calculation_trace.is_empty(), "{name}");
    let bytes = serde_json::to_string(&transparency.calculation_trace).unwrap().len();
    assert!(bytes <= 64 * 1024, "{name}: {bytes} bytes of trace");
    for calculation in &transparency.calculation_trace {
        assert!(!calculation.formula.is_empty() && !calculation.source.is_empty(), "{name}: {calculation:?}");
    }
    let checks: BTreeSet<&str> = transparency.checks.iter().map(|check| check.id.as_str()).collect();
    assert_eq!(checks.len(), transparency.checks.len(), "{name}: check ids are unique");
    assert_eq!(transparency.inputs_position, 90_512);
    assert_eq!(serde_json::from_value::<ProposalDocument>(json).unwrap(), *document, "{name}: it reads back");
}

fn assert_no_null(value: &Value, at: &str) {
    match value {
        Value::Null => panic!("{at} is null"),
        Value::Array(items) => items.iter().for_each(|item| assert_no_null(item, at)),
        Value::Object(members) => members.iter().for_each(|(key, value)| assert_no_null(value, &format!("{at}/{key}"))),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

#[tokio::test]
async fn every_sheet_becomes_a_proposal() {
    for (name, sheet) in support::sheets() {
        for language in [Language::En, Language::Es] {
            let (_, publication) = published(&sheet, language).await;
            assert_rules(&name, &publication);
            let data = &publication.document.ai_metadata.proposal.technical_data;
            let facts = &sheet["facts"];
            if let Some(flow) = facts["treated_flow_m3_day"].as_f64() {
                let off = (data.design_flow_m3_day - flow).abs() / flow;
                assert!(off <= 0.005, "{name}: {} is not {flow} m³/d", data.design_flow_m3_day);
            }
            if let Some(most) = facts["treated_flow_m3_day_max"].as_f64() {
                assert!(data.design_flow_m3_day <= most, "{name}: {}", data.design_flow_m3_day);
            }
            let influent = |parameter: &str| {
                let all = &data.project_requirements.influent_characteristics.parameters;
                all.iter().find(|one| one.parameter == parameter).map(|one| one.value)
            };
            for (fact, parameter) in [("bod5_mg_l", "BOD"), ("chromium_mg_l", "Chromium")] {
                if let Some(value) = facts[fact].as_f64() {
                    assert!((influent(parameter).unwrap() - value).abs() <= 0.001 * value, "{name}: {parameter}");
                }
            }
            let assumed = data.assumptions.join("\n").to_lowercase();
            for word in facts["must_assume"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                assert!(assumed.contains(&word.to_lowercase()), "{name}: {word} is not named in {assumed}");
            }
        }
    }
}

#[tokio::test]
async fn the_text_says_that_it_comes_from_templates() {
    for (language, notice) in [(Language::En, "written from templates"), (Language::Es, "a partir de plantillas")] {
        let (_, publication) = published(&support::dairy(), language).await;
        let document = &publication.document;
        assert!(document.executive_summary.contains(notice), "{}", document.executive_summary);
        assert!(document.technical_approach.contains(notice));
        let transparency = &document.ai_metadata.transparency;
        assert_eq!((transparency.provider.as_str(), transparency.model.as_str()), ("offline", "templates"));
        let usage = &transparency.usage;
        assert_eq!((usage.requests, usage.total_tokens, usage.model.as_str()), (0, 0, "templates"));
        assert!(usage.cost_estimate_usd.abs() < f64::EPSILON && usage.seconds.abs() < f64::EPSILON);
        assert!(transparency.warnings.iter().any(|warning| warning.code == "OFFLINE_NARRATIVE"));
        assert!(transparency.deviations.is_empty(), "{:?}", transparency.deviations);
        assert_eq!(publication.title, "Technical Proposal - Cheese plant effluent");
        assert!((publication.generation_time_seconds - 70.0).abs() < 1e-9);
    }
}

#[tokio::test]
async fn the_numbers_of_the_templates_are_those_of_the_design() {
    for (name, sheet) in support::sheets() {
        for language in [Language::En, Language::Es] {
            let (job, publication) = published(&sheet, language).await;
            let checks = &publication.document.ai_metadata.transparency.checks;
            let text = checks.iter().find(|check| check.id == "C12").unwrap();
            let deviations = &publication.document.ai_metadata.transparency.deviations;
            assert_eq!(text.status, domain::document::CheckStatus::Passed, "{name}: {deviations:#?}");
            assert_eq!(job.output(Stage::Checks)["answer"], job.output(Stage::Narrative)["answer"], "{name}");
        }
    }
}

#[tokio::test]
async fn nobody_is_named_in_a_proposal_without_a_model() {
    let mut sheet = support::dairy();
    sheet["project"]["location"] = json!("Calle Planted 12, Guadalajara, Mexico");
    sheet["data"]["notes"] = json!("Ask ana.planted@example.org");
    let (_, publication) = published(&sheet, Language::En).await;
    let text = serde_json::to_string(&publication.document).unwrap();
    for personal in ["Lácteos", "Valle", "Planted", "planted", "Guadalajara", "Whey", "ana-private-tag", "@"] {
        assert!(!text.contains(personal), "{personal}");
    }
    let metadata = serde_json::to_value(&publication.document.ai_metadata.transparency.client_metadata).unwrap();
    assert_eq!(metadata, json!({"sector": "industrial", "subsector": "food_processing"}));
}

#[tokio::test]
async fn the_same_request_gives_the_same_outputs() {
    let (mut first, mut second) = (Job::of(&support::dairy(), Language::En), Job::of(&support::dairy(), Language::En));
    first.all(&offline()).await.unwrap();
    second.all(&offline()).await.unwrap();
    for (stage, output) in &first.generation.outputs {
        assert_eq!(output.sha256, second.generation.outputs[stage].sha256, "{stage:?}");
    }
}

#[tokio::test]
async fn a_sheet_without_a_flow_or_without_anything_ends_as_input_unusable() {
    let mut without_flow = support::dairy();
    for section in without_flow["data"]["technical_sections"].as_array_mut().unwrap() {
        for field in section["fields"].as_array_mut().unwrap() {
            if ["wastewater-generated", "water-consumption"].contains(&field["id"].as_str().unwrap()) {
                field["value"] = json!("");
            }
        }
    }
    let mut zero_flow = support::dairy();
    zero_flow["data"]["technical_sections"][1]["fields"][2]["value"] = json!("0");
    zero_flow["data"]["technical_sections"][1]["fields"][1]["value"] = json!("");
    for sheet in [json!({"data": {}, "project": {}}), without_flow, zero_flow] {
        let failure = Job::of(&sheet, Language::En).all(&offline()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::InputUnusable);
        assert!(!failure.warnings.is_empty());
        assert_eq!(failure.reaction(0), Reaction::GiveUp(FailureCode::InputUnusable));
    }
}

#[tokio::test]
async fn an_output_that_does_not_fit_is_a_defect() {
    let mut job = Job::of(&support::dairy(), Language::En);
    assert_eq!(job.step(&offline(), Stage::Basis).await.unwrap_err().class, FailureClass::Defect, "out of turn");
    job.step(&offline(), Stage::Sheet).await.unwrap();
    let sheet = job.generation.outputs.get_mut(&Stage::Sheet).unwrap();
    sheet.document = domain::Personal::new(json!({"parameters": "planted@example.org"}));
    assert_eq!(job.step(&offline(), Stage::Basis).await.unwrap_err().class, FailureClass::Defect);
    job.generation.outputs.get_mut(&Stage::Sheet).unwrap().document = domain::Personal::Erased;
    assert_eq!(job.step(&offline(), Stage::Basis).await.unwrap_err().class, FailureClass::Defect);
    assert!(offline().publication(job.input(), "v1.0".to_owned(), now()).is_err());
}

#[test]
fn a_request_is_told_what_is_missing() {
    let codes = |sheet: &Value| -> Vec<String> {
        let job = Job::of(sheet, Language::En);
        offline().request_warnings(&job.project).into_iter().map(|warning| warning.code).collect()
    };
    assert_eq!(codes(&json!({"data": {}, "project": {}})), ["SHEET_EMPTY", "OFFLINE_NARRATIVE"]);
    let mut thin = support::dairy();
    for section in thin["data"]["technical_sections"].as_array_mut().unwrap() {
        for field in section["fields"].as_array_mut().unwrap().iter_mut().skip(2) {
            field["value"] = json!("");
        }
    }
    thin["data"]["technical_sections"][1]["fields"][1]["unit"] = json!("buckets");
    let job = Job::of(&thin, Language::En);
    let warnings = offline().request_warnings(&job.project);
    let incomplete = warnings.iter().find(|warning| warning.code == "SHEET_INCOMPLETE").unwrap();
    assert!(incomplete.message.ends_with(" % of the sheet is filled; 70 % is advisable."), "{}", incomplete.message);
    assert!(incomplete.fields.contains(&"economics-scale/wastewater-generated".to_owned()), "{:?}", incomplete.fields);
    assert!(warnings.iter().any(|warning| warning.code == "UNIT_UNKNOWN"), "{warnings:?}");
    let mut untouched = Job::of(&support::dairy(), Language::En).project;
    untouched.touched.clear();
    for section in untouched.data["technical_sections"].as_array_mut().unwrap() {
        for field in section["fields"].as_array_mut().unwrap() {
            field["source"] = json!("ai");
        }
    }
    let codes: Vec<String> = offline().request_warnings(&untouched).into_iter().map(|warning| warning.code).collect();
    assert!(codes.contains(&"DEFAULTS_ONLY".to_owned()), "{codes:?}");
}

#[tokio::test]
async fn without_a_model_there_is_nothing_to_ask() {
    assert_eq!(offline().provider(), Provider::Offline);
    assert_eq!(offline().check_model().await, ModelCheck::Found);
    assert_eq!(offline().breaker(), BreakerState::Closed);
}
