//! Engineering of water and wastewater treatment: from a technical sheet to sized, costed and checked treatment trains.
//!
//! Pure functions, one after another; each result is plain data that is stored as the output of a finished step, and
//! the next step gets only those and the [`Facts`]:
//!
//! 1. [`sheet::read`] reads the technical sheet, whatever JSON it is.
//! 2. [`basis::derive`] sets flows, loads, limits and every assumption about missing data.
//! 3. [`train::compare`] builds, sizes, costs and ranks candidate trains.
//! 4. [`sizing::size`] sizes the chosen train.
//! 5. [`cost::estimate`] estimates CAPEX and OPEX.
//! 6. [`check::run`] checks all of it against itself.
//!
//! The same input always gives byte-equal results: no clock, no randomness, only ordered collections. Each number has a
//! [`TraceEntry`] with formula, inputs, source and [`Mark`]; an estimate is never dressed as literature.

pub mod basis;
pub mod check;
pub mod cost;
mod defaults;
mod facts;
mod limits;
mod note;
mod parameter;
pub mod process;
mod reference;
pub mod report;
pub mod sheet;
pub mod sizing;
pub mod train;
mod water;

pub use basis::{Assumption, Confidence, DesignBasis, InfluentParameter, Origin};
pub use check::{Check, CheckStatus};
pub use cost::{Accuracy, Capex, CostEstimate, Opex};
pub use facts::{Country, Facts, Language, ProposalType, SectorKind};
pub use limits::{Limit, Receiver, Regulation, ReuseUse};
pub use note::{Figure, Mark, TraceEntry, Unusable, Warning, WarningCode};
pub use parameter::{Kind, Parameter};
pub use process::{ProcessId, Stage, UnknownProcess};
pub use reference::ReferenceMatch;
pub use sheet::SheetReading;
pub use sizing::{EfficiencyRow, Equipment, Plant, SideStream, UnitResult};
pub use train::{Candidate, Gate, RejectedAlternative, RejectionCode, Sensitivity, Train, TrainComparison, Weights};
