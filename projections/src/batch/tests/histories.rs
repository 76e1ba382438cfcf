//! Histories of all sorts: a rebuild gives the rows that the live runner gives, and so does folding streams again.

use domain::StreamKey;
use eventstore::LedgerRow;
use proptest::prelude::{any, prop};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::*;
use crate::fill::{take_in, write};
use crate::folding::Folding;
use crate::generation::Generation;
use crate::history::History;
use crate::parking::Parked;
use crate::{JobDocument, ProjectDataDocument, ProjectDocument, ProposalState, TimelineEntry};

/// Histories that are tried.
const CASES: u32 = 24;

fn ledger(history: History) -> Vec<LedgerRow> {
    let rows = history.events.into_iter().zip(1..).map(|(recorded, position)| LedgerRow {
        position,
        ledger_time: recorded.recorded_at,
        aggregate_type: recorded.stream.kind.to_string(),
        aggregate_id: recorded.stream.id.to_string(),
        key: Some(recorded.stream),
        sequence: recorded.sequence,
        event_id: recorded.event_id,
        event_type: "in the history".to_owned(),
        actor_id: recorded.metadata.actor_id,
        recorded: Ok(recorded),
    });
    rows.collect()
}

/// Spoils every event of one stream from a sequence on.
fn spoiled(rows: &[LedgerRow], stream: StreamKey, from: u64) -> Vec<LedgerRow> {
    let mut rows = rows.to_vec();
    for row in rows.iter_mut().filter(|row| row.key == Some(stream) && from <= row.sequence) {
        row.recorded = Err(eventstore::DecodeError::Sealed);
    }
    rows
}

type Rows = Vec<(Uuid, serde_json::Value, serde_json::Value, i64)>;
type Lists = Vec<(Uuid, i64)>;

async fn stored(superuser: &mut PgConnection, generation: Generation) -> (Rows, Lists, i64) {
    let rows = sqlx::query_as(&format!("SELECT key, document, versions, position FROM {generation} ORDER BY key"))
        .fetch_all(&mut *superuser)
        .await
        .unwrap();
    let lists = sqlx::query_as(
        "SELECT owner_id, position FROM views.list_positions WHERE name = $1 AND generation = $2 ORDER BY owner_id",
    )
    .bind(generation.name)
    .bind(generation.number)
    .fetch_all(&mut *superuser)
    .await
    .unwrap();
    let parked = sqlx::query_scalar(
        "SELECT coalesce(sum(skipped), 0)::bigint FROM views.parked WHERE name = $1 AND generation = $2",
    )
    .bind(generation.name)
    .bind(generation.number)
    .fetch_one(superuser)
    .await
    .unwrap();
    (rows, lists, parked)
}

async fn same<M: ReadModel>(superuser: &mut PgConnection, rows: &[LedgerRow], cuts: &[prop::sample::Index]) {
    let [live, built] = [1, 2].map(|number| Generation::of(&Model::of::<M>(), number));
    for generation in [live, built] {
        sqlx::raw_sql(&format!("TRUNCATE {generation}; DELETE FROM views.list_positions; DELETE FROM views.parked"))
            .execute(&mut *superuser)
            .await
            .unwrap();
    }
    // The runner: a transaction for each batch, whatever the batches are.
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows.len() + 1)).collect();
    cuts.extend([0, rows.len()]);
    cuts.sort_unstable();
    let mut parked = Parked::new();
    for ends in cuts.windows(2) {
        let new = feed::<M>(superuser, live, &rows[ends[0]..ends[1]], parked.clone()).await.unwrap();
        parked.extend(new.into_iter().map(|parking| (parking.stream, parking.from_sequence)));
    }
    // A rebuild that can hold next to nothing, so that what was written is loaded and folded on.
    let mut folding = Folding::<M>::new(built, Parked::new());
    for page in rows.chunks(7) {
        take_in(&mut folding, superuser, page, 0, 3_000).await.unwrap();
    }
    write(&mut folding, superuser, 0).await.unwrap();
    assert_eq!(stored(superuser, built).await, stored(superuser, live).await, "{}, {cuts:?}", M::NAME);
}

#[tokio::test]
async fn a_rebuild_gives_the_rows_of_the_live_runner() {
    let mut world = World::new().await;
    for model in crate::runner::LIVE {
        sqlx::query("SELECT views.make_generation($1, 1)")
            .bind(model.name)
            .execute(&mut world.superuser)
            .await
            .unwrap();
    }
    let mut random = TestRunner::default();
    let histories = (
        prop::collection::vec(any::<u8>(), 1..80),
        prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        any::<prop::sample::Index>(),
    );
    for case in 0..CASES {
        let (steps, cuts, victim) = histories.new_tree(&mut random).unwrap().current();
        println!("case {case}: {steps:?}");
        let mut rows = ledger(History::of(&steps));
        // In every other case there is a stream that cannot be read from some event on.
        if case % 2 == 1 {
            let victim = &rows[victim.index(rows.len())];
            rows = spoiled(&rows, victim.key.unwrap(), victim.sequence);
        }
        same::<ProjectDocument>(&mut world.superuser, &rows, &cuts).await;
        same::<ProjectDataDocument>(&mut world.superuser, &rows, &cuts).await;
        same::<TimelineEntry>(&mut world.superuser, &rows, &cuts).await;
        same::<ProposalState>(&mut world.superuser, &rows, &cuts).await;
        same::<JobDocument>(&mut world.superuser, &rows, &cuts).await;
    }
}
