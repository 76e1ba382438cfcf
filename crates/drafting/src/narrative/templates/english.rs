//! The templates in English.

use engineering::{Confidence, EfficiencyRow, Receiver, SectorKind, UnitResult};

use super::super::answer::{Answer, Justification};
use super::super::story::Story;
use super::{dollars, listed, shown};
use crate::prose::known::About;
use crate::prose::quantity::Dimension;

const NOTICE: &str = "This text was written from templates, without a language model.";

pub(super) fn write(story: &Story<'_>) -> Answer {
    let units = &story.design.plant.units;
    Answer {
        executive_summary: summary(story),
        technical_approach: approach(story),
        recommendations: recommendations(story),
        technology_justifications: units
            .iter()
            .map(|unit| Justification { technology: unit.name.clone(), justification: unit.justification.clone() })
            .collect(),
        train_wish: None,
    }
}

const fn water(kind: SectorKind) -> &'static str {
    match kind {
        SectorKind::Domestic => "domestic wastewater",
        SectorKind::Food => "wastewater of the food and beverage industry",
        SectorKind::Chemical | SectorKind::OilMetal => "industrial wastewater",
        SectorKind::Supply => "raw water",
    }
}

const fn receiver(receiver: Receiver) -> &'static str {
    match receiver {
        Receiver::Sewer => "discharge to the municipal sewer",
        Receiver::River => "discharge to a river, stream or drain",
        Receiver::Lake => "discharge to a lake or reservoir",
        Receiver::Sea => "discharge to the sea",
        Receiver::Soil => "infiltration into the soil",
        Receiver::Irrigation => "irrigation of green areas",
        Receiver::NoDischarge => "use without discharge",
    }
}

fn purpose(story: &Story<'_>) -> String {
    let basis = &story.design.basis;
    if basis.kind == SectorKind::Supply {
        return "supply".to_owned();
    }
    let uses: Vec<String> = basis.reuse.iter().map(|reuse| reuse.name().to_owned()).collect();
    let to = receiver(basis.receiver);
    if uses.is_empty() { to.to_owned() } else { format!("{to} and reuse ({})", listed(&uses, "and")) }
}

fn names(units: &[&UnitResult]) -> String {
    listed(&units.iter().map(|unit| inside(&unit.name)).collect::<Vec<_>>(), "and")
}

/// A name inside a sentence: small, unless it begins with an abbreviation (`UASB reactor`, `pH adjustment`).
fn inside(name: &str) -> String {
    let mut characters = name.chars();
    match (characters.next(), characters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain([second]).chain(characters).collect()
        }
        (Some(_) | None, Some(_) | None) => name.to_owned(),
    }
}

fn removal(row: &EfficiencyRow) -> String {
    let (influent, effluent, removed) = (shown(row.influent), shown(row.effluent), shown(row.removal_percent));
    format!("{} falls from {influent} to {effluent} {} ({removed} % removed)", row.name, row.unit)
}

fn compliance(story: &Story<'_>) -> String {
    let failing: Vec<String> = story.failing().iter().map(|row| row.name.clone()).collect();
    match (story.limited(), failing.as_slice()) {
        (0, _) => "No numeric limit applies to the parameters treated.".to_owned(),
        (1, []) => "The one limit that applies is met by calculation.".to_owned(),
        (limits, []) => format!("All {limits} limits that apply are met by calculation."),
        (_, failing) => {
            let failing = listed(failing, "and");
            format!("As designed, the limit is not met for {failing}; this must be resolved before building.")
        }
    }
}

const fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    }
}

fn assumptions(count: usize) -> String {
    if count == 1 { "1 assumption".to_owned() } else { format!("{count} assumptions") }
}

fn summary(story: &Story<'_>) -> String {
    let (basis, costs) = (&story.design.basis, &story.design.costs);
    let flow = shown(basis.flow_m3_per_day.into());
    let mut sentences = vec![
        format!("The plant treats {flow} m³/d of {} for {}.", water(basis.kind), purpose(story)),
        format!("The treatment train consists of {}.", names(&story.train())),
    ];
    let rows: Vec<String> = story.main_rows(2).into_iter().map(removal).collect();
    if !rows.is_empty() {
        sentences.push(format!("{}.", listed(&rows, "and")));
    }
    sentences.push(compliance(story));
    sentences.push(format!(
        "The capital cost is estimated at USD {} (-{} % to +{} %), the operating cost at USD {} a year.",
        dollars(costs.capex.total.usd()),
        shown(costs.accuracy.low_percent.into()),
        shown(costs.accuracy.high_percent.into()),
        dollars(costs.opex.total.usd())
    ));
    let assumed = assumptions(story.design.assumptions().len());
    sentences.push(format!("Confidence in the data is {}; {assumed} are listed.", confidence(basis.confidence)));
    sentences.push(NOTICE.to_owned());
    sentences.join(" ")
}

fn approach(story: &Story<'_>) -> String {
    let blocks = [
        concept(story),
        train(story),
        quality(story),
        sludge_energy_space(story),
        costs(story),
        alternatives(story),
        open_points(story),
    ];
    blocks.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn concept(story: &Story<'_>) -> Vec<String> {
    let basis = &story.design.basis;
    let evenly = if basis.equalised {
        "An equalization tank evens out flow and load, so that the units behind it work steadily."
    } else {
        "The units are sized for the peak flow, as no equalization is foreseen."
    };
    vec![
        "## Treatment concept".to_owned(),
        format!(
            "The design flow is {} m³/d of {}, arriving over {} hours a day with a peak factor of {}. {evenly}",
            shown(basis.flow_m3_per_day.into()),
            water(basis.kind),
            shown(basis.operating_hours_per_day.into()),
            shown(basis.peak_factor.into()),
        ),
        format!("Purpose: {}. {}", purpose(story), regulations(story)),
    ]
}

fn regulations(story: &Story<'_>) -> String {
    let basis = &story.design.basis;
    let names: Vec<String> = basis.regulations.iter().map(|regulation| regulation.name().to_owned()).collect();
    if names.is_empty() {
        return "No regulation with numeric limits was named or could be assumed.".to_owned();
    }
    let (names, margin) = (listed(&names, "and"), shown(basis.regulatory_margin_percent.into()));
    format!("The limits follow {names}; the design keeps a margin of {margin} % below them.")
}

fn train(story: &Story<'_>) -> Vec<String> {
    let units: Vec<String> = story
        .train()
        .iter()
        .map(|unit| format!("- **{}** ({} stage): {}", unit.name, unit.stage.as_str(), unit.justification))
        .collect();
    let mut text = vec!["## Treatment train".to_owned(), units.join("\n")];
    let auxiliaries = story.auxiliaries();
    if !auxiliaries.is_empty() {
        text.push(format!("Sludge and auxiliary systems: {}.", names(&auxiliaries)));
    }
    text
}

fn quality(story: &Story<'_>) -> Vec<String> {
    let mut table = vec![
        "| Parameter | Unit | Influent | Effluent | Removal, % | Limit |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for row in story.design.plant.efficiency.iter().filter(|row| row.present) {
        let limit = row.limit.map_or_else(|| "-".to_owned(), shown);
        let (influent, effluent, removed) = (shown(row.influent), shown(row.effluent), shown(row.removal_percent));
        table.push(format!("| {} | {} | {influent} | {effluent} | {removed} | {limit} |", row.name, row.unit));
    }
    vec!["## Expected water quality".to_owned(), table.join("\n"), compliance(story)]
}

fn sludge_energy_space(story: &Story<'_>) -> Vec<String> {
    let plant = &story.design.plant;
    let mut text = vec![
        "## Sludge, energy and space".to_owned(),
        format!(
            "About {} kg of dry solids per day are taken away. The plant uses {} kWh/m³ of raw water and needs about {} m² \
             with circulation.",
            shown(plant.dry_solids_kg_per_day.into()),
            shown(plant.specific_energy_kwh_per_m3.into()),
            shown(plant.area_m2.into())
        ),
    ];
    if plant.hazardous_sludge {
        text.push("The sludge counts as hazardous until a test shows otherwise.".to_owned());
    }
    text
}

fn costs(story: &Story<'_>) -> Vec<String> {
    let (capex, opex, accuracy) = (&story.design.costs.capex, &story.design.costs.opex, &story.design.costs.accuracy);
    let mut text = vec![
        "## Costs".to_owned(),
        format!(
            "The capital cost is estimated at USD {}: equipment USD {}, civil works USD {}, installation and piping USD {}, \
             engineering and supervision USD {}, contingency USD {}. Its accuracy is -{} % to +{} %.",
            dollars(capex.total.usd()),
            dollars(capex.equipment.usd()),
            dollars(capex.civil_works.usd()),
            dollars(capex.installation_piping.usd()),
            dollars(capex.engineering_supervision.usd()),
            dollars(capex.contingency.usd()),
            shown(accuracy.low_percent.into()),
            shown(accuracy.high_percent.into())
        ),
        format!(
            "The operating cost is estimated at USD {} a year: electrical energy USD {}, chemicals USD {}, personnel USD \
             {}, maintenance and spare parts USD {}.",
            dollars(opex.total.usd()),
            dollars(opex.electrical_energy.usd()),
            dollars(opex.chemicals.usd()),
            dollars(opex.personnel.usd()),
            dollars(opex.maintenance_spare_parts.usd())
        ),
    ];
    if let Some(years) = story.design.costs.payback_years {
        text.push(format!("Savings of water pay the plant back in about {} years.", shown(years.into())));
    }
    text.push(months(story));
    text
}

fn months(story: &Story<'_>) -> String {
    format!("Building and start-up take about {} months.", story.design.plant.implementation_months)
}

fn alternatives(story: &Story<'_>) -> Vec<String> {
    let rejected = &story.design.comparison.rejected;
    if rejected.is_empty() {
        return vec![];
    }
    let lines: Vec<String> =
        rejected.iter().take(6).map(|one| format!("- **{}**: {}", one.technology, one.reason)).collect();
    vec!["## Alternatives considered".to_owned(), lines.join("\n")]
}

fn open_points(story: &Story<'_>) -> Vec<String> {
    let assumed = assumptions(story.design.assumptions().len());
    vec![
        "## Assumptions and open points".to_owned(),
        format!(
            "Confidence in the data is {}. The design rests on {assumed}, listed with this proposal; what matters most \
             should be confirmed before detailed engineering.",
            confidence(story.design.basis.confidence)
        ),
        NOTICE.to_owned(),
    ]
}

fn recommendations(story: &Story<'_>) -> Vec<String> {
    let mut advice = Vec::new();
    let critical = story.critical_assumptions(5);
    if !critical.is_empty() {
        advice.push(format!("Confirm by measurement what the design had to assume: {}.", listed(&critical, "and")));
    }
    advice.push(
        "Take flow-proportional composite samples over at least one week of normal operation to confirm loads and peaks."
            .to_owned(),
    );
    if !story.failing().is_empty() {
        advice.push(
            "Resolve the limits that are not met, by further treatment or by agreement with the authority, before any order."
                .to_owned(),
        );
    }
    if story.tests_needed() {
        advice.push("Carry out the laboratory tests named in the warnings before equipment is ordered.".to_owned());
    }
    advice.push("Have the authority confirm the limits and the point of discharge in writing.".to_owned());
    let dearest = story.dearest_equipment(2);
    if !dearest.is_empty() {
        let dearest = listed(&dearest, "and");
        advice.push(format!(
            "Obtain quotations for the largest items ({dearest}) to narrow the accuracy of the estimate."
        ));
    }
    if f64::from(story.design.plant.dry_solids_kg_per_day) > 0.0 {
        advice.push("Agree on a disposal route for the sludge and have the sludge characterized.".to_owned());
    }
    advice
}

pub(super) fn statement(story: &Story<'_>, dimension: Dimension, about: &About) -> Option<String> {
    let (basis, plant, costs) = (&story.design.basis, &story.design.plant, &story.design.costs);
    match (dimension, about) {
        (Dimension::Flow, _) => Some(format!("The design flow is {} m³/d.", shown(basis.flow_m3_per_day.into()))),
        (Dimension::Money, About::Opex) => {
            Some(format!("The operating cost is estimated at USD {} a year.", dollars(costs.opex.total.usd())))
        }
        (Dimension::Money | Dimension::MoneyPerFlow, _) => {
            Some(format!("The capital cost is estimated at USD {}.", dollars(costs.capex.total.usd())))
        }
        (Dimension::Percent | Dimension::Concentration, About::Parameter(name)) => {
            story.removed_row(name).map(|row| format!("{}.", removal(row)))
        }
        (Dimension::Area, _) => {
            Some(format!("The plant needs about {} m² with circulation.", shown(plant.area_m2.into())))
        }
        (Dimension::Power | Dimension::EnergyPerVolume | Dimension::EnergyPerTime, _) => {
            Some(format!("The plant uses {} kWh/m³ of raw water.", shown(plant.specific_energy_kwh_per_m3.into())))
        }
        (Dimension::MassRate, _) => {
            let solids = shown(plant.dry_solids_kg_per_day.into());
            Some(format!("About {solids} kg of dry solids per day are taken away."))
        }
        (Dimension::Months, _) => Some(months(story)),
        (Dimension::Years, _) => Some(format!("The plant is designed for {} years.", basis.design_life_years)),
        (
            Dimension::Percent
            | Dimension::Concentration
            | Dimension::Volume
            | Dimension::MoneyPerVolume
            | Dimension::MoneyPerEnergy,
            _,
        ) => None,
    }
}
