//! The plant of a balanced train: equipment, tables, side streams, totals.

use super::balance::{Balance, Step, solve};
use super::{ChemicalUse, Criticality, Equipment, Plant, UnitRemoval, UnitResult, tables};
use crate::basis::{Assumption, DesignBasis};
use crate::cost::YEAR;
use crate::facts::SectorKind;
use crate::limits::Receiver;
use crate::note::{Figure, Mark, TraceEntry, Warning, WarningCode, shown, significant};
use crate::parameter::Parameter;
use crate::process::{ProcessId, Stage};
use units::{Area, Concentration, Duration, Energy, Flow, MassRate, Money, Power, Ratio, Volume};

pub(super) fn of(basis: &DesignBasis, units: &[ProcessId]) -> Plant {
    let balance = solve(basis, units);
    let mut warnings: Vec<Warning> = Vec::new();
    let mut trace: Vec<TraceEntry> = Vec::new();
    let mut equipment: Vec<Equipment> = Vec::new();
    let mut chemicals: Vec<ChemicalUse> = Vec::new();
    let mut results: Vec<UnitResult> = Vec::new();
    let mut methane = 0.0;
    for step in &balance.steps {
        outside(step, &mut warnings);
        for warning in &step.design.warnings {
            if !warnings.contains(warning) {
                warnings.push(warning.clone());
            }
        }
        trace.extend(step.design.trace.iter().cloned());
        if !step.spread.is_empty() {
            trace.push(propagation(step));
        }
        let bought = equipment_of(step);
        methane += step.design.methane_nm3_d;
        chemicals.extend(step.design.doses.iter().filter(|dose| dose.kg_d > 0.0).map(|dose| ChemicalUse {
            name: dose.name.to_owned(),
            process: step.id,
            dose_mg_per_l: Concentration::clamped(significant(dose.mg_per_l, 9)),
            use_kg_per_day: MassRate::clamped(significant(dose.kg_d, 9)),
            price_usd_per_kg: Ratio::clamped(dose.usd_per_kg),
            source: dose.source.to_owned(),
            mark: dose.mark,
        }));
        results.push(result(step, &bought));
        equipment.extend(bought);
    }
    let beyond: Vec<&str> =
        balance.steps.iter().flat_map(|step| &step.design.beyond_curve).map(String::as_str).collect();
    if !beyond.is_empty() {
        let message = format!(
            "The cost curves hold for plants of about 48 to 1,200 m³/d of usual strength and were used beyond that for: \
             {}; ask for quotations.",
            beyond.join(", ")
        );
        warnings.push(Warning::new(WarningCode::CostOutOfRange, message));
    }
    let bought = Money::sum(YEAR, equipment.iter().map(|item| item.capex));
    equipment.push(control(basis, bought, &mut trace));
    let flow = basis.flow_m3_per_day.m3_per_day();
    let energy: f64 = equipment.iter().map(energy_kwh).sum();
    let net_area: f64 = results.iter().map(|result| result.area_m2.m2()).sum();
    let area = net_area * CIRCULATION;
    trace.push(
        TraceEntry::new("plant.area", "A = Σ unit areas x 2 for circulation", Mark::E, "engineering basis 4.7, C22")
            .input("net_area_m2", net_area)
            .output("area_m2", area),
    );
    trace.push(
        TraceEntry::new("plant.energy", "E = Σ installed kW x load factor x h/d", Mark::D, "unit algebra")
            .input("flow_m3_per_day", flow)
            .output("energy_kwh_per_day", energy)
            .output("specific_energy_kwh_per_m3", energy / flow),
    );
    let (efficiency, properties) = tables::tables(basis, &balance, &mut warnings);
    let compliance = tables::compliance(basis, &balance, &efficiency, &mut warnings);
    let side_streams = tables::side_streams(basis, &balance, &mut warnings);
    let wet = balance.wet_out * 1050.0;
    let mut plant = Plant {
        flow_m3_per_day: basis.flow_m3_per_day,
        product_m3_per_day: Flow::clamped(balance.product),
        units: results,
        equipment,
        efficiency,
        properties,
        chemicals,
        side_streams,
        balances: tables::balances(basis, &balance),
        dry_solids_kg_per_day: MassRate::clamped(significant(balance.dry, 9)),
        wet_sludge_kg_per_day: MassRate::clamped(significant(wet, 9)),
        hazardous_sludge: balance.hazardous,
        methane_nm3_per_day: Ratio::clamped(significant(methane, 9)),
        energy_kwh_per_day: Energy::clamped(energy),
        specific_energy_kwh_per_m3: Ratio::clamped(energy / flow),
        area_m2: Area::clamped(significant(area, 6)),
        overall_compliance: compliance.complies,
        critical_parameters: compliance.critical,
        implementation_months: months(flow, units.len()),
        assumptions: assumptions(basis, units, &balance),
        figures: vec![],
        trace,
        warnings,
    };
    plant.figures = figures(&plant);
    plant
}

/// Paths, stairs and room to work around the units.
const CIRCULATION: f64 = 2.0;

/// Energy of one piece of equipment, in kWh/d.
pub(crate) fn energy_kwh(item: &Equipment) -> f64 {
    item.power_kw.kw() * item.load_factor.value() * item.hours_per_day.hours()
}

/// Warns where the water is outside what a unit's data hold for.
fn outside(step: &Step, warnings: &mut Vec<Warning>) {
    for within in step.id.process().spec().applicable {
        let Some(value) = step.entering.get(within.parameter) else { continue };
        if !(within.least..=within.most).contains(&value) {
            let message = format!(
                "{}: {} is {} {}, outside the range of {} to {} its design data hold for.",
                step.id.name(),
                within.parameter.name(),
                shown(value),
                within.parameter.unit(),
                shown(within.least),
                shown(within.most)
            );
            let warning = Warning::new(WarningCode::UnitOutOfRange, message);
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
}

fn propagation(step: &Step) -> TraceEntry {
    let spec = step.id.process().spec();
    let tool = format!("{}.removal", step.id.as_str());
    let mut entry = TraceEntry::new(
        &tool,
        "C_out = C_in (1 - r), by residual or by orders of magnitude; floors kept; COD falls by 1.6 x BOD at least",
        spec.mark,
        spec.source,
    );
    for (parameter, before) in step.entering.iter() {
        let after = step.leaving.of(parameter);
        if before == after && !step.spread.contains_key(&parameter) {
            continue;
        }
        let key = format!("{}_{}", parameter.name(), parameter.unit()).replace(' ', "_").to_lowercase();
        entry = entry.input(&key, before).output(&key, after);
    }
    entry
}

fn equipment_of(step: &Step) -> Vec<Equipment> {
    let stage = step.id.stage();
    let mut found = Vec::new();
    for item in &step.design.items {
        let count = item.count;
        let share = 1.0 / f64::from(count);
        let prices = Money::from_usd(item.usd, YEAR).split(count);
        for (number, capex) in prices.into_iter().enumerate() {
            let kind = if count > 1 { format!("{} {}", item.kind, number + 1) } else { item.kind.to_owned() };
            found.push(Equipment {
                kind,
                process: Some(step.id),
                specifications: item.specifications.clone(),
                dimensions: item.dimensions.clone(),
                justification: step.id.purpose().to_owned(),
                stage,
                capacity_m3_per_day: Flow::clamped(significant(step.peak * share, 4)),
                power_kw: Power::clamped(significant(item.kw * share, 3)),
                load_factor: Ratio::clamped(item.load_factor),
                hours_per_day: Duration::clamped(item.hours),
                capex,
                tank_m3: Volume::clamped(significant(item.tank_m3 * share, 6)),
                replacement_per_year: Ratio::clamped(item.replacement),
                criticality: item.criticality,
                risk_factor: Ratio::clamped(item.risk),
            });
        }
    }
    found
}

fn result(step: &Step, bought: &[Equipment]) -> UnitResult {
    let spec = step.id.process().spec();
    // Large plants need less land per m³: half at 10,000 m³/d.
    let scale = (step.flow_in / 1000.0).max(1.0).powf(-0.3);
    let area = step.design.area_m2.unwrap_or(spec.area * step.flow_in * scale);
    UnitResult {
        process: step.id,
        name: step.id.name().to_owned(),
        stage: spec.stage,
        justification: spec.purpose.to_owned(),
        flow_in_m3_per_day: Flow::clamped(step.flow_in),
        flow_out_m3_per_day: Flow::clamped(step.flow_out),
        reject_m3_per_day: Flow::clamped(step.reject),
        sludge_m3_per_day: Flow::clamped(step.wet_sludge),
        dry_solids_kg_per_day: MassRate::clamped(significant(step.design.solids.kg_d, 9)),
        area_m2: Area::clamped(significant(area, 6)),
        energy_kwh_per_day: Energy::clamped(bought.iter().map(energy_kwh).sum()),
        removals: step
            .entering
            .iter()
            .map(|(parameter, entering)| UnitRemoval { parameter, entering, leaving: step.leaving.of(parameter) })
            .collect(),
        criteria: step.design.criteria.clone(),
        capex: Money::sum(YEAR, bought.iter().map(|item| item.capex)),
    }
}

fn control(basis: &DesignBasis, bought: Money, trace: &mut Vec<TraceEntry>) -> Equipment {
    let capex = bought.times(0.10);
    trace.push(
        TraceEntry::new("control.cost", "C = 10 % of the equipment", Mark::E, "engineering basis 6.2")
            .input("equipment_usd", bought.usd())
            .output("control_usd", capex.usd()),
    );
    Equipment {
        kind: "Control panel with PLC, motor control center and instruments".to_owned(),
        process: None,
        specifications: "automatic operation with alarms, flow, level, pH and oxygen measurement as needed".to_owned(),
        dimensions: "2.40 x 0.60 x 2.10 m".to_owned(),
        justification: "Runs the plant automatically and records what must be reported.".to_owned(),
        stage: Stage::Auxiliary,
        capacity_m3_per_day: basis.flow_m3_per_day,
        power_kw: Power::clamped(0.5),
        load_factor: Ratio::clamped(0.8),
        hours_per_day: Duration::clamped(24.0),
        capex,
        tank_m3: Volume::ZERO,
        replacement_per_year: Ratio::ZERO,
        criticality: Criticality::High,
        risk_factor: Ratio::clamped(0.2),
    }
}

/// 4-8 months below 300 m³/d, 8-14 to 2,000, 12-24 above, more with more units.
fn months(flow: f64, units: usize) -> u32 {
    let more = u32::try_from(units / 4).unwrap_or(4).min(4);
    if flow < 300.0 {
        4 + more
    } else if flow <= 2000.0 {
        9 + more
    } else {
        13 + more * 2
    }
}

fn assumptions(basis: &DesignBasis, units: &[ProcessId], balance: &Balance) -> Vec<Assumption> {
    let mut found = vec![Assumption::new(
        "Removals",
        "Removals are typical values of each unit process for this kind of water; the range of results is given with them."
            .to_owned(),
        Mark::K,
        "engineering basis 4",
    )];
    let aerobic =
        [ProcessId::ActivatedSludge, ProcessId::ExtendedAeration, ProcessId::Sbr].iter().any(|id| units.contains(id));
    if aerobic {
        let text = "Biological kinetics are those of sewage at 20 °C (yield 0.5 g VSS/g BOD, decay 0.06 1/d); 35 % of the \
                    suspended solids are inert; aeration is by fine bubbles with alpha 0.5 at a depth of 4.5 m and at sea \
                    level; high sites need more air.";
        found.push(Assumption::new("Biological kinetics", text.to_owned(), Mark::K, "Metcalf & Eddy 5th ed."));
    }
    let nitrifies = balance.steps.iter().any(|step| step.design.trace.iter().any(|t| t.tool.ends_with(".nitrogen")));
    let uses_alkalinity = nitrifies || units.contains(&ProcessId::PhosphorusPrecipitation);
    if uses_alkalinity && basis.value(Parameter::Alkalinity).is_none() {
        found.push(crate::basis::assumed_alkalinity());
    }
    if units.contains(&ProcessId::Sbr) {
        let text = "The sludge settles with a volume index of 150 mL/g.".to_owned();
        found.push(
            Assumption::new("Sludge volume index", text, Mark::K, "Metcalf & Eddy 5th ed.")
                .number((80.0, 150.0, 200.0), "mL/g"),
        );
    }
    if balance.steps.iter().any(|step| !step.design.doses.is_empty()) {
        let text = "Chemical doses are typical or stoichiometric values; jar tests and titration set the real ones."
            .to_owned();
        found.push(Assumption::new("Chemical doses", text, Mark::E, "engineering basis 4.1"));
    }
    if balance.dry > 0.0 {
        let text = if units.contains(&ProcessId::Dewatering) {
            "Sludge is thickened and pressed to 20 % dry solids on site and taken away."
        } else {
            "The little sludge there is is taken away as a liquid."
        };
        found.push(Assumption::new("Sludge route", text.to_owned(), Mark::E, "engineering basis 5.1 G16"));
    }
    let organisms = [Parameter::FecalColiforms, Parameter::TotalColiforms, Parameter::EColi];
    if basis.kind == SectorKind::Domestic && organisms.iter().all(|&parameter| basis.limit(parameter).is_none()) {
        let text = "No applied regulation limits organisms, so no disinfection is designed; the use of the receiving \
                    water may require it.";
        found.push(Assumption::new("Disinfection", text.to_owned(), Mark::E, "engineering basis 3"));
    }
    if basis.reuse.is_empty() && basis.receiver == Receiver::Sewer {
        let text = "The existing sewer connection can take the treated flow.".to_owned();
        found.push(Assumption::new("Sewer connection", text, Mark::E, "engineering basis 3"));
    }
    found
}

fn figures(plant: &Plant) -> Vec<Figure> {
    let mut found = vec![
        Figure::new("Treated water", plant.product_m3_per_day.m3_per_day(), "m³/d"),
        Figure::new("Dry sludge", plant.dry_solids_kg_per_day.kg_per_day(), "kg/d"),
        Figure::new("Wet sludge", plant.wet_sludge_kg_per_day.kg_per_day(), "kg/d"),
        Figure::new("Energy", plant.energy_kwh_per_day.kwh(), "kWh/d"),
        Figure::new("Specific energy", plant.specific_energy_kwh_per_m3.value(), "kWh/m³"),
        Figure::new("Required area", plant.area_m2.m2(), "m²"),
        Figure::new("Installed power", plant.equipment.iter().map(|item| item.power_kw.kw()).sum(), "kW"),
        Figure::new("Implementation time", f64::from(plant.implementation_months), "months"),
    ];
    if plant.methane_nm3_per_day.value() > 0.0 {
        found.push(Figure::new("Methane", plant.methane_nm3_per_day.value(), "Nm³/d"));
    }
    for row in &plant.efficiency {
        found.push(Figure::new(format!("{} influent", row.name), row.influent, &row.unit));
        found.push(Figure::new(format!("{} effluent", row.name), row.effluent, &row.unit));
        found.push(Figure::new(format!("{} removal", row.name), row.removal_percent, "%"));
    }
    for item in &plant.equipment {
        found.push(Figure::new(format!("{} capacity", item.kind), item.capacity_m3_per_day.m3_per_day(), "m³/d"));
        found.push(Figure::new(format!("{} power", item.kind), item.power_kw.kw(), "kW"));
        found.push(Figure::new(format!("{} cost", item.kind), item.capex.usd(), "USD"));
    }
    for chemical in &plant.chemicals {
        if chemical.dose_mg_per_l.mg_per_l() > 0.0 {
            let name = format!("{} dose, {}", chemical.name, chemical.process.name());
            found.push(Figure::new(name, chemical.dose_mg_per_l.mg_per_l(), "mg/L"));
        }
        let name = format!("{} use, {}", chemical.name, chemical.process.name());
        found.push(Figure::new(name, chemical.use_kg_per_day.kg_per_day(), "kg/d"));
    }
    for unit in &plant.units {
        for criterion in &unit.criteria {
            let name = format!("{}, {}", criterion.name, unit.name);
            found.push(Figure::new(name, criterion.value, &criterion.unit));
        }
    }
    found
}
