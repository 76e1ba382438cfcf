//! A provider of a language model, as far as the wire shows: OpenAI's interface on a local port.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::PATIENCE;
use crate::site::Site;

/// The one model that it has.
pub const MODEL: &str = "local-model";
/// What a word begins with that the model repeats wherever it read it.
pub const REPEATED: &str = "planted";

/// The provider.
pub struct Model {
    /// With `/v1`.
    pub base_url: String,
    /// The key that it takes.
    pub key: String,
    shared: Arc<Shared>,
}

struct Shared {
    key: String,
    /// How long an answer takes at most; each takes a random part of it.
    slowest: Duration,
    /// Whether answers are held back.
    held: watch::Sender<bool>,
    calls: AtomicUsize,
    under_way: AtomicUsize,
    bodies: Mutex<Vec<Value>>,
    complaints: Mutex<Vec<String>>,
}

impl Model {
    /// One that answers at once.
    pub async fn start() -> Self {
        Self::slow(Duration::ZERO).await
    }

    /// One that takes up to `slowest` for an answer.
    pub async fn slow(slowest: Duration) -> Self {
        let key = format!("sk-{}", crate::word("key"));
        let shared = Arc::new(Shared {
            key: key.clone(),
            slowest,
            held: watch::Sender::new(false),
            calls: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            bodies: Mutex::default(),
            complaints: Mutex::default(),
        });
        let routes = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models/{model}", get(model))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { base_url, key, shared }
    }

    /// The site, with servers that use this model.
    pub fn of(&self, site: Site) -> Site {
        site.with("OPENAI_API_KEY", &self.key).with("OPENAI_BASE_URL", &self.base_url).with("OPENAI_MODEL", MODEL)
    }

    /// Holds answers back from now on.
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// Answers everything that was held back.
    pub fn let_go(&self) {
        self.shared.held.send_replace(false);
    }

    /// How many calls there have been.
    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// Waits until so many calls are under way.
    pub async fn under_way(&self, calls: usize, within: Duration) {
        let look = async || (self.shared.under_way.load(Ordering::SeqCst) == calls).then_some(());
        testkit::wait_until(within, look).await;
    }

    /// Waits for a call that is under way.
    pub async fn called(&self) {
        self.under_way(1, PATIENCE).await;
    }

    /// The bodies of all calls.
    pub fn bodies(&self) -> Vec<Value> {
        self.shared.bodies.lock().unwrap().clone()
    }

    /// What a real provider would have refused.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.complaints.lock().unwrap().clone()
    }
}

/// Counts a call for as long as somebody waits for its answer.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.calls.fetch_add(1, Ordering::SeqCst);
        shared.under_way.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(call): Json<Value>) -> Response {
    if let Some(refusal) = refusal(&shared, &headers) {
        return refusal;
    }
    let _call = UnderWay::begin(&shared);
    let format = &call["response_format"];
    if call["model"] != MODEL || format["type"] != "json_schema" || format["json_schema"]["strict"] != true {
        shared.complaints.lock().unwrap().push(format!("{} {format}", call["model"]));
    }
    let answer = write(&call);
    shared.bodies.lock().unwrap().push(call);
    // A provider takes its time; how long is not what a test waits for.
    let share = f64::from(u16::from_le_bytes([Uuid::new_v4().as_bytes()[0], Uuid::new_v4().as_bytes()[0]])) / 65_535.0;
    tokio::time::sleep(shared.slowest.mul_f64(share)).await;
    let mut held = shared.held.subscribe();
    let _ = held.wait_for(|held| !held).await;
    Json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": answer.to_string()},
        }],
        "usage": {"prompt_tokens": 2000, "completion_tokens": 500, "total_tokens": 2500},
    }))
    .into_response()
}

/// A text without a single figure, so that none can be wrong; it repeats every planted word that it was shown.
fn write(call: &Value) -> Value {
    let shown = call["messages"].to_string();
    let mut repeated: Vec<&str> = shown
        .match_indices(REPEATED)
        .map(|(at, _)| {
            let rest = &shown[at..];
            &rest[..rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len())]
        })
        .collect();
    repeated.sort_unstable();
    repeated.dedup();
    let remark = repeated.iter().map(|word| format!("The sheet remarks {word}.")).collect::<Vec<_>>().join(" ");
    json!({
        "executive_summary": format!("The plant treats the wastewater of the site and keeps the limits. {remark}"),
        "technical_approach": format!(
            "## Concept\n\n{}\n\n{remark}",
            "The train removes coarse matter first and dissolved matter after it. ".repeat(5)
        ),
        "recommendations": ["Confirm the peak flow with a measurement.", "Take a composite sample."],
        "technology_justifications": [],
        "train_wish": null,
    })
}

async fn model(State(shared): State<Arc<Shared>>, Path(model): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refusal) = refusal(&shared, &headers) {
        return refusal;
    }
    if model == MODEL {
        return Json(json!({"id": model, "object": "model", "created": 1, "owned_by": "local"})).into_response();
    }
    let error = json!({"error": {
        "message": format!("The model `{model}` does not exist"), "type": "invalid_request_error", "param": null,
        "code": "model_not_found",
    }});
    (StatusCode::NOT_FOUND, Json(error)).into_response()
}

fn refusal(shared: &Shared, headers: &HeaderMap) -> Option<Response> {
    if headers.get("authorization").is_some_and(|value| value == format!("Bearer {}", shared.key).as_str()) {
        return None;
    }
    let error =
        json!({"error": {"message": "Incorrect API key", "type": "invalid_request_error", "code": "invalid_api_key"}});
    Some((StatusCode::UNAUTHORIZED, Json(error)).into_response())
}
