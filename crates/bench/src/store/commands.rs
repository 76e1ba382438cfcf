//! Commands as the server carries them out.

use std::time::Duration;

use domain::project::{Header, HeaderPatch};
use domain::{AccountId, Actor, Personal, Project, ProjectCommand, ProjectId, ProjectRefusal, Role};
use eventstore::{CommandContext, Committed, ExecuteError, Store, StoreError};
use tokio::time::Instant;
use uuid::Uuid;

/// What a command may end with.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The project refused.
    #[error("the project refused: {0}")]
    Refused(#[from] ProjectRefusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came of a command.
pub type Outcome = Result<Committed<()>, ExecuteError<Stop>>;

/// Opens a project with `events` events: its creation, then changes of its name.
///
/// # Errors
///
/// As `Store::execute`.
pub async fn create(store: &Store, owner: AccountId, project: ProjectId, events: u32) -> Outcome {
    store
        .execute(context(owner), move |session| {
            Box::pin(async move {
                session.load::<Project>(project.as_uuid()).await?;
                let command = ProjectCommand::Create { owner, header: header() };
                session.handle::<Project>(project.as_uuid(), owner, command)?;
                for number in 1..events {
                    session.handle::<Project>(project.as_uuid(), owner, renaming(owner, number))?;
                }
                Ok(())
            })
        })
        .await
}

/// Adds `events` changes of its name to a project.
///
/// # Errors
///
/// As `Store::execute`.
pub async fn change(store: &Store, owner: AccountId, project: ProjectId, events: u32) -> Outcome {
    store
        .execute(context(owner), move |session| {
            Box::pin(async move {
                session.load::<Project>(project.as_uuid()).await?;
                for _ in 0..events {
                    let number = session.version::<Project>(project.as_uuid());
                    session.handle::<Project>(project.as_uuid(), owner, renaming(owner, number))?;
                }
                Ok(())
            })
        })
        .await
}

fn renaming(by: AccountId, number: impl Into<u64>) -> ProjectCommand {
    let name = Some(format!("North plant, revision {}", number.into()));
    let patch = HeaderPatch { name, ..HeaderPatch::default() };
    ProjectCommand::Change { by, patch, status: None, expected: None }
}

fn context(by: AccountId) -> CommandContext {
    CommandContext {
        command_id: Uuid::now_v7(),
        actor: Actor::account(by),
        roles: vec![Role::User],
        correlation_id: Uuid::now_v7().to_string(),
        causation_id: None,
        request_id: Some(Uuid::now_v7().to_string()),
        traceparent: None,
        request_hash: None,
        deadline: Instant::now() + Duration::from_secs(20),
        name: "bench",
    }
}

/// The header of every project here.
pub fn header() -> Header {
    Header {
        name: "North plant".to_owned(),
        client: Personal::new("Dairy of the Valley".to_owned()),
        sector: "industrial".to_owned(),
        subsector: Some("food_processing".to_owned()),
        location: Personal::new("Guadalajara, Mexico".to_owned()),
        project_type: "wastewater".to_owned(),
        description: Personal::new(Some("Whey and cleaning water".to_owned())),
        budget_usd: 250_000.0,
        schedule_summary: String::new(),
        tags: vec!["industrial".to_owned(), "food_processing".to_owned()],
    }
}
