//! The account: one person who signs in. Credentials are no part of it, they live in plain tables beside the events.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Personal, SessionId};

/// What an account may do beyond its own projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everybody.
    User,
    /// Reads the whole audit.
    Auditor,
    /// Reads analytics.
    Analyst,
    /// Manages accounts.
    Admin,
}

impl Role {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Auditor => "auditor",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::User, Self::Auditor, Self::Analyst, Self::Admin].into_iter().find(|role| role.as_str() == name)
    }
}

/// What a person says about themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The address, as typed but for the domain, which is in lower case.
    pub email: Personal<String>,
    /// First name.
    pub first_name: Personal<String>,
    /// Last name; empty for people with one name.
    pub last_name: Personal<String>,
    /// Employer.
    pub company_name: Personal<Option<String>>,
    /// Place.
    pub location: Personal<Option<String>>,
    /// Sector of work.
    pub sector: Option<String>,
    /// Subsector of work.
    pub subsector: Option<String>,
}

/// From where somebody signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Network address.
    pub address: Personal<Option<String>>,
    /// Browser, as it names itself.
    pub user_agent: Personal<Option<String>>,
}

/// What has happened to an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum AccountEvent {
    /// Somebody registered.
    AccountRegistered {
        /// Who they are.
        #[serde(flatten)]
        profile: Profile,
        /// What they may do.
        roles: Vec<Role>,
    },
    /// A sign-in succeeded.
    SessionStarted {
        /// The session that began.
        session: SessionId,
        /// From where.
        #[serde(flatten)]
        origin: Origin,
    },
    /// A sign-in with a wrong password was refused.
    SignInRefused {
        /// From where.
        #[serde(flatten)]
        origin: Origin,
    },
    /// The person signed out.
    SessionEnded {
        /// The session that ended.
        session: SessionId,
    },
}

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        match self {
            Self::AccountRegistered { .. } => "account-registered",
            Self::SessionStarted { .. } => "session-started",
            Self::SignInRefused { .. } => "sign-in-refused",
            Self::SessionEnded { .. } => "session-ended",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// What somebody wants done to an account.
#[derive(Debug, Clone, PartialEq)]
pub enum AccountCommand {
    /// Register.
    Register {
        /// Who they are.
        profile: Profile,
    },
    /// Note a sign-in that succeeded.
    StartSession {
        /// The session that begins.
        session: SessionId,
        /// From where.
        origin: Origin,
    },
    /// Note a sign-in that was refused.
    RefuseSignIn {
        /// From where.
        origin: Origin,
    },
    /// Sign out.
    EndSession {
        /// The session to end.
        session: SessionId,
    },
}

/// Why an account command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefusal {
    /// There is no such account.
    #[error("there is no such account")]
    NotFound,
    /// The account exists already.
    #[error("the account exists already")]
    AlreadyRegistered,
}

/// What an account must remember to decide its next command.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The number of its last event.
    pub version: u64,
    registered: bool,
    /// Sessions that are alive as far as events tell, newest last; sessions also end by time, which no event says.
    sessions: Vec<SessionId>,
}

/// How many sessions the aggregate remembers. Older ones still work; their end is then recorded without a check.
const REMEMBERED_SESSIONS: usize = 100;

impl Account {
    fn decide(&self, command: AccountCommand) -> Result<Vec<AccountEvent>, AccountRefusal> {
        use AccountCommand as C;
        use AccountEvent as E;
        if !self.registered {
            return match command {
                C::Register { profile } => Ok(vec![E::AccountRegistered { profile, roles: vec![Role::User] }]),
                C::StartSession { .. } | C::RefuseSignIn { .. } | C::EndSession { .. } => Err(AccountRefusal::NotFound),
            };
        }
        match command {
            C::Register { .. } => Err(AccountRefusal::AlreadyRegistered),
            C::StartSession { session, .. } if self.sessions.contains(&session) => Ok(vec![]),
            C::StartSession { session, origin } => Ok(vec![E::SessionStarted { session, origin }]),
            C::RefuseSignIn { origin } => Ok(vec![E::SignInRefused { origin }]),
            C::EndSession { session }
                if !self.sessions.contains(&session) && self.sessions.len() < REMEMBERED_SESSIONS =>
            {
                Ok(vec![])
            }
            C::EndSession { session } => Ok(vec![E::SessionEnded { session }]),
        }
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Error = AccountRefusal;
    type Services = ();

    async fn handle(&mut self, command: AccountCommand, (): &(), sink: &EventSink<Self>) -> Result<(), AccountRefusal> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: AccountEvent) {
        use AccountEvent as E;
        self.version += 1;
        match event {
            E::AccountRegistered { .. } => self.registered = true,
            E::SessionStarted { session, .. } => {
                if self.sessions.len() == REMEMBERED_SESSIONS {
                    self.sessions.remove(0);
                }
                self.sessions.push(session);
            }
            E::SignInRefused { .. } => (),
            E::SessionEnded { session } => self.sessions.retain(|alive| *alive != session),
        }
    }
}

/// The kinds of claim that keep something unique across streams.
pub mod claims {
    /// An e-mail address, as its keyed hash.
    pub const EMAIL: &str = "email";
    /// One of an account's five places for active generation jobs: account id and number.
    pub const JOB_SLOT: &str = "job-slot";
}

/// The key of one of an account's places for active jobs.
#[must_use]
pub fn job_slot(account: Uuid, slot: u8) -> Vec<u8> {
    let mut key = account.as_bytes().to_vec();
    key.push(slot);
    key
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn profile() -> Profile {
        Profile {
            email: Personal::new("ana.torres@example.com".to_owned()),
            first_name: Personal::new("Ana".to_owned()),
            last_name: Personal::new("Torres".to_owned()),
            company_name: Personal::new(None),
            location: Personal::new(None),
            sector: None,
            subsector: None,
        }
    }

    fn origin() -> Origin {
        Origin { address: Personal::new(None), user_agent: Personal::new(None) }
    }

    fn registered() -> AccountEvent {
        AccountEvent::AccountRegistered { profile: profile(), roles: vec![Role::User] }
    }

    #[test]
    fn an_account_registers_once() {
        TestFramework::<Account>::with(())
            .given_no_previous_events()
            .when(AccountCommand::Register { profile: profile() })
            .then_expect_events(vec![registered()]);
        TestFramework::<Account>::with(())
            .given(vec![registered()])
            .when(AccountCommand::Register { profile: profile() })
            .then_expect_error(AccountRefusal::AlreadyRegistered);
    }

    #[test]
    fn a_session_that_ended_cannot_end_again() {
        let session = SessionId::generate();
        TestFramework::<Account>::with(())
            .given(vec![
                registered(),
                AccountEvent::SessionStarted { session, origin: origin() },
                AccountEvent::SessionEnded { session },
            ])
            .when(AccountCommand::EndSession { session })
            .then_expect_events(vec![]);
    }
}
