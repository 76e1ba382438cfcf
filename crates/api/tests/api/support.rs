//! The service in process: real routes on a real database of its own, read models running behind, and a client.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use api::{Advice, ApiConfig, App, Front, Limiter, ModelState, Parts, PublicUrl};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use chrono::TimeDelta;
use domain::{AccountId, Clock};
use eventstore::{MasterKey, Settings, Store};
use http::{HeaderMap, Method, StatusCode};
use identity::{Credentials, Lifetimes, Passwords, Secrets, Sessions};
use projections::{Runner, Views};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::TestDatabase;
use tokio_util::sync::{CancellationToken, DropGuard};

/// An origin that is allowed to call.
pub const ORIGIN: &str = "http://localhost:3000";
/// A password that the policy takes.
pub const PASSWORD: &str = "Correct-horse-7-battery";
const MASTER: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
/// The longest answer that a test reads.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// One instance of the service.
pub struct Service {
    pub app: App,
    pub front: Front,
    pub limiter: Arc<Limiter>,
    /// Seconds by which the service's clock is ahead of the machine's.
    ahead: Arc<AtomicI64>,
    _running: DropGuard,
    database: Option<TestDatabase>,
    pub database_url: String,
}

/// How an instance differs from the usual one of the tests, which limits nobody.
pub struct Options {
    pub redis: Option<String>,
    pub redis_prefix: String,
    pub rate_limits: bool,
    pub projections: bool,
    pub command_permits: usize,
    pub configure: fn(&mut ApiConfig),
    pub advice: Advice,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            redis: None,
            redis_prefix: String::new(),
            rate_limits: false,
            projections: true,
            command_permits: 64,
            configure: |_| (),
            advice: Arc::new(|_| vec![]),
        }
    }
}

/// A service with a database of its own.
pub async fn start() -> Service {
    start_with(Options::default()).await
}

/// A service with a database of its own.
pub async fn start_with(options: Options) -> Service {
    let database = testkit::database().await;
    let url = database.url.clone();
    instance(url, Some(database), options).await
}

impl Drop for Service {
    /// Removes the database beside the test: a connection that is being made in the test's own thread could not go on while
    /// that waits for the removal, which waits for the connection.
    fn drop(&mut self) {
        if let Some(database) = self.database.take() {
            std::thread::spawn(move || drop(database));
        }
    }
}

impl Service {
    /// Another instance on the same database.
    pub async fn another(&self, options: Options) -> Self {
        instance(self.database_url.clone(), None, options).await
    }

    /// Moves the service's clock.
    pub fn advance(&self, by: TimeDelta) {
        self.ahead.fetch_add(by.num_seconds(), Ordering::Relaxed);
    }

    /// A client that is not signed in.
    pub fn client(&self) -> Client {
        Client { front: self.front.clone(), bearer: None, cookie: None, peer: Ipv4Addr::new(192, 0, 2, 1).into() }
    }

    /// Registers and signs in. `name` makes the address.
    pub async fn signed_up(&self, name: &str) -> Client {
        let mut client = self.client();
        let email = format!("{name}@example.com");
        let body = json!({"email": email, "password": PASSWORD, "first_name": "Ana", "last_name": "Torres"});
        let reply = client.post("/api/v1/auth/register").json(&body).send().await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        let reply = client.login(&email, PASSWORD).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        client.bearer = Some(reply.body["access_token"].as_str().unwrap().to_owned());
        client
    }

    /// The account of somebody who is signed in.
    pub async fn account(&self, client: &Client) -> AccountId {
        let me = client.get("/api/v1/auth/me").send().await;
        AccountId::from_uuid(me.body["id"].as_str().unwrap().parse().unwrap())
    }

    /// All stored events, as the texts in which they are stored.
    pub async fn stored_events(&self) -> String {
        let pool = PgPool::connect(&self.database_url).await.unwrap();
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT concat_ws(' ', event_type, payload::text, metadata::text) FROM es.events ORDER BY insert_order",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        rows.join("\n")
    }
}

async fn instance(url: String, database: Option<TestDatabase>, options: Options) -> Service {
    let ahead = Arc::new(AtomicI64::new(0));
    let clock = clock(Arc::clone(&ahead));
    let mut settings = Settings::new(url.clone());
    settings.max_connections = 8;
    let pool = eventstore::connect(&settings).await.unwrap();
    let master = MasterKey::from_base64(MASTER).unwrap();
    let secrets = Secrets::derive(&master.derive(b"allegiant/identity"));
    let store = Store::open_with(pool.clone(), master, clock, options.command_permits).await.unwrap();
    let cancel = CancellationToken::new();
    if options.projections {
        tokio::spawn(Runner::new(store.clone()).run(cancel.clone()));
    }
    let limiter = Arc::new(Limiter::new(options.redis.as_deref(), &options.redis_prefix).unwrap());
    let counting = Arc::clone(&limiter);
    let stop = cancel.clone();
    tokio::spawn(async move { counting.run(stop).await });
    let mut config = ApiConfig::at(PublicUrl::new("http://localhost:8000").unwrap());
    config.rate_limits = options.rate_limits;
    (options.configure)(&mut config);
    let metrics = telemetry::metrics();
    let app = App::new(Parts {
        views: Views::new(store.clone()),
        credentials: Credentials::new(&secrets),
        passwords: Passwords::new().unwrap(),
        sessions: Sessions::new(pool, &secrets, Lifetimes::default()),
        store,
        config,
        limiter: Arc::clone(&limiter),
        metrics: Arc::new(move || metrics.render()),
        advice: options.advice,
        nats: Arc::new(|| Box::pin(async { true })),
        model: Arc::new(|| ModelState::NotConfigured),
    });
    let front = Front::new(app.clone());
    Service { app, front, limiter, ahead, _running: cancel.drop_guard(), database, database_url: url }
}

#[expect(clippy::disallowed_methods, reason = "the tests' clock is the machine's, moved by what a test says")]
fn clock(ahead: Arc<AtomicI64>) -> Clock {
    Clock::new(move || chrono::Utc::now() + TimeDelta::seconds(ahead.load(Ordering::Relaxed)))
}

/// Somebody who sends requests.
#[derive(Clone)]
pub struct Client {
    front: Front,
    pub bearer: Option<String>,
    pub cookie: Option<String>,
    pub peer: IpAddr,
}

impl Client {
    /// The same, sending to other routes.
    pub fn through(mut self, front: Front) -> Self {
        self.front = front;
        self
    }

    pub fn get(&self, path: &str) -> Sending {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Sending {
        self.request(Method::POST, path)
    }

    pub fn patch(&self, path: &str) -> Sending {
        self.request(Method::PATCH, path)
    }

    pub fn put(&self, path: &str) -> Sending {
        self.request(Method::PUT, path)
    }

    pub fn delete(&self, path: &str) -> Sending {
        self.request(Method::DELETE, path)
    }

    /// As the web client does: a form.
    pub async fn login(&self, email: &str, password: &str) -> Reply {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("username", email)
            .append_pair("password", password)
            .finish();
        let sending = self.post("/api/v1/auth/jwt/login");
        sending.header("content-type", "application/x-www-form-urlencoded").body(form).send().await
    }

    pub fn request(&self, method: Method, path: &str) -> Sending {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("h2o_session={cookie}"));
        }
        Sending { front: self.front.clone(), peer: self.peer, request, body: Body::empty() }
    }
}

/// A request that is being made.
pub struct Sending {
    front: Front,
    peer: IpAddr,
    request: http::request::Builder,
    body: Body,
}

impl Sending {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub async fn send(self) -> Reply {
        let request = self.request.body(self.body).unwrap();
        let answer = self.front.answer(request, self.peer).await;
        let (parts, body) = answer.into_parts();
        let bytes = to_bytes(body, LONGEST_ANSWER).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Reply { status: parts.status, headers: parts.headers, body, text }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body as JSON; null if it is none.
    pub body: Value,
    pub text: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The domain code of a problem.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// The value of our cookie that the answer sets.
    pub fn cookie(&self) -> Option<&str> {
        let (name, rest) = self.header("set-cookie")?.split_once('=')?;
        (name == "h2o_session").then(|| rest.split(';').next().unwrap_or_default())
    }

    /// What is wrong with which value.
    pub fn faults(&self) -> Vec<(String, String)> {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
    }

    /// Asserts that it is a problem that was told before, to another request.
    #[track_caller]
    pub fn assert_problem_again(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.text);
        assert_eq!(self.header("idempotency-replayed"), Some("true"));
        assert_ne!(self.body["requestId"].as_str(), self.header("x-request-id"));
    }

    /// Asserts that it is a complete problem document with these words.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let again = matches!(status, 408 | 429) || status >= 500;
        let expected = if again { format!("HTTP_{status}") } else { code.to_owned() };
        assert_eq!(self.body["code"], expected);
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["requestId"].as_str(), self.header("x-request-id"));
        for member in ["type", "title", "detail", "instance", "message", "details", "errors", "error", "timestamp"] {
            assert!(!self.body[member].is_null(), "{member} is missing in {}", self.text);
        }
    }
}

/// How long a test waits for something that happens by itself.
pub const SOON: Duration = Duration::from_secs(10);
