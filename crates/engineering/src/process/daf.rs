//! P07 Dissolved air flotation with coagulant and polymer.

use super::{
    Design, Dose, Inlet, Item, Mechanism, POLYMER_USD, ProcessId, Solids, Spec, Stage, UnitProcess, design,
    only_within, share,
};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;
use units::Area;

pub(crate) struct Daf;

static SPEC: Spec = Spec {
    stage: Stage::Primary,
    mechanism: Mechanism::Flotation,
    purpose: "Removes fats and light solids that would foul or overload what follows.",
    removals: &[
        (Parameter::OilGrease, share(80.0, 92.0, 98.0)),
        (Parameter::Tph, share(80.0, 92.0, 98.0)),
        (Parameter::Tss, share(80.0, 90.0, 97.0)),
        (Parameter::Bod5, share(30.0, 45.0, 70.0)),
        (Parameter::Cod, share(30.0, 45.0, 70.0)),
        (Parameter::Tp, share(30.0, 60.0, 90.0)),
    ],
    floors: &[(Parameter::OilGrease, 5.0), (Parameter::Tss, 10.0)],
    applicable: &[only_within(Parameter::OilGrease, 0.0, 5000.0)],
    before: &[&[ProcessId::Screening], &[ProcessId::Equalisation]],
    after: &[],
    area: 0.04,
    operability: 0.75,
    mark: Mark::K,
    source: "removals with chemicals: literature; criteria: UFC 4-832-01N",
};

/// Air dissolved in water at 1 atm, mL/L, by temperature.
fn solubility(celsius: f64) -> f64 {
    const POINTS: [(f64, f64); 4] = [(0.0, 29.2), (10.0, 22.8), (20.0, 18.7), (30.0, 15.7)];
    super::interpolate(&POINTS, celsius)
}

/// Recycle as a share of the flow: r = (A/S) Sa / (1.3 sa (f P - 1)).
pub(crate) fn recycle(solids_mg_l: f64, air_to_solids: f64, celsius: f64, saturation: f64, atmospheres: f64) -> f64 {
    air_to_solids * solids_mg_l / (1.3 * solubility(celsius) * (saturation * atmospheres - 1.0))
}

/// Surface in m² for a flow in m³/h with its recycle: A = Q (1 + r)/v.
pub(crate) fn area(flow_m3_h: f64, recycle: f64, velocity_m_h: f64) -> f64 {
    flow_m3_h * (1.0 + recycle) / velocity_m_h
}

/// Iron in ferric chloride.
const IRON: f64 = 55.845 / 162.2;

impl UnitProcess for Daf {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        const VELOCITY: f64 = 5.0;
        const AIR_TO_SOLIDS: f64 = 0.02;
        let mut design = Design::default();
        let solids = inlet.water.of(Parameter::Tss).max(inlet.water.of(Parameter::OilGrease));
        let celsius = inlet.basis.temperature.celsius();
        let needed = recycle(solids, AIR_TO_SOLIDS, celsius, 0.8, 5.0);
        let r = needed.clamp(0.2, 0.7);
        let a = area(inlet.peak_m3_h(), r, VELOCITY);
        let loading = inlet.load(Parameter::Tss) / 24.0 / a;
        design.trace.push(
            inlet
                .trace(
                    "recycle",
                    "r = (A/S) Sa/(1.3 sa (f P - 1)), held to 0.2-0.7",
                    Mark::K,
                    "Metcalf & Eddy 5th ed.; UFC 4-832-01N",
                )
                .input("solids_mg_per_l", solids)
                .input("air_to_solids", AIR_TO_SOLIDS)
                .input("temperature_c", celsius)
                .input("pressure_atm", 5.0)
                .output("recycle_needed", needed)
                .output("recycle", r),
        );
        design.trace.push(
            inlet
                .trace("area", "A = Q_peak (1 + r)/v", Mark::V, "UFC 4-832-01N p. 172 (2.4-7.3 m/h)")
                .input("peak_flow_m3_per_h", inlet.peak_m3_h())
                .input("velocity_m_per_h", VELOCITY)
                .output("area_m2", a)
                .output("solids_loading_kg_per_m2_h", loading),
        );
        design.criterion(inlet, "surface loading", VELOCITY, "m/h", 2.4, 7.3);
        design.criterion(inlet, "recycle needed", needed.max(0.2), "-", 0.2, 0.7);
        if loading > 20.0 {
            design.criterion(inlet, "solids loading", loading, "kg/(m²·h)", 0.0, 20.0);
        }
        let (coagulant, polymer) = (60.0, 2.0);
        design.doses.push(Dose::of("Ferric chloride", coagulant, inlet, 0.88));
        design.doses.push(Dose::of("Polymer", polymer, inlet, POLYMER_USD).estimated());
        let removed = inlet.load(Parameter::Tss) - inlet.q() * outlet.of(Parameter::Tss) / 1000.0;
        let chemical = 1.9 * coagulant * IRON * inlet.q() / 1000.0;
        design.solids = Solids { kg_d: removed + chemical, dry: 0.03, hazardous: false };
        design.trace.push(
            inlet
                .trace("sludge", "DS = TSS removed + 1.9 kg/kg Fe", Mark::K, "literature on chemical sludge")
                .input("tss_removed_kg_per_day", removed)
                .input("ferric_chloride_mg_per_l", coagulant)
                .output("dry_solids_kg_per_day", removed + chemical),
        );
        design.test("Coagulant and polymer doses of the flotation need a jar test.");
        let specifications = format!(
            "{:.1} m³/h, {VELOCITY} m/h, recycle {:.0} %, 5 bar saturation, coagulant and polymer dosing",
            inlet.peak_m3_h(),
            r * 100.0
        );
        let dimensions = design::rectangle(Area::clamped(a), 2.2, 2.0);
        let item = Item::new("DAF unit with chemical skid", specifications, dimensions)
            .drawing(0.15 * inlet.q() / 24.0, 0.7)
            .critical(0.3);
        design.buy(item, inlet, 55_000.0, 0.55);
        design
    }
}
