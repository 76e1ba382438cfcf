//! What the other crates' tests rely on, tried on the servers of this run.

use std::time::Duration;

use redis::AsyncCommands;
use sqlx::{Connection, Executor, PgConnection};

#[tokio::test]
async fn databases_made_at_the_same_time_are_apart_and_carry_the_same_migrations() {
    let (one, other) = tokio::join!(testkit::database(), testkit::database());
    assert_ne!(one.name, other.name);

    let mut in_one = PgConnection::connect(&one.url).await.unwrap();
    in_one.execute("CREATE TABLE only_here (n int)").await.unwrap();
    let mut in_other = PgConnection::connect(&other.url).await.unwrap();
    let seen: bool =
        sqlx::query_scalar("SELECT to_regclass('only_here') IS NOT NULL").fetch_one(&mut in_other).await.unwrap();
    assert!(!seen, "a table made in one test's database is in another's");

    let applied = "SELECT array_agg(version ORDER BY version) FROM _sqlx_migrations WHERE success";
    let of_one: Option<Vec<i64>> = sqlx::query_scalar(applied).fetch_one(&mut in_one).await.unwrap();
    let of_other: Option<Vec<i64>> = sqlx::query_scalar(applied).fetch_one(&mut in_other).await.unwrap();
    assert_eq!(of_one, of_other);
}

#[tokio::test]
async fn a_database_goes_with_its_test_even_while_connections_are_open() {
    let watcher = testkit::empty_database().await;
    let (dropped, closed) = (testkit::database().await, testkit::database().await);
    let names = [dropped.name.clone(), closed.name.clone()];
    let _still_open = PgConnection::connect(&dropped.url).await.unwrap();

    drop(dropped);
    closed.close().await;

    let mut connection = PgConnection::connect(&watcher.url).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = ANY($1)")
        .bind(&names[..])
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn nats_is_new_enough_and_keeps_messages() {
    let client = testkit::nats().await;
    assert!(client.is_server_compatible(2, 10, 0), "NATS {}", client.server_info().version);

    let jetstream = async_nats::jetstream::new(client);
    let name = testkit::unique("testkit");
    let settings = async_nats::jetstream::stream::Config {
        name: name.clone(),
        subjects: vec![name.clone()],
        ..Default::default()
    };
    let stream = jetstream.create_stream(settings).await.unwrap();
    jetstream.publish(name.clone(), "kept".into()).await.unwrap().await.unwrap();
    assert_eq!(stream.get_raw_message(1).await.unwrap().payload, "kept");
    jetstream.delete_stream(name).await.unwrap();
}

#[tokio::test]
async fn redis_answers() {
    let mut redis =
        redis::Client::open(testkit::redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let key = testkit::unique("testkit");
    let () = redis.set_ex(&key, 7, 60).await.unwrap();
    assert_eq!(redis.get::<_, i64>(&key).await.unwrap(), 7);
}

#[tokio::test]
async fn waiting_looks_again_until_there_is_something() {
    let mut looks = 0;
    let seen = testkit::wait_until(Duration::from_secs(5), async || {
        looks += 1;
        (looks == 3).then_some("seen")
    })
    .await;
    assert_eq!(seen, "seen");
}

#[tokio::test]
#[should_panic(expected = "did not happen within 30 ms")]
async fn waiting_ends_at_its_limit_even_if_a_look_hangs() {
    testkit::wait_until(Duration::from_millis(30), async || std::future::pending::<Option<()>>().await).await;
}
