use std::time::Duration;

use domain::{AccountId, Fact, Project, ProjectCommand, ProjectEvent};
use eventstore::{MasterKey, OpenError, Store};
use serde_json::json;
use sqlx::Row;

use crate::support::{MASTER, Stop, World, clock, context, create, open, pool, tag, world};

const SECRETS: [&str; 3] = ["Aguas del Sur", "Calle Luna 7", "Ana Torres"];

/// Every row of every table of the store as text, with bytes as they are and as hexadecimal digits.
async fn dump(world: &World) -> String {
    let mut superuser = world.superuser().await;
    let tables =
        sqlx::query("SELECT tablename FROM pg_tables WHERE schemaname = 'es'").fetch_all(&mut superuser).await.unwrap();
    let mut all = String::new();
    for table in tables {
        let table: String = table.get(0);
        let rows: Option<String> = sqlx::query_scalar(&format!("SELECT string_agg(t::text, E'\n') FROM es.{table} t"))
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        all.push_str(&rows.unwrap_or_default());
    }
    all
}

fn hexadecimal(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn personal_values_are_in_no_row_in_clear_and_come_back() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, committed) = create(&world.store, owner).await;
    // Enough for a snapshot, which holds personal values, too.
    for n in 0..60 {
        tag(&world.store, context(owner), owner, vec![project], n.to_string()).await.unwrap();
    }
    world.store.drain().await;
    assert_eq!(world.count("SELECT count(*) FROM es.snapshots").await, 1);
    world.settled().await;
    let all = dump(&world).await;
    assert!(all.contains("Dairy") && all.contains("$sealed"));
    for secret in SECRETS {
        assert!(!all.contains(secret) && !all.contains(&hexadecimal(secret)), "{secret} is stored in clear");
    }
    let read = &world.store.stream(project.into(), 0, 1).await.unwrap()[0];
    assert_eq!(read, &committed.events[0]);
    let Fact::Project(ProjectEvent::ProjectCreated { header, .. }) = &read.fact else { panic!("{read:?}") };
    assert_eq!(header.client.text(), "Aguas del Sur");
}

#[tokio::test]
async fn a_destroyed_key_erases_the_values_and_leaves_history_whole() {
    let world = world().await;
    let (owner, other) = (AccountId::generate(), AccountId::generate());
    let (project, _) = create(&world.store, owner).await;
    let (kept, _) = create(&world.store, other).await;
    for n in 0..60 {
        tag(&world.store, context(owner), owner, vec![project], n.to_string()).await.unwrap();
    }
    world.store.drain().await;
    let head = world.settled().await;
    let elsewhere = open(&world.database.url, 4).await;
    assert_eq!(client(&elsewhere, project.as_uuid()).await, "Aguas del Sur");

    world.store.destroy_key(owner).await.unwrap();
    assert_eq!(client(&world.store, project.as_uuid()).await, "[erased]", "here at once");
    testkit::wait_until(Duration::from_secs(10), async || {
        (client_now(&elsewhere, project.as_uuid()).await == "[erased]").then_some(())
    })
    .await;
    assert_eq!(client(&world.store, kept.as_uuid()).await, "Aguas del Sur", "another subject's values stay");
    assert_eq!(world.count("SELECT count(*) FROM es.snapshots").await, 0, "snapshots went with the key");
    assert!(world.store.verify_chain(1, head).await.unwrap().ok(), "the chain covers the stored bytes");

    // What is decided later is stored, but for the personal values.
    let (later, _) = create(&world.store, owner).await;
    assert_eq!(client(&world.store, later.as_uuid()).await, "[erased]");
    assert_eq!(world.count("SELECT count(*) FROM es.subject_keys WHERE wrapped IS NOT NULL").await, 1, "no second key");
    world.store.destroy_key(owner).await.unwrap();
}

async fn client_now(store: &Store, project: uuid::Uuid) -> String {
    let (state, _) = store.load_at::<Project>(project, None).await.unwrap();
    state.open().unwrap().header.client.text().to_owned()
}

/// From snapshot and tail, and from all events.
async fn client(store: &Store, project: uuid::Uuid) -> String {
    let text = client_now(store, project).await;
    let (replayed, _) = store.load_at::<Project>(project, Some(u64::MAX)).await.unwrap();
    assert_eq!(text, replayed.open().unwrap().header.client.text());
    text
}

#[tokio::test]
async fn a_wrong_master_key_does_not_open_the_store() {
    let world = world().await;
    let pool = pool(&world.database.url, 2).await;
    let wrong = Store::open(pool.clone(), MasterKey::from_bytes([1; 32]), clock()).await;
    assert!(matches!(wrong, Err(OpenError::WrongMasterKey)));
    assert!(Store::open(pool, MASTER, clock()).await.is_ok());
}

#[tokio::test]
async fn a_key_moved_to_another_subject_does_not_unwrap() {
    let world = world().await;
    let (owner, other) = (AccountId::generate(), AccountId::generate());
    let (project, _) = create(&world.store, owner).await;
    create(&world.store, other).await;
    let mut superuser = world.superuser().await;
    sqlx::query(
        "UPDATE es.subject_keys SET wrapped = (SELECT wrapped FROM es.subject_keys WHERE subject = $2) WHERE subject = $1",
    )
    .bind(owner.as_uuid())
    .bind(other.as_uuid())
    .execute(&mut superuser)
    .await
    .unwrap();
    let fresh = open(&world.database.url, 2).await;
    let error = fresh.stream(project.into(), 0, 1).await.unwrap_err();
    assert!(matches!(error, eventstore::StoreError::Key(subject) if subject == owner.as_uuid()));
}

#[tokio::test]
async fn what_people_enter_may_look_like_our_markers() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let body = json!({
        "a": {"$sealed": "c2VhbGVk"}, "b": {"$personal": 1, "x": 2}, "c": {"$literal": {"$sealed": 7}}, "d": "$sealed",
        "e": [{"$sealed": {"$literal": null}}], "f": {"$erased": true, "n": 0.1}, "g": 0.30000000000000004,
    });
    let committed = world
        .store
        .execute(context(owner), {
            let body = body.clone();
            move |session| {
                let body = body.clone();
                Box::pin(async move {
                    session.load::<Project>(project.as_uuid()).await?;
                    let at = session.now();
                    let entry = uuid::Uuid::now_v7();
                    let command =
                        ProjectCommand::ChangeData { by: owner, at, body, replace: true, entry, expected: None };
                    session.handle::<Project>(project.as_uuid(), owner, command)?;
                    Ok::<_, Stop>(())
                })
            }
        })
        .await
        .unwrap();
    assert_eq!(world.store.stream(project.into(), 1, 1).await.unwrap(), committed.events);
    for version in [None, Some(2)] {
        let (state, _) = world.store.load_at::<Project>(project.as_uuid(), version).await.unwrap();
        assert_eq!(state.open().unwrap().data, body);
    }
}
