//! Asking for a proposal.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::Clock;
use domain::proposal::{FailureCode, Stage};
use drafting::{Drafter, Settings};
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use super::{GENERATE, at, cancel, fault, ids};
use crate::process::{ask, generate, job, keys, project, read, text};
use crate::support::{Options, start, start_with};

#[tokio::test]
async fn a_request_is_answered_with_a_job_that_is_there_at_once() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let reply = ask(&client, &id).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
    let accepted = reply.body.clone();
    let job_id = text(&accepted["jobId"]);
    assert!(job_id.len() == 36 && job_id.starts_with("job_"), "{job_id}");
    assert_eq!(reply.header("location"), Some(at(&job_id).as_str()));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let position = reply.header("x-event-position").unwrap();
    assert_eq!(reply.header("etag"), Some(format!("\"1-{position}\"").as_str()));
    let members = [
        "attempt",
        "cancelled",
        "currentStep",
        "error",
        "errorCode",
        "finishedAt",
        "jobId",
        "progress",
        "projectId",
        "proposalType",
        "requestedAt",
        "result",
        "stage",
        "startedAt",
        "status",
        "warnings",
    ];
    let mut with_reused = members.to_vec();
    with_reused.push("reused");
    with_reused.sort_unstable();
    assert_eq!(keys(&accepted), with_reused);
    for (member, value) in [
        ("projectId", json!(id)),
        ("proposalType", json!("Technical")),
        ("status", json!("queued")),
        ("cancelled", json!(false)),
        ("progress", json!(0)),
        ("stage", json!("queued")),
        ("currentStep", json!("Waiting to start")),
        ("attempt", json!(1)),
        ("result", json!(null)),
        ("error", json!(null)),
        ("errorCode", json!(null)),
        ("warnings", json!([])),
        ("startedAt", json!(null)),
        ("finishedAt", json!(null)),
        ("reused", json!(false)),
    ] {
        assert_eq!(accepted[member], value, "{member}");
    }
    let polled = client.get(&at(&job_id)).send().await;
    assert_eq!((polled.status, polled.header("cache-control")), (StatusCode::OK, Some("no-store")));
    assert_eq!(keys(&polled.body), members);
    assert_eq!(polled.body["requestedAt"], accepted["requestedAt"]);
    let detail = read(&client, &format!("/projects/{id}")).await;
    assert_eq!((&detail["status"], &detail["activeJobId"]), (&json!("Generating Proposal"), &json!(job_id)));
}

#[tokio::test]
async fn while_a_job_goes_on_the_answer_is_that_job_whatever_the_body() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let first = generate(&client, &id).await;
    let before = service.events().await;
    let other = json!({"projectId": id, "type": "detailed", "preferences": {"focusAreas": ["cost"]}, "language": "es"});
    let again = client.post(GENERATE).json(&other).send().await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text);
    assert_eq!((&again.body["jobId"], &again.body["reused"]), (&json!(first), &json!(true)));
    assert_eq!(
        (&again.body["proposalType"], again.header("location")),
        (&json!("Technical"), Some(at(&first).as_str()))
    );
    assert!(again.header("x-event-position").is_some());
    assert_eq!(service.events().await, before);
    service.process(&first).work_up_to(Stage::Narrative).await;
    let running = ask(&client, &id).await;
    assert_eq!((&running.body["jobId"], &running.body["status"]), (&json!(first), &json!("processing")));
    service.process(&first).finish(Stage::Narrative).await;
    service.process(&first).begin(Stage::Checks).await;
    service.process(&first).finish(Stage::Checks).await;
    service.process(&first).begin(Stage::Publish).await;
    service.process(&first).publish().await;
    let next = ask(&client, &id).await;
    assert_eq!((next.status, &next.body["reused"]), (StatusCode::ACCEPTED, &json!(false)));
    assert_ne!(next.body["jobId"], json!(first));
}

#[tokio::test]
async fn ten_requests_at_once_start_one_job() {
    let service = start().await;
    let second = service.another(Options::default()).await;
    let here = service.signed_up("ana").await;
    let there = here.clone().through(second.front.clone());
    let id = project(&here, "North plant").await;
    let replies = join_all((0..10).map(|n| ask(if n % 2 == 0 { &here } else { &there }, &id))).await;
    assert!(replies.iter().all(|reply| reply.status == StatusCode::ACCEPTED), "{replies:?}");
    let jobs: BTreeSet<String> = replies.iter().map(|reply| text(&reply.body["jobId"])).collect();
    assert_eq!(jobs.len(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.body["reused"] == false).count(), 1);
    assert_eq!(ids(&read(&here, "/ai/proposals/jobs").await).len(), 1);
    let requested =
        service.stored_events().await.lines().filter(|line| line.starts_with("generation-requested")).count();
    assert_eq!(requested, 1);
}

#[tokio::test]
async fn what_is_asked_for_is_bounded() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let before = service.events().await;
    let with = |fields: Value| {
        let mut body = json!({"project_id": id, "proposal_type": "Technical"});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let large = json!({"text": "x".repeat(17 * 1024)});
    for (fields, pointer, code) in [
        (json!({"proposal_type": "Rough"}), "/body/proposal_type", "not_in_enum"),
        (json!({"proposal_type": null}), "/body/proposal_type", "null_not_allowed"),
        (json!({"proposal_type": 5}), "/body/proposal_type", "type"),
        (json!({"type": "Detailed"}), "/body/proposal_type", "conflicting_spellings"),
        (json!({"project_id": "x"}), "/body/project_id", "format"),
        (json!({"project_id": null}), "/body/project_id", "null_not_allowed"),
        (json!({"preferences": []}), "/body/preferences", "type"),
        (json!({"preferences": large}), "/body/preferences", "too_long"),
        (json!({"preferences": {"focus_areas": vec!["x"; 21]}}), "/body/preferences", "too_many"),
        (json!({"preferences": {"focusAreas": vec!["x"; 21]}}), "/body/preferences", "too_many"),
        (json!({"preferences": {"constraints": "none"}}), "/body/preferences", "type"),
        (json!({"preferences": {"x": "a\u{0}"}}), "/body/preferences/x", "nul_character"),
        (json!({"parameters": "x"}), "/body/parameters", "type"),
        (json!({"parameters": large}), "/body/parameters", "too_long"),
        (json!({"language": "fr"}), "/body/language", "not_in_enum"),
    ] {
        let reply = client.post(GENERATE).json(&with(fields.clone())).send().await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [fault(pointer, code)], "{fields}");
    }
    let nothing = client.post(GENERATE).header("content-type", "application/json").send().await;
    nothing.assert_problem(422, "VALIDATION_ERROR");
    let expected = [fault("/body/project_id", "required"), fault("/body/proposal_type", "required")];
    assert_eq!(nothing.faults(), expected);
    assert_eq!(service.events().await, before);
    let most = with(json!({
        "proposal_type": "conceptual", "language": "es", "parameters": {"text": "x".repeat(16 * 1024 - 11)},
        "preferences": {"focus_areas": vec!["x"; 20], "constraints": {"max_budget": 5}, "own": [1]},
    }));
    let reply = client.post(GENERATE).json(&most).send().await;
    assert_eq!(
        (reply.status, &reply.body["proposalType"]),
        (StatusCode::ACCEPTED, &json!("Conceptual")),
        "{}",
        reply.text
    );
    let other = project(&client, "South plant").await;
    let nulls = json!({"project_id": other, "proposal_type": "DETAILED", "preferences": null, "parameters": null});
    let reply = client.post(GENERATE).json(&nulls).send().await;
    assert_eq!(
        (reply.status, &reply.body["proposalType"]),
        (StatusCode::ACCEPTED, &json!("Detailed")),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn an_account_has_five_active_jobs_at_most() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let mut jobs = vec![];
    for name in ["a", "b", "c", "d", "e"] {
        jobs.push(generate(&client, &project(&client, name).await).await);
    }
    let sixth = project(&client, "f").await;
    let before = service.events().await;
    let refused = ask(&client, &sixth).await;
    refused.assert_problem(429, "GENERATION_LIMIT");
    assert_eq!(refused.body["code"], "HTTP_429");
    assert_eq!(service.events().await, before);
    assert_eq!(read(&client, &format!("/projects/{sixth}")).await["status"], "In Preparation");
    // Those under way are still answered, and others have places of their own.
    let running = job(&client, &jobs[0]).await;
    assert_eq!(ask(&client, &text(&running["projectId"])).await.body["reused"], true);
    let ben = service.signed_up("ben").await;
    generate(&ben, &project(&ben, "his").await).await;
    service.process(&jobs[0]).complete().await;
    let freed = generate(&client, &sixth).await;
    ask(&client, &project(&client, "g").await).await.assert_problem(429, "GENERATION_LIMIT");
    assert_eq!(cancel(&client, &freed).await.status, StatusCode::ACCEPTED);
    service.process(&jobs[1]).fail(FailureCode::Internal, vec![]).await;
    generate(&client, &project(&client, "h").await).await;
    generate(&client, &project(&client, "i").await).await;
    ask(&client, &project(&client, "j").await).await.assert_problem(429, "GENERATION_LIMIT");
}

#[tokio::test]
async fn a_thin_sheet_gives_warnings_and_blocks_nothing() {
    let clock = Clock::new(|| chrono::DateTime::UNIX_EPOCH);
    let drafter = Drafter::new(Settings { model: None }, clock).unwrap();
    let advice = Arc::new(move |open: &domain::project::Open| drafter.request_warnings(open));
    let service = start_with(Options { advice, ..Options::default() }).await;
    let client = service.signed_up("ana").await;
    let codes = |job: &Value| -> Vec<String> {
        job["warnings"].as_array().unwrap().iter().map(|warning| text(&warning["code"])).collect()
    };
    let id = project(&client, "North plant").await;
    let reply = ask(&client, &id).await;
    assert_eq!(codes(&reply.body), ["SHEET_EMPTY", "OFFLINE_NARRATIVE"], "{}", reply.text);
    assert_eq!(keys(&reply.body["warnings"][0]), ["code", "fields", "message"]);
    let polled = job(&client, &text(&reply.body["jobId"])).await;
    assert_eq!(polled["warnings"], reply.body["warnings"]);

    let id = project(&client, "South plant").await;
    let field = |id: &str, value: &str| json!({"id": id, "label": id, "type": "text", "value": value, "source": "manual", "importance": "critical"});
    let fields = [field("water-source", "Well"), field("water-cost", ""), field("water-uses", "")];
    let sheet = json!({"technical_sections": [{"id": "economics-scale", "title": "Economics", "fields": fields}]});
    client.patch(&format!("/api/v1/projects/{id}/data")).json(&sheet).send().await;
    let reply = ask(&client, &id).await;
    assert_eq!(codes(&reply.body), ["SHEET_INCOMPLETE", "OFFLINE_NARRATIVE"], "{}", reply.text);
    assert!(text(&reply.body["warnings"][0]["message"]).contains("33 %"));
    let fields = &reply.body["warnings"][0]["fields"];
    assert_eq!(fields, &json!(["economics-scale/water-cost", "economics-scale/water-uses"]));
}

#[tokio::test]
async fn a_repeated_request_with_the_same_key_is_the_same_job() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let body = json!({"project_id": id, "proposal_type": "Technical"});
    let send = async || client.post(GENERATE).header("idempotency-key", "k").json(&body).send().await;
    let first = send().await;
    let before = service.events().await;
    let again = send().await;
    assert_eq!((again.status, &again.body), (StatusCode::ACCEPTED, &first.body), "{}", again.text);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(service.events().await, before);
}

#[tokio::test]
async fn a_repeated_key_gives_the_job_that_its_first_request_met() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let under_way = generate(&client, &id).await;
    let body = json!({"project_id": id, "proposal_type": "Technical"});
    for replayed in [None, Some("true")] {
        let reply = client.post(GENERATE).header("idempotency-key", "again").json(&body).send().await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
        assert_eq!((&reply.body["jobId"], &reply.body["reused"]), (&json!(under_way), &json!(true)));
        assert_eq!(reply.header("idempotency-replayed"), replayed);
    }
}
