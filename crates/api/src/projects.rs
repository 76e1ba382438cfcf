//! Projects: open, list, show, change, delete.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::account::claims::JOB_SLOT;
use domain::data::Completeness;
use domain::project::{Header, HeaderPatch, Status, TO_BE_DEFINED};
use domain::proposal::{Phase, ProposalCommand};
use domain::{AccountId, JobId, Personal, Project, ProjectCommand, ProjectId, ProjectRefusal, Proposal};
use eventstore::{Claim, Session};
use futures::FutureExt as _;
use projections::{Ahead, Current, Found, LastChange, ProjectDocument, ProjectFilter, ProjectStats, Views};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::{App, found_in_time, in_time};
use crate::call::{BodyKind, Call, Input, Parts};
use crate::command::Refusal;
use crate::etag::Etag;
use crate::fields::Fields;
use crate::limits::PREFIX;
use crate::precondition::{Part, explained};
use crate::problem::{Problem, catalogue};
use crate::proposals::ProposalView;

use crate::timeline::EntryView;

const TAG: &str = "Projects";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(stats)).routes(routes!(show, change, delete))
}

/// A project, as a list shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSummary {
    /// Its identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: ProjectId,
    /// Name.
    pub name: String,
    /// For whom.
    pub client: String,
    /// Sector.
    pub sector: String,
    /// Subsector.
    pub subsector: Option<String>,
    /// Where.
    pub location: String,
    /// Where it stands: one of six words.
    pub status: &'static str,
    /// How much of the sheet is filled, in per cent.
    pub progress: u8,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When anything of it last changed.
    pub updated_at: DateTime<Utc>,
    /// What kind of project.
    pub project_type: String,
    /// The same.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    pub description: Option<String>,
    /// Budget in US dollars.
    pub budget: f64,
    /// When.
    pub schedule_summary: String,
    /// How many proposals it has.
    pub proposals_count: u32,
    /// Labels.
    pub tags: Vec<String>,
    /// The proposal that was made the current one.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub current_proposal_id: Option<domain::ProposalId>,
    /// The generation under way.
    pub active_job_id: Option<String>,
}

impl From<ProjectDocument> for ProjectSummary {
    fn from(project: ProjectDocument) -> Self {
        Self {
            id: project.id,
            name: project.name,
            client: project.client,
            sector: project.sector,
            subsector: project.subsector,
            location: project.location,
            status: project.status.as_str(),
            progress: project.completeness.percentage,
            created_at: project.created_at,
            updated_at: project.updated_at,
            kind: project.project_type.clone(),
            project_type: project.project_type,
            description: project.description,
            budget: project.budget_usd,
            schedule_summary: project.schedule_summary,
            proposals_count: project.proposals_count,
            tags: project.tags,
            current_proposal_id: project.current_proposal_id,
            active_job_id: project.active_proposal.map(|proposal| JobId::from(proposal).to_string()),
        }
    }
}

/// How much of the technical sheet is filled.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct CompletenessView {
    /// In per cent.
    pub percentage: u8,
    /// Fields with a value.
    pub completed: u64,
    /// All fields.
    pub total: u64,
}

impl From<Completeness> for CompletenessView {
    fn from(completeness: Completeness) -> Self {
        let Completeness { percentage, completed, total } = completeness;
        Self { percentage, completed, total }
    }
}

/// A project with its newest proposals and timeline entries.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectDetail {
    /// The project.
    #[serde(flatten)]
    pub summary: ProjectSummary,
    /// How much of the technical sheet is filled.
    pub completeness: CompletenessView,
    /// The newest 50, newest first.
    pub proposals: Vec<ProposalView>,
    /// The newest 10 entries, newest first.
    pub timeline: Vec<EntryView>,
}

/// A page of the project list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectPage {
    /// The projects of the page.
    pub items: Vec<ProjectSummary>,
    /// How many there are on all pages.
    pub total: u64,
    /// The page, from 1.
    pub page: u32,
    /// Most projects of a page.
    pub size: u32,
    /// How many pages there are, at least 1.
    pub pages: u64,
}

/// What opens a project.
#[derive(Debug)]
struct Create {
    header: Header,
}

/// The body that opens a project, as the document of the API shows it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes what `Create` reads")]
struct ProjectBody {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    #[schema(min_length = 1, max_length = 255)]
    client: String,
    #[schema(min_length = 1, max_length = 100)]
    sector: String,
    #[schema(min_length = 1, max_length = 255)]
    location: String,
    #[schema(max_length = 100)]
    subsector: Option<String>,
    #[schema(max_length = 100)]
    project_type: Option<String>,
    #[schema(max_length = 10_000)]
    description: Option<String>,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    budget: Option<f64>,
    #[schema(max_length = 255)]
    schedule_summary: Option<String>,
    #[schema(max_items = 50)]
    tags: Option<Vec<String>>,
}

/// The body that changes a project, as the document of the API shows it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes what `Change` reads")]
struct ProjectChanges {
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    #[schema(min_length = 1, max_length = 255)]
    client: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    sector: Option<String>,
    #[schema(min_length = 1, max_length = 255)]
    location: Option<String>,
    #[schema(max_length = 100)]
    subsector: Option<String>,
    #[schema(max_length = 100)]
    project_type: Option<String>,
    #[schema(max_length = 10_000)]
    description: Option<String>,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    budget: Option<f64>,
    #[schema(max_length = 255)]
    schedule_summary: Option<String>,
    #[schema(max_items = 50)]
    tags: Option<Vec<String>>,
    /// One of the six words.
    #[schema(pattern = "^(In Preparation|Generating Proposal|Proposal Ready|In Development|Completed|On Hold)$")]
    status: Option<String>,
    /// Checked and ignored: it is computed.
    #[schema(minimum = 0, maximum = 100)]
    progress: Option<f64>,
}

impl Input for Create {
    const BODY: BodyKind = BodyKind::Json;

    fn read(parts: &Parts<'_>) -> Option<Self> {
        let body = &parts.body;
        let name = body.text("name", 1..=255).required();
        let client = body.text("client", 1..=255).required();
        let location = body.text("location", 1..=255).required();
        let sector = body.text("sector", 1..=100).required();
        let patch = Optional::read(body);
        Some(Self {
            header: Header {
                name: name?,
                client: Personal::new(client?),
                sector: sector?,
                subsector: patch.subsector.flatten(),
                location: Personal::new(location?),
                project_type: patch.project_type.unwrap_or_else(|| TO_BE_DEFINED.to_owned()),
                description: Personal::new(patch.description.flatten()),
                budget_usd: patch.budget_usd.unwrap_or_default(),
                schedule_summary: patch.schedule_summary.unwrap_or_else(|| TO_BE_DEFINED.to_owned()),
                tags: patch.tags.unwrap_or_default(),
            },
        })
    }
}

/// The fields of a header that need not be there. `None` where nothing was said, the default where null was.
struct Optional {
    subsector: Option<Option<String>>,
    project_type: Option<String>,
    description: Option<Option<String>>,
    budget_usd: Option<f64>,
    schedule_summary: Option<String>,
    tags: Option<Vec<String>>,
}

impl Optional {
    fn read(body: &Fields<'_>) -> Self {
        let or_defined = |text: Option<String>| text.unwrap_or_else(|| TO_BE_DEFINED.to_owned());
        Self {
            subsector: body.text("subsector", 0..=100).blank_is_null().change_or_clear(),
            project_type: body.text("project_type|type", 0..=100).blank_is_null().change_or_clear().map(or_defined),
            description: body.prose("description", 0..=10_000).change_or_clear(),
            budget_usd: body.number("budget", 0.0..=1e12).change_or_clear().map(|usd| cents(usd.unwrap_or_default())),
            schedule_summary: body.text("schedule_summary", 0..=255).blank_is_null().change_or_clear().map(or_defined),
            tags: body.texts("tags", 50, 1..=100).change_or_clear().map(|tags| each_once(tags.unwrap_or_default())),
        }
    }
}

/// Money has at most two decimals.
fn cents(usd: f64) -> f64 {
    (usd * 100.0).round() / 100.0
}

fn each_once(tags: Vec<String>) -> Vec<String> {
    let mut once = Vec::with_capacity(tags.len());
    for tag in tags {
        if !once.contains(&tag) {
            once.push(tag);
        }
    }
    once
}

/// What changes a project.
#[derive(Debug)]
struct Change {
    id: ProjectId,
    patch: HeaderPatch,
    status: Option<Status>,
}

impl Input for Change {
    const BODY: BodyKind = BodyKind::Json;

    fn read(parts: &Parts<'_>) -> Option<Self> {
        let body = &parts.body;
        let id = parts.path.id("id").required();
        let name = body.text("name", 1..=255).change();
        let client = body.text("client", 1..=255).change();
        let sector = body.text("sector", 1..=100).change();
        let location = body.text("location", 1..=255).change();
        let status = body.choice("status", Status::named).change();
        let _checked_and_ignored = body.number("progress", 0.0..=100.0).optional();
        let Optional { subsector, project_type, description, budget_usd, schedule_summary, tags } =
            Optional::read(body);
        let patch = HeaderPatch {
            name,
            client,
            sector,
            subsector,
            location,
            project_type,
            description,
            budget_usd,
            schedule_summary,
            tags,
        };
        Some(Self { id: id?, patch, status })
    }
}

/// A project, by its identity in the path.
#[derive(Debug)]
pub(crate) struct ById(pub ProjectId);

impl Input for ById {
    fn read(parts: &Parts<'_>) -> Option<Self> {
        parts.path.id("id").required().map(Self)
    }
}

/// Open a project
#[utoipa::path(post, path = "/projects", tag = TAG, request_body = ProjectBody,
    responses((status = 201, description = "The project", body = ProjectDetail)))]
async fn create(State(app): State<App>, call: Call<Create>) -> Result<Answer, Problem> {
    let owner = call.caller.account_id;
    let context = call.envelope.command(&call.caller, "create-project");
    let (id, header, views) = (ProjectId::generate(), call.input.header, app.views().clone());
    app.write(context, move |session: &mut Session| {
        let (header, views) = (header.clone(), views.clone());
        async move {
            session.load::<Project>(id.as_uuid()).await?;
            session.handle::<Project>(id.as_uuid(), owner, ProjectCommand::Create { owner, header })?;
            let (detail, version, changed) = detail_ahead(&views, session, owner, id).await?;
            Ok(Answer::created(&format!("{PREFIX}/projects/{id}"), &detail)?.leaves(version, changed))
        }
        .boxed()
    })
    .await
}

/// The own projects
#[utoipa::path(get, path = "/projects", tag = TAG,
    params(
        ("page" = Option<u32>, Query, description = "From 1", minimum = 1, maximum = 1000),
        ("size" = Option<u32>, Query, description = "100 if left out", minimum = 1, maximum = 100),
        ("search" = Option<String>, Query, description = "Part of name, client or location", max_length = 100),
        ("status" = Option<String>, Query, description = "One of the six words"),
        ("sector" = Option<String>, Query, description = "Exactly"),
    ),
    responses((status = 200, body = ProjectPage), (status = 304, description = "Not changed")))]
async fn list(State(app): State<App>, call: Call<List>) -> Result<Answer, Problem> {
    let reader = app.reader(&call.caller, &call.envelope)?;
    let ProjectFilter { page, size, .. } = call.input.0;
    let (found, position) = in_time(app.views().projects(&reader, &call.input.0).await?, &reader)?;
    let etag = Etag::list(found.list_position, call.envelope.query(), app.store().epoch());
    let pages = found.total.div_ceil(u64::from(size)).max(1);
    let items = found.items.into_iter().map(|item| ProjectSummary::from(item.document)).collect();
    let answer = Answer::ok(&ProjectPage { items, total: found.total, page, size, pages })?;
    Ok(answer.etag(&etag).position(Some(position)).unless_known(&call.envelope, &etag))
}

/// What the list shows.
#[derive(Debug)]
struct List(ProjectFilter);

impl Input for List {
    fn read(parts: &Parts<'_>) -> Option<Self> {
        let query = &parts.query;
        let bounded = |number: Option<i64>, default: u32| number.and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
        Some(Self(ProjectFilter {
            page: bounded(query.integer("page", 1..=1000).optional(), 1),
            size: bounded(query.integer("size", 1..=100).optional(), 100),
            search: query.text("search", 0..=100).optional().filter(|text| !text.is_empty()),
            status: query.choice("status", Status::named).optional(),
            sector: query.text("sector", 1..=100).optional(),
        }))
    }
}

/// Figures over all own projects
#[utoipa::path(get, path = "/projects/stats", tag = TAG, 
    responses((status = 200, body = Stats), (status = 304, description = "Not changed")))]
async fn stats(State(app): State<App>, call: Call) -> Result<Answer, Problem> {
    let reader = app.reader(&call.caller, &call.envelope)?;
    let (stats, position) = in_time(app.views().project_stats(&reader).await?, &reader)?;
    let etag = Etag::list(stats.list_position, "stats", app.store().epoch());
    let answer = Answer::ok(&Stats::from(stats))?;
    Ok(answer.etag(&etag).position(Some(position)).unless_known(&call.envelope, &etag))
}

/// Figures over all own projects. The web client reads now the one spelling and now the other.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// All of them.
    total_projects: u64,
    /// In Preparation.
    in_preparation: u64,
    /// Generating Proposal.
    generating: u64,
    /// Proposal Ready.
    ready: u64,
    /// The same.
    proposal_ready: u64,
    /// In Development.
    in_development: u64,
    /// Completed.
    completed: u64,
    /// On Hold.
    on_hold: u64,
    /// How much of their sheets is filled on average, in per cent.
    avg_progress: u8,
    /// Budgets in US dollars.
    total_budget: f64,
    /// When one of them last changed.
    last_updated: Option<DateTime<Utc>>,
    /// By status, those that occur.
    pipeline_stages: BTreeMap<&'static str, Stage>,
    /// As `totalProjects`.
    #[serde(rename = "total_projects")]
    total_projects_again: u64,
    /// As `inPreparation`.
    #[serde(rename = "in_preparation")]
    in_preparation_again: u64,
    /// As `proposalReady`.
    #[serde(rename = "proposal_ready")]
    proposal_ready_again: u64,
    /// As `inDevelopment`.
    #[serde(rename = "in_development")]
    in_development_again: u64,
    /// As `onHold`.
    #[serde(rename = "on_hold")]
    on_hold_again: u64,
    /// As `avgProgress`.
    #[serde(rename = "avg_progress")]
    avg_progress_again: u8,
}

/// Projects of one status.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// How many.
    count: u64,
    /// How much of their sheets is filled on average, in per cent.
    avg_progress: u8,
}

impl From<ProjectStats> for Stats {
    fn from(stats: ProjectStats) -> Self {
        let count = |status| stats.stages.iter().find(|stage| stage.status == status).map_or(0, |stage| stage.count);
        let (preparing, ready, developing, held) = (
            count(Status::InPreparation),
            count(Status::ProposalReady),
            count(Status::InDevelopment),
            count(Status::OnHold),
        );
        Self {
            total_projects: stats.total_projects,
            in_preparation: preparing,
            generating: count(Status::GeneratingProposal),
            ready,
            proposal_ready: ready,
            in_development: developing,
            completed: count(Status::Completed),
            on_hold: held,
            avg_progress: stats.avg_progress,
            total_budget: cents(stats.total_budget_usd),
            last_updated: stats.last_updated,
            pipeline_stages: stats
                .stages
                .iter()
                .map(|stage| (stage.status.as_str(), Stage { count: stage.count, avg_progress: stage.avg_progress }))
                .collect(),
            total_projects_again: stats.total_projects,
            in_preparation_again: preparing,
            proposal_ready_again: ready,
            in_development_again: developing,
            on_hold_again: held,
            avg_progress_again: stats.avg_progress,
        }
    }
}

/// A project
#[utoipa::path(get, path = "/projects/{id}", tag = TAG, params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = ProjectDetail), (status = 304, description = "Not changed")))]
async fn show(State(app): State<App>, call: Call<ById>) -> Result<Answer, Problem> {
    let reader = app.reader(&call.caller, &call.envelope)?;
    let (found, position) =
        found_in_time(app.views().project_detail(&reader, call.input.0).await?, &reader, catalogue::PROJECT_NOT_FOUND)?;
    let Found { document, position: changed_at } = found;
    let etag = Etag::resource(document.project.header_version, Some(changed_at), app.store().epoch());
    Ok(Answer::ok(&ProjectDetail::from(document))?
        .etag(&etag)
        .position(Some(position))
        .unless_known(&call.envelope, &etag))
}

/// Change a project
#[utoipa::path(patch, path = "/projects/{id}", tag = TAG, params(("id" = uuid::Uuid, Path)),
    request_body = ProjectChanges, responses((status = 200, body = ProjectDetail)))]
async fn change(State(app): State<App>, call: Call<Change>) -> Result<Answer, Problem> {
    let owner = call.caller.account_id;
    let expected = call.envelope.expected_version();
    let context = call.envelope.command(&call.caller, "change-project");
    let Change { id, patch, status } = call.input;
    let views = app.views().clone();
    let written = app.write(context, move |session: &mut Session| {
        let command = ProjectCommand::Change { by: owner, patch: patch.clone(), status, expected };
        let views = views.clone();
        async move {
            session.load::<Project>(id.as_uuid()).await?;
            session.handle::<Project>(id.as_uuid(), owner, command)?;
            let (detail, version, changed) = detail_ahead(&views, session, owner, id).await?;
            Ok(Answer::ok(&detail)?.leaves(version, changed))
        }
        .boxed()
    });
    match written.await {
        Err(problem) => Err(explained(&app, problem, (owner, id, Part::Header), expected).await),
        answered => answered,
    }
}

/// Delete a project with everything in it
#[utoipa::path(delete, path = "/projects/{id}", tag = TAG, params(("id" = uuid::Uuid, Path)),
    responses((status = 204, description = "Deleted")))]
async fn delete(State(app): State<App>, call: Call<ById>) -> Result<Answer, Problem> {
    let owner = call.caller.account_id;
    let expected = call.envelope.expected_version();
    let context = call.envelope.command(&call.caller, "delete-project");
    let id = call.input.0;
    let written = app.write(context, move |session: &mut Session| {
        async move {
            let active = session.load::<Project>(id.as_uuid()).await?.owned_by(owner)?.active;
            session.handle::<Project>(id.as_uuid(), owner, ProjectCommand::Delete { by: owner, expected })?;
            if let Some(proposal) = active {
                let phase = session.load::<Proposal>(proposal.as_uuid()).await?.requested()?.phase;
                // If it has ended between the two loads, the project has moved on with it: the append will find that out.
                if phase.is_active() {
                    session.handle::<Proposal>(proposal.as_uuid(), owner, ProposalCommand::Cancel)?;
                }
                if phase == Phase::Queued {
                    // No worker will end it, so its place is given back here.
                    session.claim(Claim::ReleaseAll { kind: JOB_SLOT, holder: proposal.as_uuid() });
                }
            }
            Ok(Answer::no_content())
        }
        .boxed()
    });
    match written.await {
        Err(problem) => Err(explained(&app, problem, (owner, id, Part::Header), expected).await),
        answered => answered,
    }
}

/// The project as a write leaves it, however far behind the read models are, with its version and its last change.
async fn detail_ahead(
    views: &Views,
    session: &mut Session,
    owner: AccountId,
    id: ProjectId,
) -> Result<(ProjectDetail, u64, LastChange), Refusal> {
    let (mut reading, decided) = session.reading().await?;
    let current = views.project_detail_ahead(Ahead::of(&mut reading, &decided), owner, id).await?;
    let Current { value, changed } = current.ok_or(ProjectRefusal::NotFound)?;
    let version = value.project.header_version;
    Ok((value.into(), version, changed))
}

impl From<projections::ProjectDetail> for ProjectDetail {
    fn from(found: projections::ProjectDetail) -> Self {
        Self {
            completeness: found.project.completeness.into(),
            proposals: found.proposals.into_iter().map(ProposalView::from).collect(),
            timeline: found.timeline.into_iter().map(EntryView::from).collect(),
            summary: found.project.into(),
        }
    }
}
