//! A store on a database of its own, and commands for it.

use std::time::{Duration, SystemTime};

use domain::project::{Header, HeaderPatch};
use domain::{AccountId, Actor, Clock, Personal, Project, ProjectCommand, ProjectId, ProjectRefusal, Role};
use eventstore::{CommandContext, Committed, ExecuteError, MasterKey, Session, Settings, Store, StoreError};
use sqlx::{Connection, PgConnection, PgPool};
use testkit::TestDatabase;
use tokio::time::Instant;
use uuid::Uuid;

pub const MASTER: MasterKey = MasterKey::from_bytes([42; 32]);

/// A store and its database, which goes with it.
pub struct World {
    pub store: Store,
    pub database: TestDatabase,
}

pub async fn world() -> World {
    let database = testkit::database().await;
    let store = open(&database.url, 16).await;
    World { store, database }
}

pub async fn open(url: &str, connections: u32) -> Store {
    Store::open(pool(url, connections).await, MASTER, clock()).await.unwrap()
}

pub async fn pool(url: &str, max_connections: u32) -> PgPool {
    let settings = Settings { max_connections, acquire_timeout: Duration::from_secs(20), ..Settings::new(url) };
    eventstore::connect(&settings).await.unwrap()
}

pub fn clock() -> Clock {
    Clock::new(|| SystemTime::now().into())
}

impl World {
    /// A superuser's connection: it may look at everything, and break everything.
    pub async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&self.database.url).await.unwrap()
    }

    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.superuser().await).await.unwrap()
    }

    /// Waits until every event has its position, and returns the head.
    pub async fn settled(&self) -> u64 {
        testkit::wait_until(Duration::from_secs(20), async || {
            let (pending, head) = self.store.pending().await.unwrap();
            (pending == 0).then_some(head)
        })
        .await
    }
}

pub fn context(by: AccountId) -> CommandContext {
    CommandContext {
        command_id: Uuid::now_v7(),
        actor: Actor::account(by),
        roles: vec![Role::User],
        correlation_id: "course".to_owned(),
        causation_id: None,
        request_id: Some("request".to_owned()),
        traceparent: None,
        request_hash: None,
        deadline: Instant::now() + Duration::from_secs(20),
        name: "test",
    }
}

/// What the tests' operations can end with.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error("refused")]
    Project(#[from] ProjectRefusal),
    #[error("store")]
    Store(#[from] StoreError),
}

pub type Outcome<T> = Result<Committed<T>, ExecuteError<Stop>>;

pub fn header(name: &str) -> Header {
    Header {
        name: name.to_owned(),
        client: Personal::new("Aguas del Sur".to_owned()),
        sector: "industrial".to_owned(),
        subsector: None,
        location: Personal::new("Calle Luna 7, Mérida".to_owned()),
        project_type: "wastewater".to_owned(),
        description: Personal::new(Some("call Ana Torres first".to_owned())),
        budget_usd: 1234.56,
        schedule_summary: String::new(),
        tags: vec![],
    }
}

pub async fn create(store: &Store, owner: AccountId) -> (ProjectId, Committed<()>) {
    let project = ProjectId::generate();
    let committed = create_as(store, context(owner), owner, project).await.unwrap();
    (project, committed)
}

pub async fn create_as(store: &Store, context: CommandContext, owner: AccountId, project: ProjectId) -> Outcome<()> {
    store
        .execute(context, move |session| {
            Box::pin(async move {
                session.load::<Project>(project.as_uuid()).await?;
                let command = ProjectCommand::Create { owner, header: header("Dairy") };
                session.handle::<Project>(project.as_uuid(), owner, command)?;
                Ok(())
            })
        })
        .await
}

/// Adds a tag to each of the projects, in one command.
pub async fn tag(
    store: &Store,
    context: CommandContext,
    owner: AccountId,
    projects: Vec<ProjectId>,
    tag: String,
) -> Outcome<()> {
    store
        .execute(context, move |session| {
            let (projects, tag) = (projects.clone(), tag.clone());
            Box::pin(async move {
                for project in projects {
                    add_tag(session, owner, project, &tag).await?;
                }
                Ok(())
            })
        })
        .await
}

pub async fn add_tag(session: &mut Session, owner: AccountId, project: ProjectId, tag: &str) -> Result<usize, Stop> {
    let id = project.as_uuid();
    let mut tags = session.load::<Project>(id).await?.owned_by(owner)?.header.tags.clone();
    tags.push(tag.to_owned());
    let patch = HeaderPatch { tags: Some(tags), ..HeaderPatch::default() };
    let command = ProjectCommand::Change { by: owner, patch, status: None, expected: None };
    Ok(session.handle::<Project>(id, owner, command)?)
}

pub async fn tags(store: &Store, project: ProjectId) -> Vec<String> {
    let (state, _) = store.load_at::<Project>(project.as_uuid(), None).await.unwrap();
    state.open().unwrap().header.tags.clone()
}
