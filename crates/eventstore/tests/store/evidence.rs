//! Signed checkpoints, in the database and in a file: what they say, and what keeps one from being signed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use domain::AccountId;
use eventstore::evidence::tree::{Frontier, leaf};
use eventstore::evidence::{Checkpoint, CheckpointFile, Due, FileError, Signing, SigningError};
use eventstore::{SigningKey, Store};
use futures::TryStreamExt;
use sqlx::{Connection, Executor};
use tokio_util::sync::CancellationToken;

use crate::support::{World, context, create, tag, world};

fn key() -> SigningKey {
    SigningKey::from_seed(&[3; 32])
}

/// A file of its own, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("allegiant-checkpoints-{}.ndjson", uuid::Uuid::now_v7())))
    }

    fn file(&self) -> CheckpointFile {
        CheckpointFile::new(&self.0)
    }

    fn lines(&self) -> Vec<Checkpoint> {
        let text = fs::read_to_string(&self.0).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Appends as many events as that, and waits for their positions.
async fn grow(world: &World, events: u64) {
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    for n in 1..events {
        tag(&world.store, context(owner), owner, vec![project], n.to_string()).await.unwrap();
    }
    world.settled().await;
}

async fn sign(store: &Store) -> Checkpoint {
    match store.sign_checkpoint(&key(), Due::ALWAYS).await.unwrap() {
        Signing::Added(checkpoint) => *checkpoint,
        other => panic!("{other:?}"),
    }
}

async fn stored(store: &Store) -> Vec<Checkpoint> {
    let rows = store.checkpoints((0, 0), 100).await.unwrap();
    rows.into_iter().map(|(_, checkpoint)| checkpoint.unwrap()).collect()
}

/// As the owner of the tables, whom no trigger stops.
async fn tamper(world: &World, statements: &[&str]) {
    let mut owner = world.superuser().await;
    owner.execute("SET session_replication_role = replica").await.unwrap();
    for table in ["events", "ledger", "checkpoints"] {
        owner.execute(&*format!("ALTER TABLE es.{table} DISABLE TRIGGER {table}_append_only")).await.unwrap();
    }
    for statement in statements {
        let changed = owner.execute(*statement).await.unwrap().rows_affected();
        assert!(0 < changed, "{statement} changes something");
    }
}

#[tokio::test]
async fn each_checkpoint_signs_the_root_of_the_whole_ledger() {
    let world = world().await;
    assert_eq!(world.store.sign_checkpoint(&key(), Due::ALWAYS).await.unwrap(), Signing::NotDue);
    for events in [5, 1, 7] {
        grow(&world, events).await;
        let checkpoint = sign(&world.store).await;
        let ledger: Vec<_> = world.store.export(1, None).try_collect().await.unwrap();
        let mut tree = Frontier::default();
        ledger.iter().for_each(|event| tree.push(leaf(&event.hash)));
        let said = &checkpoint.statement;
        assert_eq!((said.position, said.root_hash), (tree.size(), tree.root()));
        assert_eq!(said.head_hash, ledger.last().unwrap().hash);
        assert_eq!((said.store_id, said.epoch), (world.store.store_id(), world.store.epoch()));
        assert!(checkpoint.is_by(&[key().public_key()]));
        assert_eq!(world.store.last_checkpoint().await.unwrap(), Some(checkpoint));
    }
    assert_eq!(world.store.sign_checkpoint(&key(), Due::ALWAYS).await.unwrap(), Signing::NotDue);
    assert_eq!(stored(&world.store).await.len(), 3);
}

#[tokio::test]
async fn a_checkpoint_is_due_by_positions_or_by_time() {
    let world = world().await;
    grow(&world, 3).await;
    sign(&world.store).await;
    grow(&world, 4).await;
    let due = Due { positions: 5, period: Duration::from_secs(3_600) };
    assert_eq!(world.store.sign_checkpoint(&key(), due).await.unwrap(), Signing::NotDue);
    let soon = Due { positions: 5, period: Duration::ZERO };
    assert!(matches!(world.store.sign_checkpoint(&key(), soon).await.unwrap(), Signing::Added(_)));
    grow(&world, 5).await;
    assert!(matches!(world.store.sign_checkpoint(&key(), due).await.unwrap(), Signing::Added(_)));
}

#[tokio::test]
async fn one_instance_signs_at_a_time() {
    let world = world().await;
    grow(&world, 2).await;
    let mut other = world.superuser().await;
    let mut turn = other.begin().await.unwrap();
    turn.execute("SELECT 1 FROM es.checkpoint_turn FOR UPDATE").await.unwrap();
    assert_eq!(world.store.sign_checkpoint(&key(), Due::ALWAYS).await.unwrap(), Signing::Elsewhere);
    turn.rollback().await.unwrap();
    sign(&world.store).await;
}

#[tokio::test]
async fn a_new_key_goes_on_from_a_tree_that_it_computed_itself() {
    let world = world().await;
    grow(&world, 6).await;
    sign(&world.store).await;
    grow(&world, 3).await;
    let new = SigningKey::from_seed(&[4; 32]);
    let Signing::Added(second) = world.store.sign_checkpoint(&new, Due::ALWAYS).await.unwrap() else { panic!() };
    let mut tree = Frontier::default();
    let ledger: Vec<_> = world.store.export(1, None).try_collect().await.unwrap();
    ledger.iter().for_each(|event| tree.push(leaf(&event.hash)));
    assert_eq!(second.statement.root_hash, tree.root());
    assert!(second.is_by(&[new.public_key()]) && !second.is_by(&[key().public_key()]));
}

#[tokio::test]
async fn nothing_is_signed_over_a_ledger_that_is_not_what_was_hashed_or_signed() {
    let changed = "UPDATE es.events SET payload = (payload::text || ' ')::json
                   WHERE (aggregate_type, aggregate_id, sequence) IN
                         (SELECT aggregate_type, aggregate_id, sequence FROM es.ledger WHERE position = 6)";
    for (statement, found) in [
        (changed, "position 6 of the ledger is not what was hashed"),
        ("DELETE FROM es.ledger WHERE position = 6", "position 6 of the ledger is not what was hashed"),
        ("DELETE FROM es.ledger WHERE position > 3", "the ledger ends at 3, before the last checkpoint at 4"),
        (
            "UPDATE es.checkpoints SET frontier = sha256(frontier)",
            "the checkpoint at position 4 in the database is not what was signed",
        ),
        (
            "UPDATE es.checkpoints SET root_hash = sha256(root_hash)",
            "the checkpoint at position 4 in the database is not what was signed",
        ),
        (
            "UPDATE es.checkpoints SET created_at = created_at + interval '1 h'",
            "the checkpoint at position 4 in the database is not what was signed",
        ),
    ] {
        let world = world().await;
        grow(&world, 4).await;
        sign(&world.store).await;
        grow(&world, 4).await;
        tamper(&world, &[statement]).await;
        let error = world.store.sign_checkpoint(&key(), Due::ALWAYS).await.unwrap_err();
        assert_eq!(error.to_string(), found, "{statement}");
        assert_eq!(world.count("SELECT count(*) FROM es.checkpoints").await, 1);
    }
}

#[tokio::test]
async fn checkpoints_are_never_changed_by_the_server() {
    let world = world().await;
    grow(&world, 2).await;
    sign(&world.store).await;
    for statement in ["UPDATE es.checkpoints SET epoch = 9", "DELETE FROM es.checkpoints", "TRUNCATE es.checkpoints"] {
        assert!(world.store.pool().execute(statement).await.is_err(), "{statement}");
        assert!(world.superuser().await.execute(statement).await.is_err(), "{statement}, as a superuser");
    }
}

#[tokio::test]
async fn the_file_gets_what_the_database_has_and_survives_a_torn_line() {
    let (world, scratch) = (world().await, Scratch::new());
    assert_eq!(scratch.file().last().unwrap(), None);
    grow(&world, 3).await;
    sign(&world.store).await;
    grow(&world, 3).await;
    sign(&world.store).await;
    scratch.file().catch_up(&world.store, &key()).await.unwrap();
    assert_eq!(scratch.lines(), stored(&world.store).await);
    scratch.file().catch_up(&world.store, &key()).await.unwrap();
    assert_eq!(scratch.lines().len(), 2, "nothing twice");
    // A crash while the next one was written.
    let mut text = fs::read_to_string(&scratch.0).unwrap();
    text.push_str(r#"{"storeId":"0198"#);
    fs::write(&scratch.0, text).unwrap();
    grow(&world, 3).await;
    sign(&world.store).await;
    scratch.file().catch_up(&world.store, &key()).await.unwrap();
    assert_eq!(scratch.lines(), stored(&world.store).await);
    assert_eq!(scratch.file().last().unwrap(), world.store.last_checkpoint().await.unwrap());
}

#[tokio::test]
async fn a_file_that_says_otherwise_is_left_alone() {
    let (mine, scratch) = (world().await, Scratch::new());
    grow(&mine, 3).await;
    sign(&mine.store).await;
    grow(&mine, 3).await;
    sign(&mine.store).await;
    scratch.file().catch_up(&mine.store, &key()).await.unwrap();
    let before = fs::read(&scratch.0).unwrap();

    let other = world().await;
    grow(&other, 3).await;
    sign(&other.store).await;
    let error = scratch.file().catch_up(&other.store, &key()).await.unwrap_err();
    assert!(matches!(error, FileError::OtherStore(id) if id == mine.store.store_id()), "{error}");

    tamper(&mine, &["DELETE FROM es.checkpoints WHERE position = 6"]).await;
    let error = scratch.file().catch_up(&mine.store, &key()).await.unwrap_err();
    assert!(matches!(error, FileError::Ahead { position: 6, .. }), "{error}");
    // Signed anew, as whoever has both the tables and the server would.
    sign(&mine.store).await;
    let error = scratch.file().catch_up(&mine.store, &key()).await.unwrap_err();
    assert!(matches!(error, FileError::Differs(6)) && error.is_contradiction(), "{error}");
    assert!(SigningError::from(error).to_string().contains("file"));
    assert_eq!(fs::read(&scratch.0).unwrap(), before);
}

#[tokio::test]
async fn the_task_signs_as_the_ledger_grows_and_once_more_at_the_end() {
    let (world, scratch) = (world().await, Scratch::new());
    let cancel = CancellationToken::new();
    let task = tokio::spawn({
        let (store, file, cancel) = (world.store.clone(), scratch.file(), cancel.clone());
        let due = Due { positions: 3, period: Duration::from_secs(3_600) };
        async move { store.run_checkpoints(key(), due, Some(file), cancel).await }
    });
    grow(&world, 4).await;
    testkit::wait_until(Duration::from_secs(20), async || {
        let last = scratch.file().last().unwrap()?;
        (3 <= last.statement.position).then_some(())
    })
    .await;
    grow(&world, 1).await;
    cancel.cancel();
    task.await.unwrap();
    let last = scratch.file().last().unwrap().unwrap();
    assert_eq!(last.statement.position, 5, "what was written last does not wait for the next start");
    assert_eq!(scratch.lines(), stored(&world.store).await);
}
