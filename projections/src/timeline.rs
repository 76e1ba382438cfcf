//! The timelines of projects.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::data::{self, TimelineChange};
use domain::project::{DetailChange, Editing, Status};
use domain::proposal::{FailureCode, ProposalType};
use domain::{
    Actor, ActorKind, JobId, ProjectEvent, ProjectId, ProposalEvent, ProposalId, Recorded, StreamKind, personal,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::ReadModel;

/// Characters of a value that an entry shows; the audit has it whole.
const SHOWN_CHARACTERS: usize = 200;
/// How many changes the description of an entry names.
const NAMED_CHANGES: usize = 3;

/// What kind of thing an entry tells of. The web client has an icon for each of these six.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum EntryType {
    Version,
    Proposal,
    Edit,
    Upload,
    Assistant,
    Import,
}

impl EntryType {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Proposal => "proposal",
            Self::Edit => "edit",
            Self::Upload => "upload",
            Self::Assistant => "assistant",
            Self::Import => "import",
        }
    }
}

/// An entry of a project's timeline.
///
/// Most entries are one event and have its id. Edits of the technical sheet are joined: their entry has the id of the
/// course of typing ([`Editing::id`]). How a generation ended is told by events that do not name the project, so its
/// entry has the proposal's id: it begins, unseen, with the project's `generation-accepted`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// Its identity.
    pub id: Uuid,
    /// The project.
    pub project: ProjectId,
    /// What kind of thing it tells of.
    #[serde(rename = "type")]
    pub kind: EntryType,
    /// What happened, in a few words.
    pub title: String,
    /// The same with particulars.
    pub description: String,
    /// Who did it.
    pub actor: Actor,
    /// More particulars, for programs; see [`TimelineEntry::metadata`].
    pub facts: Map<String, Value>,
    /// What was changed, for edits; also what came back to its old value, which nobody is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<TimelineChange>,
    /// Its place in the timeline.
    pub began_at: DateTime<Utc>,
    /// When it last changed.
    pub timestamp: DateTime<Utc>,
    /// Whether there is anything to show.
    pub visible: bool,
}

impl TimelineEntry {
    /// The particulars as the API shows them: the facts, and of an edit what was changed.
    #[must_use]
    pub fn metadata(&self) -> Map<String, Value> {
        let mut metadata = self.facts.clone();
        if self.kind == EntryType::Edit {
            let shown = || data::visible(&self.changes);
            let changes = shown().map(|change| {
                let mut shown = json!({
                    "field": change.field,
                    "label": change.label,
                    "old_value": change.old_value,
                    "new_value": change.new_value,
                });
                if let Some(unit) = &change.unit {
                    shown["unit"] = json!(unit);
                }
                shown
            });
            metadata.insert("changes".to_owned(), changes.collect());
            metadata.insert("changed_fields".to_owned(), shown().map(|change| json!(change.field)).collect());
        }
        metadata
    }

    /// Who did it, in words, with the addresses of accounts as [`crate::Views::emails`] gives them. An account without
    /// an address was erased.
    #[must_use]
    pub fn user(&self, emails: &HashMap<domain::AccountId, String>) -> String {
        match self.actor.as_account() {
            Some(account) => emails.get(&account).map_or(personal::ERASED_TEXT, String::as_str).to_owned(),
            None => machine_name(self.actor.kind).to_owned(),
        }
    }
}

/// What people read in the place of an address where no person acted.
pub(crate) const fn machine_name(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::Worker => "H2O Allegiant AI",
        ActorKind::System | ActorKind::Account => "H2O Allegiant",
    }
}

impl ReadModel for TimelineEntry {
    const NAME: &'static str = "timeline";
    const VERSION: i32 = 1;
    const TABLE: &'static str = "views.timeline_v1";
    const KINDS: &'static [StreamKind] = &[StreamKind::Project, StreamKind::Proposal];

    fn keys(recorded: &Recorded) -> Vec<Uuid> {
        use ProjectEvent as E;
        use ProposalEvent as P;
        if let Some((_, event)) = recorded.project() {
            return match event {
                E::ProjectCreated { .. }
                | E::ProjectDetailsChanged { .. }
                | E::ProjectStatusSet { .. }
                | E::ProposalDeleted { .. } => vec![recorded.event_id],
                E::ProjectDataChanged { editing, .. } | E::ProjectDataReplaced { editing, .. } => vec![editing.id],
                E::GenerationAccepted { proposal, .. } => vec![proposal.as_uuid()],
                E::ProjectStatusMoved { .. } | E::ProjectDeleted | E::GenerationEnded { .. } => vec![],
            };
        }
        match recorded.proposal() {
            Some((_, P::GenerationRequested(_))) => vec![recorded.event_id],
            Some((id, P::ProposalGenerated { .. } | P::GenerationFailed { .. } | P::GenerationCancelled)) => {
                vec![id.as_uuid()]
            }
            Some((
                _,
                P::GenerationStarted
                | P::StageReached { .. }
                | P::StepSucceeded { .. }
                | P::StepFailed { .. }
                | P::LateResultDiscarded { .. }
                | P::GenerationCompleted
                | P::CancellationRequested,
            ))
            | None => vec![],
        }
    }

    fn fold(document: Option<Self>, recorded: &Recorded) -> Option<Self> {
        if let Some((project, event)) = recorded.project() {
            return of_project(document, project, event, recorded);
        }
        if let Some((proposal, event)) = recorded.proposal() {
            return of_proposal(document, proposal, event, recorded);
        }
        document
    }

    fn purge(recorded: &Recorded) -> Option<Uuid> {
        crate::model::deleted_project(recorded)
    }

    fn project(&self) -> Option<Uuid> {
        Some(self.project.as_uuid())
    }
}

fn of_project(
    document: Option<TimelineEntry>,
    project: ProjectId,
    event: &ProjectEvent,
    recorded: &Recorded,
) -> Option<TimelineEntry> {
    use ProjectEvent as E;
    let entry = |kind, title: &str, description: String, facts: Value| {
        Some(TimelineEntry::new(recorded.event_id, project, kind, recorded).telling(title, description, facts))
    };
    match event {
        E::ProjectCreated { header, .. } => entry(
            EntryType::Version,
            "Project created",
            format!("{} for {}", header.name, header.client.text()),
            json!({"sector": header.sector, "subsector": header.subsector, "budget": money(header.budget_usd)}),
        ),
        E::ProjectDetailsChanged { changes } => {
            let changes: Vec<_> = changes.iter().map(of_detail).collect();
            let description = describe(&changes);
            Some(TimelineEntry {
                changes,
                ..entry(EntryType::Edit, "Project details changed", description, json!({}))?
            })
        }
        E::ProjectStatusSet { old, new } => {
            let changes = vec![of_status(*old, *new)];
            let description = format!("From {} to {}", old.as_str(), new.as_str());
            Some(TimelineEntry { changes, ..entry(EntryType::Edit, "Status changed", description, json!({}))? })
        }
        E::ProjectDataChanged { editing, diff, .. } | E::ProjectDataReplaced { editing, diff, .. } => {
            Some(typed(document, project, editing, data::timeline_changes(diff), recorded))
        }
        // Told of when it ends; until then there is nothing to show.
        E::GenerationAccepted { proposal, proposal_type } => Some(TimelineEntry {
            visible: false,
            ..TimelineEntry::new(proposal.as_uuid(), project, EntryType::Assistant, recorded).telling(
                "",
                String::new(),
                json!({"proposal_type": proposal_type}),
            )
        }),
        E::ProposalDeleted { proposal } => entry(
            EntryType::Proposal,
            "Proposal deleted",
            "A proposal was deleted".to_owned(),
            json!({"proposal_id": proposal}),
        ),
        E::ProjectStatusMoved { .. } | E::ProjectDeleted | E::GenerationEnded { .. } => document,
    }
}

fn of_proposal(
    document: Option<TimelineEntry>,
    proposal: ProposalId,
    event: &ProposalEvent,
    recorded: &Recorded,
) -> Option<TimelineEntry> {
    use ProposalEvent as P;
    // Takes the place of the unseen entry that knows the project.
    let ended = |kind, title: &str, description: String, facts: Value| {
        document.as_ref().map(|unseen| {
            TimelineEntry::new(unseen.id, unseen.project, kind, recorded).telling(title, description, facts)
        })
    };
    let job = || JobId::from(proposal).to_string();
    match event {
        P::GenerationRequested(request) => {
            Some(TimelineEntry::new(recorded.event_id, request.project, EntryType::Assistant, recorded).telling(
                "Proposal requested",
                format!("{} proposal requested", request.proposal_type.as_str()),
                json!({"proposal_id": proposal, "job_id": job(), "proposal_type": request.proposal_type}),
            ))
        }
        P::ProposalGenerated { version, title, capex_usd, opex_usd, generation_time_seconds, .. } => ended(
            EntryType::Proposal,
            "Proposal generated",
            format!("{title} {version}"),
            json!({
                "proposal_id": proposal,
                "version": version,
                "proposal_type": document.as_ref().and_then(proposal_type),
                "capex": money(*capex_usd),
                "opex": money(*opex_usd),
                "generation_time": generation_time_seconds,
            }),
        ),
        P::GenerationFailed { code, .. } => ended(
            EntryType::Assistant,
            "Proposal generation failed",
            code.text().to_owned(),
            json!({"proposal_id": proposal, "job_id": job(), "error_code": code}),
        ),
        P::GenerationCancelled => ended(
            EntryType::Assistant,
            "Proposal generation cancelled",
            FailureCode::Cancelled.text().to_owned(),
            json!({"proposal_id": proposal, "job_id": job(), "error_code": FailureCode::Cancelled}),
        ),
        P::GenerationStarted
        | P::StageReached { .. }
        | P::StepSucceeded { .. }
        | P::StepFailed { .. }
        | P::LateResultDiscarded { .. }
        | P::GenerationCompleted
        | P::CancellationRequested => document,
    }
}

impl TimelineEntry {
    fn new(id: Uuid, project: ProjectId, kind: EntryType, recorded: &Recorded) -> Self {
        Self {
            id,
            project,
            kind,
            title: String::new(),
            description: String::new(),
            actor: recorded.metadata.actor(),
            facts: Map::new(),
            changes: Vec::new(),
            began_at: recorded.recorded_at,
            timestamp: recorded.recorded_at,
            visible: true,
        }
    }

    fn telling(self, title: &str, description: String, facts: Value) -> Self {
        let facts = match facts {
            Value::Object(facts) => facts,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        };
        Self { title: title.to_owned(), description, facts, ..self }
    }
}

/// Begins the entry of a course of typing, or goes on with it: id and place of the first edit, time of the last.
fn typed(
    document: Option<TimelineEntry>,
    project: ProjectId,
    editing: &Editing,
    changes: Vec<TimelineChange>,
    recorded: &Recorded,
) -> TimelineEntry {
    let entry = document.unwrap_or_else(|| {
        TimelineEntry::new(editing.id, project, EntryType::Edit, recorded).telling(
            "Technical data updated",
            String::new(),
            json!({}),
        )
    });
    let changes = data::join(entry.changes, changes);
    let shown: Vec<_> = data::visible(&changes).cloned().collect();
    TimelineEntry {
        description: describe(&shown),
        visible: !shown.is_empty(),
        timestamp: recorded.recorded_at,
        changes,
        ..entry
    }
}

/// An amount, without decimals if it has none.
fn money(amount: f64) -> Value {
    /// Up to here every whole number has a number of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if amount.fract() == 0.0 && amount.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
        let whole = amount as i64;
        json!(whole)
    } else {
        json!(amount)
    }
}

fn proposal_type(entry: &TimelineEntry) -> Option<ProposalType> {
    entry.facts.get("proposal_type").and_then(Value::as_str).and_then(ProposalType::named)
}

/// Names the first few changes and counts the others.
fn describe(changes: &[TimelineChange]) -> String {
    let named: Vec<_> = changes.iter().take(NAMED_CHANGES).map(|change| change.label.as_str()).collect();
    match changes.len().saturating_sub(NAMED_CHANGES) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn of_status(old: Status, new: Status) -> TimelineChange {
    change("status", "Status", old.as_str(), new.as_str(), false)
}

fn of_detail(detail: &DetailChange) -> TimelineChange {
    use DetailChange as C;
    let field = detail.field();
    let plain = |label, old: &str, new: &str| change(field, label, old, new, false);
    let personal = |label, old: &str, new: &str| change(field, label, old, new, true);
    match detail {
        C::Name { old, new } => plain("Name", old, new),
        C::Client { old, new } => personal("Client", old.text(), new.text()),
        C::Sector { old, new } => plain("Sector", old, new),
        C::Subsector { old, new } => {
            plain("Subsector", old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default())
        }
        C::Location { old, new } => personal("Location", old.text(), new.text()),
        C::ProjectType { old, new } => plain("Project Type", old, new),
        C::Description { old, new } => {
            personal("Description", old.text().unwrap_or_default(), new.text().unwrap_or_default())
        }
        C::BudgetUsd { old, new } => {
            TimelineChange { unit: Some("USD".to_owned()), ..plain("Budget", &old.to_string(), &new.to_string()) }
        }
        C::ScheduleSummary { old, new } => plain("Schedule", old, new),
        C::Tags { old, new } => plain("Tags", &old.join(", "), &new.join(", ")),
    }
}

fn change(field: &str, label: &str, old: &str, new: &str, personal: bool) -> TimelineChange {
    let cut = |text: &str| text.chars().take(SHOWN_CHARACTERS).collect::<String>();
    let (old_value, new_value) = (cut(old), cut(new));
    // The event says that the values differ; where what is left of them does not, this tells them apart.
    let rest = |side: &str| (old_value == new_value).then(|| side.to_owned());
    TimelineChange {
        field: field.to_owned(),
        label: label.to_owned(),
        old_rest: rest("old"),
        new_rest: rest("new"),
        old_value,
        new_value,
        unit: None,
        personal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;
    use crate::model::Documents;

    fn timeline(history: &History) -> Vec<TimelineEntry> {
        let mut documents = Documents::<TimelineEntry>::new(HashMap::new());
        for recorded in &history.events {
            documents.apply(recorded, None);
        }
        let mut entries: Vec<_> = documents.rows.into_values().filter_map(|row| row.document).collect();
        entries.sort_by_key(|entry| (entry.began_at, entry.id));
        entries
    }

    #[test]
    fn a_new_project_has_one_entry_that_tells_its_name_and_client() {
        let mut history = History::new();
        history.create();
        let [entry] = timeline(&history).try_into().unwrap();
        assert_eq!((entry.kind, entry.title.as_str()), (EntryType::Version, "Project created"));
        assert_eq!(entry.description, "North plant for Dairy of the Valley");
        let metadata = json!({"sector": "industrial", "subsector": "food_processing", "budget": 0});
        assert_eq!(Value::Object(entry.metadata()), metadata);
        let emails = HashMap::from([(history.owner, "ana.torres@example.com".to_owned())]);
        assert_eq!(entry.user(&emails), "ana.torres@example.com");
        assert_eq!(entry.user(&HashMap::new()), "[erased]");
    }

    #[test]
    fn edits_of_one_course_of_typing_are_one_entry_without_what_came_back() {
        let mut history = History::new();
        let project = history.create();
        let typing = history.id();
        let states = [json!({}), json!({"a": "1", "b": "2"}), json!({"a": "1", "b": "3"}), json!({"b": "3"})];
        for change in states.windows(2) {
            history.edit(project, typing, &change[0], &change[1]);
        }
        let first_edit = history.events[1].recorded_at;
        let last_edit = history.events[3].recorded_at;
        let entry = timeline(&history).pop().unwrap();
        assert_eq!((entry.id, entry.began_at, entry.timestamp), (typing, first_edit, last_edit));
        let metadata = json!({
            "changed_fields": ["b"],
            "changes": [{"field": "b", "label": "b", "old_value": "", "new_value": "3"}],
        });
        assert_eq!(Value::Object(entry.metadata()), metadata);

        history.edit(project, typing, &states[3], &states[0]);
        let entries = timeline(&history);
        let entry = entries.iter().find(|entry| entry.id == typing).unwrap();
        assert!(!entry.visible, "everything came back, so there is nothing to show");
    }

    #[test]
    fn a_generated_proposal_is_told_with_its_figures_in_the_place_where_it_came() {
        let mut history = History::new();
        let project = history.create();
        let proposal = history.accept(project);
        assert!(!timeline(&history).iter().any(|entry| entry.visible && entry.id == proposal.as_uuid()));
        history.rename(project, "North plant", "South plant");
        history.complete(project, proposal, "v1.0");
        let entry = timeline(&history).pop().unwrap();
        assert_eq!((entry.kind, entry.project, entry.visible), (EntryType::Proposal, project, true));
        assert_eq!(entry.user(&HashMap::new()), "H2O Allegiant AI");
        let metadata = json!({
            "proposal_id": proposal, "version": "v1.0", "proposal_type": "Technical",
            "capex": 210_000, "opex": 99_000, "generation_time": 71.4,
        });
        assert_eq!(Value::Object(entry.metadata()), metadata);
    }

    #[test]
    fn a_change_behind_the_two_hundredth_character_is_shown_too() {
        let mut history = History::new();
        let project = history.create();
        let long = "x".repeat(SHOWN_CHARACTERS);
        history.rename(project, &long, &format!("{long}y"));
        let entry = timeline(&history).pop().unwrap();
        assert_eq!(entry.metadata()["changes"][0]["new_value"], json!(long));
    }
}
