//! Documents in their tables: loading and writing, the same for every model.

use std::collections::HashMap;

use domain::StreamKey;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::model::Documents;
use crate::{ReadModel, Row};

/// A stored document that this code cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored document {0} cannot be read")]
pub(crate) struct Unreadable(pub(crate) Uuid);

/// Loads the documents with these keys. One that this code cannot read is an error of its own.
pub(crate) async fn load<M: ReadModel>(
    connection: &mut PgConnection,
    keys: &[Uuid],
) -> Result<HashMap<Uuid, Result<Row<M>, Unreadable>>, sqlx::Error> {
    let rows = sqlx::query(&format!("SELECT key, document, versions, position FROM {} WHERE key = ANY($1)", M::TABLE))
        .bind(keys)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let key: Uuid = row.try_get("key")?;
            match stored(row) {
                Ok(stored) => Ok((key, Ok(stored))),
                Err(sqlx::Error::ColumnDecode { .. }) => Ok((key, Err(Unreadable(key)))),
                Err(error) => Err(error),
            }
        })
        .collect()
}

/// Reads a row of columns `document`, `versions`, `position`.
pub(crate) fn stored<M: ReadModel>(row: &PgRow) -> Result<Row<M>, sqlx::Error> {
    let Json(document) = row.try_get("document")?;
    let Json(versions) = row.try_get("versions")?;
    Ok(Row::stored(document, versions, position(row, "position")?))
}

/// Reads a ledger position.
pub(crate) fn position(row: &PgRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(i64::unsigned_abs)
}

/// Why documents were not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// PostgreSQL cannot hold a document that begins to change with this event.
    Unstorable(StreamKey, u64),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Writes what has changed: three statements at most, whatever the number of documents.
pub(crate) async fn write<M: ReadModel>(
    connection: &mut PgConnection,
    documents: &Documents<M>,
) -> Result<(), WriteError> {
    let mut gone = Vec::new();
    let (mut keys, mut texts, mut versions, mut positions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (key, row) in &documents.rows {
        let Some((stream, sequence)) = row.touched else { continue };
        let Some(document) = &row.document else {
            gone.push(*key);
            continue;
        };
        let unstorable = || WriteError::Unstorable(stream, sequence);
        let text = serde_json::to_string(document).map_err(|_| unstorable())?;
        if holds_nul(&text) {
            return Err(unstorable());
        }
        keys.push(*key);
        texts.push(text);
        versions.push(serde_json::to_string(&row.versions).map_err(|_| unstorable())?);
        positions.push(row.position.unwrap_or_default().cast_signed());
    }
    if !documents.purged.is_empty() {
        sqlx::query(&format!("DELETE FROM {} WHERE project_id = ANY($1)", M::TABLE))
            .bind(&documents.purged)
            .execute(&mut *connection)
            .await?;
    }
    if !gone.is_empty() {
        sqlx::query(&format!("DELETE FROM {} WHERE key = ANY($1)", M::TABLE))
            .bind(&gone)
            .execute(&mut *connection)
            .await?;
    }
    if !keys.is_empty() {
        sqlx::query(&format!(
            "INSERT INTO {table} AS t (key, document, versions, position)
             SELECT k, d::jsonb, v::jsonb, p FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) n(k, d, v, p)
             ON CONFLICT (key) DO UPDATE
                SET document = excluded.document, versions = excluded.versions, position = excluded.position
                WHERE t.position < excluded.position",
            table = M::TABLE
        ))
        .bind(&keys)
        .bind(&texts)
        .bind(&versions)
        .bind(&positions)
        .execute(&mut *connection)
        .await?;
    }
    move_lists::<M>(connection, documents).await?;
    Ok(())
}

async fn move_lists<M: ReadModel>(connection: &mut PgConnection, documents: &Documents<M>) -> Result<(), sqlx::Error> {
    if documents.lists.is_empty() {
        return Ok(());
    }
    let (owners, positions): (Vec<Uuid>, Vec<i64>) =
        documents.lists.iter().map(|(owner, position)| (*owner, position.unwrap_or_default().cast_signed())).unzip();
    sqlx::query(
        "INSERT INTO views.list_positions AS l (name, version, owner_id, position)
         SELECT $1, $2, o, p FROM unnest($3::uuid[], $4::bigint[]) n(o, p)
         ON CONFLICT (owner_id, name, version) DO UPDATE SET position = greatest(l.position, excluded.position)",
    )
    .bind(M::NAME)
    .bind(M::VERSION)
    .bind(owners)
    .bind(positions)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a JSON text holds the character U+0000, which jsonb refuses: an escape whose backslash is not itself escaped.
fn holds_nul(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json.as_bytes()[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        before % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_character_is_told_from_a_text_about_one() {
        for (text, nul) in [("a\u{0}b", true), ("\\u0000", false), ("\\\\u0000", false), ("\\\u{0}", true), ("", false)]
        {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(holds_nul(&json), nul, "{json}");
        }
    }
}
