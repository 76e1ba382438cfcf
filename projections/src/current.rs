//! The present state of what was just written, and of jobs: the stored document and every event of its streams that it
//! does not contain yet, folded by the same function. Right however far the read models lag.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::{AccountId, ProjectEvent, ProjectId, ProposalId, Recorded, StreamKey};
use eventstore::{Reading, Store};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::batch::Model;
use crate::generation::Tables;
use crate::overlay::{Overlay, Pages};
use crate::reader::{LOOKS, contained};
use crate::views::{DETAIL, DETAIL_ENTRIES, DETAIL_PROPOSALS, emails, found};
use crate::{
    AccountDocument, Found, JobDocument, JobRead, ProjectDataDocument, ProjectDetail, ProjectDocument, ProposalState,
    ReadModel, Row, TimelineEntry, TimelineLine, ViewError, Views,
};

/// Generations of a project that are looked at for events that are not contained yet, besides those that were accepted
/// lately. A proposal older than these is not among the ones shown.
const GENERATIONS: i64 = 50;
/// Documents and the tails of several streams are read in one snapshot, so that they fit together.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// What is so now.
#[derive(Debug, Clone, PartialEq)]
pub struct Current<T> {
    /// What was asked for.
    pub value: T,
    /// Where in the ledger it last changed.
    pub changed: LastChange,
}

/// Where in the ledger something last changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastChange {
    /// The highest position of an event that changed it and has one.
    pub sequenced: Option<u64>,
    /// Events that changed it and have no position yet. Each will have a higher one.
    pub unsequenced: Vec<(StreamKey, u64)>,
}

impl LastChange {
    /// At this position.
    #[must_use]
    pub const fn at(position: u64) -> Self {
        Self { sequenced: Some(position), unsequenced: vec![] }
    }

    pub(crate) fn of<M>(row: &Row<M>) -> Self {
        let unsequenced = if row.position.is_none() { row.changed_by.into_iter().collect() } else { vec![] };
        Self { sequenced: row.position, unsequenced }
    }

    /// The later of both.
    fn and(mut self, other: Self) -> Self {
        self.sequenced = self.sequenced.max(other.sequenced);
        for (stream, sequence) in other.unsequenced {
            // Of one stream the last event is enough: its position is the highest.
            match self.unsequenced.iter_mut().find(|(known, _)| *known == stream) {
                Some((_, known)) => *known = sequence.max(*known),
                None => self.unsequenced.push((stream, sequence)),
            }
        }
        self
    }

    /// The position of the last event that changed it; `None` if that has none yet.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.sequenced.filter(|_| self.unsequenced.is_empty())
    }
}

/// What a command looks at and what it has decided: its answer shows both, before anything is written.
pub struct Ahead<'a> {
    /// To read with.
    pub connection: &'a mut PgConnection,
    /// Whether that is in a transaction. The command then has its streams' locks, or will not be carried out if one of
    /// them moves meanwhile; without a transaction what belongs together is read in one snapshot.
    pub in_transaction: bool,
    /// The events that it will append, in the order in which they will be stored.
    pub decided: &'a [&'a Recorded],
}

impl<'a> Ahead<'a> {
    /// What a session gives to read with.
    pub fn of(reading: &'a mut Reading<'_>, decided: &'a [&'a Recorded]) -> Self {
        Self { in_transaction: reading.in_transaction(), connection: reading, decided }
    }

    /// What is so now, for somebody who has decided nothing.
    pub fn nothing(connection: &'a mut PgConnection) -> Self {
        Self { connection, in_transaction: false, decided: &[] }
    }
}

impl Views {
    /// An account as a command leaves it.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn account_ahead(
        &self,
        ahead: Ahead<'_>,
        id: AccountId,
    ) -> Result<Option<Current<AccountDocument>>, ViewError> {
        self.on_live_tables(ahead, move |seen| current(seen, id.as_uuid(), id.into()).boxed()).await
    }

    /// The technical sheet of a project as it is now, if `owner` owns it.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn current_project_data(
        &self,
        owner: AccountId,
        id: ProjectId,
    ) -> Result<Option<Current<ProjectDataDocument>>, ViewError> {
        let mut connection = self.store.pool().acquire().await?;
        self.project_data_ahead(Ahead::nothing(&mut connection), owner, id).await
    }

    /// The technical sheet of a project as a command leaves it, if `owner` owns it.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn project_data_ahead(
        &self,
        ahead: Ahead<'_>,
        owner: AccountId,
        id: ProjectId,
    ) -> Result<Option<Current<ProjectDataDocument>>, ViewError> {
        let sheet = self
            .on_live_tables(ahead, move |seen| current::<ProjectDataDocument>(seen, id.as_uuid(), id.into()).boxed());
        let sheet = sheet.await?;
        Ok(sheet.filter(|sheet| sheet.value.owner == owner))
    }

    /// A project as it is now with its newest proposals and timeline entries, if `owner` owns it. The last change is that of
    /// any of them.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn current_project_detail(
        &self,
        owner: AccountId,
        id: ProjectId,
    ) -> Result<Option<Current<ProjectDetail>>, ViewError> {
        for _ in 0..LOOKS {
            // A request is given up when its client goes, unlike a command.
            let mut snapshot = eventstore::begin(self.store.pool(), SNAPSHOT).await?;
            let nothing = Ahead { connection: &mut snapshot, in_transaction: true, decided: &[] };
            let detail = self.project_detail_ahead(nothing, owner, id).await;
            snapshot.rollback().await?;
            match detail {
                Err(ViewError::Moved) => _ = self.known.look(self.store.pool()).await?,
                found => return found,
            }
        }
        Err(ViewError::Moved)
    }

    /// The same as a command leaves it.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn project_detail_ahead(
        &self,
        ahead: Ahead<'_>,
        owner: AccountId,
        id: ProjectId,
    ) -> Result<Option<Current<ProjectDetail>>, ViewError> {
        let in_transaction = ahead.in_transaction;
        self.on_live_tables(ahead, move |seen| {
            async move {
                if in_transaction {
                    return detail_in(seen, owner, id).await;
                }
                let Seen { connection, store, tables, decided } = seen;
                let mut snapshot = connection.begin_with(SNAPSHOT).await?;
                let seen = Seen { connection: &mut snapshot, store, tables, decided };
                let detail = detail_in(seen, owner, id).await;
                snapshot.rollback().await?;
                detail
            }
            .boxed()
        })
        .await
    }

    /// A job as it may be shown now, if `owner` asked for it. Never waits: to the stored job every event is added that it
    /// does not contain yet. It is shown as ended only once all that shows its proposal and project contains the end.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn job(&self, owner: AccountId, proposal: ProposalId) -> Result<Option<JobRead>, ViewError> {
        let mut connection = self.store.pool().acquire().await?;
        self.job_ahead(Ahead::nothing(&mut connection), owner, proposal).await
    }

    /// The same as a command leaves it.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn job_ahead(
        &self,
        ahead: Ahead<'_>,
        owner: AccountId,
        proposal: ProposalId,
    ) -> Result<Option<JobRead>, ViewError> {
        self.on_live_tables(ahead, move |seen| job_in(seen, owner, proposal).boxed()).await
    }

    /// Reads the tables that are live. If one of them is gone meanwhile, reads those that took their place; not in a
    /// transaction, which has ended with that.
    async fn on_live_tables<T>(
        &self,
        ahead: Ahead<'_>,
        read: impl for<'c> Fn(Seen<'c>) -> BoxFuture<'c, Result<T, ViewError>>,
    ) -> Result<T, ViewError> {
        let Ahead { connection, in_transaction, decided } = ahead;
        let mut tables = self.known.tables(&mut *connection).await?;
        for _ in 0..LOOKS {
            match read(Seen { connection: &mut *connection, store: &self.store, tables: &tables, decided }).await {
                Err(error) if !error.tables_are_gone() => return Err(error),
                Err(_) if in_transaction => return Err(ViewError::Moved),
                Err(_) => tables = self.known.look(&mut *connection).await?,
                found => return found,
            }
        }
        Err(ViewError::Moved)
    }
}

/// What a look needs.
struct Seen<'c> {
    connection: &'c mut PgConnection,
    store: &'c Store,
    tables: &'c Arc<Tables>,
    decided: &'c [&'c Recorded],
}

async fn job_in(seen: Seen<'_>, owner: AccountId, proposal: ProposalId) -> Result<Option<JobRead>, ViewError> {
    let Seen { connection, store, tables, decided } = seen;
    let key = proposal.as_uuid();
    // Checkpoints are read before the job: whatever the job then contains, these contained no less than they say.
    let looked = format!("SELECT {} AS everywhere, clock_timestamp() AS seen_at", tables.checkpoint(&DETAIL));
    let looked = sqlx::query(&looked).fetch_one(&mut *connection).await?;
    let (contained_everywhere, seen_at) = (contained(&looked, "everywhere")?, looked.try_get("seen_at")?);
    let mut overlay = Overlay::<JobDocument>::on(tables);
    let mut pages = Pages::of(proposal.into(), tables);
    let models = [Model::of::<JobDocument>()];
    let mut tail = pages.next(store, connection, &models).await?;
    overlay.load(connection, [key]).await?;
    let stored = overlay.documents.rows.get(&key).cloned();
    while let Some(events) = tail {
        overlay.apply(connection, &events).await?;
        tail = pages.next(store, connection, &models).await?;
    }
    overlay.apply_decided(connection, decided).await?;
    let Some(row) = overlay.documents.rows.remove(&key) else { return Ok(None) };
    let changed = LastChange::of(&row);
    let Some(job) = row.document.filter(|job| job.owner == owner) else { return Ok(None) };
    let everywhere = stored.as_ref().and_then(|row| row.position).is_some_and(|p| p <= contained_everywhere);
    let stored = stored.and_then(|row| row.document);
    let contained = everywhere && stored.is_some_and(|stored| stored.status == job.status);
    Ok(Some(JobRead { job: job.shown(contained), changed, seen_at }))
}

async fn detail_in(
    seen: Seen<'_>,
    owner: AccountId,
    id: ProjectId,
) -> Result<Option<Current<ProjectDetail>>, ViewError> {
    let Seen { connection, store, tables, decided } = seen;
    let mut project = Overlay::<ProjectDocument>::on(tables);
    let mut proposals = Overlay::<ProposalState>::on(tables);
    let mut timeline = Overlay::<TimelineEntry>::on(tables);
    let (contained, mut generations) = contained_and_generations(connection, tables, id).await?;
    let mut pages = Pages::beyond(contained, id.into(), tables);
    while let Some(events) = pages.next(store, connection, &DETAIL).await? {
        generations.extend(events.iter().filter_map(|(recorded, _)| accepted(recorded)));
        project.apply(connection, &events).await?;
        proposals.apply(connection, &events).await?;
        timeline.apply(connection, &events).await?;
    }
    project.load(connection, [id.as_uuid()]).await?;
    // The jobs may be behind the projects.
    let shown = project.documents.rows.get(&id.as_uuid()).and_then(|row| row.document.as_ref());
    generations.extend(shown.and_then(|project| project.active_proposal));
    for generation in with_more(connection, tables, contained, &generations).await? {
        let mut pages = Pages::beyond(contained, generation.into(), tables);
        while let Some(events) = pages.next(store, connection, &DETAIL).await? {
            proposals.apply(connection, &events).await?;
            timeline.apply(connection, &events).await?;
        }
    }
    project.apply_decided(connection, decided).await?;
    proposals.apply_decided(connection, decided).await?;
    timeline.apply_decided(connection, decided).await?;
    let Some(row) = project.documents.rows.remove(&id.as_uuid()) else { return Ok(None) };
    let mut changed = LastChange::of(&row);
    let Some(project) = row.document.filter(|project| project.owner == owner) else { return Ok(None) };

    let newest = newest_documents::<ProposalState>(
        connection,
        tables,
        id,
        "state = 'saved' ORDER BY created_at DESC, key DESC",
        DETAIL_PROPOSALS + proposals.documents.rows.len(),
    );
    let mut shown: Vec<_> = proposals
        .over(newest.await?)
        .into_iter()
        .filter_map(|(document, changed)| Some((document.into_saved()?, changed)))
        .filter(|(proposal, _)| proposal.project == id)
        .collect();
    shown.sort_by_key(|(proposal, _)| std::cmp::Reverse((proposal.created_at, proposal.id)));
    shown.truncate(DETAIL_PROPOSALS);
    let proposals = without_changes(shown, &mut changed);

    let newest = newest_documents::<TimelineEntry>(
        connection,
        tables,
        id,
        "visible ORDER BY began_at DESC, key DESC",
        DETAIL_ENTRIES + timeline.documents.rows.len(),
    );
    let mut shown: Vec<_> =
        timeline.over(newest.await?).into_iter().filter(|(entry, _)| entry.visible && entry.project == id).collect();
    shown.sort_by_key(|(entry, _)| std::cmp::Reverse((entry.began_at, entry.id)));
    shown.truncate(DETAIL_ENTRIES);
    let entries = without_changes(shown, &mut changed);
    let actors = entries.iter().filter_map(|entry| entry.actor.as_account());
    let addresses = people(store, connection, tables, actors).await?;
    let timeline = entries.into_iter().map(|entry| TimelineLine { user: entry.user(&addresses), entry }).collect();
    Ok(Some(Current { value: ProjectDetail { project, proposals, timeline }, changed }))
}

fn without_changes<T>(shown: Vec<(T, LastChange)>, changed: &mut LastChange) -> Vec<T> {
    let fold = |(value, of_it)| {
        *changed = std::mem::take(changed).and(of_it);
        value
    };
    shown.into_iter().map(fold).collect()
}

async fn current<M: ReadModel>(seen: Seen<'_>, key: Uuid, stream: StreamKey) -> Result<Option<Current<M>>, ViewError> {
    let Seen { connection, store, tables, decided } = seen;
    let mut overlay = Overlay::<M>::on(tables);
    // The tail first: the runner may store some of it before the document is read, which then has it twice and counts it
    // once. The other way round there could be events that are in neither.
    overlay.follow(store, connection, stream).await?;
    overlay.load(connection, [key]).await?;
    overlay.apply_decided(connection, decided).await?;
    let row = overlay.documents.rows.remove(&key).unwrap_or_default();
    let changed = LastChange::of(&row);
    Ok(row.document.map(|value| Current { value, changed }))
}

/// The addresses of these accounts, that of one who has just registered included.
async fn people(
    store: &Store,
    connection: &mut PgConnection,
    tables: &Arc<Tables>,
    accounts: impl Iterator<Item = AccountId>,
) -> Result<HashMap<AccountId, String>, ViewError> {
    let accounts: BTreeSet<AccountId> = accounts.collect();
    let mut addresses = emails(connection, tables, accounts.iter().copied()).await?;
    for account in accounts {
        if !addresses.contains_key(&account)
            && let seen = (Seen { connection: &mut *connection, store, tables, decided: &[] })
            && let Some(found) = current::<AccountDocument>(seen, account.as_uuid(), account.into()).await?
        {
            addresses.insert(account, found.value.email);
        }
    }
    Ok(addresses)
}

/// The position up to which all models of a detail contain everything, and the project's newest generations that the
/// read models know of. Whatever is read after this contains no less: so tails of several streams that begin at this
/// position, and documents, fit together without a snapshot of the database.
async fn contained_and_generations(
    connection: &mut PgConnection,
    tables: &Tables,
    project: ProjectId,
) -> Result<(i64, BTreeSet<ProposalId>), ViewError> {
    let row = sqlx::query(&format!(
        "SELECT {checkpoint} AS contained, ARRAY(SELECT key FROM {jobs} WHERE project_id = $1
                                                 ORDER BY requested_at DESC, key DESC LIMIT $2) AS keys",
        checkpoint = tables.checkpoint(&DETAIL),
        jobs = tables.of::<JobDocument>()
    ))
    .bind(project.as_uuid())
    .bind(GENERATIONS)
    .fetch_one(connection)
    .await?;
    let keys: Vec<Uuid> = row.try_get("keys")?;
    let contained = contained(&row, "contained")?.cast_signed();
    Ok((contained, keys.into_iter().map(ProposalId::from_uuid).collect()))
}

/// Those generations whose streams have more than is contained everywhere.
async fn with_more(
    connection: &mut PgConnection,
    tables: &Tables,
    contained: i64,
    generations: &BTreeSet<ProposalId>,
) -> Result<Vec<ProposalId>, ViewError> {
    if generations.is_empty() {
        return Ok(vec![]);
    }
    let keys: Vec<String> = sqlx::query_scalar(&format!(
        "SELECT g.id FROM unnest($1::text[]) g(id)
         WHERE EXISTS (
             SELECT FROM es.events e WHERE e.aggregate_type = 'proposal' AND e.aggregate_id = g.id
             AND e.sequence > coalesce((SELECT c.sequence FROM es.ledger c WHERE c.aggregate_type = 'proposal'
                                        AND c.aggregate_id = g.id AND c.position <= $2
                                        ORDER BY c.sequence DESC LIMIT 1), 0))
         OR EXISTS (
             SELECT FROM views.parked p WHERE p.aggregate_type = 'proposal' AND p.aggregate_id = g.id
             AND (p.name, p.version, p.generation) IN ({names}))",
        names = tables.names(&DETAIL),
    ))
    .bind(generations.iter().map(ToString::to_string).collect::<Vec<_>>())
    .bind(contained)
    .fetch_all(connection)
    .await?;
    Ok(keys.iter().filter_map(|key| key.parse().ok()).map(ProposalId::from_uuid).collect())
}

fn accepted(recorded: &Recorded) -> Option<ProposalId> {
    use ProjectEvent as E;
    match recorded.project()?.1 {
        E::GenerationAccepted { proposal, .. } => Some(*proposal),
        E::ProjectCreated { .. }
        | E::ProjectDetailsChanged { .. }
        | E::ProjectStatusSet { .. }
        | E::ProjectStatusMoved { .. }
        | E::ProjectDataChanged { .. }
        | E::ProjectDataReplaced { .. }
        | E::ProjectDeleted
        | E::GenerationEnded { .. }
        | E::ProposalDeleted { .. } => None,
    }
}

async fn newest_documents<M: ReadModel>(
    connection: &mut PgConnection,
    tables: &Tables,
    project: ProjectId,
    condition_and_order: &str,
    limit: usize,
) -> Result<Vec<(Uuid, Found<M>)>, ViewError> {
    let rows = sqlx::query(&format!(
        "SELECT key, document, position FROM {} WHERE project_id = $1 AND {condition_and_order} LIMIT $2",
        tables.of::<M>()
    ))
    .bind(project.as_uuid())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("key")?, found(row)?))).collect()
}
