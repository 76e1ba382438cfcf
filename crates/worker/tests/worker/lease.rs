//! Leases: one holder at a time, on the database's clock.

use std::time::Duration;

use domain::ProposalId;
use worker::lease::Lease;

use crate::world::{PATIENCE, World};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(600);

async fn silence(world: &World) {
    world.run("UPDATE process.leases SET heartbeat_at = heartbeat_at - interval '1 hour'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_gets_a_job_only_after_silence_or_release() {
    let world = World::new().await;
    let (pool, job) = (world.store.pool(), ProposalId::generate());
    let lease = Lease::take(pool, job, LONG).await.unwrap().unwrap();
    // The clock of this process has no say in it.
    world.advance(86_400);
    assert!(Lease::take(pool, job, LONG).await.unwrap().is_none());
    silence(&world).await;
    let second = Lease::take(pool, job, LONG).await.unwrap().expect("silence lets others have the job");
    // The first one is not the holder any more: what it does changes nothing.
    let mut connection = pool.acquire().await.unwrap();
    assert!(matches!(lease.hold().renew(&mut connection).await, Err(sqlx::Error::RowNotFound)));
    lease.release().await;
    second.hold().renew(&mut connection).await.unwrap();
    second.release().await;
    assert!(Lease::take(pool, job, LONG).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_holder_keeps_a_job_for_many_times_the_leases_time() {
    let world = World::new().await;
    let (pool, job) = (world.store.pool(), ProposalId::generate());
    let lease = Lease::take(pool, job, SHORT).await.unwrap().unwrap();
    let beats = "SELECT count(*) FROM process.leases WHERE heartbeat_at > clock_timestamp() - interval '300 ms'";
    let began = tokio::time::Instant::now();
    testkit::wait_until(PATIENCE, async || {
        assert!(Lease::take(pool, job, SHORT).await.unwrap().is_none());
        (began.elapsed() > SHORT * 3 && world.count(beats).await == 1).then_some(())
    })
    .await;
    assert!(!lease.lost.is_cancelled());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_learns_that_somebody_else_has_the_job() {
    let world = World::new().await;
    let (pool, job) = (world.store.pool(), ProposalId::generate());
    let lease = Lease::take(pool, job, SHORT).await.unwrap().unwrap();
    world.run("UPDATE process.leases SET worker_id = gen_random_uuid()").await;
    tokio::time::timeout(PATIENCE, lease.lost.cancelled()).await.expect("the lease is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_cannot_reach_the_database_stops_before_others_may_begin() {
    let world = World::with_connections(1).await;
    let job = ProposalId::generate();
    let time = Duration::from_secs(3);
    let lease = Lease::take(world.store.pool(), job, time).await.unwrap().unwrap();
    // Nobody gets a connection from now on.
    let _kept = world.store.pool().acquire().await.unwrap();
    lease.lost.cancelled().await;
    let silent = "SELECT (extract(epoch FROM clock_timestamp() - heartbeat_at) * 1000)::bigint FROM process.leases";
    let silent = world.count(silent).await;
    assert!((1_900..3_000).contains(&silent), "lost after {silent} ms of silence");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_that_killed_workers_left_behind_are_removed_at_the_next_start() {
    let world = World::new().await;
    let ended = ProposalId::generate();
    let lease = Lease::take(world.store.pool(), ended, LONG).await.unwrap().unwrap();
    drop(lease);
    silence(&world).await;
    let asked = world.ask().await;
    let unfinished = Lease::take(world.store.pool(), asked.proposal, LONG).await.unwrap().unwrap();
    let worker = world.worker(&crate::world::offline(), 1, LONG);
    worker.sweep();
    testkit::wait_until(PATIENCE, async || {
        (world.count("SELECT count(*) FROM process.leases").await == 1).then_some(())
    })
    .await;
    unfinished.hold().renew(&mut world.store.pool().acquire().await.unwrap()).await.unwrap();
}
