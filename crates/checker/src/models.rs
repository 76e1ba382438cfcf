//! Every read model equals the fold of the ledger.

use eventstore::Store;
use projections::RebuildError;
use tokio_util::sync::CancellationToken;

use crate::violation::Violation;

/// Compares every row of every read model with what the ledger makes of it, list positions included. The models must
/// have caught up, and follow every stream.
///
/// # Errors
///
/// [`RebuildError`] if the ledger cannot be folded.
pub(crate) async fn compare(store: &Store) -> Result<Vec<Violation>, RebuildError> {
    let mut found = Vec::new();
    for model in projections::status(store).await? {
        for (count, what) in
            [(model.lag_events, "events behind although nothing is written"), (model.parked, "streams parked")]
        {
            if count != 0 {
                found.push(Violation::ModelBehind { model: model.name.clone(), what: format!("has {count} {what}") });
            }
        }
    }
    for model in projections::names() {
        let verdict = projections::verify(store, model, &|_| (), &CancellationToken::new()).await?;
        let differences = verdict.differences.into_iter();
        found.extend(differences.map(|difference| Violation::Model {
            model,
            place: difference.place,
            what: difference.what,
        }));
    }
    Ok(found)
}
