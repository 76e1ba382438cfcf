//! What people do in most tests, and what the generation process would write: it is no part of this crate, so its events
//! are appended here, straight to the store.

mod document;

use std::time::Duration;

use domain::account::claims::JOB_SLOT;
use domain::document::{ProposalDocument, Warning};
use domain::project::{GenerationOutcome, Open};
use domain::proposal::{FailureCode, Publication, Stage, StepOutput};
use domain::{AccountId, Actor, JobId, Personal, Project, ProjectCommand, Proposal, ProposalCommand, ProposalId};
use eventstore::{Claim, CommandContext, Session};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

pub use document::document;

use crate::support::{Client, Reply, SOON, Service};

/// Opens a project; answers its id.
pub async fn project(client: &Client, name: &str) -> String {
    let body = json!({
        "name": name, "client": "Dairy of the Valley", "sector": "industrial", "location": "Guadalajara, Mexico",
    });
    let reply = client.post("/api/v1/projects").json(&body).send().await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    text(&reply.body["id"])
}

/// Asks for a proposal; answers the job's id.
pub async fn generate(client: &Client, project: &str) -> String {
    let reply = ask(client, project).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
    text(&reply.body["jobId"])
}

/// Asks for a proposal.
pub async fn ask(client: &Client, project: &str) -> Reply {
    let body = json!({"project_id": project, "proposal_type": "Technical"});
    client.post("/api/v1/ai/proposals/generate").json(&body).send().await
}

/// A job as its owner sees it.
pub async fn job(client: &Client, id: &str) -> Value {
    let reply = client.get(&format!("/api/v1/ai/proposals/jobs/{id}")).send().await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.body
}

/// Reads what must be there.
pub async fn read(client: &Client, path: &str) -> Value {
    let reply = client.get(&format!("/api/v1{path}")).send().await;
    assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text);
    reply.body
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The keys of an object, sorted.
pub fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The id of the proposal that a job makes, with dashes.
pub fn proposal_of(job: &str) -> String {
    job.parse::<JobId>().unwrap().proposal().to_string()
}

impl Service {
    /// The process, at work on this job.
    pub fn process(&self, job: &str) -> Process<'_> {
        Process { service: self, proposal: job.parse::<JobId>().unwrap().proposal() }
    }

    /// How many events there are.
    pub async fn events(&self) -> usize {
        self.stored_events().await.lines().count()
    }
}

/// What the process writes for one job. Each write is in the read models when it is done.
pub struct Process<'a> {
    service: &'a Service,
    proposal: ProposalId,
}

impl Process<'_> {
    /// Begins a step.
    pub async fn begin(&self, stage: Stage) {
        self.on_proposal(move || ProposalCommand::BeginStep { stage }).await;
    }

    /// Hands in the output of a step that was begun once.
    pub async fn finish(&self, stage: Stage) {
        self.finish_attempt(stage, 1).await;
    }

    /// Hands in the output of a step.
    pub async fn finish_attempt(&self, stage: Stage, attempt: u32) {
        let output = StepOutput { schema: 1, document: Personal::new(json!({"stage": stage})), sha256: "0".repeat(64) };
        self.on_proposal(move || ProposalCommand::FinishStep {
            stage,
            attempt,
            output: output.clone(),
            usage: None,
            elapsed_ms: 5,
        })
        .await;
    }

    /// Does all steps before this one, and begins it.
    pub async fn work_up_to(&self, last: Stage) {
        for stage in Stage::ALL.into_iter().take_while(|stage| *stage < last) {
            self.begin(stage).await;
            self.finish(stage).await;
        }
        self.begin(last).await;
    }

    /// Does everything.
    pub async fn complete(&self) {
        self.work_up_to(Stage::Publish).await;
        self.publish().await;
    }

    /// Saves the proposal.
    pub async fn publish(&self) {
        self.end(|open_version| {
            let document: ProposalDocument = serde_json::from_value(document()).unwrap();
            let publication = Publication {
                version: open_version.clone(),
                title: "Technical Proposal - North plant".to_owned(),
                generation_time_seconds: 71.4,
                key_technologies: vec!["DAF".to_owned(), "SBR".to_owned(), "DAF".to_owned()],
                document,
            };
            let outcome = GenerationOutcome::Completed { version: open_version };
            (ProposalCommand::Publish(Box::new(publication)), outcome)
        })
        .await;
    }

    /// Ends the job without a proposal.
    pub async fn fail(&self, code: FailureCode, warnings: Vec<Warning>) {
        self.end(move |_| {
            let outcome = GenerationOutcome::Failed { code };
            (ProposalCommand::Fail { code, warnings: warnings.clone() }, outcome)
        })
        .await;
    }

    /// Ends a job that somebody cancelled.
    pub async fn confirm_cancellation(&self) {
        self.end(|_| (ProposalCommand::ConfirmCancellation, GenerationOutcome::Cancelled)).await;
    }

    async fn on_proposal(&self, command: impl Fn() -> ProposalCommand + Send + Sync + 'static) {
        let proposal = self.proposal.as_uuid();
        self.run(move |session| {
            let command = command();
            async move {
                let owner = session.load::<Proposal>(proposal).await.unwrap().requested().unwrap().request.owner;
                session.handle::<Proposal>(proposal, owner, command).map_err(|refusal| refusal.to_string())?;
                Ok(owner)
            }
            .boxed()
        })
        .await;
    }

    /// Ends the generation in both streams, as the worker does: the command may depend on the version that is next.
    async fn end(
        &self,
        ending: impl Fn(String) -> (ProposalCommand, GenerationOutcome) + Clone + Send + Sync + 'static,
    ) {
        let proposal = self.proposal;
        self.run(move |session| {
            let ending = ending.clone();
            async move {
                let request = session.load::<Proposal>(proposal.as_uuid()).await.unwrap().requested().unwrap();
                let (project, owner) = (request.request.project.as_uuid(), request.request.owner);
                let open = session.load::<Project>(project).await.unwrap().open();
                let (command, outcome) = ending(open.map(Open::next_version).unwrap_or_default());
                let end = ProjectCommand::EndGeneration { proposal, outcome };
                session.handle::<Project>(project, owner, end).map_err(|refusal| refusal.to_string())?;
                session.claim(Claim::ReleaseAll { kind: JOB_SLOT, holder: proposal.as_uuid() });
                session
                    .handle::<Proposal>(proposal.as_uuid(), owner, command)
                    .map_err(|refusal| refusal.to_string())?;
                Ok(owner)
            }
            .boxed()
        })
        .await;
    }

    async fn run<F>(&self, operation: F)
    where
        F: for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<AccountId, String>> + Send + Sync + 'static,
    {
        let context = CommandContext {
            command_id: Uuid::now_v7(),
            actor: Actor::WORKER,
            roles: vec![],
            correlation_id: JobId::from(self.proposal).to_string(),
            causation_id: None,
            request_id: None,
            traceparent: None,
            request_hash: None,
            deadline: Instant::now() + Duration::from_secs(20),
            name: "process",
        };
        let committed = self.service.app.store().execute(context, operation).await.unwrap();
        let settled = testkit::wait_until(SOON, async || {
            self.service.app.settle(committed.value, &committed, Instant::now() + SOON).await
        });
        settled.await;
    }
}
