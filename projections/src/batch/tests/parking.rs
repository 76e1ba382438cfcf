//! Streams that are parked, and folded again.

use super::*;
use crate::retry::retry_model;

/// The same after somebody has mended it: it bears every browser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Mended {
    count: u32,
    browser: String,
}

impl ReadModel for Mended {
    const NAME: &'static str = SignIns::NAME;
    const VERSION: i32 = SignIns::VERSION;
    const TABLE: &'static str = SignIns::TABLE;
    const KINDS: &'static [StreamKind] = SignIns::KINDS;

    fn keys(recorded: &Recorded) -> Vec<Uuid> {
        SignIns::keys(recorded)
    }

    fn fold(document: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let browser = browser(recorded)?.replace('\0', " ");
        Some(Self { count: document.map_or(0, |document| document.count) + 1, browser })
    }
}

#[tokio::test]
async fn a_stream_whose_fold_panics_or_cannot_be_stored_is_parked_and_the_others_go_on() {
    let mut world = World::new().await;
    let [sound, panics, nul, spoiled] = [(); 4].map(|()| AccountId::generate());
    for browser in ["a", "b"] {
        for account in [sound, panics, nul, spoiled] {
            sign_in(&world.store, account, browser).await;
        }
    }
    world.settle::<SignIns>().await;
    sqlx::query("UPDATE views.sign_ins_v1 SET document = '{\"count\": \"many\"}' WHERE key = $1")
        .bind(spoiled.as_uuid())
        .execute(&mut world.superuser)
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
        sign_in(&world.store, account, browser).await;
    }
    world.settle::<SignIns>().await;

    let counts = world.counts("views.sign_ins_v1").await;
    let count = |account: AccountId| counts[&account.as_uuid()];
    assert_eq!([count(sound), count(panics), count(nul), count(spoiled)], [Some(5), Some(4), Some(3), None]);

    let parked: Vec<(String, i64, i64, String)> = sqlx::query_as(
        "SELECT aggregate_id, from_sequence, skipped, error FROM views.parked WHERE name = 'sign_ins' ORDER BY position",
    )
    .fetch_all(&mut world.superuser)
    .await
    .unwrap();
    let unreadable = format!("session-started: {}", Unreadable(spoiled.as_uuid()));
    assert_eq!(
        parked,
        [
            (panics.to_string(), 5, 2, "session-started: panicked".to_owned()),
            (nul.to_string(), 4, 1, "session-started: a document cannot be stored as jsonb".to_owned()),
            (spoiled.to_string(), 4, 1, unreadable),
        ]
    );

    // Later batches go on skipping and counting.
    sign_in(&world.store, panics, "e").await;
    sign_in(&world.store, sound, "e").await;
    world.settle::<SignIns>().await;
    let skipped: i64 = sqlx::query_scalar("SELECT skipped FROM views.parked WHERE aggregate_id = $1")
        .bind(panics.to_string())
        .fetch_one(&mut world.superuser)
        .await
        .unwrap();
    assert_eq!(skipped, 3);

    // Mended but for one: the stream whose document the other code had spoiled is folded from its first event on.
    let retried = retry_model(&world.store, Model::of::<SignIns>()).await.unwrap();
    let left: Vec<(&str, &str)> =
        retried.parked.iter().map(|parked| (parked.id.as_str(), parked.error.as_str())).collect();
    let (panics_id, nul_id) = (panics.to_string(), nul.to_string());
    let unstorable = "session-started: a document cannot be stored as jsonb";
    assert_eq!(left, [(panics_id.as_str(), "session-started: panicked"), (nul_id.as_str(), unstorable)]);
    assert_eq!((retried.unparked, retried.parked[0].skipped), (1, 3));
    let counts = world.counts("views.sign_ins_v1").await;
    assert_eq!(counts[&spoiled.as_uuid()], Some(4));
    assert_eq!(counts[&panics.as_uuid()], Some(4), "what there was of it stays");

    let retried = retry_model(&world.store, Model::of::<Mended>()).await.unwrap();
    assert_eq!(retried, Retried { unparked: 2, parked: vec![] });
    let counts = world.counts("views.sign_ins_v1").await;
    assert_eq!([panics, nul, sound].map(|account| counts[&account.as_uuid()]), [Some(7), Some(4), Some(6)]);
    sign_in(&world.store, panics, "f").await;
    world.settle::<Mended>().await;
    assert_eq!(world.counts("views.sign_ins_v1").await[&panics.as_uuid()], Some(8), "it is followed again");
}
