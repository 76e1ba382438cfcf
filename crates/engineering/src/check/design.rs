//! Checks of flows, masses, removals, limits and the train.

use super::{Check, CheckStatus, check, close, skipped, usd};
use crate::basis::DesignBasis;
use crate::cost::CostEstimate;
use crate::note::shown;
use crate::parameter::Parameter;
use crate::process::ProcessId;
use crate::sizing::{Destination, Plant};
use crate::train::TrainComparison;

pub(super) fn water(basis: &DesignBasis, plant: &Plant) -> Check {
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

pub(super) fn masses(plant: &Plant) -> Option<Check> {
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

pub(super) fn removals(plant: &Plant) -> Check {
    let off = plant.efficiency.iter().find(|row| {
        let real = if row.influent > 0.0 { (row.influent - row.effluent) / row.influent * 100.0 } else { 0.0 };
        !(0.0..=100.0).contains(&row.removal_percent) || (real.max(0.0) - row.removal_percent).abs() > 0.1
    });
    let actual = off.map_or("all rows agree".to_owned(), |row| format!("{} differs", row.name));
    check("C05", "Removal is (in - out)/in", off.is_none(), CheckStatus::Failed, "within 0.1 points".to_owned(), actual)
}

pub(super) fn propagation(plant: &Plant) -> Check {
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

pub(super) fn limits(basis: &DesignBasis, plant: &Plant) -> Check {
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

pub(super) fn margins(basis: &DesignBasis, plant: &Plant) -> Check {
    let thin: Vec<&str> = plant
        .efficiency
        .iter()
        .filter(|row| row.complies && basis.limit(row.parameter).is_some_and(|limit| row.effluent > limit.design))
        .map(|row| row.name.as_str())
        .collect();
    let actual = if thin.is_empty() { "kept".to_owned() } else { format!("thin for {}", thin.join(", ")) };
    check("C08", "Regulatory margin kept", thin.is_empty(), CheckStatus::Warning, "kept".to_owned(), actual)
}

pub(super) fn each_once(basis: &DesignBasis, plant: &Plant) -> Check {
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

pub(super) fn catalogue(basis: &DesignBasis, plant: &Plant) -> Check {
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

pub(super) fn flow(basis: &DesignBasis, plant: &Plant) -> Check {
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

pub(super) fn criteria(plant: &Plant) -> Check {
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

pub(super) fn order(trains: &TrainComparison) -> Check {
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

pub(super) fn sludge(plant: &Plant, estimate: &CostEstimate) -> Check {
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

pub(super) fn area(plant: &Plant) -> Check {
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

pub(super) fn side_streams(plant: &Plant) -> Check {
    let title = "Every side stream has a destination";
    if plant.side_streams.is_empty() {
        return skipped("C24", title, "There is no side stream.");
    }
    let lost = plant.side_streams.iter().find(|stream| stream.destination == Destination::Unknown || !stream.complies);
    let actual = lost.map_or("all have one".to_owned(), |stream| match stream.destination {
        Destination::Unknown => format!("{} has none", stream.name),
        Destination::HeadOfPlant | Destination::Sewer | Destination::Disposal => {
            format!("{} does not meet the limits there", stream.name)
        }
    });
    // It is reported with the design; it does not make the calculation wrong.
    check("C24", title, lost.is_none(), CheckStatus::Warning, "all have one that accepts it".to_owned(), actual)
}

pub(super) fn months(plant: &Plant) -> Check {
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

pub(super) fn confidence(basis: &DesignBasis) -> Check {
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
