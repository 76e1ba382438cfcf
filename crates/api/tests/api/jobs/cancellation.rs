//! Cancelling a job.

use domain::proposal::Stage;
use http::StatusCode;
use serde_json::json;

use super::{at, cancel};
use crate::process::{ask, generate, job, project, read};
use crate::support::start;

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
