//! Our store under the contract.

use std::sync::Arc;

use domain::project::HeaderPatch;
use domain::proposal::{Language, ProposalType, Request};
use domain::{
    AccountId, Personal, Project, ProjectCommand, ProjectId, Proposal, ProposalCommand, ProposalId, StreamKey,
};
use eventstore::{ExecuteError, Store, StoreError};
use serde_json::json;
use sqlx::{Executor, PgConnection};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::subject::{Failure, Gate, Reading, Subject};
use crate::support::{Outcome, Stop, World, add_tag, context, create_as, header, open, world};

pub struct Ours {
    pub world: World,
    pub owner: AccountId,
    /// A second store on the same database, with one connection.
    narrow: Store,
    /// Ends the sequencer's timer, which numbers what the probes write by SQL.
    _timer: DropGuard,
}

fn failure<T>(outcome: Outcome<T>) -> Result<(), Failure> {
    match outcome {
        Ok(_) => Ok(()),
        Err(ExecuteError::Contended) => Err(Failure::Conflict),
        Err(ExecuteError::Constraint(name)) => Err(Failure::Constraint(name)),
        Err(ExecuteError::AlreadyDone) => Err(Failure::AlreadyDone),
        Err(error) => Err(Failure::Other(error.to_string())),
    }
}

/// What a proposal is asked for.
pub fn request(project: ProjectId, owner: AccountId) -> Request {
    let now = chrono::DateTime::UNIX_EPOCH;
    Request {
        project,
        owner,
        project_version: 1,
        proposal_type: ProposalType::Technical,
        language: Language::En,
        preferences: Personal::new(json!({})),
        parameters: Personal::new(json!({})),
        requested_at: now,
        deadline_at: now,
        warnings: vec![],
    }
}

impl Subject for Ours {
    const EVENTS: &'static str = "es.events";

    async fn start() -> Self {
        let world = world().await;
        let narrow = open(&world.database.url, 1).await;
        let timer = CancellationToken::new();
        let (store, ends) = (world.store.clone(), timer.clone());
        tokio::spawn(async move { store.run_sequencer(ends).await });
        Self { world, narrow, owner: AccountId::generate(), _timer: timer.drop_guard() }
    }

    async fn superuser(&self) -> PgConnection {
        self.world.superuser().await
    }

    async fn unlock(&self) {
        let sql = "ALTER TABLE es.events DISABLE TRIGGER events_append_only";
        self.superuser().await.execute(sql).await.unwrap();
    }

    async fn create(&self, project: ProjectId, name: &str) -> Result<(), Failure> {
        let (owner, name) = (self.owner, name.to_owned());
        failure(
            self.world
                .store
                .execute(context(owner), move |session| {
                    let name = name.clone();
                    Box::pin(async move {
                        session.load::<Project>(project.as_uuid()).await?;
                        let command = ProjectCommand::Create { owner, header: header(&name) };
                        session.handle::<Project>(project.as_uuid(), owner, command)?;
                        Ok::<_, Stop>(())
                    })
                })
                .await,
        )
    }

    async fn add_tags(&self, project: ProjectId, tags: &[&str], gate: Option<&'static Gate>) -> Result<(), Failure> {
        let owner = self.owner;
        let tags: Arc<[String]> = tags.iter().map(|&tag| tag.to_owned()).collect();
        failure(
            self.world
                .store
                .execute(context(owner), move |session| {
                    let tags = Arc::clone(&tags);
                    Box::pin(async move {
                        for tag in tags.iter() {
                            add_tag(session, owner, project, tag).await?;
                        }
                        if let Some(gate) = gate {
                            gate.pass().await;
                        }
                        Ok::<_, Stop>(())
                    })
                })
                .await,
        )
    }

    async fn add_tag_twice(&self, project: ProjectId, tag: &str) -> Result<(), Failure> {
        let context = context(self.owner);
        let send = || {
            let tag = tag.to_owned();
            crate::support::tag(&self.world.store, context.clone(), self.owner, vec![project], tag)
        };
        failure(send().await)?;
        failure(send().await)
    }

    async fn create_with_proposal(&self, project: ProjectId, proposal: ProposalId) -> Result<(), Failure> {
        let owner = self.owner;
        failure(
            self.world
                .store
                .execute(context(owner), move |session| {
                    Box::pin(async move {
                        session.load::<Project>(project.as_uuid()).await?;
                        let command = ProjectCommand::Create { owner, header: header("Dairy") };
                        session.handle::<Project>(project.as_uuid(), owner, command)?;
                        session.load::<Proposal>(proposal.as_uuid()).await?;
                        let command = ProposalCommand::Request(Box::new(request(project, owner)));
                        session
                            .handle::<Proposal>(proposal.as_uuid(), owner, command)
                            .expect("a new proposal is not refused");
                        Ok::<_, Stop>(())
                    })
                })
                .await,
        )
    }

    async fn state(&self, project: ProjectId) -> Result<Project, Failure> {
        self.world.store.drain().await;
        match self.world.store.load_at::<Project>(project.as_uuid(), None).await {
            Ok((state, _)) => Ok(state),
            Err(StoreError::Decode { sequence, .. }) => Err(Failure::Unreadable(sequence.unsigned_abs())),
            Err(error) => Err(Failure::Other(error.to_string())),
        }
    }

    async fn tail(&self, project: ProjectId, after: u64) -> i64 {
        self.narrow.stream(StreamKey::from(project), after, 10).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%FROM es.events e%'")
            .fetch_one(self.narrow.pool())
            .await
            .unwrap()
    }

    async fn plant_foreign_snapshot(&self, project: ProjectId) {
        self.world.store.drain().await;
        let changed = sqlx::query("UPDATE es.snapshots SET code_version = code_version + 1 WHERE aggregate_id = $1")
            .bind(project.to_string())
            .execute(&mut self.superuser().await)
            .await
            .unwrap();
        assert_eq!(changed.rows_affected(), 1, "there was a snapshot");
        // As an older release would have left it: its events stand before what it did not know.
        let changed = sqlx::query("UPDATE es.snapshots SET body = sha256(body) WHERE aggregate_id = $1")
            .bind(project.to_string())
            .execute(&mut self.superuser().await)
            .await
            .unwrap();
        assert_eq!(changed.rows_affected(), 1);
    }

    async fn read_all(&self, mut midway: impl AsyncFnMut()) -> Reading {
        const PAGE: u32 = 1_000;
        let head = self.world.settled().await;
        let (mut events, mut unreadable, mut position) = (Vec::new(), None, 0);
        while position < head {
            let page = match self.world.store.ledger(position, PAGE).await {
                Ok(page) => page,
                // The pool gave out the connection that died; it says so, and the page is asked for again.
                Err(StoreError::Database(_)) => continue,
                Err(error) => return Reading { events, end: Err(Failure::Other(error.to_string())) },
            };
            for row in page {
                let first = position == 0;
                position = row.position;
                match row.recorded {
                    Ok(recorded) => events.push((ProjectId::from_uuid(recorded.stream.id), recorded.sequence)),
                    Err(_) => unreadable = Some(row.sequence),
                }
                if first {
                    midway().await;
                }
            }
        }
        Reading { events, end: unreadable.map_or(Ok(()), |sequence| Err(Failure::Unreadable(sequence))) }
    }
}

/// Opens a project, for probes that need no more of it.
pub async fn project(ours: &Ours) -> ProjectId {
    let project = ProjectId::generate();
    create_as(&ours.world.store, context(ours.owner), ours.owner, project).await.unwrap();
    project
}

/// A command that sets all tags.
pub fn tags(by: AccountId, tags: Vec<String>) -> ProjectCommand {
    let patch = HeaderPatch { tags: Some(tags), ..HeaderPatch::default() };
    ProjectCommand::Change { by, patch, status: None, expected: None }
}
