//! How fast events are numbered and chained.

use std::time::{Duration, Instant};

use sqlx::{Executor as _, PgConnection};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::commands;
use super::figure::{Figure, Target};
use super::world::World;
use crate::{Error, Store as Arguments};

/// Events numbered in a round.
const EVENTS: u64 = 50_000;
/// How long a round may take.
const ROUND: Duration = Duration::from_secs(60);

/// Copies of an event that was stored, five in a stream, as another writer would add them: nobody is woken.
const INSERT: &str = "
    WITH sample AS (SELECT * FROM es.events ORDER BY insert_order LIMIT 1), round AS (SELECT gen_random_uuid()::text AS id)
    INSERT INTO es.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, actor_id)
    SELECT s.aggregate_type, md5(r.id || n / 5)::uuid::text, 1 + n % 5, s.event_type, s.event_version, s.payload,
           s.metadata, s.actor_id
    FROM sample s, round r, generate_series(0, $1::bigint - 1) n";

/// Numbers so many events a round, from the timer's first tick to the last event. With `old_snapshot`, a snapshot as
/// old as the first round stays open, so that no row of the pending table can be removed.
///
/// # Errors
///
/// Whatever kept it from being measured.
pub async fn measure(arguments: &Arguments, old_snapshot: bool) -> Result<Vec<Figure>, Error> {
    let world = World::make(arguments).await?;
    let store = world.open().await?;
    let owner = domain::AccountId::generate();
    commands::create(&store, owner, domain::ProjectId::generate(), 1).await.map_err(Error::command)?;
    super::load::wait_until_numbered(&store, ROUND).await?;
    let mut snapshot: PgConnection = world.owner().await?;
    if old_snapshot {
        snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        snapshot.execute("SELECT count(*) FROM es.event_pending").await?;
    }
    let mut writer = world.owner().await?;
    let mut head = store.head().await?;
    let mut measured = Vec::new();
    for _ in 0..arguments.rounds {
        sqlx::query(INSERT).bind(EVENTS.cast_signed()).execute(&mut writer).await?;
        head += EVENTS;
        let mut ledger = store.signals().ledger();
        let cancel = CancellationToken::new();
        let begin = Instant::now();
        let timer = tokio::spawn({
            let (store, cancel) = (store.clone(), cancel.clone());
            async move { store.run_sequencer(cancel).await }
        });
        let numbered = timeout(ROUND, ledger.wait_for(|position| head <= *position)).await;
        measured.push(EVENTS as f64 / begin.elapsed().as_secs_f64());
        numbered
            .ok()
            .and_then(Result::ok)
            .ok_or(Error::TooLong { what: "numbering the events", seconds: ROUND.as_secs() })?;
        cancel.cancel();
        let _ = timer.await;
    }
    let verdict = store.verify_chain(1, head).await?;
    if !verdict.ok() || verdict.checked != head {
        return Err(Error::Chain);
    }
    drop(snapshot);
    drop(store);
    world.remove().await?;

    let with = if old_snapshot { ", an old snapshot open" } else { "" };
    let what = format!("events numbered and chained, {EVENTS} a round{with}");
    let decay = measured.first().zip(measured.last()).map_or(0.0, |(first, last)| last / first);
    Ok(vec![
        Figure::alone(what, "events/s", measured, Target::AtLeast(15_000.0)),
        Figure::alone(format!("last round over first{with}"), "", vec![decay], Target::AtLeast(0.9)),
    ])
}
