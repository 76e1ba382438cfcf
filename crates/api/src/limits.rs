//! How often somebody may ask: exact logs of the last minute (or longer), kept in Redis for all instances together, or in
//! memory by each instance while there is no Redis.

mod memory;
mod rules;
mod shared;

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use tokio_util::sync::CancellationToken;

pub use rules::{Limit, PREFIX, limit_of};
pub use shared::InvalidAddress;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// One log of events, and how many of them are too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its name: what is counted, and for whom.
    pub key: String,
    /// How many events there may be within the window.
    pub limit: u32,
    /// How long an event counts.
    pub window: Duration,
    /// Whether this request is an event of this log. A log that is only looked at gets its events from [`Limiter::note`].
    pub counts: bool,
}

/// Whether a request may go on, and what its answer says about that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may go on.
    pub allowed: bool,
    /// The limit of the log that has the least left.
    pub limit: u32,
    /// How many more events that log takes now.
    pub remaining: u32,
    /// When that log has room again, or more room.
    pub reset: Duration,
}

impl Verdict {
    /// Says it in an answer's headers.
    pub fn write_to(self, headers: &mut HeaderMap) {
        let seconds = self.reset_seconds();
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(seconds));
        if !self.allowed {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }

    /// [`Self::reset`] in whole seconds, at least one: whoever waits that long finds room.
    fn reset_seconds(self) -> u64 {
        (self.reset.as_millis().div_ceil(1000).max(1)).try_into().unwrap_or(u64::MAX)
    }
}

/// Counts what is limited.
#[derive(Debug)]
pub struct Limiter {
    shared: Option<shared::Shared>,
    memory: memory::Memory,
}

impl Limiter {
    /// Counts in the Redis at `address`, with `prefix` before every key; with no address in this process only.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] if it is not the address of a Redis server.
    pub fn new(address: Option<&str>, prefix: &str) -> Result<Self, InvalidAddress> {
        let shared = address.map(|address| shared::Shared::new(address, prefix)).transpose()?;
        Ok(Self { shared, memory: memory::Memory::default() })
    }

    /// Keeps a connection to Redis until it is cancelled. Without this running, counts are in memory only.
    pub async fn run(&self, cancel: CancellationToken) {
        if let Some(shared) = &self.shared {
            shared.run(cancel).await;
        }
    }

    /// Whether Redis is used and answers; `None` where there is none to use.
    pub async fn ping(&self) -> Option<bool> {
        match &self.shared {
            Some(shared) => Some(shared.ping().await),
            None => None,
        }
    }

    /// Lets the request go on if all logs have room, and counts it; a request that is refused counts in none.
    /// Never fails: what Redis does not answer at once is counted in memory.
    pub async fn take(&self, logs: &[Log]) -> Verdict {
        if let Some(shared) = &self.shared
            && let Some(verdict) = shared.take(logs).await
        {
            return verdict;
        }
        self.memory.take(logs)
    }

    /// Adds an event to each of these logs, even to a full one.
    pub async fn note(&self, logs: &[Log]) {
        let noted = match &self.shared {
            Some(shared) => shared.note(logs).await,
            None => false,
        };
        if !noted {
            self.memory.note(logs);
        }
    }
}

/// Of two logs' verdicts the one that an answer tells: a refusal, else the one with the least left.
fn tighter(first: Option<Verdict>, second: Verdict) -> Verdict {
    match first {
        Some(first) if (first.allowed, first.remaining) <= (second.allowed, second.remaining) => first,
        Some(_) | None => second,
    }
}
