//! Answers that are kept with their commands, for requests that are repeated under the same idempotency key.
//!
//! An answer to a write is kept in the transaction of its events ([`App::write`]); a refusal, which has none, in one of
//! its own as it leaves ([`keep_refusals`]). Positions are no part of what is kept: they are given out later.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{StreamKey, StreamKind};
use eventstore::CommandContext;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use projections::LastChange;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::answer::{Answer, Left};
use crate::app::App;
use crate::command::Refusal;
use crate::problem::{Kind, Problem, catalogue};
use crate::request::RequestInfo;

/// What stands before the body, as one line of JSON.
#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    left: Option<KeptLeft>,
}

#[derive(Serialize, Deserialize)]
struct KeptLeft {
    version: u64,
    sequenced: Option<u64>,
    unsequenced: Vec<(StreamKind, Uuid, u64)>,
}

impl Answer {
    /// The answer in the form in which it is kept.
    pub(crate) fn to_kept(&self) -> Vec<u8> {
        let headers = self.headers.iter().filter_map(|(name, value)| {
            // All of ours are text.
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        let left = self.left.as_ref().map(|Left { version, changed }| KeptLeft {
            version: *version,
            sequenced: changed.sequenced,
            unsequenced: changed.unsequenced.iter().map(|(stream, n)| (stream.kind, stream.id, *n)).collect(),
        });
        let head = Head { status: self.status.as_u16(), headers: headers.collect(), left };
        let mut kept = serde_json::to_vec(&head).expect("texts and numbers are always JSON");
        kept.push(b'\n');
        kept.extend_from_slice(&self.body);
        kept
    }

    /// Reads what was kept; `None` if this code cannot.
    pub(crate) fn from_kept(kept: &[u8]) -> Option<Self> {
        let end = kept.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&kept[..end]).ok()?;
        let mut headers = HeaderMap::new();
        for (name, value) in head.headers {
            headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        }
        let left = head.left.map(|KeptLeft { version, sequenced, unsequenced }| {
            let unsequenced = unsequenced.into_iter().map(|(kind, id, n)| (StreamKey { kind, id }, n)).collect();
            Left { version, changed: LastChange { sequenced, unsequenced } }
        });
        let body = Bytes::copy_from_slice(&kept[end + 1..]);
        Some(Self { status: StatusCode::from_u16(head.status).ok()?, headers, body, left })
    }

    /// A refusal as it leaves, for the request with this id at this time.
    fn of_problem(problem: &Problem, request_id: &str, at: DateTime<Utc>) -> Self {
        let document = problem.document(request_id, at);
        let mut headers: HeaderMap = problem.headers().iter().cloned().collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let body = serde_json::to_vec(&document).expect("a problem is always JSON").into();
        Self { status: problem.kind().status, headers, body, left: None }
    }
}

/// Whether a repetition gets this refusal again. The others tell of a moment, or of who asked, not of the request.
fn is_kept(kind: Kind) -> bool {
    let status = kind.status.as_u16();
    status < 500
        && !matches!(status, 401 | 403 | 408 | 409 | 413 | 429)
        && kind.code != catalogue::IDEMPOTENCY_KEY_REUSED.code
}

/// Keeps the refusal of a request that came with an idempotency key.
pub(crate) async fn keep_refusals(State(app): State<App>, request: Request, next: Next) -> Response {
    let info = RequestInfo::of(request.extensions());
    let response = next.run(request).await;
    let Some(context) = info.repeatable() else { return response };
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    if !is_kept(problem.kind()) {
        return response;
    }
    let refusal = Answer::of_problem(problem, &info.id, app.clock().now());
    let keeping = app.write(context.clone(), move |_| {
        let refusal = refusal.clone();
        Box::pin(async move { Ok::<_, Refusal>(refusal) })
    });
    match keeping.await {
        Ok(answer) => answer.into_response(),
        // Somebody is at it under the same key, and may come to another end.
        Err(other) if other.kind().code == catalogue::IDEMPOTENCY_IN_PROGRESS.code => other.into_response(),
        Err(other) if other.kind().code == catalogue::IDEMPOTENCY_KEY_REUSED.code => other.into_response(),
        // It is not kept then. The request had no effect, so a repetition does no harm.
        Err(_) => response,
    }
}

impl App {
    /// The answer that was kept of this command; `None` if it was not carried out, or its receipt is no longer kept.
    ///
    /// # Errors
    ///
    /// [`catalogue::IDEMPOTENCY_KEY_REUSED`] if it was given by another request.
    pub(crate) async fn kept_answer(&self, context: &CommandContext) -> Result<Option<Answer>, Problem> {
        let Some(receipt) = self.store().receipt(context.command_id).await? else { return Ok(None) };
        if receipt.request_hash != context.request_hash {
            return Err(catalogue::IDEMPOTENCY_KEY_REUSED.into());
        }
        // Without an answer it was given by an account that was erased since: what it was told is gone for good.
        let kept = receipt.answer.as_deref().and_then(Answer::from_kept).ok_or(catalogue::IDEMPOTENCY_IN_PROGRESS)?;
        let own: Vec<(StreamKey, u64)> = receipt.streams.iter().map(|(stream, _, last)| (*stream, *last)).collect();
        let unsequenced = kept.left.as_ref().map_or(&[][..], |left| &left.changed.unsequenced);
        let asked = [&own, unsequenced].concat();
        let found = if asked.is_empty() {
            vec![]
        } else {
            self.store().positions(&asked, self.config().wait_for_reads).await?
        };
        let (last, changed) = found.split_at(own.len());
        let (last, changed) = (highest(last), highest(changed));
        Ok(Some(kept.placed(!own.is_empty(), last, changed, self.store().epoch()).replayed()))
    }
}

/// The highest of the positions, if all are known.
pub(crate) fn highest(positions: &[Option<u64>]) -> Option<u64> {
    positions.iter().copied().collect::<Option<Vec<u64>>>()?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use domain::ProjectId;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_kept() {
        let stream = StreamKey::from(ProjectId::generate());
        let changed = LastChange { sequenced: Some(7), unsequenced: vec![(stream, 3)] };
        let answer = Answer::created("/api/v1/projects/x", &json!({"name": "a\nb"})).unwrap().leaves(3, changed);
        let read = Answer::from_kept(&answer.to_kept()).unwrap();
        assert_eq!((read.status, &read.headers, &read.body), (answer.status, &answer.headers, &answer.body));
        assert_eq!(read.left, answer.left);
        let nothing = Answer::from_kept(&Answer::no_content().to_kept()).unwrap();
        assert_eq!((nothing.status, nothing.headers.len(), nothing.body.len()), (StatusCode::NO_CONTENT, 0, 0));
        assert!(Answer::from_kept(b"{}\n").is_none());
    }

    #[test]
    fn what_tells_of_a_moment_is_not_kept() {
        let kept = |kind: &Kind| is_kept(*kind).then_some(kind.status.as_u16());
        let statuses: std::collections::BTreeSet<u16> = catalogue::ALL.iter().filter_map(kept).collect();
        assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [400, 404, 405, 412, 414, 415, 416, 422, 431]);
    }
}
