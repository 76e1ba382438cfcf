//! Documents in their tables: loading and writing, the same for every model.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::generation::Generation;
use crate::model::Documents;
use crate::{ReadModel, Row};

/// Bytes of documents that travel in one statement, before one more is added.
const PIECE: usize = 2 << 20;

/// A stored document that this code cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored document {0} cannot be read")]
pub(crate) struct Unreadable(pub(crate) Uuid);

/// Loads the documents with these keys. One that this code cannot read is an error of its own.
pub(crate) async fn load<M: ReadModel>(
    connection: &mut PgConnection,
    table: Generation,
    keys: &[Uuid],
) -> Result<HashMap<Uuid, Result<Row<M>, Unreadable>>, sqlx::Error> {
    let rows = sqlx::query(&format!("SELECT key, document, versions, position FROM {table} WHERE key = ANY($1)"))
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

/// Writes what has changed: four statements at most, as long as it is no more than a few megabytes.
///
/// # Errors
///
/// If the database fails, or holds a document that [`storable_length`] would have refused.
pub(crate) async fn write<M: ReadModel>(
    connection: &mut PgConnection,
    table: Generation,
    documents: &Documents<M>,
) -> Result<(), sqlx::Error> {
    purge(connection, table, &documents.purged).await?;
    let gone: Vec<Uuid> = documents
        .rows
        .iter()
        .filter(|(_, row)| row.changed_by.is_some() && row.document.is_none())
        .map(|(key, _)| *key)
        .collect();
    remove(connection, table, &gone).await?;
    let mut piece = Piece::default();
    for (key, row) in &documents.rows {
        let (true, Some(document)) = (row.changed_by.is_some(), &row.document) else { continue };
        piece.add(*key, document, row)?;
        if PIECE < piece.bytes {
            std::mem::take(&mut piece).upsert(connection, table).await?;
        }
    }
    piece.upsert(connection, table).await?;
    move_lists::<M>(connection, table, documents).await
}

/// Removes the documents of these projects.
pub(crate) async fn purge(
    connection: &mut PgConnection,
    table: Generation,
    projects: &[Uuid],
) -> Result<(), sqlx::Error> {
    if !projects.is_empty() {
        sqlx::query(&format!("DELETE FROM {table} WHERE project_id = ANY($1)"))
            .bind(projects)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Removes the documents with these keys.
pub(crate) async fn remove(connection: &mut PgConnection, table: Generation, keys: &[Uuid]) -> Result<(), sqlx::Error> {
    if !keys.is_empty() {
        sqlx::query(&format!("DELETE FROM {table} WHERE key = ANY($1)")).bind(keys).execute(connection).await?;
    }
    Ok(())
}

/// Documents that travel in one statement.
#[derive(Default)]
struct Piece {
    keys: Vec<Uuid>,
    documents: Vec<String>,
    versions: Vec<String>,
    positions: Vec<i64>,
    bytes: usize,
}

impl Piece {
    fn add<M: ReadModel>(&mut self, key: Uuid, document: &M, row: &Row<M>) -> Result<(), sqlx::Error> {
        let unwritable = |error: serde_json::Error| sqlx::Error::Encode(Box::new(error));
        let document = serde_json::to_string(document).map_err(unwritable)?;
        let versions = serde_json::to_string(&row.versions).map_err(unwritable)?;
        self.bytes += document.len() + versions.len();
        self.keys.push(key);
        self.documents.push(document);
        self.versions.push(versions);
        self.positions.push(row.position.unwrap_or_default().cast_signed());
        Ok(())
    }

    async fn upsert(self, connection: &mut PgConnection, table: Generation) -> Result<(), sqlx::Error> {
        if self.keys.is_empty() {
            return Ok(());
        }
        sqlx::query(&format!(
            "INSERT INTO {table} AS t (key, document, versions, position)
             SELECT k, d::jsonb, v::jsonb, p FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) n(k, d, v, p)
             ON CONFLICT (key) DO UPDATE
                SET document = excluded.document, versions = excluded.versions, position = excluded.position
                WHERE t.position < excluded.position"
        ))
        .bind(&self.keys)
        .bind(&self.documents)
        .bind(&self.versions)
        .bind(&self.positions)
        .execute(connection)
        .await?;
        Ok(())
    }
}

async fn move_lists<M: ReadModel>(
    connection: &mut PgConnection,
    table: Generation,
    documents: &Documents<M>,
) -> Result<(), sqlx::Error> {
    if documents.lists.is_empty() {
        return Ok(());
    }
    let (owners, positions): (Vec<Uuid>, Vec<i64>) =
        documents.lists.iter().map(|(owner, position)| (*owner, position.unwrap_or_default().cast_signed())).unzip();
    sqlx::query(
        "INSERT INTO views.list_positions AS l (name, version, generation, owner_id, position)
         SELECT $1, $2, $3, o, p FROM unnest($4::uuid[], $5::bigint[]) n(o, p)
         ON CONFLICT (owner_id, name, version, generation)
            DO UPDATE SET position = greatest(l.position, excluded.position)",
    )
    .bind(table.name)
    .bind(table.version)
    .bind(table.number)
    .bind(owners)
    .bind(positions)
    .execute(connection)
    .await?;
    Ok(())
}

/// The length of a document's JSON in bytes; `None` if PostgreSQL cannot hold it.
pub(crate) fn storable_length<M: ReadModel>(document: &M, buffer: &mut Vec<u8>) -> Option<usize> {
    buffer.clear();
    serde_json::to_writer(&mut *buffer, document).ok()?;
    (!holds_nul(buffer)).then_some(buffer.len())
}

/// Whether a JSON text holds the character U+0000, which jsonb refuses: an escape whose backslash is not itself escaped.
fn holds_nul(json: &[u8]) -> bool {
    // Hardly a document has an escape like it, so that looking for backslashes alone is quick.
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        if rest[at..].starts_with(b"\\u0000") {
            return true;
        }
        // What is escaped is passed over, another backslash, too.
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_character_is_told_from_a_text_about_one() {
        for (text, nul) in [("a\u{0}b", true), ("\\u0000", false), ("\\\\u0000", false), ("\\\u{0}", true), ("", false)]
        {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(holds_nul(json.as_bytes()), nul, "{json}");
        }
    }
}
