//! Folds that go wrong, releases that differ, and histories of all sorts, on real PostgreSQL.

mod histories;
mod parking;
mod releases;

use std::collections::HashMap;

use domain::account::{Origin, Profile};
use domain::{
    Account, AccountCommand, AccountEvent, AccountId, Actor, Clock, Personal, Recorded, SessionId, StreamKind,
};
use eventstore::{CommandContext, MasterKey, Settings, Store};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;
use crate::Runner;
use crate::documents::Unreadable;
use crate::retry::Retried;

/// Counts an account's sign-ins, and cannot bear some browsers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SignIns {
    count: u32,
    browser: String,
}

impl ReadModel for SignIns {
    const NAME: &'static str = "sign_ins";
    const VERSION: i32 = 1;
    const TABLE: &'static str = "views.sign_ins_v1";
    const KINDS: &'static [StreamKind] = &[StreamKind::Account];
    const AT_ONCE: usize = 2;

    fn keys(recorded: &Recorded) -> Vec<Uuid> {
        vec![recorded.stream.id]
    }

    fn fold(document: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let before = document.map_or(0, |document| document.count);
        let browser = browser(recorded)?;
        assert!(browser != "unbearable", "this browser is unbearable");
        Some(Self { count: before + 1, browser })
    }
}

fn browser(recorded: &Recorded) -> Option<String> {
    Some(match recorded.account()?.1 {
        AccountEvent::SessionStarted { origin, .. } => origin.user_agent.text().unwrap_or_default().to_owned(),
        AccountEvent::AccountRegistered { .. }
        | AccountEvent::SignInRefused { .. }
        | AccountEvent::SessionEnded { .. } => String::new(),
    })
}

fn context(account: AccountId) -> CommandContext {
    CommandContext {
        command_id: Uuid::now_v7(),
        actor: Actor::account(account),
        roles: vec![],
        correlation_id: "test".to_owned(),
        causation_id: None,
        request_id: None,
        traceparent: None,
        request_hash: None,
        deadline: Instant::now() + Duration::from_secs(20),
        name: "test",
    }
}

async fn sign_in(store: &Store, account: AccountId, browser: &'static str) {
    let context = context(account);
    let known = |text: &str| Personal::new(text.to_owned());
    store
        .execute(context, move |session| {
            async move {
                let id = account.as_uuid();
                session.load::<Account>(id).await.unwrap();
                let profile = Profile {
                    email: known("ana@example.com"),
                    first_name: known("Ana"),
                    last_name: known(""),
                    company_name: Personal::new(None),
                    location: Personal::new(None),
                    sector: None,
                    subsector: None,
                };
                if session.version::<Account>(id) == 0 {
                    session.handle::<Account>(id, account, AccountCommand::Register { profile })?;
                }
                let origin =
                    Origin { address: Personal::new(None), user_agent: Personal::new(Some(browser.to_owned())) };
                let start = AccountCommand::StartSession { session: SessionId::generate(), origin };
                session.handle::<Account>(id, account, start)
            }
            .boxed()
        })
        .await
        .unwrap();
}

/// A store with the model's table, and nobody who follows the ledger by itself.
struct World {
    _database: testkit::TestDatabase,
    store: Store,
    superuser: PgConnection,
}

impl World {
    async fn new() -> Self {
        let database = testkit::database().await;
        let mut superuser = PgConnection::connect(&database.url).await.unwrap();
        let pool = eventstore::connect(&Settings::new(&database.url)).await.unwrap();
        let clock = Clock::new(|| "2026-01-20T09:31:02Z".parse().unwrap());
        let store = Store::open(pool, MasterKey::from_bytes([7; 32]), clock).await.unwrap();
        add_version(&mut superuser, 1, true).await;
        Self { _database: database, store, superuser }
    }

    fn runner<M: ReadModel>(&self) -> Runner {
        Runner::with(self.store.clone(), vec![Model::of::<M>()])
    }

    /// Has the model contain everything there is.
    async fn settle<M: ReadModel>(&self) {
        self.sequenced().await;
        self.runner::<M>().catch_up().await.unwrap();
    }

    async fn sequenced(&self) {
        let pending = async || (self.store.pending().await.unwrap().0 == 0).then_some(());
        testkit::wait_until(Duration::from_secs(20), pending).await;
    }

    async fn counts(&mut self, table: &str) -> HashMap<Uuid, Option<i32>> {
        let rows: Vec<(Uuid, Option<i32>)> = sqlx::query_as(&format!(
            "SELECT key, CASE WHEN jsonb_typeof(document -> 'count') = 'number' THEN (document ->> 'count')::integer END
             FROM {table}"
        ))
        .fetch_all(&mut self.superuser)
        .await
        .unwrap();
        rows.into_iter().collect()
    }
}

/// What a migration does for a version of the model.
async fn add_version(superuser: &mut PgConnection, version: i32, live: bool) {
    sqlx::raw_sql(&format!(
        "SET ROLE allegiant_owner;
         CREATE TABLE views.sign_ins_v{version} (key uuid PRIMARY KEY, document jsonb NOT NULL, versions jsonb NOT NULL,
                                                 position bigint NOT NULL);
         GRANT SELECT, INSERT, UPDATE, DELETE ON views.sign_ins_v{version} TO allegiant_server;
         INSERT INTO views.checkpoints (name, version, live, filled) VALUES ('sign_ins', {version}, {live}, {live});
         RESET ROLE;"
    ))
    .execute(superuser)
    .await
    .unwrap();
}
