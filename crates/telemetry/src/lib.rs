//! What a process says about itself: logs and metrics.
//!
//! Logs are written with `tracing` everywhere. [`init`] decides how they look: one JSON object a line for machines, or
//! readable text for a person at a terminal. Give it standard error in either case: the commands of the command line
//! print their data on standard output, and a log line between them would spoil it.
//!
//! Fields have dotted names that say what they are and in which unit (`proposal.id`, `elapsed_ms`, `tokens.total`).
//! Personal values, secrets and bodies are never given to a log.
//!
//! Metrics are recorded with the `metrics` crate under the names in [`names`], and [`Metrics::render`] writes them in
//! the text format of Prometheus.

mod layer;
mod lines;
mod metrics;
pub mod names;

use std::io::{IsTerminal as _, Write};
use std::sync::Mutex;

use log::LevelFilter;
use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Registry};

use crate::layer::LogLayer;
use crate::lines::{BoundedWriter, JsonLines};
pub use crate::metrics::{Metrics, UPKEEP_EVERY, metrics};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, written by structured-logger: `timestamp` (Unix time in ms), `level`, `target`,
    /// `message`, `span` (the innermost span's name), the event's fields and those of the spans around it, and from
    /// warnings upwards `module`, `file` and `line`.
    Json,
    /// For people: time, level, spans, message, fields. In colour if standard error is a terminal.
    Text,
}

/// What [`init`] started.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// The numbers of this process.
    pub metrics: Metrics,
}

/// Logs could not be started.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter is not one of tracing's: see [`init`].
    #[error("the log filter cannot be read")]
    Filter(#[source] ParseError),
    /// Something else in this process receives the records of the `log` crate already.
    #[error("another logger was started before")]
    Logger(#[source] log::SetLoggerError),
    /// Something else in this process receives the events of the `tracing` crate already.
    #[error("another tracing subscriber was started before")]
    Subscriber(#[source] SetGlobalDefaultError),
}

/// Starts logs and metrics, once in a process and before anything else that sets a panic hook.
///
/// `filter` is in the notation of `tracing_subscriber::EnvFilter`, such as `info` or `info,sqlx=warn`. `writer` gets
/// every line in one call and is written to in the caller's thread, so that a line is out before a crash; a line that
/// cannot be written is counted in [`names::LOG_LINES_LOST_TOTAL`] and stops nobody. With [`Format::Json`] a panic is
/// a line like any other; dependencies that log through `log` are heard from warnings upwards.
///
/// # Errors
///
/// [`InitError`] if the filter cannot be read, or if logs were started before.
pub fn init(format: Format, filter: &str, writer: impl Write + Send + Sync + 'static) -> Result<Telemetry, InitError> {
    let filter = EnvFilter::builder().parse(filter).map_err(InitError::Filter)?;
    match format {
        Format::Json => {
            // structured-logger comes first: it takes the `log` slot, which tracing's own `init()` would take too, and
            // replaces the panic hook, which those that come later (Sentry) then wrap.
            structured_logger::Builder::with_level("trace")
                .with_default_writer(Box::new(JsonLines::new(writer)))
                .try_init()
                .map_err(InitError::Logger)?;
            // Bounds only those who use `log` directly: our layer has the filter and calls the logger itself.
            log::set_max_level(LevelFilter::Warn);
            set_global_default(Registry::default().with(filter).with(LogLayer)).map_err(InitError::Subscriber)?;
        }
        Format::Text => {
            let mut text = tracing_subscriber::fmt::layer()
                .with_writer(Mutex::new(BoundedWriter::new(writer)))
                .log_internal_errors(false);
            if !std::io::stderr().is_terminal() {
                text = text.with_ansi(false); // Otherwise as NO_COLOR says.
            }
            set_global_default(Registry::default().with(filter).with(text)).map_err(InitError::Subscriber)?;
        }
    }
    Ok(Telemetry { metrics: metrics() })
}
