//! What a text may say: the numbers that were calculated and the sources that may be cited.

use engineering::Regulation;
use engineering::sizing::UnitRemoval;
use serde_json::Value;

use crate::design::Design;
use crate::prose::citation::Catalogue;
use crate::prose::known::{About, Known};
use crate::prose::quantity::Dimension;

/// What a text is compared with.
pub(crate) struct Evidence {
    pub(crate) known: Known,
    pub(crate) catalogue: Catalogue,
}

/// All regulations of the catalogue.
const REGULATIONS: [Regulation; 14] = [
    Regulation::Nom001,
    Regulation::Nom002,
    Regulation::Nom003,
    Regulation::Nom127,
    Regulation::Cr33601,
    Regulation::CrDrinking,
    Regulation::EpaDischarge,
    Regulation::EpaReuse,
    Regulation::EpaDrinking,
    Regulation::EuUwwtd,
    Regulation::EuReuse,
    Regulation::WhoDrinking,
    Regulation::CoolingWater,
    Regulation::BoilerFeed,
];

impl Evidence {
    pub(crate) fn of(design: &Design) -> Self {
        Self { known: known(design), catalogue: catalogue(design) }
    }
}

fn known(design: &Design) -> Known {
    let mut known = Known::default();
    let (basis, plant) = (&design.basis, &design.plant);
    for influent in &basis.influent {
        known.learn_parameter(&influent.name);
    }
    for row in &plant.efficiency {
        known.learn_parameter(&row.name);
    }
    known.learn(Dimension::Flow, basis.flow_m3_per_day.into(), About::DesignFlow);
    for influent in &basis.influent {
        let about = About::Parameter(influent.name.clone());
        for value in [Some(influent.value), influent.target].into_iter().flatten() {
            known.learn_with_unit(value, &influent.unit, &about);
        }
    }
    for limit in &basis.limits {
        for value in [Some(limit.most), Some(limit.design), limit.least].into_iter().flatten() {
            known.learn_with_unit(value, &limit.unit, &About::Parameter(limit.parameter.name().to_owned()));
        }
    }
    for row in &plant.efficiency {
        let about = About::Parameter(row.name.clone());
        let values = [
            Some(row.influent),
            Some(row.effluent),
            Some(row.effluent_at_worst),
            Some(row.effluent_at_best),
            row.limit,
        ];
        for value in values.into_iter().flatten() {
            known.learn_with_unit(value, &row.unit, &about);
        }
        known.learn(Dimension::Percent, row.removal_percent, about);
    }
    for unit in &plant.units {
        unit.removals.iter().for_each(|removal| learn_removal(&mut known, removal));
        for criterion in &unit.criteria {
            for value in [criterion.value, criterion.least, criterion.most] {
                known.learn_with_unit(value, &criterion.unit, &About::Any);
            }
        }
        known.learn(Dimension::Area, unit.area_m2.into(), About::Any);
        known.learn(Dimension::EnergyPerTime, unit.energy_kwh_per_day.into(), About::Any);
        known.learn(Dimension::MassRate, unit.dry_solids_kg_per_day.into(), About::Any);
        for flow in [unit.flow_in_m3_per_day, unit.flow_out_m3_per_day, unit.reject_m3_per_day, unit.sludge_m3_per_day]
        {
            known.learn(Dimension::Flow, flow.into(), About::Any);
        }
        known.learn(Dimension::Money, unit.capex.usd(), About::Capex);
    }
    let mut power = 0.0;
    for equipment in &plant.equipment {
        power += f64::from(equipment.power_kw);
        known.learn(Dimension::Power, equipment.power_kw.into(), About::Any);
        known.learn(Dimension::Flow, equipment.capacity_m3_per_day.into(), About::Any);
        known.learn(Dimension::Volume, equipment.tank_m3.into(), About::Any);
        known.learn(Dimension::Money, equipment.capex.usd(), About::Capex);
    }
    known.learn(Dimension::Power, power, About::Any);
    for chemical in &plant.chemicals {
        known.learn(Dimension::Concentration, chemical.dose_mg_per_l.into(), About::Any);
        known.learn(Dimension::MassRate, chemical.use_kg_per_day.into(), About::Any);
    }
    for flow in [plant.flow_m3_per_day, plant.product_m3_per_day] {
        known.learn(Dimension::Flow, flow.into(), About::Any);
    }
    for solids in [plant.dry_solids_kg_per_day, plant.wet_sludge_kg_per_day] {
        known.learn(Dimension::MassRate, solids.into(), About::Any);
    }
    known.learn(Dimension::Area, plant.area_m2.into(), About::Any);
    known.learn(Dimension::EnergyPerTime, plant.energy_kwh_per_day.into(), About::Any);
    known.learn(Dimension::EnergyPerVolume, plant.specific_energy_kwh_per_m3.into(), About::Any);
    known.learn(Dimension::Months, f64::from(plant.implementation_months), About::Any);
    known.learn(Dimension::Years, f64::from(basis.design_life_years), About::Any);
    known.learn(Dimension::Percent, basis.regulatory_margin_percent.into(), About::Any);
    learn_costs(&mut known, design);
    learn_texts(&mut known, design);
    for figure in design.figures() {
        known.learn_text(&format!("{} {} {}", figure.name, figure.value, figure.unit));
    }
    for entry in design.traces().into_iter().flatten() {
        for (key, value) in entry.inputs.iter().chain(&entry.outputs) {
            learn_traced(&mut known, key, value);
        }
    }
    known
}

fn learn_removal(known: &mut Known, removal: &UnitRemoval) {
    let about = About::Parameter(removal.parameter.name().to_owned());
    known.learn_with_unit(removal.entering, removal.parameter.unit(), &about);
    known.learn_with_unit(removal.leaving, removal.parameter.unit(), &about);
    if removal.entering > 0.0 {
        known.learn(Dimension::Percent, (removal.entering - removal.leaving) / removal.entering * 100.0, about);
    }
}

fn learn_costs(known: &mut Known, design: &Design) {
    let costs = &design.costs;
    let (capex, opex, accuracy) = (&costs.capex, &costs.opex, &costs.accuracy);
    for line in [
        capex.total,
        capex.equipment,
        capex.civil_works,
        capex.installation_piping,
        capex.engineering_supervision,
        capex.contingency,
        accuracy.low,
        accuracy.high,
    ] {
        known.learn(Dimension::Money, line.usd(), About::Capex);
    }
    for line in [
        opex.total,
        opex.electrical_energy,
        opex.chemicals,
        opex.personnel,
        opex.maintenance_spare_parts,
        opex.of_which_sludge_disposal,
    ] {
        known.learn(Dimension::Money, line.usd(), About::Opex);
    }
    // Shares are the one thing that texts like to calculate.
    for (line, whole) in [
        (capex.equipment, capex.total),
        (capex.civil_works, capex.total),
        (capex.installation_piping, capex.total),
        (capex.engineering_supervision, capex.total),
        (capex.contingency, capex.total),
        (opex.electrical_energy, opex.total),
        (opex.chemicals, opex.total),
        (opex.personnel, opex.total),
        (opex.maintenance_spare_parts, opex.total),
    ] {
        known.learn(Dimension::Percent, line.usd() / whole.usd() * 100.0, About::Any);
    }
    for percent in [accuracy.low_percent, accuracy.high_percent, accuracy.contingency_percent] {
        known.learn(Dimension::Percent, percent.into(), About::Any);
    }
    known.learn(Dimension::MoneyPerEnergy, costs.tariff_usd_per_kwh.into(), About::Any);
    known.learn(Dimension::MoneyPerVolume, costs.opex_usd_per_m3.into(), About::Any);
    known.learn(Dimension::MoneyPerFlow, costs.capex_usd_per_m3_per_day.into(), About::Any);
    if let Some(price) = design.basis.water_price_usd_per_m3 {
        known.learn(Dimension::MoneyPerVolume, price.into(), About::Any);
    }
    if let Some(saving) = costs.annual_savings {
        known.learn(Dimension::Money, saving.usd(), About::Any);
    }
    if let Some(years) = costs.payback_years {
        known.learn(Dimension::Years, years.into(), About::Any);
    }
    if let Some(percent) = costs.roi_percent {
        known.learn(Dimension::Percent, percent.into(), About::Any);
    }
    for candidate in &design.comparison.candidates {
        known.learn(Dimension::Area, candidate.area_m2.into(), About::Any);
        known.learn(Dimension::Money, candidate.present_value.usd(), About::Any);
    }
}

/// The sentences of the calculations may be repeated with their numbers.
fn learn_texts(known: &mut Known, design: &Design) {
    known.learn_text(&design.comparison.reason);
    for text in texts(design) {
        known.learn_text(text);
    }
    for equipment in &design.plant.equipment {
        known.learn_text(&equipment.specifications);
        known.learn_text(&equipment.dimensions);
        known.learn_text(&equipment.justification);
    }
    for assumption in design.assumptions() {
        for value in [assumption.value, assumption.least, assumption.most].into_iter().flatten() {
            known.learn_with_unit(value, &assumption.unit, &About::Any);
        }
    }
    for case in &design.comparison.reference_cases {
        known.learn_text(&case.result);
        case.flow.iter().for_each(|flow| known.learn_text(flow));
    }
}

fn texts(design: &Design) -> impl Iterator<Item = &str> {
    let rejected = design.comparison.rejected.iter().map(|rejected| rejected.reason.as_str());
    let assumptions = design.assumptions().into_iter().map(|assumption| assumption.text.as_str());
    let warnings = design.warnings().into_iter().map(|warning| warning.message.as_str());
    let units = design.plant.units.iter().map(|unit| unit.justification.as_str());
    let improvement = std::iter::once(design.costs.accuracy.to_improve.as_str());
    rejected.chain(assumptions).chain(warnings).chain(units).chain(improvement)
}

/// A number of the trace, by the unit at the end of its key.
fn learn_traced(known: &mut Known, key: &str, value: &Value) {
    const ENDS: &[(&str, Dimension, f64)] = &[
        ("usd_per_m3_per_day", Dimension::MoneyPerFlow, 1.0),
        ("usd_per_m3", Dimension::MoneyPerVolume, 1.0),
        ("usd_per_kwh", Dimension::MoneyPerEnergy, 1.0),
        ("kwh_per_m3", Dimension::EnergyPerVolume, 1.0),
        ("kwh_per_day", Dimension::EnergyPerTime, 1.0),
        ("kg_per_day", Dimension::MassRate, 1.0),
        ("m3_per_day", Dimension::Flow, 1.0),
        ("m3_per_hour", Dimension::Flow, 24.0),
        ("m3_per_h", Dimension::Flow, 24.0),
        ("mg_per_l", Dimension::Concentration, 1.0),
        ("percent", Dimension::Percent, 1.0),
        ("usd_per_year", Dimension::Money, 1.0),
        ("usd", Dimension::Money, 1.0),
        ("years", Dimension::Years, 1.0),
        ("months", Dimension::Months, 1.0),
        ("kw", Dimension::Power, 1.0),
        ("m2", Dimension::Area, 1.0),
        ("m3", Dimension::Volume, 1.0),
    ];
    let Some(value) = value.as_f64() else { return };
    if let Some(&(end, dimension, factor)) = ENDS.iter().find(|(end, ..)| key.ends_with(end)) {
        // `kg_per_m2` is no area.
        let before = key.strip_suffix(end).unwrap_or_default();
        if !before.ends_with("per_") {
            known.learn(dimension, value * factor, About::Any);
        }
    }
}

fn catalogue(design: &Design) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for regulation in REGULATIONS {
        catalogue.learn(regulation.name());
    }
    for limit in &design.basis.limits {
        catalogue.learn(&limit.source);
    }
    for assumption in design.assumptions() {
        catalogue.learn(&assumption.source);
    }
    for entry in design.traces().into_iter().flatten() {
        catalogue.learn(&entry.source);
    }
    for text in texts(design) {
        catalogue.learn(text);
    }
    for case in &design.comparison.reference_cases {
        catalogue.learn_case(&case.case_id);
        for text in [&case.project_name, &case.citation] {
            catalogue.learn(text);
        }
    }
    catalogue
}
