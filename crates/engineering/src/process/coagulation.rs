//! P08 Coagulation and flocculation, ahead of a separation.

use super::{
    Design, Dose, Inlet, Item, Mechanism, POLYMER_USD, ProcessId, Solids, Spec, Stage, UnitProcess, design, share,
};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct Coagulation;

static SPEC: Spec = Spec {
    stage: Stage::Primary,
    mechanism: Mechanism::Coagulation,
    purpose: "Binds colloids, color and refractory organic matter into flocs that settle.",
    removals: &[
        (Parameter::Color, share(40.0, 70.0, 90.0)),
        (Parameter::Cod, share(20.0, 35.0, 55.0)),
        (Parameter::Bod5, share(10.0, 20.0, 35.0)),
        (Parameter::Tss, share(60.0, 75.0, 85.0)),
        (Parameter::Turbidity, share(60.0, 80.0, 90.0)),
    ],
    floors: &[(Parameter::Tss, 10.0)],
    applicable: &[],
    before: &[&[ProcessId::Screening]],
    after: &[&[ProcessId::Daf, ProcessId::PrimaryClarifier, ProcessId::Lamella, ProcessId::SandFilter]],
    area: 0.025,
    operability: 0.7,
    mark: Mark::K,
    source: "literature on textile and surface water; BOD, TSS and turbidity internal estimate",
};

impl UnitProcess for Coagulation {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let mut design = Design::default();
        let rapid = inlet.peak_m3_h() / 60.0;
        let floc = inlet.peak_m3_h() / 3.0;
        let (rapid_kw, floc_kw) = (design::mixing_kw(700.0, rapid), design::mixing_kw(50.0, floc));
        design.trace.push(
            inlet
                .trace("mixing", "P = G² µ V; 60 s at 700 1/s, 20 min at 50 1/s", SPEC.mark, "Metcalf & Eddy 5th ed.")
                .input("peak_flow_m3_per_h", inlet.peak_m3_h())
                .output("rapid_volume_m3", rapid)
                .output("rapid_kw", rapid_kw)
                .output("flocculation_volume_m3", floc)
                .output("flocculation_kw", floc_kw),
        );
        let coagulant = 100.0;
        design.doses.push(Dose::of("Ferric chloride", coagulant, inlet, 0.88));
        design.doses.push(Dose::of("Polymer", 1.5, inlet, POLYMER_USD).estimated());
        design.test("Coagulant and polymer doses need a jar test.");
        let removed = inlet.load(Parameter::Tss) - inlet.q() * outlet.of(Parameter::Tss) / 1000.0;
        let chemical = 1.9 * coagulant * 55.845 / 162.2 * inlet.q() / 1000.0;
        design.solids = Solids { kg_d: removed + chemical, dry: 0.025, hazardous: inlet.hazardous };
        let specifications =
            format!("rapid mix {rapid:.2} m³ at 700 1/s, flocculation {floc:.1} m³ in 2 stages at 70-30 1/s, dosing");
        let dimensions = design::rectangle(design::surface(floc, 2.0), 2.0, 2.0);
        // The draw of agitators is several times the water power in small machines.
        let item = Item::new("Coagulation-flocculation unit", specifications, dimensions)
            .drawing((rapid_kw + floc_kw) * 2.0 + 0.1, 0.7);
        design.buy(item, inlet, 15_000.0, 0.45);
        design
    }
}
