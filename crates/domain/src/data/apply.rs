//! Making a difference again, on replay.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{
    SHEET,
    changes::{DataDiff, FieldChange, FieldPart, OrderChange, SectionChange, SectionPart},
    matching::{Key, Occurrences, keys},
    pointer,
    stored::Stored,
};

/// Makes the changes in `document`. What was erased becomes the string `[erased]`; what is not there (because what held
/// it was erased) is passed over. History is never refused.
pub fn apply(diff: &DataDiff, document: &mut Value) {
    for change in &diff.pointers {
        pointer::set(document, &change.pointer, change.new.as_ref().map(Stored::value));
    }
    if diff.fields.is_empty() && diff.sections.is_empty() && diff.orders.is_empty() {
        return;
    }
    let Some(sheet) = document.get_mut(SHEET).and_then(Value::as_array_mut) else { return };
    for (index, work) in by_section(diff, sheet) {
        work.make_in(&mut sheet[index]);
    }
    let whole = |change: &&SectionChange| change.part == SectionPart::Whole;
    let order = diff.orders.iter().find(|order| order.section.is_none());
    let changes = diff.sections.iter().filter(whole);
    rearrange(sheet, order, changes.map(|c| ((c.section.as_str(), c.occurrence), c.position, c.new.as_ref())));
}

/// What is to be done inside one section.
#[derive(Default)]
struct Work<'a> {
    members: Vec<&'a SectionChange>,
    fields: Vec<&'a FieldChange>,
    order: Option<&'a OrderChange>,
}

/// Looks up once, before anything moves, where each section stands.
fn by_section<'a>(diff: &'a DataDiff, sheet: &[Value]) -> BTreeMap<usize, Work<'a>> {
    let places = places(sheet);
    let mut work: BTreeMap<usize, Work<'a>> = BTreeMap::new();
    for change in diff.sections.iter().filter(|change| change.part != SectionPart::Whole) {
        if let Some(&place) = places.get(&(change.section.as_str(), change.occurrence)) {
            work.entry(place).or_default().members.push(change);
        }
    }
    for change in &diff.fields {
        if let Some(&place) = places.get(&(change.section.as_str(), change.section_occurrence)) {
            work.entry(place).or_default().fields.push(change);
        }
    }
    for change in &diff.orders {
        let section = change.section.as_deref().map(|section| (section, change.occurrence));
        if let Some(&place) = section.and_then(|section| places.get(&section)) {
            work.entry(place).or_default().order = Some(change);
        }
    }
    work
}

impl Work<'_> {
    fn make_in(&self, section: &mut Value) {
        for change in &self.members {
            if let Some(pointer) = &change.pointer {
                pointer::set(section, pointer, change.new.as_ref().map(Stored::value));
            }
        }
        let Some(fields) = section.get_mut("fields").and_then(Value::as_array_mut) else { return };
        let (whole, parts): (Vec<_>, Vec<_>) = self.fields.iter().partition(|change| change.part == FieldPart::Whole);
        let found: Vec<(usize, &FieldChange)> = {
            let places = places(fields);
            let place = |change: &FieldChange| places.get(&(change.field.as_str(), change.occurrence)).copied();
            parts.into_iter().filter_map(|change| Some((place(change)?, change))).collect()
        };
        for (place, change) in found {
            if let (Some(members), Some(key)) = (fields[place].as_object_mut(), key(change)) {
                match &change.new {
                    Some(new) => drop(members.insert(key.to_owned(), new.value())),
                    None => drop(members.remove(key)),
                }
            }
        }
        let whole = whole.into_iter();
        rearrange(fields, self.order, whole.map(|c| ((c.field.as_str(), c.occurrence), c.position, c.new.as_ref())));
    }
}

fn key(change: &FieldChange) -> Option<&str> {
    match change.part {
        FieldPart::Value => Some("value"),
        FieldPart::Unit => Some("unit"),
        FieldPart::Notes => Some("notes"),
        FieldPart::Source => Some("source"),
        FieldPart::Label => Some("label"),
        FieldPart::Other => change.key.as_deref(),
        FieldPart::Whole => None,
    }
}

/// Where each item stands that has an id.
fn places(items: &[Value]) -> HashMap<Key<'_>, usize> {
    keys(items).zip(0..).filter_map(|(key, place)| Some((key?, place))).collect()
}

/// Takes out the whole items that went, puts the rest into order, and puts those that came where they stand now. Each
/// change is a key, a position and the new content.
fn rearrange<'a>(
    items: &mut Vec<Value>,
    order: Option<&OrderChange>,
    changes: impl Iterator<Item = (Key<'a>, Option<usize>, Option<&'a Stored>)>,
) {
    let (mut gone, mut came) = (HashSet::new(), Vec::new());
    for (key, position, new) in changes {
        match new {
            Some(new) => came.push((position.unwrap_or(usize::MAX), new.value())),
            None => {
                gone.insert(key);
            }
        }
    }
    if !gone.is_empty() {
        let stays: Vec<bool> = keys(items).map(|key| key.is_none_or(|key| !gone.contains(&key))).collect();
        let mut stays = stays.into_iter();
        items.retain(|_| stays.next().unwrap_or(true));
    }
    if let Some(order) = order {
        let mut occurrences = Occurrences::default();
        let ranks: HashMap<Key<'_>, usize> = order.new.iter().map(|id| occurrences.key(id)).zip(0..).collect();
        let rank = |key: Option<Key<'_>>| key.and_then(|key| ranks.get(&key).copied()).unwrap_or(usize::MAX);
        let ranked: Vec<usize> = keys(items).map(rank).collect();
        let mut ranked: Vec<(usize, Value)> = ranked.into_iter().zip(std::mem::take(items)).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        items.extend(ranked.into_iter().map(|(_, item)| item));
    }
    if !came.is_empty() {
        came.sort_by_key(|(position, _)| *position);
        let mut rest = std::mem::take(items).into_iter();
        for (position, item) in came {
            items.extend(rest.by_ref().take(position.saturating_sub(items.len())));
            items.push(item);
        }
        items.extend(rest);
    }
}
