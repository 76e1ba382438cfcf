//! `bench http`: the whole measurement, from the start of the server to the table.

use std::fs;
use std::num::NonZero;
use std::pin::pin;
use std::time::Duration;

use http::Uri;
use sqlx::postgres::PgConnectOptions;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::load::{self, Outcome, Window};
use crate::machine::{Machine, Memory};
use crate::reference::{self, inserts_per_second};
use crate::report::{Conditions, Generation, Look, Report, Row};
use crate::server::Server;
use crate::statistics::Distribution;
use crate::{Error, Http as Arguments};

mod account;
mod scenario;
mod sheet;

use self::account::{Account, Written};
pub use self::scenario::Scenario;
use self::scenario::Stage;

/// Projects the account has before the first scenario: as many as the longest list that is measured.
const PROJECTS: u64 = 100;
/// How long the server is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(2);
/// How long the reference runs each time, at most.
const REFERENCE: Duration = Duration::from_secs(3);
/// How long the account may take to be filled, in one piece.
const FILLING: Duration = Duration::from_secs(1800);

/// Measures, prints the table, and returns whether every request was answered as it should be.
///
/// # Errors
///
/// Whatever kept the measurement from being made. The end of the server's log goes to standard error then.
pub async fn run(arguments: &Arguments) -> Result<bool, Error> {
    let mut interrupted = pin!(interrupted()?);
    let machine = Machine::look(&arguments.server)?;
    let database = arguments.parts.database()?;
    let postgres = reference::postgres(&database).await?;
    let mut server = tokio::select! {
        started = Server::start(&arguments.server, arguments.parts.clone()) => started?,
        () = &mut interrupted => return Err(Error::Interrupted),
    };
    let mut report = Report {
        machine,
        postgres,
        conditions: Conditions {
            connections: arguments.connections,
            warm_up_seconds: arguments.warm_up,
            seconds: arguments.requests.is_none().then_some(arguments.seconds),
            requests: arguments.requests,
            sheet_bytes: sheet::whole().to_string().len(),
        },
        scenarios: Vec::new(),
        generation: None,
        memory: Vec::new(),
    };
    let measured = tokio::select! {
        measured = measure(arguments, &database, &mut server, &mut report) => measured,
        () = &mut interrupted => Err(Error::Interrupted),
    };
    let (log, stopped) = server.stop().await;
    let outcome = measured.and(stopped);
    if outcome.as_ref().is_err_and(|error| !matches!(error, Error::Interrupted)) {
        eprintln!("the server's log ends with:\n{log}");
    }
    if outcome.is_ok() || !report.scenarios.is_empty() {
        println!("{}", report.markdown());
    }
    if let Some(file) = &arguments.json {
        let text =
            serde_json::to_vec_pretty(&report).map_err(|e| Error::File("the figures cannot be written", e.into()))?;
        fs::write(file, text).map_err(|e| Error::File("the figures cannot be written", e))?;
    }
    outcome.map(|()| report.is_clean())
}

/// Ends when somebody wants the measurement to end. From this call on a signal no longer ends the process by itself.
fn interrupted() -> Result<impl Future<Output = ()>, Error> {
    let listen = |kind| signal(kind).map_err(|e| Error::Program("the measurement", "protected from signals", e));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
    })
}

async fn measure(
    arguments: &Arguments,
    database: &PgConnectOptions,
    server: &mut Server,
    report: &mut Report,
) -> Result<(), Error> {
    let address = server.ready().await?;
    look(server, report, "ready, before the first request").await?;

    let chosen = |stage: Stage| {
        let wanted = |scenario: &Scenario| arguments.only.is_empty() || arguments.only.contains(scenario);
        Scenario::all().iter().copied().filter(move |scenario| scenario.stage() == stage && wanted(scenario))
    };
    let mut account = Account::sign_up(address).await?;
    let with_proposals = chosen(Stage::Begun).any(Scenario::needs_proposals);
    let mut prepared = scenario::prepare(&mut account, PROJECTS, with_proposals).await?;

    let mut reference = 0.0;
    for scenario in chosen(Stage::Begun) {
        if reference == 0.0 || scenario.writes() {
            let length = REFERENCE.min(Duration::from_secs_f64(arguments.seconds.max(0.1)));
            reference = inserts_per_second(database, arguments.connections, length).await?;
        }
        let row = drive(arguments, &mut account, &mut prepared, scenario, reference).await?;
        report.scenarios.push(row);
    }
    look(server, report, "after the load").await?;

    if arguments.generations > 0 {
        report.generation = Some(generate(&mut account, arguments.generations).await?);
        look(server, report, "after the generations").await?;
    }

    if arguments.projects > 0 {
        let total = fill(&mut account, arguments.connections, arguments.projects).await?;
        look(server, report, &format!("with {total} projects created")).await?;
        for scenario in chosen(Stage::Filled) {
            if reference == 0.0 {
                reference = inserts_per_second(database, arguments.connections, REFERENCE).await?;
            }
            let row = drive(arguments, &mut account, &mut prepared, scenario, reference).await?;
            report.scenarios.push(row);
        }
    }
    Ok(())
}

/// Looks at the server's memory when it has come to rest.
async fn look(server: &Server, report: &mut Report, when: &str) -> Result<(), Error> {
    sleep(REST).await;
    report.memory.push(Look { when: when.to_owned(), memory: Memory::of(server.process())? });
    Ok(())
}

/// Puts one scenario's load on the server. Writes are counted afterwards: one that changed nothing is a failure, lest
/// something else be measured than is said.
async fn drive(
    arguments: &Arguments,
    account: &mut Account,
    prepared: &mut scenario::Prepared,
    scenario: Scenario,
    reference_per_second: f64,
) -> Result<Row, Error> {
    let length = if arguments.requests.is_some() {
        Duration::from_secs(600)
    } else {
        Duration::from_secs_f64(arguments.seconds)
    };
    let window = Window {
        connections: arguments.connections,
        warm_up: Duration::from_secs_f64(arguments.warm_up),
        length,
        requests: arguments.requests.and_then(NonZero::new),
    };
    let projects = account.count(&Written::Projects).await?;
    let written = scenario.written(prepared);
    let before = match &written {
        Some(written) => account.count(written).await?,
        None => 0,
    };
    let load = scenario.load(account, prepared).await?;
    let mut outcome: Outcome = load::run(account.target(), load, window).await;
    if let Some(written) = &written {
        let missing =
            (before + outcome.answers).saturating_sub(account.reach(written, before + outcome.answers).await?);
        if missing > 0 {
            outcome.failures += missing;
            outcome.first_failure.get_or_insert_with(|| format!("{missing} writes changed nothing"));
        }
    }
    let name = scenario.name();
    eprintln!("bench: {name}: {:.0}/s, {} failures", outcome.per_second, outcome.failures);
    Ok(Row {
        scenario: name,
        meaning: scenario.meaning(),
        projects,
        per_second: outcome.per_second,
        latency: outcome.latency,
        answers: outcome.answers,
        failures: outcome.failures,
        first_failure: outcome.first_failure,
        reference_per_second,
    })
}

/// Generates proposals one after the other, each for a project of its own.
async fn generate(account: &mut Account, proposals: u32) -> Result<Generation, Error> {
    let mut took = Vec::new();
    for _ in 0..proposals {
        let project = account.create_project().await?;
        account.write_data(&project, &sheet::whole()).await?;
        took.push(account.generate(&project).await?.took);
    }
    let latency = Distribution::of(&mut took);
    eprintln!("bench: generation: median {:.0} ms", latency.p50_ms);
    Ok(Generation { proposals, latency })
}

/// Creates projects until the account has so many, and returns how many it has.
async fn fill(account: &mut Account, connections: u16, projects: u64) -> Result<u64, Error> {
    let before = account.count(&Written::Projects).await?;
    let Some(missing) = NonZero::new(projects.saturating_sub(before)) else { return Ok(before) };
    let window = Window { connections, warm_up: Duration::ZERO, length: FILLING, requests: Some(missing) };
    let load = scenario::creation(Uri::from_static(account::PROJECTS), before);
    let outcome = load::run(account.target(), load, window).await;
    match outcome.first_failure {
        Some(failure) => Err(Error::Fill(failure)),
        None => account.reach(&Written::Projects, projects).await,
    }
}
