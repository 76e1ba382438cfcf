//! Finding what became different between two documents.

use serde_json::{Map, Value};

use super::{
    SHEET, apply,
    changes::{DataDiff, FieldChange, FieldPart, OrderChange, PointerChange, SectionChange, SectionPart},
    matching::{Key, Lone, Matching, Pair, id, matching},
    pointer,
    privacy::{self, Place},
    stored::Stored,
};

/// Changes of the sheet that are told one by one. Each repeats ids and a label, so a sheet of a hundred thousand tiny
/// fields would make an event many times its size; beyond the bound it is told as plain JSON.
const MAX_SHEET_CHANGES: usize = 4096;
/// Characters of a label, title or unit that goes along with a change.
const MAX_CAPTION_CHARACTERS: usize = 200;

/// What became different from `old` to `new`: applied to `old` it gives exactly `new`, for any two JSON values.
///
/// Sections are matched by `id`, fields by section and `id`, everything else by JSON pointer. The result is tried out,
/// and if it does not lead to `new`, the changed top-level members are told as a whole.
#[must_use]
pub fn diff(old: &Value, new: &Value) -> DataDiff {
    if old == new {
        return DataDiff::default();
    }
    let (Value::Object(was), Value::Object(is)) = (old, new) else {
        return of_pointers(vec![pointer::whole(String::new(), Some(old), Some(new), Place::Free)]);
    };
    let diff = of_documents(was, is);
    let mut tried = old.clone();
    apply(&diff, &mut tried);
    if tried == *new { diff } else { of_members(was, is) }
}

fn of_pointers(pointers: Vec<PointerChange>) -> DataDiff {
    DataDiff { pointers, ..DataDiff::default() }
}

/// The last resort: every changed top-level member as a whole.
fn of_members(old: &Map<String, Value>, new: &Map<String, Value>) -> DataDiff {
    let change = |(key, old, new)| {
        let mut pointer = String::new();
        pointer::push(&mut pointer, key);
        pointer::whole(pointer, old, new, privacy::of_member(key))
    };
    of_pointers(changed(old, new).map(change).collect())
}

fn of_documents(old: &Map<String, Value>, new: &Map<String, Value>) -> DataDiff {
    let mut diff = DataDiff::default();
    for (key, old, new) in changed(old, new) {
        let sheet = match (old, new) {
            (Some(Value::Array(old)), Some(Value::Array(new))) if key == SHEET => of_sheets(old, new),
            (None, Some(Value::Array(new))) if key == SHEET => {
                of_sheets(&[], new).map(|sheet| DataDiff { pointers: vec![pointer::empty_array(SHEET)], ..sheet })
            }
            (Some(_) | None, _) => None,
        };
        if let Some(sheet) = sheet {
            diff = DataDiff { pointers: [diff.pointers, sheet.pointers].concat(), ..sheet };
        } else {
            diff.pointers.extend(pointer::compare(key, old, new, privacy::of_member(key)));
        }
    }
    diff
}

/// Members that are not the same in both, `None` where absent.
fn changed<'a>(
    old: &'a Map<String, Value>,
    new: &'a Map<String, Value>,
) -> impl Iterator<Item = (&'a str, Option<&'a Value>, Option<&'a Value>)> {
    let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    keys.map(|key| (key.as_str(), old.get(key), new.get(key))).filter(|(_, old, new)| old != new)
}

/// What became different in the sheet; `None` if one of the two is no list of sections, or if it is too much.
fn of_sheets(old: &[Value], new: &[Value]) -> Option<DataDiff> {
    let Matching { kept, removed, added, reordered } = matching(old, new)?;
    let mut diff = DataDiff::default();
    for pair in kept {
        if let (Value::Object(old), Value::Object(new)) = (pair.old, pair.new)
            && old != new
        {
            of_section(pair.key, old, new, &mut diff);
        }
        if diff.len() > MAX_SHEET_CHANGES {
            return None;
        }
    }
    if reordered {
        diff.orders.push(OrderChange { section: None, occurrence: 0, old: ids(old), new: ids(new) });
    }
    // One more than the bound is enough to see that it is too much.
    let went = removed.iter().map(|lone| whole_section(lone, Some(lone.item), None));
    let came = added.iter().map(|lone| whole_section(lone, None, Some(lone.item)));
    diff.sections.extend(went.chain(came).take(MAX_SHEET_CHANGES + 1));
    (diff.len() <= MAX_SHEET_CHANGES).then_some(diff)
}

fn of_section(key: Key<'_>, old: &Map<String, Value>, new: &Map<String, Value>, diff: &mut DataDiff) {
    let title = caption(new.get("title"), privacy::of_section_member(key.0, "title"));
    for (name, old, new) in changed(old, new) {
        if let ("fields", Some(Value::Array(old)), Some(Value::Array(new))) = (name, old, new)
            && let Some(fields) = matching(old, new)
        {
            if fields.reordered {
                let (section, occurrence) = (Some(key.0.to_owned()), key.1);
                diff.orders.push(OrderChange { section, occurrence, old: ids(old), new: ids(new) });
            }
            of_fields(key, &fields, diff);
            continue;
        }
        let part = match name {
            "title" => SectionPart::Title,
            "notes" => SectionPart::Notes,
            "fields" => SectionPart::Fields,
            _ => SectionPart::Other,
        };
        let place = privacy::of_section_member(key.0, name);
        diff.sections.extend(pointer::compare(name, old, new, place).into_iter().map(|change| SectionChange {
            section: key.0.to_owned(),
            occurrence: key.1,
            part,
            pointer: Some(change.pointer),
            position: None,
            old: change.old,
            new: change.new,
            title: title.clone(),
        }));
    }
}

fn whole_section(lone: &Lone<'_>, old: Option<&Value>, new: Option<&Value>) -> SectionChange {
    let id = lone.key.0;
    let title = caption(lone.item.get("title"), privacy::of_section_member(id, "title"));
    let (old, new) = privacy::of_section(id, lone.item).store(old, new);
    SectionChange {
        section: id.to_owned(),
        occurrence: lone.key.1,
        part: SectionPart::Whole,
        pointer: None,
        position: Some(lone.position),
        old,
        new,
        title,
    }
}

fn of_fields(section: Key<'_>, fields: &Matching<'_>, diff: &mut DataDiff) {
    for pair in &fields.kept {
        of_field(section, pair, diff);
        if diff.len() > MAX_SHEET_CHANGES {
            return; // The caller sees it, too.
        }
    }
    let went = fields.removed.iter().map(|lone| whole_field(section, lone, Some(lone.item), None));
    let came = fields.added.iter().map(|lone| whole_field(section, lone, None, Some(lone.item)));
    diff.fields.extend(went.chain(came).take(MAX_SHEET_CHANGES + 1));
}

fn of_field(section: Key<'_>, pair: &Pair<'_>, diff: &mut DataDiff) {
    let (Value::Object(was), Value::Object(is)) = (pair.old, pair.new) else { return };
    for (name, old, new) in changed(was, is) {
        let part = match name {
            "value" => FieldPart::Value,
            "unit" => FieldPart::Unit,
            "notes" => FieldPart::Notes,
            "source" => FieldPart::Source,
            "label" => FieldPart::Label,
            _ => FieldPart::Other,
        };
        let (old, new) = privacy::of_field_member(section.0, name, was, is).store(old, new);
        let key = (part == FieldPart::Other).then(|| name.to_owned());
        diff.fields.push(FieldChange { part, key, old, new, ..captioned(section, pair.key, is) });
    }
}

fn whole_field(section: Key<'_>, lone: &Lone<'_>, old: Option<&Value>, new: Option<&Value>) -> FieldChange {
    let (old, new) = privacy::of_field(section.0, lone.item).store(old, new);
    let nothing = Map::new();
    let members = lone.item.as_object().unwrap_or(&nothing);
    FieldChange { position: Some(lone.position), old, new, ..captioned(section, lone.key, members) }
}

/// A change of a field that says only which field it is.
fn captioned(section: Key<'_>, field: Key<'_>, members: &Map<String, Value>) -> FieldChange {
    let caption = |key| caption(members.get(key), privacy::of_field_member(section.0, key, members, members));
    FieldChange {
        section: section.0.to_owned(),
        section_occurrence: section.1,
        field: field.0.to_owned(),
        occurrence: field.1,
        part: FieldPart::Whole,
        key: None,
        position: None,
        old: None,
        new: None,
        label: caption("label"),
        unit: caption("unit"),
    }
}

/// A short text that goes along with a change; `None` if it is empty or no text.
fn caption(text: Option<&Value>, place: Place) -> Option<Stored> {
    let text: String = text?.as_str()?.chars().take(MAX_CAPTION_CHARACTERS).collect();
    if text.is_empty() { None } else { place.store(None, Some(&Value::String(text))).1 }
}

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().filter_map(id).map(str::to_owned).collect()
}
