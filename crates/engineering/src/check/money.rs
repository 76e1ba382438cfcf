//! Checks of sums, energy, sanity ranges and returns.

use super::{Check, CheckStatus, check, close, usd};
use crate::basis::DesignBasis;
use crate::cost::CostEstimate;
use crate::facts::SectorKind;
use crate::note::shown;
use crate::process::ProcessId;
use crate::sizing::Plant;
use units::Money;

pub(super) fn equipment_sum(plant: &Plant, estimate: &CostEstimate) -> Check {
    let sum = Money::sum(estimate.capex.equipment.year, plant.equipment.iter().map(|item| item.capex));
    let fine = sum == estimate.capex.equipment && sum.cents > 0;
    check(
        "C03",
        "Equipment list adds up to the equipment cost",
        fine,
        CheckStatus::Failed,
        usd(estimate.capex.equipment),
        usd(sum),
    )
}

pub(super) fn lines_sum(estimate: &CostEstimate) -> Check {
    let (capex, opex) = (&estimate.capex, &estimate.opex);
    let capex_sum = [capex.civil_works, capex.installation_piping, capex.engineering_supervision, capex.contingency]
        .into_iter()
        .fold(capex.equipment, Money::plus);
    let opex_sum = [opex.chemicals, opex.personnel, opex.maintenance_spare_parts]
        .into_iter()
        .fold(opex.electrical_energy, Money::plus);
    let fine = capex_sum == capex.total && opex_sum == opex.total;
    let text = |one: Money, other: Money| format!("{} and {}", usd(one), usd(other));
    check(
        "C04",
        "CAPEX and OPEX are the sums of their lines",
        fine,
        CheckStatus::Failed,
        text(capex.total, opex.total),
        text(capex_sum, opex_sum),
    )
}

pub(super) fn energy(plant: &Plant, estimate: &CostEstimate) -> Check {
    let kwh: f64 = plant.equipment.iter().map(crate::sizing::energy_kwh).sum();
    let cost = kwh * 365.0 * estimate.tariff_usd_per_kwh.value();
    let fine =
        close(kwh, plant.energy_kwh_per_day.kwh(), 0.02) && close(cost, estimate.opex.electrical_energy.usd(), 0.02);
    check(
        "C19",
        "Energy of the equipment list equals the energy cost",
        fine,
        CheckStatus::Failed,
        usd(estimate.opex.electrical_energy),
        format!("{cost:.2} USD"),
    )
}

/// kWh/m³ is what the units use, and for sewage what such plants use (6.5).
pub(super) fn specific_energy(basis: &DesignBasis, plant: &Plant) -> Check {
    let title = "Specific energy is that of the units, and usual for sewage";
    let has = |id: ProcessId| plant.units.iter().any(|unit| unit.process == id);
    let kwh: f64 = plant.equipment.iter().map(crate::sizing::energy_kwh).sum();
    let (found, stated) = (kwh / plant.flow_m3_per_day.m3_per_day(), plant.specific_energy_kwh_per_m3.value());
    let mut usual = if has(ProcessId::Uasb) {
        // 0.02-0.1 for the reactor, and up to 0.6 for polishing what it leaves.
        (0.02, 0.7)
    } else if has(ProcessId::Sbr) {
        (0.4, 0.9)
    } else if has(ProcessId::ExtendedAeration) {
        (0.6, 1.2)
    } else {
        (0.3, 0.6)
    };
    if has(ProcessId::ReverseOsmosis) {
        usual = (usual.0 + 0.5, usual.1 + 1.2);
    }
    // A strong water needs more per m³ by its strength: the ranges are those of sewage.
    let in_range = basis.kind != SectorKind::Domestic || (usual.0..=usual.1).contains(&found);
    let equal = close(found, stated, 0.02);
    let otherwise = if equal { CheckStatus::Warning } else { CheckStatus::Failed };
    let expected = if basis.kind == SectorKind::Domestic {
        format!("{} to {} kWh/m³", shown(usual.0), shown(usual.1))
    } else {
        format!("{} kWh/m³", shown(found))
    };
    check("C18", title, equal && in_range, otherwise, expected, format!("{} kWh/m³", shown(stated)))
}

/// Usual CAPEX in USD per m³/d at 50-250, 250-1,000, above 1,000 m³/d, and OPEX in USD/m³, by the core of the train.
fn sanity(basis: &DesignBasis, plant: &Plant) -> ([(f64, f64); 3], (f64, f64), &'static str) {
    let has = |id: ProcessId| plant.units.iter().any(|unit| unit.process == id);
    let industry = match basis.kind {
        SectorKind::Food | SectorKind::Chemical | SectorKind::OilMetal => true,
        SectorKind::Domestic | SectorKind::Supply => false,
    };
    let polish = if has(ProcessId::ReverseOsmosis) {
        [(1000.0, 3000.0), (700.0, 1800.0), (400.0, 1000.0)]
    } else {
        [(0.0, 0.0); 3]
    };
    let (capex, opex, name) = if has(ProcessId::MetalsPrecipitation)
        && !has(ProcessId::SecondaryClarifier)
        && !has(ProcessId::Sbr)
    {
        ([(1500.0, 5000.0), (1000.0, 3000.0), (700.0, 2500.0)], (0.8, 4.0), "metals, physico-chemical")
    } else if has(ProcessId::Daf) || has(ProcessId::Coagulation) {
        (
            [(2500.0, 8000.0), (1500.0, 4500.0), (900.0, 3000.0)],
            (0.8, 3.0),
            "flotation or coagulation + biological, industry",
        )
    } else if has(ProcessId::Uasb) && industry {
        // Between the sewage works with UASB and the strong waters of industry.
        (
            [(800.0, 8000.0), (500.0, 4500.0), (250.0, 3000.0)],
            (0.08, 3.0),
            "UASB + aerobic polish, strong industrial water",
        )
    } else if industry {
        ([(2500.0, 8000.0), (1500.0, 4500.0), (900.0, 3000.0)], (0.8, 3.0), "biological, industry")
    } else if has(ProcessId::Uasb) {
        ([(800.0, 2000.0), (500.0, 1300.0), (250.0, 800.0)], (0.08, 0.30), "UASB + aerobic polish")
    } else {
        ([(900.0, 2500.0), (600.0, 1600.0), (400.0, 1200.0)], (0.15, 0.60), "extended aeration, SBR, activated sludge")
    };
    let with = |n: usize| (capex[n].0 + polish[n].0, capex[n].1 + polish[n].1);
    let more = if has(ProcessId::ReverseOsmosis) { (0.3, 0.9) } else { (0.0, 0.0) };
    ([with(0), with(1), with(2)], (opex.0 + more.0, opex.1 + more.1), name)
}

pub(super) fn whole_plant(basis: &DesignBasis, plant: &Plant, estimate: &CostEstimate) -> Check {
    let (bands, opex, name) = sanity(basis, plant);
    let flow = basis.flow_m3_per_day.m3_per_day();
    let band = if flow < 250.0 {
        bands[0]
    } else if flow < 1000.0 {
        bands[1]
    } else {
        bands[2]
    };
    let (unit_capex, unit_opex) = (estimate.capex_usd_per_m3_per_day.value(), estimate.opex_usd_per_m3.value());
    let lang = estimate.capex.total.usd() / estimate.capex.equipment.usd().max(0.01);
    let fine = (band.0..=band.1).contains(&unit_capex)
        && (opex.0..=opex.1).contains(&unit_opex)
        && (1.5..=3.4).contains(&lang);
    let expected = format!(
        "{} to {} USD per m³/d, {} to {} USD/m³ ({name}), CAPEX 1.5 to 3.4 x equipment",
        shown(band.0),
        shown(band.1),
        shown(opex.0),
        shown(opex.1)
    );
    let actual =
        format!("{} USD per m³/d, {} USD/m³, {} x equipment", shown(unit_capex), shown(unit_opex), shown(lang));
    check("C20", "Cost within what such plants cost", fine, CheckStatus::Warning, expected, actual)
}

pub(super) fn classes(basis: &DesignBasis, estimate: &CostEstimate) -> Check {
    let capex = &estimate.capex;
    let before =
        capex.equipment.plus(capex.civil_works).plus(capex.installation_piping).plus(capex.engineering_supervision);
    let share = capex.contingency.usd() / before.usd().max(0.01) * 100.0;
    let stated = estimate.accuracy.contingency_percent.value();
    let class = estimate.accuracy.aace_class;
    // Class 3 on defaults is not possible.
    let fine = (share - stated).abs() < 0.01 && (class > 3 || basis.confidence == crate::basis::Confidence::High);
    check(
        "C21",
        "Contingency and accuracy match the class of the estimate",
        fine,
        CheckStatus::Failed,
        format!("{stated:.1} %, class {class}"),
        format!("{share:.1} %"),
    )
}

pub(super) fn payback(estimate: &CostEstimate) -> Check {
    let values = [
        estimate.annual_savings.map(Money::usd),
        estimate.payback_years.map(units::Ratio::value),
        estimate.roi_percent.map(units::Ratio::value),
    ];
    let fine = values.iter().flatten().all(|value| value.is_finite() && *value > 0.0);
    let actual = if values.iter().any(Option::is_some) { "above zero" } else { "absent" };
    check(
        "C29",
        "Payback and return are above zero or absent",
        fine,
        CheckStatus::Failed,
        "above zero or absent".to_owned(),
        actual.to_owned(),
    )
}
