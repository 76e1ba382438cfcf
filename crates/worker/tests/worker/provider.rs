//! A provider of a language model on this machine, with a script, and a drafter that calls it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use drafting::{Drafter, ModelSettings, Price, Secret, Settings};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::world::machine_clock;

/// What the provider does with a call.
#[derive(Clone)]
pub enum Reply {
    /// Writes a text that says what the design says.
    Write,
    /// The same, once [`Provider::let_go`] was called.
    WriteWhenLetGo,
    /// Declines.
    Decline,
    /// Answers with a status, a `Retry-After` in seconds, and an error code.
    Refuse(u16, Option<&'static str>, &'static str),
    /// Answers with a status, once [`Provider::let_go`] was called.
    RefuseWhenLetGo(u16),
}

struct Shared {
    replies: Mutex<Vec<Reply>>,
    calls: AtomicUsize,
    answers: AtomicUsize,
    gate: Semaphore,
}

/// A provider with a script: one reply for each call, the last one for all that follow.
pub struct Provider {
    base_url: String,
    shared: Arc<Shared>,
}

impl Provider {
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies.into_iter().collect()),
            calls: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        });
        let routes = Router::new().route("/v1/chat/completions", post(complete)).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { base_url, shared }
    }

    /// A drafter that calls this provider.
    pub fn drafter(&self) -> Arc<Drafter> {
        let model = ModelSettings {
            api_key: Secret::new("sk-planted-key"),
            base_url: self.base_url.clone(),
            model: "gpt-4o-mini".to_owned(),
            call_timeout: Duration::from_secs(60),
            price: Price { input_usd_per_million: 0.15, output_usd_per_million: 0.6 },
        };
        Arc::new(Drafter::new(Settings { model: Some(model) }, machine_clock()).unwrap())
    }

    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// Waits until there were so many calls.
    pub async fn called(&self, times: usize) {
        testkit::wait_until(Duration::from_secs(30), async || (self.calls() >= times).then_some(())).await;
    }

    /// Lets calls that wait for it go on.
    pub fn let_go(&self, calls: usize) {
        self.shared.gate.add_permits(calls);
    }

    /// Waits until so many calls were answered.
    pub async fn answered(&self, times: usize) {
        let answers = &self.shared.answers;
        testkit::wait_until(Duration::from_secs(30), async || (answers.load(Ordering::SeqCst) >= times).then_some(()))
            .await;
    }
}

async fn complete(State(shared): State<Arc<Shared>>, Json(call): Json<Value>) -> Response {
    let reply = {
        let mut replies = shared.replies.lock().unwrap();
        if replies.len() > 1 { replies.remove(0) } else { replies[0].clone() }
    };
    shared.calls.fetch_add(1, Ordering::SeqCst);
    let answer = match reply {
        Reply::Write => written(&call),
        Reply::WriteWhenLetGo => {
            shared.gate.acquire().await.unwrap().forget();
            written(&call)
        }
        Reply::RefuseWhenLetGo(status) => {
            shared.gate.acquire().await.unwrap().forget();
            StatusCode::from_u16(status).unwrap().into_response()
        }
        Reply::Decline => completion(&json!({"role": "assistant", "content": null, "refusal": "I cannot."})),
        Reply::Refuse(status, retry_after, code) => {
            let body = Json(json!({"error": {"message": "no", "type": code, "code": code}}));
            let mut answer = (StatusCode::from_u16(status).unwrap(), body).into_response();
            if let Some(seconds) = retry_after {
                answer.headers_mut().insert("retry-after", seconds.parse().unwrap());
            }
            answer
        }
    };
    shared.answers.fetch_add(1, Ordering::SeqCst);
    answer
}

fn written(call: &Value) -> Response {
    let message = call["messages"][1]["content"].as_str().unwrap();
    let design = message.split("<design>").nth(1).unwrap().split("</design>").next().unwrap();
    let design: Value = serde_json::from_str(design).unwrap();
    let first = format!("The plant treats {} m³/d.", design["design_flow_m3_per_day"]);
    let capex = design["capex_usd"]["total"].as_f64().unwrap();
    let text = json!({
        "executive_summary": format!("{first} The capital cost is estimated at USD {capex:.0}."),
        "technical_approach": format!("{first} {}", "The train works in steps. ".repeat(12)),
        "recommendations": ["Take composite samples over a week."],
        "technology_justifications": [
            {"technology": design["train"][0]["technology"], "justification": "It protects what follows."},
        ],
        "train_wish": null,
    });
    completion(&json!({"role": "assistant", "content": text.to_string()}))
}

fn completion(message: &Value) -> Response {
    Json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2000, "completion_tokens": 500, "total_tokens": 2500},
    }))
    .into_response()
}
