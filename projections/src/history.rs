//! Histories for the tests of folds: events as the aggregates write them, in the order in which an append writes them.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::data::{self, Completeness};
use domain::document::ProposalDocument;
use domain::project::{DetailChange, Editing, GenerationOutcome, Header, Status};
use domain::proposal::{FailureCode, Language, ProposalType, Request, Stage};
use domain::{
    AccountId, Actor, ActorKind, Fact, Metadata, Personal, ProjectEvent, ProjectId, ProposalEvent, ProposalId,
    Recorded, StreamKey,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// A history that grows. Its times are a minute apart, its ids are counted.
pub(crate) struct History {
    pub(crate) events: Vec<Recorded>,
    pub(crate) owner: AccountId,
    versions: HashMap<StreamKey, u64>,
    now: DateTime<Utc>,
    ids: u128,
}

impl History {
    pub(crate) fn new() -> Self {
        Self {
            events: vec![],
            owner: AccountId::from_uuid(Uuid::from_u128(0xa)),
            versions: HashMap::new(),
            now: "2026-01-20T09:31:02.440Z".parse().unwrap(),
            ids: 0x1000,
        }
    }

    pub(crate) fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    pub(crate) fn later(&mut self, by: TimeDelta) -> DateTime<Utc> {
        self.now += by;
        self.now
    }

    fn add(&mut self, stream: StreamKey, actor: Actor, fact: Fact) {
        let version = self.versions.entry(stream).or_default();
        *version += 1;
        let sequence = *version;
        let event_id = self.id();
        self.events.push(Recorded {
            stream,
            sequence,
            event_id,
            recorded_at: self.now,
            metadata: Metadata {
                actor_kind: actor.kind,
                actor_id: actor.id,
                roles: String::new(),
                subject: self.owner.as_uuid(),
                correlation_id: String::new(),
                causation_id: None,
                request_id: None,
                command_id: Uuid::nil(),
                traceparent: None,
            },
            fact,
        });
    }

    pub(crate) fn project(&mut self, project: ProjectId, event: ProjectEvent) -> &Recorded {
        self.now += TimeDelta::minutes(1);
        let owner = Actor::account(self.owner);
        self.add(project.into(), owner, Fact::Project(event));
        self.events.last().unwrap()
    }

    pub(crate) fn proposal(&mut self, proposal: ProposalId, event: ProposalEvent) -> &Recorded {
        self.add(proposal.into(), Actor { kind: ActorKind::Worker, id: Uuid::nil() }, Fact::Proposal(event));
        self.events.last().unwrap()
    }

    pub(crate) fn create(&mut self) -> ProjectId {
        let project = ProjectId::from_uuid(self.id());
        let header = Header {
            name: "North plant".to_owned(),
            client: Personal::new("Dairy of the Valley".to_owned()),
            sector: "industrial".to_owned(),
            subsector: Some("food_processing".to_owned()),
            location: Personal::new("Guadalajara, Mexico".to_owned()),
            project_type: "To be defined".to_owned(),
            description: Personal::new(Some("Whey and cleaning water".to_owned())),
            budget_usd: 0.0,
            schedule_summary: "To be defined".to_owned(),
            tags: vec![],
        };
        self.project(project, ProjectEvent::ProjectCreated { owner: self.owner, header });
        project
    }

    pub(crate) fn rename(&mut self, project: ProjectId, old: &str, new: &str) {
        let changes = vec![DetailChange::Name { old: old.to_owned(), new: new.to_owned() }];
        self.project(project, ProjectEvent::ProjectDetailsChanged { changes });
    }

    pub(crate) fn edit(&mut self, project: ProjectId, entry: Uuid, old: &Value, new: &Value) {
        let at = self.now;
        let editing = Editing { id: entry, by: self.owner, began_at: at, at };
        let completeness = Completeness { percentage: 50, completed: 1, total: 2 };
        let diff = data::diff(old, new);
        self.project(project, ProjectEvent::ProjectDataChanged { editing, completeness, diff });
    }

    pub(crate) fn accept(&mut self, project: ProjectId) -> ProposalId {
        let proposal = ProposalId::from_uuid(self.id());
        let proposal_type = ProposalType::Technical;
        self.project(project, ProjectEvent::GenerationAccepted { proposal, proposal_type });
        let (old, new) = (Status::InPreparation, Status::GeneratingProposal);
        self.project(project, ProjectEvent::ProjectStatusMoved { old, new });
        let requested_at = self.now;
        let request = Request {
            project,
            owner: self.owner,
            project_version: 1,
            proposal_type,
            language: Language::En,
            preferences: Personal::new(json!({})),
            parameters: Personal::new(json!({})),
            requested_at,
            deadline_at: requested_at + TimeDelta::minutes(14),
            warnings: vec![],
        };
        self.proposal(proposal, ProposalEvent::GenerationRequested(Box::new(request)));
        proposal
    }

    pub(crate) fn reach(&mut self, proposal: ProposalId, stage: Stage, attempt: u32) {
        if stage == Stage::Sheet && attempt == 1 {
            self.proposal(proposal, ProposalEvent::GenerationStarted);
        }
        self.proposal(proposal, ProposalEvent::StageReached { stage, attempt });
    }

    pub(crate) fn complete(&mut self, project: ProjectId, proposal: ProposalId, version: &str) {
        let outcome = GenerationOutcome::Completed { version: version.to_owned() };
        self.project(project, ProjectEvent::GenerationEnded { proposal, outcome });
        let document = ProposalDocument {
            capex: 210_000.0,
            opex: 99_000.0,
            executive_summary: "The plant treats 230 m³ of dairy wastewater per day.".to_owned(),
            ..ProposalDocument::default()
        };
        self.proposal(
            proposal,
            ProposalEvent::ProposalGenerated {
                version: version.to_owned(),
                title: "Technical Proposal - North plant".to_owned(),
                capex_usd: document.capex,
                opex_usd: document.opex,
                key_technologies: ["DAF", "SBR", "DAF"].map(str::to_owned).to_vec(),
                generation_time_seconds: 71.4,
                document: Personal::new(Box::new(document)),
            },
        );
        self.proposal(proposal, ProposalEvent::GenerationCompleted);
    }

    pub(crate) fn fail(&mut self, project: ProjectId, proposal: ProposalId, code: FailureCode) {
        self.project(project, ProjectEvent::GenerationEnded { proposal, outcome: GenerationOutcome::Failed { code } });
        self.proposal(proposal, ProposalEvent::GenerationFailed { code, warnings: vec![] });
    }

    pub(crate) fn cancel(&mut self, project: ProjectId, proposal: ProposalId) {
        self.project(project, ProjectEvent::GenerationEnded { proposal, outcome: GenerationOutcome::Cancelled });
        self.proposal(proposal, ProposalEvent::CancellationRequested);
        self.proposal(proposal, ProposalEvent::GenerationCancelled);
    }

    /// A history of one account in which anything may happen that the aggregates allow; each step is one number.
    pub(crate) fn of(steps: &[u8]) -> Self {
        let mut history = Self::new();
        let mut projects: Vec<Open> = Vec::new();
        for step in steps {
            let (action, which) = (step % 10, usize::from(step / 10));
            if action == 0 || projects.is_empty() {
                let id = history.create();
                projects.push(Open { id, name: "North plant".to_owned(), ..Open::default() });
                continue;
            }
            let which = which % projects.len();
            let project = &mut projects[which];
            match (action, project.active) {
                (1, _) => {
                    let new = format!("Plant {step}");
                    history.rename(project.id, &std::mem::replace(&mut project.name, new.clone()), &new);
                }
                (2 | 3, _) => {
                    let entry = *project.typing.get_or_insert_with(|| history.id());
                    let new = json!({"notes": format!("seen {step}"), "count": step});
                    history.edit(project.id, entry, &std::mem::replace(&mut project.data, new.clone()), &new);
                }
                (4, _) => {
                    project.typing = None;
                    let (old, new) = (Status::InPreparation, Status::OnHold);
                    history.project(project.id, ProjectEvent::ProjectStatusSet { old, new });
                }
                (5, None) => project.active = Some(history.accept(project.id)),
                (5 | 6, Some(active)) => {
                    let stage = Stage::ALL[usize::from(project.stage) % Stage::ALL.len()];
                    history.later(TimeDelta::seconds(i64::from(*step)));
                    history.reach(active, stage, 1);
                    project.stage += 1;
                }
                (7, Some(active)) => {
                    history.complete(project.id, active, &format!("v1.{}", project.saved.len()));
                    project.saved.push(active);
                    (project.active, project.stage) = (None, 0);
                }
                (8, Some(active)) => {
                    if which.is_multiple_of(2) {
                        history.fail(project.id, active, FailureCode::AiTimeout);
                    } else {
                        history.cancel(project.id, active);
                    }
                    (project.active, project.stage) = (None, 0);
                }
                (7 | 8, None) => {
                    if let Some(proposal) = project.saved.pop() {
                        history.project(project.id, ProjectEvent::ProposalDeleted { proposal });
                    }
                }
                (9, active) if 200 < *step => {
                    let project = projects.swap_remove(which).id;
                    history.project(project, ProjectEvent::ProjectDeleted);
                    if let Some(active) = active {
                        history.proposal(active, ProposalEvent::CancellationRequested);
                        history.proposal(active, ProposalEvent::GenerationCancelled);
                    }
                }
                _ => (),
            }
        }
        history
    }
}

struct Open {
    id: ProjectId,
    name: String,
    data: Value,
    typing: Option<Uuid>,
    active: Option<ProposalId>,
    stage: u8,
    saved: Vec<ProposalId>,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            id: ProjectId::from_uuid(Uuid::nil()),
            name: String::new(),
            data: json!({}),
            typing: None,
            active: None,
            stage: 0,
            saved: vec![],
        }
    }
}
