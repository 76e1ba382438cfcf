//! Many connections, each with one request under way at every moment, for a while.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, Uri, header};
use tokio::task::JoinSet;

use crate::Error;
use crate::client::{Connection, Target};
use crate::statistics::Distribution;

/// A connection that has failed this often stops; what it found is known by then.
const FAILURES_PER_CONNECTION: u64 = 100;

/// One request, sent again and again.
#[derive(Debug)]
pub struct Load {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: Uri,
    /// Its body.
    pub body: Body,
    /// The value of `If-None-Match`.
    pub known: Option<HeaderValue>,
    /// The status that counts as success.
    pub expected: StatusCode,
}

/// A body.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// One in which a number changes from request to request, so that each of them changes something.
    Numbered {
        /// What comes before the number.
        before: Bytes,
        /// What comes after it.
        after: Bytes,
        /// The number to come.
        next: AtomicU64,
    },
}

impl Body {
    /// A body with a number in the place of `mark`, counted from `first`. Without the mark it stays as it is.
    pub fn numbered(text: &str, mark: &str, first: u64) -> Self {
        let (before, after) = text.split_once(mark).unwrap_or((text, ""));
        let [before, after] = [before, after].map(|part| Bytes::copy_from_slice(part.as_bytes()));
        Self::Numbered { before, after, next: AtomicU64::new(first) }
    }

    /// The body of the next request.
    pub fn next(&self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::Numbered { before, after, next } => {
                let number = next.fetch_add(1, Ordering::Relaxed).to_string();
                let mut body = BytesMut::with_capacity(before.len() + number.len() + after.len());
                body.put_slice(before);
                body.put_slice(number.as_bytes());
                body.put_slice(after);
                body.freeze()
            }
        }
    }
}

/// How much load, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Connections.
    pub connections: u16,
    /// Load before the measurement.
    pub warm_up: Duration,
    /// How long is measured.
    pub length: Duration,
    /// Requests after which it ends early.
    pub requests: Option<NonZero<u64>>,
}

/// What came of a load.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Good answers to requests that were begun after the warm-up.
    pub answers: u64,
    /// Answers with another status and requests without an answer, those of the warm-up included.
    pub failures: u64,
    /// What the first failure was.
    pub first_failure: Option<String>,
    /// Good answers a second, from the end of the warm-up to the last of them.
    pub per_second: f64,
    /// How long they took.
    pub latency: Distribution,
}

/// Puts `load` on the server and measures. A failed request is counted, and the load goes on.
pub async fn run(target: &Target, load: Load, window: Window) -> Outcome {
    let begin = Instant::now() + window.warm_up;
    let plan = Arc::new(Plan {
        target: target.clone(),
        load,
        begin,
        end: begin + window.length,
        left: AtomicU64::new(window.requests.map_or(u64::MAX, NonZero::get)),
    });
    let mut workers = JoinSet::new();
    for _ in 0..window.connections {
        workers.spawn(work(Arc::clone(&plan)));
    }
    let mut outcome = Outcome::default();
    let mut latencies = Vec::new();
    let mut last = begin;
    for tally in workers.join_all().await {
        outcome.failures += tally.failures;
        outcome.first_failure = outcome.first_failure.or(tally.first_failure);
        latencies.extend(tally.latencies);
        last = last.max(tally.last);
    }
    outcome.answers = latencies.len() as u64;
    outcome.latency = Distribution::of(&mut latencies);
    let elapsed = last.duration_since(begin).as_secs_f64();
    outcome.per_second = if elapsed > 0.0 { latencies.len() as f64 / elapsed } else { 0.0 };
    outcome
}

/// What all connections of a load share.
struct Plan {
    target: Target,
    load: Load,
    begin: Instant,
    end: Instant,
    left: AtomicU64,
}

impl Plan {
    /// Whether one more request may be measured.
    fn take_one(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// What one connection saw.
struct Tally {
    latencies: Vec<Duration>,
    failures: u64,
    first_failure: Option<String>,
    last: Instant,
}

async fn work(plan: Arc<Plan>) -> Tally {
    let mut tally = Tally { latencies: Vec::new(), failures: 0, first_failure: None, last: plan.begin };
    let mut connection = None;
    while tally.failures < FAILURES_PER_CONNECTION {
        let begun = Instant::now();
        let measured = begun >= plan.begin;
        if begun >= plan.end || (measured && !plan.take_one()) {
            break;
        }
        match attempt(&plan, &mut connection).await {
            Ok(()) if measured => {
                tally.last = Instant::now();
                tally.latencies.push(tally.last - begun);
            }
            Ok(()) => (),
            Err(failure) => {
                tally.failures += 1;
                tally.first_failure.get_or_insert(failure);
            }
        }
    }
    tally
}

/// Sends one request, over a new connection if there is none.
async fn attempt(plan: &Plan, connection: &mut Option<Connection>) -> Result<(), String> {
    let Load { method, path, body, known, expected } = &plan.load;
    let sent = async {
        let mut open = match connection.take() {
            Some(open) => open,
            None => Connection::open(plan.target.address).await?,
        };
        let mut request = plan.target.request(method.clone(), path, body.next());
        if let Some(known) = known {
            request.headers_mut().insert(header::IF_NONE_MATCH, known.clone());
        }
        let answer = open.send(request).await?;
        // After an error the connection is not used again: it may be in the middle of an answer.
        *connection = Some(open);
        Ok(answer)
    };
    let answer = sent.await.map_err(|error: Error| error.with_causes())?;
    if answer.status == *expected { Ok(()) } else { Err(format!("{} {}", answer.status, answer.problem())) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;

    use http::{Request, Response};
    use http_body_util::{BodyExt as _, Collected, Full};
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers every `refusing`-th request with 500 and counts its connections; others get their body back.
    async fn server(refusing: u64) -> (Target, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let requests = Arc::clone(&requests);
                let service = service_fn(move |request: Request<Incoming>| {
                    let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
                    async move {
                        let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
                        let mut response = Response::new(Full::new(body));
                        if number.is_multiple_of(refusing) {
                            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                            *response.body_mut() = Full::from(r#"{"error":{"code":"INTERNAL_ERROR"}}"#);
                        }
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        (Target { address, bearer: None }, connections)
    }

    fn load() -> Load {
        let (method, path) = (Method::GET, Uri::from_static("/"));
        Load { method, path, body: Body::Empty, known: None, expected: StatusCode::OK }
    }

    fn window(requests: u64) -> Window {
        let length = Duration::from_secs(60);
        Window { connections: 4, warm_up: Duration::ZERO, length, requests: NonZero::new(requests) }
    }

    #[tokio::test]
    async fn exactly_so_many_requests_go_over_so_many_connections() {
        let (target, connections) = server(u64::MAX).await;
        let outcome = run(&target, load(), window(1000)).await;
        assert_eq!((outcome.answers, outcome.failures, outcome.first_failure), (1000, 0, None));
        assert_eq!(connections.load(Ordering::Relaxed), 4);
        assert!(outcome.per_second > 0.0 && outcome.latency.p50_ms > 0.0);
        assert!(outcome.latency.p50_ms <= outcome.latency.p99_ms && outcome.latency.p99_ms <= outcome.latency.max_ms);
    }

    #[tokio::test]
    async fn an_answer_of_another_status_is_a_failure_with_its_code_and_no_latency() {
        let (target, _) = server(10).await;
        let outcome = run(&target, load(), window(100)).await;
        assert_eq!((outcome.answers, outcome.failures), (90, 10));
        assert_eq!(outcome.first_failure.as_deref(), Some("500 Internal Server Error INTERNAL_ERROR"));
    }

    #[tokio::test]
    async fn a_load_on_nobody_ends_by_itself() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let outcome = run(&Target { address, bearer: None }, load(), window(1_000_000)).await;
        assert_eq!((outcome.answers, outcome.failures), (0, 4 * FAILURES_PER_CONNECTION));
    }

    #[test]
    fn every_numbered_body_is_another_one() {
        let body = Body::numbered(r#"{"name":"Plant #"}"#, "#", 7);
        assert_eq!(body.next(), r#"{"name":"Plant 7"}"#);
        assert_eq!(body.next(), r#"{"name":"Plant 8"}"#);
    }
}
