//! Everything around what a call says: the request's facts, its preconditions, and the command that comes of it.

use std::sync::Arc;

use axum::extract::OriginalUri;
use domain::{Actor, Role};
use eventstore::{AFTER_DEADLINE, CommandContext};
use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{Method, Uri};
use identity::Caller;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::App;
use crate::etag::{Etag, NO_VERSION, expected_version};
use crate::problem::{Fault, FieldError, Problem, catalogue};
use crate::request::RequestInfo;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const X_MIN_POSITION: HeaderName = HeaderName::from_static("x-min-position");
/// The name space of the ids of commands that were sent with an idempotency key.
const COMMANDS: Uuid = Uuid::from_u128(0x5f1c_6a0e_4d7b_4d0c_9b1e_7a35_6f2d_8c41);

/// Everything around what a call says.
#[derive(Debug)]
pub struct Envelope {
    /// What was known before anybody looked at what it asks for.
    pub info: Arc<RequestInfo>,
    /// Its headers.
    pub headers: HeaderMap,
    method: Method,
    uri: Uri,
    command_id: Uuid,
    /// Body and query, if the request may be repeated under an idempotency key.
    request_hash: Option<[u8; 32]>,
    epoch: u32,
    matches_a_lost_state: bool,
    deadline: Instant,
}

/// Whether the request came with an idempotency key.
pub(super) fn has_key(headers: &HeaderMap) -> bool {
    headers.contains_key(IDEMPOTENCY_KEY)
}

impl Envelope {
    /// Of a request with this digest of its body; its idempotency key counts only within a `scope`.
    pub(super) fn new(
        parts: http::request::Parts,
        body: [u8; 32],
        scope: Option<&str>,
        app: &App,
    ) -> Result<Self, Problem> {
        let info = RequestInfo::of(&parts.extensions);
        // A nested router takes the prefix off the address that handlers see.
        let uri = parts.extensions.get::<OriginalUri>().map_or(parts.uri, |original| original.0.clone());
        let query = uri.query().unwrap_or_default();
        let (command_id, request_hash) = match scope.zip(parts.headers.get(IDEMPOTENCY_KEY)) {
            None => (Uuid::now_v7(), None),
            Some((scope, key)) => {
                let key = idempotency_key(key.as_bytes()).ok_or(catalogue::IDEMPOTENCY_KEY_INVALID)?;
                let name = format!("{scope} {} {} {key}", parts.method, uri.path());
                let hash = Sha256::new().chain_update(body).chain_update(query).finalize().into();
                (Uuid::new_v5(&COMMANDS, name.as_bytes()), Some(hash))
            }
        };
        // An attempt that begins by then is over when the caller is told that the request took too long.
        let deadline = info.started + app.config().request_timeout.saturating_sub(AFTER_DEADLINE);
        let (headers, method, epoch) = (parts.headers, parts.method, app.store().epoch());
        Ok(Self { info, headers, method, uri, command_id, request_hash, epoch, matches_a_lost_state: false, deadline })
    }

    /// The same, where `If-Match` may name a state of the resource that was lost with a newer state of the store.
    pub(super) fn matching_a_lost_state(self, lost: bool) -> Self {
        Self { matches_a_lost_state: lost, ..self }
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The request's path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The request's query as it was sent, without its question mark.
    #[must_use]
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// Whether the caller gave the request a key by which a repetition is known.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.request_hash.is_some()
    }

    /// The version that the resource must have, if the caller names one with `If-Match`. A tag that is none of ours
    /// fits no version.
    #[must_use]
    pub fn expected_version(&self) -> Option<u64> {
        if self.matches_a_lost_state {
            return Some(NO_VERSION);
        }
        let tags: Vec<_> = texts(&self.headers, &IF_MATCH).collect();
        expected_version(&tags, self.epoch)
    }

    /// Whether the caller has the representation with this tag already, as `If-None-Match` says.
    #[must_use]
    pub fn has(&self, etag: &Etag) -> bool {
        texts(&self.headers, &IF_NONE_MATCH).any(|tags| etag.is_among(tags))
    }

    /// The position that the answer must include, if the caller asks for one.
    ///
    /// # Errors
    ///
    /// A validation problem if the header is not a position.
    pub fn min_position(&self) -> Result<Option<u64>, Problem> {
        let Some(value) = self.headers.get(X_MIN_POSITION) else { return Ok(None) };
        match value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok()) {
            Some(position) if position < 1 << 53 => Ok(Some(position)),
            Some(_) | None => Err(Problem::invalid(vec![FieldError {
                pointer: "/header/x-min-position".to_owned(),
                code: Fault::Type,
                message: "This must be a position.".to_owned(),
            }])),
        }
    }

    /// The command that the caller gives by this call. `name` is what metrics call it.
    #[must_use]
    pub fn command(&self, caller: &Caller, name: &'static str) -> CommandContext {
        self.command_by(Actor::account(caller.account_id), caller.roles.clone(), name)
    }

    /// The command that somebody gives by this call who is not signed in, or not yet.
    #[must_use]
    pub fn command_by(&self, actor: Actor, roles: Vec<Role>, name: &'static str) -> CommandContext {
        CommandContext {
            command_id: self.command_id,
            actor,
            roles,
            correlation_id: self.info.correlation_id.clone(),
            causation_id: None,
            request_id: Some(self.info.id.clone()),
            traceparent: self.info.traceparent.clone(),
            request_hash: self.request_hash,
            deadline: self.deadline,
            name,
        }
    }

    /// When the request came in.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.info.started
    }
}

/// The values of a header that are text.
pub(super) fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// The members of a query, all of them text. A name that is there twice counts once, its first value.
pub(super) fn query_values(query: &str) -> Map<String, Value> {
    let mut values = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        values.entry(name).or_insert_with(|| Value::from(value.into_owned()));
    }
    values
}

/// The key itself, of 1 to 255 printable ASCII characters, bare or in quotes.
fn idempotency_key(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    ((1..=255).contains(&key.len()) && key.bytes().all(|b| matches!(b, b' '..=b'~'))).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_printable_and_bounded() {
        assert_eq!(idempotency_key(b"\"a b\""), Some("a b"));
        assert_eq!(idempotency_key(b"a"), Some("a"));
        for wrong in [b"".as_slice(), b"\"\"", "ä".as_bytes(), b"a\tb", &[b'a'; 256]] {
            assert_eq!(idempotency_key(wrong), None);
        }
    }
}
