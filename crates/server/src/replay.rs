//! `allegiant replay`: a project as it was, from its events alone.

use std::io::Write as _;

use domain::{Project, ProjectId, StreamKey};
use eventstore::Store;
use serde_json::json;

use crate::{AsOf, Failure};

/// Prints the project as it was, in the form of the audit routes: the stream's version and position then, and the state
/// with the data document.
///
/// # Errors
///
/// If there was no such project at that point, or the store fails.
pub async fn project(store: &Store, id: ProjectId, as_of: Option<AsOf>) -> Result<(), Failure> {
    let key = StreamKey::from(id);
    let position = match as_of {
        Some(AsOf::Position(position)) => position,
        Some(AsOf::Time(time)) => store.position_at_time(time).await?,
        None => store.head().await?,
    };
    let Some((version, position)) = store.version_at(key, position).await? else {
        return Err(format!("there was no project {id} then").into());
    };
    let (project, _) = store.load_at::<Project>(id.as_uuid(), Some(version)).await?;
    let last = store.stream(key, version - 1, 1).await?;
    let mut state = serde_json::to_value(&project)?;
    eventstore::personal::reveal(&mut state);
    let printed = json!({
        "streamType": "project",
        "streamId": id,
        "version": version,
        "position": position,
        "recordedAt": last.first().map(|event| event.recorded_at),
        "state": state,
    });
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &printed)?;
    writeln!(out)?;
    Ok(())
}
