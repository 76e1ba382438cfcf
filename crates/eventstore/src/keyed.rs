//! Commands that were given with an idempotency key: no two attempts at the same one run at the same time, neither in this
//! process nor in two.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// The ones that this process is carrying out. Whoever repeats one learns that without a connection to the database.
#[derive(Clone, Default)]
pub(crate) struct Keyed(Arc<Mutex<HashSet<Uuid>>>);

/// The turn of one command. Ends when dropped.
pub(crate) struct Turn {
    keyed: Keyed,
    command: Uuid,
}

impl Keyed {
    /// The turn of this command; `None` if it is being carried out.
    pub(crate) fn enter(&self, command: Uuid) -> Option<Turn> {
        self.running().insert(command).then(|| Turn { keyed: self.clone(), command })
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.keyed.running().remove(&self.command);
    }
}

/// Takes the command's turn among all processes, until the end of the transaction; false if another one has it.
pub(crate) async fn claim(connection: &mut PgConnection, command: Uuid) -> Result<bool, StoreError> {
    let claimed = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended('command:' || $1::text, 0))")
        .bind(command)
        .fetch_one(connection)
        .await?;
    Ok(claimed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_carried_out_once_at_a_time() {
        let keyed = Keyed::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let turn = keyed.enter(one).unwrap();
        assert!(keyed.enter(one).is_none());
        assert!(keyed.enter(other).is_some());
        drop(turn);
        assert!(keyed.enter(one).is_some());
        assert!(keyed.running().is_empty(), "a turn that is not used ends at once");
    }
}
