//! Proposals: list, show, delete, and how one came about.

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::document::AiMetadata;
use domain::{Project, ProjectCommand, ProjectId, ProjectRefusal, ProposalId};
use eventstore::Session;
use futures::FutureExt as _;
use projections::{Page, ProposalDocumentRow, ProposalStatus, Reader};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::{App, found_in_time};
use crate::call::{Call, Input, Parts};
use crate::cursor::{self, Place};
use crate::etag::Etag;
use crate::precondition::{Part, explained};
use crate::problem::{Problem, catalogue};

const TAG: &str = "Proposals";
/// Who signs what the process writes.
const AUTHOR: &str = "H2O Allegiant AI";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, delete)).routes(routes!(ai_metadata))
}

/// A proposal. A member without a value is absent, never null.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProposalView {
    /// Its identity.
    #[schema(value_type = Uuid)]
    pub id: ProposalId,
    /// The project.
    #[schema(value_type = Uuid)]
    pub project_id: ProjectId,
    /// The job that made it.
    pub job_id: String,
    /// Its version.
    #[schema(example = "v1.0")]
    pub version: String,
    /// Its title.
    pub title: String,
    /// Its depth: Conceptual, Technical or Detailed.
    pub proposal_type: &'static str,
    /// The same.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Draft, Current or Archived.
    pub status: &'static str,
    /// When it was saved.
    pub created_at: DateTime<Utc>,
    /// When anything of it last changed.
    pub updated_at: DateTime<Utc>,
    /// Who wrote it.
    pub author: &'static str,
    /// Capital cost in US dollars.
    pub capex: f64,
    /// Yearly cost of operation in US dollars.
    pub opex: f64,
    /// One paragraph of plain text.
    pub executive_summary: String,
    /// Markdown.
    pub technical_approach: String,
    /// The design, and how it came about.
    #[schema(value_type = Object)]
    pub ai_metadata: AiMetadata,
}

impl From<ProposalDocumentRow> for ProposalView {
    fn from(proposal: ProposalDocumentRow) -> Self {
        let kind = proposal.proposal_type.as_str();
        Self {
            id: proposal.id,
            project_id: proposal.project,
            job_id: proposal.job().to_string(),
            version: proposal.version,
            title: proposal.title,
            proposal_type: kind,
            kind,
            status: proposal.status.as_str(),
            created_at: proposal.created_at,
            updated_at: proposal.updated_at,
            author: AUTHOR,
            capex: proposal.document.capex,
            opex: proposal.document.opex,
            executive_summary: proposal.document.executive_summary,
            technical_approach: proposal.document.technical_approach,
            ai_metadata: proposal.document.ai_metadata,
        }
    }
}

struct List {
    project: ProjectId,
    status: Option<ProposalStatus>,
    limit: u32,
    after: Option<Place>,
}

impl Input for List {
    fn read(parts: &Parts<'_>) -> Option<Self> {
        let project = parts.path.id("project_id").required();
        let status = parts.query.choice("status", ProposalStatus::named).optional();
        let limit = parts.query.integer("limit", 1..=100).optional().unwrap_or(100);
        let after = cursor::read(parts);
        Some(Self { project: project?, status, limit: u32::try_from(limit).ok()?, after })
    }
}

struct ById {
    project: ProjectId,
    id: ProposalId,
}

impl Input for ById {
    fn read(parts: &Parts<'_>) -> Option<Self> {
        let project = parts.path.id("project_id").required();
        let id = parts.path.id("id").required();
        Some(Self { project: project?, id: id? })
    }
}

/// The proposals of a project, newest first
#[utoipa::path(get, path = "/ai/proposals/{project_id}/proposals", tag = TAG,
    params(
        ("project_id" = Uuid, Path),
        ("status" = Option<String>, Query, description = "Draft, Current or Archived"),
        ("limit" = Option<u32>, Query, description = "100 if left out", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "From X-Next-Cursor"),
    ),
    responses((status = 200, body = Vec<ProposalView>)))]
async fn list(State(app): State<App>, call: Call<List>) -> Result<Answer, Problem> {
    let reader = app.reader(&call.caller, &call.envelope)?;
    let List { project, status, limit, after } = call.input;
    let now = app.clock().now();
    let page = Page { limit: limit + 1, before: cursor::still_valid(after, now)? };
    let (mut found, position) = found_in_time(
        app.views().proposals(&reader, project, status, page).await?,
        &reader,
        catalogue::PROJECT_NOT_FOUND,
    )?;
    let next = cursor::next(&mut found, limit, (now, app.store().epoch()), |item| {
        (item.document.created_at, item.document.id.as_uuid())
    });
    let proposals: Vec<ProposalView> = found.into_iter().map(|item| item.document.into()).collect();
    Ok(Answer::ok(&proposals)?.position(Some(position)).next_cursor(next.as_deref(), &call.envelope))
}

/// A proposal
#[utoipa::path(get, path = "/ai/proposals/{project_id}/proposals/{id}", tag = TAG,
    params(("project_id" = Uuid, Path), ("id" = Uuid, Path)),
    responses((status = 200, body = ProposalView), (status = 304, description = "Not changed")))]
async fn show(State(app): State<App>, call: Call<ById>) -> Result<Answer, Problem> {
    let reader = app.reader(&call.caller, &call.envelope)?;
    let ById { project, id } = call.input;
    let (found, position) =
        found_in_time(app.views().proposal(&reader, project, id).await?, &reader, catalogue::PROPOSAL_NOT_FOUND)?;
    let etag = Etag::resource(found.document.project_version, Some(found.position), app.store().epoch());
    let answer = Answer::ok(&ProposalView::from(found.document))?;
    Ok(answer.etag(&etag).position(Some(position)).unless_known(&call.envelope, &etag))
}

/// Delete a proposal
#[utoipa::path(delete, path = "/ai/proposals/{project_id}/proposals/{id}", tag = TAG,
    params(("project_id" = Uuid, Path), ("id" = Uuid, Path)),
    responses((status = 204, description = "Deleted")))]
async fn delete(State(app): State<App>, call: Call<ById>) -> Result<Answer, Problem> {
    let by = call.caller.account_id;
    let expected = call.envelope.expected_version();
    let context = call.envelope.command(&call.caller, "delete-proposal");
    let ById { project, id } = call.input;
    let stale = match expected {
        Some(expected) => stale(&app, &app.reader(&call.caller, &call.envelope)?, project, id, expected).await?,
        None => None,
    };
    let written = app.write(context, move |session: &mut Session| {
        async move {
            let open = session.load::<Project>(project.as_uuid()).await?.owned_by(by)?;
            if let Some(current) = stale
                && open.proposals.contains(&id)
            {
                return Err(ProjectRefusal::Stale { current }.into());
            }
            let command = ProjectCommand::DeleteProposal { by, proposal: id };
            session.handle::<Project>(project.as_uuid(), by, command)?;
            Ok(Answer::no_content())
        }
        .boxed()
    });
    match written.await {
        Err(problem) => Err(explained(&app, problem, (by, project, Part::Proposal(id)), expected).await),
        answered => answered,
    }
}

/// The version that a proposal has, if it is another one than `expected`. Nothing but its deletion changes a proposal, so
/// the read model cannot have an older one.
async fn stale(
    app: &App,
    reader: &Reader,
    project: ProjectId,
    id: ProposalId,
    expected: u64,
) -> Result<Option<u64>, Problem> {
    let found = app.views().proposal(reader, project, id).await?.value;
    Ok(found.map(|found| found.document.project_version).filter(|current| *current != expected))
}

/// How a proposal came about
#[utoipa::path(get, path = "/ai/proposals/{project_id}/proposals/{id}/ai-metadata", tag = TAG,
    params(("project_id" = Uuid, Path), ("id" = Uuid, Path)), responses((status = 200, body = Value)))]
async fn ai_metadata(State(app): State<App>, call: Call<ById>) -> Result<Answer, Problem> {
    let reader = app.reader(&call.caller, &call.envelope)?;
    let ById { project, id } = call.input;
    let (found, position) =
        found_in_time(app.views().proposal(&reader, project, id).await?, &reader, catalogue::PROPOSAL_NOT_FOUND)?;
    Ok(Answer::ok(&flat(&found.document.document.ai_metadata))?.position(Some(position)))
}

/// The same values as in the proposal, flat and in snake case, as this route has them.
fn flat(metadata: &AiMetadata) -> Value {
    let AiMetadata { proposal, transparency } = metadata;
    let usage = &transparency.usage;
    let selection = &proposal.technical_data.technology_selection;
    let cases = transparency.proven_cases.iter().map(|case| {
        without_nulls(json!({
            "case_id": case.case_id,
            "project_name": case.project_name,
            "application_type": case.application_type,
            "sector": case.sector,
            "treatment_train": case.treatment_train,
            "flow_rate": case.flow_rate,
            "flow_range": case.flow_range,
            "capex_usd": case.capex_usd,
            "similarity_score": case.similarity_score,
        }))
    });
    let alternatives = selection.rejected_alternatives.iter().map(
        |alternative| json!({"technology": alternative.technology, "reason_rejected": alternative.reason_rejected}),
    );
    let deviations = transparency.deviations.iter().map(|deviation| {
        without_nulls(json!({
            "topic": deviation.topic,
            "case_id": deviation.case_id,
            "case_value": deviation.case_value,
            "proposal_value": deviation.proposal_value,
            "reason": deviation.reason,
        }))
    });
    without_nulls(json!({
        "usage_stats": {
            "total_tokens": usage.total_tokens,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "model_used": transparency.model,
            "cost_estimate": usage.cost_estimate_usd,
            "generation_time_seconds": transparency.generation_time_seconds,
            "success": true,
        },
        "proven_cases": cases.collect::<Value>(),
        "user_sector": transparency.user_sector,
        "assumptions": proposal.technical_data.assumptions,
        "alternatives": alternatives.collect::<Value>(),
        "technology_justification": selection.selected_technologies,
        "confidence_level": proposal.confidence_level,
        "recommendations": proposal.recommendations,
        "generated_at": transparency.generated_at,
        "provider": transparency.provider,
        "prompt_version": transparency.prompt_version,
        "inputs_position": transparency.inputs_position,
        "calculation_trace": transparency.calculation_trace,
        "checks": transparency.checks,
        "deviations": deviations.collect::<Value>(),
    }))
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}
