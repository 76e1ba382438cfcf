//! The sweep: finds jobs that nobody works at. With it a job ends also while NATS is away, or after a worker was lost.

use std::time::Duration;

use domain::ProposalId;
use domain::account::claims::JOB_SLOT;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::process::Generations;

/// How many jobs one look finds at most; the next look finds the others.
const BATCH: i64 = 64;
/// Leases of jobs that have ended are removed when they are so old; killed workers leave them behind.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// Looks every `period` until `cancel`.
pub async fn run(generations: Generations, period: Duration, cancel: CancellationToken) {
    if let Some(Err(error)) = cancel.run_until_cancelled(clean(&generations)).await {
        tracing::debug!(%error, "old leases stay until the next start");
    }
    let mut failing = false;
    loop {
        match cancel.run_until_cancelled(due(&generations)).await {
            None => return,
            Some(Ok(proposals)) => {
                failing = false;
                for proposal in proposals {
                    // A place may take a while to become free; the job stays due.
                    if generations.start(proposal).is_none() {
                        break;
                    }
                }
            }
            Some(Err(error)) if !failing => {
                failing = true;
                tracing::warn!(%error, "the sweep cannot look for jobs, it will try again");
            }
            Some(Err(_)) => (),
        }
        if cancel.run_until_cancelled(tokio::time::sleep(period)).await.is_none() {
            return;
        }
    }
}

/// The jobs that have a slot, and so have not ended, and whose worker shows no sign of life; the oldest first.
async fn due(generations: &Generations) -> Result<Vec<ProposalId>, sqlx::Error> {
    let proposals: Vec<Uuid> = sqlx::query_scalar(
        "SELECT c.holder FROM es.claims c LEFT JOIN process.leases l ON l.proposal_id = c.holder
          WHERE c.kind = $1
            AND (l.heartbeat_at IS NULL OR l.heartbeat_at < clock_timestamp() - make_interval(secs => $2))
          ORDER BY c.claimed_at, c.holder LIMIT $3",
    )
    .bind(JOB_SLOT)
    .bind(generations.settings().lease.as_secs_f64())
    .bind(BATCH)
    .fetch_all(generations.store().pool())
    .await?;
    Ok(proposals.into_iter().map(ProposalId::from_uuid).collect())
}

async fn clean(generations: &Generations) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM process.leases l
          WHERE l.heartbeat_at < clock_timestamp() - make_interval(secs => $2)
            AND NOT EXISTS (SELECT FROM es.claims c WHERE c.kind = $1 AND c.holder = l.proposal_id)",
    )
    .bind(JOB_SLOT)
    .bind(LEFT_BEHIND.max(generations.settings().lease * 2).as_secs_f64())
    .execute(generations.store().pool())
    .await?;
    Ok(())
}
