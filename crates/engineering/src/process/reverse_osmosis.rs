//! T06 Reverse osmosis.

use super::{
    Design, Dose, Inlet, Item, Mechanism, ProcessId, Reject, Spec, Stage, UnitProcess, logs, only_within, share,
};
use crate::note::Mark;
use crate::parameter::Parameter as P;
use crate::water::Water;
use units::Flux;

pub(crate) struct ReverseOsmosis;

const SALT: super::Removal = share(92.0, 96.0, 99.0);
const DIVALENT: super::Removal = share(97.0, 98.0, 99.0);

static SPEC: Spec = Spec {
    stage: Stage::Tertiary,
    mechanism: Mechanism::Osmosis,
    purpose: "Removes dissolved salts, which no biological or filtering unit does.",
    removals: &[
        (P::Tds, SALT),
        (P::Conductivity, SALT),
        (P::Chlorides, SALT),
        (P::Sodium, SALT),
        (P::Alkalinity, SALT),
        (P::Fluoride, SALT),
        (P::Hardness, DIVALENT),
        (P::Calcium, DIVALENT),
        (P::Magnesium, DIVALENT),
        (P::Sulfates, DIVALENT),
        (P::Tp, DIVALENT),
        (P::Iron, DIVALENT),
        (P::Manganese, DIVALENT),
        (P::Arsenic, share(85.0, 92.0, 97.0)),
        (P::Cadmium, DIVALENT),
        (P::Chromium, DIVALENT),
        (P::ChromiumVi, share(85.0, 92.0, 97.0)),
        (P::Copper, DIVALENT),
        (P::Lead, DIVALENT),
        (P::Mercury, share(85.0, 92.0, 97.0)),
        (P::Nickel, DIVALENT),
        (P::Zinc, DIVALENT),
        (P::Silica, share(95.0, 97.0, 99.0)),
        (P::Boron, share(40.0, 70.0, 90.0)),
        (P::Tn, share(85.0, 92.0, 97.0)),
        (P::Tkn, share(85.0, 92.0, 97.0)),
        (P::AmmoniaN, share(85.0, 92.0, 97.0)),
        (P::NitrateN, share(85.0, 92.0, 97.0)),
        (P::Cod, share(85.0, 93.0, 98.0)),
        (P::Bod5, share(85.0, 93.0, 98.0)),
        (P::Toc, share(85.0, 93.0, 98.0)),
        (P::OilGrease, share(85.0, 93.0, 98.0)),
        (P::Color, share(90.0, 97.0, 99.0)),
        (P::Tss, share(90.0, 95.0, 99.0)),
        (P::Turbidity, share(80.0, 90.0, 95.0)),
        (P::FecalColiforms, logs(2.0, 3.0, 4.0)),
        (P::TotalColiforms, logs(2.0, 3.0, 4.0)),
        (P::EColi, logs(2.0, 3.0, 4.0)),
    ],
    floors: &[],
    applicable: &[only_within(P::Tds, 0.0, 45_000.0), only_within(P::OilGrease, 0.0, 5.0)],
    before: &[&[ProcessId::Ultrafiltration, ProcessId::SandFilter]],
    after: &[],
    area: 0.02,
    operability: 0.4,
    mark: Mark::K,
    source: "membrane makers' and design-tool ranges; metals internal estimate",
};

/// Energy in kWh per m³ of product: P/(36 η R).
pub(crate) fn specific_energy(bar: f64, efficiency: f64, recovery: f64) -> f64 {
    bar / (36.0 * efficiency * recovery)
}

/// What is in the concentrate: C [1 - R (1 - r)]/(1 - R).
pub(crate) fn concentrate(feed: f64, recovery: f64, removed: f64) -> f64 {
    feed * (1.0 - recovery * (1.0 - removed)) / (1.0 - recovery)
}

impl UnitProcess for ReverseOsmosis {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        const FLUX: f64 = 17.0;
        let mut design = Design::default();
        let (tds, silica) = (inlet.water.of(P::Tds), inlet.water.of(P::Silica));
        // Silica in the concentrate stays below 130 mg/L, and salty water gives less product.
        let by_silica = if silica > 0.0 { 1.0 - silica / 130.0 } else { 0.75 };
        let by_salt = super::interpolate(&[(3000.0, 0.75), (10_000.0, 0.6), (35_000.0, 0.4)], tds);
        let recovery = by_silica.min(by_salt).clamp(0.3, 0.75);
        let product = inlet.flow * units::Ratio::clamped(recovery);
        let area = (product / Flux::clamped(FLUX).velocity()) * inlet.basis.safety_factor;
        let mean_salt = f64::midpoint(tds, concentrate(tds, recovery, 0.96));
        let bar = (10.0 + 0.069 * mean_salt / 100.0).min(70.0);
        let energy = specific_energy(bar, 0.75, recovery);
        design.trace.push(
            inlet
                .trace(
                    "membranes",
                    "A = Q R/J x safety; p = 10 bar + 0.069 bar per 100 mg/L TDS; kWh/m³ = p/(36 η R)",
                    Mark::K,
                    "flux: membrane design tools; recovery and osmotic pressure: Lenntech, industrialwateradvisory",
                )
                .input("tds_mg_per_l", tds)
                .input("flux_l_per_m2_h", FLUX)
                .input("pump_efficiency", 0.75)
                .output("recovery", recovery)
                .output("membrane_area_m2", area.m2())
                .output("pressure_bar", bar)
                .output("specific_energy_kwh_per_m3", energy)
                .output("concentrate_tds_mg_per_l", concentrate(tds, recovery, 0.96)),
        );
        design.criterion(inlet, "flux", FLUX, "L/(m²·h)", 12.0, 20.0);
        design.criterion(inlet, "recovery", recovery, "-", 0.5, 0.85);
        design.doses.push(Dose::of("Antiscalant", 3.0, inlet, 3.49));
        design.doses.push(Dose::of("Sodium bisulfite", 3.0, inlet, 0.36));
        design.doses.push(Dose::of("Citric acid (cleaning)", 0.5, inlet, 1.92));
        design.test("Reverse osmosis needs a full ion analysis and an SDI measurement before it is bought.");
        let usd = design.curve(inlet, "Reverse osmosis", inlet.q(), 95_000.0, 0.75);
        let elements = (area.m2() / 37.16).ceil();
        let skid = Item::new(
            "Reverse osmosis skid with high-pressure pump",
            format!(
                "{:.1} m³/h product, recovery {:.0} %, {bar:.0} bar",
                product.m3_per_day() / 24.0,
                recovery * 100.0
            ),
            "skid 6.50 x 1.80 x 2.40 m".to_owned(),
        )
        .drawing(energy * product.m3_per_day() / 24.0, 0.8)
        .critical(0.4)
        .usd(usd * 0.8);
        let membranes = Item::new(
            "Reverse osmosis membranes",
            format!("{:.0} m² in {elements:.0} elements, {FLUX} L/(m²·h)", area.m2()),
            "8 x 40 inch elements".to_owned(),
        )
        .usd(usd * 0.2)
        .replacing(0.2);
        design.items.extend([skid, membranes]);
        design.recovery = Some(recovery);
        design.reject = Reject::Concentrate;
        design
    }
}
