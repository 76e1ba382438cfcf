//! P09 Primary clarifier, circular.

use super::{
    Design, Inlet, Item, Mechanism, ProcessId, Removal, Solids, Spec, Stage, UnitProcess, design, lamella, share,
};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;
use units::{Flow, Velocity};

pub(crate) struct PrimaryClarifier;

static SPEC: Spec = Spec {
    stage: Stage::Primary,
    mechanism: Mechanism::Settling,
    purpose: "Settles suspended solids before the biology, which saves aeration.",
    removals: &[
        (Parameter::Tss, share(50.0, 60.0, 70.0)),
        (Parameter::Bod5, share(25.0, 33.0, 40.0)),
        (Parameter::Cod, share(25.0, 33.0, 40.0)),
        (Parameter::Tn, share(10.0, 15.0, 20.0)),
        (Parameter::Tp, share(10.0, 15.0, 20.0)),
    ],
    floors: &[(Parameter::Tss, 10.0), (Parameter::Bod5, 10.0)],
    applicable: &[],
    before: &[&[ProcessId::Screening]],
    after: &[],
    area: 0.06,
    operability: 0.85,
    mark: Mark::K,
    source: "Metcalf & Eddy 5th ed.; Rodríguez Miranda et al. 2015 has TSS 50-65, BOD 30-40, N and P 10-20 %; COD as BOD",
};

/// Removal in per cent after `hours`: t/(a + b t).
pub(crate) fn removal_percent(hours: f64, a: f64, b: f64) -> f64 {
    hours / (a + b * hours)
}

impl UnitProcess for PrimaryClarifier {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        let mut removals = SPEC.removals.to_vec();
        removals.extend(lamella::floc_removal(inlet).map(|removal| (Parameter::Tss, removal)));
        removals
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        const AVERAGE: f64 = 40.0;
        const PEAK: f64 = 100.0;
        const DEPTH: f64 = 3.5;
        let mut design = Design::default();
        let rate = |m3_m2_d: f64| Velocity::clamped(m3_m2_d / 24.0);
        let area = (inlet.flow / rate(AVERAGE)).max(inlet.peak / rate(PEAK));
        let hours = (area * units::Length::clamped(DEPTH) / inlet.flow).hours();
        design.trace.push(
            inlet
                .trace(
                    "area",
                    "A = max(Q/SOR, Q_peak/SOR_peak); D = sqrt(4A/π)",
                    Mark::K,
                    "Metcalf & Eddy 5th ed. (average loading as coded in QSDsan)",
                )
                .input("surface_loading_m3_per_m2_day", AVERAGE)
                .input("peak_surface_loading_m3_per_m2_day", PEAK)
                .output("area_m2", area.m2())
                .output("retention_h", hours)
                .output("bod_removal_percent_by_time", removal_percent(hours, 0.018, 0.020)),
        );
        let loading = inlet.q() / area.m2();
        design.criterion(inlet, "surface loading", loading, "m³/(m²·d)", 30.0, 50.0);
        let lines = inlet.lines();
        let each = (Flow::clamped(inlet.q() / f64::from(lines))) / rate(loading);
        let specifications = format!("{loading:.0} m³/(m²·d), {hours:.1} h, scraper and sludge pump");
        let item = Item::new("Primary clarifier mechanism", specifications, design::circle(each, DEPTH))
            .count(lines)
            .drawing(0.005 * inlet.q() / 24.0 + 0.1, 0.7)
            .tank(area.m2() * DEPTH);
        design.buy(item, inlet, 20_000.0, 0.55);
        let removed = inlet.load(Parameter::Tss) - inlet.q() * outlet.of(Parameter::Tss) / 1000.0;
        design.solids = Solids { kg_d: removed, dry: 0.04, hazardous: inlet.hazardous };
        design.area_m2 = Some(area.m2());
        design
    }
}
