//! Every shape of event that was ever stored stays readable. Files in `stored` are added, never edited.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cqrs_es::DomainEvent;
use domain::{AccountEvent, ProjectEvent, ProposalEvent, StoreEvent};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored")
}

/// The stored examples of one kind of stream: file name without ending, and JSON.
fn examples(kind: &str) -> Vec<(String, Value)> {
    let mut files: Vec<_> = fs::read_dir(root().join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
        .into_iter()
        .map(|file| {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap())
        })
        .collect()
}

/// Reads each example of the current version, and writes it again to the same JSON.
fn read_again<E: DomainEvent>(kind: &str) -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    for (name, stored) in examples(kind) {
        let event: E = serde_json::from_value(stored.clone()).unwrap_or_else(|error| panic!("{kind}/{name}: {error}"));
        let (event_type, version) = (event.event_type(), event.event_version());
        assert_eq!(stored["type"], event_type.as_str(), "{kind}/{name}");
        if name == format!("{event_type}.v{version}") {
            assert_eq!(serde_json::to_value(&event).unwrap(), stored, "{kind}/{name}");
        }
        types.insert(event_type);
    }
    types
}

#[test]
fn every_shape_ever_stored_is_readable_and_listed_in_the_table_of_events() {
    let stored: BTreeSet<(String, String)> = [
        ("account", read_again::<AccountEvent>("account")),
        ("project", read_again::<ProjectEvent>("project")),
        ("proposal", read_again::<ProposalEvent>("proposal")),
        ("store", read_again::<StoreEvent>("store")),
    ]
    .into_iter()
    .flat_map(|(kind, types)| types.into_iter().map(move |event_type| (kind.to_owned(), event_type)))
    .collect();
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md")).unwrap();
    let listed: BTreeSet<(String, String)> = table
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let event_type = cells.get(2)?.strip_prefix('`')?.strip_suffix('`')?;
            Some(((*cells.get(3)?).to_owned(), event_type.to_owned()))
        })
        .collect();
    assert_eq!(stored, listed);
}

#[test]
fn every_variant_has_a_stored_example() {
    // The compiler knows the variants; this counts them by the arms of `event_type`.
    for (file, kind) in [
        ("account.rs", "account"),
        ("project/event.rs", "project"),
        ("proposal/event.rs", "proposal"),
        ("store.rs", "store"),
    ] {
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap();
        let arms = source.split("fn event_type").nth(1).unwrap().split("fn event_version").next().unwrap();
        let variants = arms.matches("Self::").count();
        let types: BTreeSet<_> = examples(kind).into_iter().map(|(_, json)| json["type"].to_string()).collect();
        assert_eq!(types.len(), variants, "{kind}");
    }
}
