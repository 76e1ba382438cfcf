//! `./dev check`: the history checker as a soak. `checker --help` is the manual.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use checker::run::{Options, run};
use clap::Parser;

/// Lets many clients write through two servers while everything around them is disturbed, and compares afterwards what
/// is stored with what they were told
///
/// PostgreSQL, NATS and Redis are started for the run and end with it. A line of progress comes every ten seconds. The
/// exit status is 0 if every promise was kept.
#[derive(Parser)]
#[command(name = "check")]
struct Arguments {
    /// How long clients write, in minutes
    #[arg(long, default_value_t = 30.0, value_parser = minutes)]
    minutes: f64,
    /// Seed of every choice [default: a new one, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// Accounts
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=200))]
    accounts: u16,
    /// Clients of each account
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=4))]
    hands: u16,
    /// The server [default: the allegiant beside this program]
    #[arg(long, value_name = "PATH", env = "ALLEGIANT_BIN")]
    server: Option<PathBuf>,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.05..=10_000.0).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err("not a number from 0.05 to 10000".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        seed: arguments.seed.unwrap_or_else(rand::random),
        lasts: Duration::from_secs_f64(arguments.minutes * 60.0),
        accounts: arguments.accounts.into(),
        hands: arguments.hands.into(),
        binary: arguments.server.unwrap_or_else(rig::binary::allegiant),
    };
    eprintln!("seed {}", options.seed);
    // What is interrupted ends its servers, too: they are children that go when they are dropped.
    let report = tokio::select! {
        report = run(&options) => report,
        () = interrupted() => {
            eprintln!("interrupted");
            return ExitCode::FAILURE;
        }
    };
    print!("{report}");
    if report.found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened to");
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be listened to");
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
}
