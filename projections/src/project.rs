//! Projects: header, status, completeness, and what the list shows.

use chrono::{DateTime, Utc};
use domain::data::Completeness;
use domain::project::{DetailChange, GenerationOutcome, Header, Status};
use domain::{AccountId, ProjectEvent, ProjectId, ProposalId, Recorded, StreamKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ReadModel;

/// A project that is open. It has none of the sheet's content: that is [`crate::ProjectDataDocument`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectDocument {
    /// Its identity.
    pub id: ProjectId,
    /// Whose it is.
    pub owner: AccountId,
    /// Name.
    pub name: String,
    /// For whom, or `[erased]`.
    pub client: String,
    /// Sector.
    pub sector: String,
    /// Subsector.
    pub subsector: Option<String>,
    /// Where, or `[erased]`.
    pub location: String,
    /// What kind of project.
    pub project_type: String,
    /// What it is about.
    pub description: Option<String>,
    /// Budget in US dollars.
    pub budget_usd: f64,
    /// When.
    pub schedule_summary: String,
    /// Labels, in the user's order.
    pub tags: Vec<String>,
    /// Where it stands.
    pub status: Status,
    /// How much of the sheet is filled.
    pub completeness: Completeness,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// The time of the newest event of its stream, which is that of its data and proposals, too.
    pub updated_at: DateTime<Utc>,
    /// How many proposals it has.
    pub proposals_count: u32,
    /// The proposal that was made the current one.
    pub current_proposal_id: Option<ProposalId>,
    /// The proposal that the generation under way will make.
    pub active_proposal: Option<ProposalId>,
    /// The stream version of the last event that changed the header, or the status by hand.
    pub header_version: u64,
    /// The stream version of the last event that changed the sheet.
    pub data_version: u64,
    /// The version of its stream.
    pub last_version: u64,
    /// What searching looks at: name, client and location in lower case, a line each.
    pub search: String,
}

impl ReadModel for ProjectDocument {
    const NAME: &'static str = "projects";
    const VERSION: i32 = 1;
    const TABLE: &'static str = "views.projects_v1";
    const KINDS: &'static [StreamKind] = &[StreamKind::Project];

    fn keys(recorded: &Recorded) -> Vec<Uuid> {
        recorded.project().into_iter().map(|(id, _)| id.as_uuid()).collect()
    }

    fn fold(document: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let Some((id, event)) = recorded.project() else { return document };
        match (document, event) {
            (_, ProjectEvent::ProjectCreated { owner, header }) => Some(Self::created(id, *owner, header, recorded)),
            (Some(_), ProjectEvent::ProjectDeleted) => None,
            (Some(mut project), event) => {
                project.updated_at = recorded.recorded_at;
                project.last_version = recorded.sequence;
                project.note(event, recorded.sequence);
                Some(project)
            }
            (None, _) => None,
        }
    }

    fn listed_for(&self) -> Option<Uuid> {
        Some(self.owner.as_uuid())
    }
}

impl ProjectDocument {
    fn created(id: ProjectId, owner: AccountId, header: &Header, recorded: &Recorded) -> Self {
        let mut project = Self {
            id,
            owner,
            name: header.name.clone(),
            client: header.client.text().to_owned(),
            sector: header.sector.clone(),
            subsector: header.subsector.clone(),
            location: header.location.text().to_owned(),
            project_type: header.project_type.clone(),
            description: header.description.text().map(str::to_owned),
            budget_usd: header.budget_usd,
            schedule_summary: header.schedule_summary.clone(),
            tags: header.tags.clone(),
            status: Status::InPreparation,
            completeness: Completeness::default(),
            created_at: recorded.recorded_at,
            updated_at: recorded.recorded_at,
            proposals_count: 0,
            current_proposal_id: None,
            active_proposal: None,
            header_version: recorded.sequence,
            data_version: recorded.sequence,
            last_version: recorded.sequence,
            search: String::new(),
        };
        project.search = project.search_text();
        project
    }

    fn note(&mut self, event: &ProjectEvent, version: u64) {
        use ProjectEvent as E;
        match event {
            E::ProjectDetailsChanged { changes } => {
                self.header_version = version;
                for change in changes {
                    self.change(change);
                }
                self.search = self.search_text();
            }
            E::ProjectStatusSet { new, .. } => {
                self.header_version = version;
                self.status = *new;
            }
            E::ProjectStatusMoved { new, .. } => self.status = *new,
            E::ProjectDataChanged { completeness, .. } | E::ProjectDataReplaced { completeness, .. } => {
                self.data_version = version;
                self.completeness = *completeness;
            }
            E::GenerationAccepted { proposal, .. } => self.active_proposal = Some(*proposal),
            E::GenerationEnded { outcome, .. } => {
                self.active_proposal = None;
                match outcome {
                    GenerationOutcome::Completed { .. } => self.proposals_count += 1,
                    GenerationOutcome::Failed { .. } | GenerationOutcome::Cancelled => (),
                }
            }
            E::ProposalDeleted { .. } => self.proposals_count = self.proposals_count.saturating_sub(1),
            E::ProjectCreated { .. } | E::ProjectDeleted => (), // Folded before.
        }
    }

    fn change(&mut self, change: &DetailChange) {
        use DetailChange as C;
        match change {
            C::Name { new, .. } => self.name.clone_from(new),
            C::Client { new, .. } => new.text().clone_into(&mut self.client),
            C::Sector { new, .. } => self.sector.clone_from(new),
            C::Subsector { new, .. } => self.subsector.clone_from(new),
            C::Location { new, .. } => new.text().clone_into(&mut self.location),
            C::ProjectType { new, .. } => self.project_type.clone_from(new),
            C::Description { new, .. } => self.description = new.text().map(str::to_owned),
            C::BudgetUsd { new, .. } => self.budget_usd = *new,
            C::ScheduleSummary { new, .. } => self.schedule_summary.clone_from(new),
            C::Tags { new, .. } => self.tags.clone_from(new),
        }
    }

    /// Lower case is made here and not by PostgreSQL, whose idea of it hangs on the locale it was set up with.
    fn search_text(&self) -> String {
        [&self.name, &self.client, &self.location].map(|text| text.to_lowercase()).join("\n")
    }
}
