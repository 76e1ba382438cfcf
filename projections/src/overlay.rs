//! Stored documents with newer events folded over them, for answers that must not lag.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::{Recorded, StreamKey};
use eventstore::{EVENT_COLUMNS, Store, StoredEvent};
use sqlx::{FromRow as _, PgConnection, Row as _};
use tracing::error;
use uuid::Uuid;

use crate::batch::Model;
use crate::current::LastChange;
use crate::documents;
use crate::generation::Tables;
use crate::model::Documents;
use crate::{Found, ReadModel, Row, ViewError};

/// Events that are held in memory at once while they are folded.
const PAGE: i64 = 200;

/// An event with its ledger position, if it has one.
pub(crate) type Tail = (Recorded, Option<u64>);

/// Documents with newer events folded over them, loaded as events name them.
pub(crate) struct Overlay<M> {
    tables: Arc<Tables>,
    pub(crate) documents: Documents<M>,
    loaded: HashSet<Uuid>,
}

impl<M: ReadModel> Overlay<M> {
    /// Nothing yet, to be laid over these tables.
    pub(crate) fn on(tables: &Arc<Tables>) -> Self {
        Self { tables: Arc::clone(tables), documents: Documents::new(HashMap::new()), loaded: HashSet::new() }
    }

    pub(crate) async fn load(
        &mut self,
        connection: &mut PgConnection,
        keys: impl IntoIterator<Item = Uuid>,
    ) -> Result<(), ViewError> {
        let missing: Vec<Uuid> = keys.into_iter().filter(|key| self.loaded.insert(*key)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        for (key, row) in documents::load::<M>(connection, self.tables.of::<M>(), &missing).await? {
            self.documents.rows.insert(key, row?);
        }
        Ok(())
    }

    pub(crate) async fn apply(&mut self, connection: &mut PgConnection, events: &[Tail]) -> Result<(), ViewError> {
        self.load(connection, events.iter().flat_map(|(recorded, _)| M::keys(recorded))).await?;
        for (recorded, position) in events {
            self.documents.apply(recorded, *position);
        }
        Ok(())
    }

    /// Folds events that a command has decided and not written yet, in the order in which they will be.
    pub(crate) async fn apply_decided(
        &mut self,
        connection: &mut PgConnection,
        decided: &[&Recorded],
    ) -> Result<(), ViewError> {
        self.load(connection, decided.iter().flat_map(|recorded| M::keys(recorded))).await?;
        for recorded in decided {
            self.documents.apply(recorded, None);
        }
        Ok(())
    }

    /// Folds what the stream has beyond the read model.
    pub(crate) async fn follow(
        &mut self,
        store: &Store,
        connection: &mut PgConnection,
        stream: StreamKey,
    ) -> Result<(), ViewError> {
        let mut pages = Pages::of(stream, &self.tables);
        while let Some(events) = pages.next(store, connection, &[Model::of::<M>()]).await? {
            self.apply(connection, &events).await?;
        }
        Ok(())
    }

    /// The stored documents, with those of the overlay in their place.
    pub(crate) fn over(self, stored: Vec<(Uuid, Found<M>)>) -> Vec<(M, LastChange)> {
        let untouched = stored
            .into_iter()
            .filter(|(key, _)| !self.documents.rows.contains_key(key))
            .map(|(_, Found { document, position })| (document, LastChange::at(position)))
            .collect::<Vec<_>>();
        let touched = self.documents.rows.into_values().filter_map(|row: Row<M>| {
            let changed = LastChange::of(&row);
            Some((row.document?, changed))
        });
        untouched.into_iter().chain(touched).collect()
    }
}

/// The events of a stream that read models do not contain yet, page by page: behind the checkpoint or without a
/// position, and in a parked stream all from the event that parked it. The checkpoint counts where the first page was
/// read: by then a later one may have moved past events that a document read in between does not contain.
pub(crate) struct Pages {
    tables: Arc<Tables>,
    stream: StreamKey,
    /// The checkpoint, if it was read before.
    contained: Option<i64>,
    after: u64,
    done: bool,
}

impl Pages {
    pub(crate) fn of(stream: StreamKey, tables: &Arc<Tables>) -> Self {
        Self { tables: Arc::clone(tables), stream, contained: None, after: 0, done: false }
    }

    /// The events beyond this ledger position instead of the checkpoint as it is when the first page is read.
    pub(crate) fn beyond(contained: i64, stream: StreamKey, tables: &Arc<Tables>) -> Self {
        Self { contained: Some(contained), ..Self::of(stream, tables) }
    }

    pub(crate) async fn next(
        &mut self,
        store: &Store,
        connection: &mut PgConnection,
        models: &[Model],
    ) -> Result<Option<Vec<Tail>>, ViewError> {
        if self.done {
            return Ok(None);
        }
        let rows = sqlx::query(&format!(
            "SELECT {EVENT_COLUMNS}, (SELECT l.position FROM es.ledger l WHERE l.aggregate_type = $1
                                       AND l.aggregate_id = $2 AND l.sequence = e.sequence) AS position
             FROM es.events e WHERE e.aggregate_type = $1 AND e.aggregate_id = $2 AND e.sequence > CASE WHEN $3 > 0 THEN $3 ELSE least(
                 coalesce((SELECT c.sequence FROM es.ledger c WHERE c.aggregate_type = $1 AND c.aggregate_id = $2
                           AND c.position <= coalesce($5, {checkpoint}) ORDER BY c.sequence DESC LIMIT 1), 0),
                 (SELECT min(p.from_sequence) - 1 FROM views.parked p
                  WHERE p.aggregate_type = $1 AND p.aggregate_id = $2 AND (p.name, p.version, p.generation) IN ({names}))) END
             ORDER BY e.sequence LIMIT $4",
            checkpoint = self.tables.checkpoint(models),
            names = self.tables.names(models),
        ))
        .bind(self.stream.kind.as_str())
        .bind(self.stream.id.to_string())
        .bind(self.after.cast_signed())
        .bind(PAGE)
        .bind(self.contained)
        .fetch_all(&mut *connection)
        .await?;
        self.done = (rows.len() as i64) < PAGE;
        let mut positions = Vec::with_capacity(rows.len());
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            positions.push(row.try_get::<Option<i64>, _>("position")?.map(i64::unsigned_abs));
            events.push(StoredEvent::from_row(row)?);
        }
        let mut tail = Vec::with_capacity(events.len());
        for (event, position) in store.decode_on(connection, events).await?.into_iter().zip(positions) {
            match event {
                Ok(recorded) => {
                    self.after = recorded.sequence;
                    tail.push((recorded, position));
                }
                Err(error) => {
                    // As in the read models: what comes behind it waits, and what there is is served.
                    error!(stream.kind = self.stream.kind.as_str(), stream.id = %self.stream.id,
                        error = &error as &dyn std::error::Error, "an event cannot be read");
                    self.done = true;
                    break;
                }
            }
        }
        Ok((!tail.is_empty()).then_some(tail))
    }
}
