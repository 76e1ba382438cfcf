//! Generations: a document version may have several tables, of which one is read and the others are built or kept.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{PgConnection, PgExecutor, Row as _};
use tokio::time::Instant;

use crate::batch::Model;
use crate::runner::LIVE;
use crate::{ReadModel, ViewError};

/// How long reads go by the same look at what is live. The generation that a swap took away is fed on, so that an answer
/// from it is as right as any.
const LOOKED_FOR: Duration = Duration::from_millis(500);

/// One filling of a model's table, under one version of its documents. Shown, it is the name of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) name: &'static str,
    pub(crate) version: i32,
    /// From 1, which is the table that a migration made.
    pub(crate) number: i32,
}

impl Generation {
    pub(crate) const fn of(model: &Model, number: i32) -> Self {
        Self { name: model.name, version: model.version, number }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "views.{}_v{}", self.name, self.version)?;
        if 1 < self.number { write!(f, "_g{}", self.number) } else { Ok(()) }
    }
}

/// A generation whose checkpoint this transaction holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) model: Model,
    pub(crate) generation: Generation,
    /// Everything up to this ledger position is contained.
    pub(crate) position: u64,
    /// Whether it is the one that is read.
    pub(crate) live: bool,
}

/// What part of a transaction's checkpoints to lock, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lock {
    /// All that the runner feeds and that nobody else holds.
    Free,
    /// All of one model, waiting for whoever holds one.
    All,
}

/// Locks checkpoints of these models, in their one order. What a newer or older release keeps is left to it.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    models: &[Model],
    lock: Lock,
) -> Result<Vec<Held>, sqlx::Error> {
    let (condition, how) = match lock {
        Lock::Free => ("AND filled", "SKIP LOCKED"),
        Lock::All => ("", ""),
    };
    let rows = sqlx::query(&format!(
        "SELECT name, version, generation, position, live FROM views.checkpoints
         WHERE (name, version) IN ({}) {condition} ORDER BY name, version, generation FOR UPDATE {how}",
        versions(models)
    ))
    .fetch_all(connection)
    .await?;
    let mut held = Vec::with_capacity(rows.len());
    for row in rows {
        let name: String = row.try_get("name")?;
        if let Some(model) = models.iter().find(|model| model.name == name) {
            held.push(Held {
                model: *model,
                generation: Generation::of(model, row.try_get("generation")?),
                position: crate::documents::position(&row, "position")?,
                live: row.try_get("live")?,
            });
        }
    }
    Ok(held)
}

/// A list for `IN`: names and versions, which are constants of ours.
pub(crate) fn versions(models: &[Model]) -> String {
    let named = models.iter().map(|model| format!("('{}', {})", model.name, model.version));
    named.collect::<Vec<_>>().join(", ")
}

/// Which generation of each model is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tables(BTreeMap<&'static str, i32>);

impl Tables {
    /// Looks up what is read.
    ///
    /// # Errors
    ///
    /// [`ViewError::NotBuilt`] if a model has no generation that is read, under the version that this release knows.
    pub(crate) async fn look(executor: impl PgExecutor<'_>) -> Result<Self, ViewError> {
        let rows: Vec<(String, i32)> = sqlx::query_as(&format!(
            "SELECT name, generation FROM views.checkpoints WHERE live AND (name, version) IN ({})",
            versions(&LIVE)
        ))
        .fetch_all(executor)
        .await?;
        let mut live = BTreeMap::new();
        for model in &LIVE {
            let number = rows.iter().find(|(name, _)| name == model.name).map(|(_, number)| *number);
            live.insert(model.name, number.ok_or(ViewError::NotBuilt(model.name))?);
        }
        Ok(Self(live))
    }

    /// The generation of a model that is read.
    pub(crate) fn of<M: ReadModel>(&self) -> Generation {
        self.live(&Model::of::<M>())
    }

    fn live(&self, model: &Model) -> Generation {
        Generation::of(model, self.0.get(model.name).copied().unwrap_or(1))
    }

    /// A list for `IN`: names, versions and generations.
    pub(crate) fn names(&self, models: &[Model]) -> String {
        let named =
            models.iter().map(|model| self.live(model)).map(|g| format!("('{}', {}, {})", g.name, g.version, g.number));
        named.collect::<Vec<_>>().join(", ")
    }

    /// An expression: the position up to which all these models contain everything; NULL if one of the tables is gone.
    pub(crate) fn checkpoint(&self, models: &[Model]) -> String {
        format!(
            "(SELECT CASE WHEN count(*) = {} THEN min(c.position) END FROM views.checkpoints c
              WHERE (c.name, c.version, c.generation) IN ({}))",
            models.len(),
            self.names(models)
        )
    }
}

/// What the last look found, for all clones of the queries.
#[derive(Debug, Default)]
pub(crate) struct Known {
    found: Mutex<Option<(Instant, Arc<Tables>)>>,
    looking: tokio::sync::Mutex<()>,
}

impl Known {
    /// The tables to read, as they were half a second ago at most, unless somebody is looking just now.
    pub(crate) async fn tables(&self, executor: impl PgExecutor<'_>) -> Result<Arc<Tables>, ViewError> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match found {
            Some((at, tables)) if at.elapsed() < LOOKED_FOR => Ok(tables),
            Some((_, tables)) => match self.looking.try_lock() {
                Ok(_looking) => self.look(executor).await,
                Err(_) => Ok(tables),
            },
            None => self.look(executor).await,
        }
    }

    /// Looks now.
    pub(crate) async fn look(&self, executor: impl PgExecutor<'_>) -> Result<Arc<Tables>, ViewError> {
        let tables = Arc::new(Tables::look(executor).await?);
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&tables)));
        Ok(tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_generation_of_every_model_lies_in_the_table_that_the_model_names() {
        for model in LIVE {
            assert_eq!(Generation::of(&model, 1).to_string(), model.table);
            assert_eq!(Generation::of(&model, 12).to_string(), format!("{}_g12", model.table));
        }
    }
}
