//! Commands on new streams, with everything running that runs beside them, against pgbench.

use std::time::Duration;

use domain::ProjectId;
use projections::{ProjectDocument, Runner};

use super::commands::create;
use super::figure::{Figure, Target};
use super::load::{self, Rates};
use super::pgbench::{self, Sample};
use super::world::{Following, World};
use crate::{Error, Store as Arguments};

/// One event a command, by 8 and by 32 clients.
///
/// # Errors
///
/// Whatever kept it from being measured.
pub async fn one_event(arguments: &Arguments) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for clients in [8, 32] {
        figures.extend(measure(arguments, clients, 1, "one-event commands", 0.35).await?);
    }
    Ok(figures)
}

/// Ten events a command.
///
/// # Errors
///
/// Whatever kept it from being measured.
pub async fn ten_events(arguments: &Arguments) -> Result<Vec<Figure>, Error> {
    measure(arguments, 8, 10, "ten-event commands", 1.5).await
}

async fn measure(
    arguments: &Arguments,
    clients: u16,
    events: u32,
    what: &str,
    target: f64,
) -> Result<Vec<Figure>, Error> {
    let world = World::make(arguments).await?;
    let store = world.open().await?;
    let following = Following::start(&store, Runner::only::<ProjectDocument>(store.clone()));
    let length = Duration::from_secs_f64(arguments.seconds);
    let command = move |store, owner| async move { create(&store, owner, ProjectId::generate(), events).await };
    // What is not measured: connections, statements prepared, and the row that pgbench is to insert.
    load::run(&store, clients, length / 4, command).await?;
    let sample = Sample::take(&mut world.owner().await?).await?;

    let (mut acknowledged, mut followed, mut reference) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        reference.push(pgbench::rows_per_second(&world, &sample, clients, arguments.seconds).await?);
        let rates: Rates = load::run(&store, clients, length, command).await?;
        acknowledged.push(rates.acknowledged);
        followed.push(rates.followed);
    }
    following.stop().await;
    drop(store);
    world.remove().await?;

    let what = format!("{what}, {clients} clients, {} bytes of payload and metadata", sample.bytes());
    let figure = |what, measured, target| Figure {
        against: Some(("pgbench".to_owned(), reference.clone())),
        ..Figure::alone(what, "events/s", measured, target)
    };
    Ok(vec![
        figure(what.clone(), acknowledged, Target::AtLeast(target)),
        figure(format!("{what}, until all are numbered and in the read model"), followed, Target::None),
    ])
}
