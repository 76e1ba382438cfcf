//! A database for one test, cloned from the migrated template in about 20 ms.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

use crate::{address, template, unique};

/// A database that belongs to one test and goes with it.
///
/// Its address is a superuser's, so that a test may look at everything; code under test takes the server's role itself.
#[derive(Debug)]
pub struct TestDatabase {
    /// Where to connect, as `postgres://…`.
    pub url: String,
    /// The database's name in the cluster.
    pub name: String,
    cluster: PgConnectOptions,
    removed: bool,
}

/// Makes a database with all migrations applied and a store identity of its own.
///
/// # Panics
///
/// If no test server is running, or if a migration fails.
pub async fn database() -> TestDatabase {
    let cluster = cluster();
    let mut connection = connect(&cluster).await;
    let template = template::ensure(&cluster, &mut connection).await;
    let database = create(&cluster, &mut connection, &format!("TEMPLATE {template} STRATEGY FILE_COPY")).await;
    renew_store_id(&database).await;
    database
}

/// Makes a database with nothing in it, for tests of the migrations themselves.
///
/// # Panics
///
/// If no test server is running.
pub async fn empty_database() -> TestDatabase {
    let cluster = cluster();
    let mut connection = connect(&cluster).await;
    create(&cluster, &mut connection, "TEMPLATE template0").await
}

impl TestDatabase {
    /// Removes the database now, and says so if that fails. Otherwise it goes, as well as it can, when dropped.
    ///
    /// # Panics
    ///
    /// If the cluster does not remove it.
    pub async fn close(mut self) {
        self.removed = true;
        remove(&self.cluster, &self.name).await.expect("the test's database is removed");
    }
}

/// How long the end of a test waits for its database to go.
const REMOVAL: std::time::Duration = std::time::Duration::from_secs(2);

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        // A runtime cannot be entered from within another one, so the removal gets a thread of its own. It is waited
        // for, since the process may end right after its last test.
        let (cluster, name) = (self.cluster.clone(), self.name.clone());
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            // A connection that was caught while it signed in keeps its database until PostgreSQL gives up on it.
            runtime.block_on(async { tokio::time::timeout(REMOVAL, remove(&cluster, &name)).await }).ok()?.ok()
        });
        // What is left behind by a failure is removed by a later run, see `template`.
        let _ = removal.join();
    }
}

fn cluster() -> PgConnectOptions {
    address("TEST_DATABASE_URL").parse().expect("TEST_DATABASE_URL is a PostgreSQL address")
}

/// Opens a connection to a database of the cluster.
pub(crate) async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options).await.expect("the test run's PostgreSQL server answers")
}

async fn create(cluster: &PgConnectOptions, connection: &mut PgConnection, from: &str) -> TestDatabase {
    let name = unique("c");
    connection
        .execute(format!("CREATE DATABASE {name} {from}").as_str())
        .await
        .expect("the cluster makes a database for the test");
    let url = cluster.clone().database(&name).to_url_lossy().to_string();
    TestDatabase { url, name, cluster: cluster.clone(), removed: false }
}

/// Two clones with one store identity would share streams and consumers on the bus, which is named by it.
async fn renew_store_id(database: &TestDatabase) {
    let mut connection = connect(&database.cluster.clone().database(&database.name)).await;
    let known: bool = sqlx::query_scalar("SELECT to_regprocedure('es.renew_store_id()') IS NOT NULL")
        .fetch_one(&mut connection)
        .await
        .expect("the catalogue can be read");
    if known {
        connection.execute("SELECT es.renew_store_id()").await.expect("the store gets an identity of its own");
    }
    connection.close().await.expect("the connection ends in order");
}

async fn remove(cluster: &PgConnectOptions, name: &str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect_with(cluster).await?;
    connection.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)").as_str()).await?;
    connection.close().await
}
