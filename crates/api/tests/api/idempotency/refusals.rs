//! Refusals under an idempotency key: which are given again.

use http::StatusCode;
use serde_json::json;

use super::{GENERATE, PROJECTS, assert_again, kept, keyed, needed, registration, repeated};
use crate::process::{generate, project};
use crate::support::{PASSWORD, start};

#[tokio::test]
async fn a_refusal_of_the_request_itself_is_given_again() {
    let service = start().await;
    let ana = service.signed_up("ana").await;
    let at = format!("{PROJECTS}/{}", project(&ana, "North plant").await);
    let unknown = format!("{PROJECTS}/0198a3f4-1b22-7d0c-8f10-2a6b7c8d9e01");
    let malformed = format!("{PROJECTS}/x/data");
    let missing = || ana.patch(&unknown).json(&json!({"name": "B"}));
    repeated(&service, missing, StatusCode::NOT_FOUND, "k").await.assert_problem(404, "PROJECT_NOT_FOUND");
    let no_job = || ana.post("/api/v1/ai/proposals/jobs/nonsense/cancel");
    repeated(&service, no_job, StatusCode::NOT_FOUND, "k").await.assert_problem(404, "JOB_NOT_FOUND");
    let wrong = || ana.put(&malformed).json(&json!({}));
    repeated(&service, wrong, StatusCode::UNPROCESSABLE_ENTITY, "k").await.assert_problem(422, "VALIDATION_ERROR");
    let stale = || ana.patch(&at).header("if-match", "\"1\"").json(&json!({"name": "B"}));
    ana.patch(&at).json(&json!({"name": "A"})).send().await;
    let refused = repeated(&service, stale, StatusCode::PRECONDITION_FAILED, "k").await;
    assert_eq!(refused.body["details"]["changedSince"], json!(["name"]));
    ana.patch(&at).json(&json!({"name": "C"})).send().await;
    assert_again(&refused, &keyed(stale(), "k").await);

    let open = service.client();
    let taken = || open.post("/api/v1/auth/register").json(&registration("ANA@example.com"));
    let refused = repeated(&service, taken, StatusCode::BAD_REQUEST, "taken").await;
    refused.assert_problem(400, "REGISTER_USER_ALREADY_EXISTS");
    let weak = json!({"email": "b@example.com", "password": "short", "first_name": "B", "last_name": ""});
    let weak = || open.post("/api/v1/auth/register").json(&weak);
    repeated(&service, weak, StatusCode::BAD_REQUEST, "weak").await.assert_problem(400, "REGISTER_INVALID_PASSWORD");
    assert_eq!(kept(&service).await, 6);
}

#[tokio::test]
async fn a_refusal_that_was_given_stands_although_the_request_could_be_carried_out_now() {
    let service = start().await;
    let ana = service.signed_up("ana").await;
    let id = project(&ana, "North plant").await;
    let other = service.signed_up("ben").await;
    let at = format!("{PROJECTS}/{id}");
    keyed(other.delete(&at), "k").await.assert_problem(404, "PROJECT_NOT_FOUND");
    let stale = || ana.delete(&at).header("if-match", "\"2\"");
    keyed(stale(), "k").await.assert_problem(412, "PRECONDITION_FAILED");
    ana.patch(&at).json(&json!({"name": "A"})).send().await;
    keyed(stale(), "k").await.assert_problem_again(412, "PRECONDITION_FAILED");
    assert_eq!(stale().send().await.status, StatusCode::NO_CONTENT, "without the key it is carried out");
}

#[tokio::test]
async fn refusals_of_a_moment_or_of_who_asks_leave_the_key_free() {
    let service = start().await;
    let mut ana = service.signed_up("ana").await;
    let id = project(&ana, "North plant").await;
    let data = format!("{PROJECTS}/{id}/data");
    let bearer = ana.bearer.take();
    keyed(ana.put(&data).json(&json!({"a": 1})), "k").await.assert_problem(401, "UNAUTHENTICATED");
    let login = ana.login("ana@example.com", PASSWORD).await;
    ana.cookie = login.cookie().map(str::to_owned);
    keyed(ana.put(&data).json(&json!({"a": 1})), "k").await.assert_problem(403, "SAME_ORIGIN_REQUIRED");
    (ana.bearer, ana.cookie) = (bearer, None);
    let large = json!({"a": "x".repeat(1024 * 1024)});
    keyed(ana.put(&data).json(&large), "k").await.assert_problem(413, "PAYLOAD_TOO_LARGE");
    keyed(ana.put(&data).header("content-type", "text/plain").body("{}"), "k")
        .await
        .assert_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    keyed(ana.put(&data).body("{"), "k").await.assert_problem(400, "MALFORMED_JSON");
    // Two halves that fit and a whole that does not.
    let half = |key: &str| json!({key: "x".repeat(600 * 1024)});
    assert_eq!(ana.put(&data).json(&half("one")).send().await.status, StatusCode::OK);
    keyed(ana.patch(&data).json(&half("two")), "k").await.assert_problem(413, "DOCUMENT_TOO_LARGE");

    for n in 0..5 {
        let id = project(&ana, &n.to_string()).await;
        generate(&ana, &id).await;
    }
    let body = json!({"project_id": id, "proposal_type": "Technical"});
    keyed(ana.post(GENERATE).json(&body), "k").await.assert_problem(429, "GENERATION_LIMIT");
    assert_eq!(kept(&service).await, 0);
    assert_eq!(ana.put(&data).json(&json!({})).send().await.status, StatusCode::OK);
    assert_eq!(keyed(ana.patch(&data).json(&half("two")), "k").await.status, StatusCode::OK);
    assert_eq!(keyed(ana.post(PROJECTS).json(&needed()), "k").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_job_that_has_ended_leaves_the_key_free() {
    let service = start().await;
    let ana = service.signed_up("ana").await;
    let job = generate(&ana, &project(&ana, "North plant").await).await;
    service.process(&job).complete().await;
    let cancel = format!("/api/v1/ai/proposals/jobs/{job}/cancel");
    for _ in 0..2 {
        let refused = keyed(ana.post(&cancel), "k").await;
        refused.assert_problem(409, "JOB_ALREADY_FINISHED");
        assert_eq!(refused.header("idempotency-replayed"), None);
    }
    assert_eq!(kept(&service).await, 0);
}
