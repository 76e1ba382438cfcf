//! Who works at a job: a row with a heartbeat, on the database's clock.

use std::time::Duration;

use domain::ProposalId;
use sqlx::{PgConnection, PgPool};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A job that is ours for now. A heartbeat says so again every third of the lease's time, and `lost` is cancelled as
/// soon as that can no longer be sure. Dropping it ends the heartbeat: others have the job when the time is over.
/// [`Lease::release`] lets them have it at once.
pub struct Lease {
    pool: PgPool,
    hold: Hold,
    /// Cancelled when somebody else may have the job.
    pub lost: CancellationToken,
    heartbeat: tokio::task::JoinHandle<()>,
}

/// What shows that a lease is still held. Each taking has an identity of its own: a lease that was lost and taken again
/// by the same process is another one.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    proposal: ProposalId,
    holder: Uuid,
}

impl Hold {
    /// Says that the holder lives. In the transaction of a command this also keeps everybody else from taking the job
    /// before the command is done.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error::RowNotFound`] if somebody else has the job; another one if the database does not answer.
    pub async fn renew(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let renewed = sqlx::query(
            "UPDATE process.leases SET heartbeat_at = clock_timestamp() WHERE proposal_id = $1 AND worker_id = $2",
        )
        .bind(self.proposal.as_uuid())
        .bind(self.holder)
        .execute(connection)
        .await?;
        if renewed.rows_affected() == 0 { Err(sqlx::Error::RowNotFound) } else { Ok(()) }
    }
}

impl Lease {
    /// Takes the job, if nobody has shown a sign of life for `time`.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if the database does not answer.
    pub async fn take(pool: &PgPool, proposal: ProposalId, time: Duration) -> Result<Option<Self>, sqlx::Error> {
        let hold = Hold { proposal, holder: Uuid::now_v7() };
        let asked = Instant::now();
        let taken = sqlx::query(
            "INSERT INTO process.leases AS l (proposal_id, worker_id) VALUES ($1, $2)
             ON CONFLICT (proposal_id) DO UPDATE SET worker_id = $2, heartbeat_at = clock_timestamp()
             WHERE l.heartbeat_at < clock_timestamp() - make_interval(secs => $3)",
        )
        .bind(proposal.as_uuid())
        .bind(hold.holder)
        .bind(time.as_secs_f64())
        .execute(pool)
        .await?;
        if taken.rows_affected() == 0 {
            return Ok(None);
        }
        let lost = CancellationToken::new();
        let heartbeat = tokio::spawn(beat(pool.clone(), hold, time, asked, lost.clone()));
        Ok(Some(Self { pool: pool.clone(), hold, lost, heartbeat }))
    }

    /// What shows in a transaction that the lease is still held.
    #[must_use]
    pub const fn hold(&self) -> Hold {
        self.hold
    }

    /// Lets others have the job at once. If this fails they have it when the lease's time is over.
    pub async fn release(self) {
        self.heartbeat.abort();
        let released = sqlx::query("DELETE FROM process.leases WHERE proposal_id = $1 AND worker_id = $2")
            .bind(self.hold.proposal.as_uuid())
            .bind(self.hold.holder)
            .execute(&self.pool)
            .await;
        if let Err(error) = released {
            tracing::debug!(proposal.id = %self.hold.proposal, %error, "the lease ends by itself");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

/// Renews every third of `time`. Whoever could not for two thirds must stop: after the whole of it somebody else may
/// begin. `sure` is when the last renewal that succeeded was asked for, so never later than the database's own time of it.
async fn beat(pool: PgPool, hold: Hold, time: Duration, mut sure: Instant, lost: CancellationToken) {
    let mut pause = time / 3;
    loop {
        sleep(pause).await;
        let asked = Instant::now();
        let renewed = async { hold.renew(&mut *pool.acquire().await?).await };
        match timeout_at(sure + time * 2 / 3, renewed).await {
            Ok(Ok(())) => (sure, pause) = (asked, time / 3),
            Ok(Err(sqlx::Error::RowNotFound)) | Err(_) => return lost.cancel(),
            // The database may be back in time.
            Ok(Err(_)) => pause = time / 12,
        }
    }
}
