//! What an aggregate was at some point of history.

use chrono::{DateTime, Utc};
use domain::{Account, Project, Proposal, StoreLife, StreamKey, StreamKind};
use eventstore::{AuditQuery, Stored};
use serde::Serialize;
use serde_json::Value;

use super::PastState;
use super::selection::AsOf;
use crate::app::App;
use crate::problem::{Problem, catalogue};

/// The state of a stream that the caller may see.
pub(super) async fn at(app: &App, key: StreamKey, as_of: AsOf) -> Result<PastState, Problem> {
    let (position, label) = match as_of {
        AsOf::Position(position) => (position, position.to_string()),
        AsOf::Time(time) => (app.store().position_at_time(time).await?, time.to_rfc3339()),
    };
    let found = app.store().version_at(key, position).await?;
    let (version, position) = found.ok_or(catalogue::STREAM_NOT_FOUND)?;
    let recorded_at = recorded_at(app, key, position).await?;
    let state = match key.kind {
        StreamKind::Account => state::<Account>(app, key, version).await?,
        StreamKind::Project => state::<Project>(app, key, version).await?,
        StreamKind::Proposal => state::<Proposal>(app, key, version).await?,
        StreamKind::Store => state::<StoreLife>(app, key, version).await?,
    };
    Ok(PastState {
        stream_type: key.kind.as_str(),
        stream_id: key.id,
        version,
        position,
        recorded_at,
        as_of: label,
        state,
    })
}

async fn recorded_at(app: &App, key: StreamKey, position: u64) -> Result<DateTime<Utc>, Problem> {
    let query = AuditQuery {
        stream_kind: Some(key.kind),
        stream_id: Some(key.id),
        from_position: Some(position),
        to_position: Some(position),
        limit: 1,
        ..AuditQuery::default()
    };
    let page = app.store().audit(query).await?;
    Ok(page.events.first().ok_or(catalogue::STREAM_NOT_FOUND)?.recorded_at)
}

async fn state<A: Stored + Serialize>(app: &App, key: StreamKey, version: u64) -> Result<Value, Problem> {
    let (state, _) = app.store().load_at::<A>(key.id, Some(version)).await?;
    let mut state = serde_json::to_value(state).map_err(|error| {
        tracing::error!(error = %error, "a state cannot be written as json");
        Problem::from(catalogue::INTERNAL_ERROR)
    })?;
    eventstore::personal::reveal(&mut state);
    Ok(state)
}
