//! The audit: every event with its proofs, and what was so at any time before. Read only.

mod selection;
mod state;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::{ActorKind, Role, StreamKey};
use eventstore::{AuditQuery, AuditedEvent};
use futures::StreamExt as _;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::answer::Answer;
use crate::app::App;
use crate::call::{Call, Caller, Envelope};
use crate::problem::{Problem, catalogue};
use selection::{Selection, StreamInput, cursor};

const TAG: &str = "Audit";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(stream))
}

/// An event, as auditors read it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// Its place in the one order of all events.
    position: u64,
    /// Its identity.
    id: Uuid,
    /// `account`, `project`, `proposal` or `store`.
    stream_type: String,
    /// Which one.
    stream_id: String,
    /// Its number in the stream.
    version: u64,
    /// What kind of event.
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    event_type: String,
    /// The version of its stored shape.
    schema_version: u32,
    /// When the server decided it.
    recorded_at: DateTime<Utc>,
    /// Who acted.
    actor: AuditActor,
    /// What it has in common with others of one course of business.
    correlation_id: String,
    /// The event that it answers.
    causation_id: Option<Uuid>,
    /// The request it came from.
    request_id: Option<String>,
    /// What happened. Personal parts of an erased account read `[erased]`.
    #[schema(value_type = Object)]
    payload: Value,
    /// Its link of the hash chain, in hexadecimal digits.
    hash: String,
    /// The link before it.
    previous_hash: String,
}

/// Who acted.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditActor {
    #[schema(value_type = String, example = "account")]
    kind: ActorKind,
    /// The account; null for the system and the worker.
    id: Option<Uuid>,
}

impl From<AuditedEvent> for AuditEvent {
    /// What cannot be read is said in the log and shown as null: an audit that fails as a whole hides the rest.
    fn from(event: AuditedEvent) -> Self {
        let metadata = event.metadata.as_ref().ok();
        let actor = metadata.map_or(domain::Actor::SYSTEM, domain::Metadata::actor);
        let unreadable = event.metadata.is_err() || event.payload.is_err();
        if unreadable {
            tracing::error!(event.id = %event.event_id, ledger.position = event.position, "an event cannot be read");
        }
        Self {
            position: event.position,
            id: event.event_id,
            stream_type: event.aggregate_type,
            stream_id: event.aggregate_id,
            version: event.sequence,
            event_type: event.event_type,
            schema_version: event.schema_version,
            recorded_at: event.recorded_at,
            actor: AuditActor { kind: actor.kind, id: (!actor.id.is_nil()).then_some(actor.id) },
            correlation_id: metadata.map(|metadata| metadata.correlation_id.clone()).unwrap_or_default(),
            causation_id: metadata.and_then(|metadata| metadata.causation_id),
            request_id: metadata.and_then(|metadata| metadata.request_id.clone()),
            payload: event.payload.unwrap_or(Value::Null),
            hash: hex::encode(event.hash),
            previous_hash: hex::encode(event.previous_hash),
        }
    }
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvents {
    /// The events.
    items: Vec<AuditEvent>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The last position there is.
    position: u64,
}

/// What an aggregate was at some time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastState {
    stream_type: &'static str,
    stream_id: Uuid,
    /// The number of the last event in it.
    version: u64,
    /// The position of that event.
    position: u64,
    /// When that event was recorded.
    recorded_at: DateTime<Utc>,
    /// What was asked for.
    as_of: String,
    /// The state as it was, rebuilt from the events up to there.
    #[schema(value_type = Object)]
    state: Value,
}

/// Events
///
/// With `Accept: application/x-ndjson` the whole selection is streamed, one event a line.
#[utoipa::path(get, path = "/audit/events", tag = TAG,
    params(
        ("stream_type" = Option<String>, Query, description = "`account`, `project`, `proposal` or `store`"),
        ("stream_id" = Option<Uuid>, Query, description = "Which one"),
        ("event_type" = Option<String>, Query, description = "Types, separated by commas"),
        ("actor_id" = Option<Uuid>, Query, description = "Who acted"),
        ("correlation_id" = Option<String>, Query, description = "One course of business"),
        ("from_position" = Option<u64>, Query, description = "First position"),
        ("to_position" = Option<u64>, Query, description = "Last position"),
        ("from" = Option<DateTime<Utc>>, Query, description = "Recorded then or later"),
        ("to" = Option<DateTime<Utc>>, Query, description = "Recorded before"),
        ("order" = Option<String>, Query, description = "`asc` or `desc`"),
        ("limit" = Option<u32>, Query, description = "1 to 500; 100 if absent"),
        ("cursor" = Option<String>, Query, description = "Where the page begins"),
    ),
    responses((status = 200, content(
        (AuditEvents = "application/json"),
        (String = "application/x-ndjson"),
    ))))]
async fn events(State(app): State<App>, call: Call<Selection>) -> Result<Response, Problem> {
    let mut query = call.input.query;
    narrow(&mut query, &call.caller);
    if wants_lines(&call.envelope) {
        return Ok(lines(app, query));
    }
    Ok(page(&app, query, &call.envelope).await?.into_response())
}

/// The events of one stream, or what it was
///
/// With `as_of`, a position or a time, the state as it was then.
#[utoipa::path(get, path = "/audit/streams/{type}/{id}", tag = TAG,
    params(
        ("type" = String, Path, description = "`account`, `project`, `proposal` or `store`"),
        ("id" = Uuid, Path, description = "Which one"),
        ("as_of" = Option<String>, Query, description = "A position, or a time"),
        ("order" = Option<String>, Query, description = "`asc` or `desc`"),
        ("limit" = Option<u32>, Query, description = "1 to 500; 100 if absent"),
        ("cursor" = Option<String>, Query, description = "Where the page begins"),
    ),
    responses((status = 200, content((AuditEvents = "application/json"), (PastState = "application/json")))))]
async fn stream(State(app): State<App>, call: Call<StreamInput>) -> Result<Answer, Problem> {
    let StreamInput { key, as_of, mut query } = call.input;
    narrow(&mut query, &call.caller);
    if !exists(&app, key, query.subject).await? {
        return Err(catalogue::STREAM_NOT_FOUND.into());
    }
    match as_of {
        None => page(&app, query, &call.envelope).await,
        Some(as_of) => Answer::ok(&state::at(&app, key, as_of).await?),
    }
}

/// Auditors and admins see everything, others what is about themselves. Analysts who are nothing else see nothing: their
/// views are without personal data, and the audit is not.
fn allows(roles: &[Role]) -> bool {
    sees_everything(roles) || !roles.contains(&Role::Analyst)
}

fn sees_everything(roles: &[Role]) -> bool {
    roles.contains(&Role::Auditor) || roles.contains(&Role::Admin)
}

fn narrow(query: &mut AuditQuery, caller: &Caller) {
    if !sees_everything(&caller.roles) {
        query.subject = Some(caller.account_id.as_uuid());
    }
}

/// Whether the stream exists and, where `subject` is given, is about that person.
async fn exists(app: &App, key: StreamKey, subject: Option<Uuid>) -> Result<bool, Problem> {
    let first =
        AuditQuery { stream_kind: Some(key.kind), stream_id: Some(key.id), subject, limit: 1, ..AuditQuery::default() };
    Ok(!app.store().audit(first).await?.events.is_empty())
}

async fn page(app: &App, query: AuditQuery, envelope: &Envelope) -> Result<Answer, Problem> {
    let page = app.store().audit(query).await?;
    let epoch = app.store().epoch();
    let next_cursor = page.next.map(|position| cursor::write(position, epoch));
    let items = page.events.into_iter().map(AuditEvent::from).collect();
    let body = AuditEvents { items, next_cursor, position: page.head };
    Ok(Answer::ok(&body)?.position(Some(page.head)).next_cursor(body.next_cursor.as_deref(), envelope))
}

fn wants_lines(envelope: &Envelope) -> bool {
    let accepts = envelope.headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accepts.flat_map(|accept| accept.split(',')).any(|media| {
        media.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/x-ndjson"))
    })
}

/// The whole selection, a line an event, a page at a time; the last line tells that nothing is missing.
fn lines(app: App, query: AuditQuery) -> Response {
    struct Progress {
        query: AuditQuery,
        count: u64,
        head: u64,
        done: bool,
    }
    let begin = Progress { query: AuditQuery { limit: 500, ..query }, count: 0, head: 0, done: false };
    let pages = futures::stream::try_unfold(begin, move |mut progress| {
        let app = app.clone();
        async move {
            if progress.done {
                return Ok(None);
            }
            let page = app.store().audit(progress.query.clone()).await.map_err(std::io::Error::other)?;
            progress.head = page.head;
            progress.count += page.events.len() as u64;
            let mut text = Vec::new();
            for event in page.events {
                serde_json::to_writer(&mut text, &AuditEvent::from(event))?;
                text.push(b'\n');
            }
            match page.next {
                Some(next) => progress.query.after = Some(next),
                None => {
                    let end = json!({"end": true, "count": progress.count, "position": progress.head});
                    serde_json::to_writer(&mut text, &end)?;
                    text.push(b'\n');
                    progress.done = true;
                }
            }
            Ok::<_, std::io::Error>(Some((Bytes::from(text), progress)))
        }
    });
    let body = Body::from_stream(pages.map(|page| {
        page.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "an export was cut off");
        })
    }));
    ([(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))], body).into_response()
}
