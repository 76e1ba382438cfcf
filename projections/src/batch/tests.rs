//! Folds that go wrong, on real PostgreSQL.

use domain::account::{Origin, Profile};
use domain::{Account, AccountCommand, AccountEvent, AccountId, Actor, Clock, Personal, SessionId};
use eventstore::{CommandContext, MasterKey, Settings, Store};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::time::Instant;

use super::*;
use crate::Runner;

/// Counts an account's sign-ins, and cannot bear some browsers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
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
        let browser = match recorded.account()?.1 {
            AccountEvent::SessionStarted { origin, .. } => origin.user_agent.text().unwrap_or_default().to_owned(),
            AccountEvent::AccountRegistered { .. }
            | AccountEvent::SignInRefused { .. }
            | AccountEvent::SessionEnded { .. } => String::new(),
        };
        assert!(browser != "unbearable", "this browser is unbearable");
        Some(Self { count: before + 1, browser })
    }
}

async fn sign_in(store: &Store, account: AccountId, browser: &'static str) {
    let context = CommandContext {
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
    };
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

#[tokio::test]
async fn a_stream_whose_fold_panics_or_cannot_be_stored_is_parked_and_the_others_go_on() {
    let database = testkit::database().await;
    let mut superuser = PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE views.sign_ins_v1 (key uuid PRIMARY KEY, document jsonb NOT NULL, versions jsonb NOT NULL,
                                         position bigint NOT NULL);
         GRANT SELECT, INSERT, UPDATE, DELETE ON views.sign_ins_v1 TO allegiant_server;
         INSERT INTO views.checkpoints (name, version, live) VALUES ('sign_ins', 1, true);",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    let pool = eventstore::connect(&Settings::new(&database.url)).await.unwrap();
    let clock = Clock::new(|| "2026-01-20T09:31:02Z".parse().unwrap());
    let store = Store::open(pool, MasterKey::from_bytes([7; 32]), clock).await.unwrap();
    let runner = Runner::with(store.clone(), vec![Model::of::<SignIns>()]);
    let settle = async || {
        let pending = async || (store.pending().await.unwrap().0 == 0).then_some(());
        testkit::wait_until(Duration::from_secs(20), pending).await;
        runner.catch_up().await.unwrap();
    };

    let [sound, panics, nul, spoiled] = [(); 4].map(|()| AccountId::generate());
    for browser in ["a", "b"] {
        for account in [sound, panics, nul, spoiled] {
            sign_in(&store, account, browser).await;
        }
    }
    settle().await;
    sqlx::query("UPDATE views.sign_ins_v1 SET document = '{\"count\": \"many\"}' WHERE key = $1")
        .bind(spoiled.as_uuid())
        .execute(&mut superuser)
        .await
        .unwrap();
    // All in one batch: each trouble between events that are sound.
    for (account, browser) in [
        (panics, "c"),
        (sound, "c"),
        (panics, "unbearable"),
        (nul, "\u{0}"),
        (spoiled, "c"),
        (sound, "d"),
        (panics, "d"),
    ] {
        sign_in(&store, account, browser).await;
    }
    settle().await;

    let counts: Vec<(Uuid, Option<i32>)> =
        sqlx::query_as("SELECT key, CASE WHEN jsonb_typeof(document -> 'count') = 'number' THEN (document ->> 'count')::integer END FROM views.sign_ins_v1")
            .fetch_all(&mut superuser)
            .await
            .unwrap();
    let counts: HashMap<Uuid, Option<i32>> = counts.into_iter().collect();
    let count = |account: AccountId| counts[&account.as_uuid()];
    assert_eq!([count(sound), count(panics), count(nul), count(spoiled)], [Some(5), Some(4), Some(3), None]);

    let parked: Vec<(String, i64, i64, String)> = sqlx::query_as(
        "SELECT aggregate_id, from_sequence, skipped, error FROM views.parked WHERE name = 'sign_ins' ORDER BY position",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let unreadable = format!("session-started: {}", Unreadable(spoiled.as_uuid()));
    assert_eq!(
        parked,
        [
            (panics.to_string(), 5, 2, "session-started: panicked".to_owned()),
            (nul.to_string(), 4, 1, "a document cannot be stored as jsonb".to_owned()),
            (spoiled.to_string(), 4, 1, unreadable),
        ]
    );

    // Later batches go on skipping and counting.
    sign_in(&store, panics, "e").await;
    sign_in(&store, sound, "e").await;
    settle().await;
    let skipped: i64 = sqlx::query_scalar("SELECT skipped FROM views.parked WHERE aggregate_id = $1")
        .bind(panics.to_string())
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(skipped, 3);
}
