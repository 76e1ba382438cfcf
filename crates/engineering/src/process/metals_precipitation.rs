//! P10 Chemical precipitation of metals as hydroxides, with reduction of chromium VI and oxidation of cyanide.

use super::{
    Design, Dose, Inlet, Item, Mechanism, POLYMER_USD, ProcessId, Removal, Solids, Spec, Stage, UnitProcess, design,
    ph_adjustment, residual,
};
use crate::note::Mark;
use crate::parameter::Parameter as P;
use crate::water::Water;

pub(crate) struct MetalsPrecipitation;

static SPEC: Spec = Spec {
    stage: Stage::Primary,
    mechanism: Mechanism::Precipitation,
    purpose: "Turns dissolved metals into hydroxides that settle.",
    removals: &[
        (P::Chromium, residual(1.0, 0.3, 0.1)),
        (P::ChromiumVi, residual(0.3, 0.1, 0.05)),
        (P::Nickel, residual(1.0, 0.5, 0.1)),
        (P::Zinc, residual(1.0, 0.5, 0.1)),
        (P::Copper, residual(1.0, 0.4, 0.1)),
        (P::Lead, residual(1.0, 0.2, 0.1)),
        (P::Cadmium, residual(1.0, 0.2, 0.1)),
        (P::Arsenic, residual(0.5, 0.1, 0.05)),
        (P::Mercury, residual(0.05, 0.01, 0.005)),
        (P::Iron, residual(1.0, 0.5, 0.1)),
        (P::Manganese, residual(1.0, 0.5, 0.1)),
        (P::Cyanide, residual(0.5, 0.2, 0.1)),
    ],
    floors: &[],
    applicable: &[],
    before: &[&[ProcessId::Screening], &[ProcessId::Equalisation]],
    after: &[&[ProcessId::Lamella, ProcessId::PrimaryClarifier, ProcessId::Daf, ProcessId::SandFilter]],
    area: 0.075,
    operability: 0.65,
    mark: Mark::K,
    source: "EPA 625/10-85/001 (0.1-1 mg/L each after clarification); values within it internal estimate",
};

/// The pH at which most hydroxides are least soluble together.
const PH: f64 = 9.5;

/// Metal, valency, atomic mass.
const HYDROXIDES: [(P, f64, f64); 8] = [
    (P::Chromium, 3.0, 51.996),
    (P::Nickel, 2.0, 58.693),
    (P::Zinc, 2.0, 65.38),
    (P::Copper, 2.0, 63.546),
    (P::Lead, 2.0, 207.2),
    (P::Cadmium, 2.0, 112.414),
    (P::Iron, 3.0, 55.845),
    (P::Manganese, 2.0, 54.938),
];

/// Grams of NaOH, and of hydroxide, per gram of metal.
pub(crate) fn per_gram(valency: f64, mass: f64) -> (f64, f64) {
    (valency * 40.0 / mass, (mass + valency * 17.007) / mass)
}

fn caustic(inlet: &Inlet<'_>) -> f64 {
    let metals: f64 = HYDROXIDES.iter().map(|&(p, z, m)| inlet.water.of(p) * per_gram(z, m).0).sum();
    let from = inlet.water.get(P::Ph).unwrap_or(7.0).min(PH);
    // Chromium VI is reduced at pH 2.5, from where all of the water must come back.
    let from = if hexavalent(inlet) > 0.5 { from.min(2.5) } else { from };
    metals + ph_adjustment::caustic(ph_adjustment::least_meq(from, PH))
}

/// Chromium VI; all chromium where the form is not given.
fn hexavalent(inlet: &Inlet<'_>) -> f64 {
    inlet.water.get(P::ChromiumVi).unwrap_or_else(|| inlet.water.of(P::Chromium))
}

impl UnitProcess for MetalsPrecipitation {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(P, Removal)> {
        let mut removals = SPEC.removals.to_vec();
        removals.push((P::Ph, Removal::Set(PH)));
        removals.push((P::Tds, Removal::Adds(caustic(inlet) * 0.575)));
        removals
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let mut design = Design::default();
        let soda = caustic(inlet);
        design.doses.push(Dose::of("Sodium hydroxide", soda, inlet, 0.59));
        let mut entry = inlet.trace(
            "dose",
            "NaOH = Σ metal x valency x 40/M + acidity x 40; hydroxide = Σ removed x (M + 17 valency)/M x 1.5 for inerts",
            Mark::E,
            "internal estimate of inerts (1.2-2) on stoichiometry",
        );
        let mut hydroxides = 0.0;
        for &(metal, valency, mass) in &HYDROXIDES {
            if let Some(entering) = inlet.water.get(metal) {
                let removed = (entering - outlet.of(metal)).max(0.0);
                hydroxides += removed * per_gram(valency, mass).1;
                entry = entry.input(&format!("{}_mg_per_l", metal.name().to_lowercase()), entering);
            }
        }
        let chromium = hexavalent(inlet);
        if chromium > 0.5 {
            design.doses.push(Dose::of("Sodium metabisulfite", 2.74 * chromium, inlet, 0.36));
            let from = inlet.water.get(P::Ph).unwrap_or(7.0);
            if from > 2.5 {
                design.doses.push(Dose::of("Sulfuric acid", 49.0 * ph_adjustment::least_meq(from, 2.5), inlet, 0.12));
            }
            entry = entry.input("chromium_vi_reduced_mg_per_l", chromium);
        }
        let cyanide = inlet.water.of(P::Cyanide);
        if cyanide > 0.1 {
            design.doses.push(Dose::of("Sodium hypochlorite (as Cl2)", 7.2 * cyanide, inlet, 1.53));
            entry = entry.input("cyanide_oxidised_mg_per_l", cyanide);
        }
        design.doses.push(Dose::of("Polymer", 1.5, inlet, POLYMER_USD).estimated());
        let solids = hydroxides * 1.5 * inlet.q() / 1000.0;
        design.solids = Solids { kg_d: solids, dry: 0.02, hazardous: true };
        design.trace.push(entry.output("sodium_hydroxide_mg_per_l", soda).output("dry_solids_kg_per_day", solids));
        design.test("Doses and residuals of the metals precipitation need a jar test with the real water.");
        let v = inlet.peak_m3_h();
        let specifications = format!(
            "{v:.1} m³ in reaction stages ({}precipitation at pH {PH}, flocculation), pH and ORP control",
            if chromium > 0.5 { "chromium reduction at pH 2.5, " } else { "" }
        );
        let dimensions = design::rectangle(design::surface(v, 2.0), 3.0, 2.0);
        let item = Item::new("Metals precipitation skid", specifications, dimensions)
            .drawing(0.1 * inlet.q() / 24.0 + 0.2, 0.7)
            .critical(0.35);
        design.buy(item, inlet, 45_000.0, 0.5);
        design
    }
}
