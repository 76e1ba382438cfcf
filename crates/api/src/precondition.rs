//! What somebody is told whose write cannot be had: the tag that the resource has now, and after a stale `If-Match` what
//! changed since theirs.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{AccountId, ProjectEvent, ProjectId, ProposalId, data};
use http::header::{ETAG, HeaderValue};
use projections::Reader;
use serde_json::json;

use crate::app::App;
use crate::etag::Etag;
use crate::problem::{Problem, catalogue};

/// Events that are looked through for what changed.
const EVENTS: i64 = 1_000;
/// Places that are named at most.
const PLACES: usize = 100;

/// The part of a project that a write is about. Each has a version of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Header,
    Data,
    Proposal(ProposalId),
}

/// The same problem; if it is a stale precondition or a stream that was not had in time, with the whole tag of the part as
/// it is now, and in the first case the places that changed since the version that the caller has seen. What cannot be
/// found out is left out: the refusal stands.
pub(crate) async fn explained(
    app: &App,
    problem: Problem,
    (owner, project, part): (AccountId, ProjectId, Part),
    expected: Option<u64>,
) -> Problem {
    let busy = problem.kind().code == catalogue::CONCURRENT_WRITE.code;
    if !busy && problem.kind().code != catalogue::PRECONDITION_FAILED.code {
        return problem;
    }
    let Some((current, etag)) = tag(app, owner, project, part).await else { return problem };
    if busy {
        return problem.with("currentEtag", json!(etag.to_string()));
    }
    let Ok(header) = HeaderValue::from_str(&etag.to_string()) else { return problem };
    // A version that the part never had tells nothing about what its caller has seen.
    let since = match expected.filter(|expected| *expected < current) {
        Some(expected) => changed_since(app, project, part, expected).await,
        None => BTreeSet::new(),
    };
    problem.with("currentEtag", json!(etag.to_string())).with("changedSince", json!(since)).header(ETAG, header)
}

async fn tag(app: &App, owner: AccountId, project: ProjectId, part: Part) -> Option<(u64, Etag)> {
    let (version, position) = match part {
        Part::Header => {
            let current = app.views().current_project_detail(owner, project).await.ok()??;
            (current.value.project.header_version, current.changed.position())
        }
        Part::Data => {
            let current = app.views().current_project_data(owner, project).await.ok()??;
            (current.value.data_version, current.changed.position())
        }
        Part::Proposal(id) => {
            // Nothing but its deletion changes a proposal, so the read model cannot have an older one.
            let reader = Reader { account: owner, min_position: None, within: Duration::ZERO };
            let found = app.views().proposal(&reader, project, id).await.ok()?.value?;
            (found.document.project_version, Some(found.position))
        }
    };
    Some((version, Etag::resource(version, position, app.store().epoch())))
}

async fn changed_since(app: &App, project: ProjectId, part: Part, version: u64) -> BTreeSet<String> {
    let events = app.store().stream(project.into(), version, EVENTS).await.unwrap_or_default();
    let places = events.iter().filter_map(|recorded| recorded.project()).flat_map(|(_, event)| places(event, part));
    places.collect::<BTreeSet<_>>().into_iter().take(PLACES).collect()
}

/// Names of the header's fields, as in requests; places of the sheet, as the timeline has them.
fn places(event: &ProjectEvent, part: Part) -> Vec<String> {
    use ProjectEvent as E;
    match (part, event) {
        (Part::Header, E::ProjectDetailsChanged { changes }) => {
            changes.iter().map(|change| change.field().to_owned()).collect()
        }
        (Part::Header, E::ProjectStatusSet { .. }) => vec!["status".to_owned()],
        (Part::Data, E::ProjectDataChanged { diff, .. } | E::ProjectDataReplaced { diff, .. }) => {
            data::timeline_changes(diff).into_iter().map(|change| change.field).collect()
        }
        (
            Part::Header | Part::Data | Part::Proposal(_),
            E::ProjectCreated { .. }
            | E::ProjectDetailsChanged { .. }
            | E::ProjectStatusSet { .. }
            | E::ProjectStatusMoved { .. }
            | E::ProjectDataChanged { .. }
            | E::ProjectDataReplaced { .. }
            | E::ProjectDeleted
            | E::GenerationAccepted { .. }
            | E::GenerationEnded { .. }
            | E::ProposalDeleted { .. },
        ) => vec![],
    }
}
