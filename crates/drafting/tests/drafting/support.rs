//! A provider of a language model on this machine, with a script; and a generation that runs step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use domain::project::{Header, Open, Status};
use domain::proposal::{Generation, Language, Phase, ProposalType, Request, Stage, Usage};
use domain::{AccountId, Clock, Personal, ProjectId, ProposalId};
use drafting::{Drafter, ModelSettings, Price, Secret, Settings, StepFailure, StepInput, StepResult};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub const KEY: &str = "sk-planted-key";
pub const MODEL: &str = "gpt-4o-mini";

/// What the provider does with a call.
#[derive(Clone)]
pub enum Reply {
    /// Finishes with a text made from the `<design>` of the request.
    Write(fn(&Value) -> Value),
    /// Finishes with this text, whatever it is.
    Text(&'static str),
    /// Ends for this reason in the middle of a text.
    End(Option<&'static str>),
    /// Declines.
    Decline,
    /// Answers with a status, a header and a body.
    Status(u16, Option<(&'static str, &'static str)>, &'static str),
    /// Never answers.
    Hang,
}

#[derive(Clone, Default)]
struct Shared {
    replies: Arc<Mutex<Vec<Reply>>>,
    calls: Arc<Mutex<Vec<Value>>>,
    complaints: Arc<Mutex<Vec<String>>>,
    called: Arc<tokio::sync::Notify>,
}

/// A provider with a script: one reply for each call, the last one for all that follow.
pub struct Provider {
    pub base_url: String,
    shared: Shared,
}

impl Provider {
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let shared = Shared { replies: Arc::new(Mutex::new(replies.into_iter().collect())), ..Shared::default() };
        let routes = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models/{model}", get(model))
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { base_url, shared }
    }

    /// The bodies of all calls.
    pub fn calls(&self) -> Vec<Value> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// What was wrong with the calls.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.complaints.lock().unwrap().clone()
    }

    /// Waits for the next call.
    pub async fn called(&self) {
        self.shared.called.notified().await;
    }

    /// A drafter that calls this provider.
    pub fn drafter(&self) -> Drafter {
        self.drafter_with(Duration::from_secs(20), MODEL)
    }

    pub fn drafter_with(&self, call_timeout: Duration, model: &str) -> Drafter {
        let model = ModelSettings {
            api_key: Secret::new(KEY),
            base_url: self.base_url.clone(),
            model: model.to_owned(),
            call_timeout,
            price: Price { input_usd_per_million: 0.15, output_usd_per_million: 0.6 },
        };
        Drafter::new(Settings { model: Some(model) }, clock()).unwrap()
    }
}

/// The JSON between two tags of the message that a call carries.
pub fn block(call: &Value, tag: &str) -> Value {
    let text = call["messages"][1]["content"].as_str().unwrap_or_default();
    let inside = text.split(&format!("<{tag}>")).nth(1).and_then(|rest| rest.split(&format!("</{tag}>")).next());
    serde_json::from_str(inside.unwrap_or_default()).unwrap_or_default()
}

async fn complete(State(shared): State<Shared>, headers: HeaderMap, Json(call): Json<Value>) -> Response {
    let complaints = complaints(&headers, &call);
    shared.complaints.lock().unwrap().extend(complaints);
    shared.calls.lock().unwrap().push(call.clone());
    shared.called.notify_one();
    let reply = {
        let mut replies = shared.replies.lock().unwrap();
        if replies.len() > 1 { replies.remove(0) } else { replies[0].clone() }
    };
    let completion = |message: Value, finish: Option<&str>| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": call["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 2000, "completion_tokens": 500, "total_tokens": 2500},
        })
    };
    let says = |text: String| json!({"role": "assistant", "content": text});
    match reply {
        Reply::Write(write) => {
            Json(completion(says(write(&block(&call, "design")).to_string()), Some("stop"))).into_response()
        }
        Reply::Text(text) => Json(completion(says(text.to_owned()), Some("stop"))).into_response(),
        Reply::End(reason) => {
            Json(completion(says("{\"executive_summary\": \"The pl".to_owned()), reason)).into_response()
        }
        Reply::Decline => {
            let message = json!({"role": "assistant", "content": null, "refusal": "I cannot write that."});
            Json(completion(message, Some("stop"))).into_response()
        }
        Reply::Status(status, header, body) => {
            let mut answer = (StatusCode::from_u16(status).unwrap(), body).into_response();
            if let Some((name, value)) = header {
                answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            answer
        }
        Reply::Hang => std::future::pending().await,
    }
}

/// What OpenAI would refuse in a call, or what we promise never to send.
fn complaints(headers: &HeaderMap, call: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    expect(headers.get("authorization").is_some_and(|value| value == format!("Bearer {KEY}").as_str()), "bearer");
    expect(call["model"] == MODEL, "model");
    expect(call["messages"].as_array().is_some_and(|messages| messages.len() >= 2), "messages");
    let format = &call["response_format"];
    expect(format["type"] == "json_schema" && format["json_schema"]["strict"] == true, "strict output");
    expect(format["json_schema"]["name"].as_str().is_some_and(|name| !name.is_empty() && name.len() <= 64), "name");
    expect(call.get("stream").is_none_or(|stream| stream == false), "no stream");
    strict(&format["json_schema"]["schema"], "schema", &mut found);
    found
}

fn strict(schema: &Value, at: &str, found: &mut Vec<String>) {
    const KNOWN: &[&str] = &[
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
        "$ref",
        "$defs",
        "description",
        "enum",
    ];
    let Some(object) = schema.as_object() else { return found.push(format!("{at}: not an object")) };
    found.extend(object.keys().filter(|key| !KNOWN.contains(&key.as_str())).map(|key| format!("{at}: {key}")));
    if object.get("type") == Some(&json!("object")) {
        let required: BTreeSet<&str> =
            object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties: BTreeSet<&str> =
            object["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        if required != properties || object.get("additionalProperties") != Some(&json!(false)) {
            found.push(format!("{at}: not strict"));
        }
    }
    for inner in ["properties", "$defs"] {
        for (key, schema) in object.get(inner).and_then(Value::as_object).into_iter().flatten() {
            strict(schema, &format!("{at}/{key}"), found);
        }
    }
    for schema in object.get("anyOf").and_then(Value::as_array).into_iter().flatten().chain(object.get("items")) {
        strict(schema, at, found);
    }
}

async fn model(axum::extract::Path(model): axum::extract::Path<String>, headers: HeaderMap) -> Response {
    if headers.get("authorization").is_none_or(|value| value != format!("Bearer {KEY}").as_str()) {
        let error =
            json!({"error": {"message": "wrong key", "type": "invalid_request_error", "code": "invalid_api_key"}});
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    }
    if model == MODEL {
        return Json(json!({"id": model, "object": "model", "created": 1, "owned_by": "us"})).into_response();
    }
    let error = json!({"error": {
        "message": "The model does not exist", "type": "invalid_request_error", "param": "model", "code": "model_not_found",
    }});
    (StatusCode::NOT_FOUND, Json(error)).into_response()
}

pub fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-01-20T09:43:17.900Z").unwrap().to_utc()
}

pub fn clock() -> Clock {
    Clock::new(now)
}

pub fn offline() -> Drafter {
    Drafter::new(Settings { model: None }, clock()).unwrap()
}

/// A generation that runs step by step, as the worker would run it.
pub struct Job {
    pub project: Open,
    pub generation: Generation,
    pub proposal: ProposalId,
}

impl Job {
    /// A generation for a sheet in the form of the shared examples.
    pub fn of(sheet: &Value, language: Language) -> Self {
        let text = |pointer: &str| sheet.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let owner = AccountId::generate();
        let proposal = ProposalId::generate();
        let project = Open {
            owner,
            header: Header {
                name: text("/project/name"),
                client: Personal::new(text("/project/client")),
                sector: text("/project/sector"),
                subsector: sheet.pointer("/project/subsector").and_then(Value::as_str).map(str::to_owned),
                location: Personal::new(text("/project/location")),
                project_type: "Wastewater treatment".to_owned(),
                description: Personal::new(None),
                budget_usd: sheet.pointer("/project/budget").and_then(Value::as_f64).unwrap_or_default(),
                schedule_summary: domain::project::TO_BE_DEFINED.to_owned(),
                tags: vec!["ana-private-tag".to_owned()],
            },
            status: Status::GeneratingProposal,
            status_before: Status::InPreparation,
            header_version: 1,
            data: sheet["data"].clone(),
            data_version: 2,
            touched: touched(&sheet["data"]),
            editing: None,
            active: Some(proposal),
            versions: 0,
            proposals: vec![],
        };
        let request = Request {
            project: ProjectId::generate(),
            owner,
            project_version: 3,
            proposal_type: ProposalType::named(&text("/proposal_type")).unwrap_or(ProposalType::Technical),
            language,
            preferences: Personal::new(json!({"focus_areas": ["low energy"]})),
            parameters: Personal::new(json!({})),
            requested_at: now() - TimeDelta::seconds(70),
            deadline_at: now() + TimeDelta::minutes(14),
            warnings: vec![],
        };
        let generation = Generation {
            request,
            phase: Phase::Running,
            stage: None,
            attempt: 1,
            retry_at: None,
            failures: 0,
            outputs: BTreeMap::new(),
            usage: Usage::default(),
            cancellation_requested: false,
        };
        Self { project, generation, proposal }
    }

    pub fn input(&self) -> StepInput<'_> {
        StepInput {
            generation: &self.generation,
            project: &self.project,
            proposal: self.proposal,
            inputs_position: 90_512,
            attempt: 1,
        }
    }

    /// Runs one step and keeps what comes of it.
    pub async fn step(&mut self, drafter: &Drafter, stage: Stage) -> Result<(), StepFailure> {
        let StepResult { output, usage } = drafter.run(stage, self.input(), &CancellationToken::new()).await?;
        self.generation.outputs.insert(stage, output);
        if let Some(usage) = usage {
            self.generation.usage.add(&usage);
        }
        Ok(())
    }

    /// Runs the steps before the text.
    pub async fn design(&mut self) {
        for stage in [Stage::Sheet, Stage::Basis, Stage::Trains, Stage::Sizing, Stage::Costs] {
            self.step(&offline(), stage).await.unwrap();
        }
    }

    /// Runs all steps.
    pub async fn all(&mut self, drafter: &Drafter) -> Result<(), StepFailure> {
        for stage in Stage::ALL.into_iter().filter(|stage| *stage != Stage::Publish) {
            self.step(drafter, stage).await?;
        }
        Ok(())
    }

    /// The document of a stage.
    pub fn output(&self, stage: Stage) -> &Value {
        self.generation.outputs[&stage].document.known().unwrap()
    }
}

/// Every field of the sheet: somebody filled it in.
fn touched(data: &Value) -> BTreeSet<String> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let sections = data["technical_sections"].as_array().into_iter().flatten();
    sections
        .flat_map(|section| {
            let fields = section["fields"].as_array().into_iter().flatten();
            fields.map(move |field| format!("{}/{}", text(section, "id"), text(field, "id")))
        })
        .collect()
}

/// The shared sheets, by name; `None` with a clear line where they are absent.
fn shared_sheets() -> Option<Vec<(String, Value)>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/sheets");
    let Ok(files) = std::fs::read_dir(folder) else {
        // Not captured by the test runner, as what the printing macros write is.
        _ = writeln!(std::io::stderr(), "SKIPPED: the shared sheets are not here ({folder})");
        return None;
    };
    let mut sheets: Vec<(String, Value)> = files
        .map(|file| {
            let path = file.unwrap().path();
            let sheet: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            (sheet["name"].as_str().unwrap().to_owned(), sheet)
        })
        .collect();
    sheets.sort_by(|a, b| a.0.cmp(&b.0));
    Some(sheets)
}

/// A sheet that lives in this crate: a dairy with 230 m³ of wastewater a day.
pub fn dairy() -> Value {
    serde_json::from_str(include_str!("../sheets/dairy.json")).unwrap()
}

/// The sheets to test with: those of this crate, and the shared ones where they are.
pub fn sheets() -> Vec<(String, Value)> {
    let hotel: Value = serde_json::from_str(include_str!("../sheets/hotel.json")).unwrap();
    let own = [("own dairy".to_owned(), dairy()), ("own hotel".to_owned(), hotel)];
    own.into_iter().chain(shared_sheets().unwrap_or_default()).collect()
}
