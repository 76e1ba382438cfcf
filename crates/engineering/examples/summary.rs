//! One page per technical sheet: train, effluent against limits, costs, energy, area, sludge, checks not passed.
//!
//! `cargo run -p engineering --example summary -- SHEET.json...`; a sheet is a file as in `tests/sheets`.

use engineering::{CheckStatus, Facts, Language, ProposalType, basis, check, cost, report, sheet, sizing, train};
use serde_json::Value;
use std::collections::BTreeSet;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args().skip(1) {
        let document: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        page(&document)?;
    }
    Ok(())
}

fn facts(document: &Value) -> Facts {
    let project = &document["project"];
    let text = |key: &str| project[key].as_str().unwrap_or_default().to_owned();
    Facts {
        sector: text("sector"),
        subsector: project["subsector"].as_str().map(str::to_owned),
        location: text("location"),
        proposal_type: match document["proposal_type"].as_str() {
            Some("Conceptual") => ProposalType::Conceptual,
            Some("Detailed") => ProposalType::Detailed,
            Some(_) | None => ProposalType::Technical,
        },
        language: Language::En,
    }
}

fn page(document: &Value) -> Result<(), Box<dyn Error>> {
    let facts = facts(document);
    let reading = sheet::read(&document["data"], &BTreeSet::new());
    let basis = basis::derive(&reading, &facts)?;
    let trains = train::compare(&basis, &facts, None)?;
    let plant = sizing::size(&basis, &trains.chosen);
    let estimate = cost::estimate(&basis, &facts, &plant);
    println!("==== {} ====", document["name"].as_str().unwrap_or("sheet"));
    println!(
        "{:.1} m³/d ({:?}), peak {:.2}, equalized {}, {:.1} h/d, {:.0} °C, {:?}, {}, data score {:.2}, confidence {:?}",
        basis.flow_m3_per_day.m3_per_day(),
        basis.flow_source,
        basis.peak_factor.value(),
        basis.equalised,
        basis.operating_hours_per_day.hours(),
        basis.temperature.celsius(),
        basis.country,
        basis.receiver.name(),
        basis.data_score.value(),
        basis.confidence
    );
    println!("Regulations: {}", basis.regulations.iter().map(|r| r.name()).collect::<Vec<_>>().join("; "));
    println!("Train: {}", plant.units.iter().map(|unit| unit.name.as_str()).collect::<Vec<_>>().join(" > "));
    println!("{}", trains.reason);
    for c in &trains.candidates {
        println!(
            "  {:<46} score {:.3} margin {:+.2} worst {:+.2} tightest {:<8} CAPEX {:>9.0} OPEX {:>8.0} area {:>6.0} op {:.2}",
            c.train.name,
            c.score.value(),
            c.margin,
            c.margin_at_worst,
            c.tightest.as_deref().unwrap_or("-"),
            c.capex.usd(),
            c.opex_per_year.usd(),
            c.area_m2.m2(),
            c.operability.value()
        );
    }
    for other in &trains.rejected {
        println!("  rejected {}: {}", other.technology, other.reason);
    }
    for row in &plant.efficiency {
        let limit = row.limit.map_or("-".to_owned(), |limit| format!("{limit}"));
        println!(
            "  {:<16} {:>12.4} -> {:>10.4} ({:.4} to {:.4}) {:<11} {:>5.1} % limit {limit} {}",
            row.name,
            row.influent,
            row.effluent,
            row.effluent_at_best,
            row.effluent_at_worst,
            row.unit,
            row.removal_percent,
            if row.complies { "" } else { "NOT MET" }
        );
    }
    for item in &plant.equipment {
        println!(
            "  {:<66} {:>9.0} USD {:>7.2} kW x {:.2} x {:>4.1} h, tank {:>7.1} m³ | {} | {}",
            item.kind,
            item.capex.usd(),
            item.power_kw.kw(),
            item.load_factor.value(),
            item.hours_per_day.hours(),
            item.tank_m3.m3(),
            item.specifications,
            item.dimensions
        );
    }
    for chemical in &plant.chemicals {
        println!(
            "  {} ({}): {:.1} mg/L, {:.2} kg/d at {} USD/kg",
            chemical.name,
            chemical.process.name(),
            chemical.dose_mg_per_l.mg_per_l(),
            chemical.use_kg_per_day.kg_per_day(),
            chemical.price_usd_per_kg.value()
        );
    }
    let (capex, opex) = (&estimate.capex, &estimate.opex);
    println!(
        "CAPEX {:.0} = equipment {:.0} + civil {:.0} + installation {:.0} + engineering {:.0} + contingency {:.0}; class {}, {:.0} USD per m³/d, {:.2} x equipment",
        capex.total.usd(),
        capex.equipment.usd(),
        capex.civil_works.usd(),
        capex.installation_piping.usd(),
        capex.engineering_supervision.usd(),
        capex.contingency.usd(),
        estimate.accuracy.aace_class,
        estimate.capex_usd_per_m3_per_day.value(),
        capex.total.usd() / capex.equipment.usd()
    );
    println!(
        "OPEX {:.0} = energy {:.0} + chemicals {:.0} + personnel {:.0} + maintenance {:.0} (sludge {:.0}); {:.2} USD/m³",
        opex.total.usd(),
        opex.electrical_energy.usd(),
        opex.chemicals.usd(),
        opex.personnel.usd(),
        opex.maintenance_spare_parts.usd(),
        opex.of_which_sludge_disposal.usd(),
        estimate.opex_usd_per_m3.value()
    );
    println!(
        "{:.2} kWh/m³, {:.0} m², {:.0} kg DS/d, {:.0} kg wet/d, CH4 {:.0} Nm³/d, {} months, payback {:?}",
        plant.specific_energy_kwh_per_m3.value(),
        plant.area_m2.m2(),
        plant.dry_solids_kg_per_day.kg_per_day(),
        plant.wet_sludge_kg_per_day.kg_per_day(),
        plant.methane_nm3_per_day.value(),
        plant.implementation_months,
        estimate.payback_years
    );
    for check in check::run(&basis, &trains, &plant, &estimate) {
        if check.status != CheckStatus::Passed {
            println!("  {} {:?}: {}", check.id, check.status, check.message);
        }
    }
    for warning in report::warnings(&basis, &trains, &plant, &estimate) {
        println!("  {}: {}", warning.code.as_str(), warning.message);
    }
    for assumption in report::assumptions(&basis, &plant, &estimate) {
        println!("  assumed [{:?}] {}: {}", assumption.mark, assumption.name, assumption.text);
    }
    Ok(())
}
