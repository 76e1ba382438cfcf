//! The stock library alone, in turn with this store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_es::CqrsFramework;
use cqrs_es::persist::PersistedEventStore;
use domain::{AccountId, Project, ProjectCommand, ProjectId};
use postgres_es::PostgresEventRepository;
use projections::{ProjectDocument, Runner};
use sqlx::Executor as _;
use tokio::task::JoinSet;

use super::commands::{create, header};
use super::figure::{Figure, Target};
use super::load;
use super::world::{Following, World};
use crate::{Error, Store as Arguments};

/// Commands under way at once.
const CLIENTS: u16 = 8;

/// The tables that postgres-es asks for, as its own `db/init.sql` makes them.
const TABLES: &str = "
    CREATE TABLE stock_events (aggregate_type text NOT NULL, aggregate_id text NOT NULL,
        sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL,
        payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence));
    CREATE TABLE stock_snapshots (aggregate_type text NOT NULL, aggregate_id text NOT NULL,
        last_sequence bigint CHECK (last_sequence >= 0) NOT NULL, current_snapshot bigint CHECK (current_snapshot >= 0)
        NOT NULL, payload json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, last_sequence));
    GRANT SELECT, INSERT, UPDATE ON stock_events, stock_snapshots TO allegiant_server";

type Stock = CqrsFramework<Project, PersistedEventStore<PostgresEventRepository, Project>>;

/// The same aggregate, command and events through postgres-es: no receipt, no sealed values, no order over all streams,
/// no chain, no read model. The other side has all of them.
///
/// # Errors
///
/// Whatever kept it from being measured.
pub async fn measure(arguments: &Arguments) -> Result<Vec<Figure>, Error> {
    let world = World::make(arguments).await?;
    world.owner().await?.execute(TABLES).await?;
    let store = world.open().await?;
    let following = Following::start(&store, Runner::only::<ProjectDocument>(store.clone()));
    let tables = PostgresEventRepository::new(store.pool().clone()).with_tables("stock_events", "stock_snapshots");
    let stock = Arc::new(CqrsFramework::new(PersistedEventStore::new_event_store(tables), vec![], ()));
    let length = Duration::from_secs_f64(arguments.seconds);
    let command = |store, owner| async move { create(&store, owner, ProjectId::generate(), 1).await };
    load::run(&store, CLIENTS, length / 4, command).await?;
    commands_per_second(&stock, length / 4).await?;
    let (mut measured, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        reference.push(commands_per_second(&stock, length).await?);
        measured.push(load::run(&store, CLIENTS, length, command).await?.acknowledged);
    }
    following.stop().await;
    drop((store, stock));
    world.remove().await?;
    let what = format!("one-event commands, {CLIENTS} clients");
    let against = Some(("postgres-es alone".to_owned(), reference));
    Ok(vec![Figure { against, ..Figure::alone(what, "commands/s", measured, Target::AtLeast(1.0)) }])
}

async fn commands_per_second(stock: &Arc<Stock>, length: Duration) -> Result<f64, Error> {
    let begin = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..CLIENTS {
        let stock = Arc::clone(stock);
        running.spawn(async move {
            let owner = AccountId::generate();
            let mut commands = 0_u64;
            while begin.elapsed() < length {
                let command = ProjectCommand::Create { owner, header: header() };
                stock.execute(&ProjectId::generate().to_string(), command).await.map_err(Error::command)?;
                commands += 1;
            }
            Ok(commands)
        });
    }
    let commands = running.join_all().await.into_iter().sum::<Result<u64, Error>>()?;
    Ok(commands as f64 / begin.elapsed().as_secs_f64())
}
