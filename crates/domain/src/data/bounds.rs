//! What no document may exceed. Within these bounds every write is taken, since the web client tells nobody when saving
//! failed.
//!
//! Two refusals happen before there is a [`Value`] to look at: `serde_json` stops parsing at a number beyond the range
//! of a 64-bit float (`1e999`) and at 128 levels. [`of_parse_error`] turns these into the same errors as [`check`], so
//! that the caller sees `not_finite` and `too_deep` (422) instead of "malformed". `NaN` and `Infinity` are not JSON and
//! stay malformed (400).

use std::io;

use serde_json::Value;

/// Levels of objects and arrays a document may have; `{}` has one.
pub const MAX_DEPTH: usize = 32;
/// Characters (Unicode scalar values) of a key.
pub const MAX_KEY_CHARACTERS: usize = 256;
/// Bytes of a document's compact serialisation: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;
/// Errors listed at most; the rest would help nobody.
pub const MAX_ERRORS: usize = 20;

/// One place where a body is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} at {pointer:?}")]
pub struct BoundsError {
    /// JSON pointer into the body. For a bad key it names the object that holds it, since a bad key is not repeated.
    pub pointer: String,
    /// The contract's code: `too_deep`, `too_long`, `nul_character` or `not_finite`.
    pub code: &'static str,
}

/// Looks for whatever no document may hold. Cheap when there is nothing: no allocation but the path.
///
/// # Errors
///
/// The first [`MAX_ERRORS`] places, in the document's order.
pub fn check(body: &Value) -> Result<(), Vec<BoundsError>> {
    let mut search = Search { path: Vec::new(), errors: Vec::new() };
    search.visit(body);
    if search.errors.is_empty() { Ok(()) } else { Err(search.errors) }
}

/// Whether the compact serialisation of the document is larger than [`MAX_BYTES`]. Counts without building it and stops
/// at the bound.
#[must_use]
pub fn too_large(document: &Value) -> bool {
    serde_json::to_writer(Allowance { left: MAX_BYTES }, document).is_err()
}

/// The bound that a body broke so badly that it could not even be parsed; `None` if it is simply not JSON. The pointer
/// is that of the whole body, since the parser knows no place.
#[must_use]
pub fn of_parse_error(error: &serde_json::Error) -> Option<BoundsError> {
    // The crate tells its syntax errors apart by words only; a test holds it to them.
    let text = error.to_string();
    let code = if text.starts_with("number out of range") {
        "not_finite"
    } else if text.starts_with("recursion limit exceeded") {
        "too_deep"
    } else {
        return None;
    };
    Some(BoundsError { pointer: String::new(), code })
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

struct Search<'a> {
    path: Vec<Step<'a>>,
    errors: Vec<BoundsError>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, value: &'a Value) {
        match value {
            Value::Null | Value::Bool(_) => (),
            // A number that was parsed is finite; one made by hand may hold anything that `Number` takes, which is also
            // finite. So `not_finite` can only come from `of_parse_error`.
            Value::Number(_) => (),
            Value::String(text) if text.contains('\0') => self.refuse("nul_character"),
            Value::String(_) => (),
            // The path has as many steps as there are containers around this one.
            Value::Array(_) | Value::Object(_) if self.path.len() >= MAX_DEPTH => self.refuse("too_deep"),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.enter(Step::Index(index), item);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    // Bytes are never fewer than characters.
                    if key.len() > MAX_KEY_CHARACTERS && key.chars().count() > MAX_KEY_CHARACTERS {
                        self.refuse("too_long");
                    } else if key.contains('\0') {
                        self.refuse("nul_character");
                    } else {
                        self.enter(Step::Key(key), member);
                    }
                }
            }
        }
    }

    fn enter(&mut self, step: Step<'a>, value: &'a Value) {
        if self.errors.len() < MAX_ERRORS {
            self.path.push(step);
            self.visit(value);
            self.path.pop();
        }
    }

    fn refuse(&mut self, code: &'static str) {
        if self.errors.len() < MAX_ERRORS {
            let mut pointer = String::new();
            for step in &self.path {
                match step {
                    Step::Key(key) => super::pointer::push(&mut pointer, key),
                    Step::Index(index) => super::pointer::push(&mut pointer, &index.to_string()),
                }
            }
            self.errors.push(BoundsError { pointer, code });
        }
    }
}

/// Takes bytes until the allowance is used up.
struct Allowance {
    left: usize,
}

impl io::Write for Allowance {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
