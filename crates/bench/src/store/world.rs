//! A database of a row's own, and stores on it as the server opens them.

use std::time::SystemTime;

use domain::Clock;
use eventstore::{MasterKey, Settings, Store};
use projections::Runner;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Error, Store as Arguments};

/// A migrated database that goes with [`World::remove`].
pub struct World {
    owner: PgConnectOptions,
    name: String,
    master: MasterKey,
}

impl World {
    /// Makes the database. The login of the migration URL must be allowed to.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] or [`Error::Migration`].
    pub async fn make(arguments: &Arguments) -> Result<Self, Error> {
        let owner: PgConnectOptions = arguments.migration_url().parse()?;
        let name = format!("bench_{}", Uuid::new_v4().simple());
        let mut connection = PgConnection::connect_with(&owner).await?;
        connection.execute(format!("CREATE DATABASE {name}").as_str()).await?;
        connection.close().await?;
        let world =
            Self { owner: owner.database(&name), name, master: MasterKey::from_bytes(rand::random::<[u8; 32]>()) };
        eventstore::migrate(&world.url()).await?;
        Ok(world)
    }

    /// A store as the server opens it: 16 connections, 64 commands.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] or [`Error::Open`].
    pub async fn open(&self) -> Result<Store, Error> {
        let pool = eventstore::connect(&Settings::new(self.url())).await?;
        let clock = Clock::new(|| SystemTime::now().into());
        Ok(Store::open(pool, self.master.clone(), clock).await?)
    }

    /// A connection that may do everything.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn owner(&self) -> Result<PgConnection, Error> {
        Ok(PgConnection::connect_with(&self.owner).await?)
    }

    /// How to reach it as its owner.
    pub const fn options(&self) -> &PgConnectOptions {
        &self.owner
    }

    /// Removes the database, whoever is connected to it still.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn remove(self) -> Result<(), Error> {
        let mut connection = PgConnection::connect_with(&self.owner.database("postgres")).await?;
        connection.execute(format!("DROP DATABASE {} WITH (FORCE)", self.name).as_str()).await?;
        connection.close().await?;
        Ok(())
    }

    fn url(&self) -> String {
        self.owner.to_url_lossy().to_string()
    }
}

/// What runs beside the commands in a server: the sequencer's timer and a runner of read models.
pub struct Following {
    cancel: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Following {
    /// Starts them.
    pub fn start(store: &Store, runner: Runner) -> Self {
        let cancel = CancellationToken::new();
        let sequencer = tokio::spawn({
            let (store, cancel) = (store.clone(), cancel.clone());
            async move { store.run_sequencer(cancel).await }
        });
        let runner = tokio::spawn(runner.run(cancel.clone()));
        Self { cancel, tasks: [sequencer, runner] }
    }

    /// Ends them in order.
    pub async fn stop(self) {
        self.cancel.cancel();
        for task in self.tasks {
            // A task that panicked has said so; what it did not do shows in the figures.
            let _ = task.await;
        }
    }
}
