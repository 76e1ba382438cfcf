//! JSON pointers (RFC 6901): comparing plain JSON by them, and setting what one of them names.

use serde_json::{Value, json};

use super::{
    changes::PointerChange,
    privacy::{self, Place},
};

/// Changes below one member that are told one by one; beyond it the member is told as a whole.
const MAX_CHANGES: usize = 200;
/// Bytes of pointers for one member. Long keys at great depth are repeated in every pointer below them, so that without
/// this bound a document of 1 MiB could make an event of a gigabyte.
const MAX_POINTER_BYTES: usize = 64 * 1024;

/// Appends a step to a pointer.
pub(super) fn push(pointer: &mut String, key: &str) {
    pointer.push('/');
    for character in key.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// What is different in one member, which is absent where `None`.
pub(super) fn compare(key: &str, old: Option<&Value>, new: Option<&Value>, place: Place) -> Vec<PointerChange> {
    let mut comparison = Comparison { place, pointer: String::new(), bytes: 0, changes: Vec::new() };
    push(&mut comparison.pointer, key);
    comparison.visit(old, new);
    if comparison.is_too_much() {
        comparison.changes.clear();
        comparison.change(old, new);
    }
    comparison.changes
}

/// The change of a whole member, or with an empty pointer of the whole document.
pub(super) fn whole(pointer: String, old: Option<&Value>, new: Option<&Value>, place: Place) -> PointerChange {
    let (old, new) = place.store(old, new);
    PointerChange { pointer, old, new }
}

/// Puts `new` where the pointer says, or removes what is there. In an array the place after the last item appends.
/// What cannot be reached is left alone: history is never refused.
pub(super) fn set(document: &mut Value, pointer: &str, new: Option<Value>) {
    let Some((parent, step)) = pointer.rsplit_once('/') else {
        *document = new.unwrap_or(Value::Null);
        return;
    };
    match (document.pointer_mut(parent), new) {
        (Some(Value::Object(members)), Some(new)) => {
            members.insert(unescape(step), new);
        }
        (Some(Value::Object(members)), None) => {
            members.remove(&unescape(step));
        }
        (Some(Value::Array(items)), new) => {
            let index = step.parse::<usize>().ok().filter(|index| *index <= items.len());
            match (index, new) {
                (Some(index), Some(new)) if index == items.len() => items.push(new),
                (Some(index), Some(new)) => items[index] = new,
                (Some(index), None) if index < items.len() => drop(items.remove(index)),
                (Some(_) | None, _) => (),
            }
        }
        (Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None, _) => (),
    }
}

fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

struct Comparison {
    place: Place,
    pointer: String,
    bytes: usize,
    changes: Vec<PointerChange>,
}

impl Comparison {
    fn visit(&mut self, old: Option<&Value>, new: Option<&Value>) {
        if old == new || self.is_too_much() {
            return;
        }
        match (old, new) {
            (Some(Value::Object(old)), Some(Value::Object(new))) if !self.is_personal() => {
                let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
                for name in names {
                    self.below(name, |this| this.visit(old.get(name), new.get(name)));
                }
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) if !self.is_personal() && stays_in_place(old, new) => {
                for index in 0..new.len() {
                    self.below(&index.to_string(), |this| this.visit(old.get(index), new.get(index)));
                }
                // From the end, so that each index still holds when its change is made.
                for index in (new.len()..old.len()).rev() {
                    self.below(&index.to_string(), |this| this.visit(old.get(index), None));
                }
            }
            (old, new) => self.change(old, new),
        }
    }

    /// Below a personal key nothing is told apart: even the keys there may be somebody's.
    fn is_personal(&self) -> bool {
        self.place == Place::Personal
    }

    fn below(&mut self, step: &str, visit: impl FnOnce(&mut Self)) {
        let (length, place) = (self.pointer.len(), self.place);
        push(&mut self.pointer, step);
        if privacy::is_personal_key(step) {
            self.place = Place::Personal;
        }
        visit(self);
        self.pointer.truncate(length);
        self.place = place;
    }

    fn change(&mut self, old: Option<&Value>, new: Option<&Value>) {
        self.bytes += self.pointer.len();
        self.changes.push(whole(self.pointer.clone(), old, new, self.place));
    }

    fn is_too_much(&self) -> bool {
        self.changes.len() > MAX_CHANGES || self.bytes > MAX_POINTER_BYTES
    }
}

/// Whether an array can be compared item by item: nothing was inserted or removed but at its end.
fn stays_in_place(old: &[Value], new: &[Value]) -> bool {
    let shared = old.len().min(new.len());
    old.len() == new.len() || old[..shared] == new[..shared]
}

/// The change that makes an absent member an empty array.
pub(super) fn empty_array(key: &str) -> PointerChange {
    let mut pointer = String::new();
    push(&mut pointer, key);
    whole(pointer, None, Some(&json!([])), Place::Technical)
}
