//! The process: from the request to one end, whatever the provider does and whatever people want meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use domain::document::Warning;
use domain::proposal::{FailureClass, FailureCode, Phase, Stage};
use domain::{Fact, ProposalEvent};
use eventstore::ExecuteError;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::provider::{Provider, Reply};
use crate::world::{PATIENCE, Refused, World, context, dairy, offline};

const LEASE: Duration = Duration::from_secs(6);
/// A cancellation is looked for every second.
const CANCELLED_WITHIN: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn a_job_completes_without_a_provider_and_gives_its_place_back() {
    let world = World::new().await;
    let _worker = world.sweeping(&offline(), 1, LEASE);
    let asked = world.ask().await;
    world.assert_straight(asked).await;
    let open = world.open_project(asked).await;
    assert_eq!((open.versions, open.proposals.as_slice()), (1, &[asked.proposal][..]));
    let events = world.events(asked).await;
    let document = events.iter().find_map(|event| match event {
        ProposalEvent::ProposalGenerated { version, document, capex_usd, .. } => {
            assert_eq!(version, "v1.0");
            assert!(*capex_usd > 0.0);
            document.known()
        }
        _ => None,
    });
    assert!(document.unwrap().capex > 0.0);
    // The ledger position that the proposal names is that of the last event of the project that it read.
    let read = world.generation(asked).await.request.project_version;
    let position = world.store.position_of(asked.project.into(), read).await.unwrap().unwrap();
    assert!(serde_json::to_string(document.unwrap()).unwrap().contains(&format!(":{position}")));
    // The next proposal of the project is the next version.
    let again = world.ask_again(asked.owner, asked.project, TimeDelta::minutes(14)).await;
    world.assert_straight(again).await;
    assert_eq!(world.open_project(again).await.versions, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_known_by_what_it_says_and_repeating_it_changes_nothing() {
    let world = World::new().await;
    let _worker = world.sweeping(&offline(), 1, LEASE);
    let asked = world.ask().await;
    world.assert_straight(asked).await;
    let recorded = world.store.stream(asked.proposal.into(), 1, 5000).await.unwrap();
    let commands: BTreeSet<Uuid> = recorded.iter().map(|event| event.metadata.command_id).collect();
    let made_of = |text: &str| Uuid::new_v5(&asked.proposal.as_uuid(), text.as_bytes());
    for known in ["begin sheet 1", "finish sheet 1", "finish narrative 1", "publish"] {
        assert!(commands.contains(&made_of(known)), "{known}");
    }
    // Seven steps with a beginning and an end, and the last one with a beginning and the publication.
    assert_eq!(commands.len(), 16);
    let before = world.count("SELECT count(*) FROM es.events").await;
    for command_id in commands {
        let repeated = eventstore::CommandContext { command_id, ..context(asked.owner) };
        let outcome = world.store.execute(repeated, move |session| {
            Box::pin(async move {
                session.load::<domain::Proposal>(asked.proposal.as_uuid()).await?;
                Ok::<(), Refused>(())
            })
        });
        assert!(matches!(outcome.await, Err(ExecuteError::AlreadyDone)));
    }
    assert_eq!(world.count("SELECT count(*) FROM es.events").await, before);
    assert!(recorded.iter().all(|event| matches!(event.fact, Fact::Proposal(_))));
}

/// The warnings with which a job for this sheet ends.
async fn unusable(data: &Value) -> Vec<Warning> {
    let world = World::new().await;
    let _worker = world.sweeping(&offline(), 1, LEASE);
    let asked = world.ask_for(data, TimeDelta::minutes(14)).await;
    assert_eq!(world.end_of(asked).await, Phase::Failed(FailureCode::InputUnusable));
    let mut events = world.events(asked).await;
    let Some(ProposalEvent::GenerationFailed { warnings, .. }) = events.pop() else { panic!("{events:?}") };
    let Some(ProposalEvent::StepFailed { class, retry_at, .. }) = events.pop() else { panic!("{events:?}") };
    assert_eq!((class, retry_at), (FailureClass::InputUnusable, None));
    warnings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sheet_that_cannot_be_used_ends_a_job_with_what_is_to_be_corrected() {
    let empty = unusable(&json!({"technical_sections": []})).await;
    assert!(empty.iter().any(|warning| warning.code == "SHEET_EMPTY"), "{empty:?}");
    let mut dry = dairy();
    for section in dry["technical_sections"].as_array_mut().unwrap() {
        for field in section["fields"].as_array_mut().unwrap() {
            if ["wastewater-generated", "water-consumption"].iter().any(|id| field["id"] == **id) {
                field["value"] = json!("0");
            }
        }
    }
    let dry = unusable(&dry).await;
    let named = |warning: &Warning| warning.fields.iter().any(|field| field == "economics-scale/wastewater-generated");
    assert!(dry.iter().any(named), "{dry:?}");
}

/// What a provider does, the end that comes of it, and the attempts at the text.
async fn ends(replies: impl IntoIterator<Item = Reply>, end: Phase, classes: &[FailureClass]) {
    let world = World::new().await;
    let provider = Provider::start(replies).await;
    let _worker = world.sweeping(&provider.drafter(), 1, LEASE);
    let asked = world.ask().await;
    assert_eq!(world.end_of(asked).await, end);
    let failures = world.events(asked).await.into_iter().filter_map(|event| match event {
        ProposalEvent::StepFailed { stage: Stage::Narrative, class, retry_at, .. } => Some((class, retry_at.is_some())),
        _ => None,
    });
    let failures: Vec<_> = failures.collect();
    assert_eq!(failures.iter().map(|(class, _)| *class).collect::<Vec<_>>(), classes);
    let tried_again = if end == Phase::Completed { classes.len() } else { classes.len() - 1 };
    assert_eq!(failures.iter().filter(|(_, again)| *again).count(), tried_again);
    let attempts: Vec<u32> = (1..).take(tried_again + 1).collect();
    assert_eq!(world.attempts(asked, Stage::Narrative).await, attempts);
    assert_eq!(provider.calls(), attempts.len(), "a call for each attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_get_better_ends_a_job_at_once() {
    for (reply, code, class) in [
        (Reply::Refuse(401, None, "invalid_api_key"), FailureCode::AiUnavailable, FailureClass::Auth),
        (Reply::Refuse(429, None, "insufficient_quota"), FailureCode::SpendLimit, FailureClass::Quota),
        (Reply::Refuse(400, None, "bad"), FailureCode::AiUnavailable, FailureClass::BadRequest),
    ] {
        ends([reply], Phase::Failed(code), &[class]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_may_pass_is_tried_again_after_a_pause() {
    ends([Reply::Refuse(429, Some("1"), "rate_limit"), Reply::Write], Phase::Completed, &[FailureClass::RateLimit])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_declines_twice_ends_a_job() {
    let classes = [FailureClass::Refusal, FailureClass::Refusal];
    ends([Reply::Decline], Phase::Failed(FailureCode::AiOutputRejected), &classes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_is_due_is_made_by_whoever_finds_the_job_and_not_before() {
    let world = World::new().await;
    let provider = Provider::start([Reply::Refuse(503, Some("120"), "busy"), Reply::Write]).await;
    let first = world.sweeping(&provider.drafter(), 1, LEASE);
    let asked = world.ask().await;
    let due = testkit::wait_until(PATIENCE, async || world.generation(asked).await.retry_at).await;
    assert!(due - world.store.clock().now() > TimeDelta::seconds(100));
    first.stop().await;
    let second = world.sweeping(&provider.drafter(), 1, LEASE);
    // It has the job, and waits.
    testkit::wait_until(PATIENCE, async || {
        (world.count("SELECT count(*) FROM process.leases").await == 1).then_some(())
    })
    .await;
    second.stop().await;
    assert_eq!(world.attempts(asked, Stage::Narrative).await, [1]);
    world.advance(300);
    let _third = world.sweeping(&provider.drafter(), 1, LEASE);
    assert_eq!(world.end_of(asked).await, Phase::Completed);
    assert_eq!(world.attempts(asked, Stage::Narrative).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_at_its_deadline_while_a_step_runs_and_while_nobody_works_at_it() {
    let world = World::new().await;
    let provider = Provider::start([Reply::WriteWhenLetGo]).await;
    let running = world.ask_for(&dairy(), TimeDelta::seconds(4)).await;
    let worker = world.sweeping(&provider.drafter(), 2, LEASE);
    provider.called(1).await;
    assert_eq!(world.end_of(running).await, Phase::Failed(FailureCode::AiTimeout));
    assert!(world.store.clock().now() >= world.generation(running).await.request.deadline_at);
    assert_eq!(world.attempts(running, Stage::Narrative).await, [1]);
    worker.stop().await;
    let waiting = world.ask().await;
    world.advance(15 * 60);
    let _worker = world.sweeping(&provider.drafter(), 2, LEASE);
    assert_eq!(world.end_of(waiting).await, Phase::Failed(FailureCode::AiTimeout));
    assert_eq!(world.attempts(waiting, Stage::Sheet).await, [0; 0], "nothing was begun after the deadline");
    assert_eq!(provider.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_stops_a_running_step_and_a_wait_for_a_retry() {
    for reply in [Reply::WriteWhenLetGo, Reply::Refuse(429, Some("120"), "rate_limit")] {
        let world = World::new().await;
        let waits = matches!(reply, Reply::Refuse(..));
        let provider = Provider::start([reply]).await;
        let _worker = world.sweeping(&provider.drafter(), 1, LEASE);
        let asked = world.ask().await;
        provider.called(1).await;
        if waits {
            testkit::wait_until(PATIENCE, async || world.generation(asked).await.retry_at).await;
        }
        let asked_at = Instant::now();
        world.cancel(asked).await;
        assert_eq!(world.end_of(asked).await, Phase::Cancelled);
        assert!(asked_at.elapsed() < CANCELLED_WITHIN, "{:?}", asked_at.elapsed());
        assert_eq!(provider.calls(), 1);
        // The place is free for the next one.
        let next = world.ask_for(&json!({}), TimeDelta::minutes(14)).await;
        assert_eq!(world.end_of(next).await, Phase::Failed(FailureCode::InputUnusable));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_deleted_in_the_middle_takes_its_generation_with_it() {
    let world = World::new().await;
    let provider = Provider::start([Reply::WriteWhenLetGo]).await;
    let _worker = world.sweeping(&provider.drafter(), 1, LEASE);
    let asked = world.ask().await;
    provider.called(1).await;
    world.delete(asked, true).await;
    assert_eq!(world.end_of(asked).await, Phase::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_went_without_a_word_ends_its_generation_and_does_not_turn_in_a_circle() {
    let world = World::new().await;
    let provider = Provider::start([Reply::WriteWhenLetGo]).await;
    let _worker = world.sweeping(&provider.drafter(), 1, LEASE);
    let asked = world.ask().await;
    provider.called(1).await;
    world.delete(asked, false).await;
    provider.let_go(1);
    assert_eq!(world.end_of(asked).await, Phase::Failed(FailureCode::Internal));
    assert_eq!(world.attempts(asked, Stage::Publish).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_one_connection_is_enough_and_a_slow_step_holds_none() {
    let world = World::with_connections(1).await;
    let provider = Provider::start([Reply::WriteWhenLetGo]).await;
    let _worker = world.sweeping(&provider.drafter(), 4, LEASE);
    let jobs = [world.ask().await, world.ask().await];
    provider.called(2).await;
    for _ in 0..50 {
        let read = world.store.load_at::<domain::Proposal>(jobs[0].proposal.as_uuid(), None);
        timeout(Duration::from_secs(2), read).await.expect("reads are answered").unwrap();
    }
    provider.let_go(2);
    for job in jobs {
        world.assert_straight(job).await;
    }
}
