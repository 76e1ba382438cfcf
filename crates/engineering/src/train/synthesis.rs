//! Builds candidate trains: gates fire by numbers and choose what stands before the biology, and which cores are tried.

use super::repair::{finished, hardened, repaired_wish, sort};
use super::{Gate, RejectedAlternative, RejectionCode, Train};
use crate::basis::DesignBasis;
use crate::facts::SectorKind;
use crate::note::{Warning, shown};
use crate::parameter::Parameter as P;
use crate::process::{ProcessId as U, Stage};
use crate::sizing::{self, Plant};

/// Candidates with their plants, and what was ruled out before.
pub(super) struct Plan {
    pub(super) candidates: Vec<(Train, Plant)>,
    pub(super) gates: Vec<Gate>,
    pub(super) ruled_out: Vec<RejectedAlternative>,
    pub(super) warnings: Vec<Warning>,
}

pub(super) fn plan(basis: &DesignBasis, wish: Option<&[U]>) -> Plan {
    let mut plan = Plan { candidates: vec![], gates: vec![], ruled_out: vec![], warnings: vec![] };
    let front = front(basis, &mut plan.gates);
    for core in cores(basis, &front, &mut plan) {
        let mut units = front.units.clone();
        units.extend(core.units);
        let (units, plant) = finished(basis, units);
        if plan.candidates.iter().any(|(train, _)| train.units == units) {
            continue;
        }
        let safer = hardened(basis, &units, &plant);
        plan.candidates.push((Train { name: core.name.to_owned(), units: units.clone(), wished: false }, plant));
        if let Some((more, plant)) = safer
            && !plan.candidates.iter().any(|(train, _)| train.units == more)
        {
            let added: Vec<&str> = more.iter().filter(|unit| !units.contains(unit)).map(|unit| unit.name()).collect();
            let name = format!("{} + {}", core.name, added.join(" + "));
            plan.candidates.push((Train { name, units: more, wished: false }, plant));
        }
    }
    if let Some(wish) = wish.filter(|wish| !wish.is_empty()) {
        let units = repaired_wish(basis, wish, &mut plan.warnings);
        match plan.candidates.iter_mut().find(|(train, _)| train.units == units) {
            Some((train, _)) => train.wished = true,
            None => {
                let plant = sizing::units(basis, &units);
                plan.candidates.push((Train { name: "Proposed train".to_owned(), units, wished: true }, plant));
            }
        }
    }
    polish_gates(basis, &mut plan);
    plan
}

/// What comes before the core in every candidate.
struct Front {
    units: Vec<U>,
    biology: bool,
    separates: bool,
}

struct Core {
    name: &'static str,
    units: Vec<U>,
}

fn gate(gates: &mut Vec<Gate>, code: &str, title: &str, action: &str, value: f64, threshold: f64, unit: &str) {
    let text = |text: &str| text.to_owned();
    let value = crate::note::significant(value, 6);
    gates.push(Gate { code: text(code), title: text(title), action: text(action), value, threshold, unit: text(unit) });
}

/// Whether the raw water is above what the design aims at.
fn exceeds(basis: &DesignBasis, parameter: P) -> bool {
    matches!((basis.value(parameter), basis.design(parameter)), (Some(value), Some(aim)) if value > aim)
}

fn front(basis: &DesignBasis, gates: &mut Vec<Gate>) -> Front {
    let value = |parameter| basis.value(parameter).unwrap_or(0.0);
    let supply = basis.kind == SectorKind::Supply;
    let domestic = basis.kind == SectorKind::Domestic;
    let (bod, cod) = (value(P::Bod5), value(P::Cod));
    let ratio = if cod > 0.0 { bod / cod } else { 0.0 };
    let organic = [P::Bod5, P::Cod, P::Toc, P::Tn, P::Tkn, P::AmmoniaN].into_iter().any(|p| exceeds(basis, p));
    let biology = !supply && (domestic || (organic && ratio >= 0.15));
    let mut units = vec![U::Screening];
    gate(gates, "G1", "Solids", "screening", value(P::Tss), 0.0, "mg/L");
    if domestic {
        units.push(U::Grit);
    }
    if basis.equalised {
        units.push(U::Equalisation);
        let (peak, hours) = (basis.peak_factor.value(), basis.operating_hours_per_day.hours());
        if peak > 1.5 {
            gate(gates, "G2", "Swings of flow and load (peak factor)", "equalization", peak, 1.5, "-");
        } else if hours < 20.0 {
            gate(gates, "G2", "Swings of flow and load (hours of operation)", "equalization", hours, 20.0, "h/d");
        } else {
            gate(
                gates,
                "G2",
                "Swings of flow and load (batches of industry, peak factor)",
                "equalization",
                peak,
                1.0,
                "-",
            );
        }
    }
    let celsius = basis.temperature.celsius();
    let most = basis.limit(P::Temperature).map_or(38.0, |limit| limit.most).min(if biology { 38.0 } else { 100.0 });
    if celsius > most {
        units.push(U::Cooling);
        gate(gates, "G2b", "Temperature", "cooling", celsius, most, "°C");
    }
    // What bacteria do not stand, in mg/L.
    const INHIBITION: [(P, f64); 6] =
        [(P::Copper, 1.0), (P::Nickel, 2.0), (P::Zinc, 5.0), (P::ChromiumVi, 1.0), (P::Lead, 1.0), (P::Chromium, 10.0)];
    let metals = [P::Iron, P::Manganese, P::Cyanide];
    let metal = P::METALS.iter().chain(&metals).copied().find_map(|metal| {
        let inhibits = INHIBITION.iter().find(|(p, _)| biology && *p == metal).map(|(_, limit)| *limit);
        let most = [basis.design(metal), inhibits].into_iter().flatten().fold(f64::INFINITY, f64::min);
        (value(metal) > most).then_some((metal, value(metal), most))
    });
    let mut separates = false;
    let fat = value(P::OilGrease);
    if let Some((which, found, most)) = metal {
        units.push(U::MetalsPrecipitation);
        gate(
            gates,
            "G7",
            &format!("Metals ({})", which.name()),
            "chemical precipitation of metals",
            found,
            most,
            "mg/L",
        );
        separates = true;
    }
    if supply || (biology && ratio < 0.3) || (!biology && metal.is_none()) {
        units.push(U::Coagulation);
        gate(gates, "G8", "Biodegradability (BOD/COD)", "coagulation-flocculation before biology", ratio, 0.3, "-");
        separates = true;
    }
    let flotation = fat > 150.0 || (fat > 50.0 && separates);
    if flotation {
        units.push(U::Daf);
        gate(gates, "G5", "Fats", "dissolved air flotation", fat, if fat > 150.0 { 150.0 } else { 50.0 }, "mg/L");
    }
    let needs_separation = separates && !flotation;
    if needs_separation && biology {
        units.push(U::Lamella);
    }
    let ph = basis.value(P::Ph).unwrap_or(7.0);
    let band = basis.limit(P::Ph).map(|limit| (limit.least.unwrap_or(5.0), limit.most));
    let outside = |(least, most): (f64, f64)| ph < least || most < ph;
    if metal.is_some() || (biology && outside((6.5, 8.5))) || (!supply && band.is_some_and(outside)) {
        units.push(U::PhAdjustment);
        gate(gates, "G6", "pH", "pH adjustment", ph, if ph < 6.5 { 6.5 } else { 8.5 }, "-");
    }
    Front { units, biology, separates: needs_separation }
}

fn cores(basis: &DesignBasis, front: &Front, plan: &mut Plan) -> Vec<Core> {
    if !front.biology {
        let with = |name, unit| Core { name, units: vec![unit] };
        if front.separates {
            return vec![
                with("Lamella settling", U::Lamella),
                with("Conventional clarifier", U::PrimaryClarifier),
                with("Dissolved air flotation", U::Daf),
            ];
        }
        return vec![
            Core { name: "Flotation and filtration", units: vec![U::SandFilter] },
            Core { name: "Flotation with settling", units: vec![U::Lamella] },
            Core { name: "Flotation, filtration and activated carbon", units: vec![U::SandFilter, U::Gac] },
        ];
    }
    // Raw primary sludge must be digested, which small sewage works can not run (S02: long sludge ages below 1,000 m³/d).
    let settles = basis.kind == SectorKind::Domestic
        && basis.value(P::Tss).unwrap_or(0.0) > 150.0
        && basis.flow_m3_per_day.m3_per_day() >= 1000.0;
    let mut conventional = vec![U::ActivatedSludge, U::SecondaryClarifier];
    if settles {
        conventional.insert(0, U::PrimaryClarifier);
    }
    let mut found = vec![
        Core { name: "Extended aeration", units: vec![U::ExtendedAeration, U::SecondaryClarifier] },
        Core { name: "Sequencing batch reactor (SBR)", units: vec![U::Sbr] },
        Core { name: "Conventional activated sludge", units: conventional },
    ];
    match anaerobic(basis, front) {
        Ok(units) => found.push(Core { name: "UASB with activated sludge polishing", units }),
        Err(reason) => plan.ruled_out.push(*reason),
    }
    if let Some(cod) = basis.value(P::Cod) {
        gate(
            &mut plan.gates,
            "G9",
            "Organic strength (COD)",
            "anaerobic candidate if strong and warm enough",
            cod,
            if basis.kind == SectorKind::Domestic { 400.0 } else { 1000.0 },
            "mg/L",
        );
    }
    found
}

/// The anaerobic core, or the number that forbids it.
fn anaerobic(basis: &DesignBasis, front: &Front) -> Result<Vec<U>, Box<RejectedAlternative>> {
    let domestic = basis.kind == SectorKind::Domestic;
    // What enters it is what the front leaves, fats taken out by flotation where they would disturb.
    let mut units = front.units.clone();
    let mut core = Vec::new();
    if basis.value(P::OilGrease).unwrap_or(0.0) > 100.0 && !units.contains(&U::Daf) {
        units.push(U::Daf);
        core.push(U::Daf);
    }
    units.push(U::Sbr);
    sort(&mut units);
    let plant = sizing::units(basis, &units);
    let inlet = plant.units.iter().find(|unit| unit.process == U::Sbr);
    let entering = |parameter: P| {
        inlet
            .and_then(|unit| unit.removals.iter().find(|removal| removal.parameter == parameter))
            .map_or(0.0, |removal| removal.entering)
    };
    let cod = entering(P::Cod);
    let load = basis.flow_m3_per_day.m3_per_day() * cod / 1000.0;
    let celsius = entering(P::Temperature);
    let rejected = |what: &str, number: f64, threshold: f64, unit: &str, below: bool| {
        let relation = if below { "below" } else { "above" };
        Box::new(RejectedAlternative {
            technology: "UASB with aerobic polishing".to_owned(),
            stage: Stage::Secondary,
            code: RejectionCode::OutOfRange,
            number: crate::note::significant(number, 4),
            threshold,
            unit: unit.to_owned(),
            reason: format!(
                "Anaerobic treatment is out of range: {what} is {} {unit}, {relation} {} {unit}.",
                shown(number),
                shown(threshold)
            ),
        })
    };
    let least_cod = if domestic { 400.0 } else { 1000.0 };
    let least_celsius = if domestic { 20.0 } else { 18.0 };
    if cod < least_cod {
        return Err(rejected("COD", cod, least_cod, "mg/L", true));
    }
    if cod > 15_000.0 {
        return Err(rejected("COD", cod, 15_000.0, "mg/L", false));
    }
    if celsius < least_celsius {
        return Err(rejected("the temperature", celsius, least_celsius, "°C", true));
    }
    if celsius > 45.0 {
        return Err(rejected("the temperature", celsius, 45.0, "°C", false));
    }
    if load < 100.0 {
        return Err(rejected("the COD load", load, 100.0, "kg/d", true));
    }
    let sulfate = entering(P::Sulfates) / cod.max(1.0);
    if sulfate > 0.2 {
        return Err(rejected("SO4/COD", sulfate, 0.2, "-", false));
    }
    core.extend([U::Uasb, U::ActivatedSludge, U::SecondaryClarifier]);
    Ok(core)
}

/// The gates that only show in what was added behind the core.
fn polish_gates(basis: &DesignBasis, plan: &mut Plan) {
    let any = |unit: U| plan.candidates.iter().any(|(train, _)| train.units.contains(&unit));
    let mut found = Vec::new();
    let limited = |parameter: P| basis.limit(parameter).map(|limit| limit.design);
    let value = |parameter: P| basis.value(parameter).unwrap_or(0.0);
    let mut note = |unit: U, code: &str, title: &str, parameter: P| {
        if any(unit)
            && let Some(design) = limited(parameter)
        {
            gate(&mut found, code, title, unit.name(), value(parameter), design, parameter.unit());
        }
    };
    note(U::PhosphorusPrecipitation, "G11", "Phosphorus", P::Tp);
    let solids = [P::Tss, P::Turbidity, P::Bod5].into_iter().find(|p| exceeds(basis, *p)).unwrap_or(P::Tss);
    note(U::SandFilter, "G12", &format!("Polishing ({})", solids.name()), solids);
    note(U::Ozone, "G13", "Refractory COD", P::Cod);
    note(U::Gac, "G13b", "Refractory COD beyond ozone", P::Cod);
    note(U::ReverseOsmosis, "G14", "Salts", P::Tds);
    note(U::Chlorination, "G15", "Pathogens", P::FecalColiforms);
    note(U::Uv, "G15b", "Pathogens, by light", P::FecalColiforms);
    if let Some(design) = limited(P::Tn)
        && value(P::Tn) > design
    {
        gate(
            &mut found,
            "G10",
            "Nitrogen",
            "nitrification and denitrification in the biology",
            value(P::Tn),
            design,
            "mg/L",
        );
    }
    let short = basis.constraints.iter().filter(|constraint| {
        use crate::sheet::Constraint as C;
        matches!(constraint, C::LimitedSpace | C::FewOperators | C::LimitedEnergy | C::LimitedBudget)
    });
    for constraint in short {
        gate(&mut found, "G17", constraint.name(), "weights of the score moved towards it", 1.0, 0.0, "named");
    }
    if any(U::Dewatering) {
        let dry = plan.candidates.iter().map(|(_, plant)| plant.dry_solids_kg_per_day.kg_per_day()).fold(0.0, f64::max);
        gate(&mut found, "G16", "Sludge", "thickening and dewatering", dry, 5.0, "kg/d");
    }
    plan.gates.extend(found);
}
