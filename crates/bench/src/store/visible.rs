//! How long it takes until others see a write.

use std::time::{Duration, Instant};

use domain::{AccountId, ProjectId};
use eventstore::Store;
use projections::{Reader, Runner, Views};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::commands::create;
use super::figure::{Figure, Target};
use super::world::{Following, World};
use crate::statistics::Distribution;
use crate::{Error, Store as Arguments};

/// Commands a second. They are begun at their times, however long those before them take.
const RATE: u32 = 200;
/// Accounts that send them in turn.
const ACCOUNTS: usize = 32;
/// How long a write may stay unseen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes through one instance, with all read models live, and reads through another, which does not wait in its query.
///
/// # Errors
///
/// Whatever kept it from being measured.
pub async fn measure(arguments: &Arguments) -> Result<Vec<Figure>, Error> {
    let world = World::make(arguments).await?;
    let (writing, reading) = (world.open().await?, world.open().await?);
    let following = Following::start(&writing, Runner::new(writing.clone()));
    let mut accounts = Vec::new();
    for _ in 0..ACCOUNTS {
        let account = AccountId::generate();
        writing.ensure_key(account).await?;
        accounts.push(account);
    }
    // Connections are opened and statements prepared.
    round(&writing, &reading, &accounts, Duration::from_secs(1)).await?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let mut took = round(&writing, &reading, &accounts, Duration::from_secs_f64(arguments.seconds)).await?;
        let distribution = Distribution::of(&mut took);
        p50.push(distribution.p50_ms);
        p99.push(distribution.p99_ms);
    }
    following.stop().await;
    drop((writing, reading));
    world.remove().await?;
    let what = format!("from acknowledged to visible through another instance, {RATE} commands/s");
    Ok(vec![
        Figure::alone(format!("{what}, p50"), "ms", p50, Target::AtMost(10.0)),
        Figure::alone(format!("{what}, p99"), "ms", p99, Target::AtMost(60.0)),
    ])
}

async fn round(
    writing: &Store,
    reading: &Store,
    accounts: &[AccountId],
    length: Duration,
) -> Result<Vec<Duration>, Error> {
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = JoinSet::new();
    for number in 0..(length.as_secs_f64() * f64::from(RATE)) as usize {
        ticks.tick().await;
        let (writing, reading, account) = (writing.clone(), reading.clone(), accounts[number % accounts.len()]);
        running.spawn(async move {
            let project = ProjectId::generate();
            create(&writing, account, project, 1).await.map_err(Error::command)?;
            seen(&reading, account, project).await
        });
    }
    running.join_all().await.into_iter().collect()
}

/// How long it takes from now until the project is found.
async fn seen(reading: &Store, account: AccountId, project: ProjectId) -> Result<Duration, Error> {
    let acknowledged = Instant::now();
    let views = Views::new(reading.clone());
    let reader = Reader { account, min_position: None, within: Duration::ZERO };
    let mut projected = reading.signals().projected();
    while acknowledged.elapsed() < PATIENCE {
        projected.borrow_and_update();
        if views.project(&reader, project).await?.value.is_some() {
            return Ok(acknowledged.elapsed());
        }
        let _ = projected.changed().await;
    }
    Err(Error::TooLong { what: "seeing a write", seconds: PATIENCE.as_secs() })
}
