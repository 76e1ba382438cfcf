use cqrs_es::test::TestFramework;
use serde_json::json;

use super::*;
use crate::Personal;
use crate::proposal::FailureCode;

fn project() -> TestFramework<Project> {
    TestFramework::with(())
}

fn header() -> Header {
    Header {
        name: "North plant".to_owned(),
        client: Personal::new("Dairy of the Valley".to_owned()),
        sector: "industrial".to_owned(),
        subsector: None,
        location: Personal::new("Guadalajara".to_owned()),
        project_type: TO_BE_DEFINED.to_owned(),
        description: Personal::new(None),
        budget_usd: 0.0,
        schedule_summary: TO_BE_DEFINED.to_owned(),
        tags: vec![],
    }
}

fn created_by(owner: AccountId) -> ProjectEvent {
    ProjectEvent::ProjectCreated { owner, header: header() }
}

fn accepted(proposal: ProposalId) -> ProjectEvent {
    ProjectEvent::GenerationAccepted { proposal, proposal_type: ProposalType::Technical }
}

fn moved(old: Status, new: Status) -> ProjectEvent {
    ProjectEvent::ProjectStatusMoved { old, new }
}

fn change(by: AccountId, patch: HeaderPatch) -> ProjectCommand {
    ProjectCommand::Change { by, patch, status: None, expected: None }
}

#[test]
fn someone_elses_project_looks_like_none() {
    project()
        .given(vec![created_by(AccountId::generate())])
        .when(change(AccountId::generate(), HeaderPatch::default()))
        .then_expect_error(ProjectRefusal::NotFound);
}

#[test]
fn a_change_that_changes_nothing_gives_no_event() {
    let ana = AccountId::generate();
    let patch = HeaderPatch { name: Some("North plant".to_owned()), ..HeaderPatch::default() };
    project().given(vec![created_by(ana)]).when(change(ana, patch)).then_expect_events(vec![]);
}

#[test]
fn a_change_holds_the_old_and_the_new_value_of_each_field_that_differs() {
    let ana = AccountId::generate();
    let patch = HeaderPatch {
        name: Some("South plant".to_owned()),
        sector: Some("industrial".to_owned()),
        ..HeaderPatch::default()
    };
    project().given(vec![created_by(ana)]).when(change(ana, patch)).then_expect_events(vec![
        ProjectEvent::ProjectDetailsChanged {
            changes: vec![DetailChange::Name { old: "North plant".to_owned(), new: "South plant".to_owned() }],
        },
    ]);
}

#[test]
fn a_stale_version_is_refused_with_the_current_one() {
    let ana = AccountId::generate();
    project()
        .given(vec![created_by(ana)])
        .when(ProjectCommand::Change { by: ana, patch: HeaderPatch::default(), status: None, expected: Some(7) })
        .then_expect_error(ProjectRefusal::Stale { current: 1 });
}

#[test]
fn a_second_generation_is_refused_while_one_is_active() {
    let (ana, first) = (AccountId::generate(), ProposalId::generate());
    project()
        .given(vec![created_by(ana), accepted(first)])
        .when(ProjectCommand::AcceptGeneration {
            by: ana,
            proposal: ProposalId::generate(),
            proposal_type: ProposalType::Detailed,
        })
        .then_expect_error(ProjectRefusal::GenerationActive { proposal: first });
}

#[test]
fn a_failed_generation_puts_the_status_back() {
    let (ana, proposal) = (AccountId::generate(), ProposalId::generate());
    let outcome = GenerationOutcome::Failed { code: FailureCode::Internal };
    project()
        .given(vec![created_by(ana), accepted(proposal), moved(Status::InPreparation, Status::GeneratingProposal)])
        .when(ProjectCommand::EndGeneration { proposal, outcome: outcome.clone() })
        .then_expect_events(vec![
            ProjectEvent::GenerationEnded { proposal, outcome },
            moved(Status::GeneratingProposal, Status::InPreparation),
        ]);
}

#[test]
fn a_status_set_by_hand_is_not_overruled_by_the_end_of_a_generation() {
    let (ana, proposal) = (AccountId::generate(), ProposalId::generate());
    let outcome = GenerationOutcome::Completed { version: "v1.0".to_owned() };
    project()
        .given(vec![
            created_by(ana),
            accepted(proposal),
            moved(Status::InPreparation, Status::GeneratingProposal),
            ProjectEvent::ProjectStatusSet { old: Status::GeneratingProposal, new: Status::InDevelopment },
        ])
        .when(ProjectCommand::EndGeneration { proposal, outcome: outcome.clone() })
        .then_expect_events(vec![ProjectEvent::GenerationEnded { proposal, outcome }]);
}

#[test]
fn the_end_of_another_generation_changes_nothing() {
    let (ana, proposal) = (AccountId::generate(), ProposalId::generate());
    project()
        .given(vec![created_by(ana), accepted(proposal)])
        .when(ProjectCommand::EndGeneration { proposal: ProposalId::generate(), outcome: GenerationOutcome::Cancelled })
        .then_expect_events(vec![]);
}

#[test]
fn a_version_is_not_given_out_again_after_a_deletion() {
    let (ana, proposal) = (AccountId::generate(), ProposalId::generate());
    let mut project = Project::default();
    for event in [
        created_by(ana),
        accepted(proposal),
        ProjectEvent::GenerationEnded {
            proposal,
            outcome: GenerationOutcome::Completed { version: "v1.0".to_owned() },
        },
        ProjectEvent::ProposalDeleted { proposal },
    ] {
        project.apply(event);
    }
    assert_eq!(project.open().map(Open::next_version).as_deref(), Some("v1.1"));
}

#[test]
fn deleting_the_last_proposal_puts_a_ready_project_back_into_preparation() {
    let (ana, proposal) = (AccountId::generate(), ProposalId::generate());
    project()
        .given(vec![
            created_by(ana),
            accepted(proposal),
            moved(Status::InPreparation, Status::GeneratingProposal),
            ProjectEvent::GenerationEnded {
                proposal,
                outcome: GenerationOutcome::Completed { version: "v1.0".to_owned() },
            },
            moved(Status::GeneratingProposal, Status::ProposalReady),
        ])
        .when(ProjectCommand::DeleteProposal { by: ana, proposal })
        .then_expect_events(vec![
            ProjectEvent::ProposalDeleted { proposal },
            moved(Status::ProposalReady, Status::InPreparation),
        ]);
}

fn edit(project: &Project, by: AccountId, minute: i64, value: &str) -> ProjectEvent {
    let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
    let body = json!({"technical_sections": [{"id": "s", "fields": [{"id": "f", "value": value}]}]});
    let command = ProjectCommand::ChangeData { by, at, body, replace: false, entry: Uuid::now_v7(), expected: None };
    project.decide(command).unwrap().pop().unwrap()
}

fn entry_of(event: &ProjectEvent) -> Uuid {
    match event {
        ProjectEvent::ProjectDataChanged { editing, .. } => editing.id,
        other => panic!("not an edit: {other:?}"),
    }
}

#[test]
fn edits_join_until_a_pause_of_five_minutes_or_an_hour_has_passed() {
    let ana = AccountId::generate();
    let mut project = Project::default();
    project.apply(created_by(ana));
    let mut entries = vec![];
    for (number, minute) in [0, 4, 8, 13, 17].into_iter().chain((20..80).step_by(4)).enumerate() {
        let event = edit(&project, ana, minute, &number.to_string());
        entries.push((minute, entry_of(&event)));
        project.apply(event);
    }
    let entry_at = |minute| entries.iter().find(|(at, _)| *at == minute).map(|(_, id)| *id).unwrap();
    assert_eq!(entry_at(0), entry_at(8));
    assert_ne!(entry_at(8), entry_at(13), "five minutes had passed");
    assert_eq!(entry_at(13), entry_at(72));
    assert_ne!(entry_at(72), entry_at(76), "an hour had passed");
}

#[test]
fn an_edit_that_stores_what_is_there_gives_no_event() {
    let ana = AccountId::generate();
    let body = json!({"technical_sections": []});
    let command = || ProjectCommand::ChangeData {
        by: ana,
        at: DateTime::UNIX_EPOCH,
        body: body.clone(),
        replace: false,
        entry: Uuid::nil(),
        expected: None,
    };
    let mut project = Project::default();
    project.apply(created_by(ana));
    let event = project.decide(command()).unwrap().pop().unwrap();
    project.apply(event);
    assert_eq!(project.open().unwrap().data, body);
    assert_eq!(project.decide(command()).unwrap(), vec![]);
}
