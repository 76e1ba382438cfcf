//! One request and what came of it, a broken connection included.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;

/// Longer than the server lets any request take.
const PATIENCE: Duration = Duration::from_secs(35);

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    http: reqwest::Client,
    token: String,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Below the interface's prefix.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    /// The tag of the command, if it is one.
    pub(crate) tag: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) if_match: Option<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) position: Option<u64>,
    pub(crate) etag: Option<String>,
    pub(crate) replayed: bool,
    pub(crate) body: Value,
    pub(crate) waited: Duration,
}

impl Request {
    pub(crate) fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None, tag: None, key: None, if_match: None }
    }

    /// For people.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl Told {
    /// The domain code of a problem.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Caller {
    pub(crate) fn new(token: String) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client without settings can be made");
        Self { http, token }
    }

    /// Sends it to the server at `root`. `None` if nobody answered; with `cut`, the connection is dropped that long after
    /// the request was begun, if the answer is not there by then.
    pub(crate) async fn send(&self, root: &str, request: &Request, cut: Option<Duration>) -> Option<Told> {
        timeout(cut.unwrap_or(PATIENCE), self.finish(root, request)).await.ok()?
    }

    async fn finish(&self, root: &str, request: &Request) -> Option<Told> {
        let began = Instant::now();
        let mut call = self.http.request(request.method.clone(), format!("{root}/api/v1{}", request.path));
        call = call.bearer_auth(&self.token);
        for (name, value) in
            [("x-correlation-id", &request.tag), ("idempotency-key", &request.key), ("if-match", &request.if_match)]
        {
            if let Some(value) = value {
                call = call.header(name, value);
            }
        }
        if let Some(body) = &request.body {
            call = call.json(body);
        }
        let answer = call.send().await.ok()?;
        let status = answer.status().as_u16();
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        let position = header("x-event-position").and_then(|position| position.parse().ok());
        let (etag, replayed) = (header("etag"), header("idempotency-replayed").is_some());
        let bytes = answer.bytes().await.ok()?;
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).ok()? };
        Some(Told { status, position, etag, replayed, body, waited: began.elapsed() })
    }
}
