//! S01 Conventional activated sludge, with an anoxic zone (MLE, S06) where nitrogen is limited.

use super::{Design, Inlet, Mechanism, ProcessId, Removal, Spec, Stage, UnitProcess, aerobic, share, within};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct ActivatedSludge;

static SPEC: Spec = Spec {
    stage: Stage::Secondary,
    mechanism: Mechanism::Aerobic,
    purpose: "Bacteria in suspension degrade organic matter with little volume and energy.",
    removals: &[],
    floors: aerobic::FLOORS,
    applicable: &[within(Parameter::Bod5, 0.0, 500.0), within(Parameter::OilGrease, 0.0, 50.0)],
    before: &[&[ProcessId::Screening]],
    after: &[&[ProcessId::SecondaryClarifier]],
    area: 0.35,
    operability: 0.7,
    mark: Mark::K,
    source: "Metcalf & Eddy 5th ed.; Rodríguez Miranda et al. 2015 has TSS 80-90, BOD 80-95 %",
};

fn mode(inlet: &Inlet<'_>) -> aerobic::Mode {
    let nitrogen = aerobic::nitrogen_wanted(inlet);
    // 1.75 times the age at which nitrifiers wash out, where they are needed.
    let nitrifying = 1.75 / aerobic::nitrifier_growth(aerobic::temperature(inlet)).max(0.07);
    let srt = if nitrogen { nitrifying.clamp(8.0, 25.0) } else { 8.0 };
    aerobic::Mode { srt, mlss: 3.0, nitrifies: nitrogen, denitrifies: nitrogen }
}

impl UnitProcess for ActivatedSludge {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        let nitrogen = aerobic::nitrogen_wanted(inlet);
        let tn = if nitrogen { share(60.0, 75.0, 90.0) } else { share(15.0, 25.0, 30.0) };
        let mut removals = aerobic::removals(
            inlet,
            share(85.0, 92.0, 95.0),
            share(75.0, 85.0, 90.0),
            share(80.0, 90.0, 95.0),
            tn,
            share(10.0, 20.0, 25.0),
        );
        if nitrogen {
            removals.push((Parameter::AmmoniaN, share(80.0, 92.0, 97.0)));
            removals.push((Parameter::Tkn, share(75.0, 88.0, 94.0)));
        }
        removals
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let what = aerobic::Continuous {
            kind: "Activated sludge basin with blowers, diffusers and return pumps",
            curve: "Activated sludge equipment",
            risk: 0.3,
            least_kg_o2_per_kg_bod: 0.0,
        };
        aerobic::continuous(inlet, outlet, &mode(inlet), &what)
    }
}
