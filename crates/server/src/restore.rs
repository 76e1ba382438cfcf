//! Restored backups: noticing that the database is an older state than others have seen, and going on from it when an
//! operator says so. `docs/restore.md` is the manual.

pub mod accept;
pub mod erasures;

use std::error::Error;

use domain::store::{Seen, Witness};
use eventstore::Store;
use worker::Bus;

use crate::Failure;

/// What was seen of a newer state than the database holds.
pub struct Findings {
    /// The ledger's last position.
    pub head: u64,
    /// What contradicts it.
    pub seen: Vec<Seen>,
    /// Why the bus could not be asked.
    pub bus_silent: Option<String>,
}

/// Asks everybody who would know that the ledger once reached further, or went another way. To be asked before pending
/// events are numbered: what a backup holds without positions may get others than it once had.
///
/// # Errors
///
/// If the database fails. A bus that does not answer is a finding.
pub async fn look(store: &Store, bus: &Bus) -> Result<Findings, Failure> {
    // Witnesses first and the ledger after them: another instance may be writing meanwhile, and what it adds between the
    // two looks must not seem to be missing.
    let models = projections::status(store).await?;
    let head = store.head().await?;
    let mut findings = Findings { head, seen: Vec::new(), bus_silent: None };
    if let Some(position) = models.iter().map(|model| model.position).max().filter(|position| head < *position) {
        findings.seen.push(Seen { by: Witness::ReadModel, epoch: store.epoch(), position });
    }
    match bus.sights().await {
        Ok(sights) => {
            for sight in sights {
                if sight.contradicts(store).await? {
                    findings.seen.push(Seen { by: Witness::Bus, epoch: sight.epoch, position: sight.position });
                }
            }
        }
        Err(error) => {
            findings.bus_silent = Some(match error.source() {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            });
        }
    }
    Ok(findings)
}

/// Keeps a server from writing over what others have seen.
///
/// # Errors
///
/// If somebody has seen a newer state than the database holds, or the database fails.
pub async fn check(store: &Store, bus: &Bus) -> Result<(), Failure> {
    let findings = look(store, bus).await?;
    if let Some(why) = findings.bus_silent {
        tracing::warn!(why, "not known whether the bus has seen more than this database holds");
    }
    if findings.seen.is_empty() {
        return Ok(());
    }
    let seen: Vec<String> = findings.seen.iter().map(told).collect();
    Err(format!(
        "this database is an older state of the store than others have seen. Its ledger ends at position {} of epoch {}; \
         {}. If this backup is to be what happened, stop every server and run `allegiant restore accept`; see \
         docs/restore.md",
        findings.head,
        store.epoch(),
        seen.join("; ")
    )
    .into())
}

/// One thing that was seen, in words.
fn told(Seen { by, epoch, position }: &Seen) -> String {
    let who = match by {
        Witness::Bus => "the bus (JetStream)",
        Witness::CheckpointStream => "a signed checkpoint on JetStream",
        Witness::CheckpointFile => "a signed checkpoint in a file",
        Witness::ReadModel => "a read model",
    };
    format!("{who} has seen position {position} of epoch {epoch}, which is not there or another event")
}
