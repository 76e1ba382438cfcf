//! Opening an epoch: with its event, by the owner alone, at the head that was signed for.

use std::time::Duration;

use chrono::{DateTime, SubsecRound};
use domain::store::{EpochOpened, Opening, Seen, Witness};
use domain::{AccountId, Actor, Fact, StoreEvent, StoreLife, StoreRefusal};
use eventstore::{CommandContext, EpochError, ExecuteError, PublicKey, SigningKey, Store};
use futures::FutureExt as _;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::support::{clock, context, create, open, world};

const KEY: [u8; 32] = [3; 32];

/// What an operator accepts now.
async fn opening(store: &Store, epoch: u32) -> EpochOpened {
    let (head, hash) = store.head_and_hash().await.unwrap();
    let opening = Opening {
        store: store.store_id(),
        epoch,
        head,
        head_hash: hex::encode(hash),
        seen: vec![Seen { by: Witness::Bus, epoch: store.epoch(), position: head + 10 }],
        reason: Some("the disk was lost".to_owned()),
        accepted_at: clock().now().trunc_subsecs(6),
    };
    let key = SigningKey::from_seed(&KEY);
    let signature = hex::encode(key.sign(opening.statement().as_bytes()));
    EpochOpened { opening, key_id: key.key_id(), public_key: key.public_key().to_base64(), signature }
}

fn by_operator() -> CommandContext {
    CommandContext { actor: Actor::SYSTEM, roles: vec![], ..context(AccountId::generate()) }
}

/// Nothing more to write.
fn nothing(_: &mut PgConnection, _: u64) -> futures::future::BoxFuture<'_, Result<(), sqlx::Error>> {
    async { Ok(()) }.boxed()
}

#[tokio::test]
async fn an_opened_epoch_stands_in_history_and_in_every_store_that_is_opened_afterwards() {
    let world = world().await;
    create(&world.store, AccountId::generate()).await;
    world.settled().await;
    let opened = opening(&world.store, 2).await;
    world.store.open_epoch(by_operator(), opened.clone(), nothing).await.unwrap();
    assert_eq!(world.settled().await, 2);

    let again = open(&world.database.url, 4).await;
    assert_eq!((world.store.epoch(), again.epoch(), again.store_id()), (1, 2, world.store.store_id()));
    let rows = again.ledger(1, 10).await.unwrap();
    let recorded = rows[0].recorded.as_ref().unwrap();
    assert_eq!(recorded.fact, Fact::Store(StoreEvent::EpochOpened(opened)));
    assert_eq!(recorded.metadata.actor(), Actor::SYSTEM);
    assert_eq!(again.verify_chain(1, 2).await.unwrap().first_mismatch, None);
    let (life, version) = again.load_at::<StoreLife>(again.store_id(), None).await.unwrap();
    assert_eq!((life.epoch, version), (2, 1));

    // What an auditor reads is what was signed.
    let Fact::Store(StoreEvent::EpochOpened(read)) = &recorded.fact else { panic!("{recorded:?}") };
    let public = PublicKey::from_base64(&read.public_key).unwrap();
    let signature = hex::decode(&read.signature).unwrap().try_into().unwrap();
    assert!(public.verify(read.opening.statement().as_bytes(), &signature));
    let other = Opening { accepted_at: DateTime::UNIX_EPOCH, ..read.opening.clone() };
    assert!(!public.verify(other.statement().as_bytes(), &signature));
}

#[tokio::test]
async fn an_epoch_is_not_opened_twice_nor_by_a_server_nor_after_the_ledger_has_moved() {
    let world = world().await;
    create(&world.store, AccountId::generate()).await;
    world.settled().await;

    let stale = opening(&world.store, 1).await;
    let refused = world.store.open_epoch(by_operator(), stale, nothing).await;
    let Err(ExecuteError::Refused(EpochError::Refused(refusal))) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal, StoreRefusal::EpochPassed { current: 1 });

    let signed = opening(&world.store, 2).await;
    let server = server_login(&world.database.url, &world.database.name).await;
    let refused = open(&server, 4).await.open_epoch(by_operator(), signed.clone(), nothing).await;
    assert!(matches!(refused, Err(ExecuteError::Store(_))), "{refused:?}");

    create(&world.store, AccountId::generate()).await;
    world.settled().await;
    let refused = world.store.open_epoch(by_operator(), signed, nothing).await;
    assert!(matches!(refused, Err(ExecuteError::Store(_))), "{refused:?}");

    assert_eq!(world.count("SELECT epoch::bigint FROM es.store").await, 1);
    assert_eq!(world.count("SELECT count(*) FROM es.events WHERE aggregate_type = 'store'").await, 0);
}

#[tokio::test]
async fn what_is_written_beside_an_opening_goes_with_it() {
    fn fails(connection: &mut PgConnection, _: u64) -> futures::future::BoxFuture<'_, Result<(), sqlx::Error>> {
        async move { connection.execute("SELECT 1 / 0").await.map(drop) }.boxed()
    }
    let world = world().await;
    let opened = opening(&world.store, 2).await;
    assert!(world.store.open_epoch(by_operator(), opened, fails).await.is_err());
    assert_eq!(world.count("SELECT epoch::bigint FROM es.store").await, 1);
    assert_eq!(world.count("SELECT count(*) FROM es.events").await, 0);
}

#[tokio::test]
async fn a_store_of_a_past_epoch_finds_out() {
    let world = world().await;
    let watching = tokio::spawn({
        let store = world.store.clone();
        async move { store.superseded(CancellationToken::new()).await }
    });
    let opened = opening(&world.store, 2).await;
    world.store.open_epoch(by_operator(), opened, nothing).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(20), watching).await.unwrap().unwrap());
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    assert!(!open(&world.database.url, 4).await.superseded(cancelled).await);
}

#[tokio::test]
async fn events_that_a_backup_holds_without_positions_are_numbered_on_demand() {
    let world = world().await;
    // As another writer leaves them: nobody is woken.
    sqlx::query(
        "INSERT INTO es.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         SELECT 'project', gen_random_uuid(), 1, 'project-deleted', '1', '{\"type\":\"project-deleted\"}', '{}'
         FROM generate_series(1, 3)",
    )
    .execute(&mut world.superuser().await)
    .await
    .unwrap();
    assert!(world.store.number_pending(Duration::from_secs(20)).await.unwrap());
    assert_eq!(world.store.head().await.unwrap(), 3);
}

/// The address for a login that may be the server's role and nothing else.
async fn server_login(url: &str, database: &str) -> String {
    let login = format!("s_{database}");
    let mut superuser = PgConnection::connect(url).await.unwrap();
    superuser
        .execute(format!("CREATE ROLE {login} LOGIN PASSWORD 's' IN ROLE allegiant_server").as_str())
        .await
        .unwrap();
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    sqlx::ConnectOptions::to_url_lossy(&options.username(&login).password("s")).to_string()
}
