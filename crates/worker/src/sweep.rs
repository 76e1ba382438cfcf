//! The sweep: finds jobs that nobody works at. With it a job ends also while NATS is away, or after a worker was lost.

use std::time::Duration;

use domain::ProposalId;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::process::Generations;

/// How many jobs one look finds at most; the next look finds the others.
const BATCH: i64 = 64;

/// Looks every `period` until `cancel`.
pub async fn run(generations: Generations, period: Duration, cancel: CancellationToken) {
    let mut failing = false;
    loop {
        match due(&generations).await {
            Ok(proposals) => {
                failing = false;
                for proposal in proposals {
                    // A place may take a while to become free; the job stays due.
                    if !generations.start(proposal) {
                        break;
                    }
                }
            }
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "the sweep cannot look for jobs, it will try again");
            }
            Err(_) => (),
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(period) => (),
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
    .bind(domain::account::claims::JOB_SLOT)
    .bind(generations.settings().lease.as_secs_f64())
    .bind(BATCH)
    .fetch_all(generations.store().pool())
    .await?;
    Ok(proposals.into_iter().map(ProposalId::from_uuid).collect())
}
