//! What this PostgreSQL can do at all: one row a transaction, as `pgbench` would write it.

use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Error;

/// What a row holds besides its key; about as much as a small event.
const BODY: &str = r#"{"type":"project-created","name":"North plant","client":"Dairy of the Valley","sector":"industrial","subsector":"food_processing","location":"Guadalajara, Mexico","budget":0,"tags":["industrial"]}"#;

/// How PostgreSQL promises what it promises.
#[derive(Debug, Clone, Serialize)]
pub struct Postgres {
    /// Its version.
    pub version: String,
    /// Whether it waits for the disk at all.
    pub fsync: String,
    /// Whether a commit waits for it.
    pub synchronous_commit: String,
    /// Whether torn pages are repaired.
    pub full_page_writes: String,
}

/// Asks PostgreSQL how it is set.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn postgres(options: &PgConnectOptions) -> Result<Postgres, Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let (version, fsync, synchronous_commit, full_page_writes) = sqlx::query_as(
        "SELECT current_setting('server_version'), current_setting('fsync'), \
                current_setting('synchronous_commit'), current_setting('full_page_writes')",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(Postgres { version, fsync, synchronous_commit, full_page_writes })
}

/// Inserts rows into a table of its own for `length` and returns rows per second.
///
/// # Errors
///
/// [`Error::Database`], for example where the login may not make a table.
pub async fn inserts_per_second(options: &PgConnectOptions, connections: u16, length: Duration) -> Result<f64, Error> {
    let table = format!("bench_reference_{}", Uuid::new_v4().simple());
    let mut owner = PgConnection::connect_with(options).await?;
    owner.execute(format!("CREATE TABLE {table} (id uuid PRIMARY KEY, body text NOT NULL)").as_str()).await?;
    let counted = count(options, &table, connections, length).await;
    owner.execute(format!("DROP TABLE {table}").as_str()).await?;
    owner.close().await?;
    counted
}

async fn count(options: &PgConnectOptions, table: &str, connections: u16, length: Duration) -> Result<f64, Error> {
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(PgConnection::connect_with(options).await?);
    }
    let begin = Instant::now();
    let mut workers = JoinSet::new();
    for mut connection in opened {
        let statement = format!("INSERT INTO {table} (id, body) VALUES ($1, $2)");
        workers.spawn(async move {
            let mut rows = 0_u64;
            while begin.elapsed() < length {
                sqlx::query(&statement).bind(Uuid::now_v7()).bind(BODY).execute(&mut connection).await?;
                rows += 1;
            }
            connection.close().await?;
            Ok(rows)
        });
    }
    let rows = workers.join_all().await.into_iter().sum::<Result<u64, sqlx::Error>>()?;
    Ok(rows as f64 / begin.elapsed().as_secs_f64())
}
