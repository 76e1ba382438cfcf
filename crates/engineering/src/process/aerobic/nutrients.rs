//! Nitrogen, alkalinity and missing nutrients of suspended growth (section 4.3, S06).

use super::Mode;
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::process::{Design, Dose, Inlet};
use crate::water::Water;

/// Growth rate of nitrifiers in 1/d, at N 1 mg/L and DO 2 mg/L.
pub(crate) fn nitrifier_growth(celsius: f64) -> f64 {
    0.90 * (1.0 / 1.7) * (2.0 / 2.5) * 1.072f64.powf(celsius - 20.0) - 0.17 * 1.029f64.powf(celsius - 20.0)
}

/// Nitrogen loads in kg/d, and the volume denitrification needs in m³.
pub(super) struct Nitrogen {
    pub(super) nitrified: f64,
    pub(super) denitrified: f64,
    pub(super) anoxic: f64,
}

/// Anoxic volume in m³ for nitrate in kg N/d and active mixed liquor in kg/m³: V = load/(SDNR X_b), SDNR 0.12 1/d.
pub(crate) fn anoxic_volume(denitrified_kg_d: f64, active_kg_m3: f64) -> f64 {
    denitrified_kg_d / (0.12 * active_kg_m3)
}

/// Alkalinity used as CaCO₃, in the unit of nitrogen: 7.14 N_ox - 3.57 N_den.
pub(crate) fn alkalinity_used(nitrified: f64, denitrified: f64) -> f64 {
    7.14 * nitrified - 3.57 * denitrified
}

/// What growth does not take up is oxidised, and what the limit forbids is denitrified; with the alkalinity it takes.
pub(super) fn nitrogen(inlet: &Inlet<'_>, outlet: &Water, mode: &Mode, px_vss: f64, design: &mut Design) -> Nitrogen {
    let load = inlet.load(Parameter::Tn);
    let nitrified = if mode.nitrifies { (load - 0.12 * px_vss - 0.001 * inlet.q()).max(0.0) } else { 0.0 };
    let left = inlet.q() * outlet.of(Parameter::Tn) / 1000.0;
    let denitrified = if mode.denitrifies { (nitrified - left).max(0.0) } else { 0.0 };
    let anoxic = anoxic_volume(denitrified * inlet.basis.max_month_factor.value(), 0.6 * mode.mlss);
    if nitrified <= 0.0 {
        return Nitrogen { nitrified, denitrified, anoxic };
    }
    let used = alkalinity_used(nitrified, denitrified) * 1000.0 / inlet.q();
    let remaining = inlet.basis.alkalinity() - used;
    let entering = inlet.water.of(Parameter::Tn);
    design.trace.push(
        inlet
            .trace(
                "nitrogen",
                "N_ox = N - 0.12 P_X,VSS - 1 mg/L; V = N_den/(SDNR X_b), SDNR 0.12, X_b = 0.6 X, load x 1.2; alkalinity 7.14 N_ox - 3.57 N_den",
                Mark::K,
                "Metcalf & Eddy 5th ed.",
            )
            .input("total_nitrogen_in_mg_per_l", entering)
            .input("alkalinity_in_mg_per_l", inlet.basis.alkalinity())
            .output("nitrified_kg_per_day", nitrified)
            .output("denitrified_kg_per_day", denitrified)
            .output("anoxic_volume_m3", anoxic)
            .output("alkalinity_used_mg_per_l", used)
            .output("alkalinity_left_mg_per_l", remaining),
    );
    if remaining < 70.0 && mode.denitrifies {
        let missing = (70.0 - remaining) / 50.04;
        design.doses.push(Dose::of("Sodium bicarbonate (alkalinity)", missing * 84.0, inlet, 0.5).estimated());
        design.test("Nitrification needs more alkalinity than assumed; bicarbonate is dosed. Measure the alkalinity.");
    } else if remaining < 70.0 {
        // Nobody limits nitrogen here: pauses of aeration give back half of the alkalinity without a chemical.
        design.test("A long sludge age nitrifies and may use up the alkalinity: measure it, and aerate with pauses.");
    }
    let ratio = inlet.water.of(Parameter::Cod) / entering.max(0.1);
    if denitrified > 0.0 && ratio < 7.0 {
        design.test(format!("COD/TN is {ratio:.1}; below 7 denitrification may need an external carbon source."));
    }
    Nitrogen { nitrified, denitrified, anoxic }
}

/// BOD:N:P 100:5:1; what is missing is dosed.
pub(super) fn nutrients(inlet: &Inlet<'_>, bod_removed: f64, design: &mut Design) {
    let per_litre = |kg_d: f64| kg_d * 1000.0 / inlet.q();
    let missing_n = (0.05 * bod_removed - inlet.load(Parameter::Tn)).max(0.0);
    let missing_p = (0.01 * bod_removed - inlet.load(Parameter::Tp)).max(0.0);
    let source = "literature, BOD:N:P 100:5:1";
    if missing_n > 0.0 {
        design.doses.push(Dose::of("Urea", per_litre(missing_n / 0.466), inlet, 0.5).estimated());
    }
    if missing_p > 0.0 {
        design.doses.push(Dose::of("Phosphoric acid", per_litre(missing_p / 0.316), inlet, 0.97));
    }
    if missing_n > 0.0 || missing_p > 0.0 {
        design.trace.push(
            inlet
                .trace(
                    "nutrients",
                    "missing N = 0.05 BOD removed - N; missing P = 0.01 BOD removed - P",
                    Mark::K,
                    source,
                )
                .input("bod_removed_kg_per_day", bod_removed)
                .output("missing_nitrogen_kg_per_day", missing_n)
                .output("missing_phosphorus_kg_per_day", missing_p),
        );
    }
}
