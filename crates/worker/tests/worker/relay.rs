//! The relay: the stream's sequence is the ledger's position, whatever happens to either.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, StorageType};
use chrono::TimeDelta;
use domain::AccountId;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use worker::{Bus, BusStatus};

use crate::world::{PATIENCE, World, offline};

/// What a test sees of the stream of a store.
pub struct Stream {
    pub context: jetstream::Context,
    pub name: String,
}

impl Stream {
    pub async fn of(world: &World) -> Self {
        let context = jetstream::new(testkit::nats().await);
        let name = format!("allegiant-{}-{}", world.store.store_id().simple(), world.store.epoch());
        Self { context, name }
    }

    pub async fn state(&self) -> Option<jetstream::stream::State> {
        let mut stream = self.context.get_stream(&self.name).await.ok()?;
        Some(stream.info().await.unwrap().state.clone())
    }

    /// Waits until the last message has this sequence.
    pub async fn reaches(&self, sequence: u64) {
        testkit::wait_until(PATIENCE, async || {
            self.state().await.filter(|state| state.last_sequence == sequence).map(drop)
        })
        .await;
    }

    pub async fn remove(&self) {
        self.context.delete_stream(&self.name).await.unwrap();
    }

    pub async fn message(&self, sequence: u64) -> (String, Value) {
        let stream = self.context.get_stream(&self.name).await.unwrap();
        let message = stream.get_raw_message(sequence).await.unwrap();
        (message.subject.to_string(), serde_json::from_slice(&message.payload).unwrap())
    }

    /// Checks that the messages from `first` on are the ledger, row by row.
    pub async fn equals_ledger(&self, world: &World, first: u64) {
        let head = world.settled().await;
        self.reaches(head).await;
        let state = self.state().await.unwrap();
        assert_eq!((state.first_sequence, state.messages), (first, head + 1 - first));
        for row in world.store.ledger(first - 1, 10_000).await.unwrap() {
            let (subject, envelope) = self.message(row.position).await;
            assert_eq!(subject, format!("{}.{}.{}", self.name, row.aggregate_type, row.event_type));
            let expected = json!({
                "position": row.position,
                "streamType": row.aggregate_type,
                "streamId": row.aggregate_id,
                "eventType": row.event_type,
                "eventId": row.event_id,
            });
            assert_eq!(envelope, expected, "where to find the event, and nothing of what it holds");
        }
    }
}

pub fn relay(world: &World, bus: &Bus) -> DropGuard {
    let cancel = CancellationToken::new();
    tokio::spawn(worker::relay::run(world.store.clone(), bus.clone(), cancel.clone()));
    cancel.drop_guard()
}

async fn events(world: &World, projects: usize) {
    let owner = AccountId::generate();
    for _ in 0..projects {
        world.project(owner, &json!({"notes": "planted remark"})).await;
    }
}

async fn shows(bus: &Bus, status: BusStatus) {
    testkit::wait_until(PATIENCE, async || (bus.status() == status).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_ledger_is_the_message_of_its_position() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    assert_eq!(bus.status(), BusStatus::Unknown);
    let _relay = relay(&world, &bus);
    events(&world, 3).await;
    world.ask().await;
    stream.equals_ledger(&world, 1).await;
    assert_eq!(bus.status(), BusStatus::Up);
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_at_once_publish_nothing_twice_and_leave_no_gap() {
    let world = World::new().await;
    let stream = Stream::of(&world).await;
    let (one, two) = (world.bus().await, world.bus().await);
    let _relays = [relay(&world, &one), relay(&world, &two)];
    futures::future::join_all((0..8).map(|_| events(&world, 10))).await;
    stream.equals_ledger(&world, 1).await;
    shows(&one, BusStatus::Up).await;
    shows(&two, BusStatus::Up).await;
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_takes_over_where_another_one_stopped_however_far_the_ledger_went_on() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    let first = relay(&world, &bus);
    events(&world, 1).await;
    stream.equals_ledger(&world, 1).await;
    drop(first);
    // More than one batch, and nothing unfinished that would name a place to begin.
    events(&world, 300).await;
    let _second = relay(&world, &bus);
    stream.equals_ledger(&world, 1).await;
    events(&world, 1).await;
    stream.equals_ledger(&world, 1).await;
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_lost_begins_anew_at_the_oldest_unfinished_generation() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    let _relay = relay(&world, &bus);
    events(&world, 2).await;
    let ended = world.ask().await;
    let unfinished = world.ask().await;
    let last = world.ask().await;
    world.cancel(ended).await;
    world.cancel(last).await;
    stream.equals_ledger(&world, 1).await;
    let requested = world.store.position_of(unfinished.proposal.into(), 1).await.unwrap().unwrap();
    assert!(requested > 1);
    // While the relay runs, with nothing to publish: it has to notice by itself.
    stream.remove().await;
    stream.equals_ledger(&world, requested).await;
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_unfinished_generation_a_new_stream_begins_after_the_ledgers_head() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    events(&world, 2).await;
    let head = world.settled().await;
    let _relay = relay(&world, &bus);
    stream.reaches(head).await;
    events(&world, 1).await;
    stream.equals_ledger(&world, head + 1).await;
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_grew_too_old_leave_the_sequence_as_it_is() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    let relay_before = relay(&world, &bus);
    events(&world, 2).await;
    let head = world.settled().await;
    stream.reaches(head).await;
    stream.context.get_stream(&stream.name).await.unwrap().purge().await.unwrap();
    events(&world, 1).await;
    stream.equals_ledger(&world, head + 1).await;
    // The same for a relay that takes its place from an empty stream.
    let head = world.settled().await;
    stream.context.get_stream(&stream.name).await.unwrap().purge().await.unwrap();
    drop(relay_before);
    let _relay = relay(&world, &bus);
    events(&world, 1).await;
    stream.equals_ledger(&world, head + 1).await;
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ahead_of_the_ledger_is_refused() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    events(&world, 1).await;
    let newer = Config {
        name: stream.name.clone(),
        subjects: vec![format!("{}.>", stream.name)],
        storage: StorageType::File,
        first_sequence: Some(1000),
        ..Config::default()
    };
    stream.context.create_stream(newer).await.unwrap();
    let _relay = relay(&world, &bus);
    shows(&bus, BusStatus::AheadOfLedger).await;
    events(&world, 5).await;
    world.settled().await;
    assert_eq!(stream.state().await.unwrap().messages, 0, "nothing is published");
    assert_eq!(bus.status(), BusStatus::AheadOfLedger);
    // The operator clears it away.
    stream.remove().await;
    shows(&bus, BusStatus::Up).await;
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_ledger_is_refused_although_it_is_no_longer_ahead() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    assert_eq!(bus.sights().await.unwrap(), []);
    let relay_before = relay(&world, &bus);
    events(&world, 2).await;
    let head = world.settled().await;
    stream.reaches(head).await;
    drop(relay_before);
    let seen = bus.sights().await.unwrap();
    assert_eq!((seen.len(), seen[0].epoch, seen[0].position), (1, 1, head));
    assert!(!seen[0].contradicts(&world.store).await.unwrap());

    // The same store, as an older backup has it that went on without the bus.
    let restored = World::with_identity(world.store.store_id()).await;
    assert!(seen[0].contradicts(&restored.store).await.unwrap(), "its ledger is empty");
    events(&restored, 4).await;
    restored.settled().await;
    assert!(seen[0].contradicts(&restored.store).await.unwrap(), "another event is there");
    let other_bus = restored.bus().await;
    let _relay = relay(&restored, &other_bus);
    shows(&other_bus, BusStatus::AheadOfLedger).await;
    assert_eq!(stream.state().await.unwrap().last_sequence, head, "nothing is published");

    // What is too old to be kept cannot be compared; a later epoch is newer whatever it holds.
    let unknown = worker::Sight { event: None, ..seen[0] };
    assert!(!unknown.contradicts(&restored.store).await.unwrap());
    let later = worker::Sight { epoch: 2, position: 0, event: None };
    assert!(later.contradicts(&world.store).await.unwrap());
    stream.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_consumer_is_brought_to_the_configuration_of_this_release() {
    let world = World::new().await;
    let (stream, bus) = (Stream::of(&world).await, world.bus().await);
    let _relay = relay(&world, &bus);
    let handle = bus.stream(1).await.unwrap();
    let older = jetstream::consumer::pull::Config {
        durable_name: Some("generations".to_owned()),
        filter_subject: bus.subject("proposal", "something-else"),
        ack_wait: Duration::from_secs(300),
        ..jetstream::consumer::pull::Config::default()
    };
    handle.create_consumer(older).await.unwrap();
    let worker = world.worker(&offline(), 1, Duration::from_secs(6));
    worker.consume(&bus);
    let asked = world.ask_for(&crate::world::dairy(), TimeDelta::minutes(5)).await;
    world.assert_straight(asked).await;
    stream.remove().await;
}
