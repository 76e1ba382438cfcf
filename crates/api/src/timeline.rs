//! The timeline of a project.

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::ProjectId;
use projections::{Page, TimelineLine};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::answer::Answer;
use crate::app::{App, found_in_time};
use crate::call::{Call, Input, Parts};
use crate::cursor::{self, Place};
use crate::problem::{Problem, catalogue};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// An entry of a project's timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryView {
    /// Its identity.
    pub id: Uuid,
    /// One of version, proposal, edit, upload, assistant, import.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What happened, in a few words.
    pub title: String,
    /// The same with particulars.
    pub description: String,
    /// Who did it.
    pub user: String,
    /// More particulars.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// When.
    pub timestamp: DateTime<Utc>,
}

struct List {
    project: ProjectId,
    limit: u32,
    after: Option<Place>,
}

impl Input for List {
    fn read(parts: &Parts<'_>) -> Option<Self> {
        let project = parts.path.id("id").required();
        let limit = parts.query.integer("limit", 1..=100).optional().unwrap_or(50);
        let after = cursor::read(parts);
        Some(Self { project: project?, limit: u32::try_from(limit).ok()?, after })
    }
}

/// What happened to a project, newest first
#[utoipa::path(get, path = "/projects/{id}/timeline", tag = "Projects",
    params(
        ("id" = Uuid, Path),
        ("limit" = Option<u32>, Query, description = "50 if left out", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "From X-Next-Cursor"),
    ),
    responses((status = 200, body = Vec<EntryView>)))]
async fn list(State(app): State<App>, call: Call<List>) -> Result<Answer, Problem> {
    let reader = app.reader(&call.caller, &call.envelope)?;
    let List { project, limit, after } = call.input;
    let now = app.clock().now();
    // One more than is shown tells whether there are more.
    let page = Page { limit: limit + 1, before: cursor::still_valid(after, now)? };
    let (mut lines, position) =
        found_in_time(app.views().timeline(&reader, project, page).await?, &reader, catalogue::PROJECT_NOT_FOUND)?;
    let next = cursor::next(&mut lines, limit, (now, app.store().epoch()), |line| (line.entry.began_at, line.entry.id));
    let entries: Vec<EntryView> = lines.into_iter().map(EntryView::from).collect();
    Ok(Answer::ok(&entries)?.position(Some(position)).next_cursor(next.as_deref(), &call.envelope))
}

impl From<TimelineLine> for EntryView {
    fn from(line: TimelineLine) -> Self {
        let TimelineLine { entry, user } = line;
        Self {
            id: entry.id,
            kind: entry.kind.as_str(),
            user,
            metadata: entry.metadata(),
            timestamp: entry.timestamp,
            title: entry.title,
            description: entry.description,
        }
    }
}
