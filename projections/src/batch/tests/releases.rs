//! Releases side by side: an older one that meets a newer one's event, and a version that takes another's place.

use std::sync::Mutex;

use domain::AccountCommand;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::rebuild::{RebuildError, rebuild_model};
use crate::verify::verify_model;
use crate::{Progress, generations, status};

/// The next release's: it counts browsers, and its documents have another shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Browsers {
    seen: Vec<String>,
}

impl ReadModel for Browsers {
    const NAME: &'static str = SignIns::NAME;
    const VERSION: i32 = 2;
    const TABLE: &'static str = "views.sign_ins_v2";
    const KINDS: &'static [StreamKind] = SignIns::KINDS;

    fn keys(recorded: &Recorded) -> Vec<Uuid> {
        SignIns::keys(recorded)
    }

    fn fold(document: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let mut seen = document.map_or_else(Vec::new, |document| document.seen);
        seen.push(browser(recorded)?);
        Some(Self { seen })
    }
}

async fn refuse(store: &Store, account: AccountId) {
    let context = context(account);
    store
        .execute(context, move |session| {
            async move {
                session.load::<Account>(account.as_uuid()).await.unwrap();
                let origin = Origin { address: Personal::new(None), user_agent: Personal::new(None) };
                session.handle::<Account>(account.as_uuid(), account, AccountCommand::RefuseSignIn { origin })
            }
            .boxed()
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_runner_yields_before_an_event_that_it_does_not_know_and_goes_on_behind_a_newer_one() {
    let mut world = World::new().await;
    let (ana, bob) = (AccountId::generate(), AccountId::generate());
    sign_in(&world.store, ana, "a").await;
    refuse(&world.store, ana).await;
    sign_in(&world.store, bob, "b").await;
    world.sequenced().await;

    let cancel = CancellationToken::new();
    let older = tokio::spawn(world.runner::<SignIns>().before("sign-in-refused").run(cancel.clone()));
    let position = async || {
        let rows = generations(&world.store).await.unwrap();
        rows.into_iter().find(|row| row.name == "sign_ins").unwrap()
    };
    // Ana has registered and signed in, and then there is the event that the older one does not know.
    testkit::wait_until(Duration::from_secs(20), async || (position().await.position == 2).then_some(())).await;
    let other = world.runner::<SignIns>().before("sign-in-refused");
    assert_eq!(other.catch_up().await.unwrap(), None, "nobody of this release gets past it");
    assert_eq!((position().await.position, position().await.parked), (2, 0), "nothing is parked for it");

    // A newer one beside it passes the event, and ends; the older one goes on from there by itself.
    assert_eq!(world.runner::<SignIns>().catch_up().await.unwrap(), Some(5));
    sign_in(&world.store, bob, "c").await;
    world.sequenced().await;
    testkit::wait_until(Duration::from_secs(20), async || (position().await.position == 6).then_some(())).await;
    cancel.cancel();
    older.await.unwrap();
    let counts = world.counts("views.sign_ins_v1").await;
    assert_eq!([ana, bob].map(|account| counts[&account.as_uuid()]), [Some(3), Some(3)]);
}

#[tokio::test]
async fn a_version_of_another_shape_is_filled_beside_the_old_one_and_both_are_read_by_their_releases() {
    let mut world = World::new().await;
    let [ana, bob] = [(); 2].map(|()| AccountId::generate());
    for browser in ["a", "b", "unbearable"] {
        sign_in(&world.store, ana, browser).await;
        sign_in(&world.store, bob, "c").await;
    }
    world.settle::<SignIns>().await;
    add_version(&mut world.superuser, 2, false).await;

    let seen = Mutex::new(Vec::new());
    let progress = |progress: Progress| seen.lock().unwrap().push(progress);
    let cancel = CancellationToken::new();
    let rebuilt = rebuild_model(&world.store, Model::of::<Browsers>(), &progress, &cancel).await.unwrap();
    assert_eq!((rebuilt.generation, rebuilt.replaced, rebuilt.position, rebuilt.parked), (2, None, 8, 0));
    assert_eq!(seen.lock().unwrap().last(), Some(&Progress { position: 8, to: 8 }));
    let read: Vec<(i32, i32, bool)> = sqlx::query_as(
        "SELECT version, generation, live FROM views.checkpoints WHERE name = 'sign_ins' ORDER BY version, generation",
    )
    .fetch_all(&mut world.superuser)
    .await
    .unwrap();
    assert_eq!(read, [(1, 1, true), (2, 2, true)], "the empty table of the migration is gone");

    // Each release's runner feeds its own.
    sign_in(&world.store, ana, "d").await;
    world.settle::<SignIns>().await;
    world.settle::<Browsers>().await;
    let browsers: serde_json::Value =
        sqlx::query_scalar("SELECT document -> 'seen' FROM views.sign_ins WHERE key = $1")
            .bind(ana.as_uuid())
            .fetch_one(&mut world.superuser)
            .await
            .unwrap();
    assert_eq!(browsers, serde_json::json!(["", "a", "b", "unbearable", "d"]), "the view shows the newest version");
    assert_eq!(world.counts("views.sign_ins_v1").await[&bob.as_uuid()], Some(4));
    let verdict = verify_model(&world.store, Model::of::<Browsers>(), &|_| (), &cancel).await.unwrap();
    assert_eq!((verdict.differing, verdict.documents, verdict.position), (0, 2, 9));
    assert!(status(&world.store).await.unwrap().iter().all(|model| model.name != "sign_ins"), "not ours to tell of");
}

#[tokio::test]
async fn a_rebuild_that_is_cancelled_or_was_killed_leaves_nothing_and_only_one_is_made_at_a_time() {
    let mut world = World::new().await;
    let ana = AccountId::generate();
    sign_in(&world.store, ana, "a").await;
    world.settle::<SignIns>().await;
    let model = Model::of::<SignIns>();
    let tables = async |superuser: &mut PgConnection| -> Vec<String> {
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE tablename LIKE 'sign_ins%' ORDER BY 1")
            .fetch_all(superuser)
            .await
            .unwrap()
    };

    let cancel = CancellationToken::new();
    cancel.cancel();
    let cancelled = rebuild_model(&world.store, model, &|_| (), &cancel).await;
    assert!(matches!(cancelled, Err(RebuildError::Cancelled)), "{cancelled:?}");
    assert_eq!(tables(&mut world.superuser).await, ["sign_ins_v1"]);

    // As a killed one leaves it.
    let left: i32 = sqlx::query_scalar("SELECT views.make_generation('sign_ins', 1)")
        .fetch_one(&mut world.superuser)
        .await
        .unwrap();
    assert_eq!((left, tables(&mut world.superuser).await.len()), (2, 2));
    sqlx::query("SELECT pg_advisory_lock(hashtextextended('allegiant projections sign_ins 1', 0))")
        .execute(&mut world.superuser)
        .await
        .unwrap();
    let cancel = CancellationToken::new();
    let busy = rebuild_model(&world.store, model, &|_| (), &cancel).await;
    assert!(matches!(busy, Err(RebuildError::Busy("sign_ins"))), "{busy:?}");
    sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut world.superuser).await.unwrap();
    let rebuilt = rebuild_model(&world.store, model, &|_| (), &cancel).await.unwrap();
    assert_eq!((rebuilt.generation, rebuilt.replaced), (3, Some(1)));
    assert_eq!(tables(&mut world.superuser).await, ["sign_ins_v1", "sign_ins_v1_g3"]);
}
