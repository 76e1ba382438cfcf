//! What people do in most tests, and what the generation process would write: it is no part of this crate, so its events
//! are appended here, straight to the store.

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
        let settled = testkit::wait_until(SOON, async || self.service.app.settle(committed.value, &committed).await);
        settled.await;
    }
}

/// A small proposal, complete by the contract's part 12.1.
pub fn document() -> Value {
    json!({
        "schema": 1,
        "capex": 210_000.0,
        "opex": 99_000.5,
        "executiveSummary": "The plant treats 230 m³ of dairy wastewater per day. It keeps all limits.",
        "technicalApproach": "# Treatment concept\n\nFat first, biology after.",
        "aiMetadata": {
            "proposal": {
                "confidenceLevel": "Medium",
                "markdownContent": "# Treatment concept",
                "recommendations": ["Confirm the FOG peak with a composite sample"],
                "technicalData": {
                    "designFlowM3Day": 230.0,
                    "implementationMonths": 8.0,
                    "capexUsd": 210_000.0,
                    "annualOpexUsd": 99_000.5,
                    "mainEquipment": [{
                        "type": "Dissolved air flotation", "stage": "primary", "criticality": "high",
                        "specifications": "12 m³/h, recycle 30 %", "dimensions": "4.2 x 1.9 x 2.1 m",
                        "capacityM3Day": 280.0, "powerConsumptionKw": 7.5, "capexUsd": 95_000.0,
                    }],
                    "designParameters": {
                        "peakFactor": 1.6, "safetyFactor": 1.2, "operatingHours": 24.0, "designLifeYears": 20.0,
                        "regulatoryMarginPercent": 20.0,
                    },
                    "operationalData": {"requiredAreaM2": 180.0},
                    "capexBreakdown": {
                        "equipmentCost": 95_000.0, "civilWorks": 40_000.0, "installationPiping": 30_000.0,
                        "engineeringSupervision": 15_000.0, "contingency": 30_000.0,
                    },
                    "opexBreakdown": {
                        "electricalEnergy": 16_000.5, "chemicals": 30_000.0, "personnel": 45_000.0,
                        "maintenanceSpareParts": 8_000.0,
                    },
                    "treatmentEfficiency": {
                        "overallCompliance": true,
                        "criticalParameters": ["FOG"],
                        "parameters": [{
                            "parameterName": "FOG", "unit": "mg/L", "influentConcentration": 400.0,
                            "effluentConcentration": 20.0, "removalEfficiencyPercent": 95.0, "treatmentStage": "primary",
                        }],
                    },
                    "technologySelection": {
                        "selectedTechnologies": [
                            {"stage": "primary", "technology": "DAF", "justification": "Fat first, biology after"},
                        ],
                        "rejectedAlternatives": [
                            {"technology": "UASB", "reasonRejected": "Load too small for gas use"},
                        ],
                    },
                    "assumptions": ["Electricity at 0.12 USD/kWh"],
                    "projectRequirements": {
                        "influentCharacteristics": {"parameters": [
                            {"parameter": "FOG", "value": 400.0, "unit": "mg/L", "targetValue": 25.0},
                        ]},
                        "dischargeRequirements": ["FOG below 25 mg/L"],
                        "businessObjectives": ["Compliance"],
                        "siteConstraints": [],
                    },
                },
            },
            "transparency": {
                "provenCases": [{
                    "caseId": "dairy-07", "projectName": "Dairy, 250 m³/d", "applicationType": "Dairy processing",
                    "treatmentTrain": "Screening + DAF + SBR + UV", "flowRange": "100-600 m³/d",
                    "similarityScore": 0.86, "whyRelevant": ["same subsector"],
                }],
                "userSector": "industrial",
                "clientMetadata": {},
                "generatedAt": "2026-01-20T09:44:30.700Z",
                "generationTimeSeconds": 71.4,
                "provider": "offline",
                "model": "templates",
                "promptVersion": "5.0",
                "usage": {
                    "model": "templates", "requests": 0, "inputTokens": 0, "outputTokens": 0, "totalTokens": 0,
                    "costEstimateUsd": 0.0, "seconds": 0.0,
                },
                "inputsPosition": 4,
                "calculationTrace": [{
                    "tool": "daf_area", "inputs": {"flow_m3_h": 12.0}, "outputs": {"area_m2": 2.4},
                    "formula": "A = Q / v", "source": "Metcalf & Eddy",
                }],
                "checks": [{"id": "capex-sum", "title": "CAPEX lines add up", "status": "passed", "message": "Exact"}],
                "deviations": [{
                    "topic": "hydraulic retention time", "caseId": "dairy-07", "caseValue": "18 h",
                    "proposalValue": "24 h", "reason": "The peak is higher.",
                }],
                "warnings": [],
            },
        },
    })
}
