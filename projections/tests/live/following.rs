//! The runner: rows equal the fold of the ledger, whatever happens to it.

use std::collections::{BTreeMap, HashMap};

use domain::proposal::{FailureCode, Stage};
use domain::{ProjectId, StreamKind};
use projections::{
    AccountDocument, JobDocument, ProjectDataDocument, ProjectDocument, ProposalState, ReadModel, Row, Runner,
    TimelineEntry, status,
};
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{AMPLE, World};

type Rows = BTreeMap<Uuid, (Value, Value, i64)>;

async fn stored<M: ReadModel>(connection: &mut PgConnection) -> Rows {
    let table: String = sqlx::query_scalar(
        "SELECT views.table_of(name, version, generation) FROM views.checkpoints WHERE live AND name = $1",
    )
    .bind(M::NAME)
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    let rows: Vec<(Uuid, Value, Value, i64)> =
        sqlx::query_as(&format!("SELECT key, document, versions, position FROM views.{table}"))
            .fetch_all(connection)
            .await
            .unwrap();
    rows.into_iter().map(|(key, document, versions, position)| (key, (document, versions, position))).collect()
}

/// The plain fold of the whole ledger, event by event.
async fn folded<M: ReadModel>(world: &World) -> Rows {
    let mut rows: HashMap<Uuid, Row<M>> = HashMap::new();
    for row in world.store.ledger(0, 10_000).await.unwrap() {
        let recorded = row.recorded.unwrap();
        if let Some(project) = M::purge(&recorded) {
            rows.retain(|_, row| row.document.as_ref().and_then(M::project) != Some(project));
        }
        for key in M::keys(&recorded) {
            rows.entry(key).or_default().advance(&recorded, Some(row.position));
        }
        rows.retain(|_, row| row.document.is_some());
    }
    rows.into_iter()
        .map(|(key, row)| {
            let position = row.position.unwrap().cast_signed();
            (key, (json!(row.document), json!(row.versions), position))
        })
        .collect()
}

async fn compare<M: ReadModel>(world: &World, superuser: &mut PgConnection, least: usize) {
    let (stored, folded) = (stored::<M>(superuser).await, folded::<M>(world).await);
    assert!(least <= folded.len(), "{}: the history has too little in it", M::NAME);
    assert_eq!(stored, folded, "{}", M::NAME);
}

pub async fn compare_all(world: &World) {
    let mut superuser = world.superuser().await;
    compare::<AccountDocument>(world, &mut superuser, 1).await;
    compare::<ProjectDocument>(world, &mut superuser, 1).await;
    compare::<ProjectDataDocument>(world, &mut superuser, 1).await;
    compare::<TimelineEntry>(world, &mut superuser, 4).await;
    compare::<ProposalState>(world, &mut superuser, 1).await;
    compare::<JobDocument>(world, &mut superuser, 3).await;
}

/// Two projects, three generations; the first project is deleted at last.
async fn live_through(world: &World) -> ProjectId {
    let first = world.create(world.ana, "First").await;
    let second = world.create(world.ana, "Second").await;
    world.edit(first, json!({"notes": "wet", "a": {"b": [1, 2.5, null]}})).await;
    world.edit(second, json!({"notes": "dry"})).await;
    world.edit(second, json!({"notes": "dry", "count": 3})).await;
    let one = world.generate(first).await;
    let two = world.generate(second).await;
    world.work(two).await;
    world.work(one).await;
    world.publish(first, one).await;
    world.publish(second, two).await;
    world.rename(second, "Second, renamed").await;
    let three = world.generate(second).await;
    world.begin(three, Stage::Sheet).await;
    world.fail(second, three, FailureCode::InputUnusable).await;
    world.delete(first).await;
    second
}

#[tokio::test]
async fn rows_equal_the_fold_of_the_ledger() {
    let world = World::new().await;
    live_through(&world).await;
    world.catch_up().await;
    compare_all(&world).await;
}

#[tokio::test]
async fn several_runners_at_once_write_every_event_once() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let runners: Vec<_> = (0..3).map(|_| tokio::spawn(Runner::new(world.store.clone()).run(cancel.clone()))).collect();
    live_through(&world).await;
    world.sequenced().await;
    let head = world.store.head().await.unwrap();
    let reader = projections::Reader { min_position: Some(head), within: AMPLE, ..world.ana() };
    assert!(!world.views.wait_for(&reader).await.unwrap().behind);
    cancel.cancel();
    for runner in runners {
        runner.await.unwrap();
    }
    compare_all(&world).await;
}

#[tokio::test]
async fn an_event_that_is_folded_again_changes_nothing() {
    let world = World::new().await;
    let project = world.create(world.ana, "North plant").await;
    world.edit(project, json!({"count": 1})).await;
    world.catch_up().await;
    let mut superuser = world.superuser().await;
    let before = stored::<ProjectDataDocument>(&mut superuser).await;
    sqlx::query("UPDATE views.checkpoints SET position = 0").execute(&mut superuser).await.unwrap();
    world.edit(project, json!({"count": 2})).await;
    world.catch_up().await;
    compare::<ProjectDataDocument>(&world, &mut superuser, 1).await;
    compare::<ProjectDocument>(&world, &mut superuser, 1).await;
    compare::<TimelineEntry>(&world, &mut superuser, 2).await;
    assert_ne!(stored::<ProjectDataDocument>(&mut superuser).await, before);
}

#[tokio::test]
async fn a_stream_with_an_unreadable_event_is_parked_and_the_others_go_on() {
    let world = World::new().await;
    let (broken, sound) = (world.create(world.ana, "Broken").await, world.create(world.ana, "Sound").await);
    world.catch_up().await;
    let mut superuser = world.superuser().await;
    world.append_raw(broken, 2, "project-status-set", json!({"old": 7})).await;
    world.append_raw(broken, 3, "project-deleted", json!({})).await;
    world.rename(sound, "Sound, renamed").await;
    world.catch_up().await;
    world.rename(sound, "Sound, renamed again").await;
    world.catch_up().await;

    let ana = world.ana();
    let answer = world.views.project(&ana, broken).await.unwrap();
    assert_eq!(answer.value.unwrap().document.name, "Broken", "what was there is still served");
    let answer = world.views.project(&ana, sound).await.unwrap();
    assert_eq!(answer.value.unwrap().document.name, "Sound, renamed again");
    for model in status(&world.store).await.unwrap() {
        let follows_projects = ["projects", "project_data", "timeline", "proposals"].contains(&model.name.as_str());
        let expected = if follows_projects { (1, 2) } else { (0, 0) };
        assert_eq!((model.parked, model.skipped), expected, "{}", model.name);
        assert_eq!((model.lag_events, model.lag_seconds), (0, 0.0), "a parked stream holds nobody up");
    }
    let parked: Vec<(String, String, i64, String)> = sqlx::query_as(
        "SELECT aggregate_type, aggregate_id, from_sequence, error FROM views.parked WHERE name = 'projects'",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let error = parked[0].3.clone();
    let fits = "project-status-set: payload of project-status-set version 1 does not fit at column ";
    assert!(error.starts_with(fits), "{error}");
    assert_eq!(parked, [(StreamKind::Project.to_string(), broken.to_string(), 2, error)]);

    // The answer to a write does not fail over it either.
    let detail = world.views.current_project_detail(world.ana, broken).await.unwrap().unwrap();
    assert_eq!(detail.value.project.name, "Broken");
}

#[tokio::test]
async fn an_event_that_only_a_newer_release_knows_parks_nothing_and_is_not_passed() {
    let world = World::new().await;
    let (newer, other) = (world.create(world.ana, "Newer").await, world.create(world.ana, "Other").await);
    world.catch_up().await;
    let head = world.store.head().await.unwrap();
    world.append_raw(newer, 2, "project-frozen", json!({})).await;
    world.rename(other, "Other, renamed").await;
    world.sequenced().await;
    let cancel = CancellationToken::new();
    let running = tokio::spawn(world.runner.clone().run(cancel.clone()));
    assert_eq!(world.runner.catch_up().await.unwrap(), None);
    for model in status(&world.store).await.unwrap() {
        assert_eq!((model.position, model.parked, model.lag_events), (head, 0, 2), "{}", model.name);
        let unknown = model.yielded.unwrap();
        assert_eq!((unknown.position, unknown.what.as_str()), (head + 1, "unknown type of event project-frozen"));
    }
    // What is asked for is still answered, with its true position.
    let reader = projections::Reader { within: std::time::Duration::from_millis(50), ..world.ana() };
    let answer = world.views.project(&reader, other).await.unwrap();
    assert_eq!((answer.value.unwrap().document.name.as_str(), answer.freshness.behind), ("Other", true));
    assert_eq!(answer.freshness.position, head);

    // A newer release passes it, whatever it does with it.
    let mut superuser = world.superuser().await;
    sqlx::query("UPDATE views.checkpoints SET position = $1")
        .bind(head.cast_signed() + 1)
        .execute(&mut superuser)
        .await
        .unwrap();
    let renamed = testkit::wait_until(AMPLE, async || {
        let answer = world.views.project(&world.ana(), other).await.unwrap();
        (!answer.freshness.behind).then_some(answer.value.unwrap().document.name)
    })
    .await;
    assert_eq!(renamed, "Other, renamed");
    assert!(status(&world.store).await.unwrap().iter().all(|model| model.yielded.is_none()));
    cancel.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_is_not_read_yet_shows_as_lag() {
    let world = World::new().await;
    world.catch_up().await;
    world.create(world.ana, "North plant").await;
    world.create(world.ana, "South plant").await;
    world.sequenced().await;
    for model in status(&world.store).await.unwrap() {
        assert_eq!((model.position, model.lag_events), (1, 2), "{}", model.name);
        assert!(0.0 < model.lag_seconds && model.lag_seconds < 600.0);
    }
}

#[tokio::test]
async fn the_runner_goes_on_after_the_database_was_away() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let running = tokio::spawn(world.runner.clone().run(cancel.clone()));
    let project = world.create(world.ana, "North plant").await;
    let mut superuser = world.superuser().await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    let found = testkit::wait_until(AMPLE, async || {
        let answer = world.views.project(&world.ana(), project).await.ok()?;
        answer.value
    })
    .await;
    assert_eq!(found.document.name, "North plant");
    cancel.cancel();
    running.await.unwrap();
}
