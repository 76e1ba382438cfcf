//! `allegiant projections …`: how the read models stand, and building, checking and mending them.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ::projections::{self as models, GenerationStatus, ModelStatus, ParkedStream, Progress, Rebuilt, Verdict};
use clap::Subcommand;
use eventstore::Store;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::Failure;

/// How often a line is written where no terminal shows the bar.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(Subcommand)]
pub enum Command {
    /// List the read models with all their generations.
    List,
    /// Show how far the read models are, and which streams are set aside. Fails if something is amiss.
    Status,
    /// Fill a read model anew from the ledger, beside the one that is read, and have it take its place.
    ///
    /// Reads and writes go on. The former one is fed on, for `rollback`. Ctrl-C leaves everything as it was.
    Rebuild {
        /// The read model.
        name: String,
    },
    /// Have the former generation read again that the last rebuild replaced; a second time undoes the first.
    Rollback {
        /// The read model.
        name: String,
    },
    /// Fold the whole ledger anew and compare every row with it. Fails if there is a difference.
    Verify {
        /// The read model.
        name: String,
    },
    /// Fold the streams again that are set aside, after an upgrade that can. Fails if some still cannot be folded.
    Retry {
        /// The read model.
        name: String,
    },
}

/// Carries out one of them.
///
/// # Errors
///
/// What cannot be done; also differences that were found, and streams that are still set aside.
pub async fn run(store: &Store, command: Command, stop: &CancellationToken) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match command {
        Command::List => {
            for generation in models::generations(store).await? {
                writeln!(out, "{}", listed(&generation))?;
            }
            Ok(())
        }
        Command::Status => status(store, &mut out).await,
        Command::Rebuild { name } => {
            let shown = Shown::new(&format!("rebuilding {name}"));
            let rebuilt = models::rebuild(store, &name, &|progress| shown.note(progress), stop).await;
            shown.end();
            writeln!(out, "{}", swapped(&name, &rebuilt?))?;
            Ok(())
        }
        Command::Rollback { name } => {
            let rebuilt = models::rollback(store, &name).await?;
            writeln!(out, "{}", swapped(&name, &rebuilt))?;
            Ok(())
        }
        Command::Verify { name } => {
            let shown = Shown::new(&format!("checking {name}"));
            let verdict = models::verify(store, &name, &|progress| shown.note(progress), stop).await;
            shown.end();
            told(&name, &verdict?, &mut out)
        }
        Command::Retry { name } => {
            let retried = models::retry(store, &name).await?;
            writeln!(out, "{name}: {} streams are followed again", retried.unparked)?;
            set_aside(&name, &retried.parked, &mut out)?;
            if retried.parked.is_empty() { Ok(()) } else { Err("some streams still cannot be folded".into()) }
        }
    }
}

fn listed(generation: &GenerationStatus) -> String {
    let GenerationStatus { name, version, generation, state, position, lag_events, parked, made_at } = generation;
    format!(
        "{name} version {version} generation {generation}: {}, position {position}, {lag_events} behind, \
         {parked} streams set aside, made {}",
        state.as_str(),
        made_at.format("%Y-%m-%dT%H:%M:%SZ")
    )
}

async fn status(store: &Store, out: &mut impl std::io::Write) -> Result<(), Failure> {
    let standing = models::status(store).await?;
    let missing: Vec<&str> = models::names()
        .into_iter()
        .filter(|name| !standing.iter().any(|model| model.name == *name))
        .inspect(|name| _ = writeln!(out, "{name}: still to be built: allegiant projections rebuild {name}"))
        .collect();
    let mut amiss = !missing.is_empty();
    for model in standing {
        let ModelStatus { name, version, generation, position, lag_events, lag_seconds, parked, skipped, yielded } =
            model;
        write!(out, "{name} version {version} generation {generation}: position {position}, {lag_events} behind")?;
        if 0 < lag_events {
            write!(out, " ({lag_seconds:.1} s)")?;
        }
        writeln!(out)?;
        if let Some(unknown) = yielded {
            amiss = true;
            writeln!(out, "  yielded: {unknown}")?;
        }
        if 0 < parked {
            amiss = true;
            writeln!(out, "  {parked} streams set aside, {skipped} events missing")?;
            set_aside(&name, &models::parked(store, &name).await?, out)?;
        }
    }
    if amiss { Err("not all read models follow the whole ledger".into()) } else { Ok(()) }
}

fn set_aside(name: &str, streams: &[ParkedStream], out: &mut impl std::io::Write) -> Result<(), Failure> {
    for ParkedStream { kind, id, from_sequence, position, skipped, error, parked_at: _ } in streams {
        writeln!(out, "  {kind}/{id} from event {from_sequence} (position {position}), {skipped} missing: {error}")?;
    }
    if !streams.is_empty() {
        writeln!(out, "  after an upgrade: allegiant projections retry {name}")?;
    }
    Ok(())
}

fn swapped(name: &str, rebuilt: &Rebuilt) -> String {
    let Rebuilt { generation, replaced, position, parked } = rebuilt;
    let mut text = format!("{name}: generation {generation} is read, up to position {position}");
    if let Some(replaced) = replaced {
        text += &format!(", in the place of generation {replaced}; to go back: allegiant projections rollback {name}");
    }
    if 0 < *parked {
        text += &format!("; {parked} streams are set aside in it");
    }
    text
}

fn told(name: &str, verdict: &Verdict, out: &mut impl std::io::Write) -> Result<(), Failure> {
    let Verdict { generation, position, documents, differing, differences } = verdict;
    for difference in differences {
        writeln!(out, "{name}: {} {}", difference.place, difference.what)?;
    }
    if *differing == 0 {
        writeln!(
            out,
            "{name}: generation {generation} equals the fold of the ledger up to position {position}, \
             {documents} documents"
        )?;
        return Ok(());
    }
    Err(format!("{name} differs from the fold of the ledger up to position {position} in {differing} places").into())
}

/// How far a long command has come: a bar on a terminal, a line now and then elsewhere.
struct Shown {
    what: String,
    began: Instant,
    bar: Option<ProgressBar>,
    line: Mutex<Instant>,
}

impl Shown {
    fn new(what: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style).with_message(what.to_owned())
        });
        Self { what: what.to_owned(), began: Instant::now(), bar, line: Mutex::new(Instant::now()) }
    }

    fn note(&self, Progress { position, to }: Progress) {
        if let Some(bar) = &self.bar {
            bar.set_length(to);
            bar.set_position(position);
            return;
        }
        let mut last = self.line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if LINE_EVERY <= last.elapsed() || to <= position {
            *last = Instant::now();
            eprintln!("{}", line(&self.what, position, to, self.began.elapsed()));
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// One line of progress: how far, how fast, and how long still.
#[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
fn line(what: &str, position: u64, to: u64, elapsed: Duration) -> String {
    let rate = position as f64 / elapsed.as_secs_f64().max(0.001);
    let left = to.saturating_sub(position) as f64 / rate.max(1.0);
    format!("{what}: {position} of {to} events, {rate:.0} events/s, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_how_fast_and_how_long_still() {
        let text = line("rebuilding projects", 200_000, 1_000_000, Duration::from_secs(4));
        assert_eq!(text, "rebuilding projects: 200000 of 1000000 events, 50000 events/s, 16 s left");
    }
}
