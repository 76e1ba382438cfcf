//! Answers that are no problems: their status, headers and body.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LINK, LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use projections::LastChange;
use serde::Serialize;

use crate::call::Envelope;
use crate::etag::Etag;
use crate::problem::{Problem, catalogue};

pub(crate) const X_EVENT_POSITION: HeaderName = HeaderName::from_static("x-event-position");
const X_NEXT_CURSOR: HeaderName = HeaderName::from_static("x-next-cursor");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// For what has an entity tag: a browser keeps it and asks each time whether it still holds.
const REVALIDATED: HeaderValue = HeaderValue::from_static("private, no-cache");

/// An answer that is made bit by bit. Without [`Answer::etag`] or [`Answer::leaves`] it is `no-store`.
#[derive(Debug, Clone)]
#[must_use = "an answer that is not returned is never sent"]
pub struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) left: Option<Left>,
}

/// What a write leaves behind: its entity tag shows the version, and a position that is known only later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) version: u64,
    pub(crate) changed: LastChange,
}

impl Answer {
    /// 200 with a JSON body.
    ///
    /// # Errors
    ///
    /// [`catalogue::INTERNAL_ERROR`] if `body` is no JSON, which is a defect.
    pub fn ok(body: &impl Serialize) -> Result<Self, Problem> {
        Self::with_body(StatusCode::OK, body)
    }

    /// 201 with a JSON body; `location` is the path of what was made.
    ///
    /// # Errors
    ///
    /// As [`Answer::ok`].
    pub fn created(location: &str, body: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self::with_body(StatusCode::CREATED, body)?.header(LOCATION, location))
    }

    /// 202 with a JSON body; `location` is the path where to look how it goes.
    ///
    /// # Errors
    ///
    /// As [`Answer::ok`].
    pub fn accepted(location: &str, body: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self::with_body(StatusCode::ACCEPTED, body)?.header(LOCATION, location))
    }

    /// 204: no body, no type.
    pub fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: Bytes::new(), left: None }
    }

    fn with_body(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let bytes = serde_json::to_vec(body).map_err(|error| {
            tracing::error!(error = %error, "an answer cannot be written as json");
            Problem::from(catalogue::INTERNAL_ERROR)
        })?;
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON)]);
        Ok(Self { status, headers, body: Bytes::from(bytes), left: None })
    }

    /// Names the representation, and lets browsers keep it and ask whether it still holds.
    pub fn etag(self, etag: &Etag) -> Self {
        let answer = self.header(ETAG, &etag.to_string());
        if answer.headers.contains_key(CACHE_CONTROL) { answer } else { answer.cache(REVALIDATED) }
    }

    /// Names the representation that a write leaves behind. [`crate::App::write`] makes the entity tag of it, once the
    /// position of the last change is known.
    pub fn leaves(self, version: u64, changed: LastChange) -> Self {
        let answer = Self { left: Some(Left { version, changed }), ..self };
        if answer.headers.contains_key(CACHE_CONTROL) { answer } else { answer.cache(REVALIDATED) }
    }

    /// Never kept, even with an entity tag.
    pub fn no_store(self) -> Self {
        self.cache(HeaderValue::from_static("no-store"))
    }

    /// Everything up to this position is in the answer, or the answer's own events end there. Left out if not known.
    pub fn position(self, position: Option<u64>) -> Self {
        match position {
            Some(position) => self.header(X_EVENT_POSITION, &position.to_string()),
            None => self,
        }
    }

    /// The answer to a request that was answered before.
    pub fn replayed(self) -> Self {
        self.header(IDEMPOTENCY_REPLAYED, "true")
    }

    /// With its positions, as far as they are known: `last` is that of the command's last event, if it `wrote` any, and
    /// `changed` that of the events that had none when the answer was made.
    pub(crate) fn placed(self, wrote: bool, last: Option<u64>, changed: Option<u64>, epoch: u32) -> Self {
        let Some(Left { version, changed: known }) = self.left.clone() else { return self.position(last) };
        let changed = if known.unsequenced.is_empty() { known.sequenced } else { changed };
        let etag = Etag::resource(version, changed, epoch).to_string();
        self.header(ETAG, &etag).position(if wrote { last } else { changed })
    }

    /// Where the list goes on: the cursor, and the same request with it.
    pub fn next_cursor(self, cursor: Option<&str>, envelope: &Envelope) -> Self {
        let Some(cursor) = cursor else { return self };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(form_urlencoded::parse(envelope.query().as_bytes()).filter(|(name, _)| name != "cursor"));
        let query = query.append_pair("cursor", cursor).finish();
        self.header(X_NEXT_CURSOR, cursor).header(LINK, &format!("<{}?{query}>; rel=\"next\"", envelope.path()))
    }

    /// Sets a header. A value that is none of HTTP's is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sets a cookie.
    pub fn cookie(self, cookie: &str) -> Self {
        self.header(SET_COOKIE, cookie)
    }

    /// 304 instead, if the caller has the representation already.
    pub fn unless_known(mut self, envelope: &Envelope, etag: &Etag) -> Self {
        if self.status == StatusCode::OK && envelope.has(etag) {
            self.status = StatusCode::NOT_MODIFIED;
            self.headers.remove(CONTENT_TYPE);
            self.body = Bytes::new();
        }
        self
    }

    fn cache(mut self, control: HeaderValue) -> Self {
        self.headers.insert(CACHE_CONTROL, control);
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
