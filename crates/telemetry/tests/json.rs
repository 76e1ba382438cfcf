//! JSON lines, through the loggers that a process has only once: this file is a process of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::{Value, json};
use telemetry::{Format, InitError};
use tracing::{debug, error, info, info_span, warn};

/// Where the log goes in this process.
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

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let page = Page::default();
    telemetry::init(Format::Json, "info,quiet=error", page.clone()).unwrap();
    page
});

/// The lines that `log` writes, found by their message's start.
fn lines(message: &str, log: impl FnOnce()) -> Vec<Value> {
    let page = &*PAGE;
    log();
    let written = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    let all = written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["message"].as_str().unwrap().starts_with(message)).collect()
}

fn line(message: &str, log: impl FnOnce()) -> Value {
    let mut found = lines(message, log);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn fields_of_the_event_and_of_all_spans_around_it_keep_names_and_types() {
    let line = line("proposal published", || {
        let request =
            info_span!("http.generate", request.id = "0f6c5a0e", attempt = 1_u32, tokens.total = tracing::field::Empty);
        let _request = request.enter();
        request.record("tokens.total", 1234_u64);
        let step = info_span!("step", step.name = %"publish", attempt = 2_u32);
        let _step = step.enter();
        info!(proposal.id = %"prop-1", elapsed_ms = 12.5, delta = -3_i64, cached = false, options = ?[1, 2], "proposal {}", "published");
    });
    assert!(line["timestamp"].as_u64().unwrap() > 1_700_000_000_000);
    let expected = json!({
        "timestamp": line["timestamp"], "level": "INFO", "target": "json", "message": "proposal published",
        "span": "step", "request.id": "0f6c5a0e", "tokens.total": 1234, "step.name": "publish", "attempt": 2,
        "proposal.id": "prop-1", "elapsed_ms": 12.5, "delta": -3, "cached": false, "options": "[1, 2]",
    });
    assert_eq!(line, expected);
}

#[test]
fn fields_of_a_span_that_was_left_do_not_stick() {
    let line = line("after the span", || {
        info_span!("left", project.id = "p").in_scope(|| ());
        info!("after the span");
    });
    assert_eq!(line.get("project.id"), None);
    assert_eq!(line.get("span"), None);
}

#[derive(Debug, thiserror::Error)]
#[error("the ledger cannot be read")]
struct Outer(#[source] io::Error);

#[test]
fn an_error_is_written_with_its_causes_and_a_warning_with_its_place() {
    let line = line("projection stopped", || {
        let cause = Outer(io::Error::other("connection closed"));
        warn!(error = &cause as &dyn std::error::Error, "projection stopped");
    });
    assert_eq!(line["error"], "the ledger cannot be read: connection closed");
    assert_eq!(line["level"], "WARN");
    assert!(line["file"].as_str().unwrap().ends_with("json.rs"));
    assert!(line["line"].is_u64());
}

#[test]
fn a_long_value_is_cut_between_characters() {
    let line = line("long", || info!(note = "é".repeat(10_000), list = ?vec![7_u8; 100_000], "long"));
    let note = line["note"].as_str().unwrap();
    assert_eq!(note, format!("{} … [cut]", "é".repeat(4096)));
    assert!(line["list"].as_str().unwrap().len() < 8 * 1024 + 20);
}

#[test]
fn line_feeds_and_control_characters_stay_within_their_line() {
    let line = line("two lines", || info!(name = "a\nb\0\"}", "{}", "two lines\n{\"level\":\"ERROR\"}"));
    assert_eq!(line["name"], "a\nb\0\"}");
    assert_eq!(line["level"], "INFO");
}

#[test]
fn the_filter_holds_for_levels_and_targets() {
    assert_eq!(lines("not wanted", || debug!("not wanted")), Vec::<Value>::new());
    assert_eq!(lines("nor this", || warn!(target: "quiet", "nor this")), Vec::<Value>::new());
    assert_eq!(lines("but this", || error!(target: "quiet", "but this")).len(), 1);
}

#[test]
fn dependencies_that_use_log_are_heard_from_warnings_upwards() {
    assert_eq!(lines("chatter", || log::info!("chatter")), Vec::<Value>::new());
    assert_eq!(line("trouble", || log::warn!("trouble"))["level"], "WARN");
}

#[test]
fn a_panic_is_a_line_too() {
    let line = line("thread 'doomed'", || {
        std::thread::Builder::new().name("doomed".into()).spawn(|| panic!("it broke")).unwrap().join().unwrap_err();
    });
    assert_eq!(line["target"], "panic");
    assert!(line["message"].as_str().unwrap().contains("it broke"));
}

#[test]
fn logs_start_once_and_only_with_a_filter_that_can_be_read() {
    let _started = &*PAGE;
    assert!(matches!(telemetry::init(Format::Json, "info", io::sink()), Err(InitError::Logger(_))));
    assert!(matches!(telemetry::init(Format::Text, "info", io::sink()), Err(InitError::Subscriber(_))));
    assert!(matches!(telemetry::init(Format::Json, "info,=", io::sink()), Err(InitError::Filter(_))));
}
