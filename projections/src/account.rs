//! Accounts as their owners and the timelines see them.

use chrono::{DateTime, Utc};
use domain::{AccountEvent, AccountId, Recorded, Role, StreamKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ReadModel;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDocument {
    /// Its identity.
    pub id: AccountId,
    /// Address, or `[erased]`.
    pub email: String,
    /// First name, or `[erased]`.
    pub first_name: String,
    /// Last name, or `[erased]`; empty for people with one name.
    pub last_name: String,
    /// Employer.
    pub company_name: Option<String>,
    /// Place.
    pub location: Option<String>,
    /// Sector of work.
    pub sector: Option<String>,
    /// Subsector of work.
    pub subsector: Option<String>,
    /// Whether the account may sign in.
    pub is_active: bool,
    /// Whether the address was shown to be the person's own.
    pub is_verified: bool,
    /// What the account may do.
    pub roles: Vec<Role>,
    /// When the person registered.
    pub created_at: DateTime<Utc>,
    /// When the account last changed; signing in and out are no changes.
    pub updated_at: DateTime<Utc>,
    /// The stream version of the last event that changed it.
    pub version: u64,
}

impl ReadModel for AccountDocument {
    const NAME: &'static str = "accounts";
    const VERSION: i32 = 1;
    const TABLE: &'static str = "views.accounts_v1";
    const KINDS: &'static [StreamKind] = &[StreamKind::Account];

    fn keys(recorded: &Recorded) -> Vec<Uuid> {
        use AccountEvent as E;
        match recorded.account() {
            Some((id, E::AccountRegistered { .. })) => vec![id.as_uuid()],
            Some((_, E::SessionStarted { .. } | E::SignInRefused { .. } | E::SessionEnded { .. })) | None => vec![],
        }
    }

    fn fold(document: Option<Self>, recorded: &Recorded) -> Option<Self> {
        use AccountEvent as E;
        let Some((id, event)) = recorded.account() else { return document };
        match event {
            E::AccountRegistered { profile, roles } => Some(Self {
                id,
                email: profile.email.text().to_owned(),
                first_name: profile.first_name.text().to_owned(),
                last_name: profile.last_name.text().to_owned(),
                company_name: profile.company_name.text().map(str::to_owned),
                location: profile.location.text().map(str::to_owned),
                sector: profile.sector.clone(),
                subsector: profile.subsector.clone(),
                is_active: true,
                is_verified: false,
                roles: roles.clone(),
                created_at: recorded.recorded_at,
                updated_at: recorded.recorded_at,
                version: recorded.sequence,
            }),
            E::SessionStarted { .. } | E::SignInRefused { .. } | E::SessionEnded { .. } => document,
        }
    }
}
