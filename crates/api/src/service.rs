//! The routes about the service itself.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::health::{Overall, Readiness, Report};
use crate::limits::PREFIX;
use crate::problem::{Problem, catalogue};

const TAG: &str = "Service";

/// Those at the root of the host.
pub(crate) fn root_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(root))
        .routes(routes!(ping))
        .routes(routes!(metrics))
        .routes(routes!(problem))
        .merge(health_routes())
}

/// Those that are found under the prefix, and at the root too.
pub(crate) fn health_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(liveness)).routes(routes!(readiness))
}

/// What this is.
#[derive(Debug, Serialize, ToSchema)]
pub struct About {
    /// The name of the service.
    pub name: &'static str,
    /// This release.
    pub version: String,
    /// The environment.
    pub environment: String,
    /// Where its API is explained.
    pub docs_url: String,
    /// Where it says how it does.
    pub health_url: String,
}

/// A word about a state.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusWord {
    /// The word.
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// What this is
#[utoipa::path(get, path = "/", tag = TAG, responses((status = 200, body = About)))]
async fn root(State(app): State<App>) -> Result<Answer, Problem> {
    let config = app.config();
    Answer::ok(&About {
        name: "H2O Allegiant",
        version: config.version.clone(),
        environment: config.environment.clone(),
        docs_url: format!("{PREFIX}/docs"),
        health_url: format!("{PREFIX}/health"),
    })
}

/// Whether anybody is there
#[utoipa::path(get, path = "/ping", tag = TAG, responses((status = 200, body = StatusWord)))]
async fn ping() -> Result<Answer, Problem> {
    Answer::ok(&StatusWord { status: "ok" })
}

/// How the service does
#[utoipa::path(get, path = "/health", tag = TAG, responses(
    (status = 200, description = "Healthy or degraded", body = Report),
    (status = 503, description = "Unhealthy", body = Report),
))]
async fn health(State(app): State<App>) -> Result<Response, Problem> {
    let report = app.report().await;
    let status = match report.status {
        Overall::Healthy | Overall::Degraded => StatusCode::OK,
        Overall::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((status, Answer::ok(&report)?).into_response())
}

/// Whether the process runs
#[utoipa::path(get, path = "/health/liveness", tag = TAG, responses((status = 200, body = StatusWord)))]
async fn liveness() -> Result<Answer, Problem> {
    Answer::ok(&StatusWord { status: "alive" })
}

/// Whether requests may be sent here
#[utoipa::path(get, path = "/health/readiness", tag = TAG, responses(
    (status = 200, description = "Ready", body = Readiness),
    (status = 503, description = "Not ready", body = Readiness),
))]
async fn readiness(State(app): State<App>) -> Result<Response, Problem> {
    let readiness = app.readiness().await;
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Answer::ok(&readiness)?).into_response())
}

/// Numbers for Prometheus
#[utoipa::path(get, path = "/metrics", tag = TAG, responses(
    (status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"),
))]
async fn metrics(State(app): State<App>) -> Response {
    let text = (app.parts().metrics)();
    ([(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))], text).into_response()
}

/// A problem, explained.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// The path of this page.
    #[serde(rename = "type")]
    #[schema(rename = "type", example = "/problems/project-not-found")]
    pub problem_type: String,
    /// Its fixed words.
    #[schema(example = "Project not found")]
    pub title: &'static str,
    /// The HTTP status it comes with.
    #[schema(example = 404)]
    pub status: u16,
    /// The domain code.
    #[schema(example = "PROJECT_NOT_FOUND")]
    pub code: &'static str,
    /// What it means.
    #[schema(example = "There is no such project among yours.")]
    pub description: &'static str,
}

/// A kind of problem, explained
#[utoipa::path(get, path = "/problems/{slug}", tag = TAG,
    params(("slug" = String, Path, description = "Domain code in lower case with dashes")),
    responses((status = 200, body = Explanation)))]
async fn problem(Path(slug): Path<String>) -> Result<Answer, Problem> {
    let kind = catalogue::ALL.iter().find(|kind| kind.slug() == slug).ok_or(catalogue::NOT_FOUND)?;
    Answer::ok(&Explanation {
        problem_type: format!("/problems/{slug}"),
        title: kind.title,
        status: kind.status.as_u16(),
        code: kind.code,
        description: kind.message,
    })
}
