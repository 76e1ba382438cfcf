//! The one place where a test looks again and again.

use std::panic::Location;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long to wait between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Looks until there is something to see, and returns it.
///
/// ```no_run
/// # async fn find_job() -> Option<u32> { Some(1) }
/// # async fn example() {
/// let job = testkit::wait_until(std::time::Duration::from_secs(5), async || find_job().await).await;
/// # }
/// ```
///
/// # Panics
///
/// With the caller's place, if nothing was seen within `limit`, a look that hangs included.
#[track_caller]
pub fn wait_until<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let looking = async {
            let mut ticks = interval(BETWEEN_LOOKS);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Some(seen) = look().await {
                    return seen;
                }
            }
        };
        match timeout(limit, looking).await {
            Ok(seen) => seen,
            Err(_) => panic!("what {caller} waits for did not happen within {} ms", limit.as_millis()),
        }
    }
}
