//! From stored rows to facts: the one place that opens personal values and applies upcasters, whoever loaded the row.

use chrono::{DateTime, Utc};
use cqrs_es::persist::SerializedEvent;
use cqrs_es::{Aggregate, DomainEvent};
use domain::{Account, Metadata, Project, Proposal, Recorded, StoreLife, StreamKey, StreamKind};
use serde::Deserialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::failpoint;
use crate::personal::{KeyRing, Place, has_stored_marker, open};
use crate::{StoreError, Stored};

/// The columns that a [`StoredEvent`] is read from, of a table with the alias `e`.
pub const EVENT_COLUMNS: &str = "e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version, e.payload, \
     e.metadata, e.event_id, e.recorded_at";

/// An event as it is stored: payload and metadata are the exact texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The kind of stream, by its stored name.
    pub aggregate_type: String,
    /// Which stream.
    pub aggregate_id: String,
    /// The number in the stream.
    pub sequence: i64,
    /// What kind of event.
    pub event_type: String,
    /// The version of its shape: a whole number as we write it; cqrs-es' upcasters make `2.0.0` of `2` in memory.
    pub event_version: String,
    /// The event, personal values sealed.
    pub payload: String,
    /// [`Metadata`].
    pub metadata: String,
    /// Its identity.
    pub event_id: Uuid,
    /// When the server decided it.
    pub recorded_at: DateTime<Utc>,
}

impl<'r> FromRow<'r, PgRow> for StoredEvent {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            aggregate_type: row.try_get("aggregate_type")?,
            aggregate_id: row.try_get("aggregate_id")?,
            sequence: row.try_get("sequence")?,
            event_type: row.try_get("event_type")?,
            event_version: row.try_get("event_version")?,
            // json travels as its text; sqlx would only hand it out parsed.
            payload: row.try_get_unchecked("payload")?,
            metadata: row.try_get_unchecked("metadata")?,
            event_id: row.try_get("event_id")?,
            recorded_at: row.try_get("recorded_at")?,
        })
    }
}

/// Why a stored event cannot be read by this code. Holds no stored value, which may be personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A ledger row points to an event that is not there.
    #[error("the event is missing")]
    Missing,
    /// A kind of stream that this code does not know: a newer release wrote it.
    #[error("unknown kind of stream {0}")]
    UnknownStream(String),
    /// A type of event that this code does not know: a newer release wrote it.
    #[error("unknown type of event {0}")]
    UnknownType(String),
    /// The payload is not of the type's shape.
    #[error("payload of {event_type} version {event_version} does not fit at column {column}")]
    Payload {
        /// The type of event.
        event_type: String,
        /// Its stored version.
        event_version: String,
        /// Where in the payload.
        column: usize,
    },
    /// The metadata is not ours.
    #[error("metadata does not fit at column {column}")]
    Metadata {
        /// Where in the metadata.
        column: usize,
    },
    /// A sealed value does not open: it was damaged, moved, or sealed under another key.
    #[error("a sealed value does not open")]
    Sealed,
}

/// The contract's `schemaVersion` of a stored `event_version`: the whole number before the first dot.
#[must_use]
pub fn schema_version(event_version: &str) -> u32 {
    event_version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

impl StoredEvent {
    /// The stream, if it is one of a kind that this code knows.
    #[must_use]
    pub fn key(&self) -> Option<StreamKey> {
        stream_key(&self.aggregate_type, &self.aggregate_id)
    }

    /// The subject whose key is needed to read the payload, if one is needed.
    pub(crate) fn sealed_subject(&self) -> Option<Uuid> {
        has_stored_marker(&self.payload).then(|| subject(&self.metadata)).flatten()
    }

    /// The whole record.
    pub(crate) fn recorded(self, keys: &KeyRing) -> Result<Recorded, DecodeError> {
        let stream = self.key().ok_or_else(|| DecodeError::UnknownStream(self.aggregate_type.clone()))?;
        let metadata: Metadata =
            serde_json::from_str(&self.metadata).map_err(|error| DecodeError::Metadata { column: error.column() })?;
        let (event_id, recorded_at) = (self.event_id, self.recorded_at);
        let sequence = self.sequence.unsigned_abs();
        let fact = match stream.kind {
            StreamKind::Account => Account::fact(self.event::<Account>(keys)?),
            StreamKind::Project => Project::fact(self.event::<Project>(keys)?),
            StreamKind::Proposal => Proposal::fact(self.event::<Proposal>(keys)?),
            StreamKind::Store => StoreLife::fact(self.event::<StoreLife>(keys)?),
        };
        Ok(Recorded { stream, sequence, event_id, recorded_at, metadata, fact })
    }

    /// The event of a known aggregate: straight from the text where nothing has to be opened or upcast.
    pub(crate) fn event<A: Stored>(self, keys: &KeyRing) -> Result<A::Event, DecodeError> {
        if failpoint::is_unknown(&self.event_type) {
            return Err(DecodeError::UnknownType(self.event_type));
        }
        let sealed = has_stored_marker(&self.payload);
        let old = A::upcasters().iter().any(|upcaster| upcaster.can_upcast(&self.event_type, &self.event_version));
        if !sealed && !old {
            let read = serde_json::from_str(&self.payload);
            return checked::<A>(read, &self.event_type, &self.event_version);
        }
        let payload = parse(&self.payload, &self.event_type, &self.event_version)?;
        let metadata = serde_json::from_str(&self.metadata).unwrap_or_default();
        event::<A>(
            SerializedEvent {
                aggregate_id: self.aggregate_id,
                sequence: usize::try_from(self.sequence).unwrap_or_default(),
                aggregate_type: self.aggregate_type,
                event_type: self.event_type,
                event_version: self.event_version,
                payload,
                metadata,
            },
            keys,
        )
    }

    /// The payload as people may read it: opened, upcast to nothing, erased values as `[erased]`.
    pub(crate) fn readable_payload(&self, keys: &KeyRing) -> Result<Value, DecodeError> {
        let mut payload = parse(&self.payload, &self.event_type, &self.event_version)?;
        if has_stored_marker(&self.payload) {
            let subject = subject(&self.metadata).unwrap_or_default();
            let place = Place {
                aggregate_type: &self.aggregate_type,
                aggregate_id: &self.aggregate_id,
                sequence: self.sequence,
                subject,
            };
            open(&mut payload, keys.get(subject), &place).map_err(|_| DecodeError::Sealed)?;
        }
        crate::personal::reveal(&mut payload);
        // The type stands in a column of its own.
        if let Some(members) = payload.as_object_mut()
            && members.get("type").and_then(Value::as_str) == Some(&self.event_type)
        {
            members.remove("type");
        }
        Ok(payload)
    }
}

/// The event inside a row as cqrs-es hands it out: opened, upcast, read.
pub(crate) fn event<A: Stored>(mut row: SerializedEvent, keys: &KeyRing) -> Result<A::Event, DecodeError> {
    if failpoint::is_unknown(&row.event_type) {
        return Err(DecodeError::UnknownType(row.event_type));
    }
    let subject = serialized_subject(&row);
    let place = Place {
        aggregate_type: &row.aggregate_type,
        aggregate_id: &row.aggregate_id,
        sequence: i64::try_from(row.sequence).unwrap_or(i64::MAX),
        subject,
    };
    open(&mut row.payload, keys.get(subject), &place).map_err(|_| DecodeError::Sealed)?;
    let stored_version = row.event_version.clone();
    let row = A::upcasters().iter().fold(row, |row, upcaster| {
        if upcaster.can_upcast(&row.event_type, &row.event_version) { upcaster.upcast(row) } else { row }
    });
    checked::<A>(serde_json::from_value(row.payload), &row.event_type, &stored_version)
}

/// The subject named in a row as cqrs-es hands it out; nil if none is named.
pub(crate) fn serialized_subject(row: &SerializedEvent) -> Uuid {
    row.metadata.get("subject").and_then(Value::as_str).and_then(|id| id.parse().ok()).unwrap_or_default()
}

/// The stream of stored columns, if it is one of a kind that this code knows.
pub(crate) fn stream_key(aggregate_type: &str, aggregate_id: &str) -> Option<StreamKey> {
    Some(StreamKey { kind: aggregate_type.parse().ok()?, id: aggregate_id.parse().ok()? })
}

/// The subject named in stored metadata.
pub(crate) fn subject(metadata: &str) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct Subject {
        subject: Uuid,
    }
    serde_json::from_str::<Subject>(metadata).ok().map(|metadata| metadata.subject)
}

/// Names the stream and event of a decoding error.
pub(crate) fn failed(aggregate_type: &str, aggregate_id: &str, sequence: i64, source: DecodeError) -> StoreError {
    StoreError::Decode { stream: format!("{aggregate_type}/{aggregate_id}"), sequence, source }
}

fn parse(payload: &str, event_type: &str, event_version: &str) -> Result<Value, DecodeError> {
    serde_json::from_str(payload).map_err(|error| misfit(&error, event_type, event_version))
}

/// The event, if it is of the type that its row names.
fn checked<A: Aggregate>(
    read: Result<A::Event, serde_json::Error>,
    event_type: &str,
    event_version: &str,
) -> Result<A::Event, DecodeError> {
    let event = read.map_err(|error| misfit(&error, event_type, event_version))?;
    if event.event_type() == event_type {
        Ok(event)
    } else {
        Err(DecodeError::Payload {
            event_type: event_type.to_owned(),
            event_version: event_version.to_owned(),
            column: 0,
        })
    }
}

/// serde says by its message alone that a variant is unknown; the message itself may quote a value and is dropped.
fn misfit(error: &serde_json::Error, event_type: &str, event_version: &str) -> DecodeError {
    if error.to_string().starts_with(&format!("unknown variant `{event_type}`")) {
        DecodeError::UnknownType(event_type.to_owned())
    } else {
        DecodeError::Payload {
            event_type: event_type.to_owned(),
            event_version: event_version.to_owned(),
            column: error.column(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use cqrs_es::event_sink::EventSink;
    use cqrs_es::persist::{EventUpcaster, SemanticVersionEventUpcaster};
    use domain::{Fact, Personal};
    use serde::Serialize;
    use serde_json::json;

    use super::*;
    use crate::personal::seal;

    fn row(event_type: &str, payload: &Value) -> StoredEvent {
        StoredEvent {
            aggregate_type: "account".to_owned(),
            aggregate_id: Uuid::nil().to_string(),
            sequence: 1,
            event_type: event_type.to_owned(),
            event_version: "1".to_owned(),
            payload: payload.to_string(),
            metadata: json!({"subject": SUBJECT}).to_string(),
            event_id: Uuid::nil(),
            recorded_at: DateTime::UNIX_EPOCH,
        }
    }

    const SUBJECT: Uuid = Uuid::from_u128(7);

    #[test]
    fn an_unknown_type_is_told_from_a_payload_that_does_not_fit() {
        let keys = KeyRing::default();
        let newer = row("account-frozen", &json!({"type": "account-frozen"}));
        assert_eq!(newer.event::<Account>(&keys), Err(DecodeError::UnknownType("account-frozen".to_owned())));
        let broken = row("session-ended", &json!({"type": "session-ended", "session": "ana@example.com"}));
        let error = broken.event::<Account>(&keys).unwrap_err();
        assert!(matches!(error, DecodeError::Payload { .. }));
        assert!(!error.to_string().contains("ana@"), "an error shows no stored value");
        let session = Uuid::nil();
        let disguised = row("sign-in-refused", &json!({"type": "session-ended", "session": session}));
        assert!(matches!(disguised.event::<Account>(&keys), Err(DecodeError::Payload { .. })));
    }

    #[test]
    fn the_schema_version_is_the_whole_number() {
        assert_eq!([schema_version("1"), schema_version("2.0.0"), schema_version("x")], [1, 2, 0]);
    }

    /// An aggregate whose one event was stored in two older shapes.
    #[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
    struct Pump;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type", rename_all = "kebab-case")]
    enum PumpEvent {
        FlowRecorded { flow_m3_per_day: f64, by: Personal<String> },
    }

    impl DomainEvent for PumpEvent {
        fn event_type(&self) -> String {
            "flow-recorded".to_owned()
        }

        fn event_version(&self) -> String {
            "3".to_owned()
        }
    }

    impl Aggregate for Pump {
        const TYPE: &'static str = "pump";
        type Command = ();
        type Event = PumpEvent;
        type Error = std::convert::Infallible;
        type Services = ();

        async fn handle(&mut self, (): (), (): &(), _: &EventSink<Self>) -> Result<(), Self::Error> {
            Ok(())
        }

        fn apply(&mut self, _: PumpEvent) {}
    }

    static UPCASTERS: LazyLock<[Box<dyn EventUpcaster>; 2]> = LazyLock::new(|| {
        let second = |mut payload: Value| {
            payload["by"] = json!({"$personal": "unknown"});
            payload
        };
        let third = |mut payload: Value| {
            let litres_per_second = payload["litres_per_second"].as_f64().unwrap_or_default();
            payload["flow_m3_per_day"] = json!(litres_per_second * 86.4);
            payload
        };
        [
            Box::new(SemanticVersionEventUpcaster::new("flow-recorded", "2", Box::new(second))),
            Box::new(SemanticVersionEventUpcaster::new("flow-recorded", "3", Box::new(third))),
        ]
    });

    impl Stored for Pump {
        const KIND: StreamKind = StreamKind::Account;
        const SHAPE: u32 = 1;

        fn fact(event: PumpEvent) -> Fact {
            match event {
                PumpEvent::FlowRecorded { .. } => Fact::Account(domain::AccountEvent::SessionEnded {
                    session: domain::SessionId::from_uuid(Uuid::nil()),
                }),
            }
        }

        fn upcasters() -> &'static [Box<dyn EventUpcaster>] {
            &*UPCASTERS
        }
    }

    fn recorded_by(by: &str) -> PumpEvent {
        PumpEvent::FlowRecorded { flow_m3_per_day: 864.0, by: Personal::new(by.to_owned()) }
    }

    fn stored(version: &str, payload: &Value, key: &[u8; 32]) -> StoredEvent {
        let mut event = row("flow-recorded", &json!(null));
        event.event_version = version.to_owned();
        let mut payload = payload.clone();
        let place = Place {
            aggregate_type: &event.aggregate_type,
            aggregate_id: &event.aggregate_id,
            sequence: 1,
            subject: SUBJECT,
        };
        seal(&mut payload, Some(key), &place);
        event.payload = payload.to_string();
        event
    }

    #[test]
    fn every_shape_ever_stored_is_read_as_the_present_one() {
        let key = [5; 32];
        let keys = KeyRing::of([(SUBJECT, key)]);
        let first = json!({"type": "flow-recorded", "litres_per_second": 10.0});
        assert_eq!(stored("1", &first, &key).event::<Pump>(&keys), Ok(recorded_by("unknown")));
        // Sealed and old: opened before it is upcast.
        let second = json!({"type": "flow-recorded", "litres_per_second": 10.0, "by": {"$personal": "Ana"}});
        assert_eq!(stored("2", &second, &key).event::<Pump>(&keys), Ok(recorded_by("Ana")));
        let third = json!({"type": "flow-recorded", "flow_m3_per_day": 864.0, "by": {"$personal": "Ana"}});
        assert_eq!(stored("3", &third, &key).event::<Pump>(&keys), Ok(recorded_by("Ana")));
        // As a newer cqrs-es might store it, and as the stock repository hands it out.
        let by_hand = SerializedEvent {
            aggregate_id: Uuid::nil().to_string(),
            sequence: 1,
            aggregate_type: "account".to_owned(),
            event_type: "flow-recorded".to_owned(),
            event_version: "2.0.0".to_owned(),
            payload: serde_json::from_str(&stored("2", &second, &key).payload).unwrap(),
            metadata: json!({"subject": SUBJECT}),
        };
        assert_eq!(event::<Pump>(by_hand, &keys), Ok(recorded_by("Ana")));
        let erased = stored("2", &second, &key).event::<Pump>(&KeyRing::default()).unwrap();
        assert_eq!(erased, PumpEvent::FlowRecorded { flow_m3_per_day: 864.0, by: Personal::Erased });
        let damaged = stored("2", &second, &[6; 32]);
        assert_eq!(damaged.event::<Pump>(&keys), Err(DecodeError::Sealed));
    }
}
