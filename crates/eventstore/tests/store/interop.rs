//! The stock repository of postgres-es on our table: it reads what we wrote, and we read what it wrote.

use std::time::Duration;

use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use domain::{AccountId, Metadata, Project, ProjectId, Recorded};
use postgres_es::PostgresEventRepository;
use serde_json::json;

use crate::support::{World, context, create, tag, tags, world};

fn stock(world: &World) -> PostgresEventRepository {
    PostgresEventRepository::new(world.store.pool().clone()).with_tables("es.events", "es.snapshots")
}

#[tokio::test]
async fn the_stock_repository_reads_what_we_wrote() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, first) = create(&world.store, owner).await;
    let second = tag(&world.store, context(owner), owner, vec![project], "x".to_owned()).await.unwrap();
    let rows = stock(&world).get_events::<Project>(&project.to_string()).await.unwrap();
    let ours: Vec<&Recorded> = first.events.iter().chain(&second.events).collect();
    assert_eq!(rows.len(), 2);
    for (row, ours) in rows.iter().zip(ours) {
        assert_eq!((row.sequence as u64, &row.aggregate_id), (ours.sequence, &project.to_string()));
        assert_eq!((row.event_version.as_str(), row.aggregate_type.as_str()), ("1", "project"));
        assert_eq!(serde_json::from_value::<Metadata>(row.metadata.clone()).unwrap(), ours.metadata);
        // cqrs-es hands metadata out as a map of strings.
        serde_json::from_value::<std::collections::HashMap<String, String>>(row.metadata.clone()).unwrap();
    }
    assert!(rows[0].payload["client"]["$sealed"].is_string());
    let after: Vec<_> = stock(&world).get_last_events::<Project>(&project.to_string(), 1).await.unwrap();
    assert_eq!(after, rows[1..]);
    // Through it and our one place of decoding, every version of the past is there.
    let (then, version) = world.store.load_at::<Project>(project.as_uuid(), Some(1)).await.unwrap();
    assert_eq!((version, then.open().unwrap().header.tags.len()), (1, 0));
    assert_eq!(then.open().unwrap().header.client.text(), "Aguas del Sur");
    let (now, version) = world.store.load_at::<Project>(project.as_uuid(), Some(2)).await.unwrap();
    assert_eq!((now, version), world.store.load_at::<Project>(project.as_uuid(), None).await.unwrap());
    let nothing = world.store.load_at::<Project>(ProjectId::generate().as_uuid(), Some(3)).await.unwrap();
    assert_eq!(nothing, (Project::default(), 0));
}

#[tokio::test]
async fn we_read_and_number_what_the_stock_repository_wrote() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, committed) = create(&world.store, owner).await;
    let metadata = serde_json::to_value(&committed.events[0].metadata).unwrap();
    let event = |sequence, tag: &str| {
        SerializedEvent::new(
            project.to_string(),
            sequence,
            "project".to_owned(),
            "project-details-changed".to_owned(),
            "1".to_owned(),
            json!({"type": "project-details-changed", "changes": [{"field": "tags", "old": [], "new": [tag]}]}),
            metadata.clone(),
        )
    };
    stock(&world).persist::<Project>(&[event(2, "a"), event(3, "b")], None).await.unwrap();
    assert_eq!(tags(&world.store, project).await, ["b"]);
    let conflict = stock(&world).persist::<Project>(&[event(3, "c")], None).await;
    assert!(conflict.is_err(), "the same sequence again");

    // Our next append goes on behind it, and both are numbered.
    let next = tag(&world.store, context(owner), owner, vec![project], "d".to_owned()).await.unwrap();
    assert_eq!(next.events[0].sequence, 4);
    sqlx::query("SELECT es.sequence_pending(0, 100)").execute(world.store.pool()).await.unwrap();
    assert_eq!(world.store.settle(&next, Duration::from_secs(5)).await, Some(4));
    let ledger = world.store.ledger(0, 10).await.unwrap();
    assert_eq!(ledger.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(ledger.iter().all(|row| row.recorded.is_ok()));
    assert!(world.store.verify_chain(1, 4).await.unwrap().ok());
}
