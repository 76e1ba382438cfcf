//! T01 Sand or multimedia filter.

use super::{
    Design, Inlet, Item, Mechanism, ProcessId, Reject, Removal, Spec, Stage, UnitProcess, design, logs, residual,
    share, within,
};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;
use units::{Area, Velocity};

pub(crate) struct SandFilter;

static SPEC: Spec = Spec {
    stage: Stage::Tertiary,
    mechanism: Mechanism::Filtration,
    purpose: "Filters out fine solids, so that disinfection and finer units work.",
    removals: &[
        (Parameter::Tss, share(60.0, 75.0, 90.0)),
        (Parameter::Turbidity, share(60.0, 80.0, 95.0)),
        (Parameter::Bod5, share(30.0, 50.0, 60.0)),
        (Parameter::HelminthEggs, logs(1.0, 2.0, 3.0)),
    ],
    floors: &[(Parameter::Tss, 5.0), (Parameter::Bod5, 5.0), (Parameter::OilGrease, 1.0)],
    applicable: &[within(Parameter::Tss, 0.0, 50.0)],
    before: &[],
    after: &[],
    area: 0.02,
    operability: 0.85,
    mark: Mark::K,
    source: "Ten States Standards 2014, WEF MOP 8",
};

/// Filtration rate at peak flow, in m/h.
const RATE: f64 = 8.0;

impl UnitProcess for SandFilter {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        let mut removals = SPEC.removals.to_vec();
        // Metals are filtered only as precipitated flocs: 0.05-0.3 mg/L after filtration.
        if inlet.before.contains(&ProcessId::MetalsPrecipitation) {
            for &metal in Parameter::METALS {
                if metal != Parameter::Mercury {
                    removals.push((metal, residual(0.3, 0.12, 0.05)));
                }
            }
        }
        removals
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        const RECOVERY: f64 = 0.97;
        let mut design = Design::default();
        let safety = inlet.basis.safety_factor;
        let rate = RATE / safety.value().max(1.0);
        let area = inlet.peak / Velocity::clamped(rate);
        // One more unit than needed is washed while the others carry the flow.
        let units = 2.max((area.m2() / 7.0).ceil() as u32).min(40);
        let each = Area::clamped(area.m2() / f64::from(units));
        let one_out = inlet.peak_m3_h() / (each.m2() * f64::from(units - 1));
        design.trace.push(
            inlet
                .trace("area", "A = Q_peak/v x safety factor; D = sqrt(4A/π)", SPEC.mark, SPEC.source)
                .input("peak_flow_m3_per_h", inlet.peak_m3_h())
                .input("rate_m_per_h", RATE)
                .input("safety_factor", safety.value())
                .output("area_m2", area.m2())
                .output("units", f64::from(units))
                .output("diameter_m", each.diameter().m())
                .output("rate_one_in_backwash_m_per_h", one_out),
        );
        design.criterion(inlet, "filtration rate", rate, "m/h", 5.0, 15.0);
        let specifications = format!("{rate:.1} m/h, bed 1.0 m, backwash 35 m/h");
        let item = Item::new("Multimedia pressure filter", specifications, design::circle(each, 2.2))
            .count(units)
            .drawing(0.07 * inlet.q() / 24.0, 0.7)
            .critical(0.2);
        design.buy(item, inlet, 18_000.0, 0.6);
        design.recovery = Some(RECOVERY);
        design.reject = Reject::Returns;
        design
    }
}
