use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::{AccountId, Project, ProjectCommand, ProjectId, ProjectRefusal, StreamKey};
use eventstore::ExecuteError;
use sqlx::Executor;
use tokio::sync::{Barrier, Notify};
use tokio::time::Instant;

use crate::support::{Stop, add_tag, context, create, create_as, header, tag, tags, world};

#[tokio::test]
async fn what_was_decided_is_what_is_stored() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, committed) = create(&world.store, owner).await;
    let stream = StreamKey::from(project);
    assert_eq!(world.store.stream(stream, 0, 10).await.unwrap(), committed.events);
    assert_eq!(committed.events[0].sequence, 1);
    assert_eq!(committed.events[0].metadata.subject, owner.as_uuid());
    assert_eq!(committed.events[0].metadata.correlation_id, "course");

    let position = world.store.settle(&committed, Duration::from_secs(5)).await;
    assert_eq!(position, Some(1));
    let rows = world.store.ledger(0, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].recorded.as_ref().unwrap(), &committed.events[0]);
    assert_eq!((rows[0].position, rows[0].actor_id, rows[0].key), (1, owner.as_uuid(), Some(stream)));
    assert_eq!(world.store.position_of(stream, 1).await.unwrap(), Some(1));
    assert_eq!(world.store.version_at(stream, 9).await.unwrap(), Some((1, 1)));
    assert_eq!(world.store.version_at(stream, 0).await.unwrap(), None);
    assert_eq!(world.store.position_at_time(rows[0].ledger_time).await.unwrap(), 1);
    assert_eq!(world.store.position_at_time(rows[0].ledger_time - Duration::from_micros(1)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_command_that_was_overtaken_decides_anew_on_what_the_other_left() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let (together, attempts) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    let command = |name: &'static str| {
        let (store, together, attempts) = (world.store.clone(), Arc::clone(&together), Arc::clone(&attempts));
        async move {
            store
                .execute(context(owner), move |session| {
                    let (together, attempts) = (Arc::clone(&together), Arc::clone(&attempts));
                    Box::pin(async move {
                        add_tag(session, owner, project, name).await?;
                        // Both have loaded the same version before either appends.
                        if attempts.fetch_add(1, Ordering::SeqCst) < 2 {
                            together.wait().await;
                        }
                        Ok::<_, Stop>(session.version::<Project>(project.as_uuid()))
                    })
                })
                .await
                .unwrap()
        }
    };
    let (a, b) = tokio::join!(command("a"), command("b"));
    let mut versions = [a.value, b.value];
    versions.sort_unstable();
    assert_eq!(versions, [2, 3]);
    assert!(3 <= attempts.load(Ordering::SeqCst), "one of them was tried again");
    let mut found = tags(&world.store, project).await;
    found.sort();
    assert_eq!(found, ["a", "b"]);
}

#[tokio::test]
async fn two_streams_are_appended_to_together_or_not_at_all() {
    let world = world().await;
    let owner = AccountId::generate();
    let (first, second) = (ProjectId::generate(), ProjectId::generate());
    let both = |fails: bool| {
        let store = world.store.clone();
        async move {
            store
                .execute(context(owner), move |session| {
                    Box::pin(async move {
                        for project in [first, second] {
                            session.load::<Project>(project.as_uuid()).await?;
                            let command = ProjectCommand::Create { owner, header: header("Two") };
                            session.handle::<Project>(project.as_uuid(), owner, command)?;
                        }
                        if fails {
                            session.also(|connection| {
                                Box::pin(async move { connection.execute("SELECT 1 / 0").await.map(drop) })
                            });
                        }
                        Ok::<_, Stop>(())
                    })
                })
                .await
        }
    };
    assert!(matches!(both(true).await, Err(ExecuteError::Store(_))));
    assert_eq!(world.count("SELECT count(*) FROM es.events").await, 0);
    assert_eq!(world.count("SELECT count(*) FROM es.command_receipts").await, 0);
    let committed = both(false).await.unwrap();
    assert_eq!(committed.events.len(), 2);
    assert_eq!(world.count("SELECT count(*) FROM es.events").await, 2);
    // Version 7 identities sort by the time they were made.
    let order: Vec<_> = committed.events.iter().map(|event| event.stream.id).collect();
    assert_eq!(order, [first.as_uuid(), second.as_uuid()]);
    world.store.settle(&committed, Duration::from_secs(5)).await.unwrap();
    let ledger = world.store.ledger(0, 10).await.unwrap();
    assert_eq!(
        ledger.iter().map(|row| row.event_id).collect::<Vec<_>>(),
        committed.events.iter().map(|e| e.event_id).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_refusal_writes_nothing() {
    let world = world().await;
    let (owner, other) = (AccountId::generate(), AccountId::generate());
    let (project, _) = create(&world.store, owner).await;
    let refused = tag(&world.store, context(other), other, vec![project], "x".to_owned()).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Stop::Project(ProjectRefusal::NotFound)))));
    assert_eq!(world.count("SELECT count(*) FROM es.events").await, 1);
}

#[tokio::test]
async fn a_command_id_has_one_effect_however_often_it_comes() {
    let world = world().await;
    let owner = AccountId::generate();
    let context = context(owner);
    let sent: Vec<_> = (0..20)
        .map(|_| {
            let (store, context) = (world.store.clone(), context.clone());
            // Each would open another project: only the receipt keeps the others from it.
            tokio::spawn(async move { create_as(&store, context, owner, ProjectId::generate()).await })
        })
        .collect();
    let (mut done, mut repeated) = (0, 0);
    for command in sent {
        match command.await.unwrap() {
            Ok(_) => done += 1,
            Err(ExecuteError::AlreadyDone) => repeated += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((done, repeated), (1, 19));
    assert_eq!(world.count("SELECT count(*) FROM es.events").await, 1);
    let receipt = world.store.receipt(context.command_id).await.unwrap().unwrap();
    assert_eq!(receipt.streams.len(), 1);
    assert_eq!((receipt.streams[0].1, receipt.streams[0].2), (1, 1));
    assert_eq!(world.store.receipt(owner.as_uuid()).await.unwrap(), None);
}

#[tokio::test]
async fn a_command_without_effect_leaves_a_receipt_only_if_it_came_with_a_key() {
    let world = world().await;
    let owner = AccountId::generate();
    let mut context = context(owner);
    let nothing = |context| {
        let store = world.store.clone();
        async move {
            store
                .execute(context, |session| {
                    Box::pin(async move {
                        session.answer(b"for Ana Torres".to_vec());
                        Ok::<_, Stop>(7)
                    })
                })
                .await
        }
    };
    let unchanged = world.store.execute(context.clone(), |_| Box::pin(async { Ok::<_, Stop>(1) })).await.unwrap();
    assert_eq!((unchanged.value, unchanged.events.len(), unchanged.last_insert_order), (1, 0, None));
    assert_eq!(world.count("SELECT count(*) FROM es.command_receipts").await, 0);

    context.request_hash = Some([3; 32]);
    assert_eq!(nothing(context.clone()).await.unwrap().value, 7);
    assert!(matches!(nothing(context.clone()).await, Err(ExecuteError::AlreadyDone)));
    let receipt = world.store.receipt(context.command_id).await.unwrap().unwrap();
    assert_eq!((receipt.request_hash, receipt.answer), (Some([3; 32]), Some(b"for Ana Torres".to_vec())));
    world.store.destroy_key(owner).await.unwrap();
    assert_eq!(world.store.receipt(context.command_id).await.unwrap().unwrap().answer, None);
}

#[tokio::test]
async fn a_command_goes_on_when_its_caller_goes_away() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let caller = tokio::spawn({
        let (store, begun, go_on) = (world.store.clone(), Arc::clone(&begun), Arc::clone(&go_on));
        async move {
            store
                .execute(context(owner), move |session| {
                    let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
                    Box::pin(async move {
                        add_tag(session, owner, project, "kept").await?;
                        begun.notify_one();
                        go_on.notified().await;
                        Ok::<_, Stop>(())
                    })
                })
                .await
        }
    });
    begun.notified().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go_on.notify_one();
    world.store.drain().await;
    assert_eq!(tags(&world.store, project).await, ["kept"]);
}

#[tokio::test]
async fn nothing_starts_after_the_deadline() {
    let world = world().await;
    let owner = AccountId::generate();
    let late = eventstore::CommandContext { deadline: Instant::now(), ..context(owner) };
    let result = create_as(&world.store, late, owner, ProjectId::generate()).await;
    assert!(matches!(result, Err(ExecuteError::Deadline)), "{result:?}");
    assert_eq!(world.count("SELECT count(*) FROM es.events").await, 0);
}

#[tokio::test]
async fn a_panic_in_a_decision_is_an_error_and_writes_nothing() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let result = world
        .store
        .execute::<(), Stop, _>(context(owner), move |session| {
            Box::pin(async move {
                add_tag(session, owner, project, "x").await?;
                panic!("a test's panic")
            })
        })
        .await;
    assert!(matches!(result, Err(ExecuteError::Store(eventstore::StoreError::Panicked))));
    assert!(tags(&world.store, project).await.is_empty());
}

#[tokio::test]
async fn rows_of_others_are_written_with_the_events_and_their_constraints_are_named() {
    let world = world().await;
    let owner = AccountId::generate();
    let mut superuser = world.superuser().await;
    superuser.execute("CREATE TABLE public.names (name text CONSTRAINT names_once UNIQUE)").await.unwrap();
    superuser.execute("GRANT SELECT, INSERT ON public.names TO allegiant_server").await.unwrap();
    let named = || {
        let store = world.store.clone();
        async move {
            store
                .execute(context(owner), move |session| {
                    Box::pin(async move {
                        let project = ProjectId::generate();
                        session.load::<Project>(project.as_uuid()).await?;
                        let command = ProjectCommand::Create { owner, header: header("Named") };
                        session.handle::<Project>(project.as_uuid(), owner, command)?;
                        session.also(|connection| {
                            Box::pin(async move {
                                connection.execute("INSERT INTO public.names VALUES ('one')").await.map(drop)
                            })
                        });
                        Ok::<_, Stop>(())
                    })
                })
                .await
        }
    };
    named().await.unwrap();
    match named().await {
        Err(ExecuteError::Constraint(name)) => assert_eq!(name, "names_once"),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.count("SELECT count(*) FROM es.events").await, 1);
}
