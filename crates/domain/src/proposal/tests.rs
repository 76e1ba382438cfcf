use chrono::DateTime;
use cqrs_es::test::TestFramework;
use serde_json::json;

use super::*;
use crate::ProjectId;

fn proposal() -> TestFramework<Proposal> {
    TestFramework::with(())
}

fn requested() -> ProposalEvent {
    ProposalEvent::GenerationRequested(Box::new(Request {
        project: ProjectId::from_uuid(uuid::Uuid::nil()),
        owner: AccountId::from_uuid(uuid::Uuid::nil()),
        project_version: 3,
        proposal_type: ProposalType::Technical,
        language: Language::En,
        preferences: Personal::new(json!({})),
        parameters: Personal::new(json!({})),
        requested_at: DateTime::UNIX_EPOCH,
        deadline_at: DateTime::UNIX_EPOCH,
        warnings: vec![],
    }))
}

fn reached(stage: Stage, attempt: u32) -> ProposalEvent {
    ProposalEvent::StageReached { stage, attempt }
}

fn output() -> StepOutput {
    StepOutput { schema: 1, document: Personal::new(json!({"read": true})), sha256: String::new() }
}

fn finish(stage: Stage, attempt: u32) -> ProposalCommand {
    ProposalCommand::FinishStep { stage, attempt, output: output(), usage: None, elapsed_ms: 5 }
}

fn succeeded(stage: Stage, attempt: u32) -> ProposalEvent {
    ProposalEvent::StepSucceeded { stage, attempt, output: output(), usage: None, elapsed_ms: 5 }
}

#[test]
fn the_first_step_starts_the_generation() {
    proposal()
        .given(vec![requested()])
        .when(ProposalCommand::BeginStep { stage: Stage::Sheet })
        .then_expect_events(vec![ProposalEvent::GenerationStarted, reached(Stage::Sheet, 1)]);
}

#[test]
fn a_step_begun_again_is_a_further_attempt() {
    proposal()
        .given(vec![requested(), ProposalEvent::GenerationStarted, reached(Stage::Sheet, 1)])
        .when(ProposalCommand::BeginStep { stage: Stage::Sheet })
        .then_expect_events(vec![reached(Stage::Sheet, 2)]);
}

#[test]
fn a_finished_step_never_runs_again() {
    proposal()
        .given(vec![
            requested(),
            ProposalEvent::GenerationStarted,
            reached(Stage::Sheet, 1),
            succeeded(Stage::Sheet, 1),
        ])
        .when(ProposalCommand::BeginStep { stage: Stage::Sheet })
        .then_expect_error(ProposalRefusal::OutOfTurn);
}

#[test]
fn a_late_result_of_an_older_attempt_is_recorded_and_not_applied() {
    proposal()
        .given(vec![requested(), ProposalEvent::GenerationStarted, reached(Stage::Sheet, 1), reached(Stage::Sheet, 2)])
        .when(finish(Stage::Sheet, 1))
        .then_expect_events(vec![ProposalEvent::LateResultDiscarded { stage: Stage::Sheet, attempt: 1 }]);
}

#[test]
fn a_result_handed_in_twice_is_discarded_the_second_time() {
    proposal()
        .given(vec![
            requested(),
            ProposalEvent::GenerationStarted,
            reached(Stage::Sheet, 1),
            succeeded(Stage::Sheet, 1),
        ])
        .when(finish(Stage::Sheet, 1))
        .then_expect_events(vec![ProposalEvent::LateResultDiscarded { stage: Stage::Sheet, attempt: 1 }]);
}

#[test]
fn cancelling_a_queued_generation_ends_it_at_once() {
    proposal()
        .given(vec![requested()])
        .when(ProposalCommand::Cancel)
        .then_expect_events(vec![ProposalEvent::CancellationRequested, ProposalEvent::GenerationCancelled]);
}

#[test]
fn cancelling_a_running_generation_lets_it_begin_no_further_step() {
    let running = vec![requested(), ProposalEvent::GenerationStarted, reached(Stage::Sheet, 1)];
    proposal()
        .given(running.clone())
        .when(ProposalCommand::Cancel)
        .then_expect_events(vec![ProposalEvent::CancellationRequested]);
    let mut cancelled = running;
    cancelled.push(ProposalEvent::CancellationRequested);
    proposal().given(cancelled.clone()).when(ProposalCommand::Cancel).then_expect_events(vec![]);
    proposal()
        .given(cancelled.clone())
        .when(ProposalCommand::BeginStep { stage: Stage::Sheet })
        .then_expect_error(ProposalRefusal::CancellationPending);
    proposal()
        .given(cancelled)
        .when(ProposalCommand::ConfirmCancellation)
        .then_expect_events(vec![ProposalEvent::GenerationCancelled]);
}

#[test]
fn a_finished_generation_cannot_be_cancelled() {
    proposal()
        .given(vec![
            requested(),
            ProposalEvent::GenerationStarted,
            ProposalEvent::GenerationFailed { code: FailureCode::AiTimeout, warnings: vec![] },
        ])
        .when(ProposalCommand::Cancel)
        .then_expect_error(ProposalRefusal::AlreadyFinished);
}

#[test]
fn nothing_is_published_before_every_step_is_finished() {
    let publication = Publication {
        version: "v1.0".to_owned(),
        title: "Technical Proposal".to_owned(),
        generation_time_seconds: 1.0,
        key_technologies: vec!["SBR".to_owned()],
        document: ProposalDocument::default(),
    };
    let mut history = vec![requested(), ProposalEvent::GenerationStarted];
    for stage in Stage::ALL.into_iter().filter(|stage| *stage < Stage::Checks) {
        history.extend([reached(stage, 1), succeeded(stage, 1)]);
    }
    proposal()
        .given(history.clone())
        .when(ProposalCommand::Publish(Box::new(publication.clone())))
        .then_expect_error(ProposalRefusal::OutOfTurn);
    history.extend([reached(Stage::Checks, 1), succeeded(Stage::Checks, 1), reached(Stage::Publish, 1)]);
    let mut state = Proposal::default();
    history.iter().cloned().for_each(|event| state.apply(event));
    let events = state.requested().unwrap().decide(ProposalCommand::Publish(Box::new(publication))).unwrap();
    assert!(matches!(events[..], [ProposalEvent::ProposalGenerated { .. }, ProposalEvent::GenerationCompleted]));
    events.into_iter().for_each(|event| state.apply(event));
    assert_eq!(state.requested().unwrap().phase, Phase::Completed);
}
