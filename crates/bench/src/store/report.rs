//! The table of `bench store`, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::figure::{Figure, Spread, Target};
use crate::machine::Machine;
use crate::reference::Postgres;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// On which database.
    pub postgres: Postgres,
    /// How often both sides were measured, in turn.
    pub rounds: u32,
    /// How long each side was measured in a round, where time ends it.
    pub seconds: f64,
    /// What came of it.
    pub figures: Vec<Figure>,
}

impl Report {
    /// Whether there are figures and all reach their targets.
    pub fn is_reached(&self) -> bool {
        !self.figures.is_empty() && self.figures.iter().all(Figure::is_reached)
    }

    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        let Machine { cores, processor, commit, program, program_bytes } = &self.machine;
        let Postgres { version, fsync, synchronous_commit, full_page_writes } = &self.postgres;
        let mut text = format!(
            "- commit {commit}, program {program} ({:.1} MB)\n\
             - {cores} cores of {processor}, everything on this machine, the measuring program included\n\
             - PostgreSQL {version}: fsync {fsync}, synchronous_commit {synchronous_commit}, full_page_writes \
             {full_page_writes}\n\
             - {} rounds, both sides in turn, {} s each where time ends it; median (lowest–highest) of the rounds\n\n\
             | what | measured | against | ratio or value | to reach | |\n\
             |---|---:|---:|---:|---:|---|\n",
            *program_bytes as f64 / 1e6,
            self.rounds,
            self.seconds,
        );
        for figure in &self.figures {
            let Spread { median, low, high } = figure.judged();
            let measured = Spread::of(&figure.measured).median;
            let unit = figure.unit;
            let (against, judged) = match &figure.against {
                Some((reference, values)) => {
                    let theirs = Spread::of(values).median;
                    (format!("{} {unit} ({reference})", rounded(theirs)), format!("{median:.3} ({low:.3}–{high:.3})"))
                }
                None => ("–".to_owned(), format!("{} ({}–{})", rounded(median), rounded(low), rounded(high))),
            };
            let (target, verdict) = match figure.target {
                Target::AtLeast(least) => (format!("≥ {least}"), figure.is_reached()),
                Target::AtMost(most) => (format!("≤ {most}"), figure.is_reached()),
                Target::None => ("–".to_owned(), true),
            };
            let verdict = if verdict { "" } else { "not reached" };
            let _ = writeln!(
                text,
                "| {} | {} {unit} | {against} | {judged} | {target} | {verdict} |",
                figure.what,
                rounded(measured)
            );
        }
        text
    }
}

/// Large values as whole numbers, small ones with two digits.
fn rounded(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_was_not_reached() {
        let figures = vec![
            Figure {
                against: Some(("pgbench".to_owned(), vec![10_000.0, 8_000.0])),
                ..Figure::alone("appends", "commands/s", vec![4_000.0, 2_000.0], Target::AtLeast(0.35))
            },
            Figure::alone("visible, p50", "ms", vec![4.5], Target::AtMost(10.0)),
        ];
        let machine = Machine {
            cores: 2,
            processor: "P".to_owned(),
            commit: "abc".to_owned(),
            program: "release/bench".to_owned(),
            program_bytes: 1_000_000,
        };
        let [version, fsync] = ["15.1", "on"].map(str::to_owned);
        let (synchronous_commit, full_page_writes) = (fsync.clone(), fsync.clone());
        let postgres = Postgres { version, fsync, synchronous_commit, full_page_writes };
        let mut report = Report { machine, postgres, rounds: 2, seconds: 3.0, figures };
        let text = report.markdown();
        for line in [
            "| appends | 2000 commands/s | 8000 commands/s (pgbench) | 0.250 (0.250–0.400) | ≥ 0.35 | not reached |",
            "| visible, p50 | 4.50 ms | – | 4.50 (4.50–4.50) | ≤ 10 |  |",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in:\n{text}");
        }
        assert!(!report.is_reached());
        report.figures.remove(0);
        assert!(report.is_reached());
        report.figures.clear();
        assert!(!report.is_reached());
    }
}
