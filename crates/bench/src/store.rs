//! `bench store`: the event store against what this PostgreSQL can do at all, row by row, both sides in the same run.

use std::fs;

use clap::ValueEnum as _;
use sqlx::postgres::PgConnectOptions;

use crate::machine::Machine;
use crate::reference;
use crate::{Error, Store as Arguments};

mod append;
mod commands;
mod figure;
mod filled;
mod load;
mod long_stream;
mod pgbench;
mod report;
mod row;
mod sequencer;
mod stock;
mod visible;
mod world;

use self::report::Report;
pub use self::row::Row;

/// Measures the rows that were asked for, prints the table, and returns whether every figure reaches its target.
///
/// # Errors
///
/// Whatever kept a row from being measured; the rows before it are printed.
pub async fn run(arguments: &Arguments) -> Result<bool, Error> {
    let machine = Machine::look(&std::env::current_exe().map_err(|e| Error::File("the program cannot be found", e))?)?;
    let owner: PgConnectOptions = arguments.migration_url().parse()?;
    let postgres = reference::postgres(&owner).await?;
    let mut report =
        Report { machine, postgres, rounds: arguments.rounds, seconds: arguments.seconds, figures: vec![] };
    let mut outcome = Ok(());
    for row in Row::value_variants() {
        if !arguments.rows.is_empty() && !arguments.rows.contains(row) {
            continue;
        }
        match row.measure(arguments).await {
            Ok(figures) => {
                for figure in figures {
                    eprintln!("bench: {}", figure.line());
                    report.figures.push(figure);
                }
            }
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    println!("{}", report.markdown());
    if let Some(file) = &arguments.json {
        let text =
            serde_json::to_vec_pretty(&report).map_err(|e| Error::File("the figures cannot be written", e.into()))?;
        fs::write(file, text).map_err(|e| Error::File("the figures cannot be written", e))?;
    }
    outcome.map(|()| report.is_reached())
}
