//! Every read model equals the fold of the ledger.

use std::collections::HashMap;

use eventstore::{Store, StoreError};
use projections::{
    AccountDocument, JobDocument, ProjectDataDocument, ProjectDocument, ProposalState, ReadModel, Row, TimelineEntry,
};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::types::Json;
use uuid::Uuid;

use crate::violation::Violation;

/// Ledger rows that are read at a time.
const PAGE: u32 = 1_000;

/// Compares every row of every read model with what the ledger makes of it. The models must have caught up.
pub(crate) async fn compare(store: &Store) -> Result<Vec<Violation>, StoreError> {
    let mut found = Vec::new();
    for model in projections::status(store).await? {
        if model.lag_events != 0 {
            let what = format!("is {} events behind although nothing is written", model.lag_events);
            found.push(Violation::ModelBehind { model: model.name.clone(), what });
        }
        if model.parked != 0 {
            found.push(Violation::ModelBehind {
                model: model.name,
                what: format!("follows {} streams no more", model.parked),
            });
        }
    }
    found.extend(compare_one::<AccountDocument>(store).await?);
    found.extend(compare_one::<ProjectDocument>(store).await?);
    found.extend(compare_one::<ProjectDataDocument>(store).await?);
    found.extend(compare_one::<TimelineEntry>(store).await?);
    found.extend(compare_one::<ProposalState>(store).await?);
    found.extend(compare_one::<JobDocument>(store).await?);
    Ok(found)
}

async fn compare_one<M: ReadModel>(store: &Store) -> Result<Vec<Violation>, StoreError> {
    let mut expected = folded::<M>(store).await?;
    let differs = |key, what| Violation::Model { model: M::NAME, key, what };
    let mut found = Vec::new();
    let query = format!("SELECT key, document, versions, position FROM {}", M::TABLE);
    for row in sqlx::query(&query).fetch_all(store.pool()).await? {
        let key: Uuid = row.try_get("key")?;
        let Some(fold) = expected.remove(&key) else {
            found.push(differs(key, "it should not be there"));
            continue;
        };
        let (Json(document), Json(versions)): (Json<Value>, Json<projections::Versions>) =
            (row.try_get("document")?, row.try_get("versions")?);
        let position = row.try_get::<i64, _>("position")?.unsigned_abs();
        if serde_json::to_value(&fold.document).ok().as_ref() != Some(&document) {
            found.push(differs(key, "the document"));
        }
        if versions != fold.versions {
            found.push(differs(key, "the versions of its streams"));
        }
        if Some(position) != fold.position {
            found.push(differs(key, "the position"));
        }
    }
    found.extend(expected.into_keys().map(|key| differs(key, "it is missing")));
    Ok(found)
}

/// The rows that the ledger makes.
async fn folded<M: ReadModel>(store: &Store) -> Result<HashMap<Uuid, Row<M>>, StoreError> {
    let mut rows: HashMap<Uuid, Row<M>> = HashMap::new();
    let mut after = 0;
    loop {
        let page = store.ledger(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(rows) };
        after = last.position;
        for line in page {
            let Ok(recorded) = line.recorded else { continue };
            if !M::KINDS.contains(&recorded.stream.kind) {
                continue;
            }
            if let Some(project) = M::purge(&recorded) {
                rows.retain(|_, row| row.document.as_ref().and_then(M::project) != Some(project));
            }
            for key in M::keys(&recorded) {
                let row = rows.entry(key).or_default();
                row.advance(&recorded, Some(line.position));
                if row.document.is_none() {
                    rows.remove(&key);
                }
            }
        }
    }
}
