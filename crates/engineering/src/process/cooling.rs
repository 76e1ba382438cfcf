//! X01 Cooling of hot wastewater. Not in the published catalogue the basis is built on: all of it is an estimate.

use super::{Design, Inlet, Item, Mechanism, ProcessId, Removal, Spec, Stage, UnitProcess};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct Cooling;

static SPEC: Spec = Spec {
    stage: Stage::Primary,
    mechanism: Mechanism::Cooling,
    purpose: "Cools hot water to what bacteria and the limit on temperature allow.",
    removals: &[],
    floors: &[],
    applicable: &[],
    before: &[&[ProcessId::Screening]],
    after: &[],
    area: 0.02,
    operability: 0.85,
    mark: Mark::E,
    source: "internal estimate; heat by Q c ΔT",
};

/// The temperature of cooled water, in °C.
pub(crate) const AIM: f64 = 33.0;

/// Heat to be taken out in kW, for a flow in m³/d and a difference in K.
pub(crate) fn heat_kw(flow_m3_d: f64, kelvin: f64) -> f64 {
    flow_m3_d / 86.4 * 4.19 * kelvin
}

impl UnitProcess for Cooling {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        vec![(Parameter::Temperature, Removal::Set(inlet.water.of(Parameter::Temperature).min(AIM)))]
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let mut design = Design::default();
        let kelvin = inlet.water.of(Parameter::Temperature) - outlet.of(Parameter::Temperature);
        let heat = heat_kw(inlet.q(), kelvin.max(0.0));
        let usd = 1_500.0 * heat.max(1.0).powf(0.6);
        design.trace.push(
            inlet
                .trace("heat", "P = Q c ΔT; C = 1,500 P^0.6", SPEC.mark, SPEC.source)
                .input("cooled_by_k", kelvin)
                .output("heat_kw", heat)
                .output("purchased_cost_usd_2023", usd),
        );
        let specifications = format!("{heat:.0} kW of heat, to {AIM:.0} °C, open tower with non-clogging fill");
        let side = (heat / 25.0).sqrt().max(1.0);
        let item = Item::new("Wastewater cooling tower", specifications, format!("{side:.2} x {side:.2} x 3.50 m"))
            .drawing(0.02 * heat, 0.7)
            .usd(usd);
        design.items.push(item);
        design
    }
}
