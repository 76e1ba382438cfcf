//! Erasures that a restored backup does not know of.

use std::path::PathBuf;

use eventstore::{ErasureList, MasterKey, Reconciled, Store};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Failure;

/// Has the store keep its erasures in the file, and makes again those that a backup undid: keys, credentials and claims
/// of these accounts go, and every read model is filled anew, since it may hold their values in clear.
///
/// # Errors
///
/// If the database fails, or the file cannot be read or written, or holds what was not written with this master key.
pub async fn keep(store: &Store, file: Option<PathBuf>, master: &MasterKey) -> Result<Reconciled, Failure> {
    let Some(file) = file else {
        tracing::info!("no ERASURE_LIST_FILE: a restored backup would bring erased accounts back");
        return Ok(Reconciled::default());
    };
    let list = ErasureList::new(file, master, store.store_id());
    let reconciled = store.reconcile_erasures(&list, everything_else).await?;
    store.keep_erasures(list);
    if !reconciled.erased_again.is_empty() {
        tracing::warn!(
            accounts = reconciled.erased_again.len(),
            "accounts that a backup had brought back are erased again; read models start over"
        );
    }
    tracing::info!(listed = reconciled.listed + reconciled.added, "erasures are kept outside the database");
    Ok(reconciled)
}

fn everything_else<'c>(
    connection: &'c mut PgConnection,
    accounts: &'c [Uuid],
) -> BoxFuture<'c, Result<(), sqlx::Error>> {
    async move {
        identity::forget(&mut *connection, accounts).await?;
        projections::start_over(connection, None).await?;
        Ok(())
    }
    .boxed()
}
