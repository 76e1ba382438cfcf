//! T02 Granular activated carbon.

use super::{
    Design, Dose, Inlet, Item, Mechanism, ProcessId, Reject, Removal, Spec, Stage, UnitProcess, design, interpolate,
    share, within,
};
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;
use units::{Area, Velocity};

pub(crate) struct Gac;

static SPEC: Spec = Spec {
    stage: Stage::Tertiary,
    mechanism: Mechanism::Adsorption,
    purpose: "Adsorbs dissolved organic matter and color that bacteria do not degrade.",
    removals: &[],
    floors: &[(Parameter::Bod5, 3.0), (Parameter::Cod, 10.0)],
    applicable: &[within(Parameter::Tss, 0.0, 10.0)],
    before: &[&[ProcessId::SandFilter, ProcessId::Ultrafiltration]],
    after: &[],
    area: 0.02,
    operability: 0.65,
    mark: Mark::K,
    source: "literature; carbon 500 kg/m³ (WaterTAP)",
};

/// Load carbon takes up, in kg COD/kg.
const CAPACITY: f64 = 0.15;

/// Empty-bed contact time in minutes that leaves what is aimed at, 10 to 30.
fn contact(inlet: &Inlet<'_>) -> f64 {
    let entering = inlet.water.of(Parameter::Cod);
    let needed = inlet.aim(Parameter::Cod).map_or(0.5, |aim| 1.0 - aim / entering.max(1e-6));
    interpolate(&[(0.30, 10.0), (0.50, 15.0), (0.75, 30.0)], needed)
}

fn cod(contact: f64) -> Removal {
    let typical = interpolate(&[(10.0, 30.0), (15.0, 50.0), (30.0, 75.0)], contact);
    share(typical * 0.6, typical, (typical * 1.5).min(85.0))
}

impl UnitProcess for Gac {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn removals(&self, inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        let cod = cod(contact(inlet));
        vec![
            (Parameter::Cod, cod),
            (Parameter::Bod5, cod),
            (Parameter::Toc, share(20.0, 40.0, 70.0)),
            (Parameter::Color, share(60.0, 80.0, 95.0)),
            (Parameter::Phenols, share(70.0, 85.0, 95.0)),
            (Parameter::Surfactants, share(50.0, 70.0, 90.0)),
            (Parameter::ChlorineResidual, share(90.0, 99.0, 100.0)),
        ]
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let mut design = Design::default();
        let minutes = contact(inlet);
        let v = inlet.peak_m3_h() * minutes / 60.0;
        let carbon = v * 500.0;
        let removed = (inlet.load(Parameter::Cod) - inlet.q() * outlet.of(Parameter::Cod) / 1000.0).max(0.0);
        let used = (removed / CAPACITY).max(0.001 * inlet.q());
        design.trace.push(
            inlet
                .trace("bed", "V = Q_peak EBCT/60; use = COD removed/q; life = M/use", SPEC.mark, SPEC.source)
                .input("contact_min", minutes)
                .input("capacity_kg_cod_per_kg", CAPACITY)
                .input("cod_removed_kg_per_day", removed)
                .output("bed_m3", v)
                .output("carbon_kg", carbon)
                .output("carbon_use_kg_per_day", used)
                .output("life_days", carbon / used),
        );
        design.criterion(inlet, "empty-bed contact time", minutes, "min", 10.0, 30.0);
        design.test("The capacity of the carbon for this water needs an isotherm or a pilot column.");
        let mut dose = Dose::of("Activated carbon (exchanged)", used * 1000.0 / inlet.q(), inlet, 3.64);
        dose.kg_d = used;
        design.doses.push(dose);
        let area = (inlet.peak / Velocity::clamped(8.0)).max(design::surface(v, 2.5));
        let each = Area::clamped(area.m2() / 2.0);
        let specifications =
            format!("contact {minutes:.0} min over both, {:.1} m³ of carbon ({:.0} kg)", v / 2.0, carbon / 2.0);
        let size = inlet.q() * (minutes / 15.0);
        let usd = design.curve(inlet, "GAC vessels with carbon", size, 24_000.0, 0.65);
        let item = Item::new("Activated carbon filter", specifications, design::circle(each, 3.5))
            .count(2)
            .drawing(0.03 * inlet.q() / 24.0, 0.7)
            .usd(usd);
        design.items.push(item);
        design.recovery = Some(0.98);
        design.reject = Reject::Returns;
        design
    }
}
