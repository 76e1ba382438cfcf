//! Proposals: list, show, delete, and how one came about.

use http::StatusCode;
use serde_json::{Value, json};

use crate::process::{document, generate, job, keys, project, proposal_of, read, text};
use crate::support::{Client, Service, start};

fn base(project: &str) -> String {
    format!("/api/v1/ai/proposals/{project}/proposals")
}

fn at(project: &str, proposal: &str) -> String {
    format!("{}/{proposal}", base(project))
}

/// A service, somebody with a project, and the project's first proposal.
async fn with_proposal() -> (Service, Client, String, String) {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let proposal = another(&service, &client, &id).await;
    (service, client, id, proposal)
}

/// Has one more proposal made; answers its id.
async fn another(service: &Service, client: &Client, project: &str) -> String {
    let job = generate(client, project).await;
    service.process(&job).complete().await;
    proposal_of(&job)
}

fn assert_no_nulls(value: &Value, place: &str) {
    match value {
        Value::Null => panic!("{place} is null"),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| assert_no_nulls(item, &format!("{place}/{n}")));
        }
        Value::Object(members) => {
            members.iter().for_each(|(key, item)| assert_no_nulls(item, &format!("{place}/{key}")));
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

#[tokio::test]
async fn a_proposal_has_the_contracts_shape() {
    let (_service, client, id, proposal) = with_proposal().await;
    let shown = read(&client, &format!("/ai/proposals/{id}/proposals/{proposal}")).await;
    let members = [
        "aiMetadata",
        "author",
        "capex",
        "createdAt",
        "executiveSummary",
        "id",
        "jobId",
        "opex",
        "projectId",
        "proposalType",
        "status",
        "technicalApproach",
        "title",
        "type",
        "updatedAt",
        "version",
    ];
    assert_eq!(keys(&shown), members);
    for (member, value) in [
        ("id", json!(proposal)),
        ("projectId", json!(id)),
        ("jobId", json!(format!("job_{}", proposal.replace('-', "")))),
        ("version", json!("v1.0")),
        ("title", json!("Technical Proposal - North plant")),
        ("proposalType", json!("Technical")),
        ("type", json!("Technical")),
        ("status", json!("Draft")),
        ("author", json!("H2O Allegiant AI")),
        ("capex", json!(210_000.0)),
        ("opex", json!(99_000.5)),
    ] {
        assert_eq!(shown[member], value, "{member}");
    }
    let document = document();
    for member in ["executiveSummary", "technicalApproach"] {
        assert_eq!(shown[member], document[member]);
    }
    let mut stored = document["aiMetadata"].clone();
    let mut metadata = shown["aiMetadata"].clone();
    let time = |value: &mut Value| {
        let taken = value["transparency"]["generatedAt"].take();
        text(&taken).parse::<chrono::DateTime<chrono::Utc>>().unwrap()
    };
    assert_eq!(time(&mut metadata), time(&mut stored));
    assert_eq!(metadata, stored, "what has no value is absent, and lists are lists");
    assert_no_nulls(&shown, "");
    let technical = &shown["aiMetadata"]["proposal"]["technicalData"];
    for absent in ["paybackYears", "roiPercent", "annualSavingsUsd"] {
        assert!(technical.get(absent).is_none(), "{absent}");
    }
    assert!(technical["mainEquipment"][0].get("riskFactor").is_none());
    let detail = read(&client, &format!("/projects/{id}")).await;
    assert_eq!(detail["proposals"], json!([shown]));
    assert_eq!(detail["currentProposalId"], json!(null));
}

#[tokio::test]
async fn a_proposal_is_not_sent_again_unless_it_changed() {
    let (service, client, id, proposal) = with_proposal().await;
    let first = client.get(&at(&id, &proposal)).send().await;
    assert_eq!((first.status, first.header("cache-control")), (StatusCode::OK, Some("private, no-cache")));
    let tag = first.header("etag").unwrap();
    another(&service, &client, &id).await;
    client.patch(&format!("/api/v1/projects/{id}")).json(&json!({"name": "South plant"})).send().await;
    let again = client.get(&at(&id, &proposal)).header("if-none-match", tag).send().await;
    assert_eq!((again.status, again.text.as_str(), again.header("etag")), (StatusCode::NOT_MODIFIED, "", Some(tag)));
}

#[tokio::test]
async fn a_proposal_of_another_project_is_not_found() {
    let (service, client, id, proposal) = with_proposal().await;
    let other = project(&client, "South plant").await;
    let ben = service.signed_up("ben").await;
    let running = generate(&client, &other).await;
    let before = service.events().await;
    for (who, project, proposal, code) in [
        (&client, &other, &proposal, "PROPOSAL_NOT_FOUND"),
        (&client, &other, &proposal_of(&running), "PROPOSAL_NOT_FOUND"),
        (&client, &id, &id, "PROPOSAL_NOT_FOUND"),
        (&ben, &id, &proposal, "PROPOSAL_NOT_FOUND"),
    ] {
        who.get(&at(project, proposal)).send().await.assert_problem(404, code);
        who.get(&format!("{}/ai-metadata", at(project, proposal))).send().await.assert_problem(404, code);
        let deleted = who.delete(&at(project, proposal)).send().await;
        assert_eq!(
            (deleted.status, deleted.header("content-type")),
            (StatusCode::NOT_FOUND, Some("application/problem+json"))
        );
    }
    for wrong in [at("x", &proposal), at(&id, "x")] {
        client.get(&wrong).send().await.assert_problem(422, "VALIDATION_ERROR");
        client.delete(&wrong).send().await.assert_problem(422, "VALIDATION_ERROR");
    }
    assert_eq!(service.events().await, before);
}

#[tokio::test]
async fn the_list_of_proposals_is_bare_and_newest_first() {
    let (service, client, id, first) = with_proposal().await;
    let (second, third) = (another(&service, &client, &id).await, another(&service, &client, &id).await);
    let list = client.get(&base(&id)).send().await;
    assert_eq!((list.status, list.header("x-next-cursor")), (StatusCode::OK, None), "{}", list.text);
    let ids = |page: &Value| -> Vec<String> { page.as_array().unwrap().iter().map(|item| text(&item["id"])).collect() };
    assert_eq!(ids(&list.body), [third.clone(), second.clone(), first.clone()]);
    let versions: Vec<_> = list.body.as_array().unwrap().iter().map(|item| item["version"].clone()).collect();
    assert_eq!(versions, ["v1.2", "v1.1", "v1.0"]);
    assert_eq!(list.body[2], read(&client, &format!("/ai/proposals/{id}/proposals/{first}")).await);
    let page = client.get(&format!("{}?limit=2", base(&id))).send().await;
    assert_eq!(ids(&page.body), [third, second]);
    let next = page.header("link").unwrap().trim_start_matches('<').split('>').next().unwrap().to_owned();
    assert!(next.contains(page.header("x-next-cursor").unwrap()));
    let rest = client.get(&next).send().await;
    assert_eq!((ids(&rest.body), rest.header("x-next-cursor")), (vec![first], None));
    for (status, count) in [("Draft", 3), ("Current", 0), ("Archived", 0)] {
        let found = read(&client, &format!("/ai/proposals/{id}/proposals?status={status}")).await;
        assert_eq!(found.as_array().unwrap().len(), count, "{status}");
    }
    for (query, pointer, code) in [
        ("status=draft", "/query/status", "not_in_enum"),
        ("limit=0", "/query/limit", "too_small"),
        ("limit=101", "/query/limit", "too_large"),
        ("cursor=x", "/query/cursor", "unknown_cursor"),
    ] {
        let reply = client.get(&format!("{}?{query}", base(&id))).send().await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [(pointer.to_owned(), code.to_owned())], "{query}");
    }
    let empty = project(&client, "South plant").await;
    assert_eq!(read(&client, &format!("/ai/proposals/{empty}/proposals")).await, json!([]));
}

#[tokio::test]
async fn a_deleted_proposal_is_gone_its_number_is_not_given_again_and_the_status_moves_back() {
    let (service, client, id, first) = with_proposal().await;
    let second = another(&service, &client, &id).await;
    let path = format!("/projects/{id}");
    let deleted = client.delete(&at(&id, &first)).header("content-type", "application/json").send().await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::NO_CONTENT, ""), "{}", deleted.text);
    assert_eq!((deleted.header("content-type"), deleted.header("etag")), (None, None));
    assert!(deleted.header("x-event-position").is_some());
    let detail = read(&client, &path).await;
    assert_eq!((&detail["status"], &detail["proposalsCount"]), (&json!("Proposal Ready"), &json!(1)));
    assert_eq!(detail["timeline"][0]["title"], "Proposal deleted");
    let before = service.events().await;
    for sending in [client.get(&at(&id, &first)), client.delete(&at(&id, &first))] {
        sending.send().await.assert_problem(404, "PROPOSAL_NOT_FOUND");
    }
    assert_eq!(service.events().await, before);
    assert_eq!(client.delete(&at(&id, &second)).send().await.status, StatusCode::NO_CONTENT);
    let detail = read(&client, &path).await;
    assert_eq!((&detail["status"], &detail["proposals"]), (&json!("In Preparation"), &json!([])));
    let third = another(&service, &client, &id).await;
    let shown = read(&client, &format!("/ai/proposals/{id}/proposals/{third}")).await;
    assert_eq!(shown["version"], "v1.2");
    assert_eq!(job(&client, &text(&shown["jobId"])).await["result"]["proposalId"], third);
}

#[tokio::test]
async fn deleting_the_last_proposal_does_not_overrule_a_status_that_was_set_by_hand() {
    let (_service, client, id, proposal) = with_proposal().await;
    client.patch(&format!("/api/v1/projects/{id}")).json(&json!({"status": "On Hold"})).send().await;
    client.delete(&at(&id, &proposal)).send().await;
    assert_eq!(read(&client, &format!("/projects/{id}")).await["status"], "On Hold");
}

#[tokio::test]
async fn a_proposal_that_is_not_the_one_that_was_seen_is_not_deleted() {
    let (service, client, id, proposal) = with_proposal().await;
    let tag = client.get(&at(&id, &proposal)).send().await.header("etag").unwrap().to_owned();
    another(&service, &client, &id).await;
    let before = service.events().await;
    for stale in ["\"1\"", "\"999-1\"", "\"l-5\"", "W/\"1\""] {
        let reply = client.delete(&at(&id, &proposal)).header("if-match", stale).send().await;
        reply.assert_problem(412, "PRECONDITION_FAILED");
        assert_eq!(reply.header("etag"), Some(tag.as_str()));
        assert_eq!(reply.body["details"], json!({"currentEtag": tag, "changedSince": []}));
    }
    assert_eq!(service.events().await, before);
    let reply = client.delete(&at(&id, &proposal)).header("if-match", &tag).send().await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text);
    let gone = client.delete(&at(&id, &proposal)).header("if-match", &tag).send().await;
    gone.assert_problem(404, "PROPOSAL_NOT_FOUND");
}

#[tokio::test]
async fn how_a_proposal_came_about_is_flat_and_in_snake_case() {
    let (_service, client, id, proposal) = with_proposal().await;
    let reply = client.get(&format!("{}/ai-metadata", at(&id, &proposal))).send().await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert!(reply.header("x-event-position").is_some());
    assert_no_nulls(&reply.body, "");
    let mut metadata = reply.body.clone();
    let generated = text(&metadata["generated_at"].take()).parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert_eq!(generated, "2026-01-20T09:44:30.700Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap());
    let expected = json!({
        "usage_stats": {
            "total_tokens": 0, "input_tokens": 0, "output_tokens": 0, "model_used": "templates", "cost_estimate": 0.0,
            "generation_time_seconds": 71.4, "success": true,
        },
        "proven_cases": [{
            "case_id": "dairy-07", "project_name": "Dairy, 250 m³/d", "application_type": "Dairy processing",
            "treatment_train": "Screening + DAF + SBR + UV", "flow_range": "100-600 m³/d", "similarity_score": 0.86,
        }],
        "user_sector": "industrial",
        "assumptions": ["Electricity at 0.12 USD/kWh"],
        "alternatives": [{"technology": "UASB", "reason_rejected": "Load too small for gas use"}],
        "technology_justification": [{"stage": "primary", "technology": "DAF", "justification": "Fat first, biology after"}],
        "confidence_level": "Medium",
        "recommendations": ["Confirm the FOG peak with a composite sample"],
        "generated_at": null,
        "provider": "offline",
        "prompt_version": "5.0",
        "inputs_position": 4,
        "calculation_trace": document()["aiMetadata"]["transparency"]["calculationTrace"],
        "checks": [{"id": "capex-sum", "title": "CAPEX lines add up", "status": "passed", "message": "Exact"}],
        "deviations": [{
            "topic": "hydraulic retention time", "case_id": "dairy-07", "case_value": "18 h", "proposal_value": "24 h",
            "reason": "The peak is higher.",
        }],
    });
    assert_eq!(metadata, expected);
}
