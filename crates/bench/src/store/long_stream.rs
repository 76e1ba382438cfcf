//! What a command costs on a long stream.

use std::time::{Duration, Instant};

use domain::{AccountId, ProjectId};
use eventstore::Store;

use super::commands::{change, create};
use super::figure::{Figure, Target};
use super::load::wait_until_numbered;
use super::world::World;
use crate::statistics::Distribution;
use crate::{Error, Store as Arguments};

/// Events of the long stream.
const LONG: u32 = 10_000;
/// Events of the short ones.
const SHORT: u32 = 10;
/// Events of one command while the long stream is made.
const AT_ONCE: u32 = 100;
/// Commands on each side in a round.
const COMMANDS: usize = 300;

/// One-event commands on a stream of 10,000 events, in turn with those on streams of 10, by one client.
///
/// # Errors
///
/// Whatever kept it from being measured.
pub async fn measure(arguments: &Arguments) -> Result<Vec<Figure>, Error> {
    let world = World::make(arguments).await?;
    let store = world.open().await?;
    let owner = AccountId::generate();
    store.ensure_key(owner).await?;
    let long = ProjectId::generate();
    create(&store, owner, long, AT_ONCE).await.map_err(Error::command)?;
    for _ in 1..LONG / AT_ONCE {
        change(&store, owner, long, AT_ONCE).await.map_err(Error::command)?;
    }
    let (mut measured, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let mut short = Vec::new();
        for _ in 0..COMMANDS {
            let project = ProjectId::generate();
            create(&store, owner, project, SHORT).await.map_err(Error::command)?;
            short.push(project);
        }
        wait_until_numbered(&store, Duration::from_secs(60)).await?;
        reference.push(median_ms(&store, owner, &short).await?);
        measured.push(median_ms(&store, owner, &vec![long; COMMANDS]).await?);
    }
    drop(store);
    world.remove().await?;
    let against = Some((format!("on a stream of {SHORT} events"), reference));
    let what = format!("a command on a stream of {LONG} events, median of {COMMANDS}");
    Ok(vec![Figure { against, ..Figure::alone(what, "ms", measured, Target::AtMost(1.3)) }])
}

async fn median_ms(store: &Store, owner: AccountId, projects: &[ProjectId]) -> Result<f64, Error> {
    let mut took = Vec::with_capacity(projects.len());
    for project in projects {
        let begin = Instant::now();
        change(store, owner, *project, 1).await.map_err(Error::command)?;
        took.push(begin.elapsed());
    }
    Ok(Distribution::of(&mut took).p50_ms)
}
