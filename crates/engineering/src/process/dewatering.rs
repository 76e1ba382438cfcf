//! L02 Sludge dewatering by screw press.

use super::{Design, Dose, Inlet, Item, Mechanism, POLYMER_USD, Spec, Stage, UnitProcess};
use crate::note::Mark;
use crate::water::Water;

pub(crate) struct Dewatering;

/// Share of the solids that stay in the cake.
pub(crate) const CAPTURE: f64 = 0.95;
/// Dry share of the cake.
pub(crate) const CAKE: f64 = 0.20;

static SPEC: Spec = Spec {
    stage: Stage::Auxiliary,
    mechanism: Mechanism::Sludge,
    purpose: "Presses water out of the sludge, which cuts its disposal to a fraction.",
    removals: &[],
    floors: &[],
    applicable: &[],
    before: &[],
    after: &[],
    area: 0.03,
    operability: 0.75,
    mark: Mark::K,
    source: "literature: screw press 16-24 % cake, polymer 4-12 kg/t, capture 95 %",
};

/// Cake in m³/d of dry solids in kg/d: DS/(share x 1,050).
pub(crate) fn cake(solids_kg_d: f64, dry: f64) -> f64 {
    solids_kg_d / (dry * 1050.0)
}

impl UnitProcess for Dewatering {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        let mut design = Design::default();
        let solids = inlet.dry_solids_kg_d;
        let polymer = solids * 8.0 / 1000.0;
        let out = cake(solids * CAPTURE, CAKE);
        design.trace.push(
            inlet
                .trace("cake", "cake = DS x capture/(0.20 x 1050); polymer 8 kg/t DS", SPEC.mark, SPEC.source)
                .input("dry_solids_kg_per_day", solids)
                .output("cake_m3_per_day", out)
                .output("polymer_kg_per_day", polymer),
        );
        design.doses.push(Dose {
            name: "Polymer (sludge)",
            mg_per_l: 0.0,
            kg_d: polymer,
            usd_per_kg: POLYMER_USD,
            mark: Mark::E,
            source: "internal estimate; Latin American retail 3-5 USD/kg",
        });
        let specifications = format!("{solids:.0} kg DS/d in 8 h, cake 20 % dry, polymer 8 kg/t, capture 95 %");
        let usd = design.curve(inlet, "Sludge press", (solids * 4.0).max(24.0), 45_000.0, 0.5);
        let item = Item::new("Screw press with polymer station", specifications, "3.20 x 1.20 x 1.80 m".to_owned())
            .drawing(0.5 + 0.03 * solids / 8.0, 0.7)
            .hours(8.0)
            .minor()
            .usd(usd);
        design.items.push(item);
        design
    }
}
