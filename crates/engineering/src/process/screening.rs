//! P01 Screening: bars for sewage, a fine drum for food industry.

use super::{Design, Inlet, Item, Mechanism, Removal, Spec, Stage, UnitProcess, design, share};
use crate::facts::SectorKind;
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct Screening;

static SPEC: Spec = Spec {
    stage: Stage::Primary,
    mechanism: Mechanism::Straining,
    purpose: "Keeps coarse solids away from pumps and tanks.",
    removals: &[(Parameter::Tss, share(0.0, 5.0, 10.0))],
    floors: &[],
    applicable: &[],
    before: &[],
    after: &[],
    area: 0.02,
    operability: 0.9,
    mark: Mark::K,
    source: "Metcalf & Eddy 5th ed.",
};

/// Velocity between the bars at peak flow, in m/s.
const VELOCITY: f64 = 0.9;

/// Clear area between the bars in m², for a flow in m³/s: A = Q/v.
pub(crate) fn clear_area(peak_m3_s: f64) -> f64 {
    peak_m3_s / VELOCITY
}

/// Head loss in m: h = (v² - v_a²)/(2 g 0.7).
pub(crate) fn head_loss(between_bars: f64, approach: f64) -> f64 {
    (between_bars.powi(2) - approach.powi(2)) / (2.0 * 9.81 * 0.7)
}

fn fine(inlet: &Inlet<'_>) -> bool {
    inlet.basis.kind == SectorKind::Food
}

impl UnitProcess for Screening {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        if fine(inlet) {
            vec![(Parameter::Tss, share(10.0, 25.0, 40.0)), (Parameter::Bod5, share(5.0, 10.0, 20.0))]
        } else {
            SPEC.removals.to_vec()
        }
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let mut design = Design::default();
        let peak = inlet.peak_m3_h() / 3600.0;
        let area = clear_area(peak);
        // Bars as wide as their gaps: the channel is twice the clear width.
        let depth = (peak.sqrt() * 1.06).clamp(0.1, 1.5);
        let width = (area / depth * 2.0).max(0.3);
        let loss = head_loss(VELOCITY, VELOCITY / 2.0);
        design.trace.push(
            inlet
                .trace("clear_area", "A = Q_peak/v; h = (v² - v_a²)/(2 g 0.7)", SPEC.mark, SPEC.source)
                .input("peak_flow_m3_per_s", peak)
                .input("velocity_m_per_s", VELOCITY)
                .output("clear_area_m2", area)
                .output("head_loss_m", loss),
        );
        design.criterion(inlet, "velocity through the bars", VELOCITY, "m/s", 0.6, 1.0);
        let (kind, opening, usd) = if fine(inlet) {
            ("Rotary drum screen", "opening 1 mm", 22_000.0)
        } else {
            ("Automatic bar screen", "opening 10 mm", 8_000.0)
        };
        let specifications = format!("{:.1} m³/h at peak, {opening}, head loss {loss:.2} m", inlet.peak_m3_h());
        let dimensions = format!("{width:.2} x {:.2} m channel", depth + 0.5);
        let kw = (0.2 + inlet.q() / 2000.0).min(1.1);
        let item = Item::new(kind, specifications, dimensions).drawing(kw * 0.5, 0.5);
        design.buy(item, inlet, usd, 0.4);
        // Screenings go to the skip, not to sludge treatment; their solids count as sludge taken away.
        design.solids = design::Solids {
            kg_d: inlet.load(Parameter::Tss) - inlet.q() * outlet.of(Parameter::Tss) / 1000.0,
            dry: 0.2,
            hazardous: false,
        };
        design
    }
}
