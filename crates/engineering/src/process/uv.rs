//! T09 Disinfection by ultraviolet light.

use super::{Design, Inlet, Item, Mechanism, ProcessId, Removal, Spec, Stage, UnitProcess, logs, only_within};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct Uv;

static SPEC: Spec = Spec {
    stage: Stage::Tertiary,
    mechanism: Mechanism::Disinfection,
    purpose: "Inactivates organisms without chemicals or by-products.",
    removals: &[],
    floors: &[],
    applicable: &[only_within(Parameter::Tss, 0.0, 30.0)],
    before: &[],
    after: &[],
    area: 0.01,
    operability: 0.8,
    mark: Mark::K,
    source: "NWRI guidelines: 100 mJ/cm² filtered for reuse, 30-40 for secondary effluent",
};

fn filtered(inlet: &Inlet<'_>) -> bool {
    inlet.before.iter().any(|&id| matches!(id, ProcessId::SandFilter | ProcessId::Ultrafiltration))
}

impl UnitProcess for Uv {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        let killed = if filtered(inlet) { logs(3.0, 4.0, 5.0) } else { logs(2.0, 3.0, 4.0) };
        [Parameter::FecalColiforms, Parameter::TotalColiforms, Parameter::EColi]
            .into_iter()
            .map(|parameter| (parameter, killed))
            .collect()
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        let mut design = Design::default();
        let dose = if filtered(inlet) { 100.0 } else { 40.0 };
        let specific = if filtered(inlet) { 0.08 } else { 0.05 };
        design.trace.push(
            inlet
                .trace("dose", "dose by duty; draw = specific energy x Q", SPEC.mark, SPEC.source)
                .input("dose_mj_per_cm2", dose)
                .input("specific_energy_kwh_per_m3", specific)
                .output("draw_kw", specific * inlet.q() / 24.0),
        );
        design.criterion(inlet, "dose", dose, "mJ/cm²", 30.0, 100.0);
        design.test("UV transmittance must be measured; the dose assumes 55 to 65 %.");
        let specifications = format!(
            "{:.1} m³/h at peak, {dose} mJ/cm², low-pressure lamps, 1 duty + 1 standby bank",
            inlet.peak_m3_h()
        );
        let item = Item::new("UV disinfection unit", specifications, "2.00 x 0.60 x 1.40 m".to_owned())
            .count(2)
            .drawing(specific * inlet.q() / 24.0, 0.5)
            .critical(0.25)
            .replacing(0.33 * 0.2);
        design.buy(item, inlet, 14_000.0, 0.5);
        design
    }
}
