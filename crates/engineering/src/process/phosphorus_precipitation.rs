//! P11 Phosphorus precipitation with ferric chloride, dosed into the biology or its clarifier.

use super::{Design, Dose, Inlet, Item, Mechanism, ProcessId, Removal, Solids, Spec, Stage, UnitProcess, residual};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct PhosphorusPrecipitation;

static SPEC: Spec = Spec {
    stage: Stage::Secondary,
    mechanism: Mechanism::Precipitation,
    purpose: "Precipitates phosphorus that the biology does not take up.",
    removals: &[(Parameter::Tp, residual(2.0, 1.0, 0.5))],
    floors: &[],
    applicable: &[],
    before: &[],
    after: &[&[ProcessId::SecondaryClarifier, ProcessId::Sbr, ProcessId::SandFilter]],
    area: 0.01,
    operability: 0.8,
    mark: Mark::K,
    source: "literature: residual 0.5-1 mg/L with clarifier, 0.1-0.3 mg/L with filter",
};

/// Per mg/L of phosphorus removed at 2 mol Fe/mol P: mg/L of FeCl3, and mg/L of dry sludge.
pub(crate) fn per_mg_p() -> (f64, f64) {
    let iron = 2.0 * 55.845 / 30.974;
    (iron * 162.2 / 55.845, 4.87 + iron / 2.0 * 1.914)
}

impl UnitProcess for PhosphorusPrecipitation {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        let floor = if inlet.after.contains(&ProcessId::SandFilter) { 0.2 } else { 0.8 };
        let typical = inlet.aim(Parameter::Tp).unwrap_or(1.0).max(floor);
        vec![(Parameter::Tp, residual(typical * 1.5, typical, floor.min(typical)))]
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let mut design = Design::default();
        let removed = (inlet.water.of(Parameter::Tp) - outlet.of(Parameter::Tp)).max(0.0);
        let (chloride, sludge) = per_mg_p();
        let dose = removed * chloride;
        design.doses.push(Dose::of("Ferric chloride", dose, inlet, 0.88));
        let solids = removed * sludge * inlet.q() / 1000.0;
        let alkalinity = 0.92 * dose;
        design.solids = Solids { kg_d: solids, dry: 0.01, hazardous: false };
        design.trace.push(
            inlet
                .trace(
                    "dose",
                    "FeCl3 = ΔP x 2 x 55.845/30.974 x 162.2/55.845; DS = 4.87 ΔP + Fe/2 x 1.914",
                    Mark::D,
                    "stoichiometry at 2 mol Fe/mol P (Fe/P 1.80 g/g at 1 mol/mol)",
                )
                .input("phosphorus_removed_mg_per_l", removed)
                .output("ferric_chloride_mg_per_l", dose)
                .output("alkalinity_used_mg_per_l", alkalinity)
                .output("dry_solids_kg_per_day", solids),
        );
        if inlet.basis.alkalinity() - alkalinity < 80.0 {
            design.test("Precipitation of phosphorus leaves less than 80 mg/L of alkalinity: check before building.");
        }
        let specifications = format!("ferric chloride {dose:.0} mg/L, tank and 1 + 1 dosing pumps");
        let item =
            Item::new("Phosphorus dosing skid", specifications, "1.20 x 0.80 x 1.60 m".to_owned()).drawing(0.1, 0.7);
        // A dosing skid is a part of the pH skid's class.
        design.buy(item, inlet, 9_000.0, 0.4);
        design
    }
}
