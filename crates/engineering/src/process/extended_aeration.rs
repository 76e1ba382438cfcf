//! S02 Extended aeration, run as an oxidation ditch with anoxic zones where nitrogen is limited.

use super::{
    Design, Inlet, Item, Mechanism, ProcessId, Removal, Solids, Spec, Stage, UnitProcess, aerobic, design, share,
    within,
};
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
    mark: Mark::V,
    source: "Rodríguez Miranda et al. 2015 (BOD); COD internal estimate; Metcalf & Eddy 5th ed. (kinetics, unverified)",
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
        let mut design = Design::default();
        let nitrogen = aerobic::nitrogen_wanted(inlet);
        let mode = aerobic::Mode { srt: 25.0, mlss: 3.5, nitrifies: true, denitrifies: nitrogen };
        let basin = aerobic::basin(inlet, outlet, &mode, 2.0, &mut design);
        let lines = inlet.lines();
        let each = basin.volume / f64::from(lines);
        let specifications = format!(
            "{:.0} m³ in {lines} basin(s){}, SRT 25 d, MLSS 3.5 g/L, {:.0} Nm³/h air, RAS pumps",
            basin.volume,
            if nitrogen { " with anoxic zone" } else { "" },
            basin.air_m3_h
        );
        let mixing = 0.005 * basin.volume * 0.25;
        let dimensions = design::rectangle(design::surface(each, 4.5), 3.0, 5.0);
        let usd = design.curve(inlet, "Extended aeration equipment", basin.cost_size_m3_d, 50_000.0, 0.60);
        let item =
            Item::new("Extended aeration basin with blowers, diffusers and return pumps", specifications, dimensions)
                .drawing(basin.blower_kw + mixing + design::pump_kw(inlet.q() / 24.0 * 0.75, 4.0), 0.6)
                .tank(basin.volume * 1.1)
                .critical(0.25)
                .usd(usd);
        design.items.push(item);
        design.solids = Solids { kg_d: basin.wasted_kg_d, dry: 0.008, hazardous: inlet.hazardous };
        design.area_m2 = Some(basin.volume / 4.5 * 1.3);
        design
    }
}
