//! The technical sheet of a project, and whatever else its document holds.

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::{Project, ProjectCommand, ProjectId, ProjectRefusal};
use eventstore::Session;
use futures::FutureExt as _;
use projections::{Ahead, Current, ProjectDataDocument};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::answer::Answer;
use crate::app::{App, found_in_time};
use crate::call::{BodyKind, Call, Input, Parts};
use crate::etag::Etag;
use crate::fields::Bounds;
use crate::precondition::{Part, explained};
use crate::problem::{Problem, catalogue};
use crate::projects::{ById, CompletenessView};

const TAG: &str = "Project data";
/// Bounds of what may be stored; how large the document may become is the aggregate's to say.
const BOUNDS: Bounds = Bounds { depth: 32, key: 256, bytes: usize::MAX };

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, merge, replace))
}

/// The document of a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct DataView {
    /// The project.
    #[schema(value_type = Uuid)]
    pub project_id: ProjectId,
    /// The same.
    #[serde(rename = "projectId")]
    #[schema(value_type = Uuid)]
    pub project_id_again: ProjectId,
    /// The document, as it was stored.
    #[schema(value_type = Object)]
    pub data: Value,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// How much of the technical sheet is filled.
    pub completeness: CompletenessView,
}

impl From<ProjectDataDocument> for DataView {
    fn from(document: ProjectDataDocument) -> Self {
        Self {
            project_id: document.project,
            project_id_again: document.project,
            data: document.data,
            updated_at: document.updated_at,
            completeness: document.completeness.into(),
        }
    }
}

/// The document as a write leaves it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DataWritten {
    /// In words.
    pub message: &'static str,
    /// The document.
    #[serde(flatten)]
    pub view: DataView,
    /// When it last changed, again.
    #[serde(rename = "updatedAt")]
    pub updated_at_again: DateTime<Utc>,
}

/// A write to the document.
#[derive(Debug)]
struct Write<const REPLACES: bool> {
    id: ProjectId,
    body: Value,
    replace: bool,
}

impl<const REPLACES: bool> Input for Write<REPLACES> {
    const BODY: BodyKind = BodyKind::Data;

    fn read(parts: &Parts<'_>) -> Option<Self> {
        let id = parts.path.id("id").required();
        let merge = if REPLACES { false } else { parts.query.boolean("merge").optional().unwrap_or(true) };
        let body = parts.body_document(BOUNDS);
        Some(Self { id: id?, body: body?, replace: !merge })
    }
}

/// The document of a project
#[utoipa::path(get, path = "/projects/{id}/data", tag = TAG, params(("id" = Uuid, Path)),
    responses((status = 200, body = DataView), (status = 304, description = "Not changed")))]
async fn show(State(app): State<App>, call: Call<ById>) -> Result<Answer, Problem> {
    let reader = app.reader(&call.caller, &call.envelope)?;
    let (found, position) =
        found_in_time(app.views().project_data(&reader, call.input.0).await?, &reader, catalogue::PROJECT_NOT_FOUND)?;
    let etag = Etag::resource(found.document.data_version, Some(found.position), app.store().epoch());
    let answer = Answer::ok(&DataView::from(found.document))?;
    Ok(answer.etag(&etag).position(Some(position)).unless_known(&call.envelope, &etag))
}

/// Merge into the document of a project
#[utoipa::path(patch, path = "/projects/{id}/data", tag = TAG,
    params(
        ("id" = Uuid, Path),
        ("merge" = Option<bool>, Query, description = "False replaces the document"),
    ),
    request_body(content = Value, description = "Objects are merged key by key; lists and plain values replace"),
    responses((status = 200, body = DataWritten)))]
async fn merge(State(app): State<App>, call: Call<Write<false>>) -> Result<Answer, Problem> {
    write(app, call).await
}

/// Replace the document of a project
#[utoipa::path(put, path = "/projects/{id}/data", tag = TAG, params(("id" = Uuid, Path)),
    request_body(content = Value, description = "The new document"),
    responses((status = 200, body = DataWritten)))]
async fn replace(State(app): State<App>, call: Call<Write<true>>) -> Result<Answer, Problem> {
    write(app, call).await
}

async fn write<const REPLACES: bool>(app: App, call: Call<Write<REPLACES>>) -> Result<Answer, Problem> {
    let owner = call.caller.account_id;
    let expected = call.envelope.expected_version();
    let context = call.envelope.command(&call.caller, "change-project-data");
    let Write { id, body, replace } = call.input;
    let (views, body) = (app.views().clone(), std::sync::Arc::new(body));
    let written = app.write(context, move |session: &mut Session| {
        let (views, body) = (views.clone(), std::sync::Arc::clone(&body));
        async move {
            session.load::<Project>(id.as_uuid()).await?;
            let command = ProjectCommand::ChangeData {
                by: owner,
                at: session.now(),
                body: Value::clone(&body),
                replace,
                entry: Uuid::now_v7(),
                expected,
            };
            session.handle::<Project>(id.as_uuid(), owner, command)?;
            let (mut reading, decided) = session.reading().await?;
            let current = views.project_data_ahead(Ahead::of(&mut reading, &decided), owner, id).await?;
            let Current { value, changed } = current.ok_or(ProjectRefusal::NotFound)?;
            let (version, updated_at_again) = (value.data_version, value.updated_at);
            let written = DataWritten { message: "Project data updated", view: value.into(), updated_at_again };
            Ok(Answer::ok(&written)?.leaves(version, changed))
        }
        .boxed()
    });
    match written.await {
        Err(problem) => Err(explained(&app, problem, (owner, id, Part::Data), expected).await),
        answered => answered,
    }
}
