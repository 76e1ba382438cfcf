//! Trouble: lost leases, late answers, a database that goes away.

use std::time::Duration;

use domain::ProposalEvent;
use domain::proposal::{Phase, Stage};
use sqlx::Connection as _;
use sqlx::PgConnection;

use crate::provider::{Provider, Reply};
use crate::world::{PATIENCE, World, offline};

const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(600);

async fn steal_leases(world: &World) {
    world.run("UPDATE process.leases SET worker_id = gen_random_uuid(), heartbeat_at = clock_timestamp()").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_stops_the_running_step() {
    let world = World::new().await;
    let provider = Provider::start([Reply::WriteWhenLetGo]).await;
    let worker = world.worker(&provider.drafter(), 1, SHORT);
    let asked = world.ask().await;
    let work = worker.generations.start(asked.proposal).unwrap();
    provider.called(1).await;
    steal_leases(&world).await;
    let worked = tokio::time::timeout(PATIENCE, work).await.expect("the step stops").unwrap();
    assert_eq!(worked, worker::Worked::Done, "somebody else has it");
    assert!(!world.generation(asked).await.outputs.contains_key(&Stage::Narrative));
    assert_eq!(world.count("SELECT count(*) FROM process.leases").await, 1, "the thief's lease is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_recorded_and_discarded_and_its_worker_begins_nothing_more() {
    let world = World::new().await;
    let provider = Provider::start([Reply::WriteWhenLetGo]).await;
    // The first one would not notice for minutes that it lost the job.
    let first = world.worker(&provider.drafter(), 1, LONG);
    let asked = world.ask().await;
    let slow = first.generations.start(asked.proposal).unwrap();
    provider.called(1).await;
    world.run("UPDATE process.leases SET heartbeat_at = heartbeat_at - interval '1 hour'").await;
    let second = world.worker(&provider.drafter(), 1, LONG);
    let taken_over = second.generations.start(asked.proposal).unwrap();
    provider.called(2).await;
    assert_eq!(world.attempts(asked, Stage::Narrative).await, [1, 2]);
    provider.let_go(1);
    assert_eq!(slow.await.unwrap(), worker::Worked::Done);
    let late = ProposalEvent::LateResultDiscarded { stage: Stage::Narrative, attempt: 1 };
    assert!(world.events(asked).await.contains(&late));
    assert_eq!(world.attempts(asked, Stage::Narrative).await, [1, 2], "it began no third attempt");
    provider.let_go(1);
    assert_eq!(taken_over.await.unwrap(), worker::Worked::Done);
    assert_eq!(world.end_of(asked).await, Phase::Completed);
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_failure_does_not_end_the_job_of_another_worker() {
    let world = World::new().await;
    let slow = Provider::start([Reply::RefuseWhenLetGo(401)]).await;
    let good = Provider::start([Reply::WriteWhenLetGo]).await;
    let first = world.worker(&slow.drafter(), 1, LONG);
    let asked = world.ask().await;
    let failing = first.generations.start(asked.proposal).unwrap();
    slow.called(1).await;
    world.run("UPDATE process.leases SET heartbeat_at = heartbeat_at - interval '1 hour'").await;
    let second = world.worker(&good.drafter(), 1, LONG);
    let taken_over = second.generations.start(asked.proposal).unwrap();
    good.called(1).await;
    slow.let_go(1);
    assert_eq!(failing.await.unwrap(), worker::Worked::Done);
    assert!(world.generation(asked).await.phase.is_active());
    good.let_go(1);
    taken_over.await.unwrap();
    assert_eq!(world.end_of(asked).await, Phase::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_stolen_again_and_again_still_lead_to_one_proposal() {
    let world = World::new().await;
    let provider = Provider::start([Reply::Write]).await;
    let drafter = provider.drafter();
    let _workers = [0; 3].map(|_| world.sweeping(&drafter, 2, SHORT));
    let jobs = [world.ask().await, world.ask().await];
    let mut thief = world.superuser().await;
    for _ in 0..100 {
        sqlx::query("DELETE FROM process.leases").execute(&mut thief).await.unwrap();
        tokio::task::yield_now().await;
    }
    for job in jobs {
        assert_eq!(world.end_of(job).await, Phase::Completed);
        assert_eq!(world.open_project(job).await.versions, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_paid_for_survives_a_database_that_goes_away() {
    let world = World::new().await;
    let provider = Provider::start([Reply::WriteWhenLetGo]).await;
    let _worker = world.sweeping(&provider.drafter(), 1, Duration::from_secs(30));
    let asked = world.ask().await;
    provider.called(1).await;
    let mut elsewhere =
        PgConnection::connect(&world.database.url.replace(&world.database.name, "postgres")).await.unwrap();
    let allow = |allowed: bool| format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", world.database.name);
    sqlx::query(&allow(false)).execute(&mut elsewhere).await.unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(end).bind(&world.database.name).execute(&mut elsewhere).await.unwrap();
    provider.let_go(1);
    provider.answered(1).await;
    sqlx::query(&allow(true)).execute(&mut elsewhere).await.unwrap();
    testkit::wait_until(PATIENCE, async || world.store.head().await.ok()).await;
    assert_eq!(world.end_of(asked).await, Phase::Completed);
    assert_eq!(world.attempts(asked, Stage::Narrative).await, [1]);
    assert_eq!(provider.calls(), 1, "the answer was not asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_waits_and_does_not_turn_in_a_circle() {
    let world = World::new().await;
    let worker = world.worker(&offline(), 1, LONG);
    let asked = world.ask().await;
    world.run("ALTER TABLE es.events RENAME COLUMN payload TO hidden").await;
    assert_eq!(worker.generations.start(asked.proposal).unwrap().await.unwrap(), worker::Worked::Later);
    assert_eq!(world.count("SELECT count(*) FROM process.leases").await, 1, "nobody tries again before a pause");
    world.run("ALTER TABLE es.events RENAME COLUMN hidden TO payload").await;
    assert_eq!(worker.generations.start(asked.proposal).unwrap().await.unwrap(), worker::Worked::Done);
    assert_eq!(world.events(asked).await.len(), 1);
    world.run("UPDATE process.leases SET heartbeat_at = heartbeat_at - interval '1 hour'").await;
    assert_eq!(worker.generations.start(asked.proposal).unwrap().await.unwrap(), worker::Worked::Done);
    assert_eq!(world.end_of(asked).await, Phase::Completed);
}
