//! One cell of the kill matrix: under load, one part of the system dies, comes back, and nothing may show.
//!
//! `docs/kill-matrix.md` says which parts, and at which points.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rig::cluster::{Cluster, Disk};
use rig::free_port;
use rig::nats::PrivateNats;
use rig::redis::PrivateRedis;
use rig::server::Server;
use rig::site::Site;

use crate::load::Shared;
use crate::run::{Options, Report, hands, judge, settle};
use crate::violation::Violation;
use crate::watch::Watched;

/// Commands that are acknowledged before a part dies that dies at any moment, and after it is back.
const SOME: u64 = 20;
/// Commands that are acknowledged while a part is away that the server can do without.
const MEANWHILE: u64 = 10;
/// Accounts, and clients of each.
const CLIENTS: (usize, usize) = (2, 3);
/// The same where a stream must grow long enough for a snapshot: all of them write to the same few projects.
const CLIENTS_OF_ONE: (usize, usize) = (1, 6);

/// What dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The server, by itself and as by `SIGKILL`, when it comes to a fail-point: a plan as `append.after=kill@20`.
    ServerAt(&'static str),
    /// A connection, as its user sees it, at a fail-point: a plan as `append.after=error@20`. Nothing else dies.
    ConnectionAt(&'static str),
    /// The PostgreSQL backend whose last statement is like this.
    Backend(&'static str),
    /// PostgreSQL's postmaster.
    Postmaster,
    /// NATS, which finds its store again.
    Nats,
    /// NATS with its store.
    NatsAndItsStore,
    /// Redis, with all it held.
    Redis,
}

/// Carries out one cell on servers of its own: clients write, the victim dies and comes back, clients go on, and then
/// everything must hold that [`crate::assertions`] says.
///
/// # Panics
///
/// If the victim does not die in time, or if servers cannot be started.
pub async fn one(victim: Victim, seed: u64, binary: PathBuf, with_failpoints: PathBuf) -> Report {
    // When a backend is killed, the postmaster makes the shared memory anew, and with it goes what waited for the disk.
    let disk = match victim {
        Victim::Backend(_) | Victim::Postmaster => Disk::Waits,
        Victim::ServerAt(_) | Victim::ConnectionAt(_) | Victim::Nats | Victim::NatsAndItsStore | Victim::Redis => {
            Disk::DoesNotWait
        }
    };
    let mut cluster = Cluster::start(disk).await;
    let mut nats = PrivateNats::start().await.expect("there is a NATS server: ./dev test fetches one");
    let mut redis = PrivateRedis::start().await;
    let mut site = Site::in_cluster(&cluster, binary.clone()).await.with("LOG", "warn");
    site.set("NATS_URL", nats.url());
    site.set("REDIS_URL", redis.url());
    site.set("GENERATION_LEASE_SECONDS", "2");
    site.set("DATABASE_CONNECTIONS", "8");
    let site = site.with("PORT", free_port().await.to_string());
    let armed = |plan| {
        let port = site.setting("PORT").parse().expect("a port is a number");
        site.on_port(port).with_binary(with_failpoints.clone()).with("FAILPOINTS", plan)
    };
    let mut server = match victim {
        Victim::ServerAt(plan) | Victim::ConnectionAt(plan) => armed(plan).start().await,
        Victim::Backend(_) | Victim::Postmaster | Victim::Nats | Victim::NatsAndItsStore | Victim::Redis => {
            site.start().await
        }
    };

    let (accounts, hands_of_each) = match victim {
        Victim::ServerAt(plan) if plan.starts_with("snapshot.") => CLIENTS_OF_ONE,
        _ => CLIENTS,
    };
    let options = Options { seed, lasts: Duration::ZERO, accounts, hands: hands_of_each, binary };
    let shared = Arc::new(Shared::new(vec![server.url.clone()]));
    let mut seeds = StdRng::seed_from_u64(seed);
    let writing: Vec<_> = hands(&options, &mut seeds, &shared, &server).await;
    let writing: Vec<_> = writing.into_iter().map(|hand| tokio::spawn(hand.run())).collect();
    match victim {
        Victim::ServerAt(plan) => {
            let ended = server.ended().await;
            assert!(reached(&server, plan), "the server ended with {ended}, but not at its fail-point {plan}");
            server = site.start().await;
        }
        Victim::ConnectionAt(plan) => {
            testkit::wait_until(rig::PATIENCE, async || reached(&server, plan).then_some(())).await;
        }
        Victim::Backend(statement) => {
            acknowledged(&shared, SOME).await;
            cluster.kill_backend(site.setting("DATABASE_URL"), statement).await;
        }
        Victim::Postmaster => {
            acknowledged(&shared, SOME).await;
            cluster.kill_postmaster();
            cluster.restart().await;
        }
        Victim::Nats | Victim::NatsAndItsStore => {
            acknowledged(&shared, SOME).await;
            nats.kill();
            acknowledged(&shared, MEANWHILE).await;
            if victim == Victim::Nats { nats.go_on().await } else { nats.go_on_empty().await }
        }
        Victim::Redis => {
            acknowledged(&shared, SOME).await;
            redis.kill();
            acknowledged(&shared, MEANWHILE).await;
            redis.go_on().await;
        }
    }
    // Clients find that their system is back.
    acknowledged(&shared, SOME).await;
    shared.stop.cancel();
    let mut history = crate::history::History::default();
    for hand in writing {
        let of_hand = hand.await.expect("a hand reports what it sees and does not panic");
        history.commands.extend(of_hand.commands);
        history.reads.extend(of_hand.reads);
    }
    settle(&site.pool, &shared).await;
    let ended = server.stop().await;
    if !ended.success() {
        let what = format!("it ended with {ended} when it was asked to stop");
        shared.findings.add(Violation::Answer { to: "the server".to_owned(), what });
    }
    judge(&options, &site, &shared, &history, Watched::default()).await
}

/// Waits until so many more commands have been acknowledged.
async fn acknowledged(shared: &Shared, more: u64) {
    let until = shared.acknowledged.load(Ordering::Relaxed) + more;
    let enough = async || (until <= shared.acknowledged.load(Ordering::Relaxed)).then_some(());
    testkit::wait_until(rig::PATIENCE, enough).await;
}

/// Whether the server has said that it came to the point of this plan.
fn reached(server: &Server, plan: &str) -> bool {
    let point = plan.split('=').next().unwrap_or_default();
    server.log().iter().any(|line| line.starts_with(&format!("failpoint {point}: ")))
}
