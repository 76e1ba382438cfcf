//! Which events somebody asks for.

use chrono::{DateTime, Utc};
use domain::{Role, StreamKey, StreamKind};
use eventstore::AuditQuery;
use uuid::Uuid;

use crate::call::{Input, Parts};
use crate::cursor::OTHER_EPOCH;
use crate::problem::Fault;

/// Most events of one page.
const MOST: i64 = 500;
/// Events of one page where nobody says how many.
const USUAL: i64 = 100;
/// Positions are below this, so that every JSON reader holds them exactly.
const POSITIONS: i64 = 1 << 53;

/// Events by whatever can be asked for.
pub(super) struct Selection {
    pub query: AuditQuery,
}

impl Input for Selection {
    fn allows(roles: &[Role]) -> bool {
        super::allows(roles)
    }

    fn read(parts: &Parts<'_>) -> Option<Self> {
        let fields = parts.query;
        let mut query = paging(parts)?;
        query.stream_kind = fields.choice("stream_type", |word| word.parse::<StreamKind>().ok()).optional();
        query.stream_id = fields.id::<Uuid>("stream_id").optional();
        query.event_types = fields
            .text("event_type", 1..=2000)
            .convert(
                |text| event_types(&text),
                Fault::Format,
                "This must be names of event types, separated by commas.",
            )
            .optional()
            .unwrap_or_default();
        query.actor = fields.id::<Uuid>("actor_id").optional();
        query.correlation_id = fields.text("correlation_id", 1..=64).optional();
        query.from_position = fields.integer("from_position", 0..=POSITIONS).optional().map(i64::unsigned_abs);
        query.to_position = fields.integer("to_position", 0..=POSITIONS).optional().map(i64::unsigned_abs);
        query.from = fields.time("from").optional();
        query.to = fields.time("to").optional();
        Some(Self { query })
    }
}

/// One stream, and perhaps what it was.
pub(super) struct StreamInput {
    pub key: StreamKey,
    pub as_of: Option<AsOf>,
    pub query: AuditQuery,
}

/// A point of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AsOf {
    /// After the event at this position.
    Position(u64),
    /// After everything that was recorded by then.
    Time(DateTime<Utc>),
}

impl Input for StreamInput {
    fn allows(roles: &[Role]) -> bool {
        super::allows(roles)
    }

    fn read(parts: &Parts<'_>) -> Option<Self> {
        let kind = parts.path.choice("type", |word| word.parse::<StreamKind>().ok()).required();
        let id = parts.path.id::<Uuid>("id").required();
        let as_of = parts.query.text("as_of", 1..=64);
        let as_of =
            as_of.convert(|text| as_of_named(&text), Fault::Format, "This must be a position or a time.").optional();
        let query = paging(parts);
        let (kind, id) = (kind?, id?);
        let query = AuditQuery { stream_kind: Some(kind), stream_id: Some(id), ..query? };
        Some(Self { key: StreamKey { kind, id }, as_of, query })
    }
}

fn paging(parts: &Parts<'_>) -> Option<AuditQuery> {
    let fields = parts.query;
    let descending = fields.choice("order", |word| match word {
        "asc" => Some(false),
        "desc" => Some(true),
        _ => None,
    });
    let limit = fields.integer("limit", 1..=MOST).optional().unwrap_or(USUAL);
    let after = fields
        .text("cursor", 1..=200)
        .convert(|text| cursor::read(&text), Fault::UnknownCursor, "This is no cursor that was given out here.")
        .convert(|cursor| cursor.in_epoch(parts.epoch), Fault::UnknownCursor, OTHER_EPOCH)
        .optional();
    Some(AuditQuery {
        descending: descending.optional().unwrap_or(false),
        limit: u32::try_from(limit).ok()?,
        after,
        ..AuditQuery::default()
    })
}

fn event_types(text: &str) -> Option<Vec<String>> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    names.iter().all(|name| is_name(name)).then_some(names)
}

fn as_of_named(text: &str) -> Option<AsOf> {
    if let Ok(position) = text.parse::<u64>() {
        return (position < POSITIONS.unsigned_abs()).then_some(AsOf::Position(position));
    }
    DateTime::parse_from_rfc3339(text).ok().map(|time| AsOf::Time(time.with_timezone(&Utc)))
}

/// Cursors of the audit: a position, and the epoch if it is not the first. Events never move, so that they hold until a
/// backup is restored.
pub(super) mod cursor {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use domain::store::FIRST_EPOCH;

    use crate::cursor::Dated;

    const PREFIX: &str = "a1:";

    pub(crate) fn write(position: u64, epoch: u32) -> String {
        URL_SAFE_NO_PAD.encode(if epoch > FIRST_EPOCH {
            format!("{PREFIX}{position}:{epoch}")
        } else {
            format!("{PREFIX}{position}")
        })
    }

    pub(crate) fn read(cursor: &str) -> Option<Dated<u64>> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let text = text.strip_prefix(PREFIX)?;
        let (place, epoch) = match text.split_once(':') {
            Some((place, epoch)) => (place, epoch.parse().ok()?),
            None => (text, FIRST_EPOCH),
        };
        Some(Dated { place: place.parse().ok()?, epoch })
    }
}
