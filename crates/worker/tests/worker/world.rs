//! A store on a database of its own, people who ask for proposals, and workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{TimeDelta, Utc};
use domain::account::claims::JOB_SLOT;
use domain::account::job_slot;
use domain::project::{GenerationOutcome, Header, Open, Status};
use domain::proposal::{Generation, Language, Phase, ProposalType, Request, Stage};
use domain::{
    AccountId, Actor, Clock, Fact, Personal, Project, ProjectCommand, ProjectId, ProjectRefusal, Proposal,
    ProposalCommand, ProposalEvent, ProposalId, ProposalRefusal,
};
use drafting::Drafter;
use eventstore::{Claim, CommandContext, ExecuteError, MasterKey, Session, Store, StoreError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use testkit::TestDatabase;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;
use worker::{Bus, Generations, Settings};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A store and its database, which goes with it.
pub struct World {
    pub store: Store,
    pub database: TestDatabase,
    ahead: Arc<AtomicI64>,
}

/// A proposal that somebody asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub owner: AccountId,
    pub project: ProjectId,
    pub proposal: ProposalId,
}

/// A process that works at generations; it stops when this is dropped.
pub struct Worker {
    pub generations: Generations,
    pub cancel: CancellationToken,
    _stop: DropGuard,
}

/// Why a command of the tests was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the project refused")]
    Project(#[from] ProjectRefusal),
    #[error("the proposal refused")]
    Proposal(#[from] ProposalRefusal),
    #[error("the store failed")]
    Store(#[from] StoreError),
}

pub fn machine_clock() -> Clock {
    Clock::new(|| SystemTime::now().into())
}

/// A sheet with what a design needs: a dairy with 230 m³ of wastewater a day.
pub fn dairy() -> Value {
    let sheet: Value = serde_json::from_str(include_str!("../sheets/dairy.json")).unwrap();
    sheet["data"].clone()
}

pub fn offline() -> Arc<Drafter> {
    Arc::new(Drafter::new(drafting::Settings { model: None }, machine_clock()).unwrap())
}

pub fn context(by: AccountId) -> CommandContext {
    CommandContext {
        command_id: Uuid::now_v7(),
        actor: Actor::account(by),
        roles: vec![],
        correlation_id: "test".to_owned(),
        causation_id: None,
        request_id: None,
        traceparent: None,
        request_hash: None,
        deadline: tokio::time::Instant::now() + PATIENCE,
        name: "test",
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with_connections(8).await
    }

    pub async fn with_connections(connections: u32) -> Self {
        Self::on(testkit::database().await, connections).await
    }

    /// An empty database that takes itself for the store with this identity, as a restored one does.
    pub async fn with_identity(store: Uuid) -> Self {
        let database = testkit::database().await;
        let mut superuser = PgConnection::connect(&database.url).await.unwrap();
        sqlx::query("UPDATE es.store SET store_id = $1").bind(store).execute(&mut superuser).await.unwrap();
        Self::on(database, 8).await
    }

    async fn on(database: TestDatabase, connections: u32) -> Self {
        let ahead = Arc::new(AtomicI64::new(0));
        let read = Arc::clone(&ahead);
        let clock = Clock::new(move || {
            chrono::DateTime::<Utc>::from(SystemTime::now()) + TimeDelta::seconds(read.load(Ordering::SeqCst))
        });
        let mut settings = eventstore::Settings::new(&database.url);
        settings.max_connections = connections;
        settings.acquire_timeout = Duration::from_secs(20);
        let pool = eventstore::connect(&settings).await.unwrap();
        let store = Store::open(pool, MasterKey::from_bytes([7; 32]), clock).await.unwrap();
        Self { store, database, ahead }
    }

    /// Moves the store's clock.
    pub fn advance(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }

    pub async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&self.database.url).await.unwrap()
    }

    pub async fn run(&self, sql: &str) {
        sqlx::query(sql).execute(&mut self.superuser().await).await.unwrap();
    }

    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.superuser().await).await.unwrap()
    }

    /// Waits until every event has its position, and returns the head.
    pub async fn settled(&self) -> u64 {
        testkit::wait_until(PATIENCE, async || {
            let (pending, head) = self.store.pending().await.unwrap();
            (pending == 0).then_some(head)
        })
        .await
    }

    /// A bus with a connection of its own.
    pub async fn bus(&self) -> Bus {
        Bus::new(testkit::nats().await, self.store.store_id(), self.store.epoch())
    }

    pub fn worker(&self, drafter: &Arc<Drafter>, places: usize, lease: Duration) -> Worker {
        let cancel = CancellationToken::new();
        let settings = Settings { places, lease };
        let generations = Generations::new(self.store.clone(), Arc::clone(drafter), settings, cancel.clone());
        Worker { generations, cancel: cancel.clone(), _stop: cancel.drop_guard() }
    }

    /// A worker whose sweep looks often.
    pub fn sweeping(&self, drafter: &Arc<Drafter>, places: usize, lease: Duration) -> Worker {
        let worker = self.worker(drafter, places, lease);
        worker.sweep();
        worker
    }

    async fn execute<F>(&self, by: AccountId, operation: F)
    where
        F: for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<(), Refused>> + Send + Sync + 'static,
    {
        match self.store.execute(context(by), operation).await {
            Ok(_) => (),
            Err(ExecuteError::Refused(refused)) => panic!("{refused}"),
            Err(error) => panic!("{error}"),
        }
    }

    /// A project with this data, whose fields somebody filled in one by one.
    pub async fn project(&self, owner: AccountId, data: &Value) -> ProjectId {
        let project = ProjectId::generate();
        let mut template = data.clone();
        for section in template["technical_sections"].as_array_mut().into_iter().flatten() {
            for field in section["fields"].as_array_mut().into_iter().flatten() {
                field["value"] = json!("");
            }
        }
        for (body, first) in [(template, true), (data.clone(), false)] {
            self.execute(owner, move |session| {
                let body = body.clone();
                async move {
                    let id = project.as_uuid();
                    session.load::<Project>(id).await?;
                    if first {
                        session.handle::<Project>(id, owner, ProjectCommand::Create { owner, header: header() })?;
                    }
                    let (at, entry) = (session.now(), Uuid::now_v7());
                    let command =
                        ProjectCommand::ChangeData { by: owner, at, body, replace: true, entry, expected: None };
                    session.handle::<Project>(id, owner, command)?;
                    Ok(())
                }
                .boxed()
            })
            .await;
        }
        project
    }

    /// Somebody new asks for a proposal for the dairy.
    pub async fn ask(&self) -> Asked {
        self.ask_for(&dairy(), TimeDelta::minutes(14)).await
    }

    pub async fn ask_for(&self, data: &Value, time: TimeDelta) -> Asked {
        let owner = AccountId::generate();
        let project = self.project(owner, data).await;
        self.ask_again(owner, project, time).await
    }

    pub async fn ask_again(&self, owner: AccountId, project: ProjectId, time: TimeDelta) -> Asked {
        let proposal = ProposalId::generate();
        self.execute(owner, move |session| {
            async move {
                session.load::<Project>(project.as_uuid()).await?.owned_by(owner)?;
                let project_version = session.version::<Project>(project.as_uuid());
                session.load::<Proposal>(proposal.as_uuid()).await?;
                let proposal_type = ProposalType::Technical;
                let accept = ProjectCommand::AcceptGeneration { by: owner, proposal, proposal_type };
                session.handle::<Project>(project.as_uuid(), owner, accept)?;
                let request = Request {
                    project,
                    owner,
                    project_version,
                    proposal_type,
                    language: Language::En,
                    preferences: Personal::new(json!({})),
                    parameters: Personal::new(json!({})),
                    requested_at: session.now(),
                    deadline_at: session.now() + time,
                    warnings: vec![],
                };
                let request = ProposalCommand::Request(Box::new(request));
                session.handle::<Proposal>(proposal.as_uuid(), owner, request)?;
                session.claim(Claim::TakeOneOf {
                    kind: JOB_SLOT,
                    keys: (0..5).map(|slot| job_slot(owner.as_uuid(), slot)).collect(),
                    holder: proposal.as_uuid(),
                });
                Ok(())
            }
            .boxed()
        })
        .await;
        Asked { owner, project, proposal }
    }

    pub async fn cancel(&self, asked: Asked) {
        let Asked { owner, project, proposal } = asked;
        self.execute(owner, move |session| {
            async move {
                let phase = session.load::<Proposal>(proposal.as_uuid()).await?.requested()?.phase;
                session.handle::<Proposal>(proposal.as_uuid(), owner, ProposalCommand::Cancel)?;
                if phase == Phase::Queued {
                    session.load::<Project>(project.as_uuid()).await?;
                    let outcome = GenerationOutcome::Cancelled;
                    let command = ProjectCommand::EndGeneration { proposal, outcome };
                    session.handle::<Project>(project.as_uuid(), owner, command)?;
                    session.claim(Claim::ReleaseAll { kind: JOB_SLOT, holder: proposal.as_uuid() });
                }
                Ok(())
            }
            .boxed()
        })
        .await;
    }

    /// Deletes the project of a running generation.
    pub async fn delete(&self, asked: Asked, cancelling: bool) {
        let Asked { owner, project, proposal } = asked;
        self.execute(owner, move |session| {
            async move {
                session.load::<Project>(project.as_uuid()).await?;
                let delete = ProjectCommand::Delete { by: owner, expected: None };
                session.handle::<Project>(project.as_uuid(), owner, delete)?;
                if cancelling {
                    session.load::<Proposal>(proposal.as_uuid()).await?;
                    session.handle::<Proposal>(proposal.as_uuid(), owner, ProposalCommand::Cancel)?;
                }
                Ok(())
            }
            .boxed()
        })
        .await;
    }

    pub async fn generation(&self, asked: Asked) -> Generation {
        let (state, _) = self.store.load_at::<Proposal>(asked.proposal.as_uuid(), None).await.unwrap();
        *state.generation.unwrap()
    }

    pub async fn open_project(&self, asked: Asked) -> Open {
        let (state, _) = self.store.load_at::<Project>(asked.project.as_uuid(), None).await.unwrap();
        state.open().unwrap().clone()
    }

    /// Waits until a job has ended, and checks what holds for every end.
    pub async fn end_of(&self, asked: Asked) -> Phase {
        testkit::wait_until(PATIENCE, async || (!self.generation(asked).await.phase.is_active()).then_some(())).await;
        let events = self.events(asked).await;
        let ends = events.iter().filter(|event| {
            matches!(
                event,
                ProposalEvent::GenerationCompleted
                    | ProposalEvent::GenerationFailed { .. }
                    | ProposalEvent::GenerationCancelled
            )
        });
        assert_eq!(ends.count(), 1, "a job ends once: {events:?}");
        for stage in Stage::ALL {
            let outputs = events
                .iter()
                .filter(|event| matches!(event, ProposalEvent::StepSucceeded { stage: of, .. } if *of == stage));
            assert!(outputs.count() <= 1, "{stage:?} has one output: {events:?}");
        }
        let slots = format!("SELECT count(*) FROM es.claims WHERE kind = 'job-slot' AND holder = '{}'", asked.proposal);
        assert_eq!(self.count(&slots).await, 0, "the job's place is given back");
        let phase = self.generation(asked).await.phase;
        let (state, _) = self.store.load_at::<Project>(asked.project.as_uuid(), None).await.unwrap();
        if let Some(open) = state.open() {
            assert_ne!(open.active, Some(asked.proposal));
            let status = if phase == Phase::Completed { Status::ProposalReady } else { Status::InPreparation };
            assert_eq!((open.status, open.active), (status, None));
            assert_eq!(open.proposals.contains(&asked.proposal), phase == Phase::Completed);
        }
        phase
    }

    pub async fn events(&self, asked: Asked) -> Vec<ProposalEvent> {
        let events = self.store.stream(asked.proposal.into(), 0, 5000).await.unwrap();
        events
            .into_iter()
            .map(|recorded| match recorded.fact {
                Fact::Proposal(event) => event,
                Fact::Account(_) | Fact::Project(_) | Fact::Store(_) => panic!("the stream is a proposal's"),
            })
            .collect()
    }

    /// The attempts at a stage that were begun.
    pub async fn attempts(&self, asked: Asked, at: Stage) -> Vec<u32> {
        let begun = self.events(asked).await.into_iter();
        begun
            .filter_map(|event| match event {
                ProposalEvent::StageReached { stage, attempt } if stage == at => Some(attempt),
                _ => None,
            })
            .collect()
    }

    /// Checks that a job went through every stage once.
    pub async fn assert_straight(&self, asked: Asked) {
        assert_eq!(self.end_of(asked).await, Phase::Completed);
        for stage in Stage::ALL {
            assert_eq!(self.attempts(asked, stage).await, [1], "{stage:?}");
        }
    }
}

impl Worker {
    /// Starts the sweep. It looks often.
    pub fn sweep(&self) -> JoinHandle<()> {
        tokio::spawn(worker::sweep::run(self.generations.clone(), Duration::from_millis(50), self.cancel.clone()))
    }

    pub fn consume(&self, bus: &Bus) -> JoinHandle<()> {
        tokio::spawn(worker::consumer::run(self.generations.clone(), bus.clone(), self.cancel.clone()))
    }

    pub async fn stop(self) {
        self.cancel.cancel();
        self.generations.stopped().await;
    }
}

pub fn header() -> Header {
    Header {
        name: "Cheese plant effluent".to_owned(),
        client: Personal::new("Lácteos del Valle".to_owned()),
        sector: "industrial".to_owned(),
        subsector: Some("food_processing".to_owned()),
        location: Personal::new("Guadalajara, Mexico".to_owned()),
        project_type: "Wastewater treatment".to_owned(),
        description: Personal::new(None),
        budget_usd: 450_000.0,
        schedule_summary: domain::project::TO_BE_DEFINED.to_owned(),
        tags: vec![],
    }
}
