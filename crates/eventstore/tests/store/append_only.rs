use domain::AccountId;
use sqlx::{Executor, PgConnection};

use crate::support::{create, world};

async fn refused(connection: &mut PgConnection, statement: &str) -> String {
    match connection.execute(statement).await {
        Err(sqlx::Error::Database(error)) => error.code().unwrap_or_default().into_owned(),
        other => panic!("{statement}: {other:?}"),
    }
}

const CHANGES: [&str; 6] = [
    "UPDATE es.events SET payload = '{}'",
    "DELETE FROM es.events",
    "TRUNCATE es.events",
    "UPDATE es.ledger SET hash = hash",
    "DELETE FROM es.ledger",
    "TRUNCATE es.ledger",
];

#[tokio::test]
async fn neither_the_server_nor_the_owner_can_change_history() {
    let world = world().await;
    create(&world.store, AccountId::generate()).await;
    world.settled().await;
    let mut connection = world.superuser().await;
    for role in ["allegiant_server", "allegiant_owner", "none"] {
        connection.execute(format!("SET ROLE {role}").as_str()).await.unwrap();
        for change in CHANGES {
            assert_eq!(refused(&mut connection, change).await, "42501", "{change} as {role}");
        }
    }
    connection.execute("SET session_replication_role = replica").await.unwrap();
    for change in CHANGES {
        assert_eq!(refused(&mut connection, change).await, "42501", "{change} with triggers off for replication");
    }
    assert_eq!(world.count("SELECT count(*) FROM es.events").await, 1);
    assert!(world.store.verify_chain(1, 10).await.unwrap().ok());
}

#[tokio::test]
async fn the_server_can_neither_forge_positions_nor_reach_around_the_rules() {
    let world = world().await;
    let mut connection = world.store.pool().acquire().await.unwrap();
    for attempt in [
        "INSERT INTO es.ledger SELECT 1, 'project', 'x', 1, now(), sha256(''), gen_random_uuid(), 'x', gen_random_uuid(), 1",
        "INSERT INTO es.event_pending VALUES (1, 'project', 'x', 1, gen_random_uuid())",
        "DELETE FROM es.event_pending",
        "UPDATE es.store SET epoch = 2",
        "SELECT es.renew_store_id()",
        "UPDATE es.subject_keys SET wrapped = NULL",
        "DELETE FROM es.master_key_check",
        "UPDATE es.command_receipts SET outcome = '{}'",
        "ALTER TABLE es.events DISABLE TRIGGER events_append_only",
        "CREATE TABLE es.mine (a int)",
    ] {
        assert_eq!(refused(&mut connection, attempt).await, "42501", "{attempt}");
    }
}
