//! What wakes readers: hints that the ledger or the read models have moved on. A hint may come late or never, so every
//! receiver is woken by a timer, too, and always asks the database itself.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::database::pool_options;

/// The longest time between two wake-ups.
pub(crate) const TICK: Duration = Duration::from_millis(200);
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

const LEDGER: &str = "es_ledger";
const PROJECTED: &str = "es_projected";

/// Wakes readers of the ledger and of the read models, fed by one LISTEN connection per process.
#[derive(Clone)]
pub struct Signals {
    ledger: watch::Sender<u64>,
    projected: watch::Sender<u64>,
}

impl Signals {
    pub(crate) fn start(pool: &PgPool, cancel: CancellationToken) -> Self {
        let signals = Self { ledger: watch::Sender::new(0), projected: watch::Sender::new(0) };
        // A connection of its own: with a small pool, listening must not keep the others from working.
        let listening = pool_options().max_connections(1).connect_lazy_with((*pool.connect_options()).clone());
        tokio::spawn({
            let (signals, cancel) = (signals.clone(), cancel.clone());
            async move {
                cancel.run_until_cancelled(signals.listen(&listening)).await;
                listening.close().await;
            }
        });
        tokio::spawn({
            let signals = signals.clone();
            async move { _ = cancel.run_until_cancelled(signals.tick()).await }
        });
        signals
    }

    /// Changes when the ledger has grown, and at least every 200 ms. The value is the highest position heard of.
    #[must_use]
    pub fn ledger(&self) -> watch::Receiver<u64> {
        self.ledger.subscribe()
    }

    /// Changes when a projection has committed a batch, and at least every 200 ms. The value is the highest position
    /// heard of, of whichever projection.
    #[must_use]
    pub fn projected(&self) -> watch::Receiver<u64> {
        self.projected.subscribe()
    }

    /// Tells this process at once that the ledger has grown to `position`.
    pub(crate) fn sequenced(&self, position: u64) {
        self.ledger.send_modify(|highest| *highest = position.max(*highest));
    }

    /// Tells this process at once that a projection has reached `position`; others hear of it by NOTIFY.
    pub fn tell_projected(&self, position: u64) {
        self.projected.send_modify(|highest| *highest = position.max(*highest));
    }

    async fn listen(&self, pool: &PgPool) {
        loop {
            if let Err(error) = self.listen_once(pool).await {
                warn!(error = &error as &dyn std::error::Error, "not listening to the database, trying again");
            }
            tokio::time::sleep(RECONNECT_AFTER).await;
        }
    }

    async fn listen_once(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen_all([LEDGER, PROJECTED]).await?;
        // What was said while nobody listened is made up for by the timer.
        while let Some(notification) = listener.try_recv().await? {
            let position = notification.payload().parse().unwrap_or(0);
            match notification.channel() {
                LEDGER => self.sequenced(position),
                _ => self.tell_projected(position),
            }
        }
        Ok(())
    }

    async fn tick(&self) {
        let mut timer = tokio::time::interval(TICK);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            self.sequenced(0);
            self.tell_projected(0);
        }
    }
}
