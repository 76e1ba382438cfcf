//! P03 Equalisation of flow and load.

use super::{Design, Inlet, Item, Mechanism, ProcessId, Spec, Stage, UnitProcess, design};
use crate::facts::SectorKind;
use crate::note::Mark;
use crate::water::Water;

pub(crate) struct Equalisation;

static SPEC: Spec = Spec {
    stage: Stage::Primary,
    mechanism: Mechanism::Storage,
    purpose: "Evens out peaks of flow, load, pH and temperature, so that all later units work steadily.",
    removals: &[],
    floors: &[],
    applicable: &[],
    before: &[&[ProcessId::Screening]],
    after: &[],
    area: 0.15,
    operability: 0.9,
    mark: Mark::D,
    source: "constant outflow over 24 h, inflow over the operating hours",
};

/// Volume in m³ for water that arrives in `hours` and leaves in 24: V = Qd (1 - hours/24) x 1.2.
pub(crate) fn volume(flow_m3_d: f64, hours: f64) -> f64 {
    flow_m3_d * (1.0 - hours / 24.0) * 1.2
}

impl UnitProcess for Equalisation {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        let mut design = Design::default();
        let hours = inlet.basis.operating_hours_per_day.hours();
        let by_hours = volume(inlet.q(), hours);
        let share = match inlet.basis.kind {
            SectorKind::Domestic | SectorKind::Supply => 0.25,
            SectorKind::Food | SectorKind::Chemical | SectorKind::OilMetal => 0.35,
        };
        let least = share * inlet.q();
        let v = by_hours.max(least);
        let (mark, source) = if by_hours >= least {
            (SPEC.mark, SPEC.source)
        } else {
            (Mark::E, "internal estimate of the least share of a day's flow")
        };
        design.trace.push(
            inlet
                .trace("volume", "V = Qd (1 - hours/24) x 1.2, at least share x Qd", mark, source)
                .input("operating_hours_per_day", hours)
                .input("least_share_of_daily_flow", share)
                .output("volume_by_hours_m3", by_hours)
                .output("volume_m3", v),
        );
        let pump = design::pump_kw(inlet.q() / 24.0, 8.0);
        let mixing = 0.005 * v;
        design.trace.push(
            inlet
                .trace("power", "P = 5 W/m³ V + Q H/(367 x 0.55)", Mark::K, "Metcalf & Eddy 5th ed.")
                .input("head_m", 8.0)
                .output("mixing_kw", mixing)
                .output("pumping_kw", pump),
        );
        let dimensions = design::rectangle(design::surface(v, 4.0), 1.5, 4.0);
        let specifications = format!("{v:.0} m³ ({:.1} h of flow), mixer and 1 + 1 pumps", v / inlet.q() * 24.0);
        let item = Item::new("Equalization tank with pumps and mixer", specifications, dimensions)
            .drawing(pump + mixing, 0.7)
            .tank(v)
            .critical(0.2);
        design.buy(item, inlet, 12_000.0, 0.5);
        design.area_m2 = Some(v / 4.0);
        design
    }
}
