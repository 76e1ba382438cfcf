//! Reading the values of a request: from a JSON body, a form, the query or the path, with everything that is wrong
//! collected, so that one answer names it all.

mod tree;

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{DateTime, SubsecRound as _, Utc};
use domain::text::{has_forbidden_control, trimmed_length};
use serde_json::{Map, Value};

use crate::problem::{Fault, FieldError};
pub(crate) use tree::check_members;
pub use tree::{Bounds, pointer_token};

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// With JSON's types.
    Json,
    /// All as text, as in a query: `true`, `1`, `12.5`. Empty text is as good as none.
    Text,
}

/// The members of one part of a request.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    members: &'a Map<String, Value>,
    part: &'static str,
    wire: Wire,
    errors: &'a RefCell<Vec<FieldError>>,
}

/// A member that was looked up, and read if it is there.
#[derive(Debug)]
#[must_use = "whether it may be missing is not said yet"]
pub struct Field<'a, T> {
    pointer: String,
    state: State<T>,
    errors: &'a RefCell<Vec<FieldError>>,
}

#[derive(Debug)]
enum State<T> {
    Absent,
    Null,
    /// It is there and wrong, which was noted.
    Wrong,
    Read(T),
}

impl<'a> Fields<'a> {
    /// The members of a JSON object.
    #[must_use]
    pub fn json(part: &'static str, members: &'a Map<String, Value>, errors: &'a RefCell<Vec<FieldError>>) -> Self {
        Self { members, part, wire: Wire::Json, errors }
    }

    /// Members that are all text.
    #[must_use]
    pub fn text_only(
        part: &'static str,
        members: &'a Map<String, Value>,
        errors: &'a RefCell<Vec<FieldError>>,
    ) -> Self {
        Self { members, part, wire: Wire::Text, errors }
    }

    /// A line of text such as a name, without outer white space, with this many characters.
    ///
    /// `names` here and below is the name in snake case, which is also found in camel case; further spellings follow
    /// after `|`, as in `project_type|type`.
    pub fn text(&self, names: &str, length: RangeInclusive<usize>) -> Field<'a, String> {
        self.prose(names, length).refuse(
            |text| !has_forbidden_control(text),
            Fault::Format,
            "Control characters are not allowed.",
        )
    }

    /// Text of several lines, without outer white space, with this many characters.
    pub fn prose(&self, names: &str, length: RangeInclusive<usize>) -> Field<'a, String> {
        self.read(names, |value, wrong| {
            let text = string(value, wrong)?;
            within_length(trimmed_length(text), &length, wrong)?;
            Some(text.trim().to_owned())
        })
    }

    /// Text exactly as it was sent, such as a password, with this many characters.
    pub fn verbatim(&self, names: &str, length: RangeInclusive<usize>) -> Field<'a, String> {
        self.read(names, |value, wrong| {
            let text = string(value, wrong)?;
            within_length(text.chars().count(), &length, wrong)?;
            Some(text.to_owned())
        })
    }

    /// Text that only names something, as it was sent: nothing about it is refused, it just may name nothing.
    pub fn name(&self, names: &str) -> Field<'a, String> {
        self.read(names, |value, wrong| match value {
            Value::String(text) => Some(text.clone()),
            _ => wrong.note(Fault::Type, "This must be text."),
        })
    }

    /// A finite number within these bounds.
    pub fn number(&self, names: &str, bounds: RangeInclusive<f64>) -> Field<'a, f64> {
        let wire = self.wire;
        self.read(names, move |value, wrong| {
            let number = match (wire, value) {
                (Wire::Json, Value::Number(number)) => number.as_f64(),
                (Wire::Text, Value::String(text)) => text.trim().parse().ok(),
                _ => None,
            };
            let Some(number) = number else { return wrong.note(Fault::Type, "This must be a number.") };
            if !number.is_finite() {
                return wrong.note(Fault::NotFinite, "This must be a finite number.");
            }
            within(number, &bounds, wrong)
        })
    }

    /// A whole number within these bounds.
    pub fn integer(&self, names: &str, bounds: RangeInclusive<i64>) -> Field<'a, i64> {
        let wire = self.wire;
        self.read(names, move |value, wrong| {
            let number = match (wire, value) {
                (Wire::Json, Value::Number(number)) => {
                    number.as_i64().or_else(|| number.as_f64().and_then(whole_number))
                }
                (Wire::Text, Value::String(text)) => text.trim().parse().ok(),
                _ => None,
            };
            let Some(number) = number else { return wrong.note(Fault::Type, "This must be a whole number.") };
            within(number, &bounds, wrong)
        })
    }

    /// A truth value; in a query or form `true`, `false`, `1` or `0`.
    pub fn boolean(&self, names: &str) -> Field<'a, bool> {
        let wire = self.wire;
        self.read(names, move |value, wrong| match (wire, value) {
            (Wire::Json, Value::Bool(value)) => Some(*value),
            (Wire::Text, Value::String(text)) => match text.trim() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => wrong.note(Fault::Type, "This must be true or false."),
            },
            _ => wrong.note(Fault::Type, "This must be true or false."),
        })
    }

    /// One of the words that `named` knows.
    pub fn choice<T>(&self, names: &str, named: impl Fn(&str) -> Option<T>) -> Field<'a, T> {
        self.read(names, |value, wrong| {
            let text = string(value, wrong)?;
            named(text.trim()).or_else(|| wrong.note(Fault::NotInEnum, "This is none of the words that are allowed."))
        })
    }

    /// An identity: a UUID with dashes.
    pub fn id<T: FromStr>(&self, names: &str) -> Field<'a, T> {
        self.read(names, |value, wrong| {
            let text = string(value, wrong)?;
            let has_dashes = text.len() == 36;
            match text.parse() {
                Ok(id) if has_dashes => Some(id),
                Ok(_) | Err(_) => wrong.note(Fault::Format, "This must be a UUID."),
            }
        })
    }

    /// A time in the form of RFC 3339.
    pub fn time(&self, names: &str) -> Field<'a, DateTime<Utc>> {
        self.read(names, |value, wrong| match DateTime::parse_from_rfc3339(string(value, wrong)?.trim()) {
            Ok(time) => Some(time.with_timezone(&Utc).trunc_subsecs(6)),
            Err(_) => wrong.note(Fault::Format, "This must be a time such as 2026-01-20T09:30:00Z."),
        })
    }

    /// A list of lines of text: at most `items`, each with this many characters.
    pub fn texts(&self, names: &str, items: usize, length: RangeInclusive<usize>) -> Field<'a, Vec<String>> {
        self.read(names, |value, wrong| {
            let Value::Array(values) = value else {
                return wrong.note(Fault::Type, "This must be a list.");
            };
            if values.len() > items {
                return wrong.note(Fault::TooMany, &format!("This must have at most {items} items."));
            }
            let mut texts = Vec::with_capacity(values.len());
            for (at, value) in values.iter().enumerate() {
                let item = Wrong { pointer: format!("{}/{at}", wrong.pointer), errors: wrong.errors };
                let text = string(value, &item)
                    .filter(|text| within_length(trimmed_length(text), &length, &item).is_some())
                    .filter(|text| {
                        !has_forbidden_control(text)
                            || item.note::<()>(Fault::Format, "Control characters are not allowed.").is_some()
                    });
                texts.push(text.map(|text| text.trim().to_owned()));
            }
            texts.into_iter().collect()
        })
    }

    /// An object of any content within these bounds.
    pub fn object(&self, names: &str, bounds: Bounds) -> Field<'a, Map<String, Value>> {
        self.read(names, |value, wrong| {
            let Value::Object(object) = value else { return wrong.note(Fault::Type, "This must be an object.") };
            tree::check(value, &wrong.pointer, bounds, wrong.errors).then(|| object.clone())
        })
    }

    /// A value of any kind within these bounds.
    pub fn any(&self, names: &str, bounds: Bounds) -> Field<'a, Value> {
        self.read(names, |value, wrong| tree::check(value, &wrong.pointer, bounds, wrong.errors).then(|| value.clone()))
    }

    fn read<T>(&self, names: &str, read: impl FnOnce(&Value, &Wrong<'a>) -> Option<T>) -> Field<'a, T> {
        let mut spellings = names.split('|').flat_map(|name| [name.to_owned(), camel_case(name)]);
        let first = spellings.next().unwrap_or_default();
        let mut found = self.members.get_key_value(&first);
        let mut conflict = false;
        for spelling in spellings {
            if let Some(other) = self.members.get_key_value(&spelling)
                && found.is_none_or(|(name, _)| *name != spelling)
            {
                conflict |= found.is_some_and(|(_, value)| value != other.1);
                found = found.or(Some(other));
            }
        }
        let pointer = format!("/{}/{}", self.part, pointer_token(found.map_or(first.as_str(), |(name, _)| name)));
        let wrong = Wrong { pointer: pointer.clone(), errors: self.errors };
        let state = match found {
            _ if conflict => {
                wrong.note::<()>(Fault::ConflictingSpellings, "This is given twice with different values.");
                State::Wrong
            }
            None => State::Absent,
            Some((_, Value::Null)) => State::Null,
            Some((_, Value::String(text))) if self.wire == Wire::Text && text.is_empty() => State::Absent,
            Some((_, value)) => read(value, &wrong).map_or(State::Wrong, State::Read),
        };
        Field { pointer, state, errors: self.errors }
    }
}

impl<'a, T> Field<'a, T> {
    /// The value, which must be there. `None` only if something is wrong, which was noted.
    #[must_use]
    pub fn required(self) -> Option<T> {
        match self.state {
            State::Read(value) => Some(value),
            State::Wrong => None,
            State::Absent => self.note(Fault::Required, "This is required."),
            State::Null => self.note(Fault::NullNotAllowed, "This must not be null."),
        }
    }

    /// The value, if it is there. Null is as good as nothing.
    #[must_use]
    pub fn optional(self) -> Option<T> {
        match self.state {
            State::Read(value) => Some(value),
            State::Wrong | State::Absent | State::Null => None,
        }
    }

    /// The new value of something that is to be changed, if it is. Null is refused.
    #[must_use]
    pub fn change(self) -> Option<T> {
        match self.state {
            State::Read(value) => Some(value),
            State::Wrong | State::Absent => None,
            State::Null => self.note(Fault::NullNotAllowed, "This must not be null."),
        }
    }

    /// The new value of something that is to be changed or, by null, cleared.
    #[must_use]
    pub fn change_or_clear(self) -> Option<Option<T>> {
        match self.state {
            State::Read(value) => Some(Some(value)),
            State::Null => Some(None),
            State::Wrong | State::Absent => None,
        }
    }

    /// Refuses a value that does not pass.
    pub fn refuse(mut self, passes: impl FnOnce(&T) -> bool, fault: Fault, message: &str) -> Self {
        if let State::Read(value) = &self.state
            && !passes(value)
        {
            self.note::<()>(fault, message);
            self.state = State::Wrong;
        }
        self
    }

    /// Turns the value into another one, or refuses it.
    pub fn convert<U>(self, turn: impl FnOnce(T) -> Option<U>, fault: Fault, message: &str) -> Field<'a, U> {
        let Self { pointer, state, errors } = self;
        let state = match state {
            State::Absent => State::Absent,
            State::Null => State::Null,
            State::Wrong => State::Wrong,
            State::Read(value) => {
                let turned = turn(value);
                if turned.is_none() {
                    tree::push(errors, &pointer, fault, message);
                }
                turned.map_or(State::Wrong, State::Read)
            }
        };
        Field { pointer, state, errors }
    }

    fn note<U>(&self, fault: Fault, message: &str) -> Option<U> {
        Wrong { pointer: self.pointer.clone(), errors: self.errors }.note(fault, message)
    }
}

impl Field<'_, String> {
    /// Takes an empty text for null.
    pub fn blank_is_null(mut self) -> Self {
        if let State::Read(text) = &self.state
            && text.is_empty()
        {
            self.state = State::Null;
        }
        self
    }
}

struct Wrong<'a> {
    pointer: String,
    errors: &'a RefCell<Vec<FieldError>>,
}

impl Wrong<'_> {
    fn note<T>(&self, code: Fault, message: &str) -> Option<T> {
        tree::push(self.errors, &self.pointer, code, message);
        None
    }
}

fn string<'v>(value: &'v Value, wrong: &Wrong<'_>) -> Option<&'v str> {
    let Value::String(text) = value else { return wrong.note(Fault::Type, "This must be text.") };
    if text.contains('\0') {
        return wrong.note(Fault::NulCharacter, "The character NUL is not allowed.");
    }
    Some(text)
}

fn within_length(length: usize, bounds: &RangeInclusive<usize>, wrong: &Wrong<'_>) -> Option<()> {
    if length == 0 && *bounds.start() > 0 {
        return wrong.note(Fault::Blank, "This must not be empty.");
    }
    if length < *bounds.start() {
        return wrong.note(Fault::TooShort, &format!("This needs at least {} characters.", bounds.start()));
    }
    if length > *bounds.end() {
        return wrong.note(Fault::TooLong, &format!("This may have at most {} characters.", bounds.end()));
    }
    Some(())
}

fn within<T: PartialOrd + Copy + std::fmt::Display>(
    value: T,
    bounds: &RangeInclusive<T>,
    wrong: &Wrong<'_>,
) -> Option<T> {
    if value < *bounds.start() {
        return wrong.note(Fault::TooSmall, &format!("This must be at least {}.", bounds.start()));
    }
    if value > *bounds.end() {
        return wrong.note(Fault::TooLarge, &format!("This must be at most {}.", bounds.end()));
    }
    Some(value)
}

/// A JSON number such as `2.0` or `1e3` is a whole number, too.
fn whole_number(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

fn camel_case(snake: &str) -> String {
    let mut camel = String::with_capacity(snake.len());
    let mut upper = false;
    for c in snake.chars() {
        if c == '_' {
            upper = true;
        } else if upper {
            camel.extend(c.to_uppercase());
            upper = false;
        } else {
            camel.push(c);
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use domain::ProjectId;
    use serde_json::json;

    use super::*;

    fn errors_of(body: &Value, read: impl FnOnce(Fields<'_>)) -> Vec<(String, Fault)> {
        let errors = RefCell::new(vec![]);
        read(Fields::json("body", body.as_object().unwrap(), &errors));
        errors.into_inner().into_iter().map(|e| (e.pointer, e.code)).collect()
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let body = json!({"name": " ", "client": 5, "budget": -1, "location": null, "tags": ["a", 3, ""]});
        let errors = errors_of(&body, |body| {
            let _ = body.text("name", 1..=255).required();
            let _ = body.text("client", 1..=255).required();
            let _ = body.text("location", 1..=255).required();
            let _ = body.text("sector", 1..=100).required();
            let _ = body.number("budget", 0.0..=1e12).optional();
            let _ = body.texts("tags", 50, 1..=100).optional();
        });
        let expected = [
            ("/body/name", Fault::Blank),
            ("/body/client", Fault::Type),
            ("/body/location", Fault::NullNotAllowed),
            ("/body/sector", Fault::Required),
            ("/body/budget", Fault::TooSmall),
            ("/body/tags/1", Fault::Type),
            ("/body/tags/2", Fault::Blank),
        ];
        assert_eq!(errors, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }

    #[test]
    fn both_spellings_are_read_and_must_agree() {
        let read = |body: Value| {
            let mut value = None;
            let errors = errors_of(&body, |body| value = body.text("project_type|type", 0..=100).optional());
            (value, errors)
        };
        assert_eq!(read(json!({"project_type": "A"})), (Some("A".to_owned()), vec![]));
        assert_eq!(read(json!({"projectType": "A"})), (Some("A".to_owned()), vec![]));
        assert_eq!(read(json!({"type": "A"})), (Some("A".to_owned()), vec![]));
        assert_eq!(read(json!({"type": "A", "projectType": "A"})), (Some("A".to_owned()), vec![]));
        let (value, errors) = read(json!({"type": "A", "projectType": "B"}));
        assert_eq!(value, None);
        assert_eq!(errors, [("/body/projectType".to_owned(), Fault::ConflictingSpellings)]);
    }

    #[test]
    fn changes_tell_absent_from_null() {
        let body = json!({"a": null, "b": "x", "c": ""});
        let errors = errors_of(&body, |body| {
            assert_eq!(body.text("a", 0..=9).change_or_clear(), Some(None));
            assert_eq!(body.text("b", 0..=9).change_or_clear(), Some(Some("x".to_owned())));
            assert_eq!(body.text("c", 0..=9).blank_is_null().change_or_clear(), Some(None));
            assert_eq!(body.text("d", 0..=9).change_or_clear(), None);
            assert_eq!(body.text("a", 0..=9).change(), None);
        });
        assert_eq!(errors, [("/body/a".to_owned(), Fault::NullNotAllowed)]);
    }

    #[test]
    fn characters_are_counted_as_people_count_and_nul_is_refused() {
        let body = json!({"a": "  ééé  ", "b": "a\u{0}b", "c": "a\u{7}b", "d": "a\tb\nc"});
        let errors = errors_of(&body, |body| {
            assert_eq!(body.text("a", 3..=3).required().as_deref(), Some("ééé"));
            assert_eq!(body.text("d", 1..=9).required().as_deref(), Some("a\tb\nc"));
            let _ = body.text("b", 0..=9).required();
            let _ = body.text("c", 0..=9).required();
            let _ = body.text("a", 0..=2).required();
        });
        let expected = [("/body/b", Fault::NulCharacter), ("/body/c", Fault::Format), ("/body/a", Fault::TooLong)];
        assert_eq!(errors, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }

    #[test]
    fn a_query_is_text_that_means_numbers_and_truth() {
        let query = json!({"page": "3", "merge": "1", "x": "1.5", "empty": "", "bad": "many", "id": "0198a3f4"});
        let errors = RefCell::new(vec![]);
        let query = Fields::text_only("query", query.as_object().unwrap(), &errors);
        assert_eq!(query.integer("page", 1..=1000).optional(), Some(3));
        assert_eq!(query.boolean("merge").optional(), Some(true));
        assert_eq!(query.number("x", 0.0..=9.0).optional(), Some(1.5));
        assert_eq!(query.integer("empty", 1..=9).optional(), None);
        assert_eq!(query.integer("bad", 1..=9).optional(), None);
        assert_eq!(query.id::<ProjectId>("id").optional(), None);
        let found: Vec<_> = errors.borrow().iter().map(|e| (e.pointer.clone(), e.code)).collect();
        assert_eq!(found, [("/query/bad".to_owned(), Fault::Type), ("/query/id".to_owned(), Fault::Format)]);
    }

    #[test]
    fn numbers_that_mean_a_whole_number_are_one() {
        let body = json!({"a": 2.0, "b": 1e3, "c": 2.5, "d": 1e300});
        let errors = errors_of(&body, |body| {
            assert_eq!(body.integer("a", 0..=9).optional(), Some(2));
            assert_eq!(body.integer("b", 0..=9999).optional(), Some(1000));
            assert_eq!(body.integer("c", 0..=9).optional(), None);
            assert_eq!(body.integer("d", 0..=9).optional(), None);
        });
        assert_eq!(errors, [("/body/c".to_owned(), Fault::Type), ("/body/d".to_owned(), Fault::Type)]);
    }
}
