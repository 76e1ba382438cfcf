//! From tracing to `log`: every event becomes one record with key-values, which structured-logger writes.
//!
//! tracing's own bridge to `log` flattens the fields into the text; here they keep their names and types, and the
//! fields of the spans around an event come with it.

use std::error::Error;
use std::fmt::{self, Write as _};

use log::kv::{self, Key, Source, ToValue as _, Value, VisitSource};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// The longest text of one field, in bytes. Longer ones are cut and say so.
pub(crate) const TEXT_LIMIT: usize = 8 * 1024;

/// Hands every event to the logger of the `log` crate.
pub(crate) struct LogLayer;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // From the outermost span to the event: of two fields with one name the inner one is kept.
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.0.extend_from_slice(&outer.0);
            }
            fields.put("span", Datum::Name(span.name()));
        }
        event.record(&mut fields);
        let message = fields.take_message();
        let metadata = event.metadata();
        log::logger().log(
            &log::Record::builder()
                .level(level(*metadata.level()))
                .target(metadata.target())
                .module_path(metadata.module_path())
                .file(metadata.file())
                .line(metadata.line())
                .key_values(&fields)
                .args(format_args!("{message}"))
                .build(),
        );
    }
}

fn level(level: Level) -> log::Level {
    match level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Info,
        Level::DEBUG => log::Level::Debug,
        Level::TRACE => log::Level::Trace,
    }
}

/// The value of a field, in the type it was given with.
#[derive(Clone)]
enum Datum {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Name(&'static str),
    Text(String),
}

/// The fields of a span or an event, in the order in which they were recorded.
#[derive(Default)]
struct Fields(Vec<(&'static str, Datum)>);

impl Fields {
    fn put(&mut self, name: &'static str, datum: Datum) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, value)) => *value = datum,
            None => self.0.push((name, datum)),
        }
    }

    fn put_text(&mut self, name: &'static str, text: &dyn fmt::Display) {
        let mut bounded = Bounded(String::new());
        if write!(bounded, "{text}").is_err() {
            bounded.0.push_str(" … [cut]");
        }
        self.put(name, Datum::Text(bounded.0));
    }

    fn take_message(&mut self) -> String {
        match self.0.iter().position(|(name, _)| *name == "message").map(|at| self.0.swap_remove(at).1) {
            Some(Datum::Text(text)) => text,
            Some(Datum::Name(name)) => name.to_owned(),
            Some(Datum::Bool(value)) => value.to_string(),
            Some(Datum::Signed(value)) => value.to_string(),
            Some(Datum::Unsigned(value)) => value.to_string(),
            Some(Datum::Float(value)) => value.to_string(),
            None => String::new(),
        }
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Datum::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), Datum::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), Datum::Unsigned(value));
    }

    // Integers beyond 64 bits arrive through `record_debug`, as text: few readers of JSON keep all their digits.

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), Datum::Float(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field.name(), &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put_text(field.name(), &Causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field.name(), &format_args!("{value:?}"));
    }
}

impl Source for Fields {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        for (name, datum) in &self.0 {
            let value = match datum {
                Datum::Bool(value) => Value::from(*value),
                Datum::Signed(value) => Value::from(*value),
                Datum::Unsigned(value) => Value::from(*value),
                Datum::Float(value) => Value::from(*value),
                Datum::Name(value) => Value::from(*value),
                Datum::Text(value) => value.as_str().to_value(),
            };
            visitor.visit_pair(Key::from_str(name), value)?;
        }
        Ok(())
    }
}

/// An error and its causes, joined by colons.
struct Causes<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Takes text up to [`TEXT_LIMIT`], then refuses, so that an endless value is not even formatted to its end.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = TEXT_LIMIT - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        // Full for good: a later, shorter piece must not come after the gap.
        Err(fmt::Error)
    }
}
