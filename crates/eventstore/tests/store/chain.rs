use std::time::Duration;

use domain::AccountId;
use eventstore::ExportedEvent;
use eventstore::chain::GENESIS;
use futures::TryStreamExt;
use sqlx::Executor;

use crate::support::{World, context, create, tag, world};

/// A ledger of seven events, of which something is changed behind the store's back.
async fn tampered(statements: &[&str]) -> (World, Option<u64>) {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    for n in 0..6 {
        tag(&world.store, context(owner), owner, vec![project], n.to_string()).await.unwrap();
    }
    assert_eq!(world.settled().await, 7);
    assert!(world.store.verify_chain(1, 7).await.unwrap().ok());
    let mut owner = world.superuser().await;
    owner.execute("SET ROLE allegiant_owner").await.unwrap();
    owner.execute("ALTER TABLE es.events DISABLE TRIGGER ALL").await.ok();
    owner.execute("ALTER TABLE es.events DISABLE TRIGGER events_append_only").await.unwrap();
    owner.execute("ALTER TABLE es.ledger DISABLE TRIGGER ledger_append_only").await.unwrap();
    for statement in statements {
        let changed = owner.execute(*statement).await.unwrap().rows_affected();
        assert!(0 < changed, "{statement} changes something");
    }
    let verdict = world.store.verify_chain(1, u64::MAX).await.unwrap();
    (world, verdict.first_mismatch)
}

#[tokio::test]
async fn a_changed_column_is_found_at_its_position() {
    for column in [
        "payload = (payload::text || ' ')::json",
        "metadata = (metadata::text || ' ')::json",
        "event_type = 'project-created'",
        "event_version = '2'",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "event_id = gen_random_uuid()",
        "actor_id = gen_random_uuid()",
    ] {
        let change = format!("UPDATE es.events SET {column} WHERE sequence = 4");
        assert_eq!(tampered(&[&change]).await.1, Some(4), "{column}");
    }
    for column in
        ["ledger_time = ledger_time + interval '1 microsecond'", "hash = sha256(hash)", "actor_id = gen_random_uuid()"]
    {
        let change = format!("UPDATE es.ledger SET {column} WHERE position = 5");
        assert_eq!(tampered(&[&change]).await.1, Some(5), "{column}");
    }
}

#[tokio::test]
async fn a_removed_event_is_found() {
    assert_eq!(tampered(&["DELETE FROM es.events WHERE sequence = 3"]).await.1, Some(3));
    assert_eq!(tampered(&["DELETE FROM es.ledger WHERE position = 3"]).await.1, Some(3));
    assert_eq!(tampered(&["DELETE FROM es.ledger WHERE position = 1"]).await.1, Some(1));
    let both = ["DELETE FROM es.events WHERE sequence = 2", "DELETE FROM es.ledger WHERE position = 2"];
    assert_eq!(tampered(&both).await.1, Some(2));
    let closed_up = [
        "DELETE FROM es.events WHERE sequence = 2",
        "DELETE FROM es.ledger WHERE position = 2",
        "UPDATE es.ledger SET position = 1000 + position WHERE position > 2",
        "UPDATE es.ledger SET position = position - 1001 WHERE position > 1000",
    ];
    assert_eq!(tampered(&closed_up).await.1, Some(2));
}

#[tokio::test]
async fn swapped_events_are_found() {
    let swap = "UPDATE es.events e SET payload = other.payload FROM es.events other
                WHERE (e.sequence, other.sequence) IN ((3, 5), (5, 3))";
    assert_eq!(tampered(&[swap]).await.1, Some(3));
    let in_the_ledger = [
        "UPDATE es.ledger SET position = 1003 WHERE position = 3",
        "UPDATE es.ledger SET position = 3 WHERE position = 5",
        "UPDATE es.ledger SET position = 5 WHERE position = 1003",
    ];
    assert_eq!(tampered(&in_the_ledger).await.1, Some(3));
}

#[tokio::test]
async fn an_event_that_was_slipped_in_is_a_stray() {
    let slip = "INSERT INTO es.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                                       recorded_at)
                SELECT aggregate_type, aggregate_id, 99, event_type, event_version, payload, metadata, now() - interval '1 h'
                FROM es.events WHERE sequence = 2";
    let (world, mismatch) =
        tampered(&["ALTER TABLE es.events DISABLE TRIGGER events_note_pending; SELECT 1", slip]).await;
    assert_eq!(mismatch, None);
    let strays = world.store.strays(Duration::from_secs(10), 10).await.unwrap();
    assert_eq!(strays.iter().map(|stray| stray.sequence).collect::<Vec<_>>(), [99]);
}

#[tokio::test]
async fn an_export_is_verified_without_the_database() {
    let (world, _) = tampered(&[]).await;
    let lines: Vec<String> =
        world.store.export(1, None).map_ok(|event| serde_json::to_string(&event).unwrap()).try_collect().await.unwrap();
    assert_eq!(lines.len(), 7);
    assert!(!lines.concat().contains("Aguas del Sur"), "sealed values stay sealed");
    let mut previous = GENESIS;
    for (line, position) in lines.iter().zip(1..) {
        let event: ExportedEvent = serde_json::from_str(line).unwrap();
        assert_eq!((event.position, event.previous_hash), (position, previous));
        assert_eq!(event.link(&previous), event.hash, "position {position}");
        let changed = ExportedEvent { payload: event.payload.replace(':', ": "), ..event.clone() };
        assert_ne!(changed.link(&previous), event.hash);
        previous = event.hash;
    }
    let part: Vec<ExportedEvent> = world.store.export(3, Some(5)).try_collect().await.unwrap();
    assert_eq!(part.iter().map(|event| event.position).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(part[0].link(&part[0].previous_hash), part[0].hash);
}

#[tokio::test]
async fn an_export_does_not_pass_over_a_missing_event() {
    let (world, _) = tampered(&["DELETE FROM es.events WHERE sequence = 3"]).await;
    let found: Result<Vec<ExportedEvent>, _> = world.store.export(1, None).try_collect().await;
    assert!(found.is_err());
    let ledger = world.store.ledger(0, 10).await.unwrap();
    assert_eq!(ledger.len(), 7);
    assert_eq!(ledger[2].recorded, Err(eventstore::DecodeError::Missing));
}
