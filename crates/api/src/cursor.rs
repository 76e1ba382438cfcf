//! Cursors of lists that grow while they are read: a place in the order, when it was given out, and in which epoch.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::store::FIRST_EPOCH;
use uuid::Uuid;

use crate::call::Parts;
use crate::problem::{Fault, FieldError, Problem};

/// How long a cursor is good.
const VALID: TimeDelta = TimeDelta::days(7);
const BYTES: usize = 32;
/// A cursor of a later epoch names it behind all else.
const BYTES_WITH_EPOCH: usize = BYTES + 4;

/// A place in a list that is sorted by time and then identity, and when the cursor that names it was given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The last item that was shown.
    pub last: (DateTime<Utc>, Uuid),
    given_at: DateTime<Utc>,
}

/// The cursor of a query, if it has one. One of another epoch is refused: what it was given out for may be lost.
pub(crate) fn read(parts: &Parts<'_>) -> Option<Place> {
    let cursor = parts.query.name("cursor").convert(|text| parse(&text), Fault::UnknownCursor, UNKNOWN);
    cursor.convert(|cursor| cursor.in_epoch(parts.epoch), Fault::UnknownCursor, OTHER_EPOCH).optional()
}

const UNKNOWN: &str = "This is no cursor that was given out here, or too old a one.";
/// What is said of a cursor from before, or after, the backup that was restored.
pub(crate) const OTHER_EPOCH: &str =
    "This cursor is of another epoch: a backup was restored since. Begin anew without it.";

/// Something that a cursor names, and the epoch in which it was given out.
pub(crate) struct Dated<T> {
    pub(crate) place: T,
    pub(crate) epoch: u32,
}

impl<T> Dated<T> {
    /// What it names, if it was given out in this epoch.
    pub(crate) fn in_epoch(self, epoch: u32) -> Option<T> {
        (self.epoch == epoch).then_some(self.place)
    }
}

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
    (now, epoch): (DateTime<Utc>, u32),
    place: impl Fn(&T) -> (DateTime<Utc>, Uuid),
) -> Option<String> {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    items.last().filter(|_| more).map(|last| write(place(last), now, epoch))
}

/// The cursor that goes on after `last`.
fn write(last: (DateTime<Utc>, Uuid), now: DateTime<Utc>, epoch: u32) -> String {
    let mut bytes = Vec::with_capacity(BYTES_WITH_EPOCH);
    bytes.extend(last.0.timestamp_micros().to_be_bytes());
    bytes.extend(last.1.as_bytes());
    bytes.extend(now.timestamp_micros().to_be_bytes());
    if epoch > FIRST_EPOCH {
        bytes.extend(epoch.to_be_bytes());
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parse(text: &str) -> Option<Dated<Place>> {
    let decoded = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (bytes, rest) = decoded.split_first_chunk::<BYTES>()?;
    let epoch = if rest.is_empty() { FIRST_EPOCH } else { u32::from_be_bytes(rest.try_into().ok()?) };
    let time = |bytes: &[u8]| DateTime::from_timestamp_micros(i64::from_be_bytes(bytes.try_into().ok()?));
    let last = (time(&bytes[..8])?, Uuid::from_slice(&bytes[8..24]).ok()?);
    Some(Dated { place: Place { last, given_at: time(&bytes[24..])? }, epoch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_its_place_for_seven_days() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let last = (now - TimeDelta::hours(3), Uuid::now_v7());
        let place = parse(&write(last, now, 1)).unwrap().in_epoch(1);
        assert_eq!(still_valid(place, now + VALID).ok(), Some(Some(last)));
        assert!(still_valid(place, now + VALID + TimeDelta::seconds(1)).is_err());
        for wrong in ["", "abc", "!!!!", &"A".repeat(44)] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_is_good_in_its_own_epoch_alone() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let last = (now, Uuid::now_v7());
        for (given, read, good) in [(1, 1, true), (1, 2, false), (2, 1, false), (2, 2, true), (2, 3, false)] {
            let place = parse(&write(last, now, given)).unwrap().in_epoch(read);
            assert_eq!(place.map(|place| place.last), good.then_some(last), "{given} {read}");
        }
        // Those of the first epoch look as they did before there was another.
        assert_eq!((write(last, now, 1).len(), write(last, now, 2).len()), (43, 48));
    }
}
