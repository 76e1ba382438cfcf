//! T07 Ozonation of color and refractory organic matter.

use super::{Design, Inlet, Item, Mechanism, ProcessId, Spec, Stage, UnitProcess, design, logs, share, within};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct Ozone;

static SPEC: Spec = Spec {
    stage: Stage::Tertiary,
    mechanism: Mechanism::Ozonation,
    purpose: "Oxidizes color and organic matter that bacteria do not degrade, without a solid residue.",
    removals: &[
        (Parameter::Cod, share(15.0, 30.0, 60.0)),
        (Parameter::Color, share(60.0, 80.0, 95.0)),
        (Parameter::Phenols, share(60.0, 80.0, 95.0)),
        (Parameter::Surfactants, share(40.0, 60.0, 80.0)),
        (Parameter::FecalColiforms, logs(2.0, 2.5, 3.5)),
        (Parameter::TotalColiforms, logs(2.0, 2.5, 3.5)),
        (Parameter::EColi, logs(2.0, 2.5, 3.5)),
    ],
    floors: &[(Parameter::Cod, 10.0)],
    applicable: &[within(Parameter::Tss, 0.0, 20.0)],
    before: &[&[ProcessId::SandFilter, ProcessId::Ultrafiltration]],
    after: &[],
    area: 0.015,
    operability: 0.4,
    mark: Mark::K,
    source: "literature: 0.5-1.5 mg O3 per mg TOC; 11 kWh/kg system energy (WaterTAP)",
};

/// Ozone per TOC, in mg/mg; TOC is about a third of the COD of treated water.
const PER_TOC: f64 = 1.0;

/// kg/h of ozone for a dose in mg/L and a flow in m³/h.
pub(crate) fn ozone_kg_h(dose_mg_l: f64, flow_m3_h: f64) -> f64 {
    dose_mg_l * flow_m3_h / 1000.0
}

impl UnitProcess for Ozone {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, _outlet: &Water) -> Design {
        let mut design = Design::default();
        let toc = inlet.water.get(Parameter::Toc).unwrap_or_else(|| inlet.water.of(Parameter::Cod) / 3.0);
        let dose = (PER_TOC * toc).max(5.0);
        let ozone = ozone_kg_h(dose, inlet.q() / 24.0);
        let tank = inlet.peak_m3_h() * 12.0 / 60.0;
        design.trace.push(
            inlet
                .trace(
                    "dose",
                    "dose = 1.0 mg/mg x TOC, TOC = COD/3 where not given; P = 11 kWh/kg; V = Q_peak x 12 min",
                    SPEC.mark,
                    SPEC.source,
                )
                .input("toc_mg_per_l", toc)
                .output("dose_mg_per_l", dose)
                .output("ozone_kg_per_h", ozone)
                .output("draw_kw", ozone * 11.0)
                .output("contact_m3", tank),
        );
        if toc >= 5.0 {
            design.criterion(inlet, "ozone per TOC", dose / toc, "mg/mg", 0.5, 1.5);
        }
        design.test("The ozone dose needs a bench test; bromide must be below 50 µg/L or bromate forms.");
        // The package of the curve makes 0.10 kg/h (10 mg/L at 10 m³/h).
        let usd = design.curve(inlet, "Ozone system", ozone / 0.10 * 240.0, 60_000.0, 0.6);
        let specifications = format!("{ozone:.2} kg O3/h, {dose:.0} mg/L, {tank:.1} m³ contact, ozone destruction");
        let dimensions = design::rectangle(design::surface(tank, 4.5), 2.0, 5.0);
        let item = Item::new("Ozone generator with contact tank", specifications, dimensions)
            .drawing(ozone * 11.0, 0.8)
            .tank(tank)
            .usd(usd);
        design.items.push(item);
        design
    }
}
