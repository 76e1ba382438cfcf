//! The outermost layer: what every answer has, whatever becomes of the request.

mod cors;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::app::App;
use crate::kept::keep_refusals;
use crate::problem::{Problem, catalogue};
use crate::request::{RequestInfo, X_REQUEST_ID};

/// Longest path and query, in bytes.
const LONGEST_URI: usize = 8 * 1024;
/// Most bytes of all headers: names, values, and four for what stands between.
const LARGEST_HEADERS: usize = 32 * 1024;
/// Most bytes of an answer that HEAD asks the length of, where the length is not known without writing it.
const HEAD_BODY: usize = 16 * 1024 * 1024;

/// Answers requests. Clones share everything.
#[derive(Debug, Clone)]
pub struct Front {
    app: App,
    router: Router,
}

impl Front {
    /// All routes of the service behind the layers that every answer goes through.
    #[must_use]
    pub fn new(app: App) -> Self {
        let (router, _) = crate::router::all(&app);
        Self::with_router(app, router)
    }

    /// These routes behind the layers that every answer goes through.
    #[must_use]
    pub fn with_router(app: App, router: Router<App>) -> Self {
        let router = router
            .fallback(no_such_route)
            .method_not_allowed_fallback(no_such_method)
            .layer(from_fn_with_state(app.clone(), keep_refusals))
            .layer(from_fn(note_route))
            .with_state(app.clone());
        Self { app, router }
    }

    /// What all handlers share.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Answers one request; `peer` is the other end of the connection. Never fails.
    pub async fn answer(&self, mut request: Request, peer: IpAddr) -> Response {
        let started = Instant::now();
        let info = Arc::new(RequestInfo::read(request.headers(), peer, self.app.config(), started));
        let method = request.method().clone();
        metrics::gauge!("http_requests_in_flight").increment(1.0);
        let in_flight = InFlight;
        let preflight = cors::is_preflight(&method, request.headers());
        let answer = if preflight {
            StatusCode::NO_CONTENT.into_response()
        } else if let Some(problem) = too_large(&request) {
            problem.into_response()
        } else {
            ignore_trailing_slash(request.uri_mut());
            request.extensions_mut().insert(Arc::clone(&info));
            self.within_time(request, &info).await
        };
        let mut answer = self.written(answer, &info);
        finish_headers(answer.headers_mut(), &info, preflight);
        if method == Method::HEAD {
            answer = without_body(answer).await;
        }
        drop(in_flight);
        self.note(&method, &info, answer.status());
        answer
    }

    async fn within_time(&self, request: Request, info: &RequestInfo) -> Response {
        let routed = AssertUnwindSafe(self.router.clone().oneshot(request)).catch_unwind();
        match tokio::time::timeout(self.app.config().request_timeout, routed).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(_panic)) => {
                // What panicked said so through the panic hook; here is which request it was.
                tracing::error!(request.id = %info.id, http.route = info.route(), "a request panicked");
                Problem::from(catalogue::INTERNAL_ERROR).into_response()
            }
            Err(_elapsed) => {
                tracing::warn!(request.id = %info.id, http.route = info.route(), "a request took too long");
                Problem::from(catalogue::GATEWAY_TIMEOUT).into_response()
            }
        }
    }

    /// Writes the body of a problem, now that the request's id and the time are at hand; repairs what axum says by
    /// itself.
    fn written(&self, mut answer: Response, info: &RequestInfo) -> Response {
        if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
            let document = problem.document(&info.id, self.app.clock().now());
            let body = serde_json::to_vec(&document).expect("a problem is always JSON");
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            *answer.body_mut() = Body::from(body);
        }
        if matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            answer.headers_mut().remove(CONTENT_TYPE);
            answer.headers_mut().remove(CONTENT_LENGTH);
            *answer.body_mut() = Body::empty();
        }
        answer
    }

    fn note(&self, method: &Method, info: &RequestInfo, status: StatusCode) {
        let elapsed = info.started.elapsed();
        let (method, route) = (method_label(method), info.route().to_owned());
        metrics::counter!(
            "http_requests_total",
            "method" => method, "route" => route.clone(), "status" => status.as_u16().to_string()
        )
        .increment(1);
        metrics::histogram!("http_request_seconds", "method" => method, "route" => route.clone())
            .record(elapsed.as_secs_f64());
        if status == StatusCode::TOO_MANY_REQUESTS {
            metrics::counter!("rate_limited_total", "route" => route.clone()).increment(1);
        }
        tracing::info!(
            request.id = %info.id,
            http.method = method,
            http.route = %route,
            http.status = status.as_u16(),
            elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "request answered"
        );
    }
}

/// Counts down even if the connection goes away while the answer is being made.
struct InFlight;

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!("http_requests_in_flight").decrement(1.0);
    }
}

async fn note_route(request: Request, next: Next) -> Response {
    if let Some(path) = request.extensions().get::<MatchedPath>() {
        RequestInfo::of(request.extensions()).set_route(path.as_str());
    }
    next.run(request).await
}

async fn no_such_route() -> Problem {
    catalogue::NOT_FOUND.into()
}

async fn no_such_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response(); // axum adds `Allow`.
    }
    Problem::from(catalogue::METHOD_NOT_ALLOWED).into_response()
}

fn too_large(request: &Request) -> Option<Problem> {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > LONGEST_URI) {
        return Some(catalogue::URI_TOO_LONG.into());
    }
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (headers > LARGEST_HEADERS).then(|| catalogue::HEADERS_TOO_LARGE.into())
}

/// One trailing slash means nothing. A redirect would break a call that was preflighted.
fn ignore_trailing_slash(uri: &mut Uri) {
    let Some(path) = uri.path().strip_suffix('/').filter(|path| !path.is_empty()) else { return };
    let target = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(target).ok();
    if let Ok(without) = Uri::from_parts(parts) {
        *uri = without;
    }
}

fn finish_headers(headers: &mut HeaderMap, info: &RequestInfo, preflight: bool) {
    if let Ok(id) = HeaderValue::from_str(&info.id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(VARY, HeaderValue::from_static("Origin, Authorization, Cookie"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(verdict) = info.verdict() {
        verdict.write_to(headers);
    }
    if let Some(allow) = headers.get(ALLOW).and_then(|allow| allow.to_str().ok())
        && let Ok(spaced) = HeaderValue::from_str(&format!("{}, OPTIONS", allow.replace(',', ", ")))
    {
        headers.insert(ALLOW, spaced);
    }
    cors::write_to(headers, &info.origin, preflight);
}

/// The answer to HEAD: the headers of the answer to GET, its length included.
async fn without_body(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    if !parts.headers.contains_key(CONTENT_LENGTH)
        && parts.status != StatusCode::NO_CONTENT
        && parts.status != StatusCode::NOT_MODIFIED
        && let Ok(bytes) = to_bytes(body, HEAD_BODY).await
        && !bytes.is_empty()
    {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    Response::from_parts(parts, Body::empty())
}

/// The method as a label: one of those we answer, or `other`, so that nobody can make new series of metrics.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_slash_means_nothing() {
        for (from, to) in [
            ("/api/v1/projects/", "/api/v1/projects"),
            ("/api/v1/projects/?page=2", "/api/v1/projects?page=2"),
            ("/api/v1/projects//", "/api/v1/projects/"),
            ("/", "/"),
            ("/ping", "/ping"),
        ] {
            let mut uri: Uri = from.parse().unwrap();
            ignore_trailing_slash(&mut uri);
            assert_eq!(uri, to);
        }
    }
}
