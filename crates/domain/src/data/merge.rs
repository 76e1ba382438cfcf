//! How a patch changes the document.

use serde_json::{Map, Value};

/// The document after `patch`: objects are merged key by key at all depths, arrays and scalars replace what was there,
/// null is stored as null, and no key disappears. (So this is not RFC 7396, where null removes.)
#[must_use]
pub fn merge(old: &Value, patch: &Value) -> Value {
    let (Value::Object(old), Value::Object(patch)) = (old, patch) else { return patch.clone() };
    let kept = old.iter().filter(|(key, _)| !patch.contains_key(*key)).map(|(key, value)| (key.clone(), value.clone()));
    let set = patch.iter().map(|(key, new)| {
        let value = old.get(key).map_or_else(|| new.clone(), |old| merge(old, new));
        (key.clone(), value)
    });
    Value::Object(kept.chain(set).collect::<Map<_, _>>())
}
