//! What a JSON value of any shape must keep to, so that it can be stored and worked with.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::problem::{Fault, FieldError};

/// Most errors that one answer lists.
const LISTED: usize = 100;

/// How much a JSON value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How deep it may be nested: 1 is an object of plain values.
    pub depth: usize,
    /// How many characters a key may have.
    pub key: usize,
    /// How many bytes it may have, written without white space.
    pub bytes: usize,
}

/// Notes what is wrong with the value; true if nothing is.
pub(super) fn check(value: &Value, pointer: &str, bounds: Bounds, errors: &RefCell<Vec<FieldError>>) -> bool {
    let before = errors.borrow().len();
    walk(value, pointer, 0, bounds, errors);
    if errors.borrow().len() == before && written_length(value) > bounds.bytes {
        push(errors, pointer, Fault::TooLong, &format!("This may have at most {} bytes.", bounds.bytes));
    }
    errors.borrow().len() == before
}

/// Notes what is wrong with an object of these members; true if nothing is. Its size is not looked at.
pub(crate) fn check_members(
    members: &Map<String, Value>,
    pointer: &str,
    bounds: Bounds,
    errors: &RefCell<Vec<FieldError>>,
) -> bool {
    let before = errors.borrow().len();
    walk_members(members, pointer, 0, bounds, errors);
    errors.borrow().len() == before
}

fn walk(value: &Value, pointer: &str, depth: usize, bounds: Bounds, errors: &RefCell<Vec<FieldError>>) {
    let nested = matches!(value, Value::Array(_) | Value::Object(_));
    if nested && depth >= bounds.depth {
        return push(errors, pointer, Fault::TooDeep, &format!("This may be nested {} deep.", bounds.depth));
    }
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => (),
        Value::String(text) => {
            if text.contains('\0') {
                push(errors, pointer, Fault::NulCharacter, "The character NUL is not allowed.");
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if needs_a_look(item) {
                    walk(item, &format!("{pointer}/{at}"), depth + 1, bounds, errors);
                }
            }
        }
        Value::Object(members) => walk_members(members, pointer, depth, bounds, errors),
    }
}

fn walk_members(
    members: &Map<String, Value>,
    pointer: &str,
    depth: usize,
    bounds: Bounds,
    errors: &RefCell<Vec<FieldError>>,
) {
    for (key, member) in members {
        if key.contains('\0') {
            push(errors, pointer, Fault::NulCharacter, "The character NUL is not allowed in a key.");
        } else if key.chars().count() > bounds.key {
            push(errors, pointer, Fault::TooLong, &format!("A key may have at most {} characters.", bounds.key));
        } else if needs_a_look(member) {
            walk(member, &format!("{pointer}/{}", pointer_token(key)), depth + 1, bounds, errors);
        }
    }
}

/// Spares the building of a pointer to a value that cannot be wrong.
fn needs_a_look(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Notes one error, unless an answer would not list it any more.
pub(super) fn push(errors: &RefCell<Vec<FieldError>>, pointer: &str, code: Fault, message: &str) {
    let mut errors = errors.borrow_mut();
    if errors.len() < LISTED {
        errors.push(FieldError { pointer: pointer.to_owned(), code, message: message.to_owned() });
    }
}

/// A name as it stands in a JSON pointer (RFC 6901, section 3).
#[must_use]
pub fn pointer_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The bytes of the value as compact JSON, counted without keeping them.
fn written_length(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("counting cannot fail, and a value is always JSON");
    count.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 3, key: 5, bytes: 60 };

    fn faults(value: &Value) -> Vec<(String, Fault)> {
        let errors = RefCell::new(vec![]);
        let good = check(value, "/body", BOUNDS, &errors);
        assert_eq!(good, errors.borrow().is_empty());
        errors.into_inner().into_iter().map(|e| (e.pointer, e.code)).collect()
    }

    #[test]
    fn depth_keys_nul_and_size_are_bounded() {
        assert_eq!(faults(&json!({"a": {"b": [1]}})), []);
        assert_eq!(faults(&json!({"a": {"b": [[1]]}})), [("/body/a/b/0".to_owned(), Fault::TooDeep)]);
        assert_eq!(faults(&json!({"a/b~": ["x\u{0}"]})), [("/body/a~1b~0/0".to_owned(), Fault::NulCharacter)]);
        assert_eq!(faults(&json!({"a\u{0}": 1})), [("/body".to_owned(), Fault::NulCharacter)]);
        assert_eq!(faults(&json!({"abcdef": 1})), [("/body".to_owned(), Fault::TooLong)]);
        assert_eq!(faults(&json!({"a": "x".repeat(60)})), [("/body".to_owned(), Fault::TooLong)]);
    }

    #[test]
    fn an_answer_lists_a_bounded_number_of_errors() {
        assert_eq!(faults(&json!(vec!["\u{0}"; 1000])).len(), LISTED);
    }
}
