//! The project data document: one free JSON object per project, usually holding the technical sheet.
//!
//! Nothing here enforces a shape. What people store is stored; parts that look like the sheet are compared by section
//! and field, everything else as plain JSON. [`too_large`] says what no project may hold, [`merge()`] makes the new
//! document (a replacement needs no function: the body *is* the new document), [`diff()`] says what became different
//! and [`apply()`] makes that difference again on replay.
//!
//! Texts that may say something about a person are wrapped in [`crate::Personal`] wherever a [`DataDiff`] holds them.
//! What counts as such is decided by place, in `privacy`.

mod apply;
mod bounds;
mod changes;
mod compare;
mod completeness;
mod matching;
mod merge;
mod pointer;
mod privacy;
mod stored;
mod timeline;

#[cfg(test)]
mod tests;

pub use apply::apply;
pub use bounds::{MAX_BYTES, too_large};
pub use changes::{DataDiff, FieldChange, FieldPart, OrderChange, PointerChange, SectionChange, SectionPart, touched};
pub use compare::diff;
pub use completeness::{Completeness, completeness};
pub use merge::merge;
pub use stored::Stored;
pub use timeline::{TimelineChange, join, timeline_changes, visible};

/// The member of the document that holds the technical sheet.
pub const SHEET: &str = "technical_sections";
