//! Which flow is treated, its peaks and whether it is equalised: sections 1.3 and 2.1.

use super::{Assumption, FlowSource, Notes, Origin, with_range};
use crate::facts::SectorKind;
use crate::note::{Mark, TraceEntry, Warning, WarningCode, shown};
use crate::sheet::{FlowField, Objective, SheetReading};
use units::Flow;

/// The treated flow and where it comes from.
pub(super) struct Treated {
    pub(super) flow: Flow,
    pub(super) source: FlowSource,
    pub(super) origin: Origin,
}

const WASTEWATER: &str = "economics-scale/wastewater-generated";
const CONSUMPTION: &str = "economics-scale/water-consumption";

pub(super) fn treated(
    sheet: &SheetReading,
    kind: SectorKind,
    subsector: &str,
    notes: &mut Notes,
) -> Result<Treated, Warning> {
    inconsistent(sheet, notes);
    if let Some(design) = sheet.design_flow.given() {
        let (flow, origin) = (design.flow_m3_per_day, design.origin.into());
        let treated = Treated { flow, source: FlowSource::DesignFlow, origin };
        let entry = trace("design flow as set by the user", Mark::D, "unit algebra");
        return Ok(traced(treated, entry.input("given_m3_per_day", flow.m3_per_day()), notes));
    }
    if kind == SectorKind::Supply {
        if let Some(demand) = sheet.consumption.given() {
            const RECOVERY: f64 = 0.9;
            let flow = Flow::clamped(demand.flow_m3_per_day.m3_per_day() / RECOVERY);
            let text = format!(
                "The flow to be treated is the water demand of {} m³/d over an overall recovery of 0.90, {} m³/d.",
                shown(demand.flow_m3_per_day.m3_per_day()),
                shown(flow.m3_per_day())
            );
            notes.assumptions.push(
                Assumption::new("Overall recovery", text, Mark::E, "engineering basis 1.3")
                    .number((0.85, 0.9, 0.97), "-"),
            );
            let treated = Treated { flow, source: FlowSource::Demand, origin: demand.origin.into() };
            let entry = trace("Q = demand / recovery", Mark::E, "engineering basis 1.3");
            let entry = entry.input("demand_m3_per_day", demand.flow_m3_per_day.m3_per_day());
            return Ok(traced(treated, entry.input("recovery", RECOVERY), notes));
        }
        return Err(missing(sheet, CONSUMPTION));
    }
    if let Some(given) = sheet.wastewater.given() {
        let (flow, origin) = (given.flow_m3_per_day, given.origin.into());
        let treated = Treated { flow, source: FlowSource::Wastewater, origin };
        let entry = trace("wastewater generated, as given", Mark::D, "unit algebra");
        return Ok(traced(treated, entry.input("given_m3_per_day", flow.m3_per_day()), notes));
    }
    // A flow of zero or less is a mistake only its author can correct; it is not replaced by an assumption.
    if let FlowField::Impossible { field } = &sheet.wastewater {
        return Err(missing(sheet, field));
    }
    if let Some(consumption) = sheet.consumption.given() {
        let (range, mark, source) = match kind {
            SectorKind::Domestic => ((0.7, 0.8, 0.85), Mark::K, "Metcalf & Eddy 5th ed., return factor 0.7-0.85"),
            SectorKind::Food | SectorKind::Chemical | SectorKind::OilMetal | SectorKind::Supply => {
                ((0.85, 0.9, 0.95), Mark::E, "engineering basis 1.3, wet industry 0.85-0.95")
            }
        };
        let used = consumption.flow_m3_per_day.m3_per_day();
        let flow = Flow::clamped(used * range.1);
        let text = format!(
            "The wastewater flow is not given: {} taken as {} of the water consumption of {} m³/d.",
            with_range((used * range.0, used * range.1, used * range.2), "m³/d"),
            shown(range.1),
            shown(used)
        );
        let assumption = Assumption::new("Wastewater flow", text, mark, source);
        notes.assumptions.push(assumption.number((used * range.0, used * range.1, used * range.2), "m³/d").critical());
        let treated = Treated { flow, source: FlowSource::ReturnedConsumption, origin: Origin::Derived };
        let entry = trace("Q = consumption x return factor", mark, source).input("consumption_m3_per_day", used);
        return Ok(traced(treated, entry.input("return_factor", range.1), notes));
    }
    if let (SectorKind::Domestic, Some(people)) = (kind, &sheet.people) {
        let (least, most) = (people.least.value(), people.most.map_or(people.least.value() * 1.5, units::Ratio::value));
        let count = f64::midpoint(least, most);
        let (low, litres, high) = match subsector {
            "hotel" => (200.0, 300.0, 500.0),
            "shopping mall" => (5.0, 8.0, 10.0),
            _ => (120.0, 180.0, 250.0),
        };
        let range = (least * low / 1000.0, count * litres / 1000.0, most * high / 1000.0);
        let text = format!(
            "The wastewater flow is not given: {} taken as {} people at {} L per person and day.",
            with_range(range, "m³/d"),
            shown(count),
            shown(litres)
        );
        let assumption = Assumption::new("Wastewater flow", text, Mark::K, "Metcalf & Eddy 5th ed., ch. 3");
        notes.assumptions.push(assumption.number(range, "m³/d").critical());
        let treated = Treated { flow: Flow::clamped(range.1), source: FlowSource::People, origin: Origin::Derived };
        let entry = trace("Q = people x volume per person / 1000", Mark::K, "Metcalf & Eddy 5th ed., ch. 3");
        let entry = entry.input("people", count).input("volume_l_per_person_day", litres);
        return Ok(traced(treated, entry, notes));
    }
    Err(missing(sheet, WASTEWATER))
}

fn trace(formula: &str, mark: Mark, source: &str) -> TraceEntry {
    TraceEntry::new("basis.flow", formula, mark, source)
}

fn traced(treated: Treated, entry: TraceEntry, notes: &mut Notes) -> Treated {
    notes.trace.push(entry.output("flow_m3_per_day", treated.flow.m3_per_day()));
    treated
}

fn missing(sheet: &SheetReading, field: &str) -> Warning {
    let message = "There is no usable flow: give the wastewater generated (or the water consumption) as a number above \
                   zero with its unit.";
    let mut warning = Warning::new(WarningCode::FlowMissing, message).at(field);
    for other in [&sheet.wastewater, &sheet.consumption].into_iter().filter_map(FlowField::refused) {
        if other != field {
            warning = warning.at(other);
        }
    }
    warning
}

fn inconsistent(sheet: &SheetReading, notes: &mut Notes) {
    let (Some(used), Some(wasted)) = (sheet.consumption.given(), sheet.wastewater.given()) else { return };
    if wasted.flow_m3_per_day.m3_per_day() > 1.05 * used.flow_m3_per_day.m3_per_day() {
        let message = format!(
            "The wastewater ({} m³/d) is more than the water consumption ({} m³/d); the wastewater was used as given.",
            shown(wasted.flow_m3_per_day.m3_per_day()),
            shown(used.flow_m3_per_day.m3_per_day())
        );
        notes.warnings.push(Warning::new(WarningCode::FlowInconsistent, message).at(&wasted.field).at(&used.field));
    }
}

/// Peaks and hours.
pub(super) struct Peaks {
    pub(super) raw: f64,
    pub(super) equalised: bool,
    pub(super) hours: f64,
}

pub(super) fn peaks(sheet: &SheetReading, kind: SectorKind, flow: Flow, notes: &mut Notes) -> Peaks {
    let hours = match &sheet.operating_hours_per_day {
        Some(hours) => hours.value.value(),
        None => {
            let text = "The operating hours are not given: 24 h/d assumed.".to_owned();
            let assumption = Assumption::new("Operating hours", text, Mark::E, "engineering basis 2.1");
            notes.assumptions.push(assumption.number((8.0, 24.0, 24.0), "h/d"));
            24.0
        }
    };
    let given = sheet.peak_factor.as_ref().filter(|peak| (1.0..=5.0).contains(&peak.value.value()));
    let raw = match given {
        Some(peak) => {
            if peak.origin == crate::sheet::ReadingOrigin::TemplateDefault {
                let text = "The peak factor of 2 is the template's value and counts as assumed.".to_owned();
                let assumption = Assumption::new("Peak factor", text, Mark::E, "template of the technical sheet");
                notes.assumptions.push(assumption.number((1.5, 2.0, 3.0), "-"));
            }
            peak.value.value()
        }
        None => {
            let (factor, formula, mark, source) = match kind {
                SectorKind::Domestic | SectorKind::Supply => {
                    let thousands = flow.m3_per_day() / 0.18 / 1000.0;
                    let harmon = (1.0 + 14.0 / (4.0 + thousands.sqrt())).clamp(1.5, 5.0);
                    (
                        harmon,
                        "PF = 1 + 14/(4 + sqrt(P/1000)), P = Q/0.18",
                        Mark::K,
                        "Ten States Standards 2014 (Harmon)",
                    )
                }
                SectorKind::Food | SectorKind::Chemical | SectorKind::OilMetal => {
                    ((24.0 / hours * 1.2).clamp(1.2, 5.0), "PF = 24/hours x 1.2", Mark::E, "engineering basis 2.1")
                }
            };
            notes.trace.push(
                TraceEntry::new("basis.peak_factor", formula, mark, source)
                    .input("flow_m3_per_day", flow.m3_per_day())
                    .input("operating_hours_per_day", hours)
                    .output("peak_factor", factor),
            );
            let why = if sheet.peak_factor.is_some() { "outside 1 to 5" } else { "not given" };
            let text = format!("The peak factor is {why}: {} taken by {formula}.", shown(factor));
            notes.assumptions.push(Assumption::new("Peak factor", text, mark, source).number((1.2, factor, 5.0), "-"));
            factor
        }
    };
    let industry = match kind {
        SectorKind::Food | SectorKind::Chemical | SectorKind::OilMetal => true,
        SectorKind::Domestic | SectorKind::Supply => false,
    };
    let equalised = kind != SectorKind::Supply && (industry || raw > 1.5 || hours < 20.0);
    Peaks { raw, equalised, hours }
}

/// The objective, or what the rest of the sheet says it is.
pub(super) fn objective(sheet: &SheetReading) -> Objective {
    match sheet.objective {
        Some(objective) => objective,
        None if !sheet.reuse.is_empty() => Objective::Reuse,
        None => Objective::Discharge,
    }
}
