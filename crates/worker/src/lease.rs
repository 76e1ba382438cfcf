//! Who works at a job: a row with a heartbeat, on the database's clock.

use std::time::Duration;

use domain::ProposalId;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A job that this worker has. It says so again every third of the lease's time, and `lost` is cancelled as soon as
/// it can no longer be sure. Dropping it ends the heartbeat; [`Lease::release`] also lets others have the job at once.
pub struct Lease {
    pool: PgPool,
    proposal: ProposalId,
    worker: Uuid,
    /// Cancelled when another worker may have the job.
    pub lost: CancellationToken,
    heartbeat: tokio::task::JoinHandle<()>,
}

impl Lease {
    /// Takes the job for `worker`, if no other worker has shown a sign of life for `time`.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if the database does not answer.
    pub async fn take(
        pool: &PgPool,
        proposal: ProposalId,
        worker: Uuid,
        time: Duration,
    ) -> Result<Option<Self>, sqlx::Error> {
        let taken = sqlx::query(
            "INSERT INTO process.leases AS l (proposal_id, worker_id) VALUES ($1, $2)
             ON CONFLICT (proposal_id) DO UPDATE SET worker_id = $2, heartbeat_at = clock_timestamp()
             WHERE l.heartbeat_at < clock_timestamp() - make_interval(secs => $3)",
        )
        .bind(proposal.as_uuid())
        .bind(worker)
        .bind(time.as_secs_f64())
        .execute(pool)
        .await?;
        if taken.rows_affected() == 0 {
            return Ok(None);
        }
        let lost = CancellationToken::new();
        let heartbeat = tokio::spawn(beat(pool.clone(), proposal, worker, time, lost.clone()));
        Ok(Some(Self { pool: pool.clone(), proposal, worker, lost, heartbeat }))
    }

    /// Lets others have the job at once. If this fails they have it when the lease's time is over.
    pub async fn release(self) {
        self.heartbeat.abort();
        let released = sqlx::query("DELETE FROM process.leases WHERE proposal_id = $1 AND worker_id = $2")
            .bind(self.proposal.as_uuid())
            .bind(self.worker)
            .execute(&self.pool)
            .await;
        if let Err(error) = released {
            tracing::debug!(proposal.id = %self.proposal, %error, "the lease ends by itself");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

/// Says every third of `time` that the worker lives. Whoever could not say so for two thirds must stop: after the
/// whole of it another worker may begin.
async fn beat(pool: PgPool, proposal: ProposalId, worker: Uuid, time: Duration, lost: CancellationToken) {
    let mut ticks = tokio::time::interval(time / 3);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut last = tokio::time::Instant::now();
    loop {
        ticks.tick().await;
        let asked = tokio::time::Instant::now();
        let alive = sqlx::query(
            "UPDATE process.leases SET heartbeat_at = clock_timestamp() WHERE proposal_id = $1 AND worker_id = $2",
        )
        .bind(proposal.as_uuid())
        .bind(worker)
        .execute(&pool);
        match tokio::time::timeout(time / 3, alive).await {
            Ok(Ok(done)) if done.rows_affected() == 1 => last = asked,
            Ok(Ok(_)) => return lost.cancel(),
            Ok(Err(_)) | Err(_) if last.elapsed() > time * 2 / 3 => return lost.cancel(),
            Ok(Err(_)) | Err(_) => (),
        }
    }
}
