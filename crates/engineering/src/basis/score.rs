//! How far the data carry the design: section 2.2.

use super::flow::Treated;
use super::targets::Aims;
use super::{Confidence, InfluentParameter, Notes, Origin};
use crate::facts::SectorKind;
use crate::note::{Mark, TraceEntry};
use crate::parameter::Parameter;
use crate::sheet::SheetReading;

pub(super) fn of(
    sheet: &SheetReading,
    kind: SectorKind,
    treated: &Treated,
    aims: &Aims,
    influent: &[InfluentParameter],
    notes: &mut Notes,
) -> (f64, Confidence) {
    use Parameter as P;
    let quality = |parameter: P| {
        influent
            .iter()
            .find(|influent| influent.parameter == parameter)
            .map_or(0.0, |influent| influent.origin.quality())
    };
    let mean = |parameters: &[P]| parameters.iter().map(|&p| quality(p)).sum::<f64>() / parameters.len() as f64;
    let number = |reading: &Option<crate::sheet::NumberReading>| {
        reading.as_ref().map_or(0.4, |reading| Origin::from(reading.origin).quality())
    };
    let flow = 0.6 * treated.origin.quality()
        + 0.2 * number(&sheet.operating_hours_per_day)
        + 0.2 * number(&sheet.peak_factor);
    let limits = match (aims.guessed, aims.assumed, sheet.discharge.is_some()) {
        (true, _, _) => 0.2,
        (false, true, _) | (false, false, false) => 0.4,
        (false, false, true) => 0.8,
    };
    let reuse = !sheet.reuse.is_empty();
    let any = |parameters: &[P]| parameters.iter().map(|&p| quality(p)).fold(0.0, f64::max);
    let mut groups: Vec<(&str, f64, f64)> =
        vec![("flow", 25.0, flow), ("limits", 15.0, limits), ("ph_temperature", 6.0, mean(&[P::Ph, P::Temperature]))];
    match kind {
        SectorKind::Domestic | SectorKind::Food => {
            groups.push(("organic", 20.0, mean(&[P::Bod5, P::Cod, P::Tss])));
            groups.push(("oil", 8.0, quality(P::OilGrease)));
            groups.push(("nutrients", 8.0, mean(&[P::Tn, P::Tp])));
        }
        SectorKind::Chemical => {
            groups.push(("organic", 20.0, mean(&[P::Bod5, P::Cod, P::Tss])));
            groups.push(("nutrients", 8.0, mean(&[P::Tn, P::Tp])));
            groups.push(("salts", 8.0, any(&[P::Tds, P::Conductivity])));
            groups.push(("metals_color", 5.0, any(&[P::Color, P::Chromium, P::Zinc, P::Copper])));
        }
        SectorKind::OilMetal => {
            groups.push(("organic", 20.0, mean(&[P::Cod, P::Tss])));
            groups.push(("oil", 8.0, any(&[P::OilGrease, P::Tph])));
            groups.push(("salts", 8.0, any(&[P::Tds, P::Conductivity])));
            groups.push(("metals", 5.0, P::METALS.iter().map(|&p| quality(p)).fold(0.0, f64::max)));
        }
        SectorKind::Supply => {
            groups.push(("solids", 20.0, mean(&[P::Turbidity, P::Tss])));
            groups.push(("salts", 8.0, any(&[P::Tds, P::Conductivity, P::Hardness])));
            groups.push(("metals", 5.0, any(&[P::Arsenic, P::Iron, P::Manganese])));
            groups.push(("organisms", 5.0, any(&[P::TotalColiforms, P::FecalColiforms, P::EColi])));
        }
    }
    // Salts and organisms count once: the groups above have the salts of industry and both of supply.
    if reuse && matches!(kind, SectorKind::Domestic | SectorKind::Food) {
        groups.push(("salts_for_reuse", 8.0, any(&[P::Tds, P::Conductivity])));
    }
    if reuse && matches!(kind, SectorKind::Domestic | SectorKind::Food | SectorKind::Chemical) {
        groups.push(("organisms_for_reuse", 5.0, any(&[P::TotalColiforms, P::FecalColiforms, P::EColi])));
    }
    let weights: f64 = groups.iter().map(|group| group.1).sum();
    let score = groups.iter().map(|(_, weight, quality)| weight * quality).sum::<f64>() / weights;
    let critical = [
        !treated.origin.is_given(),
        aims.assumed || aims.guessed,
        kind != SectorKind::Supply && (quality(P::Bod5).max(quality(P::Cod)) < 0.5),
    ];
    let criticals = critical.into_iter().filter(|&missing| missing).count();
    let by_score = if score >= 0.85 && criticals == 0 {
        Confidence::High
    } else if score >= 0.65 {
        Confidence::Medium
    } else {
        Confidence::Low
    };
    let cap = match criticals {
        0 => Confidence::High,
        1 if !aims.guessed => Confidence::Medium,
        _ => Confidence::Low,
    };
    let confidence = by_score.min(cap);
    let mut entry = TraceEntry::new("basis.data_score", "S = sum(w q) / sum(w)", Mark::E, "engineering basis 2.2");
    for (name, weight, quality) in &groups {
        entry = entry.input(&format!("{name}_weight"), *weight).input(&format!("{name}_quality"), *quality);
    }
    notes.trace.push(entry.output("score", score).output("critical_defaults", criticals as f64));
    (score, confidence)
}
