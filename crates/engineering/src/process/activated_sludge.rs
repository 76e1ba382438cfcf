//! S01 Conventional activated sludge, with an anoxic zone (MLE, S06) where nitrogen is limited.

use super::{
    Design, Inlet, Item, Mechanism, ProcessId, Removal, Solids, Spec, Stage, UnitProcess, aerobic, design, share,
    within,
};
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
    mark: Mark::V,
    source: "Rodríguez Miranda et al. 2015 (ranges); Metcalf & Eddy 5th ed. (kinetics, unverified)",
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
        let mut design = Design::default();
        let mode = mode(inlet);
        let basin = aerobic::basin(inlet, outlet, &mode, 0.0, &mut design);
        let lines = inlet.lines();
        let each = basin.volume / f64::from(lines);
        let specifications = format!(
            "{:.0} m³ in {lines} basin(s){}, SRT {:.0} d, MLSS {:.1} g/L, {:.0} Nm³/h air, fine bubbles, RAS pumps",
            basin.volume,
            if mode.denitrifies { " with anoxic zone" } else { "" },
            mode.srt,
            mode.mlss,
            basin.air_m3_h
        );
        let mixing = if mode.denitrifies { 0.005 * basin.volume * 0.25 } else { 0.0 };
        let dimensions = design::rectangle(design::surface(each, 4.5), 3.0, 5.0);
        let usd = design.curve(inlet, "Activated sludge equipment", basin.cost_size_m3_d, 50_000.0, 0.60);
        let item =
            Item::new("Activated sludge basin with blowers, diffusers and return pumps", specifications, dimensions)
                .drawing(basin.blower_kw + mixing + design::pump_kw(inlet.q() / 24.0 * 0.75, 4.0), 0.6)
                .tank(basin.volume * 1.1)
                .critical(0.3)
                .usd(usd);
        design.items.push(item);
        design.solids = Solids { kg_d: basin.wasted_kg_d, dry: 0.008, hazardous: inlet.hazardous };
        design.area_m2 = Some(basin.volume / 4.5 * 1.3);
        design
    }
}
