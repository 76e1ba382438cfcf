use std::time::Duration;

use domain::AccountId;
use eventstore::Store;
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{World, context, create, open, tag, world};

/// An event as another writer would add it, without waking anybody.
async fn insert(connection: &mut PgConnection, stream: &str, sequence: i64) {
    sqlx::query(
        "INSERT INTO es.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         VALUES ('project', $1, $2, 'project-deleted', '1', '{\"type\":\"project-deleted\"}', '{}')",
    )
    .bind(stream)
    .bind(sequence)
    .execute(connection)
    .await
    .unwrap();
}

async fn number(connection: &mut PgConnection, from: i64, rows: i32) -> Option<(i64, i32, Option<i64>)> {
    sqlx::query_as("SELECT head, numbered, next_search FROM es.sequence_pending($1, $2)")
        .bind(from)
        .bind(rows)
        .fetch_optional(connection)
        .await
        .unwrap()
}

async fn order(world: &World) -> Vec<(i64, String, i64)> {
    sqlx::query_as("SELECT position, aggregate_id, sequence FROM es.ledger ORDER BY position")
        .fetch_all(&mut world.superuser().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_event_that_commits_late_gets_the_next_position_and_holds_nobody_up() {
    let world = world().await;
    let owner = AccountId::generate();
    let mut late = world.superuser().await;
    let mut transaction = late.begin().await.unwrap();
    insert(&mut transaction, "late", 1).await; // Has the lowest insert order, and is not committed.
    // A long snapshot keeps every dead pending row alive.
    let mut dump = world.superuser().await;
    dump.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    dump.execute("SELECT count(*) FROM es.event_pending").await.unwrap();

    let (project, committed) = create(&world.store, owner).await;
    assert_eq!(world.store.settle(&committed, Duration::from_secs(5)).await, Some(1));
    for n in 0..5 {
        tag(&world.store, context(owner), owner, vec![project], n.to_string()).await.unwrap();
    }
    testkit::wait_until(Duration::from_secs(5), async || (world.store.head().await.unwrap() == 6).then_some(())).await;

    transaction.commit().await.unwrap();
    let cancel = CancellationToken::new();
    let timer = tokio::spawn({
        let (store, cancel) = (world.store.clone(), cancel.clone());
        async move { store.run_sequencer(cancel).await }
    });
    assert_eq!(world.settled().await, 7);
    cancel.cancel();
    timer.await.unwrap();
    dump.execute("COMMIT").await.unwrap();
    assert_eq!(order(&world).await.last().unwrap().1, "late");
    assert!(world.store.verify_chain(1, 7).await.unwrap().ok());
}

#[tokio::test]
async fn whoever_does_not_get_the_head_numbers_nothing_and_loses_nothing() {
    let world = world().await;
    let mut holder = world.superuser().await;
    let mut transaction = holder.begin().await.unwrap();
    insert(&mut transaction, "a", 1).await;
    number(&mut transaction, 0, 10).await.unwrap();
    let (_, committed) = create(&world.store, AccountId::generate()).await;
    assert_eq!(number(&mut world.superuser().await, 0, 10).await, None, "the head is held");
    assert_eq!(world.store.settle(&committed, Duration::from_millis(50)).await, None, "a bounded wait");
    transaction.commit().await.unwrap();
    // No timer runs here: the store's own task has kept asking.
    assert_eq!(world.store.settle(&committed, Duration::from_secs(5)).await, Some(2));
}

#[tokio::test]
async fn an_event_never_comes_before_its_predecessor() {
    let world = world().await;
    let mut superuser = world.superuser().await;
    for (stream, sequence) in [("a", 1), ("b", 1), ("a", 2), ("b", 2)] {
        insert(&mut superuser, stream, sequence).await;
    }
    // The caller knows only of the third.
    let third: i64 = sqlx::query_scalar("SELECT insert_order FROM es.events WHERE aggregate_id = 'a' AND sequence = 2")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    // With an empty ledger everything is searched; so the first is numbered, the second is not.
    assert_eq!(number(&mut superuser, third, 1).await, Some((1, 1, Some(2))));
    assert_eq!(number(&mut superuser, third, 1).await, Some((2, 1, Some(3))));
    superuser.execute("UPDATE es.event_pending SET insert_order = 1000 WHERE aggregate_id = 'a'").await.unwrap();
    superuser.execute("ALTER TABLE es.events DISABLE TRIGGER events_note_pending").await.unwrap();
    insert(&mut superuser, "c", 1).await;
    superuser.execute("INSERT INTO es.event_pending SELECT 1, 'project', 'c', 1, gen_random_uuid()").await.unwrap();
    insert(&mut superuser, "c", 2).await;
    superuser.execute("INSERT INTO es.event_pending SELECT 2000, 'project', 'c', 2, gen_random_uuid()").await.unwrap();
    assert_eq!(number(&mut superuser, 2000, 10).await.unwrap().1, 4, "it went back for what was overtaken");
    let of_c: Vec<i64> = order(&world).await.into_iter().filter(|row| row.1 == "c").map(|row| row.2).collect();
    assert_eq!(of_c, [1, 2]);
}

#[tokio::test]
async fn a_pending_row_of_a_numbered_event_is_dropped() {
    let world = world().await;
    let mut superuser = world.superuser().await;
    insert(&mut superuser, "a", 1).await;
    superuser.execute("CREATE TEMP TABLE kept AS SELECT * FROM es.event_pending").await.unwrap();
    number(&mut superuser, 0, 10).await.unwrap();
    superuser.execute("INSERT INTO es.event_pending SELECT * FROM kept").await.unwrap();
    assert_eq!(number(&mut superuser, 0, 10).await, Some((1, 0, None)));
    assert_eq!(world.count("SELECT count(*) FROM es.event_pending").await, 0);
}

#[tokio::test]
async fn more_than_one_batch_is_numbered_in_one_go() {
    let world = world().await;
    let mut superuser = world.superuser().await;
    superuser
        .execute(
            "INSERT INTO es.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
             SELECT 'project', 's' || n / 5, 1 + n % 5, 'x', '1', '{\"a\": 1}', '{}' FROM generate_series(0, 2499) n",
        )
        .await
        .unwrap();
    // One wake-up, by an append that knows only of its own event, leaves the others to the timer.
    let cancel = CancellationToken::new();
    let timer = tokio::spawn({
        let (store, cancel) = (world.store.clone(), cancel.clone());
        async move { store.run_sequencer(cancel).await }
    });
    assert_eq!(world.settled().await, 2_500);
    cancel.cancel();
    timer.await.unwrap();
    assert_eq!(world.store.verify_chain(1, 2_500).await.unwrap().checked, 2_500);
    assert!(world.store.verify_chain(1_001, 2_000).await.unwrap().ok());
}

async fn burst(stores: &[Store], owner: AccountId, round: usize) {
    let mut running = JoinSet::new();
    for store in stores {
        for _ in 0..4 {
            let store = store.clone();
            running.spawn(async move { create(&store, owner).await.1 });
        }
    }
    for (n, committed) in running.join_all().await.into_iter().enumerate() {
        let store = &stores[n % stores.len()];
        let position = store.settle(&committed, Duration::from_secs(5)).await;
        assert!(position.is_some(), "an event of burst {round} was forgotten");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost_between_instances() {
    let world = world().await;
    let owner = AccountId::generate();
    let stores = [world.store.clone(), open(&world.database.url, 8).await];
    for round in 0..40 {
        burst(&stores, owner, round).await;
    }
    assert_eq!(world.settled().await, 320);
}

#[tokio::test]
async fn readers_of_another_instance_are_woken() {
    let world = world().await;
    let other = open(&world.database.url, 4).await;
    let (ledger, projected) = (other.signals().ledger(), other.signals().projected());
    // Nobody hears what is said before it listens, which it begins to on a connection of its own.
    testkit::wait_until(Duration::from_secs(20), async || {
        create(&world.store, AccountId::generate()).await;
        (1 <= *ledger.borrow()).then_some(())
    })
    .await;
    let mut superuser = world.superuser().await;
    superuser.execute("SELECT pg_notify('es_projected', '17')").await.unwrap();
    testkit::wait_until(Duration::from_secs(20), async || (*projected.borrow() == 17).then_some(())).await;
}
