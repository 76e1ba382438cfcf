//! Comparing what is stored with the fold of the ledger.

use eventstore::Store;
use sqlx::{PgTransaction, Row as _};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::batch::Model;
use crate::generation::Generation;
use crate::rebuild::{GAP, LOCK_TIMEOUT, Progress, RebuildError, Work, named};

/// Differences of each sort that are told at most.
const TOLD: i64 = 20;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The generation that was checked: the one that is read.
    pub generation: i32,
    /// Everything up to this ledger position was compared.
    pub position: u64,
    /// Documents that the fold of the ledger gives.
    pub documents: u64,
    /// How many differences there are.
    pub differing: u64,
    /// The first of them: twenty each of documents, list positions and parked streams.
    pub differences: Vec<Difference>,
}

/// Something that is not as the fold of the ledger has it. Names no stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: a document by its key, the list of an account, a stream.
    pub place: String,
    /// What is different there.
    pub what: String,
}

/// Folds the whole ledger anew, beside the table that is read, and compares every row with it: document, versions,
/// position; and the positions of lists, and the parked streams. What was made for this is dropped afterwards.
///
/// # Errors
///
/// [`RebuildError`]; differences are none.
pub async fn verify(
    store: &Store,
    name: &str,
    progress: &(dyn Fn(Progress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Verdict, RebuildError> {
    verify_model(store, named(name)?, progress, cancel).await
}

/// As [`verify`], for a model that need not be one of the live ones.
pub(crate) async fn verify_model(
    store: &Store,
    model: Model,
    progress: &(dyn Fn(Progress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Verdict, RebuildError> {
    let mut work = Work::begin(store, model, progress, cancel).await?;
    let fresh = work.make().await?;
    let verdict = compare(&mut work, fresh).await;
    work.drop(fresh.number).await?;
    verdict
}

async fn compare(work: &mut Work<'_>, fresh: Generation) -> Result<Verdict, RebuildError> {
    let store = work.store;
    let model = work.model;
    let live = "SELECT generation, position FROM views.checkpoints WHERE name = $1 AND version = $2 AND live";
    let held = format!("{live} FOR UPDATE");
    work.fill(fresh, async || {
        let row: Option<(i32, i64)> =
            sqlx::query_as(live).bind(model.name).bind(model.version).fetch_optional(store.pool()).await?;
        row.map(|(_, position)| position.unsigned_abs()).ok_or(RebuildError::NotBuilt(model.name))
    })
    .await?;
    loop {
        // While its checkpoint is held nobody moves the live generation, so that both are at the same position when the
        // snapshot is taken.
        let mut holding = store.pool().begin().await?;
        sqlx::query(LOCK_TIMEOUT).execute(&mut *holding).await?;
        let row: Option<(i32, i64)> =
            sqlx::query_as(&held).bind(model.name).bind(model.version).fetch_optional(&mut *holding).await?;
        let (number, position) = row.ok_or(RebuildError::NotBuilt(model.name))?;
        let position = position.unsigned_abs();
        let (reached, _) = work.standing(fresh).await?;
        if reached + GAP < position {
            holding.rollback().await?;
            work.fill(fresh, async || Ok(position)).await?;
            continue;
        }
        work.fill(fresh, async || Ok(position)).await?;
        let mut snapshot = store.pool().begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        sqlx::query("SELECT count(*) FROM views.checkpoints").execute(&mut *snapshot).await?;
        holding.rollback().await?;
        // A big table takes longer than a request may.
        sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *snapshot).await?;
        return told(&mut snapshot, Generation::of(&model, number), fresh, position).await;
    }
}

async fn told(
    snapshot: &mut PgTransaction<'_>,
    live: Generation,
    fresh: Generation,
    position: u64,
) -> Result<Verdict, RebuildError> {
    let documents: i64 =
        sqlx::query_scalar(&format!("SELECT count(*) FROM {fresh}")).fetch_one(&mut **snapshot).await?;
    let mut verdict = Verdict {
        generation: live.number,
        position,
        documents: documents.unsigned_abs(),
        differing: 0,
        differences: Vec::new(),
    };
    let rows = sqlx::query(&format!(
        "SELECT key, l.key IS NULL AS missing, f.key IS NULL AS surplus, l.document IS DISTINCT FROM f.document AS document,
                l.versions IS DISTINCT FROM f.versions AS versions, l.position IS DISTINCT FROM f.position AS position,
                count(*) OVER () AS differing
         FROM {live} l FULL JOIN {fresh} f USING (key)
         WHERE (l.document, l.versions, l.position) IS DISTINCT FROM (f.document, f.versions, f.position)
         ORDER BY key LIMIT $1"
    ))
    .bind(TOLD)
    .fetch_all(&mut **snapshot)
    .await?;
    verdict.count(rows.first())?;
    for row in rows {
        let what = if row.try_get("missing")? {
            "is missing".to_owned()
        } else if row.try_get("surplus")? {
            "should not be there".to_owned()
        } else {
            let mut parts = Vec::new();
            for part in ["document", "versions", "position"] {
                if row.try_get(part)? {
                    parts.push(part);
                }
            }
            format!("differs in {}", parts.join(", "))
        };
        let place = format!("document {}", row.try_get::<Uuid, _>("key")?);
        verdict.differences.push(Difference { place, what });
    }
    lists(snapshot, live, fresh, &mut verdict).await?;
    parked(snapshot, live, fresh, &mut verdict).await?;
    Ok(verdict)
}

async fn lists(
    snapshot: &mut PgTransaction<'_>,
    live: Generation,
    fresh: Generation,
    verdict: &mut Verdict,
) -> Result<(), RebuildError> {
    let rows = sqlx::query(
        "WITH of AS (SELECT owner_id, position, generation FROM views.list_positions WHERE name = $1 AND version = $2)
         SELECT owner_id, coalesce(l.position, 0) AS stored, coalesce(f.position, 0) AS folded,
                count(*) OVER () AS differing
         FROM (SELECT * FROM of WHERE generation = $3) l FULL JOIN (SELECT * FROM of WHERE generation = $4) f
              USING (owner_id)
         WHERE l.position IS DISTINCT FROM f.position ORDER BY owner_id LIMIT $5",
    )
    .bind(live.name)
    .bind(live.version)
    .bind(live.number)
    .bind(fresh.number)
    .bind(TOLD)
    .fetch_all(&mut **snapshot)
    .await?;
    verdict.count(rows.first())?;
    for row in rows {
        let (stored, folded): (i64, i64) = (row.try_get("stored")?, row.try_get("folded")?);
        verdict.differences.push(Difference {
            place: format!("list of account {}", row.try_get::<Uuid, _>("owner_id")?),
            what: format!("is at position {stored} instead of {folded}"),
        });
    }
    Ok(())
}

async fn parked(
    snapshot: &mut PgTransaction<'_>,
    live: Generation,
    fresh: Generation,
    verdict: &mut Verdict,
) -> Result<(), RebuildError> {
    let rows = sqlx::query(
        "WITH of AS (SELECT aggregate_type, aggregate_id, from_sequence, generation
                     FROM views.parked WHERE name = $1 AND version = $2)
         SELECT aggregate_type, aggregate_id, l.from_sequence AS stored, f.from_sequence AS folded,
                count(*) OVER () AS differing
         FROM (SELECT * FROM of WHERE generation = $3) l FULL JOIN (SELECT * FROM of WHERE generation = $4) f
              USING (aggregate_type, aggregate_id)
         WHERE l.from_sequence IS DISTINCT FROM f.from_sequence ORDER BY aggregate_type, aggregate_id LIMIT $5",
    )
    .bind(live.name)
    .bind(live.version)
    .bind(live.number)
    .bind(fresh.number)
    .bind(TOLD)
    .fetch_all(&mut **snapshot)
    .await?;
    verdict.count(rows.first())?;
    for row in rows {
        let what = match (row.try_get::<Option<i64>, _>("stored")?, row.try_get::<Option<i64>, _>("folded")?) {
            (Some(stored), None) => format!("is parked from event {stored}, but can be folded: retry"),
            (Some(stored), Some(folded)) => format!("is parked from event {stored} instead of {folded}"),
            (None, Some(folded)) => format!("is followed, but cannot be folded from event {folded} on"),
            (None, None) => continue,
        };
        let (kind, id): (String, String) = (row.try_get("aggregate_type")?, row.try_get("aggregate_id")?);
        verdict.differences.push(Difference { place: format!("stream {kind}/{id}"), what });
    }
    Ok(())
}

impl Verdict {
    fn count(&mut self, first: Option<&sqlx::postgres::PgRow>) -> Result<(), sqlx::Error> {
        let differing: i64 = first.map(|row| row.try_get("differing")).transpose()?.unwrap_or(0);
        self.differing += differing.unsigned_abs();
        Ok(())
    }
}
