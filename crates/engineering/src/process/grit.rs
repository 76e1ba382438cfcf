//! P02 Grit removal, aerated.

use super::{Design, Inlet, Item, Mechanism, ProcessId, Solids, Spec, Stage, UnitProcess, design, share};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct Grit;

static SPEC: Spec = Spec {
    stage: Stage::Primary,
    mechanism: Mechanism::Grit,
    purpose: "Removes sand that would wear pumps and fill tanks.",
    removals: &[(Parameter::Tss, share(0.0, 5.0, 10.0)), (Parameter::Bod5, share(0.0, 2.0, 5.0))],
    floors: &[],
    applicable: &[],
    before: &[&[ProcessId::Screening]],
    after: &[],
    area: 0.02,
    operability: 0.9,
    mark: Mark::K,
    source: "Metcalf & Eddy 5th ed.; Rodríguez Miranda et al. 2015 has TSS 0-10, BOD 0-5 %",
};

/// Volume in m³ for a peak flow in m³/s and 3 minutes.
pub(crate) fn volume(peak_m3_s: f64) -> f64 {
    peak_m3_s * 180.0
}

impl UnitProcess for Grit {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let mut design = Design::default();
        let v = volume(inlet.peak_m3_h() / 3600.0);
        design.trace.push(
            inlet
                .trace("volume", "V = Q_peak t, t = 180 s", Mark::K, "Metcalf & Eddy 5th ed.")
                .input("peak_flow_m3_per_h", inlet.peak_m3_h())
                .output("volume_m3", v),
        );
        design.criterion(inlet, "retention at peak", 3.0, "min", 2.0, 5.0);
        let dimensions = design::rectangle(design::surface(v, 1.5), 3.0, 1.5);
        let item = Item::new("Aerated grit chamber", format!("{v:.1} m³, 3 min at peak, grit classifier"), dimensions)
            .drawing(0.2 + 0.05 * v, 0.6)
            .tank(v);
        design.buy(item, inlet, 10_000.0, 0.5);
        design.solids = Solids {
            kg_d: inlet.load(Parameter::Tss) - inlet.q() * outlet.of(Parameter::Tss) / 1000.0,
            dry: 0.3,
            hazardous: false,
        };
        design
    }
}
