//! Text lines, through the subscriber that a process has only once: this file is a process of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use telemetry::Format;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_person_reads_level_message_and_fields_on_one_line() {
    let page = Page::default();
    let telemetry = telemetry::init(Format::Text, "info", page.clone()).unwrap();
    tracing::info_span!("step", stage = "costs")
        .in_scope(|| tracing::info!(proposal.id = "prop-1", elapsed_ms = 12, "step finished"));
    tracing::debug!("not wanted");
    tracing::warn!(note = "x".repeat(200_000), "too long");

    let written = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines.len(), 2, "{written}");
    for part in ["INFO", "step", "costs", "step finished", "prop-1", "elapsed_ms", "12"] {
        assert!(lines[0].contains(part), "{part} is missing in {}", lines[0]);
    }
    assert!(lines[1].len() < 65_536 && lines[1].ends_with("[cut]"));

    metrics::counter!(telemetry::names::GENERATIONS_TOTAL, "outcome" => "failed").increment(1);
    assert!(telemetry.metrics.render().contains("generations_total{outcome=\"failed\"} 1"));
}
