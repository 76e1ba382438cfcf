//! Generation jobs: ask for a proposal, look how it goes, cancel.

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::account::claims::JOB_SLOT;
use domain::account::job_slot;
use domain::document::Warning;
use domain::project::GenerationOutcome;
use domain::proposal::{FailureCode, Language, Phase, ProposalCommand, ProposalType, Request};
use domain::{AccountId, JobId, Personal, Project, ProjectCommand, ProjectId, Proposal, ProposalId, ProposalRefusal};
use eventstore::{Claim, Session};
use futures::FutureExt as _;
use projections::{Ahead, JobFilter, JobRead, JobStatus, LastChange, Page};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::answer::Answer;
use crate::app::{App, in_time};
use crate::call::{BodyKind, Call, Input, Parts};
use crate::command::Refusal;
use crate::cursor::{self, Place};
use crate::fields::Bounds;
use crate::limits::PREFIX;
use crate::problem::{Fault, Problem, catalogue};

const TAG: &str = "Generation jobs";
/// Active jobs that an account may have.
const ACTIVE_JOBS: u8 = 5;
/// Bounds of what is kept with a request and shown to the model.
const WISHES: Bounds = Bounds { depth: 16, key: 256, bytes: 16 * 1024 };
const FOCUS_AREAS: usize = 20;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(generate)).routes(routes!(list)).routes(routes!(show)).routes(routes!(cancel))
}

/// A generation job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// Its name.
    #[schema(example = "job_0198a4107c5e7f00a1b2c3d4e5f60718")]
    pub job_id: String,
    /// The project.
    #[schema(value_type = Uuid)]
    pub project_id: ProjectId,
    /// The depth asked for: Conceptual, Technical or Detailed.
    pub proposal_type: &'static str,
    /// One of queued, processing, completed, failed.
    pub status: &'static str,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// In per cent; it never falls.
    pub progress: u8,
    /// The stage of work.
    pub stage: &'static str,
    /// The same, in words.
    pub current_step: &'static str,
    /// The attempt at the stage.
    pub attempt: u32,
    /// What came of it.
    pub result: Option<JobResult>,
    /// Why it failed, in words.
    pub error: Option<&'static str>,
    /// Why it failed.
    pub error_code: Option<&'static str>,
    /// What to look at.
    #[schema(value_type = Vec<Object>)]
    pub warnings: Vec<Warning>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When work began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What came of a job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobResult {
    /// The proposal.
    #[schema(value_type = Uuid)]
    pub proposal_id: ProposalId,
    /// The proposal in short.
    pub preview: JobPreview,
}

/// A proposal in short.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobPreview {
    /// Plain text.
    pub executive_summary: String,
    /// Capital cost in US dollars.
    pub capex: f64,
    /// Yearly cost of operation in US dollars.
    pub opex: f64,
    /// The technologies, in the order of the train.
    pub key_technologies: Vec<String>,
}

impl From<JobRead> for JobView {
    fn from(read: JobRead) -> Self {
        let progress = read.progress();
        let job = read.job;
        let (stage, current_step) = match (job.status, job.stage) {
            (JobStatus::Completed, _) => ("done", "Proposal ready"),
            (JobStatus::Queued | JobStatus::Processing | JobStatus::Failed, Some(stage)) => {
                (stage.as_str(), stage.current_step())
            }
            (JobStatus::Queued | JobStatus::Processing | JobStatus::Failed, None) => ("queued", "Waiting to start"),
        };
        Self {
            job_id: job.id().to_string(),
            project_id: job.project,
            proposal_type: job.proposal_type.as_str(),
            status: job.status.as_str(),
            cancelled: job.cancelled,
            progress,
            stage,
            current_step,
            attempt: job.attempt,
            error: job.error_code.map(FailureCode::text),
            error_code: job.error_code.map(FailureCode::as_str),
            warnings: job.warnings,
            requested_at: job.requested_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            result: job.result.filter(|_| job.status == JobStatus::Completed).map(|preview| JobResult {
                proposal_id: job.proposal,
                preview: JobPreview {
                    executive_summary: preview.executive_summary,
                    capex: preview.capex_usd,
                    opex: preview.opex_usd,
                    key_technologies: preview.key_technologies,
                },
            }),
        }
    }
}

/// A job that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobAccepted {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// Whether it was under way already.
    pub reused: bool,
}

/// The body that asks for a proposal, as the document of the API shows it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes what `Generate` reads")]
struct GenerateBody {
    project_id: Uuid,
    /// Conceptual, Technical or Detailed.
    proposal_type: String,
    /// Known: `focus_areas` and `constraints`.
    #[schema(value_type = Option<Object>)]
    preferences: Option<Map<String, Value>>,
    /// More facts for the model.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Map<String, Value>>,
    /// Language of the prose: en or es.
    language: Option<String>,
}

#[derive(Debug)]
struct Generate {
    project: ProjectId,
    proposal_type: ProposalType,
    language: Language,
    preferences: Value,
    parameters: Value,
}

impl Input for Generate {
    const BODY: BodyKind = BodyKind::Json;

    fn read(parts: &Parts<'_>) -> Option<Self> {
        let body = &parts.body;
        let project = body.id("project_id").required();
        let proposal_type = body.choice("proposal_type|type", ProposalType::named).required();
        let language = body.choice("language", language).optional().unwrap_or_default();
        let preferences = body
            .object("preferences", WISHES)
            .refuse(has_few_focus_areas, Fault::TooMany, "There may be at most 20 focus areas, all of them text.")
            .refuse(has_a_constraints_object, Fault::Type, "The constraints must be an object.")
            .optional();
        let parameters = body.object("parameters", WISHES).optional();
        Some(Self {
            project: project?,
            proposal_type: proposal_type?,
            language,
            preferences: Value::Object(preferences.unwrap_or_default()),
            parameters: Value::Object(parameters.unwrap_or_default()),
        })
    }
}

fn language(word: &str) -> Option<Language> {
    match word {
        "en" => Some(Language::En),
        "es" => Some(Language::Es),
        _ => None,
    }
}

fn has_few_focus_areas(preferences: &Map<String, Value>) -> bool {
    ["focus_areas", "focusAreas"].iter().filter_map(|name| preferences.get(*name)).all(|areas| match areas {
        Value::Null => true,
        Value::Array(areas) => areas.len() <= FOCUS_AREAS && areas.iter().all(Value::is_string),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    })
}

fn has_a_constraints_object(preferences: &Map<String, Value>) -> bool {
    preferences.get("constraints").is_none_or(|constraints| constraints.is_object() || constraints.is_null())
}

/// What a request for a proposal came to.
#[derive(Debug, Clone, Copy)]
enum Accepted {
    New(ProposalId),
    Reused(ProposalId),
}

/// Ask for a proposal
#[utoipa::path(post, path = "/ai/proposals/generate", tag = TAG, request_body = GenerateBody,
    responses((status = 202, description = "The job", body = JobAccepted)))]
async fn generate(State(app): State<App>, call: Call<Generate>) -> Result<Answer, Problem> {
    let by = call.caller.account_id;
    let context = call.envelope.command(&call.caller, "request-generation");
    let proposal = ProposalId::generate();
    let input = std::sync::Arc::new(call.input);
    let asked = app.clone();
    app.write(context, move |session: &mut Session| {
        let (input, app) = (std::sync::Arc::clone(&input), asked.clone());
        async move {
            let (proposal, reused) = match request(session, &app, &input, proposal, by).await? {
                Accepted::New(proposal) => (proposal, false),
                Accepted::Reused(proposal) => (proposal, true),
            };
            let read = job_ahead(&app, session, by, proposal).await?;
            let (version, changed) = (read.job.version, read.changed.clone());
            let answer = Answer::accepted(&place(proposal), &JobAccepted { job: read.into(), reused })?;
            Ok(answer.leaves(version, changed).no_store())
        }
        .boxed()
    })
    .await
}

/// Where a job is found.
fn place(proposal: ProposalId) -> String {
    format!("{PREFIX}/ai/proposals/jobs/{}", JobId::from(proposal))
}

/// A job as a write leaves it.
async fn job_ahead(app: &App, session: &mut Session, by: AccountId, job: ProposalId) -> Result<JobRead, Refusal> {
    let (mut reading, decided) = session.reading().await?;
    let read = app.views().job_ahead(Ahead::of(&mut reading, &decided), by, job).await?;
    read.ok_or_else(|| ProposalRefusal::NotFound.into())
}

/// Two streams in one transaction: the project takes the generation on, the proposal's stream begins with the request.
async fn request(
    session: &mut Session,
    app: &App,
    input: &Generate,
    proposal: ProposalId,
    by: AccountId,
) -> Result<Accepted, Refusal> {
    let project = input.project.as_uuid();
    let open = session.load::<Project>(project).await?.owned_by(by)?;
    if let Some(active) = open.active {
        return Ok(Accepted::Reused(active));
    }
    let warnings = app.advice(open);
    let project_version = session.version::<Project>(project);
    session.load::<Proposal>(proposal.as_uuid()).await?;
    let accept = ProjectCommand::AcceptGeneration { by, proposal, proposal_type: input.proposal_type };
    session.handle::<Project>(project, by, accept)?;
    let requested_at = session.now();
    let request = Request {
        project: input.project,
        owner: by,
        project_version,
        proposal_type: input.proposal_type,
        language: input.language,
        preferences: Personal::new(input.preferences.clone()),
        parameters: Personal::new(input.parameters.clone()),
        requested_at,
        deadline_at: requested_at + app.config().generation_deadline,
        warnings,
    };
    session.handle::<Proposal>(proposal.as_uuid(), by, ProposalCommand::Request(Box::new(request)))?;
    session.claim(Claim::TakeOneOf {
        kind: JOB_SLOT,
        keys: (0..ACTIVE_JOBS).map(|slot| job_slot(by.as_uuid(), slot)).collect(),
        holder: proposal.as_uuid(),
    });
    Ok(Accepted::New(proposal))
}

/// A job by its name. A name that is none names no job.
struct ByName(Option<ProposalId>);

impl Input for ByName {
    fn read(parts: &Parts<'_>) -> Option<Self> {
        let name = parts.path.name("job_id").required()?;
        Some(Self(name.parse::<JobId>().ok().map(JobId::proposal)))
    }
}

/// How a job goes
#[utoipa::path(get, path = "/ai/proposals/jobs/{job_id}", tag = TAG,
    params(("job_id" = String, Path, description = "`job_` and 32 hexadecimal digits")),
    responses((status = 200, body = JobView)))]
async fn show(State(app): State<App>, call: Call<ByName>) -> Result<Answer, Problem> {
    let proposal = call.input.0.ok_or(catalogue::JOB_NOT_FOUND)?;
    let read = app.views().job(call.caller.account_id, proposal).await?.ok_or(catalogue::JOB_NOT_FOUND)?;
    let position = read.changed.position();
    Ok(Answer::ok(&JobView::from(read))?.no_store().position(position))
}

/// Cancel a job
#[utoipa::path(post, path = "/ai/proposals/jobs/{job_id}/cancel", tag = TAG,
    params(("job_id" = String, Path, description = "`job_` and 32 hexadecimal digits")),
    responses((status = 202, description = "The job", body = JobView), (status = 409, description = "It has ended")))]
async fn cancel(State(app): State<App>, call: Call<ByName>) -> Result<Answer, Problem> {
    let by = call.caller.account_id;
    let proposal = call.input.0.ok_or(catalogue::JOB_NOT_FOUND)?;
    let context = call.envelope.command(&call.caller, "cancel-generation");
    let views = app.clone();
    app.write(context, move |session: &mut Session| {
        let app = views.clone();
        async move {
            let generation = session.load::<Proposal>(proposal.as_uuid()).await?.owned_by(by)?;
            let (project, phase) = (generation.request.project.as_uuid(), generation.phase);
            session.handle::<Proposal>(proposal.as_uuid(), by, ProposalCommand::Cancel)?;
            if phase == Phase::Queued {
                // No worker will end it, so it ends here, in the project too.
                session.load::<Project>(project).await?;
                let outcome = GenerationOutcome::Cancelled;
                session.handle::<Project>(project, by, ProjectCommand::EndGeneration { proposal, outcome })?;
                session.claim(Claim::ReleaseAll { kind: JOB_SLOT, holder: proposal.as_uuid() });
            }
            let read = job_ahead(&app, session, by, proposal).await?;
            let (version, changed) = (read.job.version, read.changed.clone());
            let answer = Answer::accepted(&place(proposal), &JobView::from(read))?;
            Ok(answer.leaves(version, changed).no_store())
        }
        .boxed()
    })
    .await
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobPage {
    /// The jobs, newest first.
    pub items: Vec<JobView>,
    /// Where the list goes on.
    pub next_cursor: Option<String>,
}

struct List {
    filter: Option<JobFilter>,
    project: Option<ProjectId>,
    limit: u32,
    after: Option<Place>,
}

impl Input for List {
    fn read(parts: &Parts<'_>) -> Option<Self> {
        let query = &parts.query;
        let limit = query.integer("limit", 1..=100).optional().unwrap_or(50);
        Some(Self {
            filter: query.choice("status", filter).optional(),
            project: query.id("project_id").optional(),
            limit: u32::try_from(limit).ok()?,
            after: cursor::read(parts),
        })
    }
}

fn filter(word: &str) -> Option<JobFilter> {
    match word {
        "queued" => Some(JobFilter::Status(JobStatus::Queued)),
        "processing" => Some(JobFilter::Status(JobStatus::Processing)),
        "completed" => Some(JobFilter::Status(JobStatus::Completed)),
        "failed" => Some(JobFilter::Status(JobStatus::Failed)),
        "cancelled" => Some(JobFilter::Cancelled),
        "active" => Some(JobFilter::Active),
        _ => None,
    }
}

/// The own jobs, newest first
#[utoipa::path(get, path = "/ai/proposals/jobs", tag = TAG,
    params(
        ("status" = Option<String>, Query, description = "queued, processing, completed, failed, cancelled or active"),
        ("project_id" = Option<Uuid>, Query),
        ("limit" = Option<u32>, Query, description = "50 if left out", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "From the answer before"),
    ),
    responses((status = 200, body = JobPage)))]
async fn list(State(app): State<App>, call: Call<List>) -> Result<Answer, Problem> {
    let reader = app.reader(&call.caller, &call.envelope)?;
    let List { filter, project, limit, after } = call.input;
    let now = app.clock().now();
    let page = Page { limit: limit + 1, before: cursor::still_valid(after, now)? };
    let ((mut found, seen_at), position) = in_time(app.views().jobs(&reader, filter, project, page).await?, &reader)?;
    let next = cursor::next(&mut found, limit, (now, app.store().epoch()), |item| {
        (item.document.requested_at, item.document.proposal.as_uuid())
    });
    let view = |item: projections::Found<projections::JobDocument>| {
        JobView::from(JobRead { job: item.document, changed: LastChange::at(item.position), seen_at })
    };
    let jobs = JobPage { items: found.into_iter().map(view).collect(), next_cursor: next.clone() };
    Ok(Answer::ok(&jobs)?.no_store().position(Some(position)).next_cursor(next.as_deref(), &call.envelope))
}
