//! `allegiant audit export`.

use std::io::Write as _;

use eventstore::Store;
use futures::StreamExt as _;

use crate::Failure;

/// Writes the ledger from one position to another, one JSON line each.
///
/// # Errors
///
/// Whatever the store or standard output says. What was written until then is whole lines; a missing tail shows by the
/// positions, which have no gap.
pub async fn export(store: &Store, from: u64, to: Option<u64>) -> Result<(), Failure> {
    let mut events = std::pin::pin!(store.export(from, to));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    while let Some(event) = events.next().await {
        serde_json::to_writer(&mut out, &event?)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}
