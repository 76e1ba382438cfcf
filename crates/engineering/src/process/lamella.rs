//! P13 Lamella settler.

use super::{
    Design, Inlet, Item, Mechanism, ProcessId, Removal, Solids, Spec, Stage, UnitProcess, design, share, within,
};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;
use units::{Area, Velocity};

pub(crate) struct Lamella;

/// As a primary clarifier.
const PRIMARY: Removal = share(50.0, 60.0, 70.0);

static SPEC: Spec = Spec {
    stage: Stage::Primary,
    mechanism: Mechanism::Settling,
    purpose: "Settles flocs on a small footprint.",
    removals: &[(Parameter::Tss, PRIMARY)],
    floors: &[(Parameter::Tss, 10.0)],
    applicable: &[within(Parameter::OilGrease, 0.0, 50.0)],
    before: &[&[ProcessId::Screening]],
    after: &[],
    area: 0.02,
    operability: 0.8,
    mark: Mark::K,
    source: "Metcalf & Eddy 5th ed. (0.5-1.0 m/h projected); removal as primary settling, of flocs internal estimate",
};

/// How well flocs of a metals precipitation with polymer settle [E]; `None` without one. A coagulation has their removal
/// in its own table.
pub(crate) fn floc_removal(inlet: &Inlet<'_>) -> Option<Removal> {
    let has = |id| inlet.before.contains(&id);
    (has(ProcessId::MetalsPrecipitation) && !has(ProcessId::Coagulation)).then_some(share(70.0, 85.0, 92.0))
}

/// Surface loading on the projected area, in m/h.
const LOADING: f64 = 0.8;

impl UnitProcess for Lamella {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        vec![(Parameter::Tss, floc_removal(inlet).unwrap_or(PRIMARY))]
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let mut design = Design::default();
        // Metal hydroxides settle more slowly than sewage solids.
        let metals = inlet.before.contains(&ProcessId::MetalsPrecipitation);
        let loading = if metals { 0.6 } else { LOADING };
        let projected = inlet.peak / Velocity::clamped(loading);
        let footprint = Area::clamped(projected.m2() * 0.2);
        design.trace.push(
            inlet
                .trace("area", "A_projected = Q_peak/v; footprint 20 %", SPEC.mark, SPEC.source)
                .input("peak_flow_m3_per_h", inlet.peak_m3_h())
                .input("loading_m_per_h", loading)
                .output("projected_area_m2", projected.m2()),
        );
        design.criterion(inlet, "loading on projected area", loading, "m/h", 0.3, 1.0);
        let specifications = format!("{:.1} m² projected, {loading} m/h, plates at 60°", projected.m2());
        let item = Item::new("Lamella settler", specifications, design::rectangle(footprint, 2.0, 3.5))
            .drawing(0.005 * inlet.q() / 24.0 + 0.1, 0.7)
            .critical(0.25);
        design.buy(item, inlet, 20_000.0, 0.55);
        let removed = inlet.load(Parameter::Tss) - inlet.q() * outlet.of(Parameter::Tss) / 1000.0;
        design.solids = Solids { kg_d: removed, dry: 0.025, hazardous: inlet.hazardous };
        design
    }
}
