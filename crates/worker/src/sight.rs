//! What the bus has seen of the ledger: more than the database holds, or something else, if an older backup was restored.

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use eventstore::Store;
use futures::TryStreamExt as _;
use uuid::Uuid;

use crate::bus::{Bus, BusError, Envelope};

/// Up to where one life of a store has been published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Which life.
    pub epoch: u32,
    /// The last position that was published; where nothing was yet, the one before the first that will be.
    pub position: u64,
    /// The event there, if its message is still kept.
    pub event: Option<Uuid>,
}

impl Bus {
    /// What the bus has seen of this store, the latest epoch last; nothing of a store that it does not know.
    ///
    /// # Errors
    ///
    /// [`BusError`] if there is no connection or JetStream does not answer.
    pub async fn sights(&self) -> Result<Vec<Sight>, BusError> {
        let names: Vec<String> = self.context().stream_names().try_collect().await.map_err(BusError::jetstream)?;
        let mut epochs: Vec<u32> = names.iter().filter_map(|name| self.epoch_of(name)).collect();
        epochs.sort_unstable();
        let mut sights = Vec::with_capacity(epochs.len());
        for epoch in epochs {
            let stream = self.context().get_stream(self.name_in(epoch)).await.map_err(BusError::jetstream)?;
            sights.push(sight(&stream, epoch).await?);
        }
        Ok(sights)
    }
}

/// What a stream holds last.
pub(crate) async fn sight(stream: &Stream, epoch: u32) -> Result<Sight, BusError> {
    let state = &stream.cached_info().state;
    let position = state.last_sequence;
    if state.messages == 0 {
        return Ok(Sight { epoch, position, event: None });
    }
    let event = match stream.get_raw_message(position).await {
        Ok(message) => serde_json::from_slice::<Envelope>(&message.payload).ok().map(|envelope| envelope.event_id),
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => None,
        Err(error) => return Err(BusError::jetstream(error)),
    };
    Ok(Sight { epoch, position, event })
}

impl Sight {
    /// Whether the ledger of `store` cannot be the one that was seen: it is in an earlier epoch or, in the same one, ends
    /// before this position or has another event there.
    ///
    /// # Errors
    ///
    /// [`BusError::Database`] if the database fails.
    pub async fn contradicts(&self, store: &Store) -> Result<bool, BusError> {
        if self.epoch != store.epoch() {
            return Ok(store.epoch() < self.epoch);
        }
        if self.position == 0 {
            return Ok(false);
        }
        let there: Option<Uuid> = sqlx::query_scalar("SELECT event_id FROM es.ledger WHERE position = $1")
            .bind(self.position.cast_signed())
            .fetch_optional(store.pool())
            .await
            .map_err(BusError::database)?;
        Ok(there.is_none_or(|there| self.event.is_some_and(|seen| seen != there)))
    }
}
