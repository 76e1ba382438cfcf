//! `allegiant restore accept`: an older backup becomes what happened, from a new epoch on.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use chrono::SubsecRound as _;
use domain::store::{EpochOpened, Opening};
use domain::{Actor, Clock};
use eventstore::{CommandContext, ExecuteError, Store};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;
use uuid::Uuid;
use worker::Bus;

use super::{Findings, erasures, look, told};
use crate::Failure;
use crate::serve::connect_bus;
use crate::settings::Accept;

/// How long numbering what a backup holds without positions may take.
const NUMBERING: Duration = Duration::from_secs(600);
/// How long opening the epoch may take.
const OPENING: Duration = Duration::from_secs(60);

/// What the operator says.
pub struct Answers {
    /// Why.
    pub reason: Option<String>,
    /// Do not ask.
    pub yes: bool,
    /// Open an epoch although nobody has seen a newer state, or the bus cannot be asked.
    pub anyway: bool,
}

/// Shows what is going to be lost, asks, and opens the epoch. Standard output tells what was done.
///
/// # Errors
///
/// Whatever keeps it from being opened; then nothing was changed, but that pending events may have got positions.
pub async fn run(settings: Accept, answers: Answers, clock: Clock) -> Result<(), Failure> {
    nobody_serves(&settings.database.migration_url).await?;
    if let Some(file) = settings.erasure_list.as_ref().filter(|file| !file.exists()) {
        return Err(format!(
            "ERASURE_LIST_FILE: there is no file {}; without it erasures since the backup would be undone. If there \
             were none, make an empty one",
            file.display()
        )
        .into());
    }
    let mut database = eventstore::Settings::new(&settings.database.migration_url);
    database.max_connections = 3;
    let pool = eventstore::connect(&database).await?;
    if !eventstore::migrations_current(&pool).await? {
        return Err("the database is not at this build's migrations: run `allegiant migrate`".into());
    }
    let store = Store::open(pool, settings.master_key.clone(), clock.clone()).await?;
    let bus = connect_bus(&settings.nats_url, &store).await?;
    let findings = look(&store, &bus).await?;
    let epoch = next_epoch(&store, &bus, &findings).await?;
    show(&store, &findings, epoch)?;
    if !answers.anyway {
        if let Some(why) = &findings.bus_silent {
            return Err(format!("NATS cannot be asked what it has seen ({why}); --anyway goes on without").into());
        }
        if findings.seen.is_empty() {
            return Err("nobody has seen a newer state: there is nothing to accept. --anyway opens an epoch for \
                        clients that may have seen one"
                .into());
        }
    }
    if !answers.yes {
        confirm()?;
    }
    if !store.number_pending(NUMBERING).await? {
        return Err("events of the backup are still without positions: is another server running?".into());
    }
    let opened = sign(&store, &settings, epoch, findings, answers.reason, &clock).await?;
    open(&store, opened).await?;

    // The store as it is now; the one above stays in its epoch.
    let store = Store::open(store.pool().clone(), settings.master_key.clone(), clock).await?;
    let numbered = store.number_pending(OPENING).await?;
    let reconciled = erasures::keep(&store, settings.erasure_list, &settings.master_key).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "epoch {} is open from position {} on", store.epoch(), store.head().await?)?;
    if !numbered {
        writeln!(out, "its own event gets a position when the next server starts")?;
    }
    writeln!(
        out,
        "{} erasures are listed; {} accounts were erased again",
        reconciled.listed,
        reconciled.erased_again.len()
    )?;
    writeln!(out, "everybody signs in again; the servers may be started")?;
    Ok(())
}

/// A server that goes on in the old epoch would hand out tags and positions that mean something else now.
async fn nobody_serves(url: &str) -> Result<(), Failure> {
    let mut connection = PgConnection::connect(url).await?;
    let others: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_catalog.pg_stat_activity
         WHERE datname = current_database() AND application_name = 'allegiant' AND pid <> pg_backend_pid()",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    if others == 0 {
        return Ok(());
    }
    Err(format!("allegiant is connected to this database {others} times: stop every server first").into())
}

/// The first epoch that nobody knows: an older backup may have been accepted before, and that been lost, too.
async fn next_epoch(store: &Store, bus: &Bus, findings: &Findings) -> Result<u32, Failure> {
    let published = if findings.bus_silent.is_some() { Vec::new() } else { bus.sights().await? };
    let known = published.iter().map(|sight| sight.epoch).chain(findings.seen.iter().map(|seen| seen.epoch));
    Ok(known.fold(store.epoch(), u32::max) + 1)
}

fn show(store: &Store, findings: &Findings, epoch: u32) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "store {}", store.store_id())?;
    writeln!(out, "the ledger of this backup ends at position {} of epoch {}", findings.head, store.epoch())?;
    for seen in &findings.seen {
        writeln!(out, "{}", told(seen))?;
        if seen.epoch == store.epoch() && findings.head < seen.position {
            let (first, last) = (findings.head + 1, seen.position);
            writeln!(out, "  lost: the {} events at the positions {first} to {last}", last - findings.head)?;
        }
    }
    writeln!(
        out,
        "epoch {epoch} will be opened: tags and cursors of clients become stale, and everybody signs in again"
    )?;
    out.flush()?;
    Ok(())
}

fn confirm() -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err("nobody can be asked here: say --yes if this is to be".into());
    }
    eprint!("What is lost cannot be had back afterwards. Type 'accept' to go on: ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim() == "accept" { Ok(()) } else { Err("not accepted; nothing was changed".into()) }
}

async fn sign(
    store: &Store,
    settings: &Accept,
    epoch: u32,
    findings: Findings,
    reason: Option<String>,
    clock: &Clock,
) -> Result<EpochOpened, Failure> {
    let (head, hash) = store.head_and_hash().await?;
    let opening = Opening {
        store: store.store_id(),
        epoch,
        head,
        head_hash: hex::encode(hash),
        seen: findings.seen,
        reason,
        accepted_at: clock.now().trunc_subsecs(6),
    };
    let key = &settings.signing_key;
    let signature = hex::encode(key.sign(opening.statement().as_bytes()));
    Ok(EpochOpened { opening, key_id: key.key_id(), public_key: key.public_key().to_base64(), signature })
}

async fn open(store: &Store, opened: EpochOpened) -> Result<(), Failure> {
    let command_id = Uuid::now_v7();
    let context = CommandContext {
        command_id,
        actor: Actor::SYSTEM,
        roles: Vec::new(),
        correlation_id: command_id.to_string(),
        causation_id: None,
        request_id: None,
        traceparent: None,
        request_hash: None,
        deadline: Instant::now() + OPENING,
        name: "restore.accept",
    };
    match store.open_epoch(context, opened, beside).await {
        Ok(_) => Ok(()),
        // The causes say which: above all a login that is not the one that migrates.
        Err(ExecuteError::Refused(refusal)) => Err(refusal.into()),
        Err(ExecuteError::Store(error)) => Err(error.into()),
        Err(error) => Err(format!("the epoch was not opened: {error}").into()),
    }
}

/// Read models that hold what no longer happened start over, and sessions that ended since do not live again.
fn beside(connection: &mut PgConnection, head: u64) -> BoxFuture<'_, Result<(), sqlx::Error>> {
    async move {
        projections::start_over(&mut *connection, Some(head)).await?;
        identity::end_all_sessions(connection).await?;
        Ok(())
    }
    .boxed()
}
