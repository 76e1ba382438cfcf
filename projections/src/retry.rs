//! Folding parked streams again, once the code that could not do it has been replaced.

use std::collections::BTreeSet;

use domain::{StreamKey, StreamKind};
use eventstore::Store;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::batch::Model;
use crate::documents;
use crate::folding::Folding;
use crate::generation::{Generation, Held, Lock, hold};
use crate::model::Versions;
use crate::parking::{self, Parked};
use crate::rebuild::{LOCK_TIMEOUT, RebuildError, Work, named};
use crate::status::{ParkedStream, parked_in};
use crate::{Progress, ReadModel};

/// Ledger rows that are folded at once.
const PAGE: u32 = 500;
/// Streams whose events are folded together at most, and bytes of documents. More is for a rebuild.
const STREAMS: usize = 5_000;
const MEMORY: usize = 64 << 20;
/// Streams that one retry goes over.
const AT_MOST: i64 = 10_000;

/// What a retry came to, in the generation that is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Retried {
    /// Streams that are followed again.
    pub unparked: u64,
    /// The first hundred of those that are still parked, with their present errors.
    pub parked: Vec<ParkedStream>,
}

/// What is to be folded again.
pub(crate) struct Refolding<'a> {
    pub(crate) store: &'a Store,
    pub(crate) held: Held,
    pub(crate) stream: StreamKey,
    pub(crate) parked: &'a Parked,
}

/// Folds the parked streams of a model again, in all its generations. Each stream is one transaction. One whose event
/// still cannot be folded stays parked, with its present error.
///
/// # Errors
///
/// [`RebuildError`]; what was unparked before stays so.
pub async fn retry(store: &Store, name: &str) -> Result<Retried, RebuildError> {
    retry_model(store, named(name)?).await
}

/// As [`retry`], for a model that need not be one of the live ones.
pub(crate) async fn retry_model(store: &Store, model: Model) -> Result<Retried, RebuildError> {
    let cancel = CancellationToken::new();
    // Not while a rebuild swaps generations.
    let _work = Work::begin(store, model, &|_: Progress| (), &cancel).await?;
    let mut connection = store.pool().acquire().await?;
    let rows: Vec<(i32, bool)> = sqlx::query_as(
        "SELECT generation, live FROM views.checkpoints WHERE name = $1 AND version = $2 AND filled ORDER BY generation",
    )
    .bind(model.name)
    .bind(model.version)
    .fetch_all(&mut *connection)
    .await?;
    drop(connection);
    let mut read = None;
    for (number, live) in rows {
        let generation = Generation::of(&model, number);
        let unparked = retry_in(store, model, generation).await?;
        if live {
            read = Some((generation, unparked));
        }
    }
    let (generation, unparked) = read.ok_or(RebuildError::NotBuilt(model.name))?;
    Ok(Retried { unparked, parked: parked_in(store, generation).await? })
}

async fn retry_in(store: &Store, model: Model, generation: Generation) -> Result<u64, RebuildError> {
    let mut connection = store.pool().acquire().await?;
    let streams: Vec<StreamKey> = parking::streams(&mut connection, generation, AT_MOST).await?;
    drop(connection);
    let mut unparked = 0;
    for stream in streams {
        let mut transaction = store.pool().begin().await?;
        sqlx::query(LOCK_TIMEOUT).execute(&mut *transaction).await?;
        let held = hold(&mut transaction, &[model], Lock::All).await?;
        let Some(held) = held.into_iter().find(|held| held.generation == generation) else { return Ok(unparked) };
        let before = parking::load(&mut transaction, &[held]).await?.pop().unwrap_or_default();
        // Some are folded again together with others.
        if before.contains_key(&stream) {
            model.refold(&mut transaction, Refolding { store, held, stream, parked: &before }).await?;
            let after = parking::load(&mut transaction, &[held]).await?.pop().unwrap_or_default();
            transaction.commit().await?;
            unparked += before.keys().filter(|stream| !after.contains_key(stream)).count() as u64;
        }
    }
    Ok(unparked)
}

/// Folds the documents of a parked stream from their first events on.
///
/// Only in the ledger's order do documents of several streams come out right, and a document that was removed because of
/// one stream must not come back by another. So all streams that lie in the same documents are folded, and the project
/// with which the documents go.
pub(crate) async fn refold<M: ReadModel>(
    connection: &mut PgConnection,
    refolding: Refolding<'_>,
) -> Result<(), RebuildError> {
    let Refolding { store, held, stream, parked } = refolding;
    let mut streams = BTreeSet::from([stream]);
    let mut folding = loop {
        let folding = fold_streams::<M>(store, connection, held, &streams).await?;
        let more = streams_of(&folding, connection, held.generation).await?;
        if more.is_subset(&streams) {
            break folding;
        }
        streams.extend(more);
        if STREAMS < streams.len() {
            return Err(RebuildError::TooMuch(M::NAME));
        }
    };
    let keys: Vec<Uuid> = folding.rows().keys().copied().collect();
    documents::remove(connection, held.generation, &keys).await?;
    parking::forget(connection, held.generation, streams.iter().filter(|stream| parked.contains_key(stream))).await?;
    for parking in folding.write(connection).await? {
        parking.warn(held.generation);
    }
    Ok(())
}

async fn fold_streams<M: ReadModel>(
    store: &Store,
    connection: &mut PgConnection,
    held: Held,
    streams: &BTreeSet<StreamKey>,
) -> Result<Folding<M>, RebuildError> {
    let streams: Vec<StreamKey> = streams.iter().copied().collect();
    let mut folding = Folding::<M>::anew(held.generation);
    let mut after = 0;
    loop {
        let rows = store.ledger_of_streams_on(connection, &streams, after, held.position, PAGE).await?;
        folding.fold(connection, &rows).await?;
        if MEMORY < folding.weight() {
            return Err(RebuildError::TooMuch(M::NAME));
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE as usize => after = last.position,
            Some(_) | None => return Ok(folding),
        }
    }
}

/// The streams that lie in these documents, as they are stored and as they are folded.
async fn streams_of<M: ReadModel>(
    folding: &Folding<M>,
    connection: &mut PgConnection,
    generation: Generation,
) -> Result<BTreeSet<StreamKey>, RebuildError> {
    let keys: Vec<Uuid> = folding.rows().keys().copied().collect();
    let rows = sqlx::query(&format!("SELECT versions FROM {generation} WHERE key = ANY($1)"))
        .bind(keys)
        .fetch_all(connection)
        .await?;
    let mut streams = BTreeSet::new();
    for row in rows {
        let Json::<Versions>(versions) = row.try_get("versions")?;
        streams.extend(versions.keys().filter_map(|name| crate::model::stream_named(name)));
    }
    if M::KINDS.contains(&StreamKind::Project) {
        let projects = folding.rows().values().filter_map(|row| row.document.as_ref().and_then(M::project));
        streams.extend(projects.map(|id| StreamKey { kind: StreamKind::Project, id }));
    }
    Ok(streams)
}
