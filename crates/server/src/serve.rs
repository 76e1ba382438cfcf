//! `allegiant serve`: puts the parts together, runs them, and takes them apart in the right order.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::{ApiConfig, App, Front, Limiter, ModelState, Parts, PublicUrl};
use async_nats::ServerAddr;
use domain::Clock;
use drafting::{BreakerState, Drafter, ModelCheck, Provider};
use eventstore::Store;
use futures::FutureExt as _;
use identity::{Credentials, Lifetimes, Passwords, Secrets, Sessions};
use projections::{Runner, Views};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use worker::{Bus, BusStatus, Generations};

use crate::settings::{Environment, Serve};
use crate::{Failure, restore};

/// How long requests under way may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(26);
/// How long starting waits for NATS before it goes on without.
const NATS_AT_START: Duration = Duration::from_secs(3);
/// How often what is kept for a time only is looked through.
const RETENTION: Duration = Duration::from_secs(600);
/// How often the sweep looks for jobs that nobody works at.
const SWEEP: Duration = Duration::from_secs(2);

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
///
/// Whatever keeps it from starting: settings, a database that is not migrated, a wrong master key, a NATS server that is
/// too old, in production a model that the provider does not have, a port that is taken.
pub async fn run(settings: Serve, clock: Clock) -> Result<(), Failure> {
    let stop = stop_on_signals()?;
    let store = open_store(&settings, clock.clone()).await?;
    let (drafter, confirmed) = drafter(&settings, clock).await?;
    match &settings.signing_key {
        Some(key) => tracing::info!(key.id = key.key_id(), "evidence is signed with this key"),
        None => tracing::info!("no SIGNING_KEY: nothing is signed"),
    }
    let bus = connect_bus(&settings.nats_url, &store).await?;
    // Before anything is numbered, folded or published.
    restore::check(&store, &bus).await?;
    restore::erasures::keep(&store, settings.erasure_list.clone(), &settings.master_key).await?;
    let limiter = Limiter::new(Some(&settings.redis_url), &format!("allegiant:{}", store.store_id().simple()))
        .map(Arc::new)
        .map_err(|_| "REDIS_URL: not the address of a Redis server")?;
    let secrets = Secrets::derive(&settings.master_key.derive(b"allegiant/identity/v1"));
    let sessions = Sessions::new(store.pool().clone(), &secrets, Lifetimes::default());
    let listener = TcpListener::bind((settings.host.as_str(), settings.port))
        .await
        .map_err(|error| format!("cannot listen on {}:{}: {error}", settings.host, settings.port))?;
    let address = listener.local_addr()?;
    let app = App::new(Parts {
        config: config(&settings, address)?,
        store: store.clone(),
        views: Views::new(store.clone()),
        credentials: Credentials::new(&secrets),
        passwords: Passwords::new()?,
        sessions: sessions.clone(),
        limiter: Arc::clone(&limiter),
        metrics: metrics(),
        advice: advice(&drafter),
        nats: probe(&bus),
        model: model_state(&drafter, confirmed),
    });

    // Two lives: what serves requests ends first, what follows the ledger after the last request has been answered.
    let followers = CancellationToken::new();
    let tasks = TaskTracker::new();
    let generations = Generations::new(store.clone(), drafter, settings.generations.clone(), followers.clone());
    tasks.spawn({
        let (store, cancel) = (store.clone(), followers.clone());
        async move { store.run_sequencer(cancel).await }
    });
    tasks.spawn(Runner::new(store.clone()).run(followers.clone()));
    tasks.spawn(worker::relay::run(store.clone(), bus.clone(), followers.clone()));
    tasks.spawn(worker::consumer::run(generations.clone(), bus, followers.clone()));
    tasks.spawn(worker::sweep::run(generations.clone(), SWEEP, followers.clone()));
    tasks.spawn(worker::retention::run(store.clone(), settings.kept, RETENTION, followers.clone()));
    tasks.spawn({
        let cancel = followers.clone();
        async move { limiter.run(cancel).await }
    });
    tasks.spawn(metrics_upkeep(followers.clone()));
    tasks.close();

    announce(address)?;
    let superseded = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move {
            let superseded = store.superseded(stop.clone()).await;
            if superseded {
                tracing::error!("the store is in another epoch: a backup was accepted while this server ran");
                stop.cancel();
            }
            superseded
        }
    });
    api::serve(listener, Front::new(app), stop, PATIENCE).await;
    tracing::info!("stopping");
    followers.cancel();
    generations.stopped().await;
    tasks.wait().await;
    store.drain().await;
    if let Err(error) = sessions.write_last_seen().await {
        tracing::warn!(error = &error as &dyn Error, "when sessions were last seen is not stored");
    }
    store.pool().close().await;
    tracing::info!("stopped");
    if superseded.await? {
        return Err("the store is in another epoch than this server: start it again".into());
    }
    Ok(())
}

/// Tells scripts and tests where the server listens: one JSON line on standard output.
fn announce(address: SocketAddr) -> Result<(), Failure> {
    use std::io::Write as _;
    tracing::info!(%address, "listening");
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::json!({"listening": address.to_string()}))?;
    out.flush()?;
    Ok(())
}

/// Is cancelled by SIGTERM or Ctrl-C.
///
/// # Errors
///
/// If signals cannot be listened to.
pub fn stop_on_signals() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn({
        let stop = stop.clone();
        async move {
            tokio::select! {
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            }
            stop.cancel();
        }
    });
    Ok(stop)
}

async fn open_store(settings: &Serve, clock: Clock) -> Result<Store, Failure> {
    let mut database = eventstore::Settings::new(&settings.database.url);
    database.max_connections = settings.database.connections;
    let pool = eventstore::connect(&database).await.map_err(|error| {
        // The cause may name host and login, which is what an operator needs here and nobody else sees.
        format!("the database of DATABASE_URL cannot be reached, or `allegiant migrate` has never run: {error}")
    })?;
    if !eventstore::migrations_current(&pool).await? {
        return Err("the database is not at this build's migrations: run `allegiant migrate`".into());
    }
    Ok(Store::open(pool, settings.master_key.clone(), clock).await?)
}

/// The drafter, and whether the provider confirmed the model. Only its clear 'no such model' keeps production from
/// starting: a provider that is away now may be back for the first proposal.
async fn drafter(settings: &Serve, clock: Clock) -> Result<(Arc<Drafter>, bool), Failure> {
    let drafter = Arc::new(Drafter::new(drafting::Settings { model: settings.model.clone() }, clock)?);
    if let Provider::Offline = drafter.provider() {
        tracing::info!("no OPENAI_API_KEY: proposals are written from templates");
        return Ok((drafter, true));
    }
    match drafter.check_model().await {
        ModelCheck::Found => Ok((drafter, true)),
        ModelCheck::NoSuchModel if settings.environment == Environment::Production => {
            Err("OPENAI_MODEL: the provider has no such model".into())
        }
        ModelCheck::NoSuchModel => {
            tracing::warn!("OPENAI_MODEL: the provider has no such model");
            Ok((drafter, false))
        }
        ModelCheck::Unknown(class) => {
            tracing::warn!(class = class.as_str(), "the provider did not say whether it has the model of OPENAI_MODEL");
            Ok((drafter, false))
        }
    }
}

/// A connection that comes back by itself. The server starts without NATS, too: the sweep does the work then.
///
/// # Errors
///
/// If the address is none, or the server is too old.
pub async fn connect_bus(nats_url: &str, store: &Store) -> Result<Bus, Failure> {
    let address: ServerAddr = nats_url.parse().map_err(|_| "NATS_URL: not the address of a NATS server")?;
    let mut options = async_nats::ConnectOptions::new()
        .name("allegiant")
        .retry_on_initial_connect()
        .connection_timeout(Duration::from_secs(2));
    // The client leaves what the address says about the user aside, and would log all of it.
    if let (Some(user), Some(password)) = (address.username(), address.password()) {
        options = options.user_and_password(user.to_owned(), password.to_owned());
    }
    let host = address.host();
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let nameless: ServerAddr = format!("{}://{host}:{}", address.scheme(), address.port()).parse()?;
    let client = options.connect(nameless).await?;
    match tokio::time::timeout(NATS_AT_START, client.flush()).await {
        Ok(Ok(())) if !client.is_server_compatible(2, 10, 0) => {
            return Err("NATS_URL: the server is older than 2.10, which ignores what it does not know".into());
        }
        Ok(Ok(())) => (),
        Ok(Err(_)) | Err(_) => tracing::warn!("NATS does not answer; generations are found by the sweep meanwhile"),
    }
    Ok(Bus::new(client, store.store_id(), store.epoch()))
}

fn config(settings: &Serve, address: SocketAddr) -> Result<ApiConfig, Failure> {
    let public_url = settings.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let mut config = ApiConfig::at(PublicUrl::new(&public_url)?);
    config.cors_origins.clone_from(&settings.cors_origins);
    config.trusted_proxies.clone_from(&settings.trusted_proxies);
    config.rate_limits = settings.rate_limits;
    settings.environment.as_str().clone_into(&mut config.environment);
    config.generation_deadline = settings.generation_deadline;
    Ok(config)
}

fn metrics() -> api::Metrics {
    let metrics = telemetry::metrics();
    Arc::new(move || metrics.render())
}

fn advice(drafter: &Arc<Drafter>) -> api::Advice {
    let drafter = Arc::clone(drafter);
    Arc::new(move |project| drafter.request_warnings(project))
}

fn probe(bus: &Bus) -> api::Probe {
    let bus = bus.clone();
    Arc::new(move || {
        let status = bus.status();
        async move { status == BusStatus::Up }.boxed()
    })
}

/// How the provider does. What it said at the start holds for as long as the process runs.
fn model_state(drafter: &Arc<Drafter>, confirmed: bool) -> Arc<dyn Fn() -> ModelState + Send + Sync> {
    let drafter = Arc::clone(drafter);
    Arc::new(move || match (drafter.provider(), drafter.breaker()) {
        (Provider::Offline, _) => ModelState::NotConfigured,
        (Provider::OpenAi { .. }, BreakerState::Open) => ModelState::Open,
        (Provider::OpenAi { .. }, BreakerState::HalfOpen) => ModelState::HalfOpen,
        (Provider::OpenAi { .. }, BreakerState::Closed) if !confirmed => ModelState::Unconfirmed,
        (Provider::OpenAi { .. }, BreakerState::Closed) => ModelState::Closed,
    })
}

async fn metrics_upkeep(cancel: CancellationToken) {
    let metrics = telemetry::metrics();
    let mut ticks = tokio::time::interval(telemetry::UPKEEP_EVERY);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => metrics.run_upkeep(),
        }
    }
}
