//! How a job begins: by a message, by the sweep, or by both at once.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use chrono::TimeDelta;
use domain::AccountId;
use domain::proposal::Stage;
use worker::Bus;

use crate::provider::{Provider, Reply};
use crate::relay::{Stream, relay};
use crate::world::{PATIENCE, World, dairy, offline};

const LEASE: Duration = Duration::from_secs(6);

async fn consumer(stream: &Stream) -> Option<async_nats::jetstream::consumer::Info> {
    let stream = stream.context.get_stream(&stream.name).await.ok()?;
    let mut consumer = stream.get_consumer::<pull::Config>("generations").await.ok()?;
    Some(consumer.info().await.ok()?.clone())
}

/// Waits until every message was acknowledged.
async fn acknowledged(stream: &Stream) {
    testkit::wait_until(PATIENCE, async || {
        consumer(stream).await.filter(|info| info.num_ack_pending == 0 && info.num_pending == 0).map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_begins_a_job_without_the_sweep() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    let _relay = relay(&world, &bus);
    // Asked for before there is a consumer, and after.
    let early = world.ask().await;
    let worker = world.worker(&offline(), 2, LEASE);
    worker.consume(&bus);
    world.assert_straight(early).await;
    let late = world.ask().await;
    world.assert_straight(late).await;
    acknowledged(&stream).await;
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_was_removed_is_made_again() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    let _relay = relay(&world, &bus);
    let worker = world.worker(&offline(), 2, LEASE);
    worker.consume(&bus);
    let first = world.ask().await;
    world.assert_straight(first).await;
    let handle = stream.context.get_stream(&stream.name).await.unwrap();
    handle.delete_consumer("generations").await.unwrap();
    let second = world.ask().await;
    world.assert_straight(second).await;
    // The first message came again, and found its job ended.
    acknowledged(&stream).await;
    world.assert_straight(first).await;
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_begins_a_job_while_nats_is_away() {
    let world = World::new().await;
    // Nobody listens there.
    let away = async_nats::ConnectOptions::new().retry_on_initial_connect().connect("127.0.0.1:1").await.unwrap();
    let bus = Bus::new(away, world.store.store_id(), world.store.epoch());
    let _relay = relay(&world, &bus);
    let worker = world.sweeping(&offline(), 2, LEASE);
    let consuming = worker.consume(&bus);
    let asked = world.ask().await;
    world.assert_straight(asked).await;
    assert_eq!(bus.status(), worker::BusStatus::Down);
    worker.cancel.cancel();
    tokio::time::timeout(Duration::from_secs(5), consuming).await.expect("the consumer stops at once").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn message_and_sweep_together_run_each_step_once_also_with_more_jobs_than_places() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    let provider = Provider::start([Reply::Write]).await;
    let drafter = provider.drafter();
    let _relay = relay(&world, &bus);
    let workers = [world.sweeping(&drafter, 2, LEASE), world.sweeping(&drafter, 1, LEASE)];
    for worker in &workers {
        worker.consume(&bus);
    }
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let owner = AccountId::generate();
        for _ in 0..3 {
            let project = world.project(owner, &dairy()).await;
            jobs.push(world.ask_again(owner, project, TimeDelta::minutes(14)).await);
        }
    }
    for job in &jobs {
        world.assert_straight(*job).await;
    }
    assert_eq!(provider.calls(), jobs.len(), "one call for each job");
    acknowledged(&stream).await;
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_messages_are_taken_than_there_are_places() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    let provider = Provider::start([Reply::WriteWhenLetGo]).await;
    let _relay = relay(&world, &bus);
    let busy = world.worker(&provider.drafter(), 1, LEASE);
    busy.consume(&bus);
    let jobs = [world.ask().await, world.ask().await, world.ask().await];
    provider.called(1).await;
    // All three went out; one is worked at, two are there for whoever has a place.
    testkit::wait_until(PATIENCE, async || {
        let info = consumer(&stream).await.unwrap();
        (info.num_ack_pending == 1 && info.num_pending == 2).then_some(())
    })
    .await;
    let mut others = Vec::new();
    for job in jobs {
        if world.attempts(job, Stage::Narrative).await.is_empty() {
            others.push(job);
        }
    }
    assert_eq!(others.len(), 2);
    let idle = world.worker(&offline(), 2, LEASE);
    idle.consume(&bus);
    for job in others {
        world.assert_straight(job).await;
    }
    provider.let_go(1);
    for job in jobs {
        world.assert_straight(job).await;
    }
    acknowledged(&stream).await;
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_interrupted_by_a_shutdown_goes_on_elsewhere_at_once() {
    let world = World::new().await;
    let provider = Provider::start([Reply::WriteWhenLetGo, Reply::Write]).await;
    // Leases that would run out only after the test.
    let long = Duration::from_secs(600);
    let first = world.sweeping(&provider.drafter(), 1, long);
    let asked = world.ask().await;
    provider.called(1).await;
    first.stop().await;
    assert_eq!(world.count("SELECT count(*) FROM process.leases").await, 0, "the lease was released");
    let _second = world.sweeping(&provider.drafter(), 1, long);
    assert_eq!(world.end_of(asked).await, domain::proposal::Phase::Completed);
    assert_eq!(world.attempts(asked, Stage::Narrative).await, [1, 2]);
    assert_eq!(world.attempts(asked, Stage::Costs).await, [1], "finished steps never run again");
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_shuts_down_begins_nothing() {
    let world = World::new().await;
    let worker = world.worker(&offline(), 1, LEASE);
    let asked = world.ask().await;
    worker.cancel.cancel();
    assert!(worker.generations.start(asked.proposal).is_none());
    assert_eq!(world.events(asked).await.len(), 1);
}
