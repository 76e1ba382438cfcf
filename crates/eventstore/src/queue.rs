//! Who waits for a stream waits in memory first: at most one connection per stream and process waits in the database.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use domain::StreamKey;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The queues of this process, one per stream that somebody waits for.
#[derive(Clone, Default)]
pub(crate) struct Queues(Arc<Mutex<HashMap<StreamKey, Lock>>>);

/// A place at the head of some streams' queues. Leaves them when dropped.
pub(crate) struct Turn(#[expect(dead_code, reason = "held for its drop")] Vec<Place>);

struct Place {
    queues: Queues,
    key: StreamKey,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Queues {
    /// Waits for the head of each stream's queue, in the order of the keys, so that no two wait for each other.
    /// `None` if that takes until `until`.
    pub(crate) async fn turn(&self, keys: &BTreeSet<StreamKey>, until: Instant) -> Option<Turn> {
        let mut places = Vec::with_capacity(keys.len());
        for key in keys {
            // Made before waiting, so that giving up cleans up, too.
            let mut place = Place { queues: self.clone(), key: *key, guard: None };
            let lock = Arc::clone(self.locks().entry(*key).or_default());
            place.guard = Some(timeout_at(until, lock.lock_owned()).await.ok()?);
            places.push(place);
        }
        Some(Turn(places))
    }

    fn locks(&self) -> std::sync::MutexGuard<'_, HashMap<StreamKey, Lock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.guard = None;
        let mut locks = self.queues.locks();
        if locks.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::ProjectId;

    use super::*;

    #[tokio::test]
    async fn one_waits_for_the_other_gives_up_in_time_and_leaves_nothing_behind() {
        let queues = Queues::default();
        let keys = BTreeSet::from([StreamKey::from(ProjectId::generate()), ProjectId::generate().into()]);
        let in_ms = |ms| Instant::now() + Duration::from_millis(ms);
        let first = queues.turn(&keys, in_ms(20)).await.unwrap();
        assert!(queues.turn(&keys, in_ms(20)).await.is_none(), "the turn is taken");
        let second = tokio::spawn({
            let (queues, keys) = (queues.clone(), keys.clone());
            async move { queues.turn(&keys, in_ms(5_000)).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(second.await.unwrap(), "whoever waits gets the next turn");
        assert!(queues.locks().is_empty());
    }
}
