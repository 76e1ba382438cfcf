//! What befalls the system while clients use it. All of it ends by itself, and none of it may show in what is stored.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rig::cluster::Cluster;
use rig::nats::PrivateNats;
use rig::redis::PrivateRedis;
use rig::server::Server;
use rig::site::Site;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::violation::{Findings, Violation};

/// Rest between two disturbances at most.
const REST: Duration = Duration::from_secs(2);

/// Everything that can be disturbed.
pub(crate) struct Scene<'a> {
    pub(crate) cluster: &'a Cluster,
    /// The name of another database in the cluster.
    pub(crate) other_database: &'a str,
    pub(crate) site: &'a Site,
    pub(crate) nats: Option<PrivateNats>,
    pub(crate) redis: PrivateRedis,
    /// The instance that is ended and started again; the other one runs all the time.
    pub(crate) second: Server,
    /// The site with that instance's port.
    pub(crate) second_site: &'a Site,
    /// Told the number of its process.
    pub(crate) second_process: watch::Sender<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    ProjectionsStall,
    SequencerStalls,
    ForeignTransaction,
    TransactionInAnotherDatabase,
    OldSnapshot,
    RolledBackAppend,
    BackendsEnd,
    NatsAway,
    RedisAway,
    SecondStops,
    SecondIsKilled,
}

/// Each kind, with how long it lasts at least and at most, in milliseconds.
const KINDS: [(Kind, u64, u64); 11] = [
    // Longer than a read waits, so that some must say how far behind they are.
    (Kind::ProjectionsStall, 2_500, 6_000),
    (Kind::SequencerStalls, 300, 3_000),
    (Kind::ForeignTransaction, 1_000, 5_000),
    (Kind::TransactionInAnotherDatabase, 1_000, 5_000),
    (Kind::OldSnapshot, 2_000, 6_000),
    (Kind::RolledBackAppend, 500, 3_000),
    (Kind::BackendsEnd, 0, 200),
    (Kind::NatsAway, 500, 3_000),
    (Kind::RedisAway, 500, 3_000),
    (Kind::SecondStops, 0, 500),
    (Kind::SecondIsKilled, 0, 500),
];

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::ProjectionsStall => "projections stall",
            Self::SequencerStalls => "the sequencer stalls",
            Self::ForeignTransaction => "a foreign transaction is open",
            Self::TransactionInAnotherDatabase => "a transaction is open in another database",
            Self::OldSnapshot => "an old snapshot is open",
            Self::RolledBackAppend => "an append is rolled back",
            Self::BackendsEnd => "backends are ended",
            Self::NatsAway => "NATS is away",
            Self::RedisAway => "Redis is away",
            Self::SecondStops => "the second instance is stopped",
            Self::SecondIsKilled => "the second instance is killed",
        }
    }
}

impl Scene<'_> {
    /// Disturbs, one thing after the other, until it is told to stop; everything runs again afterwards. In the other
    /// database a transaction is open all the time.
    pub(crate) async fn disturb(
        &mut self,
        seed: u64,
        findings: &Findings,
        now: &watch::Sender<&'static str>,
        stop: &CancellationToken,
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut elsewhere =
            open(&self.cluster.url(self.other_database), "BEGIN; CREATE TABLE written_in (n int)").await;
        // Every kind comes once before any comes again, so that a short run sees all of them.
        let mut deck: Vec<(Kind, u64, u64)> = Vec::new();
        while !stop.is_cancelled() {
            if deck.is_empty() {
                deck = KINDS.to_vec();
            }
            let (kind, least, most) = deck.swap_remove(rng.random_range(..deck.len()));
            let lasts = Duration::from_millis(rng.random_range(least..=most));
            now.send_replace(kind.name());
            if let Err(error) = self.one(kind, lasts, &mut rng, findings).await {
                findings
                    .add(Violation::Answer { to: kind.name().to_owned(), what: format!("could not be done: {error}") });
            }
            now.send_replace("nothing");
            sleep(REST.mul_f64(rng.random())).await;
        }
        let _ = elsewhere.execute("ROLLBACK").await;
    }

    async fn one(&mut self, kind: Kind, lasts: Duration, rng: &mut StdRng, findings: &Findings) -> sqlx::Result<()> {
        let here = self.site.setting("DATABASE_URL").to_owned();
        match kind {
            Kind::ProjectionsStall => hold(&here, "SELECT FROM views.checkpoints FOR UPDATE", lasts).await,
            Kind::SequencerStalls => hold(&here, "SELECT FROM es.store FOR UPDATE", lasts).await,
            Kind::ForeignTransaction => hold(&here, "CREATE TABLE written_in (n int)", lasts).await,
            Kind::TransactionInAnotherDatabase => {
                hold(&self.cluster.url(self.other_database), "SELECT pg_current_xact_id()", lasts).await
            }
            Kind::OldSnapshot => {
                let begin = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM es.events";
                hold(&here, begin, lasts).await
            }
            Kind::RolledBackAppend => {
                // Takes insert orders, which are never given out again, and pending rows that nobody else ever sees.
                let append = "INSERT INTO es.events
                    (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                    SELECT 'project', gen_random_uuid()::text, n, 'project-deleted', '1', '{}', '{}'
                    FROM generate_series(1, 20) n";
                hold(&here, append, lasts).await
            }
            Kind::BackendsEnd => self.end_backends(rng, lasts).await,
            Kind::NatsAway => {
                if let Some(nats) = &mut self.nats {
                    nats.kill();
                    sleep(lasts).await;
                    nats.go_on().await;
                }
                Ok(())
            }
            Kind::RedisAway => {
                self.redis.kill();
                sleep(lasts).await;
                self.redis.go_on().await;
                Ok(())
            }
            Kind::SecondStops => {
                let ended = self.second.stop().await;
                if !ended.success() {
                    let what = format!("it ended with {ended} when it was asked to stop");
                    findings.add(Violation::Answer { to: "the second instance".to_owned(), what });
                }
                sleep(lasts).await;
                self.start_second().await;
                Ok(())
            }
            Kind::SecondIsKilled => {
                self.second.kill_now();
                sleep(lasts).await;
                self.start_second().await;
                Ok(())
            }
        }
    }

    async fn start_second(&mut self) {
        self.second = self.second_site.start().await;
        self.second_process.send_replace(self.second.process());
    }

    /// Ends three of the servers' connections, one after the other, whatever they are doing.
    async fn end_backends(&self, rng: &mut StdRng, between: Duration) -> sqlx::Result<()> {
        let mut connection = PgConnection::connect(self.site.setting("DATABASE_URL")).await?;
        for _ in 0..3 {
            let backends: Vec<i32> = sqlx::query_scalar(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'allegiant'
                 ORDER BY backend_start",
            )
            .fetch_all(&mut connection)
            .await?;
            if backends.is_empty() {
                break;
            }
            let backend = backends[rng.random_range(..backends.len())];
            sqlx::query("SELECT pg_terminate_backend($1)").bind(backend).execute(&mut connection).await?;
            sleep(between).await;
        }
        connection.close().await
    }
}

/// Holds a transaction open with what this statement takes, and rolls it back.
async fn hold(url: &str, statement: &str, lasts: Duration) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(&format!("BEGIN; {statement}")).execute(&mut connection).await?;
    sleep(lasts).await;
    connection.execute("ROLLBACK").await?;
    connection.close().await
}

async fn open(url: &str, statements: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.expect("the cluster answers before it is disturbed");
    sqlx::raw_sql(statements).execute(&mut connection).await.expect("a superuser may make a table");
    connection
}
