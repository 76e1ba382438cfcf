//! How often somebody may try to sign in.

use std::time::Duration;

use crate::app::App;
use crate::call::{Envelope, MINUTE};
use crate::limits::Log;
use crate::problem::{Problem, catalogue};

/// Tries per address of the network and minute.
const TRIES: u32 = 30;
/// Failed ones of them.
const FAILED: u32 = 5;
/// Failed tries per e-mail address and address of the network, in a quarter of an hour.
const FAILED_BY_ONE: u32 = 10;
/// Failed tries per e-mail address, from wherever, in an hour.
const FAILED_BY_ALL: u32 = 100;

/// The logs of one try.
pub(super) struct Try {
    tries: Log,
    failed: [Log; 3],
}

impl Try {
    /// A try to sign in with this address, which is given as its keyed hash.
    pub(super) fn new(envelope: &Envelope, email_key: [u8; 32]) -> Self {
        let (network, email) = (envelope.info.network(), hex::encode(email_key));
        let log = |key: String, limit, window, counts| Log { key, limit, window, counts };
        Self {
            tries: log(format!("sign-in {network}"), TRIES, MINUTE, true),
            failed: [
                log(format!("sign-in failed {network}"), FAILED, MINUTE, false),
                log(format!("sign-in failed {network} {email}"), FAILED_BY_ONE, Duration::from_secs(15 * 60), false),
                log(format!("sign-in failed {email}"), FAILED_BY_ALL, Duration::from_secs(60 * 60), false),
            ],
        }
    }

    /// Counts the try.
    ///
    /// # Errors
    ///
    /// [`catalogue::LOGIN_THROTTLED`] if it is one too many.
    pub(super) async fn begin(&self, app: &App, envelope: &Envelope) -> Result<(), Problem> {
        if !app.config().rate_limits {
            return Ok(());
        }
        let [failed, by_one, by_all] = self.failed.clone();
        let verdict = app.limiter().take(&[self.tries.clone(), failed, by_one, by_all]).await;
        envelope.info.set_verdict(verdict);
        if verdict.allowed { Ok(()) } else { Err(catalogue::LOGIN_THROTTLED.into()) }
    }

    /// Counts the try as failed.
    pub(super) async fn failed(&self, app: &App) {
        if app.config().rate_limits {
            app.limiter().note(&self.failed).await;
        }
    }
}
