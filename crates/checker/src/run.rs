//! One run: servers of its own, clients, disturbances, and what must hold afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Utc;
use domain::Clock;
use eventstore::{MasterKey, Store};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rig::client::sign_up;
use rig::cluster::{Cluster, Disk};
use rig::free_port;
use rig::nats::PrivateNats;
use rig::redis::PrivateRedis;
use rig::server::Server;
use rig::site::Site;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::assertions;
use crate::disturbance::Scene;
use crate::history::History;
use crate::load::account::Account;
use crate::load::{Hand, Shared};
use crate::violation::Violation;
use crate::watch::{Watch, Watched};

/// How long the system may take at the end until nothing is under way any more: positions, read models, generations.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);

/// What a run is like.
#[derive(Debug, Clone)]
pub struct Options {
    /// What every choice derives from. The same seed makes the same choices; how they meet is up to the machine.
    pub seed: u64,
    /// How long clients write.
    pub lasts: Duration,
    /// Accounts.
    pub accounts: usize,
    /// Clients of each account.
    pub hands: usize,
    /// The server.
    pub binary: PathBuf,
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was found; none: every promise was kept.
    pub violations: Vec<Violation>,
    /// How many there are, those included that were not kept.
    pub found: usize,
    /// Commands that were acknowledged, refused, and not known of.
    pub commands: [u64; 3],
    /// Of those not known of, how many had their effect.
    pub unknown_with_effect: usize,
    /// Reads, and of those the ones that lacked an acknowledged write, with a true position.
    pub reads: [u64; 2],
    /// Events in the ledger.
    pub events: usize,
    /// Memory and lag.
    pub watched: Watched,
    /// What the servers logged as errors, with how often.
    pub errors: BTreeMap<String, usize>,
}

/// Carries out a run on servers of its own.
///
/// # Panics
///
/// If the servers cannot be started, or if what was written cannot be looked at afterwards.
pub async fn run(options: &Options) -> Report {
    let mut seeds = StdRng::seed_from_u64(options.seed);
    let cluster = Cluster::start(Disk::DoesNotWait).await;
    let other_database = "elsewhere";
    cluster.create_database(other_database).await;
    let (nats, redis) = (PrivateNats::start().await, PrivateRedis::start().await);
    let mut first_site = Site::in_cluster(&cluster, options.binary.clone()).await.with("LOG", "warn");
    if let Some(nats) = &nats {
        first_site.set("NATS_URL", nats.url());
    }
    first_site.set("REDIS_URL", redis.url());
    first_site.set("GENERATION_LEASE_SECONDS", "2");
    first_site.set("DATABASE_CONNECTIONS", "12");
    let second_site = first_site.on_port(free_port().await);
    first_site.set("PORT", free_port().await.to_string());
    let (mut first, second) = tokio::join!(first_site.start(), second_site.start());

    let shared = Arc::new(Shared::new(vec![first.url.clone(), second.url.clone()]));
    let hands = hands(options, &mut seeds, &shared, &first).await;
    let (disturbance, seen) = watch::channel("nothing");
    let (second_process, second_seen) = watch::channel(second.process());
    let watch = Watch { shared: &shared, process: first.process(), second: second_seen, disturbance: seen };
    let mut scene = Scene {
        cluster: &cluster,
        other_database,
        site: &first_site,
        nats,
        redis,
        second,
        second_site: &second_site,
        second_process,
    };
    let watching = CancellationToken::new();
    let everything = async {
        let writing = join_all(hands.into_iter().map(|hand| tokio::spawn(hand.run())));
        let disturbing = scene.disturb(seeds.random(), &shared.findings, &disturbance, &shared.stop);
        let ending = async {
            tokio::time::sleep(options.lasts).await;
            shared.stop.cancel();
        };
        let (histories, (), ()) = tokio::join!(writing, disturbing, ending);
        settle(&first_site.pool, &shared).await;
        watching.cancel();
        histories
    };
    let (watched, histories) = tokio::join!(watch.run(&watching), everything);

    let mut history = History::default();
    for of_hand in histories {
        let of_hand = of_hand.expect("a hand reports what it sees and does not panic");
        history.commands.extend(of_hand.commands);
        history.reads.extend(of_hand.reads);
    }
    for (name, server) in [("the first instance", &mut first), ("the second instance", &mut scene.second)] {
        let ended = server.stop().await;
        if !ended.success() {
            let what = format!("it ended with {ended} when it was asked to stop");
            shared.findings.add(Violation::Answer { to: name.to_owned(), what });
        }
    }
    let errors = errors([&first, &scene.second]);
    Report { errors, ..judge(options, &first_site, &shared, &history, watched).await }
}

/// What servers logged as errors: message and cause, with how often. It explains a finding and is none itself.
fn errors(servers: [&Server; 2]) -> BTreeMap<String, usize> {
    let mut errors = BTreeMap::new();
    for line in servers.iter().flat_map(|server| server.log()) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
        if line["level"] == "ERROR" {
            *errors.entry(format!("{}: {}", line["message"], line["error"])).or_default() += 1;
        }
    }
    errors
}

pub(crate) async fn hands(options: &Options, seeds: &mut StdRng, shared: &Arc<Shared>, server: &Server) -> Vec<Hand> {
    let mut hands = Vec::new();
    for number in 0..options.accounts {
        let person = sign_up(server).await;
        let token = person.client.token().expect("who has signed up is signed in");
        let account = Arc::new(Account::new(token.to_owned()));
        for index in 0..options.hands {
            let name = format!("a{number}-h{index}");
            hands.push(Hand::new(seeds.random(), Arc::clone(shared), Arc::clone(&account), name, index));
        }
    }
    hands
}

/// Waits until every event has its position, every read model has read everything, and every generation has ended.
pub(crate) async fn settle(pool: &PgPool, shared: &Shared) {
    let at_rest = async {
        loop {
            let rest: Result<bool, sqlx::Error> = sqlx::query_scalar(
                "SELECT NOT EXISTS (SELECT FROM es.event_pending) AND NOT EXISTS (SELECT FROM es.claims WHERE kind = 'job-slot')
                    AND NOT EXISTS (SELECT FROM views.checkpoints c WHERE c.live
                                    AND c.position < (SELECT max(l.position) FROM es.ledger l))",
            )
            .fetch_one(pool)
            .await;
            if rest.is_ok_and(|rest| rest) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(SETTLES_WITHIN, at_rest).await.is_err() {
        let what = format!("is not at rest {} s after the last command", SETTLES_WITHIN.as_secs());
        shared.findings.add(Violation::Answer { to: "the system".to_owned(), what });
    }
}

pub(crate) async fn judge(
    options: &Options,
    site: &Site,
    shared: &Shared,
    history: &History,
    watched: Watched,
) -> Report {
    let store = open(site).await;
    let (trail, found) = assertions::of_store(&store).await.expect("the store can be read after the run");
    shared.findings.extend(found);
    shared.findings.extend(assertions::of_history(history, &trail));
    shared.findings.extend(watched.violations());
    let by_tag = trail.by_tag();
    let unknown = history.commands.iter().filter(|command| command.verdict == crate::history::Verdict::Unknown);
    let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Report {
        seed: options.seed,
        violations: shared.findings.kept(),
        found: shared.findings.count(),
        commands: [of(&shared.acknowledged), of(&shared.refused), of(&shared.unknown)],
        unknown_with_effect: unknown.filter(|command| by_tag.contains_key(command.tag.as_str())).count(),
        reads: [of(&shared.reads), of(&shared.behind)],
        events: trail.events.len(),
        watched,
        errors: BTreeMap::new(),
    }
}

/// Opens the store of a site, for the assertions.
///
/// # Panics
///
/// If it cannot be opened.
pub async fn open(site: &Site) -> Store {
    let settings = eventstore::Settings::new(site.setting("DATABASE_URL"));
    let pool = eventstore::connect(&settings).await.expect("the database answers");
    let key = MasterKey::from_base64(site.setting("MASTER_KEY")).expect("a site has a master key");
    #[expect(clippy::disallowed_methods, reason = "the store asks for a clock, which reading does not use")]
    let clock = Clock::new(Utc::now);
    Store::open(pool, key, clock).await.expect("a store that servers have used can be opened")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [acknowledged, refused, unknown] = self.commands;
        let [reads, behind] = self.reads;
        writeln!(
            f,
            "seed {}: {acknowledged} commands acknowledged, {refused} refused, {unknown} not known of",
            self.seed
        )?;
        writeln!(
            f,
            "  ({} of the last with their effect); {} events in the ledger",
            self.unknown_with_effect, self.events
        )?;
        writeln!(f, "{reads} reads, {behind} of them behind their own account's writes, with a true position")?;
        let Watched { memory, second_memory, projection_lag, relay_lag, pending } = &self.watched;
        let most = memory.iter().map(|(_, bytes)| bytes >> 20).max().unwrap_or_default();
        writeln!(
            f,
            "most memory {most} + {} MB; longest lag: read models {projection_lag}, relay {relay_lag}, positions {pending} events",
            second_memory >> 20
        )?;
        if let Some((early, late)) = self.watched.growth() {
            writeln!(f, "memory of the first instance: {} MB early, {} MB late", early >> 20, late >> 20)?;
        }
        for (error, times) in &self.errors {
            writeln!(f, "the servers logged {times} times {error}")?;
        }
        writeln!(f, "{} findings", self.found)?;
        self.violations.iter().try_for_each(|violation| writeln!(f, "  {violation}"))
    }
}
