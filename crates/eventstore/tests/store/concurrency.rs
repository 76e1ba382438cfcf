use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::{AccountId, ProjectId};
use eventstore::{CommandContext, ExecuteError, Store};
use sqlx::{Connection, Executor};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{Stop, add_tag, context, create, open, tag, tags, world};

/// Each of `writers` adds `each` tags, every third to two projects at once. Returns the acknowledged tags by project.
async fn write_at_once(
    stores: &[Store],
    owner: AccountId,
    projects: &[ProjectId],
    writers: usize,
    each: usize,
) -> Vec<(ProjectId, String)> {
    let mut running = JoinSet::new();
    for writer in 0..writers {
        let (store, projects) = (stores[writer % stores.len()].clone(), projects.to_vec());
        running.spawn(async move {
            let mut acknowledged = Vec::new();
            for n in 0..each {
                let name = format!("{writer}-{n}");
                let first = (writer + n) % projects.len();
                let mut chosen = vec![projects[first]];
                if n % 3 == 0 {
                    // In whatever order: that must not make two commands wait for each other for ever.
                    chosen.push(projects[(first + 1 + writer) % projects.len()]);
                    chosen.sort_unstable();
                    chosen.dedup();
                }
                let result = tag(&store, context(owner), owner, chosen.clone(), name.clone()).await;
                result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
                acknowledged.extend(chosen.into_iter().map(|project| (project, name.clone())));
            }
            acknowledged
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_on_two_instances_lose_nothing() {
    let world = world().await;
    let owner = AccountId::generate();
    let mut projects = Vec::new();
    for _ in 0..3 {
        projects.push(create(&world.store, owner).await.0);
    }
    let stores = [world.store.clone(), open(&world.database.url, 16).await];
    let acknowledged = write_at_once(&stores, owner, &projects, 16, 12).await;

    for project in &projects {
        let found = tags(&world.store, *project).await;
        let distinct: BTreeSet<&String> = found.iter().collect();
        let expected: BTreeSet<&String> =
            acknowledged.iter().filter(|(of, _)| of == project).map(|(_, tag)| tag).collect();
        assert_eq!(distinct, expected);
        assert_eq!(found.len(), distinct.len(), "each has its effect once");
    }
    let head = world.settled().await;
    assert_eq!(head as usize, projects.len() + acknowledged.len(), "every event has a position");
    let ledger = world.store.ledger(0, 10_000).await.unwrap();
    assert!(ledger.iter().map(|row| row.position).eq(1..=head), "without gaps");
    for project in &projects {
        let of_stream = ledger.iter().filter(|row| row.aggregate_id == project.to_string()).map(|row| row.sequence);
        let sequences: Vec<u64> = of_stream.collect();
        assert!(sequences.iter().copied().eq(1..=sequences.len() as u64), "in the stream's order: {sequences:?}");
    }
    assert!(ledger.is_sorted_by_key(|row| row.ledger_time));
    let verdict = world.store.verify_chain(1, u64::MAX).await.unwrap();
    assert_eq!((verdict.ok(), verdict.checked), (true, head));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_is_enough_for_many_commands() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let (other, _) = create(&world.store, owner).await;
    let narrow = open(&world.database.url, 1).await;
    let acknowledged = write_at_once(std::slice::from_ref(&narrow), owner, &[project, other], 8, 5).await;
    let found = tags(&narrow, project).await.len() + tags(&narrow, other).await.len();
    assert_eq!(found, acknowledged.len());
}

#[tokio::test]
async fn a_lock_that_is_not_had_in_time_is_contention() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let mut holder = world.superuser().await;
    let mut transaction = holder.begin().await.unwrap();
    let lock = format!("SELECT pg_advisory_xact_lock(hashtextextended('project:{project}', 0))");
    transaction.execute(lock.as_str()).await.unwrap();
    let soon = CommandContext { deadline: Instant::now() + Duration::from_millis(400), ..context(owner) };
    let result = tag(&world.store, soon, owner, vec![project], "x".to_owned()).await;
    assert!(matches!(result, Err(ExecuteError::Contended)), "{result:?}");
    transaction.rollback().await.unwrap();
    tag(&world.store, context(owner), owner, vec![project], "y".to_owned()).await.unwrap();
    assert_eq!(tags(&world.store, project).await, ["y"]);
}

#[tokio::test]
async fn many_that_wait_for_one_stream_hold_one_connection() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let mut holder = world.superuser().await;
    let mut transaction = holder.begin().await.unwrap();
    let lock = format!("SELECT pg_advisory_xact_lock(hashtextextended('project:{project}', 0))");
    transaction.execute(lock.as_str()).await.unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let waiting: Vec<_> = (0..10)
        .map(|n: u32| {
            let (store, attempts) = (world.store.clone(), Arc::clone(&attempts));
            tokio::spawn(async move {
                store
                    .execute(context(owner), move |session| {
                        let attempts = Arc::clone(&attempts);
                        Box::pin(async move {
                            add_tag(session, owner, project, &n.to_string()).await?;
                            attempts.fetch_add(1, Ordering::SeqCst);
                            Ok::<_, Stop>(())
                        })
                    })
                    .await
            })
        })
        .collect();
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'
                AND application_name = 'allegiant'";
    let waiters = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    testkit::wait_until(Duration::from_secs(5), async || {
        let all_tried = attempts.load(Ordering::SeqCst) == 10;
        (all_tried && world.count(busy).await == 1 && world.count(waiters).await == 1).then_some(())
    })
    .await;
    transaction.rollback().await.unwrap();
    for command in waiting {
        command.await.unwrap().unwrap();
    }
    assert_eq!(tags(&world.store, project).await.len(), 10);
}
