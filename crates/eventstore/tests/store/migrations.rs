use domain::AccountId;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

use crate::support::{MASTER, clock, create, pool, world};

#[tokio::test]
async fn a_migrated_database_is_current_and_one_with_a_gap_is_not() {
    let world = world().await;
    assert!(eventstore::migrations_current(world.store.pool()).await.unwrap());
    world.superuser().await.execute("DELETE FROM _sqlx_migrations WHERE version = 2").await.unwrap();
    assert!(!eventstore::migrations_current(world.store.pool()).await.unwrap());
    let empty = testkit::empty_database().await;
    let settings = eventstore::Settings::new(&empty.url);
    let pool = eventstore::connect(&settings).await.unwrap();
    assert!(!eventstore::migrations_current(&pool).await.unwrap());
}

#[tokio::test]
async fn migrating_again_changes_nothing_and_no_superuser_is_needed() {
    let database = testkit::empty_database().await;
    let mut superuser = PgConnection::connect(&database.url).await.unwrap();
    let (migrator, server) = (format!("m_{}", database.name), format!("s_{}", database.name));
    for statement in [
        format!("CREATE ROLE {migrator} LOGIN CREATEROLE PASSWORD 'm'"),
        format!("CREATE ROLE {server} LOGIN PASSWORD 's'"),
        format!("ALTER DATABASE {} OWNER TO {migrator}", database.name),
    ] {
        superuser.execute(statement.as_str()).await.unwrap();
    }
    let login = |name: &str, password: &str| {
        let options: sqlx::postgres::PgConnectOptions = database.url.parse().unwrap();
        options.username(name).password(password).to_url_lossy().to_string()
    };
    let migration_url = login(&migrator, "m");
    eventstore::migrate(&migration_url).await.unwrap();
    eventstore::migrate(&migration_url).await.unwrap();
    let server_url = login(&server, "s");
    assert!(eventstore::connect(&eventstore::Settings::new(&server_url)).await.is_err(), "no member yet");
    eventstore::grant_server_role(&migration_url, &server).await.unwrap();
    eventstore::grant_server_role(&migration_url, &server).await.unwrap();

    let store = eventstore::Store::open(pool(&server_url, 4).await, MASTER, clock()).await.unwrap();
    assert!(eventstore::migrations_current(store.pool()).await.unwrap());
    let (_, committed) = create(&store, AccountId::generate()).await;
    assert_eq!(store.settle(&committed, std::time::Duration::from_secs(5)).await, Some(1));
    let owner: String =
        sqlx::query_scalar("SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'es'")
            .fetch_one(&mut superuser)
            .await
            .unwrap();
    assert_eq!(owner, "allegiant_owner");
    drop(store);
    for statement in [
        format!("ALTER DATABASE {} OWNER TO session_user", database.name),
        format!("DROP OWNED BY {migrator}, {server}"),
        format!("REASSIGN OWNED BY {migrator} TO session_user"),
    ] {
        superuser.execute(statement.as_str()).await.unwrap();
    }
    superuser.close().await.unwrap();
    database.close().await;
}

#[tokio::test]
async fn a_copied_database_is_another_store() {
    let (one, two) = (world().await, world().await);
    assert_ne!(one.store.store_id(), two.store.store_id());
    assert_eq!(one.store.epoch(), 1);
    assert!(sqlx::query("SELECT es.renew_store_id()").execute(one.store.pool()).await.is_err());
}
