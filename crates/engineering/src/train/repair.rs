//! Completes a train: what is above the limits is repaired unit by unit, and a proposed train gets what its units need.

use crate::basis::DesignBasis;
use crate::facts::SectorKind;
use crate::note::{Warning, WarningCode};
use crate::parameter::Parameter as P;
use crate::process::ProcessId as U;
use crate::sizing::{self, Plant};

/// The order of the catalogue, each unit once.
pub(super) fn sort(units: &mut Vec<U>) {
    units.sort_unstable();
    units.dedup();
}

/// Adds what the limits still need, then the sludge units the solids justify.
pub(super) fn finished(basis: &DesignBasis, mut units: Vec<U>) -> (Vec<U>, Plant) {
    const MOST_REPAIRS: u32 = 10;
    sort(&mut units);
    units.extend([U::Thickener, U::Dewatering]);
    // Water that is used again needs a residual on its way.
    if !basis.reuse.is_empty() {
        units.push(U::Chlorination);
    }
    sort(&mut units);
    let mut plant = sizing::units(basis, &units);
    for _ in 0..MOST_REPAIRS {
        let Some(more) = repair(basis, &units, &plant) else { break };
        units.extend(more);
        sort(&mut units);
        plant = sizing::units(basis, &units);
    }
    // Membranes hold back what a filter would: one of the two is enough.
    if units.contains(&U::Ultrafiltration) && units.contains(&U::SandFilter) {
        units.retain(|unit| *unit != U::SandFilter);
        plant = sizing::units(basis, &units);
    }
    // Below 5 kg/d of dry solids a press is not worth it: the sludge is hauled as a liquid.
    if plant.dry_solids_kg_per_day.kg_per_day() < 5.0 {
        units.retain(|unit| !matches!(unit, U::Thickener | U::Dewatering));
        plant = sizing::units(basis, &units);
    }
    (units, plant)
}

/// The train with what it needs to keep every limit even with removals at the low end of their ranges, within the 10 %
/// that are tolerated then; `None` if it does so already or nothing simple helps.
pub(super) fn hardened(basis: &DesignBasis, units: &[U], plant: &Plant) -> Option<(Vec<U>, Plant)> {
    const MOST_REPAIRS: u32 = 4;
    const TOLERATED: f64 = 1.1;
    let over = |plant: &Plant| {
        let row = plant.efficiency.iter().find(|row| row.limit.is_some_and(|l| row.effluent_at_worst > TOLERATED * l));
        row.map(|row| row.parameter)
    };
    let mut found: Option<(Vec<U>, Plant)> = None;
    for _ in 0..MOST_REPAIRS {
        let (units, plant) = found.as_ref().map_or((units, plant), |(units, plant)| (units.as_slice(), plant));
        let Some(parameter) = over(plant) else { break };
        let has = |unit: U| units.contains(&unit);
        let clear = plant.efficiency.iter().find(|row| row.parameter == P::Tss).is_none_or(|row| row.effluent <= 30.0);
        let filter = !has(U::SandFilter) && !has(U::Ultrafiltration);
        let more = match parameter {
            P::EColi | P::FecalColiforms | P::TotalColiforms if !has(U::Uv) && clear => U::Uv,
            P::EColi | P::FecalColiforms | P::TotalColiforms if !has(U::Chlorination) => U::Chlorination,
            P::Tp if !has(U::PhosphorusPrecipitation) && biological(units) => U::PhosphorusPrecipitation,
            P::Tss | P::Turbidity | P::HelminthEggs | P::Bod5 | P::Tp | P::OilGrease if filter => U::SandFilter,
            metal if filter && (P::METALS.contains(&metal) || metal == P::Cyanide) => U::SandFilter,
            // Against dissolved organic matter, nitrogen and salts there is nothing simple to add.
            _ => return None,
        };
        let mut units = units.to_vec();
        units.push(more);
        sort(&mut units);
        let plant = sizing::units(basis, &units);
        found = Some((units, plant));
    }
    found.filter(|(_, plant)| over(plant).is_none())
}

fn biological(units: &[U]) -> bool {
    [U::ActivatedSludge, U::ExtendedAeration, U::Sbr].iter().any(|unit| units.contains(unit))
}

/// What is added for the first parameter that is above its design value and that something helps against.
fn repair(basis: &DesignBasis, units: &[U], plant: &Plant) -> Option<Vec<U>> {
    let has = |unit: U| units.contains(&unit);
    let biology = biological(units);
    let left = |parameter: P| {
        let row = plant.efficiency.iter().find(|row| row.parameter == parameter).map(|row| row.effluent);
        row.or_else(|| plant.properties.iter().find(|p| p.parameter == parameter).map(|p| p.leaving))
    };
    let filter = || {
        let missing = !has(U::SandFilter) && !has(U::Ultrafiltration);
        missing.then(|| vec![U::SandFilter])
    };
    let with_separator = |unit: U| {
        let separator = [U::Daf, U::Lamella, U::PrimaryClarifier].into_iter().any(has);
        (!has(unit)).then(|| if separator { vec![unit] } else { vec![unit, U::Lamella] })
    };
    basis.limits.iter().find_map(|limit| {
        let found = left(limit.parameter)?;
        let low = limit.least.is_some_and(|least| found < least);
        if found <= limit.design && !low {
            return None;
        }
        match limit.parameter {
            P::Tss | P::Turbidity | P::HelminthEggs => filter(),
            P::Bod5 if biology => filter(),
            P::Bod5 | P::Cod | P::Toc | P::Color | P::Phenols | P::Surfactants => {
                // Carbon is dear: it comes only where ozone is not enough for the limit itself.
                let next = if !has(U::Ozone) {
                    U::Ozone
                } else if !has(U::Gac) && found > limit.most {
                    U::Gac
                } else {
                    return None;
                };
                let mut more = filter().unwrap_or_default();
                more.push(next);
                Some(more)
            }
            P::Tp if biology => (!has(U::PhosphorusPrecipitation)).then(|| vec![U::PhosphorusPrecipitation]),
            P::Tp => with_separator(U::Coagulation),
            P::FecalColiforms | P::TotalColiforms | P::EColi => {
                let residual = !basis.reuse.is_empty() || basis.kind == SectorKind::Supply;
                let clear = left(P::Tss).is_none_or(|tss| tss <= 30.0);
                let (first, second) =
                    if residual || !clear { (U::Chlorination, U::Uv) } else { (U::Uv, U::Chlorination) };
                let fits = |unit: U| !has(unit) && (unit != U::Uv || clear);
                if fits(first) {
                    Some(vec![first])
                } else if fits(second) {
                    Some(vec![second])
                } else {
                    filter()
                }
            }
            P::Tds
            | P::Conductivity
            | P::Chlorides
            | P::Sulfates
            | P::Hardness
            | P::Silica
            | P::Sodium
            | P::Calcium
            | P::Magnesium
            | P::Boron
            | P::Fluoride
            | P::NitrateN => (!has(U::ReverseOsmosis)).then(|| vec![U::Ultrafiltration, U::ReverseOsmosis]),
            P::Arsenic
            | P::Cadmium
            | P::Chromium
            | P::ChromiumVi
            | P::Copper
            | P::Lead
            | P::Mercury
            | P::Nickel
            | P::Zinc
            | P::Iron
            | P::Manganese
            | P::Aluminium
            | P::Cyanide => with_separator(U::MetalsPrecipitation).or_else(filter),
            P::OilGrease | P::Tph => (!has(U::Daf)).then(|| vec![U::Equalisation, U::Daf]).or_else(filter),
            P::Ph => (!has(U::PhAdjustment)).then(|| vec![U::PhAdjustment]),
            P::Temperature => (!has(U::Cooling)).then(|| vec![U::Cooling]),
            // Nitrogen is a matter of the biology: no unit to add.
            P::Tn | P::Tkn | P::AmmoniaN | P::Alkalinity | P::Sulfide | P::SettleableSolids | P::ChlorineResidual => {
                None
            }
        }
    })
}

/// Puts a proposed train in order and adds what its units cannot do without.
pub(super) fn repaired_wish(basis: &DesignBasis, wish: &[U], warnings: &mut Vec<Warning>) -> Vec<U> {
    let mut units = wish.to_vec();
    sort(&mut units);
    let asked = units.clone();
    units.push(U::Screening);
    if basis.equalised {
        units.push(U::Equalisation);
    }
    sort(&mut units);
    // Each round can only add units of the catalogue, so this ends.
    loop {
        let missing: Vec<U> = units
            .iter()
            .enumerate()
            .flat_map(|(place, unit)| {
                let spec = unit.process().spec();
                let before = spec.before.iter().filter(|group| !units[..place].iter().any(|u| group.contains(u)));
                let after = spec.after.iter().filter(|group| !units[place + 1..].iter().any(|u| group.contains(u)));
                before.chain(after).filter_map(|group| group.first().copied()).collect::<Vec<_>>()
            })
            .filter(|unit| !units.contains(unit))
            .collect();
        if missing.is_empty() {
            break;
        }
        units.extend(missing);
        sort(&mut units);
    }
    if sizing::units(basis, &units).dry_solids_kg_per_day.kg_per_day() >= 5.0 {
        units.extend([U::Thickener, U::Dewatering]);
        sort(&mut units);
    }
    let added: Vec<&str> = units.iter().filter(|unit| !asked.contains(unit)).map(|unit| unit.name()).collect();
    let reordered = wish.windows(2).any(|pair| pair[0] > pair[1]);
    if !added.is_empty() || reordered {
        let mut message = "The proposed train was put in order".to_owned();
        if !added.is_empty() {
            message.push_str(&format!(" and got what its units need: {}", added.join(", ")));
        }
        message.push('.');
        warnings.push(Warning::new(WarningCode::TrainRepaired, message));
    }
    units
}
