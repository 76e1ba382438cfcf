//! The links of the chain as they stand in the tables, read as fast as PostgreSQL gives them.
//!
//! In the binary format of `COPY` every field is its length in four bytes and then its bytes, integers and times as
//! eight bytes. That is what the digest covers, to the byte, so nothing is decoded: the fields of a row are hashed where
//! they lie.

use futures::TryStreamExt as _;
use sha2::{Digest, Sha256};
use sqlx::{Executor as _, PgConnection};

use super::{GENESIS, RULES};
use crate::evidence::Hash;

/// A row of the ledger with its event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawLink {
    /// Its position.
    pub position: u64,
    /// The link as it is stored.
    pub hash: Hash,
    /// Whether the ledger says the same of the event as the event itself.
    pub same: bool,
    /// The digest of the event at this position, computed.
    pub digest: Hash,
}

/// Begins a result in binary format: eleven bytes of signature, four of flags, four with the length of what follows.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEADER: usize = SIGNATURE.len() + 8;
/// Stands where the number of fields would, after the last row.
const END: [u8; 2] = [0xff; 2];
/// Only walks over indexes stay right while the tables grow; the planner would read all events for a part of them.
const PLAN: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
                    SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off";

/// Hands the links from one position to another to `each`, in order, without those that have no event. The connection
/// must be in a transaction, for the rest of which the plan is set.
pub(crate) async fn read(
    connection: &mut PgConnection,
    from: u64,
    to: u64,
    mut each: impl FnMut(RawLink),
) -> Result<(), sqlx::Error> {
    let (from, to) = (from.min(i64::MAX.unsigned_abs()), to.min(i64::MAX.unsigned_abs()));
    // COPY takes no parameters; these are numbers.
    let copy = format!(
        "COPY (SELECT l.hash, l.event_id = e.event_id AND l.event_type = e.event_type AND l.actor_id = e.actor_id
                          AND l.insert_order = e.insert_order,
                      l.position, l.ledger_time, e.aggregate_type, e.aggregate_id, e.sequence, e.event_type,
                      e.event_version, e.payload, e.metadata, e.insert_order, e.event_id, e.recorded_at, e.actor_id
               FROM es.ledger l JOIN es.events e USING (aggregate_type, aggregate_id, sequence)
               WHERE l.position >= {from} AND l.position <= {to} ORDER BY l.position) TO STDOUT (FORMAT binary)"
    );
    connection.execute(PLAN).await?;
    let mut rules = Sha256::new();
    rules.update((RULES.len() as u32).to_be_bytes());
    rules.update(RULES);
    let mut parser = Parser { rules, begun: false };
    let mut chunks = connection.copy_out_raw(&copy).await?;
    while let Some(chunk) = chunks.try_next().await? {
        parser.rows(&chunk, &mut each).ok_or_else(|| sqlx::Error::Protocol("not a binary copy".to_owned()))?;
    }
    Ok(())
}

struct Parser {
    /// What every digest begins with, hashed once.
    rules: Sha256,
    begun: bool,
}

impl Parser {
    /// Reads a chunk, which holds whole rows: PostgreSQL sends each in a message of its own. `None` if it does not.
    fn rows(&mut self, chunk: &[u8], each: &mut impl FnMut(RawLink)) -> Option<()> {
        let mut rest = chunk;
        if !self.begun {
            rest = rest.strip_prefix(SIGNATURE)?.get(HEADER - SIGNATURE.len()..)?;
            self.begun = true;
        }
        while !rest.is_empty() {
            let fields = rest.split_off(..2)?;
            if fields == END {
                return rest.is_empty().then_some(());
            }
            let hash = field(&mut rest)?;
            let same = field(&mut rest)?;
            let event = rest;
            let position = field(&mut rest)?;
            for _ in 3..u16::from_be_bytes(fields.try_into().ok()?) {
                field(&mut rest)?;
            }
            let event = &event[..event.len() - rest.len()];
            each(RawLink {
                position: u64::from_be_bytes(position.try_into().ok()?),
                // The table admits 32 bytes only; no link is zeros.
                hash: hash.try_into().unwrap_or(GENESIS),
                same: same == [1],
                digest: self.rules.clone().chain_update(event).finalize().into(),
            });
        }
        Some(())
    }
}

/// Takes a field off; a null has the length −1 and no bytes.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = i32::from_be_bytes(rest.split_off(..4)?.try_into().ok()?);
    rest.split_off(..usize::try_from(length).unwrap_or(0))
}
