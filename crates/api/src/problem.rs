//! Problem documents: the one form of every refusal (RFC 9457 and what the web client reads beside it).

pub mod catalogue;

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

pub use catalogue::Kind;

/// One thing that is wrong with one value of a request. It never holds the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer into `{body, query, path, header}`, such as `/body/budget`.
    pub pointer: String,
    /// What is wrong, as a word for programs.
    pub code: Fault,
    /// What is wrong, as a sentence for people.
    pub message: String,
}

/// What can be wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is missing.
    Required,
    /// It has another JSON type.
    Type,
    /// It is not written as it must be.
    Format,
    /// It has no visible character.
    Blank,
    /// It has too few characters.
    TooShort,
    /// It has too many characters or bytes.
    TooLong,
    /// It is below the least value.
    TooSmall,
    /// It is above the greatest value.
    TooLarge,
    /// It has too many items.
    TooMany,
    /// It is nested too deeply.
    TooDeep,
    /// It is not a finite number.
    NotFinite,
    /// It is none of the words that are allowed.
    NotInEnum,
    /// It is null and must not be.
    NullNotAllowed,
    /// It holds the character NUL.
    NulCharacter,
    /// It is given in two spellings that differ.
    ConflictingSpellings,
    /// It is no cursor that was given out here, or too old a one.
    UnknownCursor,
}

/// A refusal or failure as the caller will see it. It becomes a body in [`crate::front`], which knows the request's id
/// and the time.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: Kind,
    message: Cow<'static, str>,
    detail: Option<Value>,
    details: Map<String, Value>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        let mut headers = vec![];
        if let Some(seconds) = kind.retry_after {
            headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if kind.status == StatusCode::UNAUTHORIZED {
            headers.push((http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        Self(Box::new(Inner {
            kind,
            message: Cow::Borrowed(kind.message),
            detail: None,
            details: Map::new(),
            errors: vec![],
            headers,
        }))
    }
}

impl Problem {
    /// A request whose values are wrong: everything that is wrong at once.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::from(catalogue::VALIDATION_ERROR);
        problem.0.details.insert("errors".to_owned(), json!(errors));
        problem.0.errors = errors;
        problem
    }

    /// Which problem it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Its headers.
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// Sets the sentence for people. It must hold nothing that the caller sent.
    #[must_use]
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Sets the whole `detail` member, where it is no constant and not the message.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.0.detail = Some(detail);
        self
    }

    /// Adds a member to `details`.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0.details.insert(name.to_owned(), value);
        self
    }

    /// Adds a header, instead of one of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.retain(|(other, _)| *other != name);
        self.0.headers.push((name, value));
        self
    }

    /// The document, for the request with this id, at this time.
    #[must_use]
    pub fn document(&self, request_id: &str, at: DateTime<Utc>) -> Document {
        let Inner { kind, message, detail, details, errors, headers: _ } = &*self.0;
        let detail = match detail {
            Some(detail) => detail.clone(),
            None => Value::from(kind.detail.unwrap_or(message)),
        };
        Document {
            problem_type: format!("/problems/{}", kind.slug()),
            title: kind.title,
            status: kind.status.as_u16(),
            detail,
            instance: format!("/requests/{request_id}"),
            code: kind.client_code(),
            message: message.to_string(),
            details: details.clone(),
            errors: errors.clone(),
            error: Inside { code: kind.code, message: message.to_string(), details: details.clone() },
            timestamp: at.to_rfc3339_opts(SecondsFormat::Millis, true),
            request_id: request_id.to_owned(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self.0.kind.status;
        for (name, value) in &self.0.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// A problem document. All members are always present.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// Which problem it is: the path of a page that explains it.
    #[serde(rename = "type")]
    #[schema(rename = "type", example = "/problems/project-not-found")]
    pub problem_type: String,
    /// Fixed words for this kind of problem.
    #[schema(example = "Project not found")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// A constant, or a sentence for people; an object with `code` and `reason` where a password is refused.
    #[schema(value_type = Value, example = "There is no such project among yours.")]
    pub detail: Value,
    /// The occurrence: `/requests/` and the request's id.
    #[schema(example = "/requests/0f6c5a0e")]
    pub instance: String,
    /// `HTTP_<status>` for 408, 429 and every 5xx, which may be tried again; the domain code otherwise.
    #[schema(value_type = String, example = "PROJECT_NOT_FOUND")]
    pub code: Cow<'static, str>,
    /// One or two sentences for people.
    #[schema(example = "There is no such project among yours.")]
    pub message: String,
    /// More about this occurrence.
    #[schema(value_type = Object)]
    pub details: Map<String, Value>,
    /// What is wrong with which value.
    pub errors: Vec<FieldError>,
    /// The same for programs: `code` is always the domain code here.
    pub error: Inside,
    /// When.
    #[schema(example = "2026-01-20T09:30:00.125Z")]
    pub timestamp: String,
    /// The request's id, as in the header `X-Request-Id`.
    #[serde(rename = "requestId")]
    #[schema(rename = "requestId", example = "0f6c5a0e")]
    pub request_id: String,
}

/// The domain's view of a problem.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ProblemError)]
pub struct Inside {
    /// The domain code.
    #[schema(example = "PROJECT_NOT_FOUND")]
    pub code: &'static str,
    /// One or two sentences for people.
    pub message: String,
    /// More about this occurrence.
    #[schema(value_type = Object)]
    pub details: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(problem: &Problem) -> Value {
        serde_json::to_value(problem.document("r-1", DateTime::UNIX_EPOCH)).unwrap()
    }

    #[test]
    fn all_members_are_always_present() {
        let document = document(&catalogue::PROJECT_NOT_FOUND.into());
        assert_eq!(
            document,
            json!({
                "type": "/problems/project-not-found",
                "title": "Project not found",
                "status": 404,
                "detail": "There is no such project among yours.",
                "instance": "/requests/r-1",
                "code": "PROJECT_NOT_FOUND",
                "message": "There is no such project among yours.",
                "details": {},
                "errors": [],
                "error": {
                    "code": "PROJECT_NOT_FOUND", "message": "There is no such project among yours.", "details": {}
                },
                "timestamp": "1970-01-01T00:00:00.000Z",
                "requestId": "r-1",
            })
        );
    }

    #[test]
    fn what_may_be_tried_again_has_a_code_that_the_web_client_tries_again() {
        for kind in catalogue::ALL {
            let document = document(&(*kind).into());
            let status = kind.status.as_u16();
            let again = matches!(status, 408 | 429) || status >= 500;
            let expected = if again { format!("HTTP_{status}") } else { kind.code.to_owned() };
            assert_eq!(document["code"], expected);
            assert_eq!(document["error"]["code"], kind.code);
        }
    }

    #[test]
    fn account_problems_have_their_constant_as_detail() {
        let bad = document(&catalogue::LOGIN_BAD_CREDENTIALS.into());
        assert_eq!(bad["detail"], "LOGIN_BAD_CREDENTIALS");
        assert_eq!(bad["message"], "E-mail or password is wrong.");
        assert_eq!(document(&catalogue::SESSION_EXPIRED.into())["detail"], "Unauthorized");
    }

    #[test]
    fn wrong_values_are_listed_twice() {
        let error = FieldError { pointer: "/body/budget".into(), code: Fault::NotFinite, message: "x".into() };
        let document = document(&Problem::invalid(vec![error]));
        let expected = json!([{"pointer": "/body/budget", "code": "not_finite", "message": "x"}]);
        assert_eq!(document["errors"], expected);
        assert_eq!(document["details"]["errors"], expected);
        assert_eq!(document["error"]["details"]["errors"], expected);
    }
}
