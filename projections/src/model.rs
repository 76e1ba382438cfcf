//! What a read model is, and how an event goes into one document.

use std::collections::{BTreeMap, HashMap};

use domain::{ProjectEvent, Recorded, StreamKey, StreamKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A read model: documents that follow the ledger, each the fold of the events that concern it.
///
/// All functions are pure and use nothing that is given out later than the event itself, such as its ledger position:
/// the live runner, a rebuild, a check and the answer to a write all use the same ones and see the same.
pub trait ReadModel: Serialize + DeserializeOwned + Clone + Send + Sync + Sized + 'static {
    /// The model's name in checkpoints, metrics and on the command line.
    const NAME: &'static str;
    /// The version of the document's shape. A change of shape is a new version, filled beside the old one.
    const VERSION: i32;
    /// The table of the version's first generation, which a migration makes: `views.`, the name, `_v` and the version.
    const TABLE: &'static str;
    /// The kinds of stream whose events it folds.
    const KINDS: &'static [StreamKind];
    /// How many documents the live runner holds in memory at once, at most, while it folds events into them.
    const AT_ONCE: usize = 500;

    /// The documents that this event changes. An event that changes nothing in a document does not name it.
    fn keys(recorded: &Recorded) -> Vec<Uuid>;

    /// The document after the event; `None` if there is none, before or after.
    fn fold(document: Option<Self>, recorded: &Recorded) -> Option<Self>;

    /// The project whose documents all go with this event. The table needs a column `project_id`, and
    /// [`ReadModel::project`] its value.
    fn purge(_recorded: &Recorded) -> Option<Uuid> {
        None
    }

    /// The project that [`ReadModel::purge`] may name.
    fn project(&self) -> Option<Uuid> {
        None
    }

    /// The account whose list shows the document: the list's position moves with every change of one of its documents.
    fn listed_for(&self) -> Option<Uuid> {
        None
    }
}

/// How far each stream was folded into a document, by the stream's name.
pub type Versions = BTreeMap<String, u64>;

/// The name of a stream in [`Versions`].
pub(crate) fn stream_name(stream: StreamKey) -> String {
    format!("{}:{}", stream.kind, stream.id)
}

/// The stream with this name in [`Versions`].
pub(crate) fn stream_named(name: &str) -> Option<StreamKey> {
    let (kind, id) = name.split_once(':')?;
    Some(StreamKey { kind: kind.parse().ok()?, id: id.parse().ok()? })
}

/// A document with all that is stored beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<M> {
    /// The document, if there is one.
    pub document: Option<M>,
    /// How far each stream was folded into it.
    pub versions: Versions,
    /// The ledger position of the last event that changed it. `None` if that event has no position yet.
    pub position: Option<u64>,
    /// The last event that was folded since the row was loaded.
    pub(crate) changed_by: Option<(StreamKey, u64)>,
}

impl<M> Default for Row<M> {
    fn default() -> Self {
        Self { document: None, versions: Versions::new(), position: None, changed_by: None }
    }
}

impl<M> Row<M> {
    /// The row as it is stored.
    pub(crate) fn stored(document: M, versions: Versions, position: u64) -> Self {
        Self { document: Some(document), versions, position: Some(position), changed_by: None }
    }
}

impl<M: ReadModel> Row<M> {
    /// Folds an event into the document, unless it was folded before, and tells whether that changed it. `position` is
    /// the event's, if it has one yet.
    pub fn advance(&mut self, recorded: &Recorded, position: Option<u64>) -> bool {
        let stream = stream_name(recorded.stream);
        if self.versions.get(&stream).is_some_and(|folded| recorded.sequence <= *folded) {
            return false;
        }
        let existed = self.document.is_some();
        self.document = M::fold(self.document.take(), recorded);
        let exists = self.document.is_some();
        if existed || exists {
            self.versions.insert(stream, recorded.sequence);
            self.position = position;
            self.changed_by = Some((recorded.stream, recorded.sequence));
        }
        existed || exists
    }
}

/// Documents in memory, and what events made of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Documents<M> {
    pub(crate) rows: HashMap<Uuid, Row<M>>,
    /// Projects whose documents are all gone, those included that were not loaded.
    pub(crate) purged: Vec<Uuid>,
    /// Accounts whose list has changed, with the position of the last change.
    pub(crate) lists: BTreeMap<Uuid, Option<u64>>,
}

impl<M: ReadModel> Documents<M> {
    /// Begins with the rows as they are stored.
    pub(crate) fn new(rows: HashMap<Uuid, Row<M>>) -> Self {
        Self { rows, purged: Vec::new(), lists: BTreeMap::new() }
    }

    /// Folds one event into all documents that it changes.
    pub(crate) fn apply(&mut self, recorded: &Recorded, position: Option<u64>) {
        if let Some(project) = M::purge(recorded) {
            self.purged.push(project);
            for row in self.rows.values_mut() {
                if row.document.as_ref().is_some_and(|document| document.project() == Some(project)) {
                    row.document = None;
                    row.position = position;
                    row.changed_by = Some((recorded.stream, recorded.sequence));
                }
            }
        }
        for key in M::keys(recorded) {
            let row = self.rows.entry(key).or_default();
            let before = row.document.as_ref().and_then(M::listed_for);
            if row.advance(recorded, position) {
                let after = row.document.as_ref().and_then(M::listed_for);
                for owner in [before, after].into_iter().flatten() {
                    self.lists.insert(owner, position);
                }
            }
        }
    }
}

/// The project that this event deletes.
pub(crate) fn deleted_project(recorded: &Recorded) -> Option<Uuid> {
    use ProjectEvent as E;
    match recorded.project() {
        Some((id, E::ProjectDeleted)) => Some(id.as_uuid()),
        Some((
            _,
            E::ProjectCreated { .. }
            | E::ProjectDetailsChanged { .. }
            | E::ProjectStatusSet { .. }
            | E::ProjectStatusMoved { .. }
            | E::ProjectDataChanged { .. }
            | E::ProjectDataReplaced { .. }
            | E::GenerationAccepted { .. }
            | E::GenerationEnded { .. }
            | E::ProposalDeleted { .. },
        ))
        | None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::{any, prop, prop_assert_eq, proptest};
    use serde_json::Value;

    use super::*;
    use crate::history::History;
    use crate::{JobDocument, ProjectDataDocument, ProjectDocument, ProposalState, TimelineEntry};

    /// A table: documents as text with versions and position, and the list positions beside it.
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Table {
        rows: BTreeMap<Uuid, (Value, Versions, u64)>,
        lists: BTreeMap<Uuid, u64>,
    }

    impl Table {
        /// What one batch does to the table.
        fn feed<M: ReadModel>(&mut self, events: &[(Recorded, u64)]) {
            let keys: HashSet<Uuid> = events.iter().flat_map(|(recorded, _)| M::keys(recorded)).collect();
            let loaded = keys.into_iter().filter_map(|key| {
                let (document, versions, position) = self.rows.get(&key)?;
                let document: M = serde_json::from_value(document.clone()).unwrap();
                Some((key, Row::stored(document, versions.clone(), *position)))
            });
            let mut documents = Documents::new(loaded.collect());
            for (recorded, position) in events {
                documents.apply(recorded, Some(*position));
            }
            for project in &documents.purged {
                let project = Value::String(project.to_string());
                self.rows.retain(|_, (document, ..)| document["project"] != project);
            }
            for (key, row) in documents.rows {
                match (row.changed_by.is_some(), row.document) {
                    (true, Some(document)) => {
                        let document = serde_json::to_value(document).unwrap();
                        self.rows.insert(key, (document, row.versions, row.position.unwrap()));
                    }
                    (true, None) => _ = self.rows.remove(&key),
                    (false, _) => (),
                }
            }
            self.lists.extend(documents.lists.into_iter().map(|(owner, position)| (owner, position.unwrap())));
        }

        fn of<'a, M: ReadModel>(batches: impl IntoIterator<Item = &'a [(Recorded, u64)]>) -> Self {
            let mut table = Self::default();
            for batch in batches {
                table.feed::<M>(batch);
            }
            table
        }
    }

    fn ledger(history: History) -> Vec<(Recorded, u64)> {
        history.events.into_iter().zip(1..).collect()
    }

    fn same_rows<M: ReadModel>(ledger: &[(Recorded, u64)], cuts: &[prop::sample::Index]) {
        let whole = Table::of::<M>([ledger]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(ledger.len() + 1)).collect();
        cuts.extend([0, ledger.len()]);
        cuts.sort_unstable();
        let parts = Table::of::<M>(cuts.windows(2).map(|ends| &ledger[ends[0]..ends[1]]));
        assert_eq!(parts, whole, "{} cut at {cuts:?}", M::NAME);

        let twice: Vec<_> = ledger.iter().flat_map(|event| [event.clone(), event.clone()]).collect();
        assert_eq!(Table::of::<M>([twice.as_slice()]), whole, "{} with each event twice", M::NAME);
    }

    /// The tails of a project are folded stream by stream, the project's first.
    fn by_stream<M: ReadModel>(ledger: &[(Recorded, u64)]) -> [BTreeMap<Uuid, Value>; 2] {
        let mut sorted = ledger.to_vec();
        sorted.sort_by_key(|(recorded, _)| (recorded.stream, recorded.sequence));
        [ledger, sorted.as_slice()].map(|events| {
            let table = Table::of::<M>([events]);
            table.rows.into_iter().map(|(key, (document, ..))| (key, document)).collect()
        })
    }

    proptest! {
        #[test]
        fn however_the_ledger_is_cut_and_repeated_the_rows_are_the_same(
            steps in prop::collection::vec(any::<u8>(), 0..80),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let ledger = ledger(History::of(&steps));
            same_rows::<ProjectDocument>(&ledger, &cuts);
            same_rows::<ProjectDataDocument>(&ledger, &cuts);
            same_rows::<TimelineEntry>(&ledger, &cuts);
            same_rows::<ProposalState>(&ledger, &cuts);
            same_rows::<JobDocument>(&ledger, &cuts);
        }

        #[test]
        fn streams_may_be_folded_one_after_the_other_while_their_project_is_open(
            steps in prop::collection::vec(0_u8..200, 0..80),
        ) {
            let ledger = ledger(History::of(&steps));
            let [as_written, sorted] = by_stream::<TimelineEntry>(&ledger);
            prop_assert_eq!(as_written, sorted);
            let [as_written, sorted] = by_stream::<ProposalState>(&ledger);
            prop_assert_eq!(as_written, sorted);
        }

        #[test]
        fn an_event_changes_the_documents_that_it_names_and_no_others(
            steps in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            for (recorded, _) in ledger(History::of(&steps)) {
                // A document that is not named would not be loaded, so folding must not begin one there.
                let unnamed = JobDocument::keys(&recorded).is_empty() && JobDocument::fold(None, &recorded).is_some();
                assert!(!unnamed);
                assert!(!TimelineEntry::keys(&recorded).is_empty() || TimelineEntry::fold(None, &recorded).is_none());
                assert!(!ProposalState::keys(&recorded).is_empty() || ProposalState::fold(None, &recorded).is_none());
                assert!(ProposalState::KINDS.contains(&recorded.stream.kind));
            }
        }
    }

    #[test]
    fn everything_of_a_deleted_project_is_gone_but_its_jobs_and_the_list_has_moved() {
        let mut history = History::new();
        let project = history.create();
        let (saved, active) = (history.accept(project), history.accept(project));
        history.complete(project, saved, "v1.0");
        history.project(project, ProjectEvent::ProjectDeleted);
        history.cancel(project, active);
        let owner = history.owner.as_uuid();
        let deleted_at = history
            .events
            .iter()
            .position(|recorded| matches!(recorded.project(), Some((_, ProjectEvent::ProjectDeleted))))
            .map(|index| index as u64 + 1)
            .unwrap();
        let ledger = ledger(history);
        let (before, after) = ledger.split_at(deleted_at as usize - 1);
        let batches = || [before, after];
        assert!(Table::of::<TimelineEntry>(batches()).rows.is_empty());
        assert!(Table::of::<ProposalState>(batches()).rows.is_empty());
        assert!(Table::of::<ProjectDataDocument>(batches()).rows.is_empty());
        let projects = Table::of::<ProjectDocument>(batches());
        assert!(projects.rows.is_empty());
        assert_eq!(projects.lists, BTreeMap::from([(owner, deleted_at)]));
        let jobs: Vec<Uuid> = Table::of::<JobDocument>(batches()).rows.into_keys().collect();
        assert_eq!(jobs, [saved.as_uuid(), active.as_uuid()]);
    }
}
