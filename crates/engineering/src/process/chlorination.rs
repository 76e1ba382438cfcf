//! T08 Disinfection with chlorine, and dechlorination before natural waters.

use super::{Design, Dose, Inlet, Item, Mechanism, ProcessId, Removal, Spec, Stage, UnitProcess, design};
use crate::limits::Receiver;
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct Chlorination;

static SPEC: Spec = Spec {
    stage: Stage::Tertiary,
    mechanism: Mechanism::Oxidation,
    purpose: "Disinfects and leaves a residual in the reused water.",
    removals: &[],
    floors: &[],
    applicable: &[],
    before: &[],
    after: &[],
    area: 0.02,
    operability: 0.85,
    mark: Mark::K,
    source: "EPA disinfection profiling (t10, baffle factors); Collins formula",
};

/// Baffle factor of a good contact tank.
const BAFFLE: f64 = 0.7;
const ORGANISMS: [Parameter; 3] = [Parameter::FecalColiforms, Parameter::TotalColiforms, Parameter::EColi];

/// Orders of magnitude for a CT in mg min/L: N/N0 = (1 + 0.23 CT)^-3.
pub(crate) fn logs_by_ct(ct: f64) -> f64 {
    3.0 * (1.0 + 0.23 * ct).log10()
}

/// The CT in mg min/L that gives so many orders of magnitude.
pub(crate) fn ct_for(logs: f64) -> f64 {
    (10f64.powf(logs / 3.0) - 1.0) / 0.23
}

/// CT for inactivation of Giardia in mg min/L (Smith et al. 1995), residual in mg/L.
pub(crate) fn ct_giardia(logs: f64, celsius: f64, ph: f64, residual: f64) -> f64 {
    if celsius < 12.5 {
        logs * 0.353 * (12.006 + (2.46 - 0.073 * celsius + 0.125 * residual + 0.389 * ph).exp())
    } else {
        logs * 0.361 * (-2.216 + (2.69 - 0.065 * celsius + 0.111 * residual + 0.361 * ph).exp())
    }
}

/// Residual in mg/L and contact time in minutes; between a usual 1 mg/L x 30 min and 5 mg/L x 90 min.
fn contact(inlet: &Inlet<'_>) -> (f64, f64) {
    let needed = ORGANISMS
        .into_iter()
        .filter_map(|parameter| {
            let aim = inlet.aim(parameter)?;
            let entering = inlet.water.get(parameter)?;
            Some((entering / aim.max(1e-6)).max(1.0).log10())
        })
        .fold(0.0, f64::max);
    // Half an order of magnitude more than needed, for what varies.
    let ct = ct_for(needed + 0.5) / BAFFLE;
    let minutes = (ct / 2.0).clamp(30.0, 90.0);
    ((ct / minutes).clamp(1.0, 5.0), minutes)
}

fn dose(inlet: &Inlet<'_>) -> f64 {
    let filtered = inlet.before.iter().any(|&id| matches!(id, ProcessId::SandFilter | ProcessId::Ultrafiltration));
    let demand = if filtered { 7.0 } else { 12.0 };
    demand + contact(inlet).0
}

impl UnitProcess for Chlorination {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        let (residual, minutes) = contact(inlet);
        let typical = logs_by_ct(residual * minutes * BAFFLE).min(7.0);
        let killed = Removal::Logs { low: typical * 0.75, typical, high: typical * 1.25 };
        let mut removals: Vec<_> = ORGANISMS.into_iter().map(|parameter| (parameter, killed)).collect();
        removals.push((Parameter::Chlorides, Removal::Adds(dose(inlet))));
        removals.push((Parameter::Tds, Removal::Adds(dose(inlet) * 1.65)));
        removals
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        let mut design = Design::default();
        let (residual, minutes) = contact(inlet);
        let v = inlet.peak_m3_h() * minutes / 60.0;
        let ct = residual * minutes * BAFFLE;
        let chlorine = dose(inlet);
        design.trace.push(
            inlet
                .trace("contact", "CT = C x 0.7 V/Q; N/N0 = (1 + 0.23 CT)^-3", SPEC.mark, SPEC.source)
                .input("peak_flow_m3_per_h", inlet.peak_m3_h())
                .input("residual_mg_per_l", residual)
                .input("contact_min", minutes)
                .input("baffle_factor", BAFFLE)
                .output("ct_mg_min_per_l", ct)
                .output("log_removal", logs_by_ct(ct))
                .output(
                    "giardia_05_log_ct_mg_min_per_l",
                    ct_giardia(0.5, inlet.basis.temperature.celsius().clamp(0.5, 25.0), 7.5, 1.0),
                )
                .output("dose_mg_per_l", chlorine)
                .output("tank_m3", v),
        );
        design.criterion(inlet, "contact time", minutes, "min", 30.0, 90.0);
        // Hypochlorite of 15 % at 0.23 USD/kg is 1.53 USD per kg of chlorine.
        design.doses.push(Dose::of("Sodium hypochlorite (as Cl2)", chlorine, inlet, 1.53));
        let natural = match inlet.basis.receiver {
            Receiver::River | Receiver::Lake | Receiver::Sea => true,
            Receiver::Sewer | Receiver::Soil | Receiver::Irrigation | Receiver::NoDischarge => false,
        };
        if natural && inlet.basis.reuse.is_empty() {
            design.doses.push(Dose::of("Sodium bisulfite (dechlorination)", 1.46 * residual, inlet, 0.36));
        }
        let specifications =
            format!("{v:.1} m³ contact tank, {minutes:.0} min at peak, {residual:.1} mg/L residual, dosing skid");
        let dimensions = design::rectangle(design::surface(v, 2.0), 10.0, 2.4);
        let item = Item::new("Chlorination unit with contact tank", specifications, dimensions)
            .drawing(0.004 * inlet.q() / 24.0 + 0.05, 0.7)
            .tank(v)
            .critical(0.2);
        design.buy(item, inlet, 5_000.0, 0.4);
        design
    }
}
