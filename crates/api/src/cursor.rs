//! Cursors of lists that grow while they are read: a place in the order, and when it was given out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::fields::Fields;
use crate::problem::{Fault, FieldError, Problem};

/// How long a cursor is good.
const VALID: TimeDelta = TimeDelta::days(7);
const BYTES: usize = 32;

/// A place in a list that is sorted by time and then identity, and when the cursor that names it was given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The last item that was shown.
    pub last: (DateTime<Utc>, Uuid),
    given_at: DateTime<Utc>,
}

/// The cursor of a query, if it has one.
pub(crate) fn read(query: &Fields<'_>) -> Option<Place> {
    query.name("cursor").convert(|text| parse(&text), Fault::UnknownCursor, UNKNOWN).optional()
}

const UNKNOWN: &str = "This is no cursor that was given out here, or too old a one.";

/// The last item that was shown, if the cursor is young enough.
///
/// # Errors
///
/// A validation problem if it is too old.
pub(crate) fn still_valid(place: Option<Place>, now: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, Uuid)>, Problem> {
    match place {
        Some(place) if now - place.given_at > VALID => Err(Problem::invalid(vec![FieldError {
            pointer: "/query/cursor".to_owned(),
            code: Fault::UnknownCursor,
            message: UNKNOWN.to_owned(),
        }])),
        place => Ok(place.map(|place| place.last)),
    }
}

/// Cuts a list that was read with one item too many to `limit` items; the cursor that goes on after them, if there are
/// more.
pub(crate) fn next<T>(
    items: &mut Vec<T>,
    limit: u32,
    now: DateTime<Utc>,
    place: impl Fn(&T) -> (DateTime<Utc>, Uuid),
) -> Option<String> {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    items.last().filter(|_| more).map(|last| write(place(last), now))
}

/// The cursor that goes on after `last`.
fn write(last: (DateTime<Utc>, Uuid), now: DateTime<Utc>) -> String {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.extend(last.0.timestamp_micros().to_be_bytes());
    bytes.extend(last.1.as_bytes());
    bytes.extend(now.timestamp_micros().to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parse(text: &str) -> Option<Place> {
    let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let time = |bytes: &[u8]| DateTime::from_timestamp_micros(i64::from_be_bytes(bytes.try_into().ok()?));
    Some(Place { last: (time(&bytes[..8])?, Uuid::from_slice(&bytes[8..24]).ok()?), given_at: time(&bytes[24..])? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_its_place_for_seven_days() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let last = (now - TimeDelta::hours(3), Uuid::now_v7());
        let place = parse(&write(last, now));
        assert_eq!(still_valid(place, now + VALID).ok(), Some(Some(last)));
        assert!(still_valid(place, now + VALID + TimeDelta::seconds(1)).is_err());
        for wrong in ["", "abc", "!!!!", &"A".repeat(44)] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
