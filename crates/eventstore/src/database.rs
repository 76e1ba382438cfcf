//! Migrations, roles and connections.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};

/// How long one statement may run, unless an operator says otherwise.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);

/// How to reach the database.
#[derive(Clone)]
pub struct Settings {
    /// PostgreSQL URL of a login that is a member of `allegiant_server`.
    pub database_url: String,
    /// Connections at most.
    pub max_connections: u32,
    /// Commands that may be carried out at the same time; more wait, and then are refused.
    pub command_permits: usize,
    /// How long to wait for a connection from the pool.
    pub acquire_timeout: Duration,
    /// How long one statement may run: 15 s at most, since a command counts on that.
    pub statement_timeout: Duration,
}

impl Settings {
    /// The usual bounds: 16 connections, 64 commands, 5 s for a connection, 15 s for a statement.
    #[must_use]
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            max_connections: 16,
            command_permits: 64,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: STATEMENT_TIMEOUT,
        }
    }
}

/// Every migration of the project, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// The database could not be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database, or the way to it.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or those applied are not ours.
    #[error("a migration failed")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// Applies all migrations that are missing, as the login of `migration_database_url`, which must be a superuser or have
/// CREATEROLE and CREATE on the database. That login may act as `allegiant_server` afterwards;
/// [`grant_server_role`] lets another one.
///
/// # Errors
///
/// [`MigrateError`] if the database cannot be reached, a migration fails, or an applied one differs from ours.
pub async fn migrate(migration_database_url: &str) -> Result<(), MigrateError> {
    let mut connection = PgConnection::connect(migration_database_url).await?;
    MIGRATOR.run_direct(&mut connection).await?;
    let login: String = sqlx::query_scalar("SELECT session_user::text").fetch_one(&mut connection).await?;
    grant(&mut connection, &login).await?;
    connection.close().await?;
    Ok(())
}

/// Lets `login` act as `allegiant_server`. For a server whose login is not the one that migrates.
///
/// # Errors
///
/// [`MigrateError::Database`] if the database cannot be reached, there is no such login, or granting is not allowed.
pub async fn grant_server_role(migration_database_url: &str, login: &str) -> Result<(), MigrateError> {
    let mut connection = PgConnection::connect(migration_database_url).await?;
    grant(&mut connection, login).await?;
    connection.close().await?;
    Ok(())
}

async fn grant(connection: &mut PgConnection, login: &str) -> Result<(), sqlx::Error> {
    let quoted: Option<String> = sqlx::query_scalar(
        "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = $1 AND NOT rolsuper
         AND NOT EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                         WHERE g.rolname = 'allegiant_server' AND m.member = pg_roles.oid)",
    )
    .bind(login)
    .fetch_optional(&mut *connection)
    .await?;
    // A superuser may act as anybody; a member stays one.
    if let Some(quoted) = quoted {
        sqlx::query(&format!("GRANT allegiant_server TO {quoted}")).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Opens the server's pool. Each connection acts as `allegiant_server`, bounds its statements, and finds out within a
/// minute when the other side is gone.
///
/// # Errors
///
/// [`sqlx::Error`] if the URL cannot be read, or no first connection can be made.
pub async fn connect(settings: &Settings) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = settings.database_url.parse()?;
    let options = options.application_name("allegiant").options([
        ("statement_timeout", settings.statement_timeout.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", "60000".to_owned()),
        // Our statements are short; a plan made on outdated figures would compile for longer than it runs.
        ("jit", "off".to_owned()),
        ("tcp_keepalives_idle", "30".to_owned()),
        ("tcp_keepalives_interval", "10".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
    ]);
    pool_options()
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .connect_with(options)
        .await
}

/// Options of a pool whose connections act as `allegiant_server`.
pub(crate) fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new().after_connect(|connection, _| {
        Box::pin(async move {
            sqlx::query("SET ROLE allegiant_server").execute(connection).await?;
            Ok(())
        })
    })
}

/// Begins a transaction with this statement, in a way that may be given up at any time, as a request is whose client goes.
///
/// sqlx (0.8.6) forgets a `BEGIN` whose answer nobody waits for any more: its connection goes back to the pool inside a
/// transaction that nobody ends, and whoever gets it next reads an old snapshot, or writes what is never committed. So a
/// task of its own waits for the answer, and a transaction that nobody wants is rolled back.
///
/// # Errors
///
/// [`sqlx::Error`] if no connection is to be had, or the database refuses.
pub async fn begin(pool: &PgPool, statement: &'static str) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with(statement).await }).await;
    // The task is never aborted, so it can only have ended with its runtime.
    begun.unwrap_or(Err(sqlx::Error::PoolClosed))
}

/// Whether every migration of this build, and no other, is applied.
///
/// # Errors
///
/// [`sqlx::Error`] if the database cannot be asked; a database that was never migrated is `Ok(false)`.
pub async fn migrations_current(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let never: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NULL").fetch_one(pool).await?;
    if never {
        return Ok(false);
    }
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(pool)
            .await?;
    let ours = MIGRATOR.iter().filter(|migration| !migration.migration_type.is_down_migration());
    Ok(ours.map(|m| (m.version, m.checksum.as_ref())).eq(applied.iter().map(|(v, c)| (*v, c.as_slice()))))
}
