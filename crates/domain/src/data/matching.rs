//! Telling which section or field of the old list is which of the new one: by `id`, a repeated id by its occurrence.

use std::collections::HashMap;

use serde_json::Value;

/// Bytes of an id. Longer ones are not matched, since each change repeats them.
const MAX_ID_BYTES: usize = 256;

/// An id and how many items before this one have the same.
pub(super) type Key<'a> = (&'a str, u32);

/// An item that only one of the lists has, and where it stands there.
pub(super) struct Lone<'a> {
    pub key: Key<'a>,
    pub position: usize,
    pub item: &'a Value,
}

/// An item that both lists have.
pub(super) struct Pair<'a> {
    pub key: Key<'a>,
    pub old: &'a Value,
    pub new: &'a Value,
}

/// How one list became another.
pub(super) struct Matching<'a> {
    pub kept: Vec<Pair<'a>>,
    pub removed: Vec<Lone<'a>>,
    pub added: Vec<Lone<'a>>,
    /// Whether what both lists have stands in another order now.
    pub reordered: bool,
}

/// Matches two lists; `None` if one of them holds an item without a usable id.
pub(super) fn matching<'a>(old: &'a [Value], new: &'a [Value]) -> Option<Matching<'a>> {
    let old_keys = keys(old).collect::<Option<Vec<_>>>()?;
    let new_keys = keys(new).collect::<Option<Vec<_>>>()?;
    let places: HashMap<Key<'_>, usize> = old_keys.iter().copied().zip(0..).collect();
    let mut gone = vec![true; old.len()];
    let mut last = 0;
    let mut matching = Matching { kept: Vec::new(), removed: Vec::new(), added: Vec::new(), reordered: false };
    for (position, (key, item)) in new_keys.into_iter().zip(new).enumerate() {
        if let Some(&was) = places.get(&key) {
            gone[was] = false;
            matching.reordered |= was < last;
            last = was;
            matching.kept.push(Pair { key, old: &old[was], new: item });
        } else {
            matching.added.push(Lone { key, position, item });
        }
    }
    let removed = old_keys.into_iter().zip(old).enumerate().filter(|(position, _)| gone[*position]);
    matching.removed = removed.map(|(position, (key, item))| Lone { key, position, item }).collect();
    Some(matching)
}

/// The key of every item, `None` for one that has no usable id.
pub(super) fn keys(items: &[Value]) -> impl Iterator<Item = Option<Key<'_>>> {
    let mut occurrences = Occurrences::default();
    items.iter().map(move |item| id(item).map(|id| occurrences.key(id)))
}

/// The id of a section or field, if it can be matched by one.
pub(super) fn id(item: &Value) -> Option<&str> {
    item.as_object()?.get("id")?.as_str().filter(|id| id.len() <= MAX_ID_BYTES)
}

/// Counts how often each id was met.
#[derive(Default)]
pub(super) struct Occurrences<'a>(HashMap<&'a str, u32>);

impl<'a> Occurrences<'a> {
    pub(super) fn key(&mut self, id: &'a str) -> Key<'a> {
        let next = self.0.entry(id).or_default();
        let key = (id, *next);
        *next += 1;
        key
    }
}
