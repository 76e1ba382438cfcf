//! The calculations that a proposal shows; all of them are in the events of its steps.

use domain::document::Calculation;
use engineering::TraceEntry;

use crate::design::Design;

/// The most calculations that a proposal shows.
const MOST_ENTRIES: usize = 200;
/// The most bytes of JSON that they fill.
const MOST_BYTES: usize = 64 * 1024;

/// The calculations in the order of the steps. If there are too many, costs and sizes are kept first, then the basis,
/// then the comparison of trains that were not chosen.
pub(super) fn of(design: &Design) -> Vec<Calculation> {
    let [basis, comparison, plant, costs] = design.traces();
    let mut kept: Vec<((usize, usize), Calculation)> = Vec::new();
    let mut bytes = "[]".len();
    for (step, entries) in [(3, costs), (2, plant), (0, basis), (1, comparison)] {
        for (place, entry) in entries.iter().enumerate() {
            let calculation = calculation(entry);
            // A calculation is plain data; one that could not be written would not be shown.
            let Ok(json) = serde_json::to_string(&calculation) else { continue };
            if kept.len() < MOST_ENTRIES && bytes + json.len() < MOST_BYTES {
                bytes += json.len() + 1;
                kept.push(((step, place), calculation));
            }
        }
    }
    kept.sort_by_key(|(place, _)| *place);
    kept.into_iter().map(|(_, calculation)| calculation).collect()
}

fn calculation(entry: &TraceEntry) -> Calculation {
    Calculation {
        tool: entry.tool.clone(),
        inputs: entry.inputs.clone(),
        outputs: entry.outputs.clone(),
        formula: entry.formula.clone(),
        source: entry.source.clone(),
        verified: Some(entry.verified),
    }
}
