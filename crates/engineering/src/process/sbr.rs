//! S03 Sequencing batch reactor.

use super::{
    Design, Inlet, Item, Mechanism, ProcessId, Removal, Solids, Spec, Stage, UnitProcess, aerobic, design, share,
    within,
};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct Sbr;

static SPEC: Spec = Spec {
    stage: Stage::Secondary,
    mechanism: Mechanism::Aerobic,
    purpose: "Aerates, settles and decants in the same tanks, without a clarifier, and removes nitrogen and phosphorus.",
    removals: &[],
    floors: aerobic::FLOORS,
    applicable: &[within(Parameter::OilGrease, 0.0, 50.0)],
    before: &[&[ProcessId::Screening]],
    after: &[],
    area: 0.35,
    operability: 0.8,
    mark: Mark::K,
    source: "EPA 832-F-99-073; Metcalf & Eddy 5th ed.; COD internal estimate",
};

/// Sludge volume index, in mL/g.
const SVI: f64 = 150.0;
const MLSS: f64 = 3.5;
const CYCLES: u32 = 4;

/// Share of the tank that settled sludge takes: X SVI/1e6 x 1.2, X in mg/L.
pub(crate) fn settled(mlss_mg_l: f64, svi: f64) -> f64 {
    mlss_mg_l * svi / 1e6 * 1.2
}

/// Volume of one tank in m³ from what is filled per cycle and the share that is exchanged.
pub(crate) fn tank(flow_m3_d: f64, tanks: u32, cycles: u32, exchanged: f64) -> f64 {
    flow_m3_d / f64::from(tanks * cycles) / exchanged
}

impl UnitProcess for Sbr {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        let mut removals = aerobic::removals(
            inlet,
            share(85.0, 95.0, 98.0),
            share(80.0, 89.0, 93.0),
            share(80.0, 90.0, 95.0),
            share(60.0, 80.0, 90.0),
            share(40.0, 60.0, 80.0),
        );
        removals.push((Parameter::AmmoniaN, share(85.0, 95.0, 98.0)));
        removals.push((Parameter::Tkn, share(80.0, 90.0, 95.0)));
        removals
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let mut design = Design::default();
        let mode = aerobic::Mode { srt: 18.0, mlss: MLSS, nitrifies: true, denitrifies: true };
        let basin = aerobic::basin(inlet, outlet, &mode, 1.6, &mut design);
        let tanks: u32 = if inlet.q() < 1500.0 { 2 } else { 4 };
        let sludge = settled(MLSS * 1000.0, SVI);
        let exchanged = 0.30f64.min(1.0 - sludge);
        let hydraulic = tank(inlet.peak.m3_per_day(), tanks, CYCLES, exchanged);
        let each = hydraulic.max(basin.volume / f64::from(tanks));
        design.trace.push(
            inlet
                .trace(
                    "tanks",
                    "V = max(Q_peak/(tanks cycles)/exchanged, SRT P_X/X); exchanged <= 1 - X SVI/1e6 x 1.2",
                    SPEC.mark,
                    SPEC.source,
                )
                .input("tanks", f64::from(tanks))
                .input("cycles_per_day", f64::from(CYCLES))
                .input("sludge_volume_index_ml_per_g", SVI)
                .input("exchanged_share", exchanged)
                .output("settled_share", sludge)
                .output("tank_by_hydraulics_m3", hydraulic)
                .output("tank_m3", each),
        );
        design.criterion(
            inlet,
            "decanted share of the volume",
            inlet.q() / f64::from(tanks * CYCLES) / each,
            "-",
            0.0,
            0.4,
        );
        let total = each * f64::from(tanks);
        let specifications = format!(
            "{tanks} tanks of {each:.0} m³, {CYCLES} cycles/d, SRT 18 d, MLSS {MLSS} g/L, {:.0} Nm³/h air, decanters",
            basin.air_m3_h
        );
        let dimensions = format!("{tanks} x {}", design::rectangle(design::surface(each, 4.5), 1.5, 5.0));
        let usd = design.curve(inlet, "SBR equipment", basin.cost_size_m3_d, 75_000.0, 0.60);
        let item = Item::new("SBR tanks with blowers, decanters and controls", specifications, dimensions)
            .drawing(basin.blower_kw + 0.005 * total * 0.25 + 0.2, 0.6)
            .tank(total)
            .critical(0.3)
            .usd(usd);
        design.items.push(item);
        design.solids = Solids { kg_d: basin.wasted_kg_d, dry: 0.008, hazardous: inlet.hazardous };
        design.area_m2 = Some(total / 4.5 * 1.2);
        design
    }
}
