//! P12 Secondary clarifier. Its removal is part of the biology before it.

use super::{Design, Inlet, Item, Mechanism, ProcessId, Spec, Stage, UnitProcess, design};
use crate::note::Mark;
use crate::water::Water;
use units::{Area, Velocity};

pub(crate) struct SecondaryClarifier;

static SPEC: Spec = Spec {
    stage: Stage::Secondary,
    mechanism: Mechanism::Settling,
    purpose: "Separates the bacteria from the treated water and returns them.",
    removals: &[],
    floors: &[],
    applicable: &[],
    before: &[&[ProcessId::ActivatedSludge, ProcessId::ExtendedAeration]],
    after: &[],
    area: 0.08,
    operability: 0.8,
    mark: Mark::K,
    source: "Metcalf & Eddy 5th ed.",
};

/// Solids loading in kg/(m² h) for a flow in m³/d, a return ratio, mixed liquor in kg/m³ and a surface in m².
pub(crate) fn solids_loading(flow_m3_d: f64, returned: f64, mlss: f64, area: f64) -> f64 {
    flow_m3_d / 24.0 * (1.0 + returned) * mlss / area
}

impl UnitProcess for SecondaryClarifier {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        const RETURNED: f64 = 0.75;
        const SOLIDS: f64 = 5.0;
        const DEPTH: f64 = 4.0;
        let mut design = Design::default();
        let extended = inlet.before.contains(&ProcessId::ExtendedAeration);
        let (average, peak, mlss, least, most) =
            if extended { (12.0, 28.0, 3.5, 8.0, 16.0) } else { (22.0, 50.0, 3.0, 16.0, 28.0) };
        let rate = |m3_m2_d: f64| Velocity::clamped(m3_m2_d / 24.0);
        let by_solids = Area::clamped(inlet.q() / 24.0 * (1.0 + RETURNED) * mlss / SOLIDS);
        let area = (inlet.flow / rate(average)).max(inlet.peak / rate(peak)).max(by_solids);
        let loading = solids_loading(inlet.q(), RETURNED, mlss, area.m2());
        design.trace.push(
            inlet
                .trace("area", "A = max(Q/SOR, Q_peak/SOR_peak, Q(1+R)X/SLR); D = sqrt(4A/π)", SPEC.mark, SPEC.source)
                .input("surface_loading_m3_per_m2_day", average)
                .input("peak_surface_loading_m3_per_m2_day", peak)
                .input("return_ratio", RETURNED)
                .input("mlss_kg_per_m3", mlss)
                .output("area_m2", area.m2())
                .output("solids_loading_kg_per_m2_h", loading),
        );
        let surface_loading = inlet.q() / area.m2();
        // A larger clarifier than usual is no fault: peaks or solids govern.
        design.criterion(inlet, "surface loading", surface_loading.max(least), "m³/(m²·d)", least, most);
        design.criterion(inlet, "solids loading", loading, "kg/(m²·h)", 0.0, 6.0);
        let lines = inlet.lines();
        let each = Area::clamped(area.m2() / f64::from(lines));
        let specifications = format!(
            "{surface_loading:.1} m³/(m²·d), {loading:.1} kg/(m²·h), scraper, return {:.0} %",
            RETURNED * 100.0
        );
        let item = Item::new("Secondary clarifier mechanism", specifications, design::circle(each, DEPTH))
            .count(lines)
            .drawing(0.02 * inlet.q() / 24.0 + 0.1, 0.7)
            .tank(area.m2() * DEPTH)
            .critical(0.25);
        design.buy(item, inlet, 22_000.0, 0.55);
        design.area_m2 = Some(area.m2() * 1.1);
        design
    }
}
