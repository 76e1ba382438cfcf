//! What was read about sessions in the last second.
//!
//! One request in a burst asks the database, the others use its answer. A session that is being ended is not answered
//! from here for a while: its end is in a transaction that commits at a time this cache does not learn, and until then
//! (and if it is rolled back) the row is right.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use domain::{AccountId, SessionId};

use super::authenticate::SessionRow;

/// How old an answer may be, counted from before the question. The contract's second, less what a request takes.
const FRESH_FOR: Duration = Duration::from_millis(900);
/// How long a session or account is asked for each time after a change to it: longer than any transaction lasts, as
/// requests end after 25 s.
const ASK_FOR: Duration = Duration::from_secs(30);
/// Entries kept, about 200 bytes each.
const ENTRIES: usize = 10_000;

/// What a request showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Carrier {
    /// A token of this session, whose signature was checked.
    Bearer(SessionId),
    /// A cookie with this SHA-256.
    Cookie([u8; 32]),
}

/// What a change was made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Changed {
    Session(SessionId),
    Account(AccountId),
}

#[derive(Default)]
pub(super) struct Cache(Mutex<Known>);

#[derive(Default)]
struct Known {
    rows: HashMap<Carrier, (Instant, SessionRow)>,
    /// Until when to ask each time.
    changed: HashMap<Changed, Instant>,
    /// Until when to ask each time for everything: there were more changes than can be remembered.
    all_changed: Option<Instant>,
}

impl Known {
    fn must_ask(&self, row: &SessionRow, now: Instant) -> bool {
        let after = |until: &Instant| now < *until;
        self.all_changed.as_ref().is_some_and(after)
            || self.changed.get(&Changed::Session(row.session_id)).is_some_and(after)
            || self.changed.get(&Changed::Account(row.account_id)).is_some_and(after)
    }
}

impl Cache {
    /// The row, if it was read less than a second ago.
    pub(super) fn get(&self, carrier: Carrier, now: Instant) -> Option<SessionRow> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, row) = known.rows.get(&carrier)?;
        (now.saturating_duration_since(*read_at) < FRESH_FOR && !known.must_ask(row, now)).then(|| row.clone())
    }

    /// Keeps a row that was asked for at `asked_at`. A change since then wins.
    pub(super) fn put(&self, carrier: Carrier, row: SessionRow, asked_at: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.must_ask(&row, asked_at) {
            return;
        }
        if known.rows.len() >= ENTRIES {
            known.rows.retain(|_, (read_at, _)| asked_at.saturating_duration_since(*read_at) < FRESH_FOR);
        }
        if known.rows.len() < ENTRIES {
            known.rows.insert(carrier, (asked_at, row));
        }
    }

    /// Notes that the session was used, so that this is written once.
    pub(super) fn seen(&self, carrier: Carrier, at: DateTime<Utc>) {
        if let Some((_, row)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).rows.get_mut(&carrier) {
            row.last_seen_at = at;
        }
    }

    /// From now on the database is asked about this, for as long as the change may be uncommitted.
    pub(super) fn ask(&self, changed: Changed, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.changed.len() >= ENTRIES {
            known.changed.retain(|_, until| now < *until);
        }
        let until = now + ASK_FOR;
        if known.changed.len() < ENTRIES {
            known.changed.insert(changed, until);
        } else {
            known.all_changed = Some(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(account_id: AccountId) -> SessionRow {
        SessionRow {
            session_id: SessionId::generate(),
            account_id,
            last_seen_at: DateTime::UNIX_EPOCH,
            access_expires_at: DateTime::UNIX_EPOCH,
            revoked: false,
            roles: vec![],
        }
    }

    fn put(cache: &Cache, row: &SessionRow, at: Instant) -> Carrier {
        let carrier = Carrier::Bearer(row.session_id);
        cache.put(carrier, row.clone(), at);
        carrier
    }

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn an_answer_is_used_for_less_than_a_second() {
        let (cache, start) = (Cache::default(), Instant::now());
        let row = row(AccountId::generate());
        let carrier = put(&cache, &row, start);
        assert_eq!(cache.get(carrier, start + FRESH_FOR - MOMENT), Some(row));
        assert_eq!(cache.get(carrier, start + FRESH_FOR), None);
        const { assert!(FRESH_FOR.as_millis() < 1000) };
    }

    #[test]
    fn a_changed_session_or_account_is_asked_for_until_the_change_is_surely_committed() {
        let (account, other) = (AccountId::generate(), AccountId::generate());
        let (first, second, third) = (row(account), row(account), row(other));
        for changed in [Changed::Session(first.session_id), Changed::Account(account)] {
            let (cache, start) = (Cache::default(), Instant::now());
            let [one, two, three] = [&first, &second, &third].map(|row| put(&cache, row, start));
            cache.ask(changed, start + MOMENT);
            assert_eq!(cache.get(one, start + MOMENT), None);
            assert_eq!(cache.get(two, start + MOMENT).is_none(), changed == Changed::Account(account));
            assert_eq!(cache.get(three, start + MOMENT), Some(third.clone()));
            // Read before the commit, and still not kept.
            let late = start + ASK_FOR;
            put(&cache, &first, late);
            assert_eq!(cache.get(one, late), None);
            let after = late + MOMENT;
            put(&cache, &first, after);
            assert_eq!(cache.get(one, after), Some(first.clone()));
        }
    }

    #[test]
    fn a_row_asked_for_before_the_change_and_answered_after_it_is_not_used() {
        let (cache, start) = (Cache::default(), Instant::now());
        let row = row(AccountId::generate());
        cache.ask(Changed::Session(row.session_id), start + MOMENT);
        let carrier = put(&cache, &row, start);
        assert_eq!(cache.get(carrier, start + MOMENT), None);
    }

    #[test]
    fn rows_and_changes_are_bounded_and_too_many_changes_switch_the_cache_off() {
        let (cache, start) = (Cache::default(), Instant::now());
        let kept = row(AccountId::generate());
        let carrier = put(&cache, &kept, start);
        for _ in 0..ENTRIES + 10 {
            put(&cache, &row(AccountId::generate()), start);
        }
        assert_eq!(cache.0.lock().unwrap().rows.len(), ENTRIES);
        assert_eq!(cache.get(carrier, start), Some(kept.clone()));
        let later = start + FRESH_FOR;
        put(&cache, &kept, later);
        assert_eq!(cache.0.lock().unwrap().rows.len(), 1, "stale rows make room");

        for _ in 0..=ENTRIES {
            cache.ask(Changed::Account(AccountId::generate()), later);
        }
        assert_eq!(cache.0.lock().unwrap().changed.len(), ENTRIES);
        assert_eq!(cache.get(carrier, later), None);
        let after = later + ASK_FOR;
        put(&cache, &kept, after);
        assert_eq!(cache.get(carrier, after), Some(kept));
    }
}
