//! Measures the whole system as a client sees it. `bench --help` is the manual; `docs/benchmarks.md` says how to read it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::runtime;

mod client;
mod error;
mod http;
mod load;
mod machine;
mod reference;
mod report;
mod server;
mod statistics;
mod store;

use crate::error::Error;
use crate::http::Scenario;
use crate::store::Row;

const MANUAL: &str = "\
The servers are expected to be there already, empty and writing to disk: `./dev bench http` starts such ones, builds for \
release and passes everything on. `allegiant migrate` is run first, then `allegiant serve` as a child on a free port with \
RATE_LIMITS=off and without a key for the language model; it is stopped at the end, and nothing else is.

The exit status is 0 if every request was answered as it should be, and 1 otherwise; the table is printed in both cases. \
The measuring program shares the machine with what it measures, so the figures are lower bounds.";

const STORE_MANUAL: &str = "\
PostgreSQL is expected to be there already and to write to disk: `./dev bench store` starts such one. Each row gets a \
database of its own, which goes at the end. Without NATS, Redis or the server's program: the store runs in this process, \
with two threads. pgbench must be on the path.

The exit status is 0 if every figure reaches its target, and 1 otherwise; the table is printed in both cases.";

/// Measures the system on this machine.
#[derive(Parser)]
#[command(name = "bench", after_help = MANUAL)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Requests per second and their latencies, generation from 202 to completed, and memory
    #[command(after_help = MANUAL)]
    Http(Http),
    /// Rows of the event store's table, each against its reference in the same run
    #[command(after_help = STORE_MANUAL)]
    Store(Store),
}

/// What `bench http` is told.
#[derive(Args)]
struct Http {
    /// The program to measure
    #[arg(long, value_name = "PATH", env = "ALLEGIANT_BIN")]
    server: PathBuf,
    #[command(flatten)]
    parts: server::Parts,
    /// Keep-alive connections, all of one account
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// Seconds of load before each measurement
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    warm_up: f64,
    /// Seconds each scenario is measured for
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Measure this many requests of each scenario instead of some seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    requests: Option<u64>,
    /// Measure these scenarios only; may be repeated or separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Scenario>,
    /// Proposals generated one after the other; 0 leaves them out
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    generations: u32,
    /// Projects the account has at the end, when memory is looked at last; 0 leaves this out
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    projects: u64,
    /// Write the figures to this file as well, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What `bench store` is told.
#[derive(Args)]
struct Store {
    /// The rows to measure [default: all]
    #[arg(value_enum, value_name = "ROW")]
    rows: Vec<Row>,
    /// PostgreSQL, as the server's login
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// PostgreSQL, as a login that may make databases [default: DATABASE_URL]
    #[arg(long, value_name = "URL", env = "MIGRATION_DATABASE_URL", hide_env_values = true)]
    migration_database_url: Option<String>,
    /// How often both sides are measured, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds each side is measured for in a round, where time ends it; pgbench knows whole ones only
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// Events of the ledger that is read, verified and folded
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    events: u64,
    /// Write the figures to this file as well, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Store {
    fn migration_url(&self) -> &str {
        self.migration_database_url.as_deref().unwrap_or(&self.database_url)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=600.0).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err("not a number from 0 to 600".to_owned()),
    }
}

fn main() -> ExitCode {
    let (outcome, not_so) = match Cli::parse().command {
        // One thread: a second one would take a core from the server, and one sends far more than two cores can answer.
        Command::Http(arguments) => (
            in_runtime(runtime::Builder::new_current_thread(), http::run(&arguments)),
            "some answers were not as they should be",
        ),
        // As the server, which is in this process here.
        Command::Store(arguments) => (
            in_runtime(runtime::Builder::new_multi_thread(), store::run(&arguments)),
            "some figures do not reach their targets",
        ),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("bench: {not_so}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {}", error.with_causes());
            ExitCode::FAILURE
        }
    }
}

fn in_runtime(mut builder: runtime::Builder, work: impl Future<Output = Result<bool, Error>>) -> Result<bool, Error> {
    let runtime = builder.enable_all().build().map_err(|e| Error::Program("the runtime", "started", e))?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_manual_names_every_scenario() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        let manual = command.find_subcommand_mut("http").unwrap().render_long_help().to_string();
        for scenario in Scenario::all() {
            let line = format!("{}: ", scenario.name());
            assert!(manual.contains(&line) && !scenario.meaning().is_empty(), "{line}is missing in:\n{manual}");
        }
    }

    #[test]
    fn a_duration_is_bounded() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for refused in ["-1", "601", "NaN", "inf", "a"] {
            assert!(seconds(refused).is_err(), "{refused}");
        }
    }
}
