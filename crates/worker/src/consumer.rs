//! The consumer: a durable pull consumer for the events that begin a job.

use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use domain::ProposalId;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::bus::{ACK_WAIT, Bus, BusError, Envelope};
use crate::process::Generations;

/// The consumer's durable name.
const DURABLE: &str = "generations";
/// The events that begin a job.
const EVENTS: [&str; 1] = ["generation-requested"];
/// How long one request for messages waits.
const FETCH: Duration = Duration::from_secs(5);
const MIN_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Consumes until `cancel`. Errors are followed by another try: the sweep does the work meanwhile.
pub async fn run(generations: Generations, bus: Bus, cancel: CancellationToken) {
    let mut pause = MIN_PAUSE;
    while !cancel.is_cancelled() {
        match consume(&generations, &bus, &cancel).await {
            Ok(()) => pause = MIN_PAUSE,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "the consumer stopped, it will try again");
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_PAUSE),
                }
            }
        }
    }
}

async fn consume(generations: &Generations, bus: &Bus, cancel: &CancellationToken) -> Result<(), BusError> {
    let consumer = bus.consumer(DURABLE, &EVENTS).await?;
    while !cancel.is_cancelled() {
        // Messages that wait in a buffer here would use up their time to be acknowledged: never pull more than can run.
        let Some(places) = generations.free_places(cancel).await else { return Ok(()) };
        let fetched = consumer.fetch().max_messages(places).expires(FETCH).messages().await;
        let mut messages = fetched.map_err(BusError::jetstream)?;
        loop {
            let next = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                next = messages.next() => next,
            };
            let Some(message) = next else { break };
            let message = message.map_err(BusError::JetStream)?;
            tokio::spawn(handle(generations.clone(), message));
        }
    }
    Ok(())
}

/// Works at the job while telling the server so; acknowledges when the job has ended or somebody else has it.
async fn handle(generations: Generations, message: Message) {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&message.payload) else {
        tracing::error!(nats.subject = %message.subject, "a message is no envelope");
        return acknowledge(&message, AckKind::Term).await;
    };
    let proposal = ProposalId::from_uuid(envelope.stream_id);
    let mut work = std::pin::pin!(generations.work_at(proposal));
    let mut progress = tokio::time::interval(ACK_WAIT / 3);
    progress.tick().await;
    let ended = loop {
        tokio::select! {
            ended = &mut work => break ended,
            _ = progress.tick() => acknowledge(&message, AckKind::Progress).await,
        }
    };
    if ended {
        acknowledge(&message, AckKind::Ack).await;
    } else {
        acknowledge(&message, AckKind::Nak(Some(MAX_PAUSE))).await;
    }
}

async fn acknowledge(message: &Message, kind: AckKind) {
    let done = match kind {
        AckKind::Ack => message.double_ack().await,
        AckKind::Nak(_) | AckKind::Progress | AckKind::Next | AckKind::Term => message.ack_with(kind).await,
    };
    if let Err(error) = done {
        tracing::debug!(error = %error, "an acknowledgement was lost, the message will come again");
    }
}
