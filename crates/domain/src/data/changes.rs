//! What became different in a document, as events hold it. Kept for ever: members are added (optional), never renamed.

use serde::{Deserialize, Serialize};

use super::stored::{Stored, present};

/// What became different in a document. In each list the changes stand in the order in which they are made again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataDiff {
    /// Fields of the sheet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// Sections of the sheet, their fields apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<SectionChange>,
    /// Sections or fields put into another order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<OrderChange>,
    /// What lies outside the sheet, and a sheet that does not fit its shape.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pointers: Vec<PointerChange>,
}

impl DataDiff {
    /// Whether nothing became different.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many changes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.fields.len() + self.sections.len() + self.orders.len() + self.pointers.len()
    }
}

/// One changed part of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// The section's id.
    pub section: String,
    /// How many sections before it have the same id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub section_occurrence: u32,
    /// The field's id.
    pub field: String,
    /// How many fields before it, in its section, have the same id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub occurrence: u32,
    /// What of the field became different.
    pub part: FieldPart,
    /// The field's key, for [`FieldPart::Other`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where a [`FieldPart::Whole`] field stands: in the new list if it came, in the old one if it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// What it was; `None` if it was absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub old: Option<Stored>,
    /// What it is; `None` if it is absent now.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub new: Option<Stored>,
    /// The field's label in the new state, for people who read the change without the document.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub label: Option<Stored>,
    /// The field's unit in the new state, for the same people.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub unit: Option<Stored>,
}

/// Which part of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldPart {
    /// `value`.
    Value,
    /// `unit`.
    Unit,
    /// `notes`.
    Notes,
    /// `source`.
    Source,
    /// `label`.
    Label,
    /// Any other key: [`FieldChange::key`] says which.
    Other,
    /// The whole field: it was added (nothing old) or removed (nothing new).
    Whole,
}

/// One changed part of a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SectionChange {
    /// The section's id.
    pub section: String,
    /// How many sections before it have the same id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub occurrence: u32,
    /// What of the section became different.
    pub part: SectionPart,
    /// JSON pointer inside the section; absent for [`SectionPart::Whole`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Where a [`SectionPart::Whole`] section stands: in the new list if it came, in the old one if it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// What it was; `None` if it was absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub old: Option<Stored>,
    /// What it is; `None` if it is absent now.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub new: Option<Stored>,
    /// The section's title in the new state, for people who read the change without the document.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub title: Option<Stored>,
}

/// Which part of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SectionPart {
    /// The whole section: it was added (nothing old) or removed (nothing new).
    Whole,
    /// `title`: it was renamed.
    Title,
    /// `notes`.
    Notes,
    /// `fields` that do not fit the shape of a list of fields, compared as plain JSON.
    Fields,
    /// Any other key.
    Other,
}

/// Another order of sections or of one section's fields, as all ids of the old and the new list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderChange {
    /// The section whose fields moved; absent if the sections did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// How many sections before it have the same id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub occurrence: u32,
    /// The ids before, with those that went.
    pub old: Vec<String>,
    /// The ids now, with those that came.
    pub new: Vec<String>,
}

/// A change outside the sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PointerChange {
    /// JSON pointer into the document.
    pub pointer: String,
    /// What it was; `None` if it was absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub old: Option<Stored>,
    /// What it is; `None` if it is absent now.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub new: Option<Stored>,
}

/// Section and field id of every field that was there before and got another value: what a template brought counts as
/// a default until then, afterwards as entered.
pub fn touched(diff: &DataDiff) -> impl Iterator<Item = (&str, &str)> {
    let values = diff.fields.iter().filter(|change| change.part == FieldPart::Value);
    values.map(|change| (change.section.as_str(), change.field.as_str()))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(occurrence: &u32) -> bool {
    *occurrence == 0
}
