//! The migrated database that all others are copied from: made once for each state of the migrations.

use std::path::Path;

use sha2::{Digest, Sha256};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

use crate::database::connect;

/// The advisory lock under which a cluster's templates are made, whatever their migrations: these also make roles, which
/// belong to the whole cluster. The number has no meaning but to be ours.
const TEMPLATES: i64 = 0x7465_7374_6b69_7401;

/// How many databases of earlier runs one process removes at most.
const REMOVED_AT_ONCE: i64 = 50;

/// The template's name, once this process knows that it exists.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// Makes the template unless it exists, and returns its name. `connection` leads to the cluster's own database.
pub(crate) async fn ensure(cluster: &PgConnectOptions, connection: &mut PgConnection) -> &'static str {
    TEMPLATE.get_or_init(async || make(cluster, connection).await).await
}

async fn make(cluster: &PgConnectOptions, connection: &mut PgConnection) -> String {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations"));
    let migrations = Migrator::new(directory).await.expect("the migrations can be read");
    let name = format!("t_{}", digest(&migrations));
    // Held to the end of the connection's use here, so that parallel test programs wait for the one that migrates.
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(TEMPLATES)
        .execute(&mut *connection)
        .await
        .expect("the lock is had");
    remove_leftovers(connection, &name).await;
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(&name)
        .fetch_one(&mut *connection)
        .await
        .expect("the catalogue can be read");
    if !exists {
        migrate(cluster, connection, &migrations, &name).await;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(TEMPLATES).execute(connection).await.expect("the lock is let go");
    name
}

/// Migrates under another name first: a database with the template's name is complete, even if this process is killed.
async fn migrate(cluster: &PgConnectOptions, connection: &mut PgConnection, migrations: &Migrator, name: &str) {
    let unfinished = format!("{name}_unfinished");
    run(connection, &format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).await;
    run(connection, &format!("CREATE DATABASE {unfinished} TEMPLATE template0")).await;
    let mut inside = connect(&cluster.clone().database(&unfinished)).await;
    migrations.run(&mut inside).await.expect("the migrations apply to an empty database");
    inside.close().await.expect("the connection ends in order");
    // A database somebody is connected to cannot be copied.
    run(connection, &format!("ALTER DATABASE {unfinished} ALLOW_CONNECTIONS false")).await;
    run(connection, &format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await;
}

/// Removes what killed tests and older migrations left on a server that is kept running: ours by name, an hour old, unused.
async fn remove_leftovers(connection: &mut PgConnection, in_use: &str) {
    let leftovers: Vec<String> = sqlx::query_scalar(
        r"SELECT datname FROM pg_database d
          WHERE datname ~ '^(c_[0-9a-f]{32}|t_[0-9a-f]{16}(_unfinished)?)$'
            AND datname <> $2
            AND (pg_stat_file('base/' || oid || '/PG_VERSION', true)).modification < now() - interval '1 hour'
            AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)
          ORDER BY oid LIMIT $1",
    )
    .bind(REMOVED_AT_ONCE)
    .bind(in_use)
    .fetch_all(&mut *connection)
    .await
    .expect("the catalogue can be read");
    for name in leftovers {
        // Somebody may be using it after all, in which case it stays.
        let _ = connection.execute(format!("DROP DATABASE IF EXISTS {name}").as_str()).await;
    }
}

fn digest(migrations: &Migrator) -> String {
    let mut hasher = Sha256::new();
    for migration in migrations.iter() {
        hasher.update(migration.version.to_be_bytes());
        hasher.update(&migration.checksum);
    }
    hex::encode(&hasher.finalize()[..8])
}

async fn run(connection: &mut PgConnection, statement: &str) {
    connection.execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}
