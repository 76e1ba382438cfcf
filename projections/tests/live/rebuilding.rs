//! Rebuilds, swaps and rollbacks while everybody goes on reading and writing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::ProjectId;
use projections::{
    Ahead, GenerationState, Page, ProjectFilter, Reader, RebuildError, Runner, Views, generations, names, rebuild,
    rollback, verify,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::following::compare_all;
use crate::world::{AMPLE, World};

/// Changes a project again and again, and reads each change back.
async fn write(world: &World, project: ProjectId, stop: &AtomicBool, written: &AtomicU64) {
    let reader = Reader { within: AMPLE, ..world.ana() };
    let mut turn = 0;
    while !stop.load(Ordering::SeqCst) {
        turn += 1;
        let name = format!("Plant {turn}");
        world.rename(project, &name).await;
        world.edit(project, json!({"turn": turn})).await;
        let current = world.views.current_project_detail(world.ana, project).await.unwrap().unwrap();
        assert_eq!(current.value.project.name, name, "the answer to a write");
        let project_read = world.views.project(&reader, project).await.unwrap();
        // The account's other writers may have written again meanwhile, so that it may be behind of them.
        assert_eq!(project_read.value.unwrap().document.name, name, "one's own write");
        let data = world.views.project_data(&reader, project).await.unwrap().value.unwrap();
        assert_eq!(data.document.data["turn"], turn);
        if turn % 5 == 1 {
            let proposal = world.generate(project).await;
            world.work(proposal).await;
            world.publish(project, proposal).await;
            // The worker wrote it, so that it is not among what the reader waits for.
            testkit::wait_until(AMPLE, async || world.views.proposal(&reader, project, proposal).await.unwrap().value)
                .await;
        }
        written.fetch_add(1, Ordering::SeqCst);
    }
}

/// Reads everything that there is to read, and is refused nothing.
async fn read(world: &World, views: &Views, project: ProjectId, stop: &AtomicBool, reads: &AtomicU64) {
    let reader = Reader { within: Duration::from_secs(2), ..world.ana() };
    let filter = ProjectFilter { page: 1, size: 100, search: None, status: None, sector: None };
    while !stop.load(Ordering::SeqCst) {
        assert_eq!(views.projects(&reader, &filter).await.unwrap().value.items.len(), 3);
        assert_eq!(views.project_stats(&reader).await.unwrap().value.total_projects, 3);
        assert!(views.project_detail(&reader, project).await.unwrap().value.is_some());
        assert!(views.timeline(&reader, project, Page::first(20)).await.unwrap().value.is_some());
        assert!(views.proposals(&reader, project, None, Page::first(20)).await.unwrap().value.is_some());
        for job in views.jobs(&reader, None, None, Page::first(5)).await.unwrap().value.0 {
            assert!(views.job(world.ana, job.document.proposal).await.unwrap().is_some());
        }
        let mut connection = world.store.pool().acquire().await.unwrap();
        assert!(views.account_ahead(Ahead::nothing(&mut connection), world.ana).await.unwrap().is_some());
        drop(connection);
        assert_eq!(views.emails(&[world.ana]).await.unwrap().len(), 1);
        reads.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_and_writes_go_on_over_rebuilds_and_rollbacks_of_every_model() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let runners: Vec<_> = (0..2).map(|_| tokio::spawn(Runner::new(world.store.clone()).run(cancel.clone()))).collect();
    let projects =
        [world.create(world.ana, "A").await, world.create(world.ana, "B").await, world.create(world.ana, "C").await];
    let (stop, written, reads) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let other_instance = Views::new(world.store.clone());
    let rebuilds = async {
        let never = CancellationToken::new();
        for name in names() {
            let first = rebuild(&world.store, name, &|_| (), &never).await.unwrap();
            assert_eq!((first.generation, first.replaced), (2, Some(1)), "{name}");
            assert_eq!(rollback(&world.store, name).await.unwrap().generation, 1, "{name}");
            let second = rebuild(&world.store, name, &|_| (), &never).await.unwrap();
            assert_eq!((second.generation, second.replaced), (3, Some(1)), "{name}");
            let verdict = verify(&world.store, name, &|_| (), &never).await.unwrap();
            assert_eq!((verdict.generation, verdict.differing), (3, 0), "{name}: {:?}", verdict.differences);
        }
        // The readers and writers have been at it on the last of these tables, too.
        let (after_reads, after_writes) = (reads.load(Ordering::SeqCst) + 3, written.load(Ordering::SeqCst) + 3);
        testkit::wait_until(AMPLE, async || {
            let enough = after_reads <= reads.load(Ordering::SeqCst) && after_writes <= written.load(Ordering::SeqCst);
            enough.then_some(())
        })
        .await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(
        rebuilds,
        write(&world, projects[0], &stop, &written),
        write(&world, projects[1], &stop, &written),
        write(&world, projects[2], &stop, &written),
        read(&world, &world.views, projects[0], &stop, &reads),
        read(&world, &other_instance, projects[1], &stop, &reads),
    );
    world.sequenced().await;
    let head = world.store.head().await.unwrap();
    let everything = Reader { min_position: Some(head), within: AMPLE, ..world.ana() };
    assert!(!world.views.wait_for(&everything).await.unwrap().behind);
    cancel.cancel();
    for runner in runners {
        runner.await.unwrap();
    }
    compare_all(&world).await;
    // The former ones were fed on, and no others are left.
    for generation in generations(&world.store).await.unwrap() {
        assert_eq!((generation.position, generation.parked), (head, 0), "{generation:?}");
        let expected = if generation.generation == 3 { GenerationState::Live } else { GenerationState::Former };
        assert_eq!(generation.state, expected, "{generation:?}");
    }
    for name in names() {
        rollback(&world.store, name).await.unwrap();
        let verdict = verify(&world.store, name, &|_| (), &CancellationToken::new()).await.unwrap();
        assert_eq!((verdict.generation, verdict.differing), (1, 0), "{name}: {:?}", verdict.differences);
    }
}

#[tokio::test]
async fn a_check_tells_what_was_tampered_with_and_a_rebuild_mends_it() {
    let world = World::new().await;
    let project = world.create(world.ana, "North plant").await;
    world.create(world.ana, "South plant").await;
    world.catch_up().await;
    let never = CancellationToken::new();
    let check = async || verify(&world.store, "projects", &|_| (), &never).await.unwrap();
    assert_eq!((check().await.differing, check().await.documents), (0, 2));

    let mut superuser = world.superuser().await;
    let invented = Uuid::from_u128(5);
    for change in [
        "UPDATE views.projects_v1 SET document = jsonb_set(document, '{name}', '\"Another\"'), position = 1
         WHERE key = $1",
        "UPDATE views.projects_v1 SET key = $2 WHERE key <> $1",
        "UPDATE views.list_positions SET position = 1 WHERE $1 <> $2",
    ] {
        sqlx::query(change).bind(project.as_uuid()).bind(invented).execute(&mut superuser).await.unwrap();
    }
    let verdict = check().await;
    let told: Vec<(String, String)> =
        verdict.differences.iter().map(|found| (found.place.clone(), found.what.clone())).collect();
    assert_eq!(verdict.differing, 4);
    for expected in [
        (format!("document {project}"), "differs in document, position".to_owned()),
        (format!("document {invented}"), "should not be there".to_owned()),
        (format!("list of account {}", world.ana), "is at position 1 instead of 3".to_owned()),
    ] {
        assert!(told.contains(&expected), "{expected:?} is not in {told:?}");
    }
    assert!(told.iter().any(|(_, what)| what == "is missing"));

    // Whoever read before the swap reads the mended table within half a second, whoever comes now at once.
    assert_eq!(world.views.project(&world.ana(), project).await.unwrap().value.unwrap().document.name, "Another");
    rebuild(&world.store, "projects", &|_| (), &never).await.unwrap();
    assert_eq!(check().await.differing, 0);
    testkit::wait_until(AMPLE, async || {
        let answer = world.views.project(&world.ana(), project).await.unwrap();
        (answer.value.unwrap().document.name == "North plant").then_some(())
    })
    .await;
    let names: Vec<String> = sqlx::query_scalar("SELECT document ->> 'name' FROM views.projects ORDER BY 1")
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    assert_eq!(names, ["North plant", "South plant"], "the view shows the mended table");
}

#[tokio::test]
async fn a_generation_that_was_put_away_holds_nobody_up() {
    let world = World::new().await;
    world.create(world.ana, "North plant").await;
    world.catch_up().await;
    rebuild(&world.store, "projects", &|_| (), &CancellationToken::new()).await.unwrap();
    let project = world.create(world.ana, "South plant").await;
    world.sequenced().await;
    // The former one is as far behind as it can be.
    let mut superuser = world.superuser().await;
    sqlx::raw_sql("UPDATE views.checkpoints SET position = 0 WHERE filled AND NOT live")
        .execute(&mut superuser)
        .await
        .unwrap();
    world.runner.catch_up().await.unwrap();
    assert!(world.views.project(&world.ana(), project).await.unwrap().value.is_some());
    let head = world.store.head().await.unwrap();
    for generation in generations(&world.store).await.unwrap() {
        assert_eq!(generation.position, head, "{generation:?}");
    }
    assert_eq!(rollback(&world.store, "projects").await.unwrap().generation, 1);
    let verdict = verify(&world.store, "projects", &|_| (), &CancellationToken::new()).await.unwrap();
    assert_eq!((verdict.generation, verdict.documents, verdict.differing), (1, 2, 0), "{:?}", verdict.differences);
}

#[tokio::test]
async fn names_that_are_none_are_refused_with_those_that_are() {
    let world = World::new().await;
    let refused = rollback(&world.store, "project").await.unwrap_err().to_string();
    for name in names() {
        assert!(refused.contains(name), "{refused}");
    }
    assert!(matches!(rollback(&world.store, "projects").await, Err(RebuildError::NoFormer("projects"))));
    // A newer release's event is not left out of a rebuild.
    let project = world.create(world.ana, "North plant").await;
    world.append_raw(project, 2, "project-frozen", json!({})).await;
    world.create(world.ana, "South plant").await;
    world.sequenced().await;
    let never = CancellationToken::new();
    let refused = rebuild(&world.store, "timeline", &|_| (), &never).await;
    assert!(matches!(refused, Err(RebuildError::Unknown(_))), "{refused:?}");
    // It has nothing to do with accounts.
    rebuild(&world.store, "accounts", &|_| (), &never).await.unwrap();
}
