//! A value as an event holds it: in the clear, or marked as personal.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Value, json};

use crate::{
    Personal,
    personal::{ERASED, ERASED_TEXT, PERSONAL},
};

/// A value of the document inside an event. Its JSON is the value itself, or that of [`Personal`].
///
/// The two are told apart by the mark, so a value of the user's own that holds a key starting with `$` is always
/// wrapped (see `privacy`): nobody can make the event store open or seal what was never personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Readable in the event for ever.
    Plain(Value),
    /// Encrypted by the event store, readable until its subject is erased.
    Personal(Personal<Value>),
}

impl Stored {
    /// Wraps a value by what `privacy` decided.
    pub(super) fn new(value: Value, personal: bool) -> Self {
        if personal { Self::Personal(Personal::new(value)) } else { Self::Plain(value) }
    }

    /// The value, unless it was erased.
    #[must_use]
    pub const fn known(&self) -> Option<&Value> {
        match self {
            Self::Plain(value) => Some(value),
            Self::Personal(value) => value.known(),
        }
    }

    /// Whether the value is marked as personal.
    #[must_use]
    pub const fn is_personal(&self) -> bool {
        matches!(self, Self::Personal(_))
    }

    /// The value to put into a document: the string `[erased]` in the place of an erased one.
    #[must_use]
    pub fn value(&self) -> Value {
        self.known().cloned().unwrap_or_else(|| json!(ERASED_TEXT))
    }
}

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Personal(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let marked = value.as_object().is_some_and(|members| {
            members.len() == 1 && (members.contains_key(PERSONAL) || members.contains_key(ERASED))
        });
        if marked {
            serde_json::from_value(value).map(Self::Personal).map_err(D::Error::custom)
        } else {
            Ok(Self::Plain(value))
        }
    }
}

/// Reads a member that may be absent, where null is a value: plain `Option` would read null as absent.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Stored>, D::Error> {
    Stored::deserialize(deserializer).map(Some)
}
