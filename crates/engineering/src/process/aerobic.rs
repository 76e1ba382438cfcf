//! What all aerobic suspended-growth processes share: kinetics, sludge, oxygen, air, nutrients (section 4.3).

pub(crate) mod nutrients;

pub(crate) use nutrients::nitrifier_growth;

use super::{Design, Inlet, Item, Removal, Solids, design, share};
use crate::facts::SectorKind;
use crate::note::Mark;
use crate::parameter::Parameter;
use crate::water::Water;
use nutrients::{Nitrogen, nitrogen, nutrients};

/// Kinetic constants at 20 °C.
pub(crate) const YIELD: f64 = 0.5;
const DECAY: f64 = 0.06;

/// How one process runs.
pub(crate) struct Mode {
    /// Sludge age, in d.
    pub(crate) srt: f64,
    /// Mixed liquor, in kg/m³.
    pub(crate) mlss: f64,
    pub(crate) nitrifies: bool,
    pub(crate) denitrifies: bool,
}

/// What the kinetics give.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Growth {
    /// Biological sludge, in kg VSS/d.
    pub(crate) px_vss: f64,
    /// All sludge with the inert solids, in kg TSS/d.
    pub(crate) px_tss: f64,
    /// Volume, in m³.
    pub(crate) volume: f64,
}

/// `P_X,VSS = Q Y (S0 - S)/(1 + kd SRT)/1000`; `P_X,TSS = P_X,VSS/0.85 + Q i/1000`; `V = SRT P_X,TSS/X`.
pub(crate) fn growth(flow: f64, s0: f64, s: f64, inert: f64, mode: &Mode, celsius: f64) -> Growth {
    let decay = DECAY * 1.04f64.powf(celsius - 20.0);
    let px_vss = flow * YIELD * (s0 - s).max(0.0) / (1.0 + decay * mode.srt) / 1000.0;
    let px_tss = px_vss / 0.85 + flow * inert / 1000.0;
    Growth { px_vss, px_tss, volume: mode.srt * px_tss / mode.mlss }
}

/// Oxygen in kg/d: Q (S0 - S)/0.68 - 1.42 P_X + 4.57 N_ox - 2.86 N_den, loads in kg/d.
pub(crate) fn oxygen(bod_removed: f64, px_vss: f64, nitrified: f64, denitrified: f64) -> f64 {
    (bod_removed / 0.68 - 1.42 * px_vss + 4.57 * nitrified - 2.86 * denitrified).max(0.0)
}

/// Saturation of oxygen in clean water at 1 atm, in mg/L.
fn saturation(celsius: f64) -> f64 {
    14.62 - 0.3898 * celsius + 0.006_969 * celsius.powi(2) - 5.897e-5 * celsius.powi(3)
}

/// Standard oxygen transfer in kg/h for an actual demand in kg/d; α 0.5, β 0.95, F 0.9, 2 mg/L left.
pub(crate) fn standard_transfer(oxygen_kg_d: f64, celsius: f64) -> f64 {
    let driving = (0.95 * saturation(celsius) - 2.0) / 9.08;
    oxygen_kg_d / 24.0 / (driving.max(0.1) * 1.024f64.powf(celsius - 20.0) * 0.5 * 0.9)
}

/// Air in Nm³/h for a standard transfer in kg/h and an efficiency.
pub(crate) fn air(sotr: f64, efficiency: f64) -> f64 {
    sotr / (0.23 * 1.2 * efficiency)
}

/// Blower power in kW for air in Nm³/h at a depth in m: (n/t) R T/(0.283 η) [(p2/p1)^0.283 - 1], η 0.6.
pub(crate) fn blower_kw(air_m3_h: f64, depth_m: f64) -> f64 {
    let kg_s = air_m3_h * 1.2 / 3600.0;
    let ratio = (101.3 + 9.81 * depth_m + 10.0) / 101.3;
    kg_s * 8.314 * 298.0 / (29.7 * 0.283 * 0.6) * (ratio.powf(0.283) - 1.0)
}

/// Temperature of the water that enters.
fn celsius(inlet: &Inlet<'_>) -> f64 {
    inlet.water.get(Parameter::Temperature).unwrap_or_else(|| inlet.basis.temperature.celsius())
}

/// Temperature at which the biology is sized.
pub(crate) fn temperature(inlet: &Inlet<'_>) -> f64 {
    celsius(inlet).clamp(5.0, 35.0)
}

/// Whether nitrogen must go beyond what growth takes up.
pub(crate) fn nitrogen_wanted(inlet: &Inlet<'_>) -> bool {
    let over = |parameter| {
        inlet.aim(parameter).is_some_and(|aim| inlet.water.get(parameter).is_some_and(|entering| aim < 0.7 * entering))
    };
    over(Parameter::Tn) || over(Parameter::AmmoniaN) || over(Parameter::Tkn)
}

/// The removals of a process from its BOD, COD, TSS, TN and TP shares.
///
/// COD falls by no more than the biodegradable part and the inert solids caught: a refractory water does not become
/// biodegradable by a table. The biodegradable COD is 1.6 x BOD, and 2.2 x BOD in chemical industry, whose slow matter
/// five days do not show [E; common textile plants remove 48-83 % of COD, reference cases 4 and 8].
pub(crate) fn removals(
    inlet: &Inlet<'_>,
    bod: Removal,
    cod: Removal,
    tss: Removal,
    tn: Removal,
    tp: Removal,
) -> Vec<(Parameter, Removal)> {
    let typical = |removal: Removal| match removal {
        Removal::Share { typical, .. } => typical,
        Removal::Residual { .. } | Removal::Logs { .. } | Removal::Set(_) | Removal::Adds(_) => 0.0,
    };
    let water = inlet.water;
    let (b, c, s) = (water.of(Parameter::Bod5), water.of(Parameter::Cod), water.of(Parameter::Tss));
    let slow = match inlet.basis.kind {
        SectorKind::Domestic | SectorKind::Food | SectorKind::Supply => 1.6,
        SectorKind::Chemical | SectorKind::OilMetal => 2.2,
    };
    let mut cod = cod;
    if let Removal::Share { low, typical: table, high } = cod
        && c > 0.0
    {
        let degradable = (slow * b).min(c) * typical(bod);
        let caught = (0.45 * s * typical(tss)).min((c - slow * b).max(0.0));
        let cap = ((degradable + caught) / c).clamp(0.0, 1.0);
        let factor = (cap / table).min(1.0);
        cod = Removal::Share { low: low * factor, typical: table * factor, high: high * factor };
    }
    // Fats, phenols and detergents are part of the BOD and go with it [E, rule 5.2 d].
    let degraded = share(60.0, 80.0, 90.0);
    vec![
        (Parameter::Bod5, bod),
        (Parameter::Cod, cod),
        (Parameter::Toc, cod),
        (Parameter::Tss, tss),
        (Parameter::Tn, tn),
        (Parameter::Tp, tp),
        (Parameter::OilGrease, degraded),
        (Parameter::Phenols, degraded),
        (Parameter::Surfactants, degraded),
        (Parameter::Tph, share(30.0, 50.0, 70.0)),
        (Parameter::TotalColiforms, super::logs(1.0, 1.5, 2.0)),
        (Parameter::FecalColiforms, super::logs(1.0, 1.5, 2.0)),
        (Parameter::EColi, super::logs(1.0, 1.5, 2.0)),
        (Parameter::HelminthEggs, super::logs(0.5, 1.0, 1.5)),
    ]
}

/// What a basin needs, after the common calculation.
pub(crate) struct Basin {
    pub(crate) volume: f64,
    pub(crate) wasted_kg_d: f64,
    pub(crate) blower_kw: f64,
    pub(crate) air_m3_h: f64,
    pub(crate) cost_size_m3_d: f64,
}

/// Sizes on the maximum-month load and runs on the average one; adds traces, criteria and missing nutrients.
pub(crate) fn basin(
    inlet: &Inlet<'_>,
    outlet: &Water,
    mode: &Mode,
    least_kg_o2_per_kg_bod: f64,
    design: &mut Design,
) -> Basin {
    const DEPTH: f64 = 4.5;
    let sized_at = temperature(inlet);
    let (s0, s) = (inlet.water.of(Parameter::Bod5), outlet.of(Parameter::Bod5));
    let inert = 0.35 * inlet.water.of(Parameter::Tss);
    let average = growth(inlet.q(), s0, s, inert, mode, sized_at);
    let month = inlet.basis.max_month_factor.value();
    let sized = growth(inlet.q() * month, s0, s, inert, mode, sized_at);
    let source = "Metcalf & Eddy 5th ed.";
    design.trace.push(
        inlet
            .trace(
                "volume",
                "P_X,VSS = Q Y (S0-S)/(1+kd SRT); P_X,TSS = P_X,VSS/0.85 + Q i; V = SRT P_X,TSS/X; load x 1.2",
                Mark::K,
                source,
            )
            .input("bod_in_mg_per_l", s0)
            .input("bod_out_mg_per_l", s)
            .input("inert_solids_mg_per_l", inert)
            .input("sludge_age_days", mode.srt)
            .input("mlss_kg_per_m3", mode.mlss)
            .input("temperature_c", sized_at)
            .input("max_month_factor", month)
            .output("growth_kg_vss_per_day", average.px_vss)
            .output("sludge_kg_tss_per_day", average.px_tss)
            .output("aerobic_volume_m3", sized.volume),
    );
    let Nitrogen { nitrified, denitrified, anoxic } = nitrogen(inlet, outlet, mode, average.px_vss, design);
    let volume = sized.volume + anoxic;
    let bod_removed = inlet.q() * (s0 - s).max(0.0) / 1000.0;
    let demand = oxygen(bod_removed, average.px_vss, nitrified, denitrified).max(least_kg_o2_per_kg_bod * bod_removed);
    let sotr = standard_transfer(demand, sized_at);
    let air_average = air(sotr, 0.055 * DEPTH);
    let blower = blower_kw(air_average, DEPTH);
    design.trace.push(
        inlet
            .trace("air", "O2 = Q(S0-S)/0.68 - 1.42 P_X + 4.57 N_ox - 2.86 N_den; SOTR = AOTR/{[(β Cs - CL)/9.08] 1.024^(T-20) α F}; air = SOTR/(0.23 x 1.2 SOTE)", Mark::K, "Metcalf & Eddy 5th ed.; blower equation as coded in QSDsan")
            .input("bod_removed_kg_per_day", bod_removed)
            .input("alpha", 0.5)
            .input("depth_m", DEPTH)
            .output("oxygen_kg_per_day", demand)
            .output("standard_transfer_kg_per_h", sotr)
            .output("air_nm3_per_h", air_average)
            .output("blower_kw", blower),
    );
    let per_mlvss = if volume > 0.0 { inlet.load(Parameter::Bod5) / (volume * mode.mlss * 0.75) } else { 0.0 };
    design.trace.push(
        inlet
            .trace(
                "loading",
                "F/M = Q S0/(V Xv), OLR = Q S0/V, HRT = V/Q (an output, not a criterion)",
                Mark::D,
                "unit algebra",
            )
            .input("volume_m3", volume)
            .output("f_to_m_kg_bod_per_kg_mlvss_day", per_mlvss)
            .output("loading_kg_bod_per_m3_day", if volume > 0.0 { inlet.load(Parameter::Bod5) / volume } else { 0.0 })
            .output("retention_h", volume / inlet.q() * 24.0),
    );
    design.criterion(inlet, "sludge age", mode.srt, "d", 5.0, 30.0);
    nutrients(inlet, bod_removed, design);
    let celsius = celsius(inlet);
    if celsius > 38.0 {
        let message = format!("The water enters the biology at {celsius:.0} °C; it must be cooled below 38 °C.");
        design.warnings.push(
            crate::note::Warning::new(crate::note::WarningCode::UnitOutOfRange, message)
                .at("water-quality/temperature"),
        );
    }
    let wasted = (average.px_tss - inlet.q() * outlet.of(Parameter::Tss) / 1000.0).max(0.0);
    // The cost curve was made for sewage of 250 mg/L; a stronger water needs more air and mass, a weaker one less, down
    // to the part that depends on the flow alone.
    let cost_size = inlet.q() * (s0 / 250.0).max(0.5).powf(0.7);
    Basin {
        volume: volume.max(inlet.q() / 24.0),
        wasted_kg_d: wasted,
        blower_kw: blower,
        air_m3_h: air_average,
        cost_size_m3_d: cost_size,
    }
}

/// What differs between continuous processes.
pub(crate) struct Continuous {
    pub(crate) kind: &'static str,
    /// What the cost curve is for.
    pub(crate) curve: &'static str,
    pub(crate) risk: f64,
    pub(crate) least_kg_o2_per_kg_bod: f64,
}

/// Basins with blowers, diffusers and return pumps; their clarifier is a unit of its own.
pub(crate) fn continuous(inlet: &Inlet<'_>, outlet: &Water, mode: &Mode, what: &Continuous) -> Design {
    let mut design = Design::default();
    let basin = basin(inlet, outlet, mode, what.least_kg_o2_per_kg_bod, &mut design);
    let lines = inlet.lines();
    let each = basin.volume / f64::from(lines);
    let specifications = format!(
        "{}{}, SRT {:.0} d, MLSS {:.1} g/L, {:.0} Nm³/h air, fine bubbles, return pumps",
        design::side_by_side(lines, "basin", each),
        if mode.denitrifies { " with anoxic zone" } else { "" },
        mode.srt,
        mode.mlss,
        basin.air_m3_h
    );
    // A quarter of the basin is stirred without air: the anoxic zone, or the turns of a ditch.
    let stirred = if mode.denitrifies || mode.nitrifies { 0.005 * basin.volume * 0.25 } else { 0.0 };
    let returned = design::pump_kw(inlet.q() / 24.0 * 0.75, 4.0);
    let dimensions = design::rectangle(design::surface(each, 4.5), 3.0, 5.0);
    let usd = design.curve(inlet, what.curve, basin.cost_size_m3_d, 50_000.0, 0.60);
    let item = Item::new(what.kind, specifications, dimensions)
        .drawing(basin.blower_kw + stirred + returned, 0.6)
        .tank(basin.volume)
        .critical(what.risk)
        .usd(usd);
    design.items.push(item);
    design.solids = Solids { kg_d: basin.wasted_kg_d, dry: 0.008, hazardous: inlet.hazardous };
    design.area_m2 = Some(basin.volume / 4.5 * 1.3);
    design
}

/// What suspended growth with a clarifier does not go below.
pub(crate) const FLOORS: &[(Parameter, f64)] = &[
    (Parameter::Bod5, 10.0),
    (Parameter::Tss, 10.0),
    (Parameter::Tn, 3.0),
    (Parameter::Tp, 1.0),
    (Parameter::OilGrease, 1.0),
];
