//! The whole proposal document, by the rules of the contract: a member without a value is absent, sums are exact to
//! the cent, what must be unique is unique, and nothing in it says who the client is.

mod technical;
mod trace;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::document::{
    AiMetadata, CheckResult, CheckStatus, ConfidenceLevel, Design as DesignDocument, ProposalDocument, ProvenCase,
    SCHEMA, Transparency, UsageSummary, Warning,
};
use domain::proposal::{Language, Publication, Stage};
use engineering::{Check, Confidence, ReferenceMatch};
use serde_json::Value;

use crate::StepInput;
use crate::checks::Checked;
use crate::design::{Design, stored};
use crate::failure::StepFailure;
use crate::narrative::story::Story;
use crate::narrative::{Narrative, OFFLINE};
use crate::{rounded, warnings};

pub(crate) fn of(input: &StepInput<'_>, version: String, now: DateTime<Utc>) -> Result<Publication, StepFailure> {
    let design = Design::of(input.generation)?;
    let narrative: Narrative = stored(input.generation, Stage::Narrative)?;
    let checked: Checked = stored(input.generation, Stage::Checks)?;
    let (request, header) = (&input.generation.request, &input.project.header);
    let seconds = (now - request.requested_at).num_milliseconds().max(0);
    #[expect(clippy::cast_precision_loss, reason = "no generation takes 2^53 milliseconds")]
    let generation_time_seconds = seconds as f64 / 1000.0;
    // Attempts of a model that wrote nothing in the end are not what this text used.
    let used = if narrative.provider == OFFLINE.0 {
        UsageSummary::default()
    } else {
        UsageSummary::from(&input.generation.usage)
    };
    let offline = narrative.provider == OFFLINE.0;
    let story = Story { design: &design, language: request.language };
    let technical_data = technical::of(&design, &checked.answer)?;
    let answer = checked.answer;
    let document = ProposalDocument {
        schema: SCHEMA,
        capex: technical_data.capex_usd,
        opex: technical_data.annual_opex_usd,
        ai_metadata: AiMetadata {
            proposal: DesignDocument {
                technical_data,
                confidence_level: match design.basis.confidence {
                    Confidence::High => ConfidenceLevel::High,
                    Confidence::Medium => ConfidenceLevel::Medium,
                    Confidence::Low => ConfidenceLevel::Low,
                },
                markdown_content: whole_text(&answer, request.language),
                recommendations: answer.recommendations,
            },
            transparency: Transparency {
                proven_cases: design.comparison.reference_cases.iter().map(proven_case).collect(),
                user_sector: Some(header.sector.clone()).filter(|sector| !sector.is_empty()),
                client_metadata: client_metadata(input),
                generated_at: now,
                generation_time_seconds,
                usage: UsageSummary { model: narrative.model.clone(), ..used },
                provider: narrative.provider,
                model: narrative.model,
                prompt_version: narrative.prompt_version,
                inputs_position: input.inputs_position,
                calculation_trace: trace::of(&design),
                checks: checked.checks.into_iter().map(check).collect(),
                deviations: checked.deviations,
                warnings: all_warnings(&design, input, offline),
            },
        },
        executive_summary: answer.executive_summary,
        technical_approach: answer.technical_approach,
    };
    Ok(Publication {
        version,
        title: format!("{} Proposal - {}", request.proposal_type.as_str(), header.name),
        generation_time_seconds,
        key_technologies: technical::key_technologies(&story),
        document,
    })
}

/// Summary, approach and recommendations in one.
fn whole_text(answer: &crate::narrative::answer::Answer, language: Language) -> String {
    let (summary, recommendations) = match language {
        Language::En => ("Executive summary", "Recommendations"),
        Language::Es => ("Resumen ejecutivo", "Recomendaciones"),
    };
    let list: Vec<String> = answer.recommendations.iter().map(|one| format!("- {one}")).collect();
    format!(
        "## {summary}\n\n{}\n\n{}\n\n## {recommendations}\n\n{}",
        answer.executive_summary,
        answer.technical_approach,
        list.join("\n")
    )
}

/// What is known of the client's project, without anything personal: tags, names and places stay out.
fn client_metadata(input: &StepInput<'_>) -> BTreeMap<String, Value> {
    let header = &input.project.header;
    let mut metadata = BTreeMap::new();
    if !header.sector.is_empty() {
        metadata.insert("sector".to_owned(), Value::from(header.sector.clone()));
    }
    if let Some(subsector) = header.subsector.as_ref().filter(|subsector| !subsector.is_empty()) {
        metadata.insert("subsector".to_owned(), Value::from(subsector.clone()));
    }
    metadata
}

fn proven_case(case: &ReferenceMatch) -> ProvenCase {
    let mut why_relevant = case.why_relevant.clone();
    why_relevant.push(format!("{}; {}", case.scale, case.citation));
    ProvenCase {
        case_id: case.case_id.clone(),
        project_name: case.project_name.clone(),
        application_type: case.application_type.clone(),
        sector: None,
        treatment_train: case.treatment_train.clone(),
        flow_range: None,
        flow_rate: case.flow.clone(),
        capex_usd: None,
        similarity_score: Some(rounded(case.similarity.into(), 3)).filter(|score| *score > 0.0),
        why_relevant,
    }
}

fn check(check: Check) -> CheckResult {
    let Check { id, title, status, expected, actual, message } = check;
    let status = match status {
        engineering::CheckStatus::Passed => CheckStatus::Passed,
        engineering::CheckStatus::Failed => CheckStatus::Failed,
        engineering::CheckStatus::Warning => CheckStatus::Warning,
        engineering::CheckStatus::Skipped => CheckStatus::Skipped,
    };
    CheckResult { id, title, status, expected, actual, message }
}

/// The request's warnings and those of the calculations, each once. Who wrote the text is known only now.
fn all_warnings(design: &Design, input: &StepInput<'_>, offline: bool) -> Vec<Warning> {
    let mut found: Vec<Warning> = Vec::new();
    let by_templates = warnings::offline_narrative();
    let asked = input.generation.request.warnings.iter().filter(|warning| warning.code != by_templates.code).cloned();
    let calculated = design.warnings().into_iter().map(warnings::of_engineering);
    for warning in asked.chain(calculated).chain(offline.then_some(by_templates.clone())) {
        if !found.contains(&warning) {
            found.push(warning);
        }
    }
    found
}
