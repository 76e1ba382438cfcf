//! The tables of a plant: efficiency, compliance, side streams, mass balances.

use super::balance::Balance;
use super::{Destination, EfficiencyRow, MassBalance, SideStream, UnitRemoval};
use crate::basis::DesignBasis;
use crate::limits::{self, Receiver};
use crate::note::{Warning, WarningCode, shown, significant};
use crate::parameter::{Kind, Parameter};
use crate::process::{ProcessId, Reject, Spread, Stage};
use units::{Flow, MassRate};

/// The efficiency table, and what has no removal.
pub(super) fn tables(
    basis: &DesignBasis,
    balance: &Balance,
    warnings: &mut Vec<Warning>,
) -> (Vec<EfficiencyRow>, Vec<UnitRemoval>) {
    let (mut rows, mut properties) = (Vec::new(), Vec::new());
    for influent in &basis.influent {
        let parameter = influent.parameter;
        let before = influent.value;
        // Digits beyond these are noise of the balance, and a table that is checked by hand needs equal numbers.
        let after = significant(balance.effluent.get(parameter).unwrap_or(before), 6);
        if parameter.kind() == Kind::Intensive {
            properties.push(UnitRemoval { parameter, entering: before, leaving: after });
            continue;
        }
        // An unchanged value may differ in the last digit after the balance.
        let after = if (after - before).abs() <= 1e-6 * before.abs() { before } else { after };
        let rises = after > before;
        let removal = if before > 0.0 && !rises { ((before - after) / before * 100.0).clamp(0.0, 100.0) } else { 0.0 };
        if rises {
            let message = format!(
                "{} rises from {} to {} {} over the plant (salts of dosed chemicals or recycles); its removal is shown as 0 %.",
                parameter.name(),
                shown(before),
                shown(after),
                parameter.unit()
            );
            let mut warning = Warning::new(WarningCode::ParameterRises, message);
            warning.fields.extend(influent.field.clone());
            warnings.push(warning);
        }
        let (worst, best) = uncertainty(balance, parameter);
        let limit = basis.limit(parameter);
        rows.push(EfficiencyRow {
            parameter,
            name: parameter.name().to_owned(),
            unit: parameter.unit().to_owned(),
            influent: before,
            effluent: after,
            removal_percent: significant(removal, 8),
            effluent_at_worst: significant((after * worst).min(before.max(after)), 6),
            effluent_at_best: significant(after / best, 6),
            stage: main_stage(balance, parameter),
            limit: limit.map(|limit| limit.most),
            complies: limit.is_none_or(|limit| after <= limit.most),
            rises,
            present: before > 0.0,
        });
    }
    (rows, properties)
}

/// Worst over typical effluent, and typical over best, both at least one: shares and orders of magnitude add up as
/// independent deviations, a residual ends what came before it.
fn uncertainty(balance: &Balance, parameter: Parameter) -> (f64, f64) {
    let (mut worst, mut best): (f64, f64) = (0.0, 0.0);
    for step in &balance.steps {
        let left = step.leaving.of(parameter);
        match step.spread.get(&parameter) {
            Some(Spread::Factor { worst: low, best: high }) => {
                worst = worst.hypot(*low);
                best = best.hypot(*high);
            }
            Some(Spread::Residual { worst: most, best: least }) if left > 0.0 => {
                let entering = step.entering.of(parameter);
                worst = ((entering * worst.exp()).min(*most) / left).max(1.0).ln();
                best = (left / (entering * (-best).exp()).min(*least)).max(1.0).ln();
            }
            Some(Spread::Residual { .. }) | None => {}
        }
    }
    (worst.exp(), best.exp())
}

/// Where most of a parameter is removed.
fn main_stage(balance: &Balance, parameter: Parameter) -> Option<Stage> {
    balance
        .steps
        .iter()
        .map(|step| (step.flow_in * (step.entering.of(parameter) - step.leaving.of(parameter)), step.id.stage()))
        .filter(|(removed, _)| *removed > 0.0)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, stage)| stage)
}

pub(super) struct Compliance {
    pub(super) complies: bool,
    pub(super) critical: Vec<String>,
}

pub(super) fn compliance(
    basis: &DesignBasis,
    balance: &Balance,
    rows: &[EfficiencyRow],
    warnings: &mut Vec<Warning>,
) -> Compliance {
    let mut complies = true;
    let mut critical: Vec<(f64, String)> = Vec::new();
    for limit in &basis.limits {
        let Some(before) = basis.value(limit.parameter) else { continue };
        let row = rows.iter().find(|row| row.parameter == limit.parameter);
        let after = row.map_or_else(|| balance.effluent.of(limit.parameter), |row| row.effluent);
        let met = after <= limit.most && limit.least.is_none_or(|least| after >= least);
        let unit = if limit.unit.is_empty() { String::new() } else { format!(" {}", limit.unit) };
        if !met {
            complies = false;
            let message = format!(
                "{} of {}{unit} in the effluent does not meet the limit of {}{unit} ({}).",
                limit.parameter.name(),
                shown(after),
                shown(limit.most),
                limit.source
            );
            warnings.push(Warning::new(WarningCode::LimitNotMet, message));
        } else if after > limit.design {
            let message = format!(
                "{} of {}{unit} meets the limit of {}{unit} with less than the regulatory margin.",
                limit.parameter.name(),
                shown(after),
                shown(limit.most)
            );
            warnings.push(Warning::new(WarningCode::MarginThin, message));
        }
        let outside = before > limit.most || limit.least.is_some_and(|least| before < least);
        if outside || before > limit.design {
            critical.push(((limit.most - after) / limit.most.max(1e-12), limit.parameter.name().to_owned()));
        }
    }
    critical.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    Compliance { complies, critical: critical.into_iter().map(|(_, name)| name).collect() }
}

pub(super) fn side_streams(basis: &DesignBasis, balance: &Balance, warnings: &mut Vec<Warning>) -> Vec<SideStream> {
    let mut found = Vec::new();
    let mut push = |name: &str, process, flow: f64, destination, complies| {
        found.push(SideStream {
            name: name.to_owned(),
            process,
            flow_m3_per_day: Flow::clamped(flow),
            destination,
            complies,
        });
    };
    for step in &balance.steps {
        match step.design.reject {
            Reject::Nothing => {}
            Reject::Returns => push("Backwash water", step.id, step.reject, Destination::HeadOfPlant, true),
            Reject::Concentrate => {
                let sewer = basis.receiver == Receiver::Sewer;
                let above = if sewer { above_sewer_limits(basis, balance) } else { vec![] };
                let destination = if sewer { Destination::Sewer } else { Destination::Unknown };
                push("Concentrate", step.id, step.reject, destination, sewer && above.is_empty());
                let message = if !sewer {
                    "The concentrate of the reverse osmosis has no destination yet: one must be found before building."
                        .to_owned()
                } else if above.is_empty() {
                    "The concentrate of the reverse osmosis goes to the sewer: the utility must accept its salinity."
                        .to_owned()
                } else {
                    format!(
                        "The concentrate of the reverse osmosis is above the limits of the sewer for {}: it must be treated or \
                         mixed before discharge.",
                        above.join(", ")
                    )
                };
                warnings.push(Warning::new(WarningCode::SideStream, message).at("project-context/discharge-point"));
            }
        }
    }
    let last = balance.steps.iter().rev().find(|step| step.wet_sludge > 0.0).map(|step| step.id);
    let press = balance.steps.iter().find(|step| step.id == ProcessId::Dewatering).map(|step| step.id);
    if let Some(process) = press.or(last)
        && balance.wet_out > 0.0
    {
        if press.is_some() {
            let backwash: f64 =
                balance.steps.iter().filter(|step| step.design.reject == Reject::Returns).map(|step| step.reject).sum();
            push(
                "Liquor of thickening and dewatering",
                process,
                (balance.returned - backwash).max(0.0),
                Destination::HeadOfPlant,
                true,
            );
        }
        push("Sludge and screenings", process, balance.wet_out, Destination::Disposal, true);
        if balance.hazardous {
            let message = "The sludge holds metals and counts as hazardous until a leaching test shows otherwise.";
            warnings.push(Warning::new(WarningCode::SideStream, message));
        }
    }
    found
}

/// Names of what is above the sewer's limits in the concentrate.
fn above_sewer_limits(basis: &DesignBasis, balance: &Balance) -> Vec<&'static str> {
    let Some(regulation) = limits::of_country(basis.country, Receiver::Sewer) else { return vec![] };
    let flow = balance.concentrate.max(1e-9);
    limits::rows(regulation, Receiver::Sewer, false, 0.0)
        .into_iter()
        .filter(|(parameter, _, most)| {
            parameter.has_load()
                && balance.in_concentrate.get(parameter).is_some_and(|mass| mass * 1000.0 / flow > *most)
        })
        .map(|(parameter, _, _)| parameter.name())
        .collect()
}

pub(super) fn balances(basis: &DesignBasis, balance: &Balance) -> Vec<MassBalance> {
    let conservative = |parameter: Parameter| {
        matches!(parameter, Parameter::Tds | Parameter::Tp | Parameter::Chlorides | Parameter::Hardness)
            || (Parameter::METALS.contains(&parameter) && parameter != Parameter::ChromiumVi)
    };
    let at = |masses: &std::collections::BTreeMap<Parameter, f64>, parameter| {
        MassRate::clamped(significant(masses.get(&parameter).copied().unwrap_or(0.0), 9))
    };
    basis
        .influent
        .iter()
        .filter(|influent| conservative(influent.parameter) && influent.value > 0.0)
        .map(|influent| {
            let parameter = influent.parameter;
            let kg = |flow: f64, value: f64| MassRate::clamped(significant(flow * value / 1000.0, 9));
            MassBalance {
                parameter,
                raw_kg_per_day: kg(basis.flow_m3_per_day.m3_per_day(), influent.value),
                added_kg_per_day: at(&balance.added, parameter),
                effluent_kg_per_day: kg(balance.product, balance.effluent.of(parameter)),
                sludge_kg_per_day: at(&balance.in_sludge, parameter),
                concentrate_kg_per_day: at(&balance.in_concentrate, parameter),
            }
        })
        .collect()
}
