//! The checker can fail: a store that is broken in one way, or a client that was told something false, is found out.

use std::collections::HashMap;
use std::time::Duration;

use checker::assertions::{PATIENCE_OF_READS, of_history, order, receipts};
use checker::history::{Command, Effect, History, LackingRead, Verdict};
use checker::trail::{Event, Line, Place, Range, Trail};
use checker::violation::Violation;
use uuid::Uuid;

/// One project: opened, changed twice, each by a command of its own.
const STEPS: [(&str, &str, Effect); 3] = [
    ("t1", "project-created", Effect::CREATE),
    ("t2", "project-details-changed", Effect::HEADER),
    ("t3", "project-data-changed", Effect::SHEET),
];

fn place(sequence: u64) -> Place {
    Place { stream: "project:p".to_owned(), sequence }
}

fn trail() -> Trail {
    let mut trail = Trail::default();
    for ((tag, event_type, _), sequence) in STEPS.into_iter().zip(1..) {
        let (event_id, command, event_type) = (Uuid::new_v4(), Uuid::new_v4(), event_type.to_owned());
        let tag = Some(tag.to_owned());
        trail.ledger.push(Line {
            position: sequence,
            place: place(sequence),
            event_id,
            event_type: event_type.clone(),
        });
        trail.events.push(Event { place: place(sequence), event_id, event_type, command, tag });
        trail.receipts.insert(command, vec![Range { stream: "project:p".to_owned(), from: sequence, to: sequence }]);
    }
    trail
}

fn history() -> History {
    let told = |((tag, _, effect), position): ((&str, _, Effect), u64)| Command {
        tag: tag.to_owned(),
        effect,
        verdict: Verdict::Acknowledged,
        position: Some(position),
    };
    History { commands: STEPS.into_iter().zip(1..).map(told).collect(), reads: vec![] }
}

fn read(told: u64, waited: Duration) -> LackingRead {
    let lacks = vec!["t3".to_owned()];
    LackingRead { read: "GET /projects/p".to_owned(), told, lacks, acknowledged: Some("t3".to_owned()), waited }
}

/// Everything that is found in this store with this history.
fn found(trail: &Trail, history: &History) -> Vec<Violation> {
    [order(trail), receipts(trail), of_history(history, trail)].concat()
}

#[test]
fn nothing_is_found_where_every_promise_was_kept() {
    let mut history = history();
    history.reads.push(read(2, PATIENCE_OF_READS));
    assert_eq!(found(&trail(), &history), []);
}

#[test]
fn a_lost_write_is_found() {
    let mut trail = trail();
    let event = trail.events.pop().unwrap();
    trail.ledger.pop();
    trail.receipts.remove(&event.command);
    let lost = Violation::Lost { tag: "t3".to_owned(), event: "project-data-changed" };
    assert_eq!(found(&trail, &history()), [lost]);
    // It is no loss if its client was never told that it is there.
    let mut history = history();
    (history.commands[2].verdict, history.commands[2].position) = (Verdict::Unknown, None);
    assert_eq!(found(&trail, &history), []);
}

#[test]
fn half_of_a_command_is_found_also_where_its_client_does_not_know_of_it() {
    let mut trail = trail();
    trail.events[2].event_type = "generation-accepted".to_owned();
    trail.ledger[2].event_type = "generation-accepted".to_owned();
    let mut history = history();
    history.commands[2].effect = Effect::GENERATE;
    for verdict in [Verdict::Acknowledged, Verdict::Unknown] {
        history.commands[2].verdict = verdict;
        let lost = Violation::Lost { tag: "t3".to_owned(), event: "generation-requested" };
        assert_eq!(found(&trail, &history), [lost], "{verdict:?}");
    }
}

#[test]
fn an_event_that_was_written_twice_is_found() {
    let mut trail = trail();
    let (mut event, mut line) = (trail.events[2].clone(), trail.ledger[2].clone());
    (event.place, line.place, line.position) = (place(4), place(4), 4);
    (event.event_id, event.command) = (Uuid::from_u128(4), Uuid::from_u128(5));
    line.event_id = event.event_id;
    trail.receipts.insert(event.command, vec![Range { stream: "project:p".to_owned(), from: 4, to: 4 }]);
    trail.events.push(event);
    trail.ledger.push(line);
    let repeated = Violation::Repeated { tag: "t3".to_owned(), event: "project-data-changed".to_owned(), times: 2 };
    let position = Violation::FalsePosition { tag: "t3".to_owned(), told: 3, stored: Some(4) };
    assert_eq!(found(&trail, &history()), [repeated, position]);
}

#[test]
fn an_event_with_the_identity_of_another_is_found() {
    let mut trail = trail();
    let event_id = trail.events[0].event_id;
    trail.events[1].event_id = event_id;
    trail.ledger[1].event_id = event_id;
    assert_eq!(found(&trail, &history()), [Violation::SameEvent { event_id }]);
}

#[test]
fn a_gap_in_the_positions_is_found() {
    let mut trail = trail();
    trail.ledger[2].position = 4;
    let position = Violation::FalsePosition { tag: "t3".to_owned(), told: 3, stored: Some(4) };
    assert_eq!(found(&trail, &history()), [Violation::Gap { before: 2, after: 4 }, position]);
}

#[test]
fn positions_against_the_order_of_the_stream_are_found() {
    let mut trail = trail();
    let (second, third) = (trail.ledger[1].clone(), trail.ledger[2].clone());
    trail.ledger[1] = Line { position: 2, ..third };
    trail.ledger[2] = Line { position: 3, ..second };
    let found = order(&trail);
    let out_of_order =
        found.iter().filter(|violation| matches!(violation, Violation::Order { place: "the ledger", .. }));
    assert_eq!(out_of_order.count(), 2, "{found:?}");
}

#[test]
fn an_event_without_or_with_two_positions_and_a_position_without_event_are_found() {
    let rows = |rows| Violation::LedgerRows { stream: "project:p".to_owned(), sequence: 3, rows };
    let mut without = trail();
    without.ledger.pop();
    without.pending = 1;
    assert_eq!(order(&without), [rows(0), Violation::Pending { count: 1 }]);

    let mut twice = trail();
    twice.ledger.push(Line { position: 4, ..twice.ledger[2].clone() });
    assert!(order(&twice).contains(&rows(2)), "{:?}", order(&twice));

    let mut alone = trail();
    alone.ledger[2].event_id = Uuid::new_v4();
    assert_eq!(order(&alone), [Violation::LedgerRowAlone { position: 3 }]);
}

#[test]
fn an_effect_of_a_refused_command_and_an_event_of_another_kind_are_found() {
    let mut history = history();
    history.commands[1].verdict = Verdict::Refused;
    history.commands[1].position = None;
    let refused = Violation::RefusedWithEffect { tag: "t2".to_owned(), events: 1 };
    assert_eq!(found(&trail(), &history), [refused]);

    history.commands[1].verdict = Verdict::Acknowledged;
    history.commands[1].effect = Effect::CANCEL;
    let strange = Violation::Strange { tag: "t2".to_owned(), event: "project-details-changed".to_owned() };
    assert_eq!(found(&trail(), &history), [strange]);
}

#[test]
fn a_stale_read_that_says_it_is_fresh_is_found() {
    let stale =
        |told| Violation::StaleRead { read: "GET /projects/p".to_owned(), told, tag: "t3".to_owned(), position: 3 };
    for told in [3, 4] {
        let history = History { reads: vec![read(told, PATIENCE_OF_READS)], ..history() };
        assert_eq!(found(&trail(), &history), [stale(told)]);
    }
    // Neither did it wait.
    let waited = Duration::from_millis(1_900);
    let history = History { reads: vec![read(2, waited)], ..history() };
    let early = Violation::GaveUpEarly { read: "GET /projects/p".to_owned(), tag: "t3".to_owned(), waited };
    assert_eq!(found(&trail(), &history), [early]);
    // What nobody had been told of may be missing without waiting, if the position is true.
    let mut unknown = read(2, Duration::ZERO);
    unknown.acknowledged = None;
    let history = History { reads: vec![unknown], ..self::history() };
    assert_eq!(found(&trail(), &history), []);
}

#[test]
fn receipts_that_are_missing_or_do_not_fit_are_found() {
    let command = trail().events[0].command;
    let of = |what| move |violation: &Violation| matches!(violation, Violation::Receipt { what: w, .. } if *w == what);
    let mut missing = trail();
    missing.receipts = HashMap::new();
    assert_eq!(receipts(&missing).iter().filter(|violation| of("is missing")(violation)).count(), 3);
    let mut wrong = trail();
    let command = wrong.receipts.keys().copied().find(|other| *other != command).unwrap();
    wrong.receipts.get_mut(&command).unwrap()[0].to += 7;
    assert_eq!(receipts(&wrong), [Violation::Receipt { command, what: "names events that are not its own" }]);
    wrong.receipts.insert(command, vec![]);
    assert_eq!(receipts(&wrong), [Violation::Receipt { command, what: "lacks an event of it" }]);
}
