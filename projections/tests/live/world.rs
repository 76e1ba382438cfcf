//! A store with read models of its own, and the commands that the tests give.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use domain::account::Profile;
use domain::document::ProposalDocument;
use domain::project::{GenerationOutcome, Header, HeaderPatch};
use domain::proposal::{FailureCode, Language, ProposalType, Publication, Request, Stage, StepOutput};
use domain::{
    Account, AccountCommand, AccountId, Actor, Clock, Personal, Project, ProjectCommand, ProjectId, Proposal,
    ProposalCommand, ProposalId, StreamKey,
};
use eventstore::{CommandContext, Committed, MasterKey, Session, Settings, Store};
use futures::FutureExt;
use projections::{Reader, Runner, Views};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::TestDatabase;
use tokio::time::Instant;
use uuid::Uuid;

/// Longer than anything takes that does not hang.
pub const AMPLE: Duration = Duration::from_secs(20);

pub struct World {
    pub database: TestDatabase,
    pub store: Store,
    pub views: Views,
    pub runner: Runner,
    pub ana: AccountId,
    clock: Arc<AtomicI64>,
}

impl World {
    /// Nothing has happened yet but that Ana has registered. No runner runs by itself.
    pub async fn new() -> Self {
        let database = testkit::database().await;
        let pool = eventstore::connect(&Settings::new(&database.url)).await.unwrap();
        let clock = Arc::new(AtomicI64::new(1_768_900_000_000_000));
        let reads = Arc::clone(&clock);
        // Every look at this clock finds it a millisecond later.
        let moving =
            Clock::new(move || DateTime::from_timestamp_micros(reads.fetch_add(1_000, Ordering::SeqCst)).unwrap());
        let store = Store::open(pool, MasterKey::from_bytes([7; 32]), moving).await.unwrap();
        let (views, runner) = (Views::new(store.clone()), Runner::new(store.clone()));
        let world = Self { database, store, views, runner, ana: AccountId::generate(), clock };
        world.register(world.ana, "ana.torres@example.com").await;
        world
    }

    pub fn pass(&self, time: TimeDelta) {
        self.clock.fetch_add(time.num_microseconds().unwrap(), Ordering::SeqCst);
    }

    /// A reader who does not wait.
    pub fn ana(&self) -> Reader {
        Reader { account: self.ana, min_position: None, within: Duration::ZERO }
    }

    pub async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&self.database.url).await.unwrap()
    }

    /// Has the read models contain everything there is.
    pub async fn catch_up(&self) -> u64 {
        self.sequenced().await;
        self.runner.catch_up().await.unwrap();
        let head = self.store.head().await.unwrap();
        let all = self.views.wait_for(&Reader { min_position: Some(head), ..self.ana() }).await.unwrap();
        assert!(!all.behind, "the runner stopped before the ledger's head");
        head
    }

    /// Has every event numbered, also one that was written past the store, of which nobody told its sequencer.
    pub async fn sequenced(&self) {
        assert!(self.store.number_pending(AMPLE).await.unwrap(), "some events have no position yet");
    }

    /// Puts an event into a project's stream that no command of ours would write.
    pub async fn append_raw(&self, id: ProjectId, sequence: i64, event_type: &str, mut payload: Value) {
        payload["type"] = json!(event_type);
        sqlx::query(
            "INSERT INTO es.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
             SELECT aggregate_type, aggregate_id, $2, $3, '1', $4::json, metadata
             FROM es.events WHERE aggregate_id = $1 AND sequence = 1",
        )
        .bind(id.to_string())
        .bind(sequence)
        .bind(event_type)
        .bind(payload.to_string())
        .execute(&mut self.superuser().await)
        .await
        .unwrap();
    }

    /// Puts another payload in the place of an event's, as if the code that reads it had changed. Returns the former.
    pub async fn change_payload(&self, stream: StreamKey, sequence: i64, payload: &str) -> String {
        let mut superuser = self.superuser().await;
        let former: String = sqlx::query_scalar(
            "SELECT payload::text FROM es.events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3",
        )
        .bind(stream.kind.as_str())
        .bind(stream.id.to_string())
        .bind(sequence)
        .fetch_one(&mut superuser)
        .await
        .unwrap();
        // Locks the table, which has triggers against exactly this.
        let mut transaction = superuser.begin().await.unwrap();
        sqlx::query("ALTER TABLE es.events DISABLE TRIGGER events_append_only")
            .execute(&mut *transaction)
            .await
            .unwrap();
        sqlx::query(
            "UPDATE es.events SET payload = $4::json
             WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3",
        )
        .bind(stream.kind.as_str())
        .bind(stream.id.to_string())
        .bind(sequence)
        .bind(payload)
        .execute(&mut *transaction)
        .await
        .unwrap();
        sqlx::query("ALTER TABLE es.events ENABLE ALWAYS TRIGGER events_append_only")
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        former
    }

    pub async fn register(&self, account: AccountId, email: &str) {
        let profile = Profile {
            email: Personal::new(email.to_owned()),
            first_name: Personal::new("Ana".to_owned()),
            last_name: Personal::new("Torres".to_owned()),
            company_name: Personal::new(None),
            location: Personal::new(None),
            sector: None,
            subsector: None,
        };
        self.run(Actor::account(account), move |session| {
            let profile = profile.clone();
            async move {
                session.load::<Account>(account.as_uuid()).await.unwrap();
                session
                    .handle::<Account>(account.as_uuid(), account, AccountCommand::Register { profile })
                    .map_err(|refusal| refusal.to_string())
            }
            .boxed()
        })
        .await;
    }

    pub async fn create(&self, owner: AccountId, name: &str) -> ProjectId {
        let id = ProjectId::generate();
        let header = Header {
            name: name.to_owned(),
            client: Personal::new("Dairy of the Valley".to_owned()),
            sector: "industrial".to_owned(),
            subsector: None,
            location: Personal::new("Guadalajara, México".to_owned()),
            project_type: "To be defined".to_owned(),
            description: Personal::new(None),
            budget_usd: 1_000.25,
            schedule_summary: "To be defined".to_owned(),
            tags: vec![],
        };
        self.project(owner, id, ProjectCommand::Create { owner, header }).await;
        id
    }

    pub async fn project(&self, by: AccountId, id: ProjectId, command: ProjectCommand) -> Committed<usize> {
        self.run(Actor::account(by), move |session| {
            let command = command.clone();
            async move {
                session.load::<Project>(id.as_uuid()).await.unwrap();
                session.handle::<Project>(id.as_uuid(), by, command).map_err(|refusal| refusal.to_string())
            }
            .boxed()
        })
        .await
    }

    pub async fn rename(&self, id: ProjectId, name: &str) {
        let patch = HeaderPatch { name: Some(name.to_owned()), ..HeaderPatch::default() };
        self.project(self.ana, id, ProjectCommand::Change { by: self.ana, patch, status: None, expected: None }).await;
    }

    pub async fn edit(&self, id: ProjectId, body: Value) {
        let (by, at) = (self.ana, self.store.clock().now());
        let entry = Uuid::now_v7();
        let command = ProjectCommand::ChangeData { by, at, body, replace: false, entry, expected: None };
        self.project(self.ana, id, command).await;
    }

    pub async fn delete(&self, id: ProjectId) {
        self.project(self.ana, id, ProjectCommand::Delete { by: self.ana, expected: None }).await;
    }

    pub async fn generate(&self, project: ProjectId) -> ProposalId {
        let (proposal, owner) = (ProposalId::generate(), self.ana);
        self.run(Actor::account(owner), move |session| {
            async move {
                let requested_at = session.now();
                let proposal_type = ProposalType::Technical;
                session.load::<Project>(project.as_uuid()).await.unwrap();
                session.load::<Proposal>(proposal.as_uuid()).await.unwrap();
                let accept = ProjectCommand::AcceptGeneration { by: owner, proposal, proposal_type };
                session.handle::<Project>(project.as_uuid(), owner, accept).map_err(|refusal| refusal.to_string())?;
                let request = Request {
                    project,
                    owner,
                    project_version: session.version::<Project>(project.as_uuid()),
                    proposal_type,
                    language: Language::En,
                    preferences: Personal::new(json!({})),
                    parameters: Personal::new(json!({})),
                    requested_at,
                    deadline_at: requested_at + TimeDelta::minutes(14),
                    warnings: vec![],
                };
                session
                    .handle::<Proposal>(proposal.as_uuid(), owner, ProposalCommand::Request(Box::new(request)))
                    .map_err(|refusal| refusal.to_string())
            }
            .boxed()
        })
        .await;
        proposal
    }

    async fn proposal(&self, proposal: ProposalId, command: ProposalCommand) {
        let owner = self.ana;
        self.run(Actor::WORKER, move |session| {
            let command = command.clone();
            async move {
                session.load::<Proposal>(proposal.as_uuid()).await.unwrap();
                session.handle::<Proposal>(proposal.as_uuid(), owner, command).map_err(|refusal| refusal.to_string())
            }
            .boxed()
        })
        .await;
    }

    pub async fn begin(&self, proposal: ProposalId, stage: Stage) {
        self.proposal(proposal, ProposalCommand::BeginStep { stage }).await;
    }

    pub async fn finish(&self, proposal: ProposalId, stage: Stage) {
        let output = StepOutput { schema: 1, document: Personal::new(json!({"stage": stage})), sha256: "0".repeat(64) };
        let command = ProposalCommand::FinishStep { stage, attempt: 1, output, usage: None, elapsed_ms: 5 };
        self.proposal(proposal, command).await;
    }

    /// Does all the work up to the saving.
    pub async fn work(&self, proposal: ProposalId) {
        for stage in Stage::ALL {
            self.begin(proposal, stage).await;
            if stage != Stage::Publish {
                self.finish(proposal, stage).await;
            }
        }
    }

    pub async fn publish(&self, project: ProjectId, proposal: ProposalId) {
        let owner = self.ana;
        self.run(Actor::WORKER, move |session| {
            async move {
                session.load::<Proposal>(proposal.as_uuid()).await.unwrap();
                let open = session.load::<Project>(project.as_uuid()).await.unwrap().open().cloned();
                let version = open.map(|open| open.next_version()).unwrap_or_default();
                let document = ProposalDocument {
                    schema: 1,
                    capex: 210_000.0,
                    opex: 99_000.0,
                    executive_summary: "The plant treats 230 m³ per day.".to_owned(),
                    ..ProposalDocument::default()
                };
                let publication = Publication {
                    version: version.clone(),
                    title: "Technical Proposal - North plant".to_owned(),
                    generation_time_seconds: 71.5,
                    key_technologies: vec!["DAF".to_owned(), "SBR".to_owned()],
                    document,
                };
                session
                    .handle::<Proposal>(proposal.as_uuid(), owner, ProposalCommand::Publish(Box::new(publication)))
                    .map_err(|refusal| refusal.to_string())?;
                let end = ProjectCommand::EndGeneration { proposal, outcome: GenerationOutcome::Completed { version } };
                session.handle::<Project>(project.as_uuid(), owner, end).map_err(|refusal| refusal.to_string())
            }
            .boxed()
        })
        .await;
    }

    pub async fn fail(&self, project: ProjectId, proposal: ProposalId, code: FailureCode) {
        let owner = self.ana;
        self.run(Actor::WORKER, move |session| {
            async move {
                session.load::<Proposal>(proposal.as_uuid()).await.unwrap();
                session.load::<Project>(project.as_uuid()).await.unwrap();
                let fail = ProposalCommand::Fail { code, warnings: vec![] };
                session.handle::<Proposal>(proposal.as_uuid(), owner, fail).map_err(|refusal| refusal.to_string())?;
                let end = ProjectCommand::EndGeneration { proposal, outcome: GenerationOutcome::Failed { code } };
                session.handle::<Project>(project.as_uuid(), owner, end).map_err(|refusal| refusal.to_string())
            }
            .boxed()
        })
        .await;
    }

    async fn run<F>(&self, actor: Actor, operation: F) -> Committed<usize>
    where
        F: for<'s> Fn(&'s mut Session) -> futures::future::BoxFuture<'s, Result<usize, String>> + Send + Sync + 'static,
    {
        let context = CommandContext {
            command_id: Uuid::now_v7(),
            actor,
            roles: vec![],
            correlation_id: "test".to_owned(),
            causation_id: None,
            request_id: None,
            traceparent: None,
            request_hash: None,
            deadline: Instant::now() + AMPLE,
            name: "test",
        };
        self.store.execute(context, operation).await.unwrap()
    }
}
