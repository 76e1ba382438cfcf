//! What is kept for a time only, and what happens when that is over.

use std::time::Duration;

use domain::{AccountId, Project, ProjectCommand, ProjectId};
use eventstore::{CommandContext, ExecuteError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::Kept;

use crate::world::{PATIENCE, Refused, World, context, header};

/// A command that opens a project, under an idempotency key.
async fn open(world: &World, owner: AccountId, context: CommandContext) -> Result<(), ExecuteError<Refused>> {
    let project = ProjectId::generate();
    let done = world.store.execute(context, move |session| {
        Box::pin(async move {
            session.load::<Project>(project.as_uuid()).await?;
            let command = ProjectCommand::Create { owner, header: header() };
            session.handle::<Project>(project.as_uuid(), owner, command)?;
            session.answer(b"opened".to_vec());
            Ok(())
        })
    });
    done.await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_go_with_their_answers_when_they_are_old_and_the_others_stay() {
    let world = World::new().await;
    let owner = AccountId::generate();
    let keyed = || CommandContext { request_hash: Some([1; 32]), ..context(owner) };
    let (old, new) = (keyed(), keyed());
    open(&world, owner, old.clone()).await.unwrap();
    // More than one batch of them.
    world
        .run(
            "INSERT INTO es.command_receipts (command_id, outcome, subject)
             SELECT gen_random_uuid(), '{}', gen_random_uuid() FROM generate_series(1, 5000)",
        )
        .await;
    world.run("UPDATE es.command_receipts SET recorded_at = recorded_at - interval '61 minutes'").await;
    open(&world, owner, new.clone()).await.unwrap();

    let (cancel, kept) = (CancellationToken::new(), Kept { receipts: Duration::from_secs(3600) });
    let period = Duration::from_millis(20);
    let running: Vec<_> = (0..2)
        .map(|_| tokio::spawn(worker::retention::run(world.store.clone(), kept, period, cancel.clone())))
        .collect();
    testkit::wait_until(PATIENCE, async || {
        (world.count("SELECT count(*) FROM es.command_receipts").await == 1).then_some(())
    })
    .await;
    cancel.cancel();
    for each in running {
        each.await.unwrap();
    }

    let receipt = |id: Uuid| world.store.receipt(id);
    assert_eq!(receipt(new.command_id).await.unwrap().unwrap().answer, Some(b"opened".to_vec()));
    assert!(receipt(old.command_id).await.unwrap().is_none());
    assert!(matches!(open(&world, owner, new).await, Err(ExecuteError::AlreadyDone)));
    open(&world, owner, old).await.unwrap();
    assert_eq!(world.settled().await, 3, "the events stay, and the key was free again");
}
