//! The consumer: a durable pull consumer for the events that begin a job.

use std::convert::Infallible;
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use domain::ProposalId;
use futures::StreamExt as _;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bus::{ACK_WAIT, Bus, BusError, Envelope};
use crate::process::{Generations, Worked};

/// The consumer's durable name.
const DURABLE: &str = "generations";
/// The events that begin a job.
const EVENTS: [&str; 1] = ["generation-requested"];
/// How long one request for a message waits.
const FETCH: Duration = Duration::from_secs(5);
/// How long an acknowledgement may take; without one the message comes again, and finds its job ended.
const ACKNOWLEDGE: Duration = Duration::from_secs(2);
/// The first pause after an error; it doubles up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Consumes until `cancel`. Errors are followed by another try: the sweep does the work meanwhile.
pub async fn run(generations: Generations, bus: Bus, cancel: CancellationToken) {
    let messages = TaskTracker::new();
    let mut pause = MIN_PAUSE;
    loop {
        let began = Instant::now();
        let consuming = cancel.run_until_cancelled(consume(&generations, &bus, &messages));
        let Some(Err(error)) = consuming.await else { break };
        if began.elapsed() > FETCH {
            pause = MIN_PAUSE;
        }
        tracing::debug!(error = &error as &dyn std::error::Error, "the consumer stopped, it will try again");
        if cancel.run_until_cancelled(sleep(pause)).await.is_none() {
            break;
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
    // Their jobs stop with `cancel`; what is left to do is to say so.
    messages.close();
    messages.wait().await;
}

async fn consume(generations: &Generations, bus: &Bus, messages: &TaskTracker) -> Result<Infallible, BusError> {
    let consumer = bus.consumer(DURABLE, &EVENTS).await?;
    loop {
        // A message that waits here for a place would keep it from workers that have one: take one at a time, and none
        // without a place.
        generations.free_place().await;
        let asked = Instant::now();
        let pull = consumer.batch().max_messages(1).expires(FETCH).messages().await;
        match pull.map_err(BusError::jetstream)?.next().await {
            Some(message) => receive(generations, message.map_err(BusError::JetStream)?, messages).await,
            None if asked.elapsed() < MIN_PAUSE => sleep(MIN_PAUSE).await,
            None => (),
        }
    }
}

/// Begins what the message is about.
async fn receive(generations: &Generations, message: Message, messages: &TaskTracker) {
    let envelope = serde_json::from_slice::<Envelope>(&message.payload).ok();
    let Some(proposal) = envelope.and_then(|envelope| envelope.stream_id.parse().ok()).map(ProposalId::from_uuid)
    else {
        tracing::error!(nats.subject = %message.subject, "a message names no proposal");
        return acknowledge(&message, AckKind::Term).await;
    };
    match generations.start(proposal) {
        Some(work) => _ = messages.spawn(follow(message, work)),
        // The sweep was faster and took the place.
        None => acknowledge(&message, AckKind::Nak(Some(MIN_PAUSE))).await,
    }
}

/// Tells the server that the work goes on, and acknowledges when the job has ended or somebody else has it.
async fn follow(message: Message, mut work: JoinHandle<Worked>) {
    let mut progress = tokio::time::interval_at(Instant::now() + ACK_WAIT / 3, ACK_WAIT / 3);
    let worked = loop {
        tokio::select! {
            worked = &mut work => break worked.unwrap_or(Worked::Later),
            _ = progress.tick() => acknowledge(&message, AckKind::Progress).await,
        }
    };
    let kind = match worked {
        Worked::Done => AckKind::Ack,
        Worked::Later => AckKind::Nak(Some(MAX_PAUSE)),
    };
    acknowledge(&message, kind).await;
}

async fn acknowledge(message: &Message, kind: AckKind) {
    let acknowledged = async {
        match kind {
            AckKind::Ack => message.double_ack().await,
            AckKind::Nak(_) | AckKind::Progress | AckKind::Next | AckKind::Term => message.ack_with(kind).await,
        }
    };
    match timeout(ACKNOWLEDGE, acknowledged).await {
        Ok(Ok(())) => (),
        Ok(Err(error)) => tracing::debug!(%error, "an acknowledgement was lost, the message will come again"),
        Err(_) => tracing::debug!("an acknowledgement took too long, the message may come again"),
    }
}
