//! A client of the HTTP interface that looks at every answer.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::Server;
use crate::{PATIENCE, word};

/// Somebody who calls the interface.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    root: String,
    token: Option<String>,
}

/// An account, and whoever is signed in to it.
#[derive(Clone)]
pub struct Person {
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
    /// Signed in.
    pub client: Client,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Method and path of the request.
    pub to: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// Nobody in particular.
    pub fn of(server: &Server) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { http, root: server.url.clone(), token: None }
    }

    /// The same person, calling another server.
    pub fn at(&self, server: &Server) -> Self {
        Self { root: server.url.clone(), ..self.clone() }
    }

    /// The same server, called with this bearer token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The bearer token, if it has one.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// GET, below the interface's prefix.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, &format!("/api/v1{path}"), None).await
    }

    /// GET, below the root.
    pub async fn get_root(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.raw(Method::POST, path, body.to_string()).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.raw(Method::PATCH, path, body.to_string()).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.raw(Method::PUT, path, body.to_string()).await
    }

    /// DELETE, as the web client sends it: with a JSON type and no body.
    pub async fn delete(&self, path: &str) -> Answer {
        self.raw(Method::DELETE, path, "").await
    }

    /// Whatever body, said to be JSON.
    pub async fn raw(&self, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(method, &format!("/api/v1{path}"), Some(body.into())).await
    }

    /// Signs in.
    pub async fn sign_in(&self, email: &str, password: &str) -> Answer {
        let form = [("username", email), ("password", password)];
        let request = self.http.post(format!("{}/api/v1/auth/jwt/login", self.root)).form(&form);
        self.finish("POST /auth/jwt/login".to_owned(), request).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Answer {
        let to = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", self.root));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        self.finish(to, request).await
    }

    async fn finish(&self, to: String, mut request: reqwest::RequestBuilder) -> Answer {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer =
            request.header("origin", WEB_CLIENT).send().await.unwrap_or_else(|error| panic!("{to}: {error:?}"));
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.unwrap_or_else(|error| panic!("{to}: {error:?}")).to_vec();
        let answer = Answer { to, status, headers, body };
        // True of every answer, whatever the test is about.
        assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.shown());
        assert!(answer.headers.contains_key("x-request-id"), "{}", answer.shown());
        answer
    }
}

/// The origin of the web client, which is allowed by default.
const WEB_CLIENT: &str = "http://localhost:3000";

/// Registers somebody new and signs in.
pub async fn sign_up(server: &Server) -> Person {
    let email = format!("{}@example.com", word("person"));
    let password = word("secret");
    let client = Client::of(server);
    let about = json!({"email": email, "password": password, "first_name": "Ana", "last_name": ""});
    client.post("/auth/register", &about).await.ok(201);
    let session = client.sign_in(&email, &password).await.ok(200);
    let client = client.with_token(session["access_token"].as_str().unwrap());
    Person { email, password, client }
}

impl Answer {
    /// The JSON body of a success with this status; null if it has no body.
    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.shown());
        let content_type = self.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
        if status == 204 {
            assert!(
                self.body.is_empty() && content_type.is_none(),
                "a 204 has neither body nor type: {}",
                self.shown()
            );
            return Value::Null;
        }
        assert!(content_type.is_some_and(|value| value.starts_with("application/json")), "{}", self.shown());
        self.json()
    }

    /// The problem with this status and domain code, after a look at its shape.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.some_problem();
        assert_eq!((self.status.as_u16(), &problem["error"]["code"]), (status, &json!(code)), "{}", self.shown());
        problem
    }

    /// A problem of whatever kind, after a look at its shape.
    #[track_caller]
    pub fn some_problem(&self) -> Value {
        let shown = self.shown();
        let content_type = self.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
        assert_eq!(content_type, Some("application/problem+json"), "{shown}");
        let problem = self.json();
        assert!(self.headers.contains_key("access-control-allow-origin"), "a browser cannot read this: {shown}");
        assert_eq!(problem["status"], self.status.as_u16(), "{shown}");
        assert_eq!(problem["requestId"], self.headers["x-request-id"].to_str().unwrap(), "{shown}");
        for text in ["type", "title", "instance", "code", "message", "timestamp"] {
            assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{text}: {shown}");
        }
        assert!(
            problem["details"].is_object() && problem["errors"].is_array() && problem["error"].is_object(),
            "{shown}"
        );
        problem
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// For people who read a failed test.
    pub fn shown(&self) -> String {
        let text: String = self.text().chars().take(2_000).collect();
        format!("{} answered {}: {text}", self.to, self.status)
    }
}
