use domain::{AccountId, Project, ProjectCommand, ProjectId};
use sqlx::Executor;

use crate::support::{Stop, World, add_tag, context, create, tag, tags, world};

async fn with_snapshot(events: usize) -> (World, AccountId, ProjectId) {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    for n in 0..events {
        tag(&world.store, context(owner), owner, vec![project], n.to_string()).await.unwrap();
        world.store.drain().await;
    }
    (world, owner, project)
}

#[tokio::test]
async fn snapshot_and_tail_give_what_all_events_give() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let mut newest = 0;
    for n in 0..130_u64 {
        tag(&world.store, context(owner), owner, vec![project], n.to_string()).await.unwrap();
        world.store.drain().await;
        if 45 < n % 50 || n % 50 < 3 {
            let (from_snapshot, version) = world.store.load_at::<Project>(project.as_uuid(), None).await.unwrap();
            let all = world.store.load_at::<Project>(project.as_uuid(), Some(n + 2)).await.unwrap();
            assert_eq!((from_snapshot, version), all, "at {n}");
        }
        let snapshot = world.count("SELECT coalesce(max(sequence), 0) FROM es.snapshots").await;
        assert!(newest <= snapshot);
        newest = snapshot;
    }
    assert_eq!(newest, 100);
    assert_eq!(world.count("SELECT count(*) FROM es.snapshots").await, 1, "one row per stream and code");
}

#[tokio::test]
async fn a_load_reads_only_what_follows_the_snapshot() {
    let (world, owner, project) = with_snapshot(55).await;
    assert_eq!(world.count("SELECT max(sequence) FROM es.snapshots").await, 50);
    let mut superuser = world.superuser().await;
    superuser.execute("ALTER TABLE es.events DISABLE TRIGGER events_append_only").await.unwrap();
    superuser.execute("UPDATE es.events SET payload = '{}' WHERE sequence <= 50").await.unwrap();
    assert_eq!(tags(&world.store, project).await.len(), 55);
    tag(&world.store, context(owner), owner, vec![project], "after".to_owned()).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_of_other_code_or_a_damaged_one_is_ignored() {
    let (world, owner, project) = with_snapshot(55).await;
    let expected = tags(&world.store, project).await;
    for damage in [
        "UPDATE es.snapshots SET body = sha256(body)",
        "UPDATE es.snapshots SET body = ''",
        "UPDATE es.snapshots SET sequence = sequence - 1",
        "UPDATE es.snapshots SET subject = gen_random_uuid()",
        "UPDATE es.snapshots SET code_version = code_version + 1",
    ] {
        world.superuser().await.execute(damage).await.unwrap();
        assert_eq!(tags(&world.store, project).await, expected, "{damage}");
    }
    tag(&world.store, context(owner), owner, vec![project], "next".to_owned()).await.unwrap();
    world.store.drain().await;
    assert_eq!(world.count("SELECT count(*) FROM es.snapshots").await, 2, "ours beside the other code's");
}

#[tokio::test]
async fn a_state_with_values_of_two_people_is_not_kept() {
    let world = world().await;
    let (owner, guest) = (AccountId::generate(), AccountId::generate());
    let (project, _) = create(&world.store, owner).await;
    world
        .store
        .execute(context(owner), move |session| {
            Box::pin(async move {
                session.load::<Project>(project.as_uuid()).await?;
                let patch = domain::project::HeaderPatch { client: Some("Guest".to_owned()), ..Default::default() };
                let command = ProjectCommand::Change { by: owner, patch, status: None, expected: None };
                session.handle::<Project>(project.as_uuid(), guest, command)?;
                for n in 0..60 {
                    add_tag(session, owner, project, &n.to_string()).await?;
                }
                Ok::<_, Stop>(())
            })
        })
        .await
        .unwrap();
    tag(&world.store, context(owner), owner, vec![project], "more".to_owned()).await.unwrap();
    world.store.drain().await;
    assert_eq!(world.count("SELECT count(*) FROM es.snapshots").await, 0);
    assert_eq!(tags(&world.store, project).await.len(), 61);
}
