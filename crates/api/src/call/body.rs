//! Reading a body: bounded in size and in time.

use std::cell::RefCell;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::fields::Fields;
use crate::problem::{Fault, FieldError, Problem, catalogue};

/// What is read beyond the limit and dropped, so that the sender gets to see the answer.
const DRAINED: usize = 16 * 1024 * 1024;

/// What kind of body a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// None: whatever is sent is not looked at.
    None,
    /// A JSON object, or nothing.
    Json,
    /// Project data: a larger JSON object, or nothing.
    Data,
    /// A form, or the same as JSON object.
    Form,
}

/// A body that was read.
pub(super) struct ReadBody {
    pub members: Map<String, Value>,
    pub sha256: [u8; 32],
    form: bool,
    fault: Option<(Fault, &'static str)>,
}

impl ReadBody {
    pub fn fields<'a>(&'a self, errors: &'a RefCell<Vec<FieldError>>) -> Fields<'a> {
        if self.form {
            Fields::text_only("body", &self.members, errors)
        } else {
            Fields::json("body", &self.members, errors)
        }
    }

    /// What is wrong with the body as a whole.
    pub fn note_faults(&self, errors: &RefCell<Vec<FieldError>>) {
        if let Some((code, message)) = self.fault {
            errors.borrow_mut().push(FieldError { pointer: "/body".into(), code, message: message.into() });
        }
    }
}

/// Reads a body of this kind. One that the route does not look at is read only if it has to be told from others.
pub(super) async fn read(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    kind: BodyKind,
    always: bool,
) -> Result<ReadBody, Problem> {
    let limit = match kind {
        BodyKind::None if !always => {
            return Ok(ReadBody { members: Map::new(), sha256: [0; 32], form: false, fault: None });
        }
        BodyKind::None | BodyKind::Json | BodyKind::Form => app.config().body_limit,
        BodyKind::Data => app.config().data_limit,
    };
    let bytes = collect(headers, body, limit, app.config().body_stall).await?;
    let sha256 = Sha256::digest(&bytes).into();
    if bytes.is_empty() || kind == BodyKind::None {
        return Ok(ReadBody { members: Map::new(), sha256, form: false, fault: None });
    }
    let form = kind == BodyKind::Form && media_type(headers).as_deref() == Some("application/x-www-form-urlencoded");
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(catalogue::UNSUPPORTED_MEDIA_TYPE.into());
    }
    if form {
        let members = form_urlencoded::parse(&bytes).map(|(name, value)| (name.into_owned(), value.into())).collect();
        return Ok(ReadBody { members, sha256, form, fault: None });
    }
    if !media_type(headers).is_none_or(|media| media == "application/json" || media.ends_with("+json")) {
        return Err(catalogue::UNSUPPORTED_MEDIA_TYPE.into());
    }
    let (members, fault) = match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => (members, None),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            (Map::new(), Some((Fault::Type, "The body must be a JSON object.")))
        }
        Err(error) => (Map::new(), Some(fault(&error).ok_or(catalogue::MALFORMED_JSON)?)),
    };
    Ok(ReadBody { members, sha256, form, fault })
}

/// What is wrong with a body that is well-formed JSON and could not be read all the same; `None` if it is none. The parser
/// tells the one from the other by its message alone.
fn fault(error: &serde_json::Error) -> Option<(Fault, &'static str)> {
    let message = error.to_string();
    if message.starts_with("recursion limit exceeded") {
        Some((Fault::TooDeep, "The body is nested too deeply."))
    } else if message.starts_with("number out of range") {
        Some((Fault::NotFinite, "A number in the body is too large."))
    } else {
        None
    }
}

/// All bytes of the body. A larger one than the limit is read to its end, within reason: a browser that cannot get rid of
/// its body shows a broken connection instead of the answer.
async fn collect(headers: &HeaderMap, mut body: Body, limit: usize, stall: Duration) -> Result<Bytes, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) && headers.contains_key(EXPECT) {
        return Err(catalogue::PAYLOAD_TOO_LARGE.into());
    }
    let mut bytes = BytesMut::with_capacity(announced.unwrap_or(0).min(limit));
    let mut read = 0_usize;
    loop {
        let frame = tokio::time::timeout(stall, body.frame())
            .await
            .map_err(|_elapsed| Problem::from(catalogue::REQUEST_TIMEOUT))?;
        let data = match frame {
            None => break,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            // The connection broke: there is nobody to read what is said here.
            Some(Err(_)) => return Err(catalogue::REQUEST_TIMEOUT.into()),
        };
        read = read.saturating_add(data.len());
        if read <= limit {
            bytes.extend_from_slice(&data);
        } else if read > limit.saturating_add(DRAINED) {
            break;
        }
    }
    if read > limit { Err(catalogue::PAYLOAD_TOO_LARGE.into()) } else { Ok(bytes.freeze()) }
}

/// The media type without its parameters, in lower case. `None` if none is named; another charset than UTF-8 makes it a
/// type that nobody takes.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?;
    let Ok(text) = value.to_str() else { return Some(String::new()) };
    let text = text.to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_owned();
    let mut charsets = parts.filter_map(|parameter| parameter.strip_prefix("charset="));
    let utf8 = charsets.all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    match media.as_str() {
        "" => None,
        _ if utf8 => Some(media),
        _ => Some(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when another release of the parser says the same in other words.
    #[test]
    fn the_parser_tells_what_is_too_deep_or_too_large_from_what_is_no_json() {
        let fault_of = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| fault(&error).map(|(f, _)| f));
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(fault_of(&deep), Err(Some(Fault::TooDeep)));
        assert_eq!(fault_of(r#"{"a": 1e999}"#), Err(Some(Fault::NotFinite)));
        assert_eq!(fault_of(r#"{"a": -1e999}"#), Err(Some(Fault::NotFinite)));
        for malformed in ["{", "{\"a\": 01}", "nul", "{\"a\": \"\\x\"}", "[1,]", "\u{feff}{}"] {
            assert_eq!(fault_of(malformed), Err(None), "{malformed}");
        }
    }
}
