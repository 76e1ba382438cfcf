//! L01 Gravity thickener.

use super::{Design, Inlet, Item, Mechanism, Spec, Stage, UnitProcess, design};
use crate::note::Mark;
use crate::water::Water;
use units::Area;

pub(crate) struct Thickener;

/// Share of the solids that stay in the thickened sludge.
pub(crate) const CAPTURE: f64 = 0.90;

static SPEC: Spec = Spec {
    stage: Stage::Auxiliary,
    mechanism: Mechanism::Sludge,
    purpose: "Thickens sludge, so that less water has to be pressed out.",
    removals: &[],
    floors: &[],
    applicable: &[],
    before: &[],
    after: &[],
    area: 0.02,
    operability: 0.85,
    mark: Mark::K,
    source: "WEF MOP 8: 20-40 kg/(m²·d) waste activated, 40-80 mixed sludge",
};

impl UnitProcess for Thickener {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        const LOADING: f64 = 30.0;
        let mut design = Design::default();
        let solids = inlet.dry_solids_kg_d;
        let area = (solids / LOADING).max(2.0);
        design.trace.push(
            inlet
                .trace("area", "A = DS/loading, at least 2 m²", SPEC.mark, SPEC.source)
                .input("dry_solids_kg_per_day", solids)
                .input("loading_kg_per_m2_day", LOADING)
                .output("area_m2", area),
        );
        let specifications = format!("{solids:.0} kg DS/d, {LOADING} kg/(m²·d), to 3 % dry solids, capture 90 %");
        let usd = design.curve(inlet, "Sludge thickener", (solids * 4.0).max(24.0), 15_000.0, 0.5);
        // The price of the package has its tank.
        let item = Item::new("Gravity sludge thickener", specifications, design::circle(Area::clamped(area), 3.5))
            .drawing(0.2 + solids * 0.0005, 0.7)
            .minor()
            .usd(usd);
        design.items.push(item);
        design.area_m2 = Some(area * 1.5);
        design
    }
}
