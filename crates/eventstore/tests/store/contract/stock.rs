//! The stock repository under the contract, in its own layout, driven as `CqrsFramework` drives it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository, PersistedEventStore, QueryReplay, SerializedEvent};
use cqrs_es::{Aggregate, AggregateError, DomainEvent, EventEnvelope, EventStore, Query};
use domain::{AccountId, Project, ProjectCommand, ProjectEvent, ProjectId, ProjectRefusal, ProposalEvent, ProposalId};
use postgres_es::PostgresEventRepository;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use testkit::TestDatabase;

use super::ours::{request, tags};
use super::subject::{Failure, Gate, Reading, Subject};
use crate::support::header;

/// The layout that postgres-es 0.5.0 brings along, in a schema of its own.
const LAYOUT: &str = "
CREATE SCHEMA stock;
CREATE TABLE stock.events (
    aggregate_type text                         NOT NULL,
    aggregate_id   text                         NOT NULL,
    sequence       bigint CHECK (sequence >= 0) NOT NULL,
    event_type     text                         NOT NULL,
    event_version  text                         NOT NULL,
    payload        json                         NOT NULL,
    metadata       json                         NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);
CREATE TABLE stock.snapshots (
    aggregate_type   text                                 NOT NULL,
    aggregate_id     text                                 NOT NULL,
    last_sequence    bigint CHECK (last_sequence >= 0)    NOT NULL,
    current_snapshot bigint CHECK (current_snapshot >= 0) NOT NULL,
    payload          json                                 NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, last_sequence)
);
CREATE TABLE stock.seen (
    view_id text                        NOT NULL,
    version bigint CHECK (version >= 0) NOT NULL,
    payload json                        NOT NULL,
    PRIMARY KEY (view_id)
);";

/// Events from one snapshot to the next, as in our store.
const SNAPSHOT_EVERY: usize = 50;

pub struct Stock {
    pub pool: PgPool,
    narrow: PgPool,
    pub owner: AccountId,
    database: TestDatabase,
}

impl Stock {
    pub fn repository(&self) -> PostgresEventRepository {
        repository(&self.pool)
    }

    fn store(&self) -> PersistedEventStore<PostgresEventRepository, Project> {
        PersistedEventStore::new_snapshot_store(self.repository(), SNAPSHOT_EVERY)
    }

    /// As `CqrsFramework::execute`, for several commands whose events are committed together.
    async fn execute(
        &self,
        project: ProjectId,
        decide: impl Fn(&Project) -> Vec<ProjectCommand> + Send,
        gate: Option<&'static Gate>,
    ) -> Result<(), Failure> {
        let store = self.store();
        let mut context = store.load_aggregate(&project.to_string()).await.map_err(failure)?;
        let sink = EventSink::default();
        for command in decide(&context.aggregate) {
            context.aggregate.handle(command, &(), &sink).await.unwrap();
        }
        if let Some(gate) = gate {
            gate.pass().await;
        }
        store.commit(sink.collect().await, context, HashMap::new()).await.map_err(failure)?;
        Ok(())
    }
}

fn repository(pool: &PgPool) -> PostgresEventRepository {
    // One event at a time, so that little is on its way when a reader stops.
    PostgresEventRepository::new(pool.clone())
        .with_tables("stock.events", "stock.snapshots")
        .with_streaming_channel_size(1)
}

fn failure(error: AggregateError<ProjectRefusal>) -> Failure {
    match error {
        AggregateError::AggregateConflict => Failure::Conflict,
        error @ (AggregateError::UserError(_)
        | AggregateError::DatabaseConnectionError(_)
        | AggregateError::DeserializationError(_)
        | AggregateError::UnexpectedError(_)) => Failure::Other(error.to_string()),
    }
}

impl Subject for Stock {
    const EVENTS: &'static str = "stock.events";

    async fn start() -> Self {
        let database = testkit::database().await;
        PgConnection::connect(&database.url).await.unwrap().execute(LAYOUT).await.unwrap();
        let pool = PgPoolOptions::new().max_connections(8).connect(&database.url).await.unwrap();
        let narrow = PgPoolOptions::new().max_connections(1).connect(&database.url).await.unwrap();
        Self { pool, narrow, owner: AccountId::generate(), database }
    }

    async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&self.database.url).await.unwrap()
    }

    async fn unlock(&self) {}

    async fn create(&self, project: ProjectId, name: &str) -> Result<(), Failure> {
        let owner = self.owner;
        self.execute(project, |_| vec![ProjectCommand::Create { owner, header: header(name) }], None).await
    }

    async fn add_tags(&self, project: ProjectId, new: &[&str], gate: Option<&'static Gate>) -> Result<(), Failure> {
        let decide = |state: &Project| {
            let mut all = state.open().unwrap().header.tags.clone();
            let one_more = |tag: &&str| {
                all.push((*tag).to_owned());
                tags(self.owner, all.clone())
            };
            new.iter().map(one_more).collect()
        };
        self.execute(project, decide, gate).await
    }

    async fn add_tag_twice(&self, project: ProjectId, tag: &str) -> Result<(), Failure> {
        self.add_tags(project, &[tag], None).await?;
        self.add_tags(project, &[tag], None).await
    }

    async fn create_with_proposal(&self, project: ProjectId, proposal: ProposalId) -> Result<(), Failure> {
        let events = [
            serialized(
                project.to_string(),
                &ProjectEvent::ProjectCreated { owner: self.owner, header: header("Dairy") },
            ),
            serialized(
                proposal.to_string(),
                &ProposalEvent::GenerationRequested(Box::new(request(project, self.owner))),
            ),
        ];
        // Nothing in its interface takes two streams; this is as near as it comes.
        self.repository().persist::<Project>(&events, None).await.map_err(|error| Failure::Other(error.to_string()))
    }

    async fn state(&self, project: ProjectId) -> Result<Project, Failure> {
        Ok(self.store().load_aggregate(&project.to_string()).await.map_err(failure)?.aggregate)
    }

    async fn tail(&self, project: ProjectId, after: u64) -> i64 {
        let after = usize::try_from(after).unwrap();
        repository(&self.narrow).get_last_events::<Project>(&project.to_string(), after).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%FROM stock.events%'")
            .fetch_one(&self.narrow)
            .await
            .unwrap()
    }

    async fn plant_foreign_snapshot(&self, project: ProjectId) {
        let mut state = self.state(project).await.unwrap();
        let domain::project::State::Open(open) = &mut state.state else { panic!("the project is open") };
        open.header.tags.clear();
        let changed = sqlx::query("UPDATE stock.snapshots SET payload = $2 WHERE aggregate_id = $1")
            .bind(project.to_string())
            .bind(serde_json::to_value(&state).unwrap())
            .execute(&self.pool)
            .await
            .unwrap();
        assert_eq!(changed.rows_affected(), 1, "there was a snapshot");
    }

    async fn read_all(&self, mut midway: impl AsyncFnMut()) -> Reading {
        // The replay hands each event to a query; here that query hands it on, so that the reader can stop midway.
        let (handed_over, mut handed) = tokio::sync::mpsc::channel(1);
        let go_on = Arc::new(tokio::sync::Semaphore::new(1));
        let query = HandOver { to: Mutex::new(handed_over), go_on: Arc::clone(&go_on) };
        let repository = self.repository();
        let replay = tokio::spawn(async move {
            QueryReplay::<_, _, Project>::new(repository, query).replay_all().await.map_err(failure)
        });
        let mut events = Vec::new();
        while let Some(event) = handed.recv().await {
            events.push(event);
            if events.len() == 1 {
                midway().await;
            }
            go_on.add_permits(1);
        }
        Reading { events, end: replay.await.unwrap() }
    }
}

fn serialized<E: DomainEvent>(aggregate_id: String, event: &E) -> SerializedEvent {
    SerializedEvent::new(
        aggregate_id,
        1,
        String::new(),
        event.event_type(),
        event.event_version(),
        serde_json::to_value(event).unwrap(),
        json!({}),
    )
}

/// A query that hands each event over and waits until it may have the next.
struct HandOver {
    to: Mutex<tokio::sync::mpsc::Sender<(ProjectId, u64)>>,
    go_on: Arc<tokio::sync::Semaphore>,
}

#[async_trait]
impl Query<Project> for HandOver {
    async fn dispatch(&self, aggregate_id: &str, events: &[EventEnvelope<Project>]) {
        for event in events {
            self.go_on.acquire().await.unwrap().forget();
            let to = self.to.lock().unwrap().clone();
            to.send((aggregate_id.parse().unwrap(), event.sequence as u64)).await.unwrap();
        }
    }
}
