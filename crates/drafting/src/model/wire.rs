//! One request, sent once, and its answer read within bounds.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::CreateChatCompletionResponse;
use chrono::{DateTime, Utc};
use domain::Clock;
use domain::proposal::FailureClass;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::failure::LONGEST_RETRY_AFTER;

/// More bytes than this are no answer to our question.
const MOST_ANSWER_BYTES: usize = 1024 * 1024;

/// How a call failed, without a provider's words.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the provider could not be reached")]
    Connection,
    #[error("the call took too long")]
    Timeout,
    #[error("the provider answered {status}")]
    Refused { status: u16, code: String, retry_after: Option<Duration> },
    #[error("the answer ended too early")]
    CutOff,
    #[error("the answer is not what was asked for")]
    Invalid,
    #[error("the request could not be made")]
    Defect,
}

impl CallError {
    pub(super) fn from_transport(error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::Defect;
        }
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(inner) = cause {
            let timed_out = inner.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut);
            if timed_out {
                return Self::Timeout;
            }
            cause = inner.source();
        }
        if error.is_timeout() && !error.is_connect() { Self::Timeout } else { Self::Connection }
    }

    pub(super) fn class(&self) -> FailureClass {
        match self {
            Self::Connection => FailureClass::Connection,
            Self::Timeout => FailureClass::Timeout,
            Self::CutOff => FailureClass::CutOff,
            Self::Invalid => FailureClass::InvalidOutput,
            Self::Defect => FailureClass::Defect,
            Self::Refused { status, code, .. } => match (*status, code.as_str()) {
                (_, "insufficient_quota" | "billing_hard_limit_reached") => FailureClass::Quota,
                (_, "content_filter" | "content_policy_violation") => FailureClass::Refusal,
                (429, _) => FailureClass::RateLimit,
                (401 | 403, _) => FailureClass::Auth,
                (408, _) => FailureClass::Timeout,
                (409 | 425, _) => FailureClass::Overload,
                (status, _) if status >= 500 => FailureClass::Overload,
                (_, _) => FailureClass::BadRequest,
            },
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Connection | Self::Timeout | Self::CutOff | Self::Invalid | Self::Defect => None,
        }
    }
}

/// What the service returns while it works.
type Exchange = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

/// The service that sends a request of the client once.
pub(super) fn once(
    http: reqwest::Client,
    clock: Clock,
) -> impl tower::Service<HttpRequestFactory, Response = Response, Error = OpenAIError, Future = Exchange>
+ Clone
+ Send
+ Sync
+ 'static {
    tower::service_fn(move |factory: HttpRequestFactory| -> Exchange {
        let (http, clock) = (http.clone(), clock.clone());
        Box::pin(async move { send(&http, &clock, factory).await.map_err(|error| OpenAIError::Boxed(Box::new(error))) })
    })
}

async fn send(http: &reqwest::Client, clock: &Clock, factory: HttpRequestFactory) -> Result<Response, CallError> {
    let request = factory.build().await.map_err(|_| CallError::Defect)?;
    let answer = http.execute(request).await.map_err(|error| CallError::from_transport(&error))?;
    let body = read(answer, clock).await?;
    // The client logs a body that it cannot read, so it gets only one that can be read.
    if let Err(error) = serde_json::from_slice::<CreateChatCompletionResponse>(&body) {
        return Err(if error.is_eof() { CallError::CutOff } else { CallError::Invalid });
    }
    Ok(Response::from(http::Response::new(body)))
}

/// The body of a successful answer, or what the refusal means.
pub(super) async fn read(mut answer: Response, clock: &Clock) -> Result<Vec<u8>, CallError> {
    let status = answer.status();
    let retry_after = retry_after(answer.headers(), clock.now());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| match CallError::from_transport(&error) {
        // The provider had begun to answer.
        CallError::Connection => CallError::CutOff,
        other => other,
    })? {
        if body.len() + chunk.len() > MOST_ANSWER_BYTES {
            return Err(CallError::Invalid);
        }
        body.extend_from_slice(&chunk);
    }
    if status == StatusCode::OK {
        return Ok(body);
    }
    Err(CallError::Refused { status: status.as_u16(), code: error_code(&body), retry_after })
}

/// The machine-readable code of an error, or its type; never its message.
fn error_code(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let error = &value["error"];
    let code = ["code", "type"].into_iter().find_map(|key| error[key].as_str()).unwrap_or_default();
    code.chars().take(64).collect()
}

/// How long to wait, from `retry-after-ms`, or `retry-after` in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let milliseconds = text("retry-after-ms").and_then(seconds).map(|milliseconds| milliseconds / 1000);
    let asked = milliseconds.or_else(|| {
        let text = text(RETRY_AFTER.as_str())?;
        seconds(text).or_else(|| {
            let date = DateTime::parse_from_rfc2822(text).ok()?;
            Some((date.with_timezone(&Utc) - now).to_std().unwrap_or_default())
        })
    });
    asked.map(|asked| asked.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(reqwest::header::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn the_wait_is_read_in_every_form_and_bounded() {
        let now = DateTime::parse_from_rfc3339("2026-01-20T09:43:00Z").unwrap().to_utc();
        let asked = |name, value| retry_after(&headers(name, value), now);
        assert_eq!(asked("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(asked("retry-after", "Tue, 20 Jan 2026 09:43:20 GMT"), Some(Duration::from_secs(20)));
        assert_eq!(asked("retry-after", "Tue, 20 Jan 2026 09:40:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("retry-after", "99999999"), Some(LONGEST_RETRY_AFTER));
        for strange in ["-1", "NaN", "1e999", "soon", ""] {
            assert_eq!(asked("retry-after", strange), None, "{strange}");
        }
    }

    #[test]
    fn refusals_are_told_apart_by_status_and_code() {
        let class = |status, code: &str| CallError::Refused { status, code: code.into(), retry_after: None }.class();
        assert_eq!(class(429, "rate_limit_exceeded"), FailureClass::RateLimit);
        assert_eq!(class(429, "insufficient_quota"), FailureClass::Quota);
        assert_eq!(class(401, "invalid_api_key"), FailureClass::Auth);
        assert_eq!(class(403, ""), FailureClass::Auth);
        assert_eq!(class(404, "model_not_found"), FailureClass::BadRequest);
        assert_eq!(class(400, "invalid_request_error"), FailureClass::BadRequest);
        assert_eq!(class(400, "content_filter"), FailureClass::Refusal);
        assert_eq!(class(302, ""), FailureClass::BadRequest);
        assert_eq!(class(500, ""), FailureClass::Overload);
        assert_eq!(class(503, ""), FailureClass::Overload);
    }

    #[test]
    fn of_an_error_only_the_code_is_kept() {
        assert_eq!(error_code(br#"{"error":{"message":"your key sk-1","code":"invalid_api_key"}}"#), "invalid_api_key");
        assert_eq!(
            error_code(br#"{"error":{"message":"x","type":"insufficient_quota","code":null}}"#),
            "insufficient_quota"
        );
        assert_eq!(error_code(b"<html>bad gateway</html>"), "");
    }
}
