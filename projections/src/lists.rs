//! What is listed newest first, page by page: proposals, timelines, jobs.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{ProjectId, ProposalId, personal};
use futures::FutureExt;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::batch::Model;
use crate::generation::Tables;
use crate::reader::{contained, freshness, freshness_columns};
use crate::timeline::machine_name;
use crate::views::{DETAIL, email_of_actor, found};
use crate::{
    Answer, Found, JobDocument, JobStatus, ProjectDocument, ProposalDocumentRow, ProposalState, ProposalStatus, Reader,
    TimelineEntry, ViewError, Views,
};

/// Rows in one answer at most.
pub(crate) const MAX_LIMIT: u32 = 100;

/// A page of a list that is sorted by time, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many at most; more than 101 are never given: a page of 100, and one more that tells whether there are more.
    pub limit: u32,
    /// Time and id of the last one of the page before; `None` for the first page.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// A timeline entry with the name of who did it.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineLine {
    /// The entry.
    pub entry: TimelineEntry,
    /// Address of the account, `[erased]`, or the name of the machine.
    pub user: String,
}

/// Which jobs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobFilter {
    /// Those of one status; failed ones include the cancelled.
    Status(JobStatus),
    /// Those that were cancelled.
    Cancelled,
    /// Those that go on.
    Active,
}

impl Views {
    /// The proposals of a project of the reader's, newest first; `None` if there is no such project.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn proposals(
        &self,
        reader: &Reader,
        project: ProjectId,
        status: Option<ProposalStatus>,
        page: Page,
    ) -> Result<Answer<Option<Vec<Found<ProposalDocumentRow>>>>, ViewError> {
        self.fresh(reader, &[Model::of::<ProjectDocument>(), Model::of::<ProposalState>()], |tables| {
            self.look_at_proposals(*reader, project, status, page, tables).boxed()
        })
        .await
    }

    /// The timeline of a project of the reader's, newest first, by [`TimelineEntry::began_at`] and id; `None` if there is
    /// no such project.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn timeline(
        &self,
        reader: &Reader,
        project: ProjectId,
        page: Page,
    ) -> Result<Answer<Option<Vec<TimelineLine>>>, ViewError> {
        self.fresh(reader, &[Model::of::<ProjectDocument>(), Model::of::<TimelineEntry>()], |tables| {
            self.look_at_timeline(*reader, project, page, tables).boxed()
        })
        .await
    }

    /// The jobs that the reader asked for, newest first, with the database's time for [`JobDocument::progress_at`].
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn jobs(
        &self,
        reader: &Reader,
        filter: Option<JobFilter>,
        project: Option<ProjectId>,
        page: Page,
    ) -> Result<Answer<(Vec<Found<JobDocument>>, DateTime<Utc>)>, ViewError> {
        self.fresh(reader, &[Model::of::<JobDocument>()], |tables| {
            self.look_at_jobs(*reader, filter, project, page, tables).boxed()
        })
        .await
    }

    async fn look_at_proposals(
        &self,
        reader: Reader,
        project: ProjectId,
        status: Option<ProposalStatus>,
        page: Page,
        tables: Arc<Tables>,
    ) -> Result<Answer<Option<Vec<Found<ProposalDocumentRow>>>>, ViewError> {
        let rows = sqlx::query(&format!(
            "WITH f AS MATERIALIZED (SELECT {freshness}, {mine} AS mine)
             SELECT f.*, r.* FROM f LEFT JOIN (
                 SELECT row_number() OVER (ORDER BY created_at DESC, key DESC) AS place, document, position
                 FROM {table} WHERE project_id = $2 AND state = 'saved' AND ($6::text IS NULL OR status = $6)
                     AND ($4::timestamptz IS NULL OR (created_at, key) < ($4, $5))
                 ORDER BY created_at DESC, key DESC LIMIT $3) r ON f.mine ORDER BY r.place",
            freshness = freshness_columns(&tables, &[Model::of::<ProjectDocument>(), Model::of::<ProposalState>()]),
            mine = mine(&tables),
            table = tables.of::<ProposalState>(),
        ))
        .bind(reader.account.as_uuid())
        .bind(project.as_uuid())
        .bind(page.limit())
        .bind(page.time())
        .bind(page.id())
        .bind(status.map(ProposalStatus::as_str))
        .fetch_all(self.store.pool())
        .await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let mut proposals = Vec::with_capacity(rows.len());
        for row in present(&rows)? {
            let Found { document, position } = found::<ProposalState>(row)?;
            proposals.extend(document.into_saved().map(|document| Found { document, position }));
        }
        let value = first.try_get::<bool, _>("mine")?.then_some(proposals);
        Ok(Answer { value, freshness: freshness(first, &reader)? })
    }

    async fn look_at_timeline(
        &self,
        reader: Reader,
        project: ProjectId,
        page: Page,
        tables: Arc<Tables>,
    ) -> Result<Answer<Option<Vec<TimelineLine>>>, ViewError> {
        let rows = sqlx::query(&format!(
            "WITH f AS MATERIALIZED (SELECT {freshness}, {mine} AS mine)
             SELECT f.*, r.* FROM f LEFT JOIN (
                 SELECT row_number() OVER (ORDER BY t.began_at DESC, t.key DESC) AS place, t.document, t.position,
                        {email} AS email
                 FROM {table} t WHERE t.project_id = $2 AND t.visible
                     AND ($4::timestamptz IS NULL OR (t.began_at, t.key) < ($4, $5))
                 ORDER BY t.began_at DESC, t.key DESC LIMIT $3) r ON f.mine ORDER BY r.place",
            freshness = freshness_columns(&tables, &[Model::of::<ProjectDocument>(), Model::of::<TimelineEntry>()]),
            mine = mine(&tables),
            email = email_of_actor(&tables, "t"),
            table = tables.of::<TimelineEntry>(),
        ))
        .bind(reader.account.as_uuid())
        .bind(project.as_uuid())
        .bind(page.limit())
        .bind(page.time())
        .bind(page.id())
        .fetch_all(self.store.pool())
        .await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let lines = present(&rows)?.into_iter().map(timeline_line).collect::<Result<_, _>>()?;
        let value = first.try_get::<bool, _>("mine")?.then_some(lines);
        Ok(Answer { value, freshness: freshness(first, &reader)? })
    }

    async fn look_at_jobs(
        &self,
        reader: Reader,
        filter: Option<JobFilter>,
        project: Option<ProjectId>,
        page: Page,
        tables: Arc<Tables>,
    ) -> Result<Answer<(Vec<Found<JobDocument>>, DateTime<Utc>)>, ViewError> {
        let mut condition = String::from("owner_id = $1 AND ($2::uuid IS NULL OR project_id = $2)");
        match filter {
            None => (),
            Some(JobFilter::Status(status)) => _ = write!(condition, " AND status = '{}'", status.as_str()),
            Some(JobFilter::Cancelled) => condition.push_str(" AND cancelled"),
            Some(JobFilter::Active) => condition.push_str(" AND status IN ('queued', 'processing')"),
        }
        let rows = sqlx::query(&format!(
            "SELECT f.*, r.* FROM (
                 SELECT {freshness}, {everywhere} AS everywhere, clock_timestamp() AS seen_at) f LEFT JOIN (
                 SELECT row_number() OVER (ORDER BY requested_at DESC, key DESC) AS place, document, position
                 FROM {table} WHERE {condition} AND ($4::timestamptz IS NULL OR (requested_at, key) < ($4, $5))
                 ORDER BY requested_at DESC, key DESC LIMIT $3) r ON true ORDER BY r.place",
            freshness = freshness_columns(&tables, &[Model::of::<JobDocument>()]),
            everywhere = tables.checkpoint(&DETAIL),
            table = tables.of::<JobDocument>(),
        ))
        .bind(reader.account.as_uuid())
        .bind(project.map(ProjectId::as_uuid))
        .bind(page.limit())
        .bind(page.time())
        .bind(page.id())
        .fetch_all(self.store.pool())
        .await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let everywhere = contained(first, "everywhere")?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in present(&rows)? {
            let Found { document, position } = found::<JobDocument>(row)?;
            jobs.push(Found { document: document.shown(position <= everywhere), position });
        }
        Ok(Answer { value: (jobs, first.try_get("seen_at")?), freshness: freshness(first, &reader)? })
    }
}

impl Page {
    /// The first page, with at most so many.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self { limit, before: None }
    }

    /// The page behind a proposal.
    #[must_use]
    pub fn after_proposal(limit: u32, created_at: DateTime<Utc>, id: ProposalId) -> Self {
        Self { limit, before: Some((created_at, id.as_uuid())) }
    }

    fn limit(&self) -> i64 {
        i64::from(self.limit.clamp(1, MAX_LIMIT + 1))
    }

    fn time(&self) -> Option<DateTime<Utc>> {
        self.before.map(|(time, _)| time)
    }

    fn id(&self) -> Option<Uuid> {
        self.before.map(|(_, id)| id)
    }
}

/// Reads a timeline entry from the columns `document` and `email`.
pub(crate) fn timeline_line(row: &PgRow) -> Result<TimelineLine, ViewError> {
    let entry = found::<TimelineEntry>(row)?.document;
    let user = match row.try_get::<Option<String>, _>("email")? {
        Some(email) => email,
        None if entry.actor.as_account().is_some() => personal::ERASED_TEXT.to_owned(),
        None => machine_name(entry.actor.kind).to_owned(),
    };
    Ok(TimelineLine { entry, user })
}

/// An expression: whether the reader `$1` owns the project `$2`.
fn mine(tables: &Tables) -> String {
    format!("EXISTS (SELECT FROM {} WHERE key = $2 AND owner_id = $1)", tables.of::<ProjectDocument>())
}

/// The rows that hold something, in order: a list without anything is one row with nothing but its freshness.
pub(crate) fn present(rows: &[PgRow]) -> Result<Vec<&PgRow>, sqlx::Error> {
    let mut present = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<Option<i64>, _>("position")?.is_some() {
            present.push(row);
        }
    }
    Ok(present)
}
