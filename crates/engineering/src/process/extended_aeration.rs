//! S02 Extended aeration, run as an oxidation ditch with anoxic zones where nitrogen is limited.

use super::{Design, Inlet, Mechanism, ProcessId, Removal, Spec, Stage, UnitProcess, aerobic, share, within};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct ExtendedAeration;

static SPEC: Spec = Spec {
    stage: Stage::Secondary,
    mechanism: Mechanism::Aerobic,
    purpose: "A long sludge age makes the biology robust, nitrifying and easy to run.",
    removals: &[],
    floors: aerobic::FLOORS,
    applicable: &[within(Parameter::OilGrease, 0.0, 50.0)],
    before: &[&[ProcessId::Screening]],
    after: &[&[ProcessId::SecondaryClarifier]],
    area: 0.6,
    operability: 0.9,
    mark: Mark::K,
    source: "Metcalf & Eddy 5th ed.; Rodríguez Miranda et al. 2015 (BOD 93-98 %); COD internal estimate",
};

impl UnitProcess for ExtendedAeration {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        let nitrogen = aerobic::nitrogen_wanted(inlet);
        let tn = if nitrogen { share(60.0, 75.0, 85.0) } else { share(15.0, 25.0, 30.0) };
        let mut removals = aerobic::removals(
            inlet,
            share(93.0, 96.0, 98.0),
            share(82.0, 90.0, 94.0),
            share(80.0, 90.0, 95.0),
            tn,
            share(10.0, 20.0, 25.0),
        );
        removals.push((Parameter::AmmoniaN, share(85.0, 95.0, 98.0)));
        removals.push((Parameter::Tkn, share(80.0, 90.0, 95.0)));
        removals
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let nitrogen = aerobic::nitrogen_wanted(inlet);
        let mode = aerobic::Mode { srt: 25.0, mlss: 3.5, nitrifies: true, denitrifies: nitrogen };
        let what = aerobic::Continuous {
            kind: "Extended aeration basin with blowers, diffusers and return pumps",
            curve: "Extended aeration equipment",
            risk: 0.25,
            least_kg_o2_per_kg_bod: 2.0,
        };
        aerobic::continuous(inlet, outlet, &mode, &what)
    }
}
