//! Folding a piece of the ledger into the documents of one generation, and setting aside what cannot be folded. The live
//! runner, a rebuild, a check and a retry all fold here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::{StreamKey, StreamKind};
use eventstore::LedgerRow;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::documents::{self, Unreadable, storable_length};
use crate::generation::Generation;
use crate::model::Documents;
use crate::parking::{self, Parked, Parking};
use crate::{ReadModel, Row};

/// What a document weighs beyond its JSON, in bytes: key, versions, places in maps.
const BESIDES: usize = 400;

/// Documents of one generation in memory, loaded as events name them and kept until they are written.
pub(crate) struct Folding<M> {
    generation: Generation,
    documents: Documents<M>,
    unreadable: HashMap<Uuid, Unreadable>,
    parked: Parked,
    new: Vec<Parking>,
    skipped: BTreeMap<StreamKey, u64>,
    /// Of each document in memory, and of all.
    weights: HashMap<Uuid, usize>,
    weight: usize,
    /// Whether documents begin as they are stored, or from nothing.
    loads: bool,
    buffer: Vec<u8>,
}

/// An event that cannot be folded.
struct Stuck {
    stream: StreamKey,
    sequence: u64,
    position: u64,
    error: String,
}

/// Documents as they were before a piece of the ledger, to go back to.
#[derive(Clone)]
struct Before<M> {
    rows: HashMap<Uuid, Row<M>>,
    lists: BTreeMap<Uuid, Option<u64>>,
    purged: usize,
}

impl<M: ReadModel> Folding<M> {
    /// Folds on from what is stored, without the streams that are parked.
    pub(crate) fn new(generation: Generation, parked: Parked) -> Self {
        Self {
            generation,
            documents: Documents::new(HashMap::new()),
            unreadable: HashMap::new(),
            parked,
            new: Vec::new(),
            skipped: BTreeMap::new(),
            weights: HashMap::new(),
            weight: 0,
            loads: true,
            buffer: Vec::new(),
        }
    }

    /// Folds from nothing, whatever is stored.
    pub(crate) fn anew(generation: Generation) -> Self {
        Self { loads: false, ..Self::new(generation, Parked::new()) }
    }

    /// Where the documents belong.
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// About how many bytes of documents are in memory.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// The documents in memory.
    pub(crate) fn rows(&self) -> &HashMap<Uuid, Row<M>> {
        &self.documents.rows
    }

    /// How many of the rows concern no more than [`ReadModel::AT_ONCE`] documents; at least one row.
    pub(crate) fn next_chunk(&self, rows: &[LedgerRow]) -> usize {
        let mut keys = BTreeSet::new();
        for (count, row) in rows.iter().enumerate() {
            if let Some(recorded) = self.concerning(row).and_then(|row| row.recorded.as_ref().ok()) {
                keys.extend(guarded(|| M::keys(recorded)).unwrap_or_default());
            }
            if M::AT_ONCE < keys.len() && 0 < count {
                return count;
            }
        }
        rows.len()
    }

    /// Folds the rows in memory; those that cannot be folded park their streams.
    pub(crate) async fn fold(&mut self, connection: &mut PgConnection, rows: &[LedgerRow]) -> Result<(), sqlx::Error> {
        // Each turn parks one more stream from an earlier event on, so this comes to an end.
        while let Err(stuck) = self.try_fold(connection, rows).await? {
            let Stuck { stream, sequence, position, error } = stuck;
            self.parked.insert(stream, sequence);
            self.new.push(Parking { stream, from_sequence: sequence, position, error });
        }
        for row in rows {
            if let Some(stream) = row.key
                && self.parked.get(&stream).is_some_and(|from| *from <= row.sequence)
            {
                *self.skipped.entry(stream).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Writes what has changed, and notes what was parked. Returns the new parkings. Nothing is in memory afterwards.
    pub(crate) async fn write(&mut self, connection: &mut PgConnection) -> Result<Vec<Parking>, sqlx::Error> {
        documents::write(connection, self.generation, &self.documents).await?;
        let (new, skipped) = (std::mem::take(&mut self.new), std::mem::take(&mut self.skipped));
        parking::note(connection, self.generation, &new, &skipped).await?;
        self.documents = Documents::new(HashMap::new());
        self.unreadable.clear();
        self.weights.clear();
        self.weight = 0;
        Ok(new)
    }

    /// Removes what events purged from the table, before more is loaded from it.
    pub(crate) async fn purge(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        documents::purge(connection, self.generation, &std::mem::take(&mut self.documents.purged)).await
    }

    /// The row, if the model follows its stream.
    fn concerning<'a>(&self, row: &'a LedgerRow) -> Option<&'a LedgerRow> {
        let stream = row.key?;
        let followed =
            M::KINDS.contains(&stream.kind) && self.parked.get(&stream).is_none_or(|from| row.sequence < *from);
        followed.then_some(row)
    }

    /// Folds the rows, or changes nothing if one of them cannot be folded.
    async fn try_fold(
        &mut self,
        connection: &mut PgConnection,
        rows: &[LedgerRow],
    ) -> Result<Result<(), Stuck>, sqlx::Error> {
        let rows: Vec<&LedgerRow> = rows.iter().filter_map(|row| self.concerning(row)).collect();
        let (mut keys, mut purged) = (BTreeSet::new(), Vec::new());
        for row in &rows {
            match &row.recorded {
                Ok(recorded) => match guarded(|| (M::keys(recorded), M::purge(recorded))) {
                    Some((named, project)) => {
                        keys.extend(named);
                        purged.extend(project);
                    }
                    None => return Ok(Err(stuck(row, "panicked"))),
                },
                Err(error) => return Ok(Err(stuck(row, &error.to_string()))),
            }
        }
        self.load(connection, &keys).await?;
        let before = self.before(&keys, &purged);
        let folded = match self.apply(&rows, false) {
            Ok(()) if self.weigh(&keys) => return Ok(Ok(())),
            // Some document cannot be stored: once more, with a look after each event, to find the one that does it.
            Ok(()) => {
                self.back_to(before.clone());
                self.apply(&rows, true)
            }
            Err(stuck) => Err(stuck),
        };
        self.back_to(before);
        Ok(folded)
    }

    async fn load(&mut self, connection: &mut PgConnection, keys: &BTreeSet<Uuid>) -> Result<(), sqlx::Error> {
        let known = |key: &&Uuid| self.documents.rows.contains_key(*key) || self.unreadable.contains_key(*key);
        let missing: Vec<Uuid> = keys.iter().filter(|key| !known(key)).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        if self.loads {
            for (key, row) in documents::load::<M>(connection, self.generation, &missing).await? {
                match row {
                    Ok(row) => _ = self.documents.rows.insert(key, row),
                    Err(error) => _ = self.unreadable.insert(key, error),
                }
            }
        }
        // What is not stored is known not to be.
        for key in missing {
            if !self.unreadable.contains_key(&key) {
                self.documents.rows.entry(key).or_default();
            }
        }
        Ok(())
    }

    /// What folding may change, as it is.
    fn before(&self, keys: &BTreeSet<Uuid>, purged: &[Uuid]) -> Before<M> {
        let goes =
            |row: &Row<M>| row.document.as_ref().and_then(M::project).is_some_and(|project| purged.contains(&project));
        let named = keys.iter().filter_map(|key| Some((*key, self.documents.rows.get(key)?.clone())));
        let mut rows: HashMap<Uuid, Row<M>> = named.collect();
        if !purged.is_empty() {
            let gone = self.documents.rows.iter().filter(|(_, row)| goes(row));
            rows.extend(gone.map(|(key, row)| (*key, row.clone())));
        }
        Before { rows, lists: self.documents.lists.clone(), purged: self.documents.purged.len() }
    }

    fn back_to(&mut self, before: Before<M>) {
        self.documents.rows.extend(before.rows);
        self.documents.lists = before.lists;
        self.documents.purged.truncate(before.purged);
    }

    fn apply(&mut self, rows: &[&LedgerRow], look: bool) -> Result<(), Stuck> {
        for row in rows {
            let Ok(recorded) = &row.recorded else { continue };
            let keys = guarded(|| M::keys(recorded)).unwrap_or_default();
            if let Some(error) = keys.iter().find_map(|key| self.unreadable.get(key)) {
                return Err(stuck(row, &error.to_string()));
            }
            // After a panic the documents are half changed; the caller goes back to what was before.
            let documents = &mut self.documents;
            if guarded(AssertUnwindSafe(|| documents.apply(recorded, Some(row.position)))).is_none() {
                return Err(stuck(row, "panicked"));
            }
            if look && !keys.iter().all(|key| self.length(key).is_some()) {
                return Err(stuck(row, "a document cannot be stored as jsonb"));
            }
        }
        Ok(())
    }

    /// Weighs these documents; false if one of them cannot be stored.
    fn weigh(&mut self, keys: &BTreeSet<Uuid>) -> bool {
        for key in keys {
            let Some(length) = self.length(key) else { return false };
            let before = self.weights.insert(*key, length).unwrap_or(0);
            self.weight = self.weight + length - before;
        }
        true
    }

    fn length(&mut self, key: &Uuid) -> Option<usize> {
        match self.documents.rows.get(key).and_then(|row| row.document.as_ref()) {
            Some(document) => storable_length(document, &mut self.buffer).map(|length| length + BESIDES),
            None => Some(BESIDES),
        }
    }
}

/// What comes of it, unless it panics.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn stuck(row: &LedgerRow, error: &str) -> Stuck {
    // Rows without a stream of ours do not get here.
    let stream = row.key.unwrap_or(StreamKey { kind: StreamKind::Account, id: Uuid::nil() });
    Stuck { stream, sequence: row.sequence, position: row.position, error: format!("{}: {error}", row.event_type) }
}
