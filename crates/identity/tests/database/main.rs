//! Credentials and sessions on a real, migrated database each, as the role the server has.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod credentials;
mod sessions;

use chrono::{DateTime, TimeDelta, Utc};
use domain::AccountId;
use identity::{Client, Credentials, Lifetimes, Secrets, Sessions};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::TestDatabase;

/// Any hash will do where nobody signs in with a password.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
const DAY: i64 = 86_400;

/// One test's database, and the crate on it.
struct Rig {
    pool: PgPool,
    credentials: Credentials,
    sessions: Sessions,
    database: TestDatabase,
}

async fn rig() -> Rig {
    let database = testkit::database().await;
    let pool = pool(&database, 5).await;
    Rig {
        credentials: Credentials::new(&secrets()),
        sessions: Sessions::new(pool.clone(), &secrets(), Lifetimes::default()),
        pool,
        database,
    }
}

impl Rig {
    /// Another instance of the server on the same database.
    fn other_instance(&self) -> Sessions {
        Sessions::new(self.pool.clone(), &secrets(), Lifetimes::default())
    }

    async fn account(&self) -> AccountId {
        let account = AccountId::generate();
        let email = format!("{account}@example.com");
        self.credentials.prepare(account, &email, HASH.to_owned(), at(0)).store(&self.pool).await.unwrap();
        account
    }
}

fn secrets() -> Secrets {
    Secrets::derive(&[7; 32])
}

async fn pool(database: &TestDatabase, connections: u32) -> PgPool {
    let options = PgPoolOptions::new().max_connections(connections).after_connect(|connection, _| {
        Box::pin(async move { sqlx::query("SET ROLE allegiant_server").execute(connection).await.map(|_| ()) })
    });
    options.connect(&database.url).await.unwrap()
}

/// The time of the tests: so many seconds after a moment in 2031.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_930_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

fn client() -> Client {
    Client { ip: Some("192.0.2.7".parse().unwrap()), user_agent: Some("Firefox/140.0".to_owned()) }
}
