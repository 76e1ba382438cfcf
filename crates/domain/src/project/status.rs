//! The status of a project, and how it moves by itself.

use serde::{Deserialize, Serialize};

/// Where a project stands. The web client knows these six words and no others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are the contract's own")]
pub enum Status {
    #[default]
    #[serde(rename = "In Preparation")]
    InPreparation,
    #[serde(rename = "Generating Proposal")]
    GeneratingProposal,
    #[serde(rename = "Proposal Ready")]
    ProposalReady,
    #[serde(rename = "In Development")]
    InDevelopment,
    #[serde(rename = "Completed")]
    Completed,
    #[serde(rename = "On Hold")]
    OnHold,
}

impl Status {
    /// All six, in the order of a project's life.
    pub const ALL: [Self; 6] = [
        Self::InPreparation,
        Self::GeneratingProposal,
        Self::ProposalReady,
        Self::InDevelopment,
        Self::Completed,
        Self::OnHold,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InPreparation => "In Preparation",
            Self::GeneratingProposal => "Generating Proposal",
            Self::ProposalReady => "Proposal Ready",
            Self::InDevelopment => "In Development",
            Self::Completed => "Completed",
            Self::OnHold => "On Hold",
        }
    }

    /// The status with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}
