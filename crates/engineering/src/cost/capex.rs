//! The five lines of CAPEX (6.3).

use super::{Accuracy, Capex, YEAR};
use crate::basis::{Confidence, DesignBasis};
use crate::facts::{Country, Facts, ProposalType};
use crate::note::{Mark, TraceEntry};
use crate::process::{ProcessId, Stage};
use crate::sizing::Plant;
use std::collections::BTreeMap;
use units::{Money, Ratio};

/// How complex a plant is, and so its shares of civil works, installation with electrical work, and engineering.
fn shares(plant: &Plant) -> (&'static str, f64, f64, f64) {
    let main = plant.units.iter().filter(|unit| unit.stage != Stage::Auxiliary).count();
    let membranes =
        plant.units.iter().any(|unit| matches!(unit.process, ProcessId::Ultrafiltration | ProcessId::ReverseOsmosis));
    if main > 6 || membranes {
        ("complex", 0.40, 0.25 + 0.18, 0.12)
    } else if main > 3 {
        ("medium", 0.35, 0.20 + 0.15, 0.10)
    } else {
        ("simple", 0.25, 0.15 + 0.10, 0.08)
    }
}

/// Cost of locally made work against the Gulf coast of the United States, for which the shares of equipment hold.
pub(super) const fn local_factor(country: Country) -> f64 {
    match country {
        Country::Mexico | Country::Other => 0.775,
        Country::CostaRica => 0.825,
        Country::Andean => 0.725,
        Country::UnitedStates => 1.0,
        Country::EuropeanUnion => 0.90,
    }
}

/// The local factor the prices of concrete were collected at.
const LATIN_AMERICA: f64 = 0.775;

/// Concrete in USD per m³ of net tank volume, Latin America: 500 for small tanks, falling to 250.
pub(crate) fn concrete_usd_per_m3(volume_m3: f64) -> f64 {
    (500.0 * (volume_m3 / 30.0).powf(-0.12)).clamp(250.0, 500.0)
}

pub(super) fn lines(
    basis: &DesignBasis,
    facts: &Facts,
    plant: &Plant,
    trace: &mut Vec<TraceEntry>,
) -> (Capex, Accuracy) {
    let equipment = Money::sum(YEAR, plant.equipment.iter().map(|item| item.capex));
    let (complexity, civil_share, installation_share, engineering_share) = shares(plant);
    let local = local_factor(basis.country);
    let mut tanks: BTreeMap<ProcessId, f64> = BTreeMap::new();
    for item in &plant.equipment {
        if let Some(process) = item.process {
            *tanks.entry(process).or_default() += item.tank_m3.m3();
        }
    }
    let volume: f64 = tanks.values().sum();
    let tank_cost: f64 = tanks.values().filter(|v| **v > 0.0).map(|&v| v * concrete_usd_per_m3(v)).sum();
    // What does not stand in a tank of its own needs foundations and a roof.
    let on_slabs =
        Money::sum(YEAR, plant.equipment.iter().filter(|item| item.tank_m3.m3() == 0.0).map(|item| item.capex));
    let civil = Money::from_usd(tank_cost * local / LATIN_AMERICA + on_slabs.usd() * civil_share * local, YEAR);
    let installation = equipment.times(installation_share * local);
    let engineering = equipment.plus(civil).plus(installation).times(engineering_share);
    let class = class(facts.proposal_type, basis.confidence);
    let contingency_share = class.contingency / 100.0;
    let before = equipment.plus(civil).plus(installation).plus(engineering);
    let contingency = before.times(contingency_share);
    let total = before.plus(contingency);
    trace.push(
        TraceEntry::new(
            "cost.civil_works",
            "C = Σ V x price(V) x local factor/0.775 + share x equipment without a tank x local factor",
            Mark::E,
            "engineering basis 6.2, 6.3",
        )
        .input("tank_volume_m3", volume)
        .input("tank_cost_usd", tank_cost)
        .input("equipment_without_tank_usd", on_slabs.usd())
        .input("share", civil_share)
        .input("local_factor", local)
        .output("civil_works_usd", civil.usd()),
    );
    trace.push(
        TraceEntry::new(
            "cost.installation_piping",
            "C = share x equipment x local factor; electrical and instrumentation included",
            Mark::K,
            "Peters & Timmerhaus, lowered for packaged plants",
        )
        .word("complexity", complexity)
        .input("equipment_usd", equipment.usd())
        .input("share", installation_share)
        .input("local_factor", local)
        .output("installation_piping_usd", installation.usd()),
    );
    trace.push(
        TraceEntry::new(
            "cost.capex",
            "CAPEX = equipment + civil + installation + engineering + contingency",
            Mark::K,
            "AACE 18R-97 (classes); Peters & Timmerhaus",
        )
        .input("engineering_share", engineering_share)
        .input("contingency_percent", class.contingency)
        .output("engineering_supervision_usd", engineering.usd())
        .output("contingency_usd", contingency.usd())
        .output("capex_usd", total.usd()),
    );
    let ratio = Ratio::clamped;
    let accuracy = Accuracy {
        aace_class: class.number,
        low_percent: ratio(class.low),
        high_percent: ratio(class.high),
        contingency_percent: ratio(class.contingency),
        low: total.times(1.0 - class.low / 100.0),
        high: total.times(1.0 + class.high / 100.0),
        to_improve: class.to_improve.to_owned(),
    };
    let capex = Capex {
        equipment,
        civil_works: civil,
        installation_piping: installation,
        engineering_supervision: engineering,
        contingency,
        total,
    };
    (capex, accuracy)
}

struct Class {
    number: u8,
    low: f64,
    high: f64,
    contingency: f64,
    to_improve: &'static str,
}

fn class(proposal: ProposalType, confidence: Confidence) -> Class {
    let more = match confidence {
        Confidence::High => 0.0,
        Confidence::Medium => 5.0,
        Confidence::Low => 10.0,
    };
    let better = match confidence {
        Confidence::High => "Quotations for at least 60 % of the equipment and a soil survey would give class 3.",
        Confidence::Medium | Confidence::Low => {
            "A laboratory analysis, a flow record and quotations for at least 60 % of the equipment would give a better class."
        }
    };
    match (proposal, confidence) {
        (ProposalType::Conceptual, Confidence::High) => {
            Class { number: 4, low: 25.0, high: 40.0, contingency: 20.0, to_improve: better }
        }
        (ProposalType::Conceptual, Confidence::Medium | Confidence::Low) => {
            Class { number: 5, low: 40.0, high: 70.0, contingency: 25.0 + more, to_improve: better }
        }
        (ProposalType::Detailed, Confidence::High) => {
            Class { number: 3, low: 15.0, high: 20.0, contingency: 12.0, to_improve: better }
        }
        (ProposalType::Technical, Confidence::High | Confidence::Medium | Confidence::Low)
        | (ProposalType::Detailed, Confidence::Medium | Confidence::Low) => {
            Class { number: 4, low: 25.0, high: 40.0, contingency: 15.0 + more, to_improve: better }
        }
    }
}
