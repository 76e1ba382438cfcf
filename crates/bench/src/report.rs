//! The figures, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::machine::{Machine, Memory};
use crate::reference::Postgres;
use crate::statistics::Distribution;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// On which database.
    pub postgres: Postgres,
    /// How.
    pub conditions: Conditions,
    /// Requests.
    pub scenarios: Vec<Row>,
    /// Generations; absent if none were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// Memory, in the order of looking.
    pub memory: Vec<Look>,
}

/// How it was measured.
#[derive(Debug, Serialize)]
pub struct Conditions {
    /// Connections.
    pub connections: u16,
    /// Seconds of load before each measurement.
    pub warm_up_seconds: f64,
    /// Seconds of each measurement, if time ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Requests of each measurement, if their number ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Bytes of the technical sheet.
    pub sheet_bytes: usize,
}

/// One scenario.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name on the command line.
    pub scenario: String,
    /// What it does.
    pub meaning: String,
    /// Projects the account had when it began.
    pub projects: u64,
    /// Good answers a second.
    pub per_second: f64,
    /// How long they took.
    #[serde(flatten)]
    pub latency: Distribution,
    /// Good answers.
    pub answers: u64,
    /// All others.
    pub failures: u64,
    /// The first of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// Rows a second that PostgreSQL inserted shortly before.
    pub reference_per_second: f64,
}

/// Proposals, one after the other, from the 202 to `completed`.
#[derive(Debug, Serialize)]
pub struct Generation {
    /// How many.
    pub proposals: u32,
    /// How long they took.
    #[serde(flatten)]
    pub latency: Distribution,
}

/// A look at the server's memory.
#[derive(Debug, Serialize)]
pub struct Look {
    /// When.
    pub when: String,
    /// How much.
    #[serde(flatten)]
    pub memory: Memory,
}

impl Report {
    /// Whether every request was answered as it should be.
    pub fn is_clean(&self) -> bool {
        self.scenarios.iter().all(|row| row.failures == 0 && row.answers > 0)
    }

    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = self.facts();
        if !self.scenarios.is_empty() {
            text.push_str(
                "\n| scenario | what | projects | requests/s | p50 ms | p99 ms | max ms | / insert | answers | failures |\n\
                 |---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
            );
        }
        for row in &self.scenarios {
            let Row { scenario, meaning, projects, per_second, latency, answers, failures, .. } = row;
            let Distribution { p50_ms, p99_ms, max_ms } = latency;
            let ratio = per_second / row.reference_per_second;
            let _ = writeln!(
                text,
                "| {scenario} | {meaning} | {projects} | {per_second:.0} | {p50_ms:.2} | {p99_ms:.2} | {max_ms:.2} | \
                 {ratio:.3} | {answers} | {failures} |"
            );
        }
        if let Some(Generation { proposals, latency: Distribution { p50_ms, p99_ms, max_ms } }) = &self.generation {
            text.push_str("\n| generation, 202 to completed | p50 ms | p99 ms | max ms |\n|---|---:|---:|---:|\n");
            let _ = writeln!(text, "| {proposals} in a row, offline | {p50_ms:.0} | {p99_ms:.0} | {max_ms:.0} |");
        }
        text.push_str("\n| memory of the server | resident MB | peak MB |\n|---|---:|---:|\n");
        for Look { when, memory: Memory { resident_mb, peak_mb } } in &self.memory {
            let _ = writeln!(text, "| {when} | {resident_mb:.1} | {peak_mb:.1} |");
        }
        for row in &self.scenarios {
            if let Some(failure) = &row.first_failure {
                let _ = writeln!(text, "\n{}: the first failure was: {failure}", row.scenario);
            }
        }
        text
    }

    fn facts(&self) -> String {
        let Machine { cores, processor, commit, program, program_bytes } = &self.machine;
        let Postgres { version, fsync, synchronous_commit, full_page_writes } = &self.postgres;
        let Conditions { connections, warm_up_seconds, seconds, requests, sheet_bytes } = &self.conditions;
        let megabytes = *program_bytes as f64 / 1e6;
        let mut text = format!(
            "- commit {commit}, program {program} ({megabytes:.1} MB)\n\
             - {cores} cores of {processor}, everything on this machine, the measuring program included\n\
             - PostgreSQL {version}: fsync {fsync}, synchronous_commit {synchronous_commit}, full_page_writes \
             {full_page_writes}\n\
             - {connections} keep-alive connections of one account, rate limits off, warm-up {warm_up_seconds} s, then "
        );
        let _ = match (requests, seconds) {
            (Some(requests), _) => write!(text, "{requests} requests"),
            (None, seconds) => write!(text, "{} s", seconds.unwrap_or_default()),
        };
        let _ = writeln!(text, "; technical sheet of {sheet_bytes} bytes");
        let references: Vec<_> = self.scenarios.iter().map(|row| row.reference_per_second).collect();
        if let (Some(low), Some(high)) =
            (references.iter().copied().reduce(f64::min), references.iter().copied().reduce(f64::max))
        {
            let _ = writeln!(
                text,
                "- reference: {low:.0} to {high:.0} one-row inserts/s over {connections} connections, measured anew \
                 before each writing scenario; \"/ insert\" is requests/s over the last reference before it"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failures: u64, answers: u64) -> Report {
        let latency = Distribution { p50_ms: 1.234, p99_ms: 5.678, max_ms: 9.0 };
        let memory = Memory { resident_mb: 41.2, peak_mb: 44.0 };
        Report {
            machine: Machine {
                cores: 2,
                processor: "P".to_owned(),
                commit: "abc".to_owned(),
                program: "release/allegiant".to_owned(),
                program_bytes: 23_000_000,
            },
            postgres: Postgres {
                version: "15.1".to_owned(),
                fsync: "on".to_owned(),
                synchronous_commit: "on".to_owned(),
                full_page_writes: "on".to_owned(),
            },
            conditions: Conditions {
                connections: 16,
                warm_up_seconds: 1.0,
                seconds: Some(5.0),
                requests: None,
                sheet_bytes: 20_000,
            },
            scenarios: vec![Row {
                scenario: "me".to_owned(),
                meaning: "the own account".to_owned(),
                projects: 100,
                per_second: 9000.4,
                latency,
                answers,
                failures,
                first_failure: (failures > 0).then(|| "500 INTERNAL_ERROR".to_owned()),
                reference_per_second: 6000.0,
            }],
            generation: Some(Generation { proposals: 20, latency }),
            memory: vec![Look { when: "idle".to_owned(), memory }],
        }
    }

    #[test]
    fn one_failure_or_no_answer_at_all_spoils_a_run() {
        assert!(report(0, 1).is_clean());
        assert!(!report(1, 1).is_clean());
        assert!(!report(0, 0).is_clean());
    }

    #[test]
    fn the_table_holds_what_was_measured() {
        let text = report(3, 500).markdown();
        for line in [
            "| me | the own account | 100 | 9000 | 1.23 | 5.68 | 9.00 | 1.500 | 500 | 3 |",
            "| 20 in a row, offline | 1 | 6 | 9 |",
            "| idle | 41.2 | 44.0 |",
            "me: the first failure was: 500 INTERNAL_ERROR",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in:\n{text}");
        }
        assert!(text.contains("fsync on") && text.contains("then 5 s"));
    }

    #[test]
    fn programs_get_the_same_figures() {
        let json = serde_json::to_value(report(0, 500)).unwrap();
        assert_eq!(json["scenarios"][0]["p99_ms"], 5.678);
        assert_eq!(json["memory"][0]["resident_mb"], 41.2);
        assert_eq!(json["scenarios"][0].get("first_failure"), None);
    }
}
