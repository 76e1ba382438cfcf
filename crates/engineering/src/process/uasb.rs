//! A01 Upflow anaerobic sludge blanket reactor.

use super::{
    Design, Inlet, Item, Mechanism, ProcessId, Solids, Spec, Stage, UnitProcess, design, interpolate, logs,
    only_within, share, within,
};
use crate::facts::SectorKind;
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;

pub(crate) struct Uasb;

static SPEC: Spec = Spec {
    stage: Stage::Secondary,
    mechanism: Mechanism::Anaerobic,
    purpose: "Turns most of the organic load into biogas without aeration and with little sludge.",
    removals: &[
        (Parameter::Cod, share(60.0, 75.0, 85.0)),
        (Parameter::Toc, share(60.0, 75.0, 85.0)),
        (Parameter::Bod5, share(65.0, 78.0, 88.0)),
        (Parameter::Tss, share(50.0, 65.0, 80.0)),
        (Parameter::Tp, share(0.0, 5.0, 10.0)),
        (Parameter::FecalColiforms, logs(0.2, 0.5, 0.9)),
        (Parameter::TotalColiforms, logs(0.2, 0.5, 0.9)),
        (Parameter::EColi, logs(0.2, 0.5, 0.9)),
    ],
    floors: &[(Parameter::Bod5, 40.0), (Parameter::Tss, 30.0), (Parameter::Cod, 80.0)],
    applicable: &[
        only_within(Parameter::Cod, 400.0, 15_000.0),
        only_within(Parameter::OilGrease, 0.0, 100.0),
        only_within(Parameter::Temperature, 18.0, 45.0),
        within(Parameter::Temperature, 20.0, 38.0),
        within(Parameter::Tss, 0.0, 500.0),
    ],
    before: &[&[ProcessId::Screening]],
    after: &[&[ProcessId::ActivatedSludge, ProcessId::ExtendedAeration, ProcessId::Sbr]],
    area: 0.1,
    operability: 0.8,
    mark: Mark::K,
    source: "literature; Rodríguez Miranda et al. 2015 has BOD 65-80, COD 60-80, TSS 60-70 %",
};

/// Design loading in kg COD/(m³ d) for industrial soluble waste, by temperature.
pub(crate) fn loading(celsius: f64) -> f64 {
    interpolate(&[(15.0, 2.0), (20.0, 4.0), (25.0, 6.0), (30.0, 9.0), (35.0, 12.0)], celsius)
}

/// Volume in m³: max(Q C/OLR, Q HRT), load in kg/d, flow in m³/d, time in h.
pub(crate) fn volume(load_kg_d: f64, olr: f64, flow_m3_d: f64, hours: f64) -> f64 {
    (load_kg_d / olr).max(flow_m3_d * hours / 24.0)
}

/// Methane in Nm³/d from COD removed in kg/d, less what became sludge (0.08 kg VSS/kg COD).
pub(crate) fn methane(cod_removed_kg_d: f64) -> f64 {
    0.35 * (cod_removed_kg_d - 1.42 * 0.08 * cod_removed_kg_d)
}

impl UnitProcess for Uasb {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, inlet: &Inlet<'_>, outlet: &Water) -> Design {
        let mut design = Design::default();
        let celsius = inlet.water.get(Parameter::Temperature).unwrap_or_else(|| inlet.basis.temperature.celsius());
        let sewage = inlet.basis.kind == SectorKind::Domestic;
        let olr = loading(celsius);
        let hours = if sewage { 8.0 } else { 4.0 };
        let height = if sewage { 4.5 } else { 5.5 };
        let month = inlet.basis.max_month_factor.value();
        let by_load = volume(inlet.load(Parameter::Cod) * month, olr, inlet.q(), hours);
        // The upflow velocity must not wash the sludge out.
        let fastest = if sewage { 0.7 } else { 1.0 };
        let v = by_load.max(inlet.peak_m3_h() / (1.5 * fastest) * height);
        let area = design::surface(v, height);
        let upflow = inlet.q() / 24.0 / area.m2();
        let removed = inlet.load(Parameter::Cod) - inlet.q() * outlet.of(Parameter::Cod) / 1000.0;
        let gas = methane(removed);
        design.trace.push(
            inlet
                .trace(
                    "volume",
                    "V = max(1.2 Q C/OLR, Q HRT), A = V/H, v_up = Q/A",
                    Mark::K,
                    "steps by temperature: literature, within NPTEL module 21 (1.5-18); sewage: TU Hamburg EMWater B3",
                )
                .input("cod_load_kg_per_day", inlet.load(Parameter::Cod))
                .input("temperature_c", celsius)
                .input("loading_kg_cod_per_m3_day", olr)
                .input("least_retention_h", hours)
                .input("height_m", height)
                .output("volume_m3", v)
                .output("area_m2", area.m2())
                .output("upflow_m_per_h", upflow)
                .output("methane_nm3_per_day", gas),
        );
        design.criterion(inlet, "upflow velocity", upflow, "m/h", 0.0, fastest);
        design.criterion(inlet, "organic loading", inlet.load(Parameter::Cod) / v, "kg COD/(m³·d)", 0.0, 18.0);
        design.methane_nm3_d = gas;
        let sulfate = inlet.water.of(Parameter::Sulfates) / inlet.water.of(Parameter::Cod).max(1.0);
        if sulfate > 0.1 {
            design
                .test(format!("SO4/COD is {sulfate:.2}: above 0.1 sulfide disturbs methane and corrodes; test first."));
        }
        let sludge = if sewage { 0.17 * inlet.load(Parameter::Cod) } else { 0.08 / 0.8 * removed };
        design.solids = Solids { kg_d: sludge, dry: 0.05, hazardous: inlet.hazardous };
        let lines = inlet.lines();
        let each = units::Area::clamped(area.m2() / f64::from(lines));
        let specifications = format!(
            "{:.0} m³, {:.1} kg COD/(m³·d), upflow {upflow:.2} m/h, three-phase separator, {:.0} Nm³/d CH4 to flare",
            v / f64::from(lines),
            inlet.load(Parameter::Cod) / v,
            gas / f64::from(lines)
        );
        let size = inlet.q() * (inlet.water.of(Parameter::Cod) / 3000.0).max(1.0).powf(0.65);
        let usd = design.curve(inlet, "UASB internals and flare", size, 60_000.0, 0.65);
        let item = Item::new("UASB reactor", specifications, design::circle(each, height))
            .count(lines)
            .drawing(0.03 * inlet.q() / 24.0, 0.7)
            .tank(v)
            .critical(0.35)
            .usd(usd);
        design.items.push(item);
        design.area_m2 = Some(area.m2() * 1.3);
        design
    }
}
