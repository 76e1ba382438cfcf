//! Reads by id, each in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{AccountId, ProjectId, ProposalId};
use eventstore::Store;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::batch::Model;
use crate::current::LastChange;
use crate::documents::position;
use crate::generation::{Known, Tables};
use crate::lists::{TimelineLine, timeline_line};
use crate::reader::{freshness, freshness_columns};
use crate::{
    AccountDocument, Answer, Found, JobDocument, ProjectDataDocument, ProjectDocument, ProposalDocumentRow,
    ProposalState, ReadModel, Reader, TimelineEntry, ViewError,
};

/// Proposals in a project's detail at most.
pub(crate) const DETAIL_PROPOSALS: usize = 50;
/// Timeline entries in a project's detail at most.
pub(crate) const DETAIL_ENTRIES: usize = 10;
/// The models that a project's detail is made of.
pub(crate) const DETAIL: [Model; 3] =
    [Model::of::<ProjectDocument>(), Model::of::<ProposalState>(), Model::of::<TimelineEntry>()];
/// Accounts whose addresses are looked up at once at most.
const EMAILS_AT_ONCE: usize = 1_000;

/// The queries. Cheap to clone.
#[derive(Clone)]
pub struct Views {
    pub(crate) store: Store,
    pub(crate) known: Arc<Known>,
}

/// A project with its newest proposals and timeline entries.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectDetail {
    /// The project.
    pub project: ProjectDocument,
    /// The newest 50 proposals, newest first.
    pub proposals: Vec<ProposalDocumentRow>,
    /// The newest 10 entries, newest first.
    pub timeline: Vec<TimelineLine>,
}

/// A job as it may be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRead {
    /// The job.
    pub job: JobDocument,
    /// Where in the ledger it last changed.
    pub changed: LastChange,
    /// The database's time, for [`JobDocument::progress_at`].
    pub seen_at: DateTime<Utc>,
}

impl JobRead {
    /// Progress in per cent.
    #[must_use]
    pub fn progress(&self) -> u8 {
        self.job.progress_at(self.seen_at)
    }
}

impl Views {
    /// Queries on the read models in this store's database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, known: Arc::default() }
    }

    /// An account, whosesoever.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn account(
        &self,
        reader: &Reader,
        id: AccountId,
    ) -> Result<Answer<Option<Found<AccountDocument>>>, ViewError> {
        self.one(*reader, id.as_uuid(), "true").await
    }

    /// A project of the reader's.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn project(
        &self,
        reader: &Reader,
        id: ProjectId,
    ) -> Result<Answer<Option<Found<ProjectDocument>>>, ViewError> {
        self.one(*reader, id.as_uuid(), "owner_id = $1").await
    }

    /// The technical sheet of a project of the reader's.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn project_data(
        &self,
        reader: &Reader,
        id: ProjectId,
    ) -> Result<Answer<Option<Found<ProjectDataDocument>>>, ViewError> {
        self.one(*reader, id.as_uuid(), "owner_id = $1").await
    }

    /// A proposal of a project of the reader's.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn proposal(
        &self,
        reader: &Reader,
        project: ProjectId,
        id: ProposalId,
    ) -> Result<Answer<Option<Found<ProposalDocumentRow>>>, ViewError> {
        let answer = self.one::<ProposalState>(*reader, id.as_uuid(), "state = 'saved'").await?;
        let value = answer.value.and_then(|Found { document, position }| {
            let saved = document.into_saved()?;
            let theirs = saved.project == project && saved.owner == reader.account;
            theirs.then_some(Found { document: saved, position })
        });
        Ok(Answer { value, freshness: answer.freshness })
    }

    /// A project of the reader's with its newest proposals and timeline entries, all as they were at the same time. The
    /// position is that of the last event that changed any of them.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn project_detail(
        &self,
        reader: &Reader,
        id: ProjectId,
    ) -> Result<Answer<Option<Found<ProjectDetail>>>, ViewError> {
        let reader = *reader;
        self.fresh(&reader, &DETAIL, |tables| self.look_at_detail(reader, id, tables).boxed()).await
    }

    /// The addresses of accounts, `[erased]` ones included. Looks up 1,000 at most.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn emails(&self, ids: &[AccountId]) -> Result<HashMap<AccountId, String>, ViewError> {
        self.on_tables(|tables| {
            async move {
                let mut connection = self.store.pool().acquire().await?;
                emails(&mut connection, &tables, ids.iter().copied()).await
            }
            .boxed()
        })
        .await
    }

    async fn look_at_detail(
        &self,
        reader: Reader,
        id: ProjectId,
        tables: Arc<Tables>,
    ) -> Result<Answer<Option<Found<ProjectDetail>>>, ViewError> {
        let rows = sqlx::query(&format!(
            "WITH f AS MATERIALIZED (SELECT {freshness}),
                  mine AS MATERIALIZED (SELECT key, document, position FROM {projects} WHERE key = $2 AND owner_id = $1)
             SELECT f.*, r.* FROM f LEFT JOIN (
                 SELECT 0 AS part, 0::bigint AS place, key, document, position, NULL::text AS email FROM mine
                 UNION ALL
                 (SELECT 1, row_number() OVER (ORDER BY q.created_at DESC, q.key DESC), q.key, q.document, q.position, NULL
                  FROM {proposals} q WHERE q.project_id = (SELECT key FROM mine) AND q.state = 'saved'
                  ORDER BY q.created_at DESC, q.key DESC LIMIT $3)
                 UNION ALL
                 (SELECT 2, row_number() OVER (ORDER BY t.began_at DESC, t.key DESC), t.key, t.document, t.position,
                         {email}
                  FROM {timeline} t WHERE t.project_id = (SELECT key FROM mine) AND t.visible
                  ORDER BY t.began_at DESC, t.key DESC LIMIT $4)
             ) r ON true ORDER BY r.part, r.place",
            freshness = freshness_columns(&tables, &DETAIL),
            projects = tables.of::<ProjectDocument>(),
            proposals = tables.of::<ProposalState>(),
            timeline = tables.of::<TimelineEntry>(),
            email = email_of_actor(&tables, "t"),
        ))
        .bind(reader.account.as_uuid())
        .bind(id.as_uuid())
        .bind(DETAIL_PROPOSALS as i64)
        .bind(DETAIL_ENTRIES as i64)
        .fetch_all(self.store.pool())
        .await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let freshness = freshness(first, &reader)?;
        let mut project: Option<Found<ProjectDocument>> = None;
        let (mut proposals, mut timeline, mut newest) = (Vec::new(), Vec::new(), 0);
        for row in &rows {
            match row.try_get::<Option<i32>, _>("part")? {
                None => continue,
                Some(0) => project = Some(found(row)?),
                Some(1) => proposals.extend(found::<ProposalState>(row)?.document.into_saved()),
                Some(_) => timeline.push(timeline_line(row)?),
            }
            newest = newest.max(position(row, "position")?);
        }
        let value = project.map(|project| Found {
            document: ProjectDetail { project: project.document, proposals, timeline },
            position: newest,
        });
        Ok(Answer { value, freshness })
    }

    /// The document `id`, where the condition holds; in it `$1` is the reader's account.
    async fn one<M: ReadModel>(
        &self,
        reader: Reader,
        id: Uuid,
        condition: &'static str,
    ) -> Result<Answer<Option<Found<M>>>, ViewError> {
        self.fresh(&reader, &[Model::of::<M>()], |tables| self.look_at_one(reader, id, condition, tables)).await
    }

    fn look_at_one<M: ReadModel>(
        &self,
        reader: Reader,
        id: Uuid,
        condition: &'static str,
        tables: Arc<Tables>,
    ) -> BoxFuture<'_, Result<Answer<Option<Found<M>>>, ViewError>> {
        async move {
            let row = sqlx::query(&format!(
                "SELECT f.*, r.* FROM (SELECT {freshness}) f LEFT JOIN LATERAL (
                     SELECT document, position FROM {table} WHERE key = $2 AND {condition}) r ON true",
                freshness = freshness_columns(&tables, &[Model::of::<M>()]),
                table = tables.of::<M>(),
            ))
            .bind(reader.account.as_uuid())
            .bind(id)
            .fetch_one(self.store.pool())
            .await?;
            let there = row.try_get::<Option<i64>, _>("position")?.is_some();
            let value = there.then(|| found(&row)).transpose()?;
            Ok(Answer { value, freshness: freshness(&row, &reader)? })
        }
        .boxed()
    }
}

/// Reads a document from the columns `document` and `position`.
pub(crate) fn found<M: ReadModel>(row: &PgRow) -> Result<Found<M>, ViewError> {
    let Json(document) = row.try_get("document").map_err(unreadable)?;
    Ok(Found { document, position: position(row, "position")? })
}

fn unreadable(error: sqlx::Error) -> ViewError {
    match error {
        sqlx::Error::ColumnDecode { source, .. } => ViewError::Unreadable(source),
        other => ViewError::Database(other),
    }
}

/// An expression: the address of the account that did what the timeline entry in `table` tells of.
pub(crate) fn email_of_actor(tables: &Tables, table: &str) -> String {
    format!(
        "(SELECT a.document ->> 'email' FROM {accounts} a
          WHERE a.key = ({table}.document #>> '{{actor,id}}')::uuid AND {table}.document #>> '{{actor,kind}}' = 'account')",
        accounts = tables.of::<AccountDocument>(),
    )
}

pub(crate) async fn emails(
    connection: &mut PgConnection,
    tables: &Tables,
    ids: impl Iterator<Item = AccountId>,
) -> Result<HashMap<AccountId, String>, ViewError> {
    let ids: Vec<Uuid> = ids.map(AccountId::as_uuid).take(EMAILS_AT_ONCE).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, Option<String>)> = sqlx::query_as(&format!(
        "SELECT key, document ->> 'email' FROM {} WHERE key = ANY($1)",
        tables.of::<AccountDocument>()
    ))
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(|(id, email)| Some((AccountId::from_uuid(id), email?))).collect())
}
