//! The technical sheets, whole.

use chrono::{DateTime, Utc};
use domain::data::{self, Completeness};
use domain::{AccountId, ProjectEvent, ProjectId, Recorded, StreamKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::ReadModel;

/// The technical sheet of a project, with all else that its data document holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectDataDocument {
    /// The project.
    pub project: ProjectId,
    /// Whose it is.
    pub owner: AccountId,
    /// The document, as the user stored it.
    pub data: Value,
    /// The stream version of the last event that changed it.
    pub data_version: u64,
    /// When that was.
    pub updated_at: DateTime<Utc>,
    /// How much of the sheet is filled.
    pub completeness: Completeness,
}

impl ReadModel for ProjectDataDocument {
    const NAME: &'static str = "project_data";
    const VERSION: i32 = 1;
    const TABLE: &'static str = "views.project_data_v1";
    const KINDS: &'static [StreamKind] = &[StreamKind::Project];
    /// A document may have a megabyte.
    const AT_ONCE: usize = 32;

    fn keys(recorded: &Recorded) -> Vec<Uuid> {
        use ProjectEvent as E;
        match recorded.project() {
            Some((
                id,
                E::ProjectCreated { .. }
                | E::ProjectDataChanged { .. }
                | E::ProjectDataReplaced { .. }
                | E::ProjectDeleted,
            )) => vec![id.as_uuid()],
            Some((
                _,
                E::ProjectDetailsChanged { .. }
                | E::ProjectStatusSet { .. }
                | E::ProjectStatusMoved { .. }
                | E::GenerationAccepted { .. }
                | E::GenerationEnded { .. }
                | E::ProposalDeleted { .. },
            ))
            | None => vec![],
        }
    }

    fn fold(document: Option<Self>, recorded: &Recorded) -> Option<Self> {
        use ProjectEvent as E;
        let Some((project, event)) = recorded.project() else { return document };
        match event {
            E::ProjectCreated { owner, .. } => Some(Self {
                project,
                owner: *owner,
                data: Value::Object(Map::new()),
                data_version: recorded.sequence,
                updated_at: recorded.recorded_at,
                completeness: Completeness::default(),
            }),
            E::ProjectDataChanged { completeness, diff, .. } | E::ProjectDataReplaced { completeness, diff, .. } => {
                document.map(|mut sheet| {
                    data::apply(diff, &mut sheet.data);
                    sheet.data_version = recorded.sequence;
                    sheet.updated_at = recorded.recorded_at;
                    sheet.completeness = *completeness;
                    sheet
                })
            }
            E::ProjectDeleted => None,
            E::ProjectDetailsChanged { .. }
            | E::ProjectStatusSet { .. }
            | E::ProjectStatusMoved { .. }
            | E::GenerationAccepted { .. }
            | E::GenerationEnded { .. }
            | E::ProposalDeleted { .. } => document,
        }
    }
}
