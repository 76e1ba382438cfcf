//! Every number of the design.

use std::collections::BTreeSet;

use domain::document::{
    CapexBreakdown, Criticality, DesignParameters, Equipment, InfluentCharacteristics, InfluentParameter,
    OperationalData, OpexBreakdown, ParameterEfficiency, ProjectRequirements, RejectedAlternative, SelectedTechnology,
    TechnicalData, TechnologySelection, TreatmentEfficiency, TreatmentStage,
};
use domain::proposal::FailureClass;
use engineering::{Limit, ProcessId, Stage};

use crate::design::Design;
use crate::failure::StepFailure;
use crate::narrative::answer::Answer;
use crate::narrative::story::Story;
use crate::narrative::templates::shown;
use crate::rounded;

/// Digits of a number that is not money.
const DIGITS: i32 = 6;

pub(super) fn of(design: &Design, answer: &Answer) -> Result<TechnicalData, StepFailure> {
    let (basis, plant, costs) = (&design.basis, &design.plant, &design.costs);
    let (capex, opex) = (&costs.capex, &costs.opex);
    let capex_lines = [
        capex.equipment,
        capex.civil_works,
        capex.installation_piping,
        capex.engineering_supervision,
        capex.contingency,
    ];
    let opex_lines = [opex.electrical_energy, opex.chemicals, opex.personnel, opex.maintenance_spare_parts];
    let equipment_cents: i64 = plant.equipment.iter().map(|equipment| equipment.capex.cents).sum();
    let sums_hold = capex_lines.iter().map(|line| line.cents).sum::<i64>() == capex.total.cents
        && opex_lines.iter().map(|line| line.cents).sum::<i64>() == opex.total.cents
        && equipment_cents == capex.equipment.cents;
    if !sums_hold || plant.equipment.is_empty() || plant.units.is_empty() {
        tracing::error!("the stored design does not add up");
        return Err(StepFailure::new(FailureClass::Defect));
    }
    let assumptions: Vec<String> = design.assumptions().into_iter().map(|assumption| assumption.text.clone()).collect();
    Ok(TechnicalData {
        design_flow_m3_day: rounded(basis.flow_m3_per_day.into(), DIGITS),
        implementation_months: more_than_nothing(f64::from(plant.implementation_months)),
        payback_years: costs.payback_years.and_then(|years| more_than_nothing(years.into())),
        roi_percent: costs.roi_percent.and_then(|percent| more_than_nothing(percent.into())),
        annual_savings_usd: costs.annual_savings.and_then(|saving| Some(saving.usd()).filter(|usd| *usd > 0.0)),
        capex_usd: capex.total.usd(),
        annual_opex_usd: opex.total.usd(),
        main_equipment: equipment(design),
        design_parameters: DesignParameters {
            peak_factor: rounded(basis.peak_factor.into(), DIGITS),
            safety_factor: rounded(basis.safety_factor.into(), DIGITS),
            operating_hours: rounded(basis.operating_hours_per_day.into(), DIGITS),
            design_life_years: f64::from(basis.design_life_years),
            regulatory_margin_percent: rounded(basis.regulatory_margin_percent.into(), DIGITS),
        },
        operational_data: OperationalData {
            required_area_m2: more_than_nothing(plant.area_m2.into()),
            sludge_production_kg_day: more_than_nothing(plant.dry_solids_kg_per_day.into()),
            energy_consumption_kwh_m3: more_than_nothing(plant.specific_energy_kwh_per_m3.into()),
        },
        capex_breakdown: CapexBreakdown {
            equipment_cost: capex.equipment.usd(),
            civil_works: capex.civil_works.usd(),
            installation_piping: capex.installation_piping.usd(),
            engineering_supervision: capex.engineering_supervision.usd(),
            contingency: capex.contingency.usd(),
        },
        opex_breakdown: OpexBreakdown {
            electrical_energy: opex.electrical_energy.usd(),
            chemicals: opex.chemicals.usd(),
            personnel: opex.personnel.usd(),
            maintenance_spare_parts: opex.maintenance_spare_parts.usd(),
        },
        treatment_efficiency: efficiency(design),
        technology_selection: selection(design, answer),
        assumptions,
        project_requirements: requirements(design),
    })
}

/// A number that is printed only if it is one: the page shows a zero as a stray digit.
fn more_than_nothing(value: f64) -> Option<f64> {
    Some(rounded(value, DIGITS)).filter(|value| *value > 0.0)
}

const fn stage(stage: Stage) -> TreatmentStage {
    match stage {
        Stage::Primary => TreatmentStage::Primary,
        Stage::Secondary => TreatmentStage::Secondary,
        Stage::Tertiary => TreatmentStage::Tertiary,
        Stage::Auxiliary => TreatmentStage::Auxiliary,
    }
}

/// The equipment; two with the same type, stage and capacity would be one row on the page, so the later gets a number.
fn equipment(design: &Design) -> Vec<Equipment> {
    let mut seen: BTreeSet<(String, TreatmentStage, u64)> = BTreeSet::new();
    design
        .plant
        .equipment
        .iter()
        .map(|one| {
            let capacity = rounded(one.capacity_m3_per_day.into(), DIGITS);
            let place = stage(one.stage);
            let mut kind = one.kind.clone();
            let mut number = 2;
            while !seen.insert((kind.clone(), place, capacity.to_bits())) {
                kind = format!("{} {number}", one.kind);
                number += 1;
            }
            Equipment {
                kind,
                stage: place,
                criticality: match one.criticality {
                    engineering::sizing::Criticality::High => Criticality::High,
                    engineering::sizing::Criticality::Medium => Criticality::Medium,
                    engineering::sizing::Criticality::Low => Criticality::Low,
                },
                specifications: one.specifications.clone(),
                dimensions: one.dimensions.clone(),
                justification: Some(one.justification.clone()).filter(|text| !text.is_empty()),
                capacity_m3_day: capacity,
                power_consumption_kw: rounded(one.power_kw.into(), DIGITS),
                capex_usd: one.capex.usd(),
                risk_factor: Some(rounded(one.risk_factor.into(), 3)).filter(|risk| (0.0..=1.0).contains(risk)),
            }
        })
        .collect()
}

fn efficiency(design: &Design) -> TreatmentEfficiency {
    let mut names = BTreeSet::new();
    let parameters = design
        .plant
        .efficiency
        .iter()
        .filter(|row| names.insert(row.name.as_str()))
        .map(|row| ParameterEfficiency {
            parameter_name: row.name.clone(),
            unit: row.unit.clone(),
            influent_concentration: Some(rounded(row.influent, DIGITS)),
            effluent_concentration: Some(rounded(row.effluent, DIGITS)),
            removal_efficiency_percent: rounded(row.removal_percent, DIGITS).clamp(0.0, 100.0),
            treatment_stage: row.stage.map(stage),
        })
        .collect();
    TreatmentEfficiency {
        overall_compliance: design.plant.overall_compliance,
        critical_parameters: unique(design.plant.critical_parameters.iter().cloned()),
        parameters,
    }
}

fn selection(design: &Design, answer: &Answer) -> TechnologySelection {
    let written = |process: ProcessId| {
        let found = answer.technology_justifications.iter().find(|one| one.technology.parse() == Ok(process));
        found.map(|one| one.justification.clone()).filter(|text| !text.is_empty())
    };
    let selected_technologies = design
        .plant
        .units
        .iter()
        .map(|unit| SelectedTechnology {
            stage: stage(unit.stage),
            technology: unit.name.clone(),
            justification: written(unit.process).unwrap_or_else(|| unit.justification.clone()),
        })
        .collect();
    let mut names = BTreeSet::new();
    let rejected_alternatives = design
        .comparison
        .rejected
        .iter()
        .filter(|one| names.insert(one.technology.as_str()))
        .map(|one| RejectedAlternative {
            technology: one.technology.clone(),
            reason_rejected: one.reason.clone(),
            stage: Some(stage(one.stage)),
        })
        .collect();
    TechnologySelection { selected_technologies, rejected_alternatives }
}

fn requirements(design: &Design) -> ProjectRequirements {
    let basis = &design.basis;
    let mut names = BTreeSet::new();
    let parameters = basis
        .influent
        .iter()
        .filter(|one| names.insert(one.name.as_str()))
        .map(|one| InfluentParameter {
            parameter: one.name.clone(),
            value: rounded(one.value, DIGITS),
            unit: one.unit.clone(),
            target_value: one.target.map(|target| rounded(target, DIGITS)),
        })
        .collect();
    let reuse = basis.reuse.iter().map(|reuse| format!("Reuse for {}", reuse.name()));
    ProjectRequirements {
        influent_characteristics: InfluentCharacteristics { parameters },
        discharge_requirements: unique(basis.limits.iter().map(limit)),
        business_objectives: unique(std::iter::once(basis.objective.name().to_owned()).chain(reuse)),
        site_constraints: unique(basis.constraints.iter().map(|constraint| constraint.name().to_owned())),
    }
}

fn limit(limit: &Limit) -> String {
    let (name, most, unit) = (limit.parameter.name(), shown(limit.most), limit.unit.as_str());
    let range = match limit.least {
        Some(least) => format!("{name} from {} to {most} {unit}", shown(least)),
        None => format!("{name} at most {most} {unit}"),
    };
    format!("{} ({})", range.trim_end(), limit.regulation.name())
}

fn unique(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut found = Vec::new();
    for text in texts {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

/// Short names in the order of the train: the abbreviation where a name has one.
pub(super) fn key_technologies(story: &Story<'_>) -> Vec<String> {
    unique(story.train().into_iter().map(|unit| {
        let short = unit.name.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(short, _)| short);
        short.unwrap_or(&unit.name).to_owned()
    }))
}
