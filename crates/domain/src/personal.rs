//! Personal data inside events: kept apart by its type, from the first event on.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The member that marks a personal value in JSON before it is sealed, and after it was opened.
pub const PERSONAL: &str = "$personal";
/// The member that holds a personal value's sealed bytes in the event store.
pub const SEALED: &str = "$sealed";
/// The member that marks a personal value whose key no longer exists.
pub const ERASED: &str = "$erased";
/// What people read in the place of an erased value.
pub const ERASED_TEXT: &str = "[erased]";

/// A value that says something about a person. Its JSON is `{"$personal": value}`; the event store replaces that by
/// `{"$sealed": "…"}`, encrypted with the key of the data subject, before anything is written, and puts it back when
/// it reads. Once the subject's key is destroyed the value reads as [`Personal::Erased`].
///
/// `Debug` shows no value, so that a log line or a panic message cannot either.
#[derive(Clone, PartialEq, Eq)]
pub enum Personal<T> {
    /// The value, readable.
    Known(T),
    /// The value existed; its key was destroyed.
    Erased,
}

impl<T> Personal<T> {
    /// Marks `value` as personal.
    pub const fn new(value: T) -> Self {
        Self::Known(value)
    }

    /// The value, unless it was erased.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }

    /// The value, unless it was erased.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }
}

impl Personal<String> {
    /// The text for people: the value or `[erased]`.
    #[must_use]
    pub fn text(&self) -> &str {
        self.known().map_or(ERASED_TEXT, String::as_str)
    }
}

impl Personal<Option<String>> {
    /// The text for people: the value, nothing, or `[erased]`.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Known(value) => value.as_deref(),
            Self::Erased => Some(ERASED_TEXT),
        }
    }
}

impl<T: Default> Default for Personal<T> {
    fn default() -> Self {
        Self::Known(T::default())
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "[personal]",
            Self::Erased => ERASED_TEXT,
        })
    }
}

#[derive(Serialize, Deserialize)]
enum Form<T> {
    #[serde(rename = "$personal")]
    Known(T),
    #[serde(rename = "$erased")]
    Erased(bool),
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => Form::Known(value),
            Self::Erased => Form::Erased(true),
        }
        .serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Known(value) => Self::Known(value),
            Form::Erased(_) => Self::Erased,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_personal_value_is_marked_in_json_and_hidden_from_debug() {
        let value = Personal::new(Some("Ana".to_owned()));
        assert_eq!(serde_json::to_value(&value).unwrap(), json!({"$personal": "Ana"}));
        assert_eq!(serde_json::from_value::<Personal<Option<String>>>(json!({"$personal": "Ana"})).unwrap(), value);
        assert_eq!(format!("{value:?}"), "[personal]");
    }

    #[test]
    fn an_erased_value_reads_as_erased() {
        let erased: Personal<String> = serde_json::from_value(json!({"$erased": true})).unwrap();
        assert_eq!(erased.text(), "[erased]");
        assert_eq!(serde_json::to_value(&erased).unwrap(), json!({"$erased": true}));
    }
}
