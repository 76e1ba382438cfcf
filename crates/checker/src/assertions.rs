//! What must hold afterwards: of any store, and of any store together with what its clients were told.
//!
//! The functions over a [`Trail`] are pure, so that a test can hand them a store that is broken in just one way.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use eventstore::{Store, StoreError};
use projections::RebuildError;

use crate::history::{Command, History, LackingRead, Verdict};
use crate::models;
use crate::trail::{Event, Place, Trail};
use crate::violation::Violation;

/// How long a read waits for its account's writes, in the server. A client measures at least that.
pub const PATIENCE_OF_READS: Duration = Duration::from_secs(2);

/// A store could not be looked at to the end.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The chain could not be read.
    #[error("the chain cannot be read")]
    Chain(#[from] StoreError),
    /// A read model could not be folded anew.
    #[error("a read model cannot be folded anew")]
    Model(#[from] RebuildError),
}

/// Everything that must hold of a store at rest, that is once its followers have caught up and nobody writes: order,
/// receipts, chain and read models. Returns what does not, and the store's contents for more questions.
///
/// # Errors
///
/// [`Unreadable`] if the store cannot be looked at to the end.
pub async fn of_store(store: &Store) -> Result<(Trail, Vec<Violation>), Unreadable> {
    let trail = Trail::load(store.pool()).await?;
    let mut found = order(&trail);
    found.extend(receipts(&trail));
    let verdict = store.verify_chain(1, u64::MAX >> 1).await?;
    found.extend(verdict.first_mismatch.map(|position| Violation::Chain { position }));
    found.extend(models::compare(store).await?);
    Ok((trail, found))
}

/// Everything that must hold of what clients were told, given what is stored.
#[must_use]
pub fn of_history(history: &History, trail: &Trail) -> Vec<Violation> {
    let (by_tag, positions) = (trail.by_tag(), trail.positions());
    let mut found = Vec::new();
    for command in &history.commands {
        let events = by_tag.get(command.tag.as_str()).map_or(&[][..], Vec::as_slice);
        found.extend(of_command(command, events, &positions));
    }
    for read in &history.reads {
        found.extend(of_read(read, &by_tag, &positions));
    }
    found
}

/// Positions are 1..n, every stream is in order in the table and in the ledger, every event has exactly one ledger row
/// and every ledger row its event, and nothing is left without a position.
#[must_use]
pub fn order(trail: &Trail) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut before = 0;
    for line in &trail.ledger {
        if line.position != before + 1 {
            found.push(Violation::Gap { before, after: line.position });
        }
        before = line.position;
    }
    found.extend(streams_follow(trail.events.iter().map(|event| &event.place), "the events"));
    found.extend(streams_follow(trail.ledger.iter().map(|line| &line.place), "the ledger"));

    let mut rows: HashMap<&Place, usize> = HashMap::new();
    for line in &trail.ledger {
        *rows.entry(&line.place).or_default() += 1;
    }
    let mut ids = HashSet::new();
    let mut events: HashMap<&Place, &Event> = HashMap::new();
    for event in &trail.events {
        let rows = rows.get(&event.place).copied().unwrap_or_default();
        if rows != 1 {
            let Place { stream, sequence } = event.place.clone();
            found.push(Violation::LedgerRows { stream, sequence, rows });
        }
        if !ids.insert(event.event_id) {
            found.push(Violation::SameEvent { event_id: event.event_id });
        }
        events.insert(&event.place, event);
    }
    for line in &trail.ledger {
        let same = |event: &&Event| event.event_id == line.event_id && event.event_type == line.event_type;
        if !events.get(&line.place).is_some_and(same) {
            found.push(Violation::LedgerRowAlone { position: line.position });
        }
    }
    if trail.pending != 0 {
        found.push(Violation::Pending { count: trail.pending });
    }
    found
}

/// A receipt covers exactly the events of its command, and every command that has events has one.
#[must_use]
pub fn receipts(trail: &Trail) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut by_command: HashMap<_, HashSet<&Place>> = HashMap::new();
    for event in &trail.events {
        by_command.entry(event.command).or_default().insert(&event.place);
    }
    for (command, ranges) in &trail.receipts {
        let covered: HashSet<Place> = ranges
            .iter()
            .flat_map(|range| (range.from..=range.to).map(|sequence| Place { stream: range.stream.clone(), sequence }))
            .collect();
        let stored = by_command.remove(command).unwrap_or_default();
        if covered.iter().any(|place| !stored.contains(place)) {
            found.push(Violation::Receipt { command: *command, what: "names events that are not its own" });
        }
        if stored.iter().any(|place| !covered.contains(place)) {
            found.push(Violation::Receipt { command: *command, what: "lacks an event of it" });
        }
    }
    found.extend(by_command.into_keys().map(|command| Violation::Receipt { command, what: "is missing" }));
    found
}

/// Whether each place follows the one before it in its stream.
fn streams_follow<'a>(places: impl Iterator<Item = &'a Place>, place: &'static str) -> Vec<Violation> {
    let mut last: HashMap<&str, u64> = HashMap::new();
    let mut found = Vec::new();
    for Place { stream, sequence: after } in places {
        let before = last.insert(stream, *after).unwrap_or_default();
        if *after != before + 1 {
            found.push(Violation::Order { stream: stream.clone(), before, after: *after, place });
        }
    }
    found
}

fn of_command(command: &Command, events: &[&Event], positions: &HashMap<&Place, u64>) -> Vec<Violation> {
    let tag = &command.tag;
    let mut found = Vec::new();
    let mut times: HashMap<&str, usize> = HashMap::new();
    for event in events {
        *times.entry(&event.event_type).or_default() += 1;
    }
    for (event, times) in &times {
        let known = command.effect.always.contains(event) || command.effect.perhaps.contains(event);
        if !known {
            found.push(Violation::Strange { tag: tag.clone(), event: (*event).to_owned() });
        }
        if *times != 1 {
            found.push(Violation::Repeated { tag: tag.clone(), event: (*event).to_owned(), times: *times });
        }
    }
    let lacks = command.effect.always.iter().filter(|event| !times.contains_key(**event));
    let lost = |event: &&'static str| Violation::Lost { tag: tag.clone(), event };
    match command.verdict {
        Verdict::Acknowledged => found.extend(lacks.map(lost)),
        // All or nothing.
        Verdict::Unknown if events.is_empty() => (),
        Verdict::Unknown => found.extend(lacks.map(lost)),
        Verdict::Refused if events.is_empty() => (),
        Verdict::Refused => found.push(Violation::RefusedWithEffect { tag: tag.clone(), events: events.len() }),
    }
    let last = events.iter().filter_map(|event| positions.get(&event.place)).max().copied();
    // A command that changed nothing is told the position of the state that it saw.
    if let (Some(told), false) = (command.position, events.is_empty())
        && last != Some(told)
    {
        found.push(Violation::FalsePosition { tag: tag.clone(), told, stored: last });
    }
    found
}

/// A read may lack what comes after the position that it tells, and nothing else; and what had been acknowledged before
/// it began, only after it has waited.
fn of_read(
    read: &LackingRead,
    by_tag: &HashMap<&str, Vec<&Event>>,
    positions: &HashMap<&Place, u64>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let first_of = |tag: &String| {
        let events = by_tag.get(tag.as_str())?;
        events.iter().filter_map(|event| positions.get(&event.place)).max().copied()
    };
    let lacking = read.lacks.iter().find_map(|tag| Some((tag, first_of(tag)?)));
    if let Some((tag, position)) = lacking
        && position <= read.told
    {
        let (read, told) = (read.read.clone(), read.told);
        found.push(Violation::StaleRead { read, told, tag: tag.clone(), position });
    }
    if let Some(tag) = &read.acknowledged
        && read.waited < PATIENCE_OF_READS
    {
        found.push(Violation::GaveUpEarly { read: read.read.clone(), tag: tag.clone(), waited: read.waited });
    }
    found
}
