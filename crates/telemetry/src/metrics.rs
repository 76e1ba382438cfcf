//! The recorder behind the `metrics` crate's macros, and what it has counted.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::names;

/// How often somebody has to call [`Metrics::run_upkeep`].
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Upper bounds, in seconds, for what happens within one request: from half a millisecond to the time-out.
const SHORT: [f64; 15] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];
/// Upper bounds, in seconds, for steps, model calls and generations: from ten milliseconds to half an hour.
const LONG: [f64; 15] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0];
const LONG_ONES: [&str; 3] = [names::GENERATION_SECONDS, names::GENERATION_STEP_SECONDS, names::MODEL_CALL_SECONDS];

/// What this process has counted and measured. Clones are the same.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Everything, in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Sorts the samples of the histograms into their buckets. Between two calls each sample takes memory; called
    /// every [`UPKEEP_EVERY`], that is bounded even when nobody reads the metrics.
    pub fn run_upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// The process's metrics. The first call installs the recorder; what was recorded before it is lost.
///
/// # Panics
///
/// If something else has installed a recorder in this process.
pub fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(install).clone()
}

fn install() -> Metrics {
    let mut builder = PrometheusBuilder::new().set_buckets(&SHORT).expect("there are buckets");
    for name in LONG_ONES {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), &LONG).expect("there are buckets");
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).expect("only this crate installs a recorder");
    describe();
    Metrics(handle)
}

fn describe() {
    describe_counter!(names::HTTP_REQUESTS_TOTAL, "Requests answered.");
    describe_histogram!(names::HTTP_REQUEST_SECONDS, Unit::Seconds, "From the request's head to the answer's head.");
    describe_gauge!(names::HTTP_REQUESTS_IN_FLIGHT, "Requests being answered now.");
    describe_counter!(names::RATE_LIMITED_TOTAL, "Requests refused with 429.");
    describe_counter!(
        names::CLIENT_POSITIONS_AHEAD_TOTAL,
        "Requests that name a position which the ledger has not reached."
    );
    describe_counter!(names::COMMANDS_TOTAL, "Commands decided.");
    describe_histogram!(names::COMMAND_SECONDS, Unit::Seconds, "From loading to the commit, waits included.");
    describe_gauge!(names::LEDGER_PENDING_EVENTS, "Appended events that have no ledger position yet.");
    describe_gauge!(names::LEDGER_HEAD_POSITION, "The last ledger position given out.");
    describe_gauge!(names::PROJECTION_LAG_EVENTS, "Ledger positions the projection has still to read.");
    describe_gauge!(
        names::PROJECTION_LAG_SECONDS,
        Unit::Seconds,
        "Age of the oldest event the projection has still to read."
    );
    describe_gauge!(names::PROJECTION_PARKED_STREAMS, "Streams set aside since an event could not be folded.");
    describe_gauge!(names::PROJECTION_YIELDED, "Whether it stands still before an event of a newer release.");
    describe_counter!(names::RECEIPTS_REMOVED_TOTAL, "Receipts of commands removed because they are old.");
    describe_gauge!(names::RELAY_LAG_EVENTS, "Ledger positions not on JetStream yet.");
    describe_counter!(names::GENERATIONS_TOTAL, "Generations ended.");
    describe_histogram!(names::GENERATION_SECONDS, Unit::Seconds, "From the request of a generation to its end.");
    describe_histogram!(names::GENERATION_STEP_SECONDS, Unit::Seconds, "One attempt at one step.");
    describe_counter!(names::MODEL_CALLS_TOTAL, "Calls of the language model, every attempt.");
    describe_histogram!(names::MODEL_CALL_SECONDS, Unit::Seconds, "One attempt at one call of the model.");
    describe_counter!(names::MODEL_TOKENS_TOTAL, "Tokens the provider counted.");
    describe_counter!(names::LOG_LINES_LOST_TOTAL, "Log lines that could not be written.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_have_buckets_that_fit_what_they_measure() {
        let metrics = metrics();
        metrics::histogram!(names::COMMAND_SECONDS, "command" => "open-project").record(0.004);
        metrics::histogram!(names::GENERATION_SECONDS, "outcome" => "completed").record(400.0);
        metrics.run_upkeep();
        let text = metrics.render();
        for line in [
            "# TYPE command_seconds histogram",
            "# HELP command_seconds From loading to the commit, waits included.",
            r#"command_seconds_bucket{command="open-project",le="0.0025"} 0"#,
            r#"command_seconds_bucket{command="open-project",le="0.005"} 1"#,
            r#"generation_seconds_bucket{outcome="completed",le="180"} 0"#,
            r#"generation_seconds_bucket{outcome="completed",le="600"} 1"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn asking_twice_gives_the_same_metrics() {
        let (first, second) = (metrics(), metrics());
        metrics::gauge!(names::LEDGER_HEAD_POSITION).set(42.0);
        assert!(first.render().contains("\nledger_head_position 42\n"));
        assert!(second.render().contains("\nledger_head_position 42\n"));
    }
}
