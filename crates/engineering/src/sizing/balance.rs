//! Water and loads through a train, with the recycles of backwash and sludge liquor, until nothing changes any more.

use crate::basis::DesignBasis;
use crate::facts::SectorKind;
use crate::parameter::{Kind, Parameter};
use crate::process::{Design, Inlet, Mechanism, ProcessId, Reject, Removal, Spec, Spread, dewatering, thickener};
use crate::water::Water;
use std::collections::BTreeMap;
use units::Flow;

/// One unit with what enters and leaves it, in m³/d and canonical concentrations.
pub(super) struct Step {
    pub(super) id: ProcessId,
    pub(super) flow_in: f64,
    pub(super) flow_out: f64,
    pub(super) reject: f64,
    pub(super) wet_sludge: f64,
    pub(super) peak: f64,
    pub(super) entering: Water,
    pub(super) leaving: Water,
    /// How far each removal may be from the typical one.
    pub(super) spread: BTreeMap<Parameter, Spread>,
    pub(super) design: Design,
}

/// Masses per day: concentration times flow, over 1,000.
type Masses = BTreeMap<Parameter, f64>;

/// The balance of a train.
pub(super) struct Balance {
    pub(super) steps: Vec<Step>,
    pub(super) product: f64,
    pub(super) effluent: Water,
    pub(super) returned: f64,
    pub(super) concentrate: f64,
    /// Sludge that leaves: dry, in kg/d, and its volume in m³/d.
    pub(super) dry: f64,
    pub(super) wet_out: f64,
    pub(super) hazardous: bool,
    pub(super) added: Masses,
    pub(super) in_sludge: Masses,
    pub(super) in_concentrate: Masses,
}

/// Relative change of flow and loads below which the balance has settled.
const SETTLED: f64 = 1e-9;
const MOST_ROUNDS: u32 = 60;

pub(super) fn solve(basis: &DesignBasis, units: &[ProcessId]) -> Balance {
    let raw = basis.water();
    let (mut flow, mut masses) = (0.0, Masses::new());
    let mut rounds = 0;
    loop {
        let (balance, next_flow, next_masses) = pass(basis, units, &raw, flow, &masses);
        let changed = |old: f64, new: f64| (old - new).abs() > SETTLED * old.abs().max(new.abs());
        let moving = changed(flow, next_flow)
            || next_masses.iter().any(|(p, &mass)| changed(masses.get(p).copied().unwrap_or(0.0), mass));
        rounds += 1;
        if !moving || rounds == MOST_ROUNDS {
            return balance;
        }
        (flow, masses) = (next_flow, next_masses);
    }
}

fn pass(
    basis: &DesignBasis,
    units: &[ProcessId],
    raw: &Water,
    returned: f64,
    masses: &Masses,
) -> (Balance, f64, Masses) {
    let q = basis.flow_m3_per_day.m3_per_day();
    let mut flow = q + returned;
    let mut water: Water = raw
        .iter()
        .map(|(parameter, value)| match parameter.kind() {
            Kind::Intensive => (parameter, value),
            // What is not in the raw water does not come back either.
            Kind::Load | Kind::Organisms if value == 0.0 => (parameter, value),
            Kind::Load | Kind::Organisms => {
                let back = masses.get(&parameter).copied().unwrap_or(0.0) * 1000.0;
                (parameter, (q * value + back) / flow)
            }
        })
        .collect();
    let mut steps: Vec<Step> = Vec::with_capacity(units.len());
    let mut used: Vec<Mechanism> = Vec::new();
    let mut balance = Balance {
        steps: vec![],
        product: 0.0,
        effluent: Water::default(),
        returned,
        concentrate: 0.0,
        dry: 0.0,
        wet_out: 0.0,
        hazardous: false,
        added: Masses::new(),
        in_sludge: Masses::new(),
        in_concentrate: Masses::new(),
    };
    let mut line = SludgeLine::default();
    let (mut next_flow, mut next_masses) = (0.0, Masses::new());
    let mut equalised = !basis.equalised;
    for (place, &id) in units.iter().enumerate() {
        let process = id.process();
        let spec = process.spec();
        let factor = if equalised { basis.treated_peak_factor } else { basis.peak_factor }.value();
        // Recycles run evenly; only the raw water peaks.
        let peak = if basis.equalised && equalised { flow * factor } else { q * factor + (flow - q).max(0.0) };
        equalised |= id == ProcessId::Equalisation;
        let inlet = Inlet {
            id,
            flow: Flow::clamped(flow),
            peak: Flow::clamped(peak.max(flow)),
            water: &water,
            basis,
            before: &units[..place],
            after: &units[place + 1..],
            dry_solids_kg_d: line.dry,
            hazardous: units[..place].contains(&ProcessId::MetalsPrecipitation),
        };
        let removals = effective(process.removals(&inlet), &used, spec, &water);
        let leaving = propagate(&water, &removals, spec, basis);
        let design = process.size(&inlet, &leaving);
        let recovery = design.recovery.unwrap_or(1.0);
        let reject = flow * (1.0 - recovery);
        let wet = if design.solids.kg_d > 0.0 {
            (design.solids.kg_d / (design.solids.dry * 1000.0)).min(0.3 * flow * recovery)
        } else {
            0.0
        };
        let flow_out = flow * recovery - wet;
        for (parameter, value) in water.iter().filter(|(parameter, _)| parameter.has_load()) {
            let left = leaving.of(parameter);
            let removed = flow * (value - left) / 1000.0;
            if removed < 0.0 {
                *balance.added.entry(parameter).or_default() -= removed;
            }
            let removed = removed.max(0.0);
            let rejected = reject * left / 1000.0 + removed;
            let with_water = wet * left / 1000.0;
            match design.reject {
                Reject::Returns => {
                    let kept = if spec.mechanism == Mechanism::Adsorption { 0.0 } else { removed };
                    *next_masses.entry(parameter).or_default() += reject * left / 1000.0 + kept;
                }
                Reject::Concentrate => *balance.in_concentrate.entry(parameter).or_default() += rejected,
                Reject::Nothing => {
                    let bound = if goes_to_sludge(spec.mechanism, parameter) { removed } else { 0.0 };
                    line.add(id, parameter, bound, with_water, &mut balance.in_sludge);
                }
            }
        }
        if design.reject == Reject::Returns {
            next_flow += reject;
        } else if design.reject == Reject::Concentrate {
            balance.concentrate += reject;
        }
        line.take(id, design.solids.kg_d, wet, &mut balance);
        balance.hazardous |= design.solids.hazardous;
        let spread = removals.iter().map(|(&parameter, removal)| (parameter, removal.spread())).collect();
        used.push(spec.mechanism);
        steps.push(Step {
            id,
            flow_in: flow,
            flow_out,
            reject,
            wet_sludge: wet,
            peak: peak.max(flow),
            entering: std::mem::replace(&mut water, leaving.clone()),
            leaving,
            spread,
            design,
        });
        flow = flow_out;
    }
    balance.product = flow;
    balance.effluent = water;
    balance.steps = steps;
    line.close(units, &mut balance, &mut next_flow, &mut next_masses);
    (balance, next_flow, next_masses)
}

/// The removals that count: the last entry of a parameter, half of it behind a unit of the same mechanism, and
/// turbidity with the suspended solids where it has no entry.
fn effective(
    removals: Vec<(Parameter, Removal)>,
    used: &[Mechanism],
    spec: &Spec,
    water: &Water,
) -> BTreeMap<Parameter, Removal> {
    let again = used.contains(&spec.mechanism)
        && !matches!(spec.mechanism, Mechanism::Precipitation | Mechanism::Neutralisation | Mechanism::Storage);
    let mut found: BTreeMap<Parameter, Removal> = removals
        .into_iter()
        .filter(|(parameter, _)| water.get(*parameter).is_some() || *parameter == Parameter::Tss)
        .map(|(parameter, removal)| (parameter, if again { removal.halved() } else { removal }))
        .collect();
    if water.get(Parameter::Turbidity).is_some()
        && !found.contains_key(&Parameter::Turbidity)
        && let Some(&removal @ Removal::Share { .. }) = found.get(&Parameter::Tss)
    {
        found.insert(Parameter::Turbidity, removal);
    }
    found.retain(|parameter, _| water.get(*parameter).is_some());
    found
}

fn propagate(water: &Water, removals: &BTreeMap<Parameter, Removal>, spec: &Spec, basis: &DesignBasis) -> Water {
    let mut leaving = water.clone();
    for (&parameter, removal) in removals {
        let entering = water.of(parameter);
        let mut left = removal.left(entering);
        let floor = spec.floors.iter().find(|floor| floor.0 == parameter).map_or(0.0, |floor| floor.1);
        left = left.max(floor.min(entering));
        leaving.set(parameter, left);
    }
    organic(water, &mut leaving, spec, basis);
    leaving
}

/// Oxygen demand in mg/L that goes with a mg/L of BOD: bCOD = 1.6 x BOD.
const COD_OF_BOD: f64 = 1.6;
/// Share of the COD of raw sewage that is soluble and does not degrade, the middle of 5 to 10 %.
const REFRACTORY: f64 = 0.075;

/// Keeps BOD a part of COD: what is gone from one is gone from the other.
fn organic(water: &Water, leaving: &mut Water, spec: &Spec, basis: &DesignBasis) {
    let (Some(bod), Some(cod)) = (water.get(Parameter::Bod5), water.get(Parameter::Cod)) else { return };
    let gone = bod - leaving.of(Parameter::Bod5);
    if gone > 0.0 && bod > 0.0 {
        let most = (cod - gone * COD_OF_BOD.min(cod / bod)).max(0.0);
        leaving.set(Parameter::Cod, leaving.of(Parameter::Cod).min(most));
    }
    // Behind the biology of sewage is what does not degrade, and what is left of the BOD.
    if spec.mechanism == Mechanism::Aerobic && basis.kind == SectorKind::Domestic {
        let raw = basis.value(Parameter::Cod).unwrap_or(0.0);
        let least = REFRACTORY * raw + COD_OF_BOD * leaving.of(Parameter::Bod5);
        leaving.set(Parameter::Cod, leaving.of(Parameter::Cod).max(least.min(cod)));
    }
    if bod <= cod && leaving.of(Parameter::Bod5) > leaving.of(Parameter::Cod) {
        leaving.set(Parameter::Bod5, leaving.of(Parameter::Cod));
    }
}

/// Whether what a unit removes of a parameter is in its sludge; bacteria degrade the rest.
fn goes_to_sludge(mechanism: Mechanism, parameter: Parameter) -> bool {
    match mechanism {
        Mechanism::Straining
        | Mechanism::Grit
        | Mechanism::Settling
        | Mechanism::Flotation
        | Mechanism::Coagulation
        | Mechanism::Precipitation => parameter.kind() == Kind::Load,
        Mechanism::Aerobic | Mechanism::Anaerobic => {
            parameter == Parameter::Tp || Parameter::METALS.contains(&parameter)
        }
        Mechanism::Storage
        | Mechanism::Neutralisation
        | Mechanism::Filtration
        | Mechanism::Membrane
        | Mechanism::Osmosis
        | Mechanism::Adsorption
        | Mechanism::Disinfection
        | Mechanism::Oxidation
        | Mechanism::Ozonation
        | Mechanism::Cooling
        | Mechanism::Sludge => false,
    }
}

/// Sludge on its way to thickening and dewatering.
#[derive(Default)]
struct SludgeLine {
    dry: f64,
    wet: f64,
    bound: Masses,
    dissolved: Masses,
}

impl SludgeLine {
    /// Screenings and grit go to a skip, not through the press.
    fn aside(id: ProcessId) -> bool {
        matches!(id, ProcessId::Screening | ProcessId::Grit)
    }

    fn add(&mut self, id: ProcessId, parameter: Parameter, bound: f64, with_water: f64, out: &mut Masses) {
        if Self::aside(id) {
            *out.entry(parameter).or_default() += bound + with_water;
        } else {
            *self.bound.entry(parameter).or_default() += bound;
            *self.dissolved.entry(parameter).or_default() += with_water;
        }
    }

    fn take(&mut self, id: ProcessId, dry: f64, wet: f64, balance: &mut Balance) {
        if Self::aside(id) {
            balance.dry += dry;
            balance.wet_out += wet;
        } else {
            self.dry += dry;
            self.wet += wet;
        }
    }

    fn close(self, units: &[ProcessId], balance: &mut Balance, next_flow: &mut f64, next_masses: &mut Masses) {
        if self.wet <= 0.0 {
            return;
        }
        let pressed = units.contains(&ProcessId::Dewatering);
        let thickened = units.contains(&ProcessId::Thickener);
        let capture = match (pressed, thickened) {
            (true, true) => dewatering::CAPTURE * thickener::CAPTURE,
            (true, false) => dewatering::CAPTURE,
            (false, _) => 1.0,
        };
        let out = if pressed { dewatering::cake(self.dry * capture, dewatering::CAKE).min(self.wet) } else { self.wet };
        let back = self.wet - out;
        balance.dry += self.dry * capture;
        balance.wet_out += out;
        *next_flow += back;
        for (parameter, bound) in &self.bound {
            let dissolved = self.dissolved.get(parameter).copied().unwrap_or(0.0);
            let bound = if *parameter == Parameter::Tss { self.dry } else { *bound };
            *balance.in_sludge.entry(*parameter).or_default() += bound * capture + dissolved * out / self.wet;
            *next_masses.entry(*parameter).or_default() += bound * (1.0 - capture) + dissolved * back / self.wet;
        }
    }
}
