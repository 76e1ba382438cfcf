//! What the timeline shows of a change, and how the changes of one course of typing become one entry.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    changes::{DataDiff, FieldChange, FieldPart, OrderChange, PointerChange, SectionChange, SectionPart},
    stored::Stored,
};
use crate::personal::ERASED_TEXT;

/// Characters of a value that the timeline shows; events hold it whole.
const MAX_VALUE_CHARACTERS: usize = 200;
/// Characters of the place of a change and of its label: pointers outside the sheet can be very long.
const MAX_PLACE_CHARACTERS: usize = 600;
/// Changes that one entry holds.
const MAX_CHANGES: usize = 200;

/// One change as the timeline shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineChange {
    /// `section/field` for a field and its value, `section/field/notes` for another part of it, `section` for the
    /// section itself, and outside the sheet the JSON pointer without its first slash. A repeated id has `#2` behind it.
    pub field: String,
    /// The field's label or the section's title.
    pub label: String,
    /// What it was, cut at 200 characters; empty if there was nothing.
    pub old_value: String,
    /// What it is, cut at 200 characters; empty if there is nothing.
    pub new_value: String,
    /// The unit of a field's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether one of the values is personal data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub personal: bool,
    /// Tells apart old values that are the same up to where they were cut. For the read model, not for the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_rest: Option<String>,
    /// The same for the new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_rest: Option<String>,
}

impl TimelineChange {
    /// Whether the value is another one now than before the entry began.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        (&self.old_value, &self.old_rest) != (&self.new_value, &self.new_rest)
    }
}

/// What the timeline shows of a difference: values, units, notes and labels of fields, what came and went, names and
/// order of sections, and whatever lies outside the sheet. Not what only describes the form (options, placeholder,
/// importance, source, a unit that was absent and is now empty). At most 200.
#[must_use]
pub fn timeline_changes(diff: &DataDiff) -> Vec<TimelineChange> {
    let fields = diff.fields.iter().filter_map(of_field);
    let sections = diff.sections.iter().filter_map(of_section);
    let all =
        fields.chain(sections).chain(diff.orders.iter().map(of_order)).chain(diff.pointers.iter().map(of_pointer));
    all.filter(TimelineChange::is_visible).take(MAX_CHANGES).collect()
}

/// Joins what was changed later into an entry: the first old value, the last new value. What came back to its old value
/// stays in the list, unseen (see [`visible`]), until the place is needed. Beyond 200 the entry takes up no
/// further places; the events have them all.
#[must_use]
pub fn join(mut entry: Vec<TimelineChange>, later: Vec<TimelineChange>) -> Vec<TimelineChange> {
    for change in later {
        if let Some(known) = entry.iter_mut().find(|known| known.field == change.field) {
            let (old_value, old_rest) = (std::mem::take(&mut known.old_value), known.old_rest.take());
            *known = TimelineChange { old_value, old_rest, personal: known.personal || change.personal, ..change };
        } else {
            if entry.len() >= MAX_CHANGES
                && let Some(unseen) = entry.iter().position(|known| !known.is_visible())
            {
                entry.remove(unseen);
            }
            if entry.len() < MAX_CHANGES {
                entry.push(change);
            }
        }
    }
    entry
}

/// The changes to show: without those that came back to their old value.
pub fn visible(changes: &[TimelineChange]) -> impl Iterator<Item = &TimelineChange> {
    changes.iter().filter(|change| change.is_visible())
}

fn of_field(change: &FieldChange) -> Option<TimelineChange> {
    let mut field = path(&change.section, change.section_occurrence);
    field.push('/');
    field.push_str(&path(&change.field, change.occurrence));
    let label = text(change.label.as_ref());
    let label = if label.is_empty() { change.field.clone() } else { label };
    let unit = Some(text(change.unit.as_ref())).filter(|unit| !unit.is_empty());
    let (field, label, unit) = match change.part {
        FieldPart::Value | FieldPart::Whole => (field, label, unit),
        FieldPart::Unit => (field + "/unit", label + " (unit)", None),
        FieldPart::Notes => (field + "/notes", label + " (notes)", None),
        FieldPart::Label => (field + "/label", label + " (label)", None),
        FieldPart::Source | FieldPart::Other => return None,
    };
    let shown = change_of(field, label.clone(), change.old.as_ref(), change.new.as_ref());
    Some(if change.part == FieldPart::Whole {
        // A field shows its value; one that came or went without any shows its name, so that it is seen at all.
        let value = |content: &Option<Stored>| match content.as_ref().map(Stored::known) {
            None => String::new(),
            Some(None) => ERASED_TEXT.to_owned(),
            Some(Some(field)) => Some(plain(field.get("value"))).filter(|v| !v.is_empty()).unwrap_or(label.clone()),
        };
        TimelineChange { unit, ..with_values(shown, &value(&change.old), &value(&change.new)) }
    } else {
        TimelineChange { unit, ..shown }
    })
}

fn of_section(change: &SectionChange) -> Option<TimelineChange> {
    let field = path(&change.section, change.occurrence);
    let title = text(change.title.as_ref());
    let title = if title.is_empty() { change.section.clone() } else { title };
    let inside = change.pointer.as_deref().unwrap_or_default();
    let shown = |field, label| change_of(field, label, change.old.as_ref(), change.new.as_ref());
    match change.part {
        SectionPart::Whole => {
            let name = |content: &Option<Stored>| content.as_ref().map_or_else(String::new, |_| title.clone());
            let (old, new) = (name(&change.old), name(&change.new));
            Some(with_values(shown(field, title), &old, &new))
        }
        SectionPart::Title => Some(shown(field, title)),
        SectionPart::Notes | SectionPart::Fields => Some(shown(field + inside, title + " " + inside)),
        SectionPart::Other => None,
    }
}

fn of_order(change: &OrderChange) -> TimelineChange {
    let (field, label) = match &change.section {
        Some(section) => (path(section, change.occurrence) + "/fields", "Order of fields"),
        None => (super::SHEET.to_owned(), "Order of sections"),
    };
    let shown = TimelineChange { field, label: label.to_owned(), ..TimelineChange::default() };
    with_values(shown, &change.old.join(", "), &change.new.join(", "))
}

fn of_pointer(change: &PointerChange) -> TimelineChange {
    let path = change.pointer.strip_prefix('/').unwrap_or("data");
    change_of(path.to_owned(), path.to_owned(), change.old.as_ref(), change.new.as_ref())
}

fn path(id: &str, occurrence: u32) -> String {
    if occurrence == 0 { id.to_owned() } else { format!("{id}#{}", u64::from(occurrence) + 1) }
}

fn change_of(field: String, label: String, old: Option<&Stored>, new: Option<&Stored>) -> TimelineChange {
    let personal = old.into_iter().chain(new).any(Stored::is_personal);
    let short = |text: String| match text.char_indices().nth(MAX_PLACE_CHARACTERS) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    };
    let (field, label) = (short(field), short(label));
    let shown = TimelineChange { field, label, personal, ..TimelineChange::default() };
    with_values(shown, &text(old), &text(new))
}

fn with_values(change: TimelineChange, old: &str, new: &str) -> TimelineChange {
    let (old_value, old_rest) = cut(old);
    let (new_value, new_rest) = cut(new);
    TimelineChange { old_value, new_value, old_rest, new_rest, ..change }
}

/// The first 200 characters, and a fingerprint of the rest if there is one (FNV-1a, 64 bits: only ever compared with
/// the other value of the same place).
fn cut(text: &str) -> (String, Option<String>) {
    let Some((end, _)) = text.char_indices().nth(MAX_VALUE_CHARACTERS) else { return (text.to_owned(), None) };
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let rest = text.as_bytes()[end..].iter().copied().fold(0xcbf2_9ce4_8422_2325, step);
    (text[..end].to_owned(), Some(format!("{rest:016x}")))
}

fn text(content: Option<&Stored>) -> String {
    content.map_or_else(String::new, |content| content.known().map_or(ERASED_TEXT.to_owned(), |v| plain(Some(v))))
}

/// A value in words: nothing for absent and null, a list with commas, anything else as JSON.
fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if !items.iter().any(|item| item.is_array() || item.is_object()) => {
            items.iter().map(|item| plain(Some(item))).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}
