//! Identities. New ones are UUIDs of version 7, so that they sort by the time they were made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identity, not used before.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The identity with this value.
            #[must_use]
            pub const fn from_uuid(value: Uuid) -> Self {
                Self(value)
            }

            /// The value itself.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }
    };
}

identity!(
    /// An account: one person who signs in. The data subject of everything the account enters.
    AccountId
);
identity!(
    /// One sign-in.
    SessionId
);
identity!(
    /// A client's water problem and all that belongs to it.
    ProjectId
);
identity!(
    /// A proposal, and the generation that makes it: both have one stream.
    ProposalId
);

/// The name of a generation job: `job_` and the 32 hexadecimal digits of the identity its proposal will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(ProposalId);

impl JobId {
    /// The proposal that the job makes.
    #[must_use]
    pub const fn proposal(self) -> ProposalId {
        self.0
    }
}

impl From<ProposalId> for JobId {
    fn from(proposal: ProposalId) -> Self {
        Self(proposal)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job_{}", self.0.as_uuid().simple())
    }
}

/// The text is not the name of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a job")]
pub struct NotAJobId;

impl FromStr for JobId {
    type Err = NotAJobId;

    fn from_str(text: &str) -> Result<Self, NotAJobId> {
        let digits = text.strip_prefix("job_").ok_or(NotAJobId)?;
        let lower_hex = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !lower_hex {
            return Err(NotAJobId);
        }
        Uuid::try_parse(digits).map(|id| Self(ProposalId::from_uuid(id))).map_err(|_| NotAJobId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_after_its_proposal() {
        let proposal = ProposalId::generate();
        let name = JobId::from(proposal).to_string();
        assert_eq!(name.parse::<JobId>().map(JobId::proposal), Ok(proposal));
        for wrong in ["", "job_", "job_12", &name.to_uppercase(), &name[4..], &format!("{name}0")] {
            assert_eq!(wrong.parse::<JobId>(), Err(NotAJobId), "{wrong}");
        }
    }
}
