//! Generation jobs: ask, look, list, cancel.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::Clock;
use domain::document::Warning;
use domain::proposal::{FailureCode, Stage};
use drafting::{Drafter, Settings};
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::process::{ask, generate, job, keys, project, proposal_of, read, text};
use crate::support::{Client, Options, Reply, SOON, start, start_with};

const GENERATE: &str = "/api/v1/ai/proposals/generate";
const JOBS: &str = "/api/v1/ai/proposals/jobs";

fn at(job: &str) -> String {
    format!("{JOBS}/{job}")
}

async fn cancel(client: &Client, job: &str) -> Reply {
    client.post(&format!("{}/cancel", at(job))).header("content-type", "application/json").send().await
}

fn fault(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|job| job["jobId"].as_str().unwrap()).collect()
}

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
async fn the_stages_have_their_progress_and_their_words() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let job_id = generate(&client, &id).await;
    let process = service.process(&job_id);
    let mut last = 0;
    for (stage, name, progress, words) in [
        (Stage::Sheet, "sheet", 5, "Reading the project and its technical sheet"),
        (Stage::Basis, "basis", 15, "Setting the design basis: flows, loads, limits"),
        (Stage::Trains, "trains", 25, "Comparing treatment trains and reference cases"),
        (Stage::Sizing, "sizing", 42, "Sizing the equipment"),
        (Stage::Costs, "costs", 52, "Estimating CAPEX and OPEX"),
        (Stage::Narrative, "narrative", 58, "Writing the proposal"),
        (Stage::Checks, "checks", 88, "Checking the text against the calculations"),
        (Stage::Publish, "publish", 95, "Saving the proposal"),
    ] {
        process.begin(stage).await;
        let seen = job(&client, &job_id).await;
        assert_eq!(
            (&seen["status"], &seen["stage"], &seen["currentStep"]),
            (&json!("processing"), &json!(name), &json!(words))
        );
        let shown = seen["progress"].as_u64().unwrap();
        // A stage that waits for the model moves on by itself.
        assert!(shown >= progress && shown >= last && shown < progress + 13, "{name}: {shown}");
        assert_eq!((&seen["attempt"], &seen["finishedAt"]), (&json!(1), &json!(null)));
        assert!(seen["startedAt"].is_string());
        last = shown;
        if stage == Stage::Sizing {
            process.begin(stage).await;
            let again = job(&client, &job_id).await;
            assert_eq!((&again["attempt"], &again["progress"]), (&json!(2), &json!(42)));
            process.finish_attempt(stage, 2).await;
        } else if stage != Stage::Publish {
            process.finish(stage).await;
        }
    }
    process.publish().await;
    let done = job(&client, &job_id).await;
    assert_eq!(
        (&done["status"], &done["stage"], &done["progress"]),
        (&json!("completed"), &json!("done"), &json!(100))
    );
    assert_eq!(done["currentStep"], "Proposal ready");
    assert_eq!((&done["cancelled"], &done["error"], &done["errorCode"]), (&json!(false), &json!(null), &json!(null)));
    assert!(done["finishedAt"].is_string());
    let preview = json!({
        "executiveSummary": "The plant treats 230 m³ of dairy wastewater per day. It keeps all limits.",
        "capex": 210_000.0, "opex": 99_000.5, "keyTechnologies": ["DAF", "SBR"],
    });
    assert_eq!(done["result"], json!({"proposalId": proposal_of(&job_id), "preview": preview}));
}

#[tokio::test]
async fn once_a_job_is_seen_as_completed_every_read_has_the_proposal() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    for turn in 0..5 {
        let id = project(&client, "North plant").await;
        let job_id = generate(&client, &id).await;
        let process = service.process(&job_id);
        process.work_up_to(Stage::Publish).await;
        let watch = async {
            testkit::wait_until(SOON, async || (job(&client, &job_id).await["status"] == "completed").then_some(()))
                .await;
            let detail = read(&client, &format!("/projects/{id}")).await;
            assert_eq!(detail["proposals"][0]["id"], proposal_of(&job_id), "turn {turn}");
            assert_eq!((&detail["status"], &detail["proposalsCount"]), (&json!("Proposal Ready"), &json!(1)));
            let list = read(&client, "/projects").await;
            assert_eq!(list["items"][0]["status"], "Proposal Ready");
            let proposals = read(&client, &format!("/ai/proposals/{id}/proposals")).await;
            assert_eq!(proposals[0]["id"], proposal_of(&job_id));
        };
        tokio::join!(process.publish(), watch);
    }
}

#[tokio::test]
async fn a_failed_job_says_why_in_the_contracts_words_and_stays_where_it_was() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    for (code, name, error) in [
        (
            FailureCode::AiUnavailable,
            "AI_UNAVAILABLE",
            "The AI service is not available at the moment. Please try again in a few minutes.",
        ),
        (FailureCode::AiTimeout, "AI_TIMEOUT", "The generation took too long and was stopped. Please try again."),
        (
            FailureCode::AiOutputRejected,
            "AI_OUTPUT_REJECTED",
            "The result did not pass the engineering checks. Please review the technical data and try again.",
        ),
        (FailureCode::SpendLimit, "SPEND_LIMIT", "The limit for AI use has been reached. Please try again later."),
        (
            FailureCode::InputUnusable,
            "INPUT_UNUSABLE",
            "The technical data cannot be used as it is. Please check the marked fields.",
        ),
        (FailureCode::Internal, "INTERNAL", "Something went wrong on our side. Please try again."),
    ] {
        let job_id = generate(&client, &id).await;
        let process = service.process(&job_id);
        process.work_up_to(Stage::Costs).await;
        let warning = Warning {
            code: "FLOW_MISSING".to_owned(),
            message: "There is no flow.".to_owned(),
            fields: vec!["economics-scale/water-consumption".to_owned()],
        };
        process.fail(code, vec![warning.clone()]).await;
        let failed = job(&client, &job_id).await;
        assert_eq!((&failed["status"], &failed["cancelled"]), (&json!("failed"), &json!(false)));
        assert_eq!((&failed["errorCode"], &failed["error"]), (&json!(name), &json!(error)));
        assert_eq!(
            (&failed["progress"], &failed["stage"], &failed["result"]),
            (&json!(52), &json!("costs"), &json!(null))
        );
        assert_eq!(failed["warnings"], json!([warning]));
        assert!(failed["finishedAt"].is_string());
        let detail = read(&client, &format!("/projects/{id}")).await;
        assert_eq!((&detail["status"], &detail["activeJobId"]), (&json!("In Preparation"), &json!(null)));
        cancel(&client, &job_id).await.assert_problem(409, "JOB_ALREADY_FINISHED");
    }
    assert_eq!(read(&client, &format!("/projects/{id}")).await["proposals"], json!([]));
}

#[tokio::test]
async fn unknown_malformed_and_foreign_jobs_are_not_found() {
    let service = start().await;
    let (ana, ben) = (service.signed_up("ana").await, service.signed_up("ben").await);
    let job_id = generate(&ana, &project(&ana, "North plant").await).await;
    let upper = job_id.to_uppercase();
    let long = format!("job_{}", "0".repeat(2000));
    let dashed = format!("job_{}", proposal_of(&job_id));
    for (client, id) in [
        (&ben, job_id.as_str()),
        (&ana, "job_0198a4107c5e7f00a1b2c3d4e5f60718"),
        (&ana, "job_"),
        (&ana, "x"),
        (&ana, "%20"),
        (&ana, "job_%00"),
        (&ana, &upper),
        (&ana, &long),
        (&ana, &dashed),
        (&ana, &job_id[4..]),
    ] {
        client.get(&at(id)).send().await.assert_problem(404, "JOB_NOT_FOUND");
        cancel(client, id).await.assert_problem(404, "JOB_NOT_FOUND");
    }
    assert_eq!(job(&ana, &job_id).await["status"], "queued");
}

#[tokio::test]
async fn a_queued_job_that_is_cancelled_ends_at_once() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let job_id = generate(&client, &id).await;
    let reply = cancel(&client, &job_id).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
    assert_eq!(reply.header("location"), Some(at(&job_id).as_str()));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    for ended in [reply.body.clone(), job(&client, &job_id).await] {
        assert_eq!((&ended["status"], &ended["cancelled"]), (&json!("failed"), &json!(true)));
        assert_eq!(
            (&ended["errorCode"], &ended["error"]),
            (&json!("CANCELLED"), &json!("The generation was cancelled."))
        );
        assert_eq!((&ended["progress"], &ended["stage"]), (&json!(0), &json!("queued")));
        assert!(ended["finishedAt"].is_string() && ended["startedAt"].is_null() && ended["result"].is_null());
    }
    let before = service.events().await;
    let again = cancel(&client, &job_id).await;
    assert_eq!((again.status, &again.body), (StatusCode::ACCEPTED, &reply.body), "{}", again.text);
    assert_eq!(again.header("etag"), reply.header("etag"));
    assert!(again.header("x-event-position").is_some());
    assert_eq!(service.events().await, before);
    let detail = read(&client, &format!("/projects/{id}")).await;
    assert_eq!((&detail["status"], &detail["activeJobId"]), (&json!("In Preparation"), &json!(null)));
    assert_ne!(generate(&client, &id).await, job_id, "another one can be asked for");
}

#[tokio::test]
async fn a_running_job_that_is_cancelled_goes_on_answering_until_the_worker_ends_it() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let job_id = generate(&client, &id).await;
    let process = service.process(&job_id);
    process.work_up_to(Stage::Costs).await;
    let first = cancel(&client, &job_id).await;
    assert_eq!((first.status, &first.body["status"]), (StatusCode::ACCEPTED, &json!("processing")), "{}", first.text);
    let before = service.events().await;
    let again = cancel(&client, &job_id).await;
    assert_eq!((again.status, &again.body["status"]), (StatusCode::ACCEPTED, &json!("processing")));
    assert_eq!(service.events().await, before);
    assert_eq!(job(&client, &job_id).await["status"], "processing");
    assert_eq!(ask(&client, &id).await.body["reused"], true, "it has not ended yet");
    process.confirm_cancellation().await;
    let ended = job(&client, &job_id).await;
    assert_eq!((&ended["status"], &ended["cancelled"]), (&json!("failed"), &json!(true)));
    assert_eq!((&ended["progress"], &ended["errorCode"]), (&json!(52), &json!("CANCELLED")));
    assert_eq!(cancel(&client, &job_id).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_completed_job_cannot_be_cancelled() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let job_id = generate(&client, &project(&client, "North plant").await).await;
    service.process(&job_id).complete().await;
    let before = service.events().await;
    cancel(&client, &job_id).await.assert_problem(409, "JOB_ALREADY_FINISHED");
    assert_eq!(service.events().await, before);
    assert_eq!(job(&client, &job_id).await["status"], "completed");
}

#[tokio::test]
async fn the_list_of_jobs_has_filters_and_pages() {
    let service = start().await;
    let (client, ben) = (service.signed_up("ana").await, service.signed_up("ben").await);
    generate(&ben, &project(&ben, "his").await).await;
    assert_eq!(read(&client, "/ai/proposals/jobs").await, json!({"items": [], "nextCursor": null}));
    let projects = [
        project(&client, "a").await,
        project(&client, "b").await,
        project(&client, "c").await,
        project(&client, "d").await,
        project(&client, "e").await,
    ];
    let mut jobs = vec![];
    for id in &projects {
        jobs.push(generate(&client, id).await);
    }
    service.process(&jobs[0]).complete().await;
    service.process(&jobs[1]).fail(FailureCode::SpendLimit, vec![]).await;
    cancel(&client, &jobs[2]).await;
    service.process(&jobs[3]).begin(Stage::Sheet).await;
    let [completed, failed, cancelled, running, queued] = [0, 1, 2, 3, 4].map(|n: usize| jobs[n].as_str());
    for (query, expected) in [
        ("", vec![queued, running, cancelled, failed, completed]),
        ("?status=queued", vec![queued]),
        ("?status=processing", vec![running]),
        ("?status=completed", vec![completed]),
        ("?status=failed", vec![cancelled, failed]),
        ("?status=cancelled", vec![cancelled]),
        ("?status=active", vec![queued, running]),
        (&format!("?project_id={}", projects[1]), vec![failed]),
        (&format!("?projectId={}&status=active", projects[1]), vec![]),
        ("?project_id=0198a3f4-1b22-7d0c-8f10-2a6b7c8d9e01", vec![]),
    ] {
        let found = read(&client, &format!("/ai/proposals/jobs{query}")).await;
        assert_eq!((ids(&found), &found["nextCursor"]), (expected, &json!(null)), "{query}");
    }
    let whole = read(&client, "/ai/proposals/jobs").await;
    for (listed, id) in whole["items"].as_array().unwrap().iter().zip([queued, running, cancelled, failed, completed]) {
        assert_eq!(listed, &job(&client, id).await);
    }
    let (mut seen, mut address) = (vec![], format!("{JOBS}?limit=2"));
    loop {
        let page = client.get(&address).send().await;
        assert_eq!((page.status, page.header("cache-control")), (StatusCode::OK, Some("no-store")), "{}", page.text);
        seen.extend(ids(&page.body).into_iter().map(str::to_owned));
        assert_eq!(page.header("x-next-cursor"), page.body["nextCursor"].as_str());
        let Some(cursor) = page.body["nextCursor"].as_str() else { break };
        address = format!("{JOBS}?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, [queued, running, cancelled, failed, completed]);
    for (query, pointer, code) in [
        ("status=Done", "/query/status", "not_in_enum"),
        ("project_id=x", "/query/project_id", "format"),
        ("limit=0", "/query/limit", "too_small"),
        ("limit=101", "/query/limit", "too_large"),
        ("cursor=x", "/query/cursor", "unknown_cursor"),
    ] {
        let reply = client.get(&format!("{JOBS}?{query}")).send().await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [fault(pointer, code)], "{query}");
    }
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
