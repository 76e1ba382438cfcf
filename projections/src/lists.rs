//! Reads of many: lists, page by page, and what is counted over them.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use domain::project::Status;
use domain::{ProjectId, ProposalId, personal};
use futures::FutureExt;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::batch::Model;
use crate::documents::position;
use crate::reader::{checkpoint, freshness, freshness_columns};
use crate::timeline::machine_name;
use crate::views::{DETAIL, email_of_actor, found};
use crate::{
    Answer, Found, JobDocument, JobStatus, ProjectDocument, ProposalDocumentRow, ProposalState, ProposalStatus,
    ReadModel, Reader, TimelineEntry, ViewError, Views,
};

/// Rows in one answer at most.
const MAX_LIMIT: u32 = 100;
/// The last page of the project list.
const MAX_PAGE: u32 = 1_000;

/// A page of a list that is sorted by time, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many at most; more than 100 are never given.
    pub limit: u32,
    /// Time and id of the last one of the page before; `None` for the first page.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// Which projects to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFilter {
    /// Which page, from 1 to 1,000.
    pub page: u32,
    /// Projects on a page; more than 100 are never given.
    pub size: u32,
    /// A part of name, client or location, in whatever case. Literal: it has no wildcards.
    pub search: Option<String>,
    /// The status they must have.
    pub status: Option<Status>,
    /// The sector they must have.
    pub sector: Option<String>,
}

/// A page of the project list.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectPage {
    /// The projects, last changed first.
    pub items: Vec<Found<ProjectDocument>>,
    /// How many there are on all pages.
    pub total: u64,
    /// The ledger position of the last event that changed the account's list, deletions included; 0 if there is none.
    pub list_position: u64,
}

/// What is counted over all projects of an account.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectStats {
    /// By status, in the order of a project's life; only those that occur.
    pub stages: Vec<StageStats>,
    /// How many there are.
    pub total_projects: u64,
    /// The mean progress in per cent, rounded; 0 without projects.
    pub avg_progress: u8,
    /// The sum of the budgets in US dollars.
    pub total_budget_usd: f64,
    /// When one of them last changed.
    pub last_updated: Option<DateTime<Utc>>,
    /// As [`ProjectPage::list_position`].
    pub list_position: u64,
}

/// What is counted over the projects of one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageStats {
    /// The status.
    pub status: Status,
    /// How many there are.
    pub count: u64,
    /// Their mean progress in per cent, rounded.
    pub avg_progress: u8,
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
    /// The reader's projects, last changed first.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn projects(&self, reader: &Reader, filter: &ProjectFilter) -> Result<Answer<ProjectPage>, ViewError> {
        self.fresh(reader, &[Model::of::<ProjectDocument>()], || self.look_at_projects(*reader, filter.clone()).boxed())
            .await
    }

    /// What is counted over the reader's projects.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn project_stats(&self, reader: &Reader) -> Result<Answer<ProjectStats>, ViewError> {
        self.fresh(reader, &[Model::of::<ProjectDocument>()], || self.look_at_stats(*reader).boxed()).await
    }

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
        self.fresh(reader, &[Model::of::<ProjectDocument>(), Model::of::<ProposalState>()], || {
            self.look_at_proposals(*reader, project, status, page).boxed()
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
        self.fresh(reader, &[Model::of::<ProjectDocument>(), Model::of::<TimelineEntry>()], || {
            self.look_at_timeline(*reader, project, page).boxed()
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
        self.fresh(reader, &[Model::of::<JobDocument>()], || self.look_at_jobs(*reader, filter, project, page).boxed())
            .await
    }

    async fn look_at_projects(&self, reader: Reader, filter: ProjectFilter) -> Result<Answer<ProjectPage>, ViewError> {
        let size = filter.size.clamp(1, MAX_LIMIT);
        let offset = i64::from(filter.page.clamp(1, MAX_PAGE) - 1) * i64::from(size);
        let rows = sqlx::query(&format!(
            "WITH f AS MATERIALIZED (
                 SELECT {freshness}, {list_position} AS list_position,
                        (SELECT count(*) FROM {table} WHERE {matching}) AS total)
             SELECT f.*, r.* FROM f LEFT JOIN (
                 SELECT row_number() OVER (ORDER BY updated_at DESC, key) AS place, document, position
                 FROM {table} WHERE {matching} ORDER BY updated_at DESC, key LIMIT $5 OFFSET $6) r ON true
             ORDER BY r.place",
            freshness = freshness_columns(&[Model::of::<ProjectDocument>()]),
            list_position = list_position::<ProjectDocument>(),
            table = ProjectDocument::TABLE,
            matching = "owner_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR sector = $3)
                        AND ($4::text IS NULL OR search LIKE $4)",
        ))
        .bind(reader.account.as_uuid())
        .bind(filter.status.map(Status::as_str))
        .bind(filter.sector)
        .bind(filter.search.filter(|part| !part.is_empty()).map(|part| containing(&part)))
        .bind(i64::from(size))
        .bind(offset)
        .fetch_all(self.store.pool())
        .await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let value = ProjectPage {
            total: position(first, "total")?,
            list_position: position(first, "list_position")?,
            items: present(&rows)?.into_iter().map(found).collect::<Result<_, _>>()?,
        };
        Ok(Answer { value, freshness: freshness(first, &reader)? })
    }

    async fn look_at_stats(&self, reader: Reader) -> Result<Answer<ProjectStats>, ViewError> {
        let rows = sqlx::query(&format!(
            "WITH f AS MATERIALIZED (SELECT {freshness}, {list_position} AS list_position)
             SELECT f.*, r.* FROM f LEFT JOIN (
                 SELECT status, count(*) AS projects, sum(progress) AS progress,
                        (sum(sum(budget_usd::numeric)) OVER ())::double precision AS budget,
                        max(max(updated_at)) OVER () AS updated_at
                 FROM {table} WHERE owner_id = $1 GROUP BY status) r ON true",
            freshness = freshness_columns(&[Model::of::<ProjectDocument>()]),
            list_position = list_position::<ProjectDocument>(),
            table = ProjectDocument::TABLE,
        ))
        .bind(reader.account.as_uuid())
        .fetch_all(self.store.pool())
        .await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let (mut stages, mut total, mut progress) = (Vec::new(), 0, 0);
        for row in &rows {
            let Some(status) = row.try_get::<Option<String>, _>("status")?.and_then(|word| Status::named(&word)) else {
                continue;
            };
            let (count, sum) = (position(row, "projects")?, position(row, "progress")?);
            stages.push(StageStats { status, count, avg_progress: mean(sum, count) });
            total += count;
            progress += sum;
        }
        stages.sort_by_key(|stage| stage.status);
        let value = ProjectStats {
            stages,
            total_projects: total,
            avg_progress: mean(progress, total),
            total_budget_usd: first.try_get::<Option<f64>, _>("budget")?.unwrap_or(0.0),
            last_updated: first.try_get("updated_at")?,
            list_position: position(first, "list_position")?,
        };
        Ok(Answer { value, freshness: freshness(first, &reader)? })
    }

    async fn look_at_proposals(
        &self,
        reader: Reader,
        project: ProjectId,
        status: Option<ProposalStatus>,
        page: Page,
    ) -> Result<Answer<Option<Vec<Found<ProposalDocumentRow>>>>, ViewError> {
        let rows = sqlx::query(&format!(
            "WITH f AS MATERIALIZED (SELECT {freshness}, {mine} AS mine)
             SELECT f.*, r.* FROM f LEFT JOIN (
                 SELECT row_number() OVER (ORDER BY created_at DESC, key DESC) AS place, document, position
                 FROM {table} WHERE project_id = $2 AND state = 'saved' AND ($6::text IS NULL OR status = $6)
                     AND ($4::timestamptz IS NULL OR (created_at, key) < ($4, $5))
                 ORDER BY created_at DESC, key DESC LIMIT $3) r ON f.mine ORDER BY r.place",
            freshness = freshness_columns(&[Model::of::<ProjectDocument>(), Model::of::<ProposalState>()]),
            mine = mine(),
            table = ProposalState::TABLE,
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
    ) -> Result<Answer<Option<Vec<TimelineLine>>>, ViewError> {
        let rows = sqlx::query(&format!(
            "WITH f AS MATERIALIZED (SELECT {freshness}, {mine} AS mine)
             SELECT f.*, r.* FROM f LEFT JOIN (
                 SELECT row_number() OVER (ORDER BY t.began_at DESC, t.key DESC) AS place, t.document, t.position,
                        {email} AS email
                 FROM {table} t WHERE t.project_id = $2 AND t.visible
                     AND ($4::timestamptz IS NULL OR (t.began_at, t.key) < ($4, $5))
                 ORDER BY t.began_at DESC, t.key DESC LIMIT $3) r ON f.mine ORDER BY r.place",
            freshness = freshness_columns(&[Model::of::<ProjectDocument>(), Model::of::<TimelineEntry>()]),
            mine = mine(),
            email = email_of_actor("t"),
            table = TimelineEntry::TABLE,
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
            freshness = freshness_columns(&[Model::of::<JobDocument>()]),
            everywhere = checkpoint(&DETAIL),
            table = JobDocument::TABLE,
        ))
        .bind(reader.account.as_uuid())
        .bind(project.map(ProjectId::as_uuid))
        .bind(page.limit())
        .bind(page.time())
        .bind(page.id())
        .fetch_all(self.store.pool())
        .await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let everywhere = position(first, "everywhere")?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in present(&rows)? {
            let Found { document, position } = found::<JobDocument>(row)?;
            let shown = document.clone().shown(Some(&document), position <= everywhere);
            jobs.push(Found { document: shown, position });
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
        i64::from(self.limit.clamp(1, MAX_LIMIT))
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
fn mine() -> String {
    format!("EXISTS (SELECT FROM {} WHERE key = $2 AND owner_id = $1)", ProjectDocument::TABLE)
}

/// An expression: the position of the last event that changed the list of the reader `$1`.
fn list_position<M: ReadModel>() -> String {
    format!(
        "coalesce((SELECT position FROM views.list_positions WHERE owner_id = $1 AND name = '{}' AND version = {}), 0)",
        M::NAME,
        M::VERSION
    )
}

/// The rows that hold something, in order: a list without anything is one row with nothing but its freshness.
fn present(rows: &[PgRow]) -> Result<Vec<&PgRow>, sqlx::Error> {
    let mut present = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<Option<i64>, _>("position")?.is_some() {
            present.push(row);
        }
    }
    Ok(present)
}

/// A pattern for LIKE that finds this text and nothing else.
fn containing(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// The mean of whole per cents, rounded to the nearest, halves up; 0 of none.
fn mean(sum: u64, count: u64) -> u8 {
    let rounded = (2 * sum + count).checked_div(2 * count).unwrap_or(0);
    u8::try_from(rounded).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_text_is_literal() {
        assert_eq!(containing(r"50%_\ÁB"), r"%50\%\_\\áb%");
    }

    #[test]
    fn a_mean_is_rounded_to_the_nearest_whole_per_cent() {
        assert_eq!([mean(0, 0), mean(1, 2), mean(1, 3), mean(200, 2), mean(125, 2)], [0, 1, 0, 100, 63]);
    }
}
