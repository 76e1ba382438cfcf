//! T04 Ultrafiltration, the pre-treatment of reverse osmosis.

use super::{Design, Dose, Inlet, Item, Mechanism, Reject, Spec, Stage, UnitProcess, logs, only_within, share};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;
use units::Flux;

pub(crate) struct Ultrafiltration;

static SPEC: Spec = Spec {
    stage: Stage::Tertiary,
    mechanism: Mechanism::Membrane,
    purpose: "Holds back all suspended solids and most organisms, as reverse osmosis needs.",
    removals: &[
        (Parameter::Tss, share(98.0, 99.5, 99.9)),
        (Parameter::Turbidity, share(97.0, 99.0, 99.5)),
        (Parameter::Cod, share(10.0, 25.0, 40.0)),
        (Parameter::Bod5, share(20.0, 40.0, 60.0)),
        (Parameter::OilGrease, share(50.0, 80.0, 95.0)),
        (Parameter::FecalColiforms, logs(4.0, 5.0, 6.0)),
        (Parameter::TotalColiforms, logs(4.0, 5.0, 6.0)),
        (Parameter::EColi, logs(4.0, 5.0, 6.0)),
        (Parameter::HelminthEggs, logs(4.0, 5.0, 6.0)),
    ],
    floors: &[(Parameter::Tss, 1.0), (Parameter::Bod5, 2.0), (Parameter::OilGrease, 1.0)],
    applicable: &[only_within(Parameter::Tss, 0.0, 60.0)],
    before: &[],
    after: &[],
    area: 0.02,
    operability: 0.5,
    mark: Mark::K,
    source: "literature; energy 0.23 kWh/m³ and recovery 0.95 in WaterTAP; BOD and FOG internal estimate",
};

impl UnitProcess for Ultrafiltration {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        const FLUX: f64 = 50.0;
        const RECOVERY: f64 = 0.95;
        let mut design = Design::default();
        let net = Flux::clamped(FLUX * RECOVERY);
        let safety = inlet.basis.safety_factor;
        let area = (inlet.flow / net.velocity()) * safety;
        design.trace.push(
            inlet
                .trace("area", "A = Q/(J x recovery) x safety factor", SPEC.mark, SPEC.source)
                .input("flux_l_per_m2_h", FLUX)
                .input("recovery", RECOVERY)
                .input("safety_factor", safety.value())
                .output("membrane_area_m2", area.m2()),
        );
        design.criterion(inlet, "flux", FLUX, "L/(m²·h)", 40.0, 80.0);
        design.doses.push(Dose::of("Sodium hypochlorite (cleaning)", 1.0, inlet, 1.53));
        design.doses.push(Dose::of("Citric acid (cleaning)", 0.5, inlet, 1.92));
        let specifications = format!("{:.0} m² of hollow fibers, {FLUX} L/(m²·h), recovery 95 %", area.m2());
        let item = Item::new("Ultrafiltration skid", specifications, "skid 6.00 x 2.20 x 2.60 m".to_owned())
            .drawing(0.2 * inlet.q() / 24.0, 0.7)
            .critical(0.35)
            .replacing(0.12 * 0.4);
        design.buy(item, inlet, 60_000.0, 0.75);
        design.recovery = Some(RECOVERY);
        design.reject = Reject::Returns;
        design
    }
}
