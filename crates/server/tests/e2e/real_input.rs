//! Technical sheets as clients fill them in, from the request to the finished proposal.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::stream;
use serde_json::{Value, json};

use crate::rules;
use rig::client::{Client, sign_up};
use rig::jobs::{completed, generate, job_id, project};
use rig::sheets::{self, Sheet, milligrams_per_litre, number};
use rig::site::Site;

/// How many proposals are asked for at a time; five are the most that an account may have.
const AT_ONCE: usize = 4;

#[tokio::test]
async fn every_sheet_becomes_a_proposal_that_keeps_the_rules_and_the_sheets_facts() {
    let site = Site::new().await;
    let server = site.start().await;
    let engineer = sign_up(&server).await.client;
    let sheets = sheets::all();
    assert!(sheets.len() >= 2);

    let proposals = stream::iter(&sheets).map(async |sheet| wrong_with(&engineer, sheet).await);
    let found: Vec<Vec<String>> = proposals.buffered(AT_ONCE).collect().await;

    let found: Vec<String> = found.into_iter().flatten().collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn the_rules_find_a_proposal_that_breaks_one() {
    let site = Site::new().await;
    let server = site.start().await;
    let engineer = sign_up(&server).await.client;
    let sheet = sheets::dairy();
    let id = project(&engineer, &sheet).await;
    completed(&engineer, job_id(&generate(&engineer, &id, "Technical").await)).await;
    let proposal = engineer.get(&format!("/ai/proposals/{id}/proposals")).await.ok(200)[0].clone();
    assert_eq!(rules::broken(&proposal), Vec::<String>::new());

    let data = "/aiMetadata/proposal/technicalData";
    let first = |list: &str| format!("{data}/{list}/0");
    let cent_more = |pointer: &str| json!(proposal.pointer(pointer).unwrap().as_f64().unwrap() + 0.01);
    let equipment = proposal.pointer(&format!("{data}/mainEquipment")).unwrap().as_array().unwrap();
    let twice: Vec<&Value> = equipment.iter().chain(&equipment[..1]).collect();
    for (pointer, value) in [
        ("/title".to_owned(), Value::Null),
        ("/executiveSummary".to_owned(), json!("**Bold.**")),
        ("/capex".to_owned(), cent_more("/capex")),
        (format!("{data}/annualOpexUsd"), cent_more(&format!("{data}/annualOpexUsd"))),
        (format!("{data}/capexBreakdown/civilWorks"), cent_more(&format!("{data}/capexBreakdown/civilWorks"))),
        (format!("{}/capexUsd", first("mainEquipment")), cent_more(&format!("{}/capexUsd", first("mainEquipment")))),
        (format!("{}/stage", first("mainEquipment")), json!("Primary")),
        (format!("{data}/mainEquipment"), json!(twice)),
        (format!("{data}/assumptions"), json!(["one", "one"])),
        (format!("{}/removalEfficiencyPercent", first("treatmentEfficiency/parameters")), json!(1.0)),
        (format!("{data}/treatmentEfficiency/criticalParameters"), json!({})),
        ("/aiMetadata/transparency/provenCases".to_owned(), json!("none")),
        ("/aiMetadata/transparency/usage/requests".to_owned(), json!(1)),
    ] {
        let mut broken = proposal.clone();
        *broken.pointer_mut(&pointer).unwrap_or_else(|| panic!("{pointer} is not in {proposal}")) = value;
        assert!(!rules::broken(&broken).is_empty(), "{pointer} is broken, and no rule says so");
    }
    let mut other = sheets::dairy().with("water-quality", "cod", "value", json!("4,100"));
    other.facts = json!({"treated_flow_m3_day": 232, "bod5_mg_l": 1800, "must_assume": ["the moon"]});
    assert!(wrong_flow(&other, &proposal).is_some());
    assert_eq!(uncovered(&other, &proposal).len(), 1);
    assert_eq!(wrong_facts(&other, &proposal).len(), 2);
    drop(server);
    site.close().await;
}

/// Whatever is wrong with the proposal for a sheet.
async fn wrong_with(engineer: &Client, sheet: &Sheet) -> Vec<String> {
    let id = project(engineer, sheet).await;
    let job = generate(engineer, &id, &sheet.proposal_type).await;
    let done = completed(engineer, job_id(&job)).await;
    let path = format!("/ai/proposals/{id}/proposals/{}", done["result"]["proposalId"].as_str().unwrap());
    let proposal = engineer.get(&path).await.ok(200);

    let mut found = rules::broken(&proposal);
    found.extend(wrong_flow(sheet, &proposal));
    found.extend(uncovered(sheet, &proposal));
    found.extend(wrong_facts(sheet, &proposal));
    found.extend(wrong_job(&done, &proposal));
    if proposal["proposalType"] != *sheet.proposal_type {
        found.push("it is of another type than was asked for".to_owned());
    }
    let client = sheet.project["client"].as_str().unwrap();
    if proposal.to_string().contains(client) {
        found.push("a text from templates holds the client's name".to_owned());
    }
    found.into_iter().map(|what| format!("{}: {what}", sheet.name)).collect()
}

fn data(proposal: &Value) -> &Value {
    &proposal["aiMetadata"]["proposal"]["technicalData"]
}

/// The flow to be treated, before the peak factor, within half a per cent.
fn wrong_flow(sheet: &Sheet, proposal: &Value) -> Option<String> {
    let flow = data(proposal)["designFlowM3Day"].as_f64().unwrap_or(f64::NAN);
    let right = match (sheet.facts["treated_flow_m3_day"].as_f64(), sheet.facts["treated_flow_m3_day_max"].as_f64()) {
        (Some(known), _) => (flow - known).abs() <= known * 0.005,
        (None, Some(most)) => flow > 0.0 && flow <= most,
        (None, None) => return Some("the sheet has no fact about its flow".to_owned()),
    };
    (!right).then(|| format!("the design flow is {flow} m³/d, against {}", sheet.facts))
}

/// Parameters of the sheet with a load that are not in the proposal with the same value.
fn uncovered(sheet: &Sheet, proposal: &Value) -> Vec<String> {
    let parameters = data(proposal)["treatmentEfficiency"]["parameters"].as_array().unwrap();
    let covered: Vec<f64> = parameters
        .iter()
        .filter_map(|parameter| {
            let factor = milligrams_per_litre(parameter["unit"].as_str()?)?;
            Some(parameter["influentConcentration"].as_f64()? * factor)
        })
        .collect();
    sheet
        .fields("water-quality")
        .into_iter()
        .filter_map(|field| {
            let on_sheet = number(&field["value"])? * milligrams_per_litre(field["unit"].as_str()?)?;
            let is_covered = covered.iter().any(|value| (value - on_sheet).abs() <= on_sheet * 0.005);
            (on_sheet > 0.0 && !is_covered).then(|| format!("{} with {on_sheet} mg/L is not covered", field["label"]))
        })
        .collect()
}

/// What the sheet's own facts say, beside the flow.
fn wrong_facts(sheet: &Sheet, proposal: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let influent = data(proposal)["treatmentEfficiency"]["parameters"].as_array().unwrap();
    for (fact, name) in [("bod5_mg_l", "bod"), ("chromium_mg_l", "chromium")] {
        let Some(known) = sheet.facts[fact].as_f64() else { continue };
        let of_that_name = influent.iter().find(|parameter| {
            let plain = parameter["parameterName"].as_str().unwrap_or_default().to_lowercase();
            plain.contains(name) || (name == "chromium" && plain.contains("cr"))
        });
        let shown = of_that_name.and_then(|parameter| {
            let factor = milligrams_per_litre(parameter["unit"].as_str()?)?;
            Some(parameter["influentConcentration"].as_f64()? * factor)
        });
        if !shown.is_some_and(|shown| (shown - known).abs() <= known * 0.005) {
            found.push(format!("{fact} should be {known}, is {shown:?}"));
        }
    }
    let assumptions = data(proposal)["assumptions"].to_string().to_lowercase();
    for assumed in sheet.facts["must_assume"].as_array().into_iter().flatten() {
        let assumed = assumed.as_str().unwrap().to_lowercase();
        if !assumptions.contains(&assumed) {
            found.push(format!("it is not said that {assumed} was assumed: {assumptions}"));
        }
    }
    found
}

/// The job's preview against the proposal.
fn wrong_job(job: &Value, proposal: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let preview = &job["result"]["preview"];
    if preview["capex"] != proposal["capex"] || preview["opex"] != proposal["opex"] {
        found.push(format!("the preview {preview} has other sums"));
    }
    let summary = preview["executiveSummary"].as_str().unwrap_or_default();
    if summary.is_empty() || summary.chars().count() > 500 || !summary.ends_with(['.', '!', '?']) {
        found.push(format!("the preview's summary is no whole sentences of 500 characters: {summary}"));
    }
    let technologies = preview["keyTechnologies"].as_array().map_or(&[][..], Vec::as_slice);
    let unique: BTreeSet<String> = technologies.iter().map(Value::to_string).collect();
    if technologies.is_empty() || unique.len() != technologies.len() {
        found.push(format!("keyTechnologies: {technologies:?}"));
    }
    found
}
