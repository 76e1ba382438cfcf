//! P04 pH adjustment, to the range biology or discharge needs.

use super::{Design, Dose, Inlet, Item, Mechanism, ProcessId, Removal, Spec, Stage, UnitProcess, design};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct PhAdjustment;

static SPEC: Spec = Spec {
    stage: Stage::Primary,
    mechanism: Mechanism::Neutralisation,
    purpose: "Brings the pH into the range in which bacteria live and water may be discharged.",
    removals: &[],
    floors: &[],
    applicable: &[],
    before: &[&[ProcessId::Equalisation]],
    after: &[],
    area: 0.02,
    operability: 0.8,
    mark: Mark::E,
    source: "internal estimate of the buffer; equivalent weights NaOH 40, H2SO4 49",
};

/// The pH aimed at.
pub(crate) const AIM: f64 = 7.2;

/// What a change of pH needs at least, in meq/L: the difference in 10^-pH (acid side) or 10^(pH-14) (alkaline side).
pub(crate) fn least_meq(from: f64, to: f64) -> f64 {
    let ions = |ph: f64| 1000.0 * (10f64.powf(-ph) - 10f64.powf(ph - 14.0));
    (ions(from) - ions(to)).abs()
}

/// The dose in mg/L of NaOH (rising pH) for an acidity in meq/L.
pub(crate) fn caustic(meq: f64) -> f64 {
    meq * 40.0
}

/// Milliequivalents of acid or base: the lower bound by pH plus a usual buffer of 0.8 meq/L per unit of pH.
fn meq(from: f64) -> f64 {
    least_meq(from, AIM) + 0.8 * (from - AIM).abs()
}

impl UnitProcess for PhAdjustment {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        let from = inlet.water.get(Parameter::Ph).unwrap_or(AIM);
        // Sodium of NaOH, or sulfate of the acid, stays in the water.
        let salts = if from < AIM { meq(from) * 23.0 } else { meq(from) * 48.0 };
        vec![(Parameter::Ph, Removal::Set(AIM)), (Parameter::Tds, Removal::Adds(salts))]
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        let mut design = Design::default();
        let from = inlet.water.get(Parameter::Ph).unwrap_or(AIM);
        let needed = meq(from);
        let (name, dose, price) = if from < AIM {
            ("Sodium hydroxide", caustic(needed), 0.59)
        } else {
            ("Sulfuric acid", needed * 49.0, 0.12)
        };
        design.doses.push(Dose::of(name, dose, inlet, price));
        design.trace.push(
            inlet
                .trace(
                    "dose",
                    "meq/L = |10^-pH1 - 10^-pH2| (both sides) + 0.8 |ΔpH|; dose = meq/L x equivalent weight",
                    Mark::E,
                    "buffer estimate; lower bound by pH is chemistry",
                )
                .input("ph_before", from)
                .input("ph_after", AIM)
                .input("lower_bound_meq_per_l", least_meq(from, AIM))
                .output("meq_per_l", needed)
                .output("dose_mg_per_l", dose),
        );
        design.test("The dose for pH adjustment is an estimate from pH alone: a titration curve is needed.");
        let stages = if (from - AIM).abs() > 2.0 { 2 } else { 1 };
        let v = inlet.peak_m3_h() * 0.25 * f64::from(stages);
        let dimensions = design::rectangle(design::surface(v, 2.0), f64::from(stages), 2.0);
        let specifications = format!(
            "{}, {v:.1} m³, 15 min each, pH control, {} dosing",
            if stages == 1 { "1 stage" } else { "2 stages" },
            name.to_lowercase()
        );
        let item =
            Item::new("pH adjustment skid", specifications, dimensions).drawing(0.15 * v + 0.1, 0.7).critical(0.25);
        design.buy(item, inlet, 9_000.0, 0.4);
        design
    }
}
