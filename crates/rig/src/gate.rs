//! A gate in the database, at which a server stands still between two of its events.
//!
//! A trigger makes the insertion of one kind of row wait for a lock that the test holds. So a test can end the server at
//! exactly that point, without a build of its own.

use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::PATIENCE;
use crate::site::Site;

/// The lock's first number; it has no meaning but to be ours.
const LOCK: i32 = 7_001;

/// Where a server is to stand still.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// Before the first event that says that this stage is reached, and so right after the stage before it.
    Reaching(&'static str),
    /// Before this event of a proposal.
    Event(&'static str),
    /// Before this event gets its position: it is stored already.
    Numbering(&'static str),
}

/// A closed gate.
pub struct Gate {
    holder: PgConnection,
}

impl Gate {
    /// Closes a gate at this place.
    pub async fn close(site: &Site, place: Place) -> Self {
        let (table, condition) = match place {
            Place::Reaching(stage) => {
                ("es.events", format!("NEW.event_type = 'stage-reached' AND NEW.payload ->> 'stage' = '{stage}'"))
            }
            Place::Event(event) => ("es.events", format!("NEW.event_type = '{event}'")),
            Place::Numbering(event) => ("es.ledger", format!("NEW.event_type = '{event}'")),
        };
        let mut holder = PgConnection::connect(site.setting("DATABASE_URL")).await.unwrap();
        let install = format!(
            "SELECT pg_advisory_lock({LOCK}, 1);
             CREATE FUNCTION public.gate() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 PERFORM pg_advisory_xact_lock_shared({LOCK}, 1);
                 RETURN NEW;
             END $$;
             CREATE TRIGGER gate BEFORE INSERT ON {table} FOR EACH ROW WHEN ({condition})
                 EXECUTE FUNCTION public.gate();"
        );
        sqlx::raw_sql(&install).execute(&mut holder).await.expect("a superuser may add a trigger");
        Self { holder }
    }

    /// Waits until somebody stands before the gate.
    pub async fn reached(&mut self) {
        testkit::wait_until(PATIENCE, async || (!waiting(&mut self.holder).await.is_empty()).then_some(())).await;
    }

    /// Opens the gate: what stood before it goes on, also for a client that is gone.
    pub async fn open(mut self) {
        self.holder.execute(format!("SELECT pg_advisory_unlock({LOCK}, 1)").as_str()).await.unwrap();
    }

    /// Sends away whoever stands before the gate, so that nothing of theirs is stored, and opens it for others.
    pub async fn turn_away_and_open(mut self) {
        let sent = testkit::wait_until(PATIENCE, async || {
            let waiting = waiting(&mut self.holder).await;
            for process in &waiting {
                sqlx::query("SELECT pg_terminate_backend($1)").bind(process).execute(&mut self.holder).await.unwrap();
            }
            waiting.is_empty().then_some(())
        });
        sent.await;
        self.open().await;
    }
}

async fn waiting(connection: &mut PgConnection) -> Vec<i32> {
    sqlx::query_scalar(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = $1::int::oid AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .bind(LOCK)
    .fetch_all(connection)
    .await
    .unwrap()
}
