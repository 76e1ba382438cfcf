//! An account's projects as a list, and what is counted over them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::project::Status;
use futures::FutureExt;
use sqlx::Row as _;

use crate::batch::Model;
use crate::documents::position;
use crate::generation::{Generation, Tables};
use crate::lists::{MAX_LIMIT, present};
use crate::reader::{freshness, freshness_columns};
use crate::views::found;
use crate::{Answer, Found, ProjectDocument, Reader, ViewError, Views};

/// The last page of the project list.
const MAX_PAGE: u32 = 1_000;

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

impl Views {
    /// The reader's projects, last changed first.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn projects(&self, reader: &Reader, filter: &ProjectFilter) -> Result<Answer<ProjectPage>, ViewError> {
        self.fresh(reader, &[Model::of::<ProjectDocument>()], |tables| {
            self.look_at_projects(*reader, filter.clone(), tables).boxed()
        })
        .await
    }

    /// What is counted over the reader's projects.
    ///
    /// # Errors
    ///
    /// [`ViewError`].
    pub async fn project_stats(&self, reader: &Reader) -> Result<Answer<ProjectStats>, ViewError> {
        self.fresh(reader, &[Model::of::<ProjectDocument>()], |tables| self.look_at_stats(*reader, tables).boxed())
            .await
    }

    async fn look_at_projects(
        &self,
        reader: Reader,
        filter: ProjectFilter,
        tables: Arc<Tables>,
    ) -> Result<Answer<ProjectPage>, ViewError> {
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
            freshness = freshness_columns(&tables, &[Model::of::<ProjectDocument>()]),
            list_position = list_position(tables.of::<ProjectDocument>()),
            table = tables.of::<ProjectDocument>(),
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

    async fn look_at_stats(&self, reader: Reader, tables: Arc<Tables>) -> Result<Answer<ProjectStats>, ViewError> {
        let rows = sqlx::query(&format!(
            "WITH f AS MATERIALIZED (SELECT {freshness}, {list_position} AS list_position)
             SELECT f.*, r.* FROM f LEFT JOIN (
                 SELECT status, count(*) AS projects, sum(progress) AS progress,
                        (sum(sum(budget_usd::numeric)) OVER ())::double precision AS budget,
                        max(max(updated_at)) OVER () AS updated_at
                 FROM {table} WHERE owner_id = $1 GROUP BY status) r ON true",
            freshness = freshness_columns(&tables, &[Model::of::<ProjectDocument>()]),
            list_position = list_position(tables.of::<ProjectDocument>()),
            table = tables.of::<ProjectDocument>(),
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
}

/// An expression: the position of the last event that changed the list of the reader `$1`.
fn list_position(table: Generation) -> String {
    let Generation { name, version, number } = table;
    format!(
        "coalesce((SELECT position FROM views.list_positions
                   WHERE owner_id = $1 AND name = '{name}' AND version = {version} AND generation = {number}), 0)"
    )
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
