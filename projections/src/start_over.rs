//! Read models that hold what no longer happened, or was erased, and are filled again from the first event.

use sqlx::PgExecutor;

/// Empties the read models whose checkpoints are above `position`, all of them without one, and returns how many there
/// were. The runner fills them again; until then reads find what there is, and say up to which position.
///
/// # Errors
///
/// What the database answers.
pub async fn start_over(executor: impl PgExecutor<'_>, position: Option<u64>) -> Result<u32, sqlx::Error> {
    let above = position.map_or(-1, u64::cast_signed);
    let emptied: i32 = sqlx::query_scalar("SELECT views.start_over($1)").bind(above).fetch_one(executor).await?;
    Ok(emptied.unsigned_abs())
}
