//! Checks a finished design against itself (section 7 of the engineering basis).

use crate::basis::DesignBasis;
use crate::cost::CostEstimate;
use crate::sizing::Plant;
use crate::train::TrainComparison;
use serde::{Deserialize, Serialize};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As it should be.
    Passed,
    /// Wrong: the proposal must not be published like this, or says so.
    Failed,
    /// Unusual: the reader must know.
    Warning,
    /// It does not apply.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The code of the basis, for example `C04`; unique.
    pub id: String,
    /// What is checked.
    pub title: String,
    /// How it ended.
    pub status: CheckStatus,
    /// What was expected.
    pub expected: Option<String>,
    /// What was found.
    pub actual: Option<String>,
    /// In words.
    pub message: String,
}

use crate::limits::Receiver;
use crate::note::shown;
use crate::parameter::Parameter;
use crate::process::ProcessId;
use crate::sizing::Destination;
use std::collections::BTreeSet;
use units::Money;

/// Runs every check that applies to the calculated design; those of the text (C11, C12) are the drafter's.
#[must_use]
pub fn run(basis: &DesignBasis, trains: &TrainComparison, plant: &Plant, estimate: &CostEstimate) -> Vec<Check> {
    let mut found = vec![water(basis, plant)];
    found.extend(masses(plant));
    found.extend([
        equipment_sum(plant, estimate),
        lines_sum(estimate),
        removals(plant),
        propagation(plant),
        limits(basis, plant),
        margins(basis, plant),
        each_once(basis, plant),
        catalogue(basis, plant),
        flow(basis, plant),
        criteria(plant),
        order(trains),
        sludge(plant, estimate),
        energy(plant, estimate),
        whole_plant(basis, plant, estimate),
        classes(basis, estimate),
        area(plant),
        side_streams(basis, plant),
        assumptions(basis, plant, estimate),
        traces(basis, trains, plant, estimate),
        choice(trains),
        payback(estimate),
        months(plant),
        confidence(basis),
    ]);
    found
}

/// A check that passes or has `otherwise`.
fn check(id: &str, title: &str, fine: bool, otherwise: CheckStatus, expected: String, actual: String) -> Check {
    let status = if fine { CheckStatus::Passed } else { otherwise };
    let message = match status {
        CheckStatus::Passed => format!("{title}: as expected."),
        CheckStatus::Failed | CheckStatus::Warning | CheckStatus::Skipped => {
            format!("{title}: expected {expected}, found {actual}.")
        }
    };
    Check {
        id: id.to_owned(),
        title: title.to_owned(),
        status,
        expected: Some(expected),
        actual: Some(actual),
        message,
    }
}

fn skipped(id: &str, title: &str, why: &str) -> Check {
    let (expected, actual) = (None, None);
    Check {
        id: id.to_owned(),
        title: title.to_owned(),
        status: CheckStatus::Skipped,
        expected,
        actual,
        message: why.to_owned(),
    }
}

fn close(one: f64, other: f64, tolerance: f64) -> bool {
    (one - other).abs() <= tolerance * one.abs().max(other.abs()).max(1e-9)
}

fn usd(money: Money) -> String {
    format!("{:.2} USD", money.usd())
}

fn water(basis: &DesignBasis, plant: &Plant) -> Check {
    let entering = basis.flow_m3_per_day.m3_per_day();
    let left: f64 = plant.product_m3_per_day.m3_per_day()
        + plant
            .side_streams
            .iter()
            .filter(|stream| stream.destination != Destination::HeadOfPlant)
            .map(|stream| stream.flow_m3_per_day.m3_per_day())
            .sum::<f64>();
    let units = plant.units.iter().all(|unit| {
        let out = unit.flow_out_m3_per_day.m3_per_day()
            + unit.reject_m3_per_day.m3_per_day()
            + unit.sludge_m3_per_day.m3_per_day();
        close(unit.flow_in_m3_per_day.m3_per_day(), out, 0.005)
    });
    let fine = units && close(entering, left, 0.005);
    check(
        "C01",
        "Water in equals water out",
        fine,
        CheckStatus::Failed,
        format!("{entering:.2} m³/d"),
        format!("{left:.2} m³/d"),
    )
}

fn masses(plant: &Plant) -> Option<Check> {
    let title = "Mass of conservative parameters is kept";
    if plant.balances.is_empty() {
        return Some(skipped("C02", title, "No conservative parameter is present."));
    }
    let worst = plant
        .balances
        .iter()
        .map(|balance| {
            let entering = balance.raw_kg_per_day.kg_per_day() + balance.added_kg_per_day.kg_per_day();
            let leaving = balance.effluent_kg_per_day.kg_per_day()
                + balance.sludge_kg_per_day.kg_per_day()
                + balance.concentrate_kg_per_day.kg_per_day();
            (balance.parameter.name(), (entering - leaving).abs() / entering.max(1e-12))
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let actual = format!("{:.3} % for {}", worst.1 * 100.0, worst.0);
    Some(check("C02", title, worst.1 <= 0.02, CheckStatus::Failed, "a difference within 2 %".to_owned(), actual))
}

fn equipment_sum(plant: &Plant, estimate: &CostEstimate) -> Check {
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

fn lines_sum(estimate: &CostEstimate) -> Check {
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

fn removals(plant: &Plant) -> Check {
    let off = plant.efficiency.iter().find(|row| {
        let real = if row.influent > 0.0 { (row.influent - row.effluent) / row.influent * 100.0 } else { 0.0 };
        !(0.0..=100.0).contains(&row.removal_percent) || (real.max(0.0) - row.removal_percent).abs() > 0.1
    });
    let actual = off.map_or("all rows agree".to_owned(), |row| format!("{} differs", row.name));
    check("C05", "Removal is (in - out)/in", off.is_none(), CheckStatus::Failed, "within 0.1 points".to_owned(), actual)
}

fn propagation(plant: &Plant) -> Check {
    // Each unit starts where the one before it ends, and the last one is the table.
    let linked = plant.units.windows(2).all(|pair| {
        pair[0]
            .removals
            .iter()
            .zip(&pair[1].removals)
            .all(|(left, right)| left.parameter == right.parameter && close(left.leaving, right.entering, 1e-6))
    });
    let last = plant.units.last().is_none_or(|unit| {
        plant.efficiency.iter().all(|row| {
            unit.removals.iter().any(|r| r.parameter == row.parameter && close(r.leaving, row.effluent, 0.01))
        })
    });
    let actual = if linked && last { "equal" } else { "different" };
    check(
        "C06",
        "Effluent is the product of the removals of the train",
        linked && last,
        CheckStatus::Failed,
        "equal".to_owned(),
        actual.to_owned(),
    )
}

fn limits(basis: &DesignBasis, plant: &Plant) -> Check {
    let title = "Effluent within every limit";
    if basis.limits.is_empty() {
        return skipped("C07", title, "No limit applies.");
    }
    let mut broken: Vec<&str> =
        plant.efficiency.iter().filter(|row| !row.complies).map(|row| row.name.as_str()).collect();
    for property in &plant.properties {
        let Some(limit) = basis.limit(property.parameter) else { continue };
        let low = limit.least.is_some_and(|least| property.leaving < least);
        if property.leaving > limit.most || low {
            broken.push(property.parameter.name());
        }
    }
    // A limit that is not met and said so is a finding; one that is hidden is an error.
    let honest = broken.is_empty() == plant.overall_compliance;
    let otherwise = if honest { CheckStatus::Warning } else { CheckStatus::Failed };
    let actual = if broken.is_empty() { "all met".to_owned() } else { format!("not met: {}", broken.join(", ")) };
    check("C07", title, honest && broken.is_empty(), otherwise, "all met".to_owned(), actual)
}

fn margins(basis: &DesignBasis, plant: &Plant) -> Check {
    let thin: Vec<&str> = plant
        .efficiency
        .iter()
        .filter(|row| row.complies && basis.limit(row.parameter).is_some_and(|limit| row.effluent > limit.design))
        .map(|row| row.name.as_str())
        .collect();
    let actual = if thin.is_empty() { "kept".to_owned() } else { format!("thin for {}", thin.join(", ")) };
    check("C08", "Regulatory margin kept", thin.is_empty(), CheckStatus::Warning, "kept".to_owned(), actual)
}

fn each_once(basis: &DesignBasis, plant: &Plant) -> Check {
    let wanted: Vec<Parameter> =
        basis.influent.iter().map(|influent| influent.parameter).filter(|parameter| parameter.has_load()).collect();
    let listed: Vec<Parameter> = plant.efficiency.iter().map(|row| row.parameter).collect();
    let count = |all: &[Parameter]| format!("{} parameters", all.len());
    check(
        "C09",
        "Every influent parameter once in the efficiency table",
        wanted == listed,
        CheckStatus::Failed,
        count(&wanted),
        count(&listed),
    )
}

fn catalogue(basis: &DesignBasis, plant: &Plant) -> Check {
    let stray = plant.efficiency.iter().find(|row| basis.value(row.parameter).is_none());
    let actual = stray.map_or("none".to_owned(), |row| row.name.clone());
    check(
        "C10",
        "Nothing outside the sheet, the catalogue and the library",
        stray.is_none(),
        CheckStatus::Failed,
        "none".to_owned(),
        actual,
    )
}

fn flow(basis: &DesignBasis, plant: &Plant) -> Check {
    let (one, other) = (basis.flow_m3_per_day.m3_per_day(), plant.flow_m3_per_day.m3_per_day());
    let text = |value: f64| format!("{} m³/d", shown(value));
    check(
        "C13",
        "Design flow is the flow to be treated",
        close(one, other, 0.001),
        CheckStatus::Failed,
        text(one),
        text(other),
    )
}

fn criteria(plant: &Plant) -> Check {
    let off = |value: f64, least: f64, most: f64| {
        if value > most && most > 0.0 {
            value / most - 1.0
        } else if value < least && least > 0.0 {
            1.0 - value / least
        } else {
            0.0
        }
    };
    let worst = plant
        .units
        .iter()
        .flat_map(|unit| unit.criteria.iter().map(move |c| (unit, c, off(c.value, c.least, c.most))))
        .max_by(|a, b| a.2.total_cmp(&b.2));
    match worst {
        None => skipped("C14", "Design criteria in their ranges", "The train has no criteria."),
        Some((unit, criterion, off)) => {
            let expected = format!("{} to {} {}", shown(criterion.least), shown(criterion.most), criterion.unit);
            let actual = format!("{} {} ({}, {})", shown(criterion.value), criterion.unit, unit.name, criterion.name);
            // Beyond half the range again the unit is not what its data describe.
            let otherwise = if off > 0.5 { CheckStatus::Failed } else { CheckStatus::Warning };
            check("C14", "Design criteria in their ranges", off <= 0.001, otherwise, expected, actual)
        }
    }
}

fn order(trains: &TrainComparison) -> Check {
    let units = &trains.chosen.units;
    let mut missing = Vec::new();
    for (place, unit) in units.iter().enumerate() {
        let spec = unit.process().spec();
        let before = spec.before.iter().filter(|group| !units[..place].iter().any(|u| group.contains(u)));
        let after = spec.after.iter().filter(|group| !units[place + 1..].iter().any(|u| group.contains(u)));
        for group in before.chain(after) {
            // Domestic plants below the swing that needs it have no equalisation.
            if group.contains(&ProcessId::Equalisation) {
                continue;
            }
            missing.push(format!("{} for {}", group[0].name(), unit.name()));
        }
    }
    let sorted = units.windows(2).all(|pair| pair[0] < pair[1]);
    let actual =
        if missing.is_empty() && sorted { "in order".to_owned() } else { format!("missing: {}", missing.join(", ")) };
    check(
        "C16",
        "Order and prerequisites of the train",
        missing.is_empty() && sorted,
        CheckStatus::Failed,
        "in order".to_owned(),
        actual,
    )
}

fn sludge(plant: &Plant, estimate: &CostEstimate) -> Check {
    let dry = plant.dry_solids_kg_per_day.kg_per_day();
    let paid = estimate.opex.of_which_sludge_disposal.cents > 0;
    let wet = plant.wet_sludge_kg_per_day.kg_per_day();
    let fine = (wet < 0.5 || paid) && wet * 1.001 >= dry;
    let actual = format!(
        "{} kg/d dry, {} kg/d wet, {} per year",
        shown(dry),
        shown(wet),
        usd(estimate.opex.of_which_sludge_disposal)
    );
    check(
        "C17",
        "Sludge is accounted for and paid",
        fine,
        CheckStatus::Warning,
        "a cost for sludge that leaves".to_owned(),
        actual,
    )
}

fn energy(plant: &Plant, estimate: &CostEstimate) -> Check {
    let kwh: f64 = plant
        .equipment
        .iter()
        .map(|item| item.power_kw.kw() * item.load_factor.value() * item.hours_per_day.hours())
        .sum();
    let cost = kwh * 365.0 * estimate.tariff_usd_per_kwh.value();
    let fine = close(kwh, plant.energy_kwh_per_day.kwh(), 0.02)
        && close(cost, estimate.opex.electrical_energy.usd(), 0.02)
        && close(kwh / plant.flow_m3_per_day.m3_per_day(), plant.specific_energy_kwh_per_m3.value(), 0.02);
    check(
        "C19",
        "Energy of the equipment list equals the energy cost",
        fine,
        CheckStatus::Failed,
        usd(estimate.opex.electrical_energy),
        format!("{cost:.2} USD"),
    )
}

/// Usual CAPEX in USD per m³/d at 50-250, 250-1,000, above 1,000 m³/d, and OPEX in USD/m³, by the core of the train.
fn sanity(plant: &Plant) -> ([(f64, f64); 3], (f64, f64), &'static str) {
    let has = |id: ProcessId| plant.units.iter().any(|unit| unit.process == id);
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
    } else if has(ProcessId::Uasb) {
        ([(800.0, 2000.0), (500.0, 1300.0), (250.0, 800.0)], (0.08, 0.30), "UASB + aerobic polish")
    } else {
        ([(900.0, 2500.0), (600.0, 1600.0), (400.0, 1200.0)], (0.15, 0.60), "extended aeration, SBR, activated sludge")
    };
    let with = |n: usize| (capex[n].0 + polish[n].0, capex[n].1 + polish[n].1);
    let more = if has(ProcessId::ReverseOsmosis) { (0.3, 0.9) } else { (0.0, 0.0) };
    ([with(0), with(1), with(2)], (opex.0 + more.0, opex.1 + more.1), name)
}

fn whole_plant(basis: &DesignBasis, plant: &Plant, estimate: &CostEstimate) -> Check {
    let (bands, opex, name) = sanity(plant);
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

fn classes(basis: &DesignBasis, estimate: &CostEstimate) -> Check {
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

fn area(plant: &Plant) -> Check {
    let net: f64 = plant.units.iter().map(|unit| unit.area_m2.m2()).sum();
    let factor = plant.area_m2.m2() / net.max(1e-9);
    check(
        "C22",
        "Area is the units with room around them",
        (1.5..=2.5).contains(&factor),
        CheckStatus::Warning,
        "1.5 to 2.5 x net area".to_owned(),
        format!("{factor:.2} x"),
    )
}

fn side_streams(basis: &DesignBasis, plant: &Plant) -> Check {
    let title = "Every side stream has a destination";
    if plant.side_streams.is_empty() {
        return skipped("C24", title, "There is no side stream.");
    }
    let lost = plant.side_streams.iter().find(|stream| stream.destination == Destination::Unknown || !stream.complies);
    let actual = lost.map_or("all have one".to_owned(), |stream| format!("{} has none", stream.name));
    // A concentrate without a sewer is reported with the design; it does not make the calculation wrong.
    let otherwise = if basis.receiver == Receiver::Sewer { CheckStatus::Failed } else { CheckStatus::Warning };
    check("C24", title, lost.is_none(), otherwise, "all have one".to_owned(), actual)
}

fn assumptions(basis: &DesignBasis, plant: &Plant, estimate: &CostEstimate) -> Check {
    let all = crate::report::assumptions(basis, plant, estimate);
    let named: BTreeSet<&str> = all.iter().map(|assumption| assumption.name.as_str()).collect();
    let missing =
        basis.influent.iter().find(|influent| !influent.origin.is_given() && !named.contains(influent.name.as_str()));
    let fine = missing.is_none() && !all.is_empty() && named.len() == all.len();
    let actual = missing
        .map_or_else(|| format!("{} assumptions", all.len()), |influent| format!("{} is not named", influent.name));
    check("C26", "Every assumed value is named", fine, CheckStatus::Failed, "each once".to_owned(), actual)
}

fn traces(basis: &DesignBasis, trains: &TrainComparison, plant: &Plant, estimate: &CostEstimate) -> Check {
    let all = crate::report::trace(basis, trains, plant, estimate);
    let bare = all.iter().find(|entry| entry.formula.is_empty() || entry.source.is_empty() || entry.outputs.is_empty());
    let dressed = all.iter().find(|entry| entry.verified != entry.mark.verified());
    let actual = bare.or(dressed).map_or_else(|| format!("{} entries", all.len()), |entry| entry.tool.clone());
    check(
        "C27",
        "Every calculation has formula, inputs and source",
        bare.is_none() && dressed.is_none(),
        CheckStatus::Failed,
        "complete".to_owned(),
        actual,
    )
}

fn choice(trains: &TrainComparison) -> Check {
    let first = trains.candidates.first();
    let chosen = first.is_some_and(|candidate| candidate.train == trains.chosen);
    let names: BTreeSet<&str> = trains.rejected.iter().map(|other| other.technology.as_str()).collect();
    let explained = trains.candidates.iter().skip(1).all(|c| names.contains(c.train.name.as_str()));
    let fine = chosen && explained && names.len() == trains.rejected.len();
    check(
        "C28",
        "The best train is chosen and the others have a reason",
        fine,
        CheckStatus::Failed,
        format!("{} reasons", trains.candidates.len().saturating_sub(1)),
        format!("{} reasons", trains.rejected.len()),
    )
}

fn payback(estimate: &CostEstimate) -> Check {
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

fn months(plant: &Plant) -> Check {
    let flow = plant.flow_m3_per_day.m3_per_day();
    let (least, most) = if flow < 300.0 {
        (4, 8)
    } else if flow <= 2000.0 {
        (8, 14)
    } else {
        (12, 24)
    };
    let months = plant.implementation_months;
    check(
        "C30",
        "Time to build",
        (least..=most).contains(&months),
        CheckStatus::Warning,
        format!("{least} to {most} months"),
        format!("{months} months"),
    )
}

fn confidence(basis: &DesignBasis) -> Check {
    use crate::basis::Confidence as C;
    let score = basis.data_score.value();
    let most = if score >= 0.85 {
        C::High
    } else if score >= 0.65 {
        C::Medium
    } else {
        C::Low
    };
    check(
        "C32",
        "Confidence matches the data",
        basis.confidence <= most,
        CheckStatus::Failed,
        format!("at most {most:?}"),
        format!("{:?} at {score:.2}", basis.confidence),
    )
}
