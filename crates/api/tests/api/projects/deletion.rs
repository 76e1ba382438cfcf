//! A project that is deleted.

use domain::proposal::Stage;
use http::StatusCode;
use serde_json::json;

use super::{at, change, names};
use crate::process::{ask, generate, job, project, proposal_of, read, text};
use crate::support::{Options, start};

#[tokio::test]
async fn a_deleted_project_is_gone_at_once_and_deleting_it_again_does_no_harm() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let (id, other) = (project(&client, "a").await, project(&client, "b").await);
    let done = generate(&client, &id).await;
    service.process(&done).complete().await;
    let proposal = proposal_of(&done);
    let reply = client.delete(&at(&id)).header("content-type", "application/json").send().await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!((reply.header("content-type"), reply.header("etag")), (None, None));
    let deleted_at = reply.header("x-event-position").expect("a write tells its position").to_owned();
    let before = service.events().await;
    for path in ["", "/data", "/timeline"] {
        let gone = client.get(&format!("{}{path}", at(&id))).send().await;
        gone.assert_problem(404, "PROJECT_NOT_FOUND");
        // Up to where there is nothing: without it, what is gone could not be told from what is not shown yet.
        assert_eq!(gone.header("x-event-position"), Some(&*deleted_at), "{path}");
    }
    let base = format!("/api/v1/ai/proposals/{id}/proposals");
    client.get(&base).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
    client.get(&format!("{base}/{proposal}")).send().await.assert_problem(404, "PROPOSAL_NOT_FOUND");
    client.get(&format!("{base}/{proposal}/ai-metadata")).send().await.assert_problem(404, "PROPOSAL_NOT_FOUND");
    client.delete(&at(&id)).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
    client.delete(&at(&id)).header("if-match", "\"1\"").send().await.assert_problem(404, "PROJECT_NOT_FOUND");
    change(&client, &id, &json!({"name": "c"})).await.assert_problem(404, "PROJECT_NOT_FOUND");
    ask(&client, &id).await.assert_problem(404, "PROJECT_NOT_FOUND");
    assert_eq!(service.events().await, before);
    assert_eq!(names(&read(&client, "/projects").await), ["b"]);
    assert_eq!(job(&client, &done).await["status"], "completed", "jobs are found for ever");
    read(&client, &format!("/projects/{other}")).await;
}

#[tokio::test]
async fn deleting_a_project_ends_its_queued_job_at_once() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "a").await;
    let queued = generate(&client, &id).await;
    assert_eq!(client.delete(&at(&id)).send().await.status, StatusCode::NO_CONTENT);
    let ended = job(&client, &queued).await;
    assert_eq!((&ended["status"], &ended["cancelled"]), (&json!("failed"), &json!(true)));
    assert_eq!((&ended["errorCode"], &ended["projectId"]), (&json!("CANCELLED"), &json!(id)));
    assert!(ended["finishedAt"].is_string());
    // Its place is free again: five more can be asked for.
    for name in ["b", "c", "d", "e", "f"] {
        generate(&client, &project(&client, name).await).await;
    }
}

#[tokio::test]
async fn deleting_a_project_asks_the_worker_to_end_its_running_job() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "a").await;
    let running = generate(&client, &id).await;
    let process = service.process(&running);
    process.work_up_to(Stage::Costs).await;
    assert_eq!(client.delete(&at(&id)).send().await.status, StatusCode::NO_CONTENT);
    let asked = job(&client, &running).await;
    assert_eq!(
        (&asked["status"], &asked["progress"], &asked["cancelled"]),
        (&json!("processing"), &json!(52), &json!(false))
    );
    process.confirm_cancellation().await;
    let ended = job(&client, &running).await;
    assert_eq!(
        (&ended["status"], &ended["progress"], &ended["cancelled"]),
        (&json!("failed"), &json!(52), &json!(true))
    );
    client.get(&at(&id)).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
}

#[tokio::test]
async fn deleting_and_generating_at_once_leave_no_job_behind() {
    let service = start().await;
    let second = service.another(Options::default()).await;
    let client = service.signed_up("ana").await;
    let there = client.clone().through(second.front.clone());
    for turn in 0..6 {
        let id = project(&client, "North plant").await;
        let (asked, deleted) = tokio::join!(ask(&client, &id), async { there.delete(&at(&id)).send().await });
        assert_eq!(deleted.status, StatusCode::NO_CONTENT, "turn {turn}: {}", deleted.text);
        match asked.status {
            StatusCode::ACCEPTED => {
                let ended = job(&client, &text(&asked.body["jobId"])).await;
                assert_eq!((&ended["status"], &ended["cancelled"]), (&json!("failed"), &json!(true)), "turn {turn}");
            }
            _ => asked.assert_problem(404, "PROJECT_NOT_FOUND"),
        }
        client.get(&at(&id)).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
    }
    assert_eq!(read(&client, "/ai/proposals/jobs?status=active").await["items"], json!([]));
}
