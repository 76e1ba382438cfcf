//! The header of a project, and how it changes.

use serde::{Deserialize, Serialize};

use crate::Personal;

/// What a project is called where nobody has said it yet.
pub const TO_BE_DEFINED: &str = "To be defined";

/// The header of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Name of the project.
    pub name: String,
    /// For whom.
    pub client: Personal<String>,
    /// Sector, such as `industrial`.
    pub sector: String,
    /// Subsector, such as `food_processing`.
    pub subsector: Option<String>,
    /// Where.
    pub location: Personal<String>,
    /// What kind of project.
    pub project_type: String,
    /// What it is about.
    pub description: Personal<Option<String>>,
    /// Budget in US dollars, at most two decimals.
    pub budget_usd: f64,
    /// When.
    pub schedule_summary: String,
    /// Labels, unique, in the user's order.
    pub tags: Vec<String>,
}

/// The fields of a header that a request wants to set; `None` leaves a field alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeaderPatch {
    /// New name.
    pub name: Option<String>,
    /// New client.
    pub client: Option<String>,
    /// New sector.
    pub sector: Option<String>,
    /// New subsector; `Some(None)` clears it.
    pub subsector: Option<Option<String>>,
    /// New location.
    pub location: Option<String>,
    /// New type of project.
    pub project_type: Option<String>,
    /// New description; `Some(None)` clears it.
    pub description: Option<Option<String>>,
    /// New budget in US dollars.
    pub budget_usd: Option<f64>,
    /// New schedule.
    pub schedule_summary: Option<String>,
    /// New labels.
    pub tags: Option<Vec<String>>,
}

/// One field of the header that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "field", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the header's field of that name, with its old and its new value")]
pub enum DetailChange {
    Name { old: String, new: String },
    Client { old: Personal<String>, new: Personal<String> },
    Sector { old: String, new: String },
    Subsector { old: Option<String>, new: Option<String> },
    Location { old: Personal<String>, new: Personal<String> },
    ProjectType { old: String, new: String },
    Description { old: Personal<Option<String>>, new: Personal<Option<String>> },
    BudgetUsd { old: f64, new: f64 },
    ScheduleSummary { old: String, new: String },
    Tags { old: Vec<String>, new: Vec<String> },
}

impl DetailChange {
    /// The field's name, as in requests.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Name { .. } => "name",
            Self::Client { .. } => "client",
            Self::Sector { .. } => "sector",
            Self::Subsector { .. } => "subsector",
            Self::Location { .. } => "location",
            Self::ProjectType { .. } => "project_type",
            Self::Description { .. } => "description",
            Self::BudgetUsd { .. } => "budget",
            Self::ScheduleSummary { .. } => "schedule_summary",
            Self::Tags { .. } => "tags",
        }
    }
}

impl Header {
    /// What `patch` would change: only fields whose value differs.
    #[must_use]
    pub fn changes(&self, patch: HeaderPatch) -> Vec<DetailChange> {
        let mut changes = Vec::new();
        macro_rules! compare {
            ($field:ident, $variant:ident) => {
                if let Some(new) = patch.$field
                    && new != self.$field
                {
                    changes.push(DetailChange::$variant { old: self.$field.clone(), new });
                }
            };
            (personal $field:ident, $variant:ident) => {
                if let Some(new) = patch.$field.map(Personal::new)
                    && new != self.$field
                {
                    changes.push(DetailChange::$variant { old: self.$field.clone(), new });
                }
            };
        }
        compare!(name, Name);
        compare!(personal client, Client);
        compare!(sector, Sector);
        compare!(subsector, Subsector);
        compare!(personal location, Location);
        compare!(project_type, ProjectType);
        compare!(personal description, Description);
        compare!(budget_usd, BudgetUsd);
        compare!(schedule_summary, ScheduleSummary);
        compare!(tags, Tags);
        changes
    }

    /// Takes over one change.
    pub fn apply(&mut self, change: DetailChange) {
        match change {
            DetailChange::Name { new, .. } => self.name = new,
            DetailChange::Client { new, .. } => self.client = new,
            DetailChange::Sector { new, .. } => self.sector = new,
            DetailChange::Subsector { new, .. } => self.subsector = new,
            DetailChange::Location { new, .. } => self.location = new,
            DetailChange::ProjectType { new, .. } => self.project_type = new,
            DetailChange::Description { new, .. } => self.description = new,
            DetailChange::BudgetUsd { new, .. } => self.budget_usd = new,
            DetailChange::ScheduleSummary { new, .. } => self.schedule_summary = new,
            DetailChange::Tags { new, .. } => self.tags = new,
        }
    }
}
