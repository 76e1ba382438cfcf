//! The one binary: serves, migrates, and answers auditors from the command line.

mod audit;
mod projections;
mod replay;
mod restore;
mod serve;
mod settings;

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use domain::{Clock, ProjectId};
use eventstore::{MasterKey, Store};

use settings::{Database, Logs, Reader};

/// From a technical data sheet to a treatment proposal, with every step as an event.
#[derive(Parser)]
#[command(name = "allegiant", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve HTTP, follow the ledger, and work at generations, until SIGTERM or Ctrl-C.
    ///
    /// Prints one JSON line with the address to standard output once it listens. Needs a migrated database.
    Serve,
    /// Bring the database up to date: roles, schemas, tables. Does nothing if it is.
    Migrate,
    /// Answer auditors.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// See to the read models: how they stand, rebuild, roll back, check, fold again.
    Projections {
        #[command(subcommand)]
        command: projections::Command,
    },
    /// Go on from a restored backup.
    Restore {
        #[command(subcommand)]
        command: RestoreCommand,
    },
    /// Print a project as it was, as JSON, rebuilt from its events.
    Replay {
        /// The project.
        #[arg(long, value_name = "ID")]
        project: ProjectId,
        /// A ledger position, or a time such as 2026-01-20T09:30:00Z; now if left out.
        #[arg(long, value_name = "POSITION|TIME")]
        as_of: Option<AsOf>,
    },
}

#[derive(Subcommand)]
enum RestoreCommand {
    /// Accept a backup that is older than what the bus, checkpoints or read models have seen, and open a new epoch.
    ///
    /// Stop every server first. Shows what is going to be lost and asks; then a signed event opens the epoch, sessions
    /// end, and erasures since the backup are made again from ERASURE_LIST_FILE. Acts as MIGRATION_DATABASE_URL.
    Accept {
        /// Why, in one line; it is kept with the event for ever, so name no person.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Open an epoch although nobody has seen a newer state, or NATS cannot be asked.
        #[arg(long)]
        anyway: bool,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Write the ledger to standard output, one JSON line per event, payload and metadata as their exact stored text.
    ///
    /// Personal values stay sealed, so that the hash chain can be computed from the export alone:
    /// hash = SHA-256(previous hash, then the event's digest); see docs/ledger.md.
    Export {
        /// First position.
        #[arg(long, value_name = "POSITION", default_value_t = 1)]
        from: u64,
        /// Last position; the head if left out.
        #[arg(long, value_name = "POSITION")]
        to: Option<u64>,
    },
}

/// A point in history.
#[derive(Debug, Clone, Copy)]
pub enum AsOf {
    /// After the event at this position.
    Position(u64),
    /// At this time.
    Time(DateTime<Utc>),
}

impl std::str::FromStr for AsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self::Position).or_else(|_| {
            DateTime::parse_from_rfc3339(text)
                .map(|time| Self::Time(time.to_utc()))
                .map_err(|_| "neither a position nor a time".to_owned())
        })
    }
}

fn main() -> ExitCode {
    // Two providers are in the tree: without a choice the first TLS connection would panic.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("allegiant: a TLS provider was installed before");
        return ExitCode::FAILURE;
    }
    let matches = Arguments::command().after_long_help(settings::manual()).after_help(settings::manual()).get_matches();
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("allegiant: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

/// What ends a command; `main` prints it with its causes.
pub type Failure = Box<dyn Error + Send + Sync>;

#[expect(clippy::disallowed_methods, reason = "settings are read here and nowhere else")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the machine's clock is read here and nowhere else")]
fn clock() -> Clock {
    Clock::new(Utc::now)
}

fn run(command: Command) -> Result<(), Failure> {
    let reader = Reader::new(&variable);
    #[cfg(feature = "failpoints")]
    settings::arm_failpoints(&reader)?;
    let logs = Logs::read(&reader)?;
    let format = match logs.json {
        Some(true) => telemetry::Format::Json,
        Some(false) => telemetry::Format::Text,
        None if std::io::stderr().is_terminal() => telemetry::Format::Text,
        None => telemetry::Format::Json,
    };
    telemetry::init(format, &logs.filter, std::io::stderr())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Serve => serve::run(settings::Serve::read(&reader)?, clock()).await,
            Command::Migrate => {
                let database = Database::read(&reader)?;
                eventstore::migrate(&database.migration_url).await?;
                eventstore::grant_server_role(&database.migration_url, &database.login()?).await?;
                Ok(())
            }
            Command::Audit { command: AuditCommand::Export { from, to } } => {
                let store = open(&Database::read(&reader)?, settings::master_key(&reader)?).await?;
                audit::export(&store, from, to).await
            }
            Command::Projections { command } => {
                let store = open(&Database::read(&reader)?, settings::master_key(&reader)?).await?;
                if !eventstore::migrations_current(store.pool()).await? {
                    return Err("the database is not at this build's migrations: run `allegiant migrate`".into());
                }
                projections::run(&store, command, &serve::stop_on_signals()?).await
            }
            Command::Restore { command: RestoreCommand::Accept { reason, yes, anyway } } => {
                let answers = restore::accept::Answers { reason, yes, anyway };
                restore::accept::run(settings::Accept::read(&reader)?, answers, clock()).await
            }
            Command::Replay { project, as_of } => {
                let store = open(&Database::read(&reader)?, settings::master_key(&reader)?).await?;
                replay::project(&store, project, as_of).await
            }
        }
    })
}

/// The store, for a command. A rebuild reads ahead, folds and holds a checkpoint at once, each on a connection.
async fn open(database: &Database, master_key: MasterKey) -> Result<Store, Failure> {
    let mut settings = eventstore::Settings::new(&database.url);
    settings.max_connections = 6;
    let pool = eventstore::connect(&settings).await?;
    Ok(Store::open(pool, master_key, clock()).await?)
}
