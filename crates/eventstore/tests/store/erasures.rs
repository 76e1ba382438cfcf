//! Erasures are on record outside the database, and are made again where a backup brought a key back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use domain::{AccountId, Fact, ProjectEvent};
use eventstore::{ErasureList, Reconciled, StoreError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::{Executor as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::support::{MASTER, World, create, world};

struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self(std::env::temp_dir().join(testkit::unique("allegiant-erasures")))
    }

    fn list(&self, world: &World) -> ErasureList {
        ErasureList::new(self.0.clone(), &MASTER, world.store.store_id())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Nothing else to erase.
fn nothing<'c>(_: &'c mut PgConnection, _: &'c [Uuid]) -> BoxFuture<'c, Result<(), sqlx::Error>> {
    async { Ok(()) }.boxed()
}

/// What cannot be erased.
fn fails<'c>(connection: &'c mut PgConnection, _: &'c [Uuid]) -> BoxFuture<'c, Result<(), sqlx::Error>> {
    async move { connection.execute("SELECT 1 / 0").await.map(drop) }.boxed()
}

#[tokio::test]
async fn a_key_that_a_backup_brought_back_is_destroyed_again() {
    let (world, place) = (world().await, Place::new());
    let list = place.list(&world);
    world.store.keep_erasures(list.clone());
    let (ana, ben) = (AccountId::generate(), AccountId::generate());
    let (project, _) = create(&world.store, ana).await;
    create(&world.store, ben).await;
    let backup = sqlx::query("SELECT wrapped FROM es.subject_keys WHERE subject = $1").bind(ana.as_uuid());
    let wrapped: Vec<u8> = backup.fetch_one(&mut world.superuser().await).await.unwrap().get("wrapped");
    world.store.destroy_key(ana).await.unwrap();
    assert_eq!(list.subjects().unwrap(), BTreeSet::from([ana.as_uuid()]));

    sqlx::query("UPDATE es.subject_keys SET wrapped = $2, destroyed_at = NULL WHERE subject = $1")
        .bind(ana.as_uuid())
        .bind(wrapped)
        .execute(&mut world.superuser().await)
        .await
        .unwrap();
    let alive = "SELECT count(*) FROM es.subject_keys WHERE wrapped IS NOT NULL";
    assert!(world.store.reconcile_erasures(&list, fails).await.is_err());
    assert_eq!(world.count(alive).await, 2, "all or nothing");
    let once = world.store.reconcile_erasures(&list, nothing).await.unwrap();
    assert_eq!(once, Reconciled { listed: 1, erased_again: vec![ana.as_uuid()], added: 0 });
    let events = world.store.stream(project.into(), 0, 10).await.unwrap();
    let Fact::Project(ProjectEvent::ProjectCreated { header, .. }) = &events[0].fact else { panic!("{events:?}") };
    assert_eq!(header.client.text(), "[erased]");
    assert_eq!(world.count(alive).await, 1, "nobody else is erased");

    let again = world.store.reconcile_erasures(&list, nothing).await.unwrap();
    assert_eq!(again, Reconciled { listed: 1, ..Reconciled::default() });
}

#[tokio::test]
async fn an_erasure_that_never_reached_the_list_is_added_to_it() {
    let (world, place) = (world().await, Place::new());
    let list = place.list(&world);
    let subjects: Vec<AccountId> = (0..3).map(|_| AccountId::generate()).collect();
    for subject in &subjects {
        // As a process leaves it that dies before it writes the list.
        world.store.destroy_key(*subject).await.unwrap();
    }
    assert_eq!(world.store.reconcile_erasures(&list, nothing).await.unwrap().added, 3);
    assert_eq!(list.subjects().unwrap(), subjects.iter().map(|subject| subject.as_uuid()).collect::<BTreeSet<Uuid>>());
    assert_eq!(world.store.reconcile_erasures(&list, nothing).await.unwrap().added, 0);
}

#[tokio::test]
async fn an_erasure_is_no_success_without_its_line() {
    let world = world().await;
    let nowhere = std::env::temp_dir().join(testkit::unique("missing")).join("erasures");
    world.store.keep_erasures(ErasureList::new(nowhere, &MASTER, world.store.store_id()));
    let failed = world.store.destroy_key(AccountId::generate()).await;
    assert!(matches!(failed, Err(StoreError::Erasures(_))), "{failed:?}");
}
