//! Rows that need a ledger of many events.

use std::time::{Duration, Instant};

use domain::{AccountId, ProjectId};
use eventstore::Store;
use futures::TryStreamExt as _;
use projections::{ProjectDocument, ReadModel as _};
use sqlx::postgres::PgPoolCopyExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::commands::create;
use super::figure::{Figure, Target};
use super::load::wait_until_numbered;
use super::world::World;
use crate::machine::Memory;
use crate::{Error, Store as Arguments};

/// Events of one stream.
const STREAM: u32 = 10;
/// Commands under way at once while the ledger is filled.
const WRITERS: u64 = 16;
/// Rows of a page, as the runner of a rebuild reads them.
const PAGE: u32 = 5_000;

/// What [`Store::ledger`] selects.
const COPY: &str = "COPY (
    SELECT l.position, l.ledger_time, l.aggregate_type, l.aggregate_id, l.sequence, l.event_id, l.event_type, l.actor_id,
           e.event_version, e.payload, e.metadata, e.recorded_at
    FROM es.ledger l JOIN es.events e USING (aggregate_type, aggregate_id, sequence) ORDER BY l.position) TO STDOUT";

/// The whole ledger, page after page as facts, against COPY.
///
/// # Errors
///
/// Whatever kept it from being measured.
pub async fn read(arguments: &Arguments) -> Result<Vec<Figure>, Error> {
    let (world, store) = filled(arguments).await?;
    let head = store.head().await?;
    let (mut measured, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        reference.push(head as f64 / copy(&store).await?.as_secs_f64());
        measured.push(head as f64 / read_typed(&store).await?.as_secs_f64());
    }
    drop(store);
    world.remove().await?;
    let what = format!("reading a ledger of {head} events, typed, in pages of {PAGE}");
    let against = Some(("COPY TO STDOUT".to_owned(), reference));
    Ok(vec![Figure { against, ..Figure::alone(what, "events/s", measured, Target::AtLeast(0.7)) }])
}

/// The whole chain, computed again.
///
/// # Errors
///
/// [`Error::Chain`] if it is broken, or whatever kept it from being measured.
pub async fn verify(arguments: &Arguments) -> Result<Vec<Figure>, Error> {
    let (world, store) = filled(arguments).await?;
    let head = store.head().await?;
    let mut measured = Vec::new();
    for _ in 0..arguments.rounds {
        let begin = Instant::now();
        let verdict = store.verify_chain(1, head).await?;
        measured.push(head as f64 / begin.elapsed().as_secs_f64());
        if !verdict.ok() || verdict.checked != head {
            return Err(Error::Chain);
        }
    }
    drop(store);
    world.remove().await?;
    let what = format!("verifying the chain of {head} events");
    Ok(vec![Figure::alone(what, "events/s", measured, Target::AtLeast(200_000.0))])
}

/// The model of projects folded anew from the whole ledger and swapped in, in turn with reading the same events; and the
/// most memory this process held meanwhile.
///
/// # Errors
///
/// Whatever kept it from being measured.
pub async fn rebuild(arguments: &Arguments) -> Result<Vec<Figure>, Error> {
    let (world, store) = filled(arguments).await?;
    let head = store.head().await?;
    let (mut measured, mut reference, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        reference.push(head as f64 / read_typed(&store).await?.as_secs_f64());
        Memory::forget_peak()?;
        let begin = Instant::now();
        projections::rebuild(&store, ProjectDocument::NAME, &|_| (), &CancellationToken::new()).await?;
        measured.push(head as f64 / begin.elapsed().as_secs_f64());
        memory.push(Memory::of(std::process::id())?.peak_mb);
    }
    drop(store);
    world.remove().await?;
    let what = format!("rebuilding the read model of projects from {head} events");
    let against = Some(("reading them typed".to_owned(), reference));
    Ok(vec![
        Figure { against, ..Figure::alone(what, "events/s", measured, Target::AtLeast(0.5)) },
        Figure::alone("the process's peak of memory during a rebuild", "MB", memory, Target::AtMost(200.0)),
    ])
}

async fn read_typed(store: &Store) -> Result<Duration, Error> {
    let begin = Instant::now();
    let mut after = 0;
    loop {
        let page = store.ledger(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(begin.elapsed()) };
        after = last.position;
        if page.iter().any(|row| row.recorded.is_err()) {
            return Err(Error::Unreadable);
        }
    }
}

async fn copy(store: &Store) -> Result<Duration, Error> {
    let begin = Instant::now();
    let mut rows = store.pool().copy_out_raw(COPY).await?;
    while rows.try_next().await?.is_some() {}
    Ok(begin.elapsed())
}

/// A ledger with as many events as were asked for, and statistics about it.
async fn filled(arguments: &Arguments) -> Result<(World, Store), Error> {
    let world = World::make(arguments).await?;
    let store = world.open().await?;
    fill(&store, arguments.events).await?;
    sqlx::Executor::execute(&mut world.owner().await?, "VACUUM (ANALYZE) es.events, es.ledger").await?;
    Ok((world, store))
}

/// Writes streams of ten events by commands until there are as many, and waits until all are numbered.
async fn fill(store: &Store, events: u64) -> Result<(), Error> {
    let streams = events.div_ceil(u64::from(STREAM));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        let share = streams / WRITERS + u64::from(writer < streams % WRITERS);
        writers.spawn(async move {
            let owner = AccountId::generate();
            for _ in 0..share {
                create(&store, owner, ProjectId::generate(), STREAM).await.map_err(Error::command)?;
            }
            Ok(())
        });
    }
    writers.join_all().await.into_iter().collect::<Result<(), Error>>()?;
    wait_until_numbered(store, Duration::from_secs(600)).await
}
