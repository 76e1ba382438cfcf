//! The technical sheets end to end: the ones committed here, and the shared ones where they are at hand.

use engineering::{
    CheckStatus, CostEstimate, DesignBasis, Facts, Language, Parameter, Plant, ProposalType, SheetReading, Train,
    TrainComparison, basis, check, cost, report, sheet, sizing, train,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

struct Design {
    reading: SheetReading,
    basis: DesignBasis,
    trains: TrainComparison,
    plant: Plant,
    estimate: CostEstimate,
}

struct Sheet {
    name: String,
    document: Value,
}

/// The shared sheets, else the committed copies: never none.
fn sheets() -> Vec<Sheet> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = here.join("../../../shared/sheets");
    let mut folders = vec![here.join("tests/sheets")];
    if shared.is_dir() {
        folders.push(shared);
    } else {
        println!("skipped: the shared sheets are not beside this checkout; only the committed ones are tested");
    }
    let mut paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    let mut names = BTreeSet::new();
    let found: Vec<Sheet> = paths
        .into_iter()
        .map(|path| serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap())
        .map(|document| Sheet { name: document["name"].as_str().unwrap().to_owned(), document })
        .filter(|sheet| names.insert(sheet.name.clone()))
        .collect();
    assert!(found.len() >= 2);
    found
}

fn facts(document: &Value) -> Facts {
    let project = &document["project"];
    let text = |key: &str| project[key].as_str().unwrap_or_default().to_owned();
    Facts {
        sector: text("sector"),
        subsector: project["subsector"].as_str().map(str::to_owned),
        location: text("location"),
        proposal_type: match document["proposal_type"].as_str().unwrap() {
            "Conceptual" => ProposalType::Conceptual,
            "Technical" => ProposalType::Technical,
            "Detailed" => ProposalType::Detailed,
            other => panic!("{other}"),
        },
        language: Language::En,
    }
}

fn design(sheet: &Sheet) -> Design {
    design_of(&sheet.document["data"], &facts(&sheet.document))
}

fn design_of(data: &Value, facts: &Facts) -> Design {
    let reading = sheet::read(data, &BTreeSet::new());
    let basis = basis::derive(&reading, facts).expect("the sheet is usable");
    let trains = train::compare(&basis, facts, None).expect("there is a train");
    let plant = sizing::size(&basis, &trains.chosen);
    let estimate = cost::estimate(&basis, facts, &plant);
    Design { reading, basis, trains, plant, estimate }
}

#[test]
fn summary_of_all_sheets() {
    for sheet in sheets() {
        let d = design(&sheet);
        println!("\n=== {} Q {:.1} PF {:.2} conf {:?} {:.2}", sheet.name, d.basis.flow_m3_per_day.m3_per_day(), d.basis.peak_factor.value(), d.basis.confidence, d.basis.data_score.value());
        for c in &d.trains.candidates {
            println!("  cand {:45} score {:.3} margin {:.2} worst {:.2} ({:?}) capex {:.0} opex {:.0} area {:.0} :: {}", c.train.name, c.score.value(), c.margin, c.margin_at_worst, c.tightest, c.capex.usd(), c.opex_per_year.usd(), c.area_m2.m2(), c.train.units.iter().map(|u| u.as_str()).collect::<Vec<_>>().join(" "));
        }
        for r in &d.trains.rejected { println!("  rej {} {:?}: {}", r.technology, r.code, r.reason); }
        for row in &d.plant.efficiency {
            println!("  {:18} {:>10} -> {:>10} [{:.4} .. {:.4}] {:5.1} % {:?} limit {:?}", row.name, row.influent, row.effluent, row.effluent_at_best, row.effluent_at_worst, row.removal_percent, row.stage, row.limit);
        }
        for e in &d.plant.equipment { println!("  eq {} | {} | {} | {:.0} m3/d {:.2} kW {:.0} USD", e.kind, e.specifications, e.dimensions, e.capacity_m3_per_day.m3_per_day(), e.power_kw.kw(), e.capex.usd()); }
        println!("  capex {:?}", d.estimate.capex);
        println!("  opex {:?}", d.estimate.opex);
        println!("  acc {:?} per m3 {:.2} per m3/d {:.0} kwh/m3 {:.2} area {:.0} sludge {:.0} kg/d months {}", d.estimate.accuracy.aace_class, d.estimate.opex_usd_per_m3.value(), d.estimate.capex_usd_per_m3_per_day.value(), d.plant.specific_energy_kwh_per_m3.value(), d.plant.area_m2.m2(), d.plant.dry_solids_kg_per_day.kg_per_day(), d.plant.implementation_months);
        println!("  compliance {} critical {:?} savings {:?}", d.plant.overall_compliance, d.plant.critical_parameters, d.estimate.annual_savings);
        for a in report::assumptions(&d.basis, &d.plant, &d.estimate) { println!("  as {}: {}", a.name, a.text); }
        for w in report::warnings(&d.basis, &d.trains, &d.plant, &d.estimate) { println!("  warn {} {} {:?}", w.code.as_str(), w.message, w.fields); }
        for c in check::run(&d.basis, &d.trains, &d.plant, &d.estimate) { if c.status != CheckStatus::Passed { println!("  check {} {:?} {}", c.id, c.status, c.message); } }
        for c in &d.trains.reference_cases { println!("  ref {} {:.2} {:?}", c.case_id, c.similarity.value(), c.why_relevant); }
        let _ = (&d.reading, Parameter::Bod5, Train::clone(&d.trains.chosen));
    }
}
