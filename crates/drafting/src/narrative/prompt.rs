//! The messages to the model: rules, then the design and what people wrote as data.

use async_openai::types::chat::{
    ChatCompletionRequestAssistantMessage, ChatCompletionRequestAssistantMessageContent, ChatCompletionRequestMessage,
    ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage,
};
use domain::project::Open;
use domain::proposal::{Generation, Language};
use engineering::ProcessId;
use serde_json::{Value, json};

use super::remarks::{self, Redaction};
use super::revision::Difference;
use crate::design::Design;

/// The version of the prompts, as a proposal names it.
pub(crate) const VERSION: &str = "narrative.v1";

const RULES: &str = include_str!("../../prompts/narrative.v1.md");
const CORRECTION: &str = include_str!("../../prompts/correction.v1.md");
/// More pieces of equipment are not told one by one.
const MOST_EQUIPMENT: usize = 60;

/// The first call's messages.
pub(super) fn first(design: &Design, generation: &Generation, project: &Open) -> Vec<ChatCompletionRequestMessage> {
    let redaction = Redaction::of(project);
    let request = &generation.request;
    let wishes = remarks::wishes(request.preferences.known(), request.parameters.known(), &redaction);
    let facts = facts(design, generation);
    let message = [
        remarks::block("design", &facts.to_string()),
        remarks::block("wishes", &wishes),
        remarks::block("sheet_text", &remarks::of_sheet(project, &redaction).to_string()),
    ]
    .join("\n");
    vec![ChatCompletionRequestSystemMessage::from(RULES).into(), ChatCompletionRequestUserMessage::from(message).into()]
}

/// The second call's messages: the first ones, the answer, and what is wrong with it.
pub(super) fn second(
    mut messages: Vec<ChatCompletionRequestMessage>,
    answer: String,
    differences: &[Difference],
) -> Vec<ChatCompletionRequestMessage> {
    let lines: Vec<String> = differences
        .iter()
        .map(|difference| format!("- {}: {} -> {}", difference.place, difference.written, difference.found))
        .collect();
    let answer = ChatCompletionRequestAssistantMessage {
        content: Some(ChatCompletionRequestAssistantMessageContent::Text(answer)),
        ..ChatCompletionRequestAssistantMessage::default()
    };
    messages.push(answer.into());
    let correction = CORRECTION.replace("{{differences}}", &lines.join("\n"));
    messages.push(ChatCompletionRequestUserMessage::from(correction).into());
    messages
}

/// The design for the model: results only, nothing that a person typed but the sector.
fn facts(design: &Design, generation: &Generation) -> Value {
    let (basis, plant, costs) = (&design.basis, &design.plant, &design.costs);
    let names = |names: Vec<&'static str>| names;
    let train: Vec<Value> = plant
        .units
        .iter()
        .map(|unit| {
            let criteria: Vec<Value> = unit
                .criteria
                .iter()
                .map(|criterion| json!({"name": criterion.name, "value": round(criterion.value), "unit": criterion.unit}))
                .collect();
            json!({"technology": unit.name, "stage": unit.stage.as_str(), "why": unit.justification, "criteria": criteria})
        })
        .collect();
    let quality: Vec<Value> = plant
        .efficiency
        .iter()
        .map(|row| {
            json!({
                "parameter": row.name, "unit": row.unit, "influent": round(row.influent), "effluent": round(row.effluent),
                "removal_percent": round(row.removal_percent), "limit": row.limit, "complies": row.complies,
                "stage": row.stage.map(engineering::Stage::as_str),
            })
        })
        .collect();
    let equipment: Vec<Value> = plant
        .equipment
        .iter()
        .take(MOST_EQUIPMENT)
        .map(|equipment| {
            json!({
                "type": equipment.kind, "specifications": equipment.specifications, "dimensions": equipment.dimensions,
                "power_kw": round(equipment.power_kw.into()), "capex_usd": equipment.capex.usd(),
            })
        })
        .collect();
    let rejected: Vec<Value> = design
        .comparison
        .rejected
        .iter()
        .map(|rejected| json!({"technology": rejected.technology, "reason": rejected.reason}))
        .collect();
    let cases: Vec<Value> = design
        .comparison
        .reference_cases
        .iter()
        .map(|case| {
            json!({
                "case_id": case.case_id, "name": case.project_name, "train": case.treatment_train, "result": case.result,
                "scale": case.scale, "citation": case.citation,
            })
        })
        .collect();
    let figures: Vec<Value> = design
        .figures()
        .map(|figure| json!({"name": figure.name, "value": round(figure.value), "unit": figure.unit}))
        .collect();
    json!({
        "language": match generation.request.language { Language::En => "en", Language::Es => "es" },
        "proposal_type": generation.request.proposal_type.as_str(),
        "subsector": basis.subsector,
        "objective": basis.objective.name(),
        "receiver": basis.receiver.name(),
        "reuse": names(basis.reuse.iter().map(|reuse| reuse.name()).collect()),
        "regulations": names(basis.regulations.iter().map(|regulation| regulation.name()).collect()),
        "site_constraints": names(basis.constraints.iter().map(|constraint| constraint.name()).collect()),
        "design_flow_m3_per_day": round(basis.flow_m3_per_day.into()),
        "regulatory_margin_percent": round(basis.regulatory_margin_percent.into()),
        "design_life_years": basis.design_life_years,
        "confidence": format!("{:?}", basis.confidence),
        "train": train,
        "why_this_train": design.comparison.reason,
        "water_quality": quality,
        "every_limit_met": plant.overall_compliance,
        "critical_parameters": plant.critical_parameters,
        "equipment": equipment,
        "sludge_kg_dry_solids_per_day": round(plant.dry_solids_kg_per_day.into()),
        "hazardous_sludge": plant.hazardous_sludge,
        "energy_kwh_per_m3": round(plant.specific_energy_kwh_per_m3.into()),
        "area_m2": round(plant.area_m2.into()),
        "implementation_months": plant.implementation_months,
        "capex_usd": {
            "total": costs.capex.total.usd(), "equipment": costs.capex.equipment.usd(),
            "civil_works": costs.capex.civil_works.usd(), "installation_piping": costs.capex.installation_piping.usd(),
            "engineering_supervision": costs.capex.engineering_supervision.usd(),
            "contingency": costs.capex.contingency.usd(),
            "accuracy_low_percent": round(costs.accuracy.low_percent.into()),
            "accuracy_high_percent": round(costs.accuracy.high_percent.into()),
        },
        "opex_usd_per_year": {
            "total": costs.opex.total.usd(), "electrical_energy": costs.opex.electrical_energy.usd(),
            "chemicals": costs.opex.chemicals.usd(), "personnel": costs.opex.personnel.usd(),
            "maintenance_spare_parts": costs.opex.maintenance_spare_parts.usd(),
        },
        "payback_years": costs.payback_years.map(|years| round(years.into())),
        "figures": figures,
        "assumptions": design.assumptions().into_iter().map(|assumption| &assumption.text).collect::<Vec<_>>(),
        "warnings": design.warnings().into_iter().map(|warning| &warning.message).collect::<Vec<_>>(),
        "rejected_alternatives": rejected,
        "reference_cases": cases,
        "known_technologies": ProcessId::ALL.iter().map(|process| process.name()).collect::<Vec<_>>(),
    })
}

/// Four digits are enough to write about.
fn round(value: f64) -> f64 {
    crate::rounded(value, 4)
}
