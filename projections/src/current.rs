//! The present state of what was just written, and of jobs: the stored document and every event of its streams that it
//! does not contain yet, folded by the same function. Right however far the read models lag.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::{AccountId, ProjectEvent, ProjectId, ProposalId, Recorded, StreamKey};
use eventstore::Store;
use futures::FutureExt as _;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::batch::Model;
use crate::generation::Tables;
use crate::overlay::{Overlay, Pages};
use crate::reader::contained;
use crate::views::{DETAIL, DETAIL_ENTRIES, DETAIL_PROPOSALS, emails, found};
use crate::{
    AccountDocument, Found, JobDocument, JobRead, ProjectDataDocument, ProjectDetail, ProjectDocument, ProposalState,
    ReadModel, TimelineEntry, TimelineLine, ViewError, Views,
};

/// Generations of a project that are looked at for events that are not contained yet, besides those that were accepted
/// lately. A proposal older than these is not among the ones shown.
const GENERATIONS: i64 = 50;

/// What is so now.
#[derive(Debug, Clone, PartialEq)]
pub struct Current<T> {
    /// What was asked for.
    pub value: T,
    /// The ledger position of the last event that changed it; `None` if that event has no position yet.
    pub position: Option<u64>,
}

impl Views {
    /// An account as it is now.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn current_account(&self, id: AccountId) -> Result<Option<Current<AccountDocument>>, ViewError> {
        self.current(id.as_uuid(), id.into()).await
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
        let sheet = self.current::<ProjectDataDocument>(id.as_uuid(), id.into()).await?;
        Ok(sheet.filter(|sheet| sheet.value.owner == owner))
    }

    /// A project as it is now with its newest proposals and timeline entries, if `owner` owns it. The position is that of
    /// the last event that changed any of them.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn current_project_detail(
        &self,
        owner: AccountId,
        id: ProjectId,
    ) -> Result<Option<Current<ProjectDetail>>, ViewError> {
        self.on_tables(|tables| {
            async move {
                // Documents and the tails of several streams are read in one snapshot, so that they fit together.
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
                let mut transaction = eventstore::begin(self.store.pool(), begin).await?;
                let detail = detail_in(&self.store, &mut transaction, &tables, owner, id).await;
                transaction.rollback().await?;
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
        self.on_tables(|tables| self.look_at_job(owner, proposal, tables).boxed()).await
    }

    async fn look_at_job(
        &self,
        owner: AccountId,
        proposal: ProposalId,
        tables: Arc<Tables>,
    ) -> Result<Option<JobRead>, ViewError> {
        let key = proposal.as_uuid();
        let mut connection = self.store.pool().acquire().await?;
        // Checkpoints are read before the job: whatever the job then contains, these contained no less than they say.
        let looked = format!("SELECT {} AS everywhere, clock_timestamp() AS seen_at", tables.checkpoint(&DETAIL));
        let looked = sqlx::query(&looked).fetch_one(&mut *connection).await?;
        let (contained_everywhere, seen_at) = (contained(&looked, "everywhere")?, looked.try_get("seen_at")?);
        let mut overlay = Overlay::<JobDocument>::on(&tables);
        let mut pages = Pages::of(proposal.into(), &tables);
        let models = [Model::of::<JobDocument>()];
        let mut tail = pages.next(&self.store, &mut connection, &models).await?;
        overlay.load(&mut connection, [key]).await?;
        let stored = overlay.documents.rows.get(&key).cloned();
        while let Some(events) = tail {
            overlay.apply(&mut connection, &events).await?;
            tail = pages.next(&self.store, &mut connection, &models).await?;
        }
        let Some(row) = overlay.documents.rows.remove(&key) else { return Ok(None) };
        let Some(job) = row.document.filter(|job| job.owner == owner) else { return Ok(None) };
        let everywhere = stored.as_ref().and_then(|row| row.position).is_some_and(|p| p <= contained_everywhere);
        let stored = stored.and_then(|row| row.document);
        let contained = everywhere && stored.is_some_and(|stored| stored.status == job.status);
        Ok(Some(JobRead { job: job.shown(contained), position: row.position, seen_at }))
    }

    async fn current<M: ReadModel>(&self, key: Uuid, stream: StreamKey) -> Result<Option<Current<M>>, ViewError> {
        self.on_tables(|tables| {
            async move {
                let mut connection = self.store.pool().acquire().await?;
                current_in(&self.store, &mut connection, &tables, key, stream).await
            }
            .boxed()
        })
        .await
    }
}

async fn current_in<M: ReadModel>(
    store: &Store,
    connection: &mut PgConnection,
    tables: &Arc<Tables>,
    key: Uuid,
    stream: StreamKey,
) -> Result<Option<Current<M>>, ViewError> {
    let mut overlay = Overlay::<M>::on(tables);
    // The tail first: the runner may store some of it before the document is read, which then has it twice and counts it
    // once. The other way round there could be events that are in neither.
    overlay.follow(store, connection, stream).await?;
    overlay.load(connection, [key]).await?;
    let row = overlay.documents.rows.remove(&key).unwrap_or_default();
    Ok(row.document.map(|value| Current { value, position: row.position }))
}

async fn detail_in(
    store: &Store,
    connection: &mut PgConnection,
    tables: &Arc<Tables>,
    owner: AccountId,
    id: ProjectId,
) -> Result<Option<Current<ProjectDetail>>, ViewError> {
    let mut project = Overlay::<ProjectDocument>::on(tables);
    let mut proposals = Overlay::<ProposalState>::on(tables);
    let mut timeline = Overlay::<TimelineEntry>::on(tables);
    project.load(connection, [id.as_uuid()]).await?;
    let mut generations = generations(connection, tables, id).await?;
    // The jobs may be behind the projects.
    let stored = project.documents.rows.get(&id.as_uuid()).and_then(|row| row.document.as_ref());
    generations.extend(stored.and_then(|project| project.active_proposal));
    let mut pages = Pages::of(id.into(), tables);
    while let Some(events) = pages.next(store, connection, &DETAIL).await? {
        generations.extend(events.iter().filter_map(|(recorded, _)| accepted(recorded)));
        project.apply(connection, &events).await?;
        proposals.apply(connection, &events).await?;
        timeline.apply(connection, &events).await?;
    }
    for generation in generations {
        let mut pages = Pages::of(generation.into(), tables);
        while let Some(events) = pages.next(store, connection, &DETAIL).await? {
            proposals.apply(connection, &events).await?;
            timeline.apply(connection, &events).await?;
        }
    }
    let Some(row) = project.documents.rows.remove(&id.as_uuid()) else { return Ok(None) };
    let Some(project) = row.document.filter(|project| project.owner == owner) else { return Ok(None) };
    let mut positions = vec![row.position];

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
        .filter_map(|(document, position)| Some((document.into_saved()?, position)))
        .filter(|(proposal, _)| proposal.project == id)
        .collect();
    shown.sort_by_key(|(proposal, _)| std::cmp::Reverse((proposal.created_at, proposal.id)));
    shown.truncate(DETAIL_PROPOSALS);
    positions.extend(shown.iter().map(|(_, position)| *position));
    let proposals = shown.into_iter().map(|(proposal, _)| proposal).collect();

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
    positions.extend(shown.iter().map(|(_, position)| *position));
    let actors = shown.iter().filter_map(|(entry, _)| entry.actor.as_account());
    let addresses = people(store, connection, tables, actors).await?;
    let timeline = shown.into_iter().map(|(entry, _)| TimelineLine { user: entry.user(&addresses), entry }).collect();

    Ok(Some(Current {
        value: ProjectDetail { project, proposals, timeline },
        // One without a position yet will have the highest.
        position: positions.into_iter().collect::<Option<Vec<u64>>>().and_then(|all| all.into_iter().max()),
    }))
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
            && let Some(found) =
                current_in::<AccountDocument>(store, connection, tables, account.as_uuid(), account.into()).await?
        {
            addresses.insert(account, found.value.email);
        }
    }
    Ok(addresses)
}

/// The project's newest generations that the read models know of.
async fn generations(
    connection: &mut PgConnection,
    tables: &Tables,
    project: ProjectId,
) -> Result<BTreeSet<ProposalId>, ViewError> {
    let keys: Vec<Uuid> = sqlx::query_scalar(&format!(
        "SELECT key FROM {} WHERE project_id = $1 ORDER BY requested_at DESC, key DESC LIMIT $2",
        tables.of::<JobDocument>()
    ))
    .bind(project.as_uuid())
    .bind(GENERATIONS)
    .fetch_all(connection)
    .await?;
    Ok(keys.into_iter().map(ProposalId::from_uuid).collect())
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
