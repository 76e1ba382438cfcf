use domain::{AccountId, StreamKind};
use eventstore::{AuditQuery, DecodeError};
use serde_json::json;
use sqlx::Executor;

use crate::support::{context, create, tag, world};

fn all() -> AuditQuery {
    AuditQuery { limit: 100, ..AuditQuery::default() }
}

#[tokio::test]
async fn an_auditor_finds_events_by_what_is_known_of_them() {
    let world = world().await;
    let (ana, ben) = (AccountId::generate(), AccountId::generate());
    let (project, first) = create(&world.store, ana).await;
    let (other, _) = create(&world.store, ben).await;
    let mut special = context(ben);
    special.correlation_id = "special".to_owned();
    tag(&world.store, special, ben, vec![other], "x".to_owned()).await.unwrap();
    assert_eq!(world.settled().await, 3);

    let positions = async |query: AuditQuery| -> Vec<u64> {
        let page = world.store.audit(query).await.unwrap();
        assert_eq!(page.head, 3);
        page.events.iter().map(|event| event.position).collect()
    };
    assert_eq!(positions(all()).await, [1, 2, 3]);
    assert_eq!(positions(AuditQuery { descending: true, ..all() }).await, [3, 2, 1]);
    let of_stream = AuditQuery { stream_kind: Some(StreamKind::Project), stream_id: Some(project.as_uuid()), ..all() };
    assert_eq!(positions(of_stream).await, [1]);
    assert_eq!(positions(AuditQuery { stream_kind: Some(StreamKind::Account), ..all() }).await, [0; 0]);
    assert_eq!(positions(AuditQuery { actor: Some(ben.as_uuid()), ..all() }).await, [2, 3]);
    assert_eq!(positions(AuditQuery { subject: Some(ana.as_uuid()), ..all() }).await, [1]);
    let changed = vec!["project-details-changed".to_owned(), "none".to_owned()];
    assert_eq!(positions(AuditQuery { event_types: changed, ..all() }).await, [3]);
    assert_eq!(positions(AuditQuery { correlation_id: Some("special".to_owned()), ..all() }).await, [3]);
    assert_eq!(positions(AuditQuery { from_position: Some(2), to_position: Some(2), ..all() }).await, [2]);
    let at = first.events[0].recorded_at;
    assert_eq!(positions(AuditQuery { to: Some(at), ..all() }).await, [0; 0]);
    assert_eq!(positions(AuditQuery { from: Some(at), ..all() }).await, [1, 2, 3]);
}

#[tokio::test]
async fn pages_follow_one_another_in_both_directions() {
    let world = world().await;
    let owner = AccountId::generate();
    for _ in 0..5 {
        create(&world.store, owner).await;
    }
    world.settled().await;
    for descending in [false, true] {
        let (mut after, mut seen) = (None, vec![]);
        loop {
            let page = world.store.audit(AuditQuery { descending, after, limit: 2, ..all() }).await.unwrap();
            seen.extend(page.events.iter().map(|event| event.position));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if descending {
            seen.reverse();
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    }
}

#[tokio::test]
async fn an_audited_event_is_readable_and_linked() {
    let world = world().await;
    let owner = AccountId::generate();
    create(&world.store, owner).await;
    create(&world.store, owner).await;
    world.settled().await;
    let page = world.store.audit(all()).await.unwrap();
    let [first, second] = &page.events[..] else { panic!("{page:?}") };
    assert_eq!(second.previous_hash, first.hash);
    assert_eq!(first.previous_hash, [0; 32]);
    let payload = first.payload.as_ref().unwrap();
    assert_eq!(
        (&payload["client"], &payload["budget_usd"], &payload["type"]),
        (&json!("Aguas del Sur"), &json!(1234.56), &json!(null))
    );
    assert_eq!((first.schema_version, first.metadata.as_ref().unwrap().actor_id), (1, owner.as_uuid()));
    world.store.destroy_key(owner).await.unwrap();
    let page = world.store.audit(all()).await.unwrap();
    assert_eq!(page.events[0].payload.as_ref().unwrap()["client"], json!("[erased]"));
}

#[tokio::test]
async fn an_event_of_a_newer_release_fails_alone() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let foreign = format!(
        "INSERT INTO es.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         SELECT t, i, s, type, '1', payload::json, (SELECT metadata FROM es.events LIMIT 1)
         FROM (VALUES ('project', '{project}', 2, 'project-frozen', '{{\"type\":\"project-frozen\"}}'),
                      ('invoice', 'i-1', 1, 'invoice-sent', '{{\"type\":\"invoice-sent\"}}'),
                      ('project', '{project}', 3, 'project-deleted', '[]')) v(t, i, s, type, payload)"
    );
    world.superuser().await.execute(foreign.as_str()).await.unwrap();
    create(&world.store, owner).await;
    testkit::wait_until(std::time::Duration::from_secs(5), async || {
        sqlx::query("SELECT es.sequence_pending(0, 100)").execute(world.store.pool()).await.unwrap();
        (world.store.head().await.unwrap() == 5).then_some(())
    })
    .await;
    let ledger = world.store.ledger(0, 10).await.unwrap();
    let row = |event_type: &str| ledger.iter().find(|row| row.event_type == event_type).unwrap();
    assert_eq!(row("project-frozen").recorded, Err(DecodeError::UnknownType("project-frozen".to_owned())));
    assert_eq!(row("invoice-sent").recorded, Err(DecodeError::UnknownStream("invoice".to_owned())));
    assert_eq!(row("invoice-sent").key, None);
    assert!(matches!(row("project-deleted").recorded, Err(DecodeError::Payload { .. })));
    assert_eq!(ledger.iter().filter(|row| row.recorded.is_ok()).count(), 2);
    // The aggregate itself does not guess at what it cannot read.
    let error = world.store.load_at::<domain::Project>(project.as_uuid(), None).await.unwrap_err();
    assert!(matches!(error, eventstore::StoreError::Decode { sequence: 2, .. }), "{error:?}");
    // An auditor still reads what is stored.
    let page = world.store.audit(all()).await.unwrap();
    assert_eq!(page.events.len(), 5);
    assert!(page.events.iter().all(|event| event.payload.is_ok()));
}
