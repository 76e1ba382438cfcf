//! Lines of a bounded length, written whole, by writers that never stop the process.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use log::kv::{Key, Value};
use serde_json::Map;

use crate::names::LOG_LINES_LOST_TOTAL;

/// The longest line, in bytes, its line feed included.
const LINE_LIMIT: usize = 64 * 1024;
/// What is left of each text in a line that would be longer, in bytes.
const CUT_TEXT_LIMIT: usize = 1024;
/// What even a line with a great many fields keeps.
const KEPT_FIELDS: [&str; 8] = ["level", "message", "target", "timestamp", "span", "module", "file", "line"];

/// structured-logger's synchronous JSON writer, with two differences: a line has a bounded length whoever made it
/// (also a panic with its backtrace, or a dependency), and a line that cannot be written is counted and dropped. The
/// stock one then prints to standard error, which panics when that is what cannot be written to.
pub(crate) struct JsonLines<W>(Mutex<W>);

impl<W: Write> JsonLines<W> {
    pub(crate) const fn new(writer: W) -> Self {
        Self(Mutex::new(writer))
    }
}

impl<W: Write> structured_logger::Writer for JsonLines<W> {
    fn write_log(&self, fields: &BTreeMap<Key<'_>, Value<'_>>) -> io::Result<()> {
        let mut line = Vec::with_capacity(512);
        serde_json::to_writer(&mut line, fields)?;
        if line.len() >= LINE_LIMIT {
            line = shortened(&line)?;
        }
        line.push(b'\n');
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.write_all(&line).is_err() {
            metrics::counter!(LOG_LINES_LOST_TOTAL).increment(1);
        }
        Ok(())
    }
}

fn shortened(line: &[u8]) -> io::Result<Vec<u8>> {
    let mut fields: Map<String, serde_json::Value> = serde_json::from_slice(line)?;
    for value in fields.values_mut() {
        if let serde_json::Value::String(text) = value
            && text.len() > CUT_TEXT_LIMIT
        {
            text.truncate(text.floor_char_boundary(CUT_TEXT_LIMIT));
            text.push_str(" … [cut]");
        }
    }
    let mut short = serde_json::to_vec(&fields)?;
    if short.len() >= LINE_LIMIT {
        fields.retain(|name, _| KEPT_FIELDS.contains(&name.as_str()));
        short = serde_json::to_vec(&fields)?;
    }
    Ok(short)
}

/// Cuts what is written in one call, which for the text format is a line, to [`LINE_LIMIT`], and never fails.
pub(crate) struct BoundedWriter<W>(W);

impl<W> BoundedWriter<W> {
    pub(crate) const fn new(writer: W) -> Self {
        Self(writer)
    }
}

impl<W: Write> Write for BoundedWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        const CUT: &[u8] = " … [cut]\n".as_bytes();
        let written = if line.len() <= LINE_LIMIT {
            self.0.write_all(line)
        } else {
            let room = LINE_LIMIT - CUT.len();
            // Back to where a character starts: a continuation byte is 10xxxxxx.
            let end = (0..=room).rev().find(|&at| line[at] & 0b1100_0000 != 0b1000_0000).unwrap_or(room);
            self.0.write_all(&[&line[..end], CUT].concat())
        };
        if written.is_err() {
            metrics::counter!(LOG_LINES_LOST_TOTAL).increment(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use structured_logger::Writer as _;

    use super::*;

    fn json_line(fields: &BTreeMap<Key<'_>, Value<'_>>) -> Vec<u8> {
        let lines = JsonLines::new(Vec::new());
        lines.write_log(fields).unwrap();
        lines.0.into_inner().unwrap()
    }

    #[test]
    fn a_long_line_keeps_all_fields_and_the_start_of_their_texts() {
        let backtrace = "é".repeat(LINE_LIMIT);
        let fields = BTreeMap::from([
            (Key::from("backtrace"), Value::from(backtrace.as_str())),
            (Key::from("elapsed_ms"), Value::from(7_u64)),
        ]);
        let line = json_line(&fields);
        let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(read["elapsed_ms"], 7);
        assert_eq!(read["backtrace"], format!("{} … [cut]", "é".repeat(CUT_TEXT_LIMIT / 2)));
        assert!(line.ends_with(b"\n") && line.len() < 2 * CUT_TEXT_LIMIT);
    }

    #[test]
    fn a_line_with_too_many_long_fields_keeps_what_every_line_has() {
        let text = "x".repeat(CUT_TEXT_LIMIT);
        let names: Vec<String> = (0..100).map(|n| format!("field.{n}")).collect();
        let mut fields: BTreeMap<_, _> =
            names.iter().map(|name| (Key::from(name.as_str()), Value::from(text.as_str()))).collect();
        fields.insert(Key::from("message"), Value::from("too much"));
        fields.insert(Key::from("level"), Value::from("WARN"));
        let read: serde_json::Value = serde_json::from_slice(&json_line(&fields)).unwrap();
        assert_eq!(read, serde_json::json!({"level": "WARN", "message": "too much"}));
    }

    #[test]
    fn a_long_text_line_is_cut_between_characters_and_ends() {
        let mut writer = BoundedWriter::new(Vec::new());
        let line = format!("x{}\n", "é".repeat(LINE_LIMIT));
        writer.write_all(line.as_bytes()).unwrap();
        let written = String::from_utf8(writer.0).unwrap();
        assert!(written.ends_with("é … [cut]\n"));
        assert!(written.len() <= LINE_LIMIT && written.len() > LINE_LIMIT - 4);
    }

    /// A pipe whose reader has gone.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_stops_nobody() {
        let metrics = crate::metrics();
        assert!(JsonLines::new(Broken).write_log(&BTreeMap::new()).is_ok());
        assert!(BoundedWriter::new(Broken).write_all(b"line\n").is_ok());
        assert!(metrics.render().contains(&format!("\n{LOG_LINES_LOST_TOTAL} 2\n")));
    }
}
