//! Reading what was written, through whichever instance.

use http::StatusCode;
use serde_json::json;
use std::time::Duration;

use super::{PATH, at, change, create, needed};
use crate::process::{generate, job, project, read, text};
use crate::support::{Options, start, start_with};

#[tokio::test]
async fn one_account_reads_its_own_writes_through_any_instance() {
    let first = start().await;
    let second = first.another(Options::default()).await;
    let here = first.signed_up("ana").await;
    let there = here.clone().through(second.front.clone());
    for turn in 0..10 {
        let (writer, reader) = if turn % 2 == 0 { (&here, &there) } else { (&there, &here) };
        let id = project(writer, &format!("plant {turn}")).await;
        assert_eq!(read(reader, &format!("/projects/{id}")).await["name"], format!("plant {turn}"));
        assert_eq!(read(reader, "/projects").await["total"], turn + 1);
        let body = json!({"notes": turn});
        let written = writer.patch(&format!("{PATH}/{id}/data")).json(&body).send().await;
        let data = reader.get(&format!("{PATH}/{id}/data")).send().await;
        assert_eq!((&data.body["data"], data.header("etag")), (&body, written.header("etag")));
        let job = generate(writer, &id).await;
        let polled = reader.get(&format!("/api/v1/ai/proposals/jobs/{job}")).send().await;
        assert_eq!((polled.status, &polled.body["status"]), (StatusCode::OK, &json!("queued")));
        assert_eq!(writer.delete(&at(&id)).send().await.status, StatusCode::NO_CONTENT);
        reader.get(&at(&id)).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
        let id = project(writer, &format!("plant {turn}")).await;
        read(reader, &format!("/projects/{id}/timeline")).await;
    }
}

#[tokio::test]
async fn a_read_says_up_to_where_it_includes_everything_and_may_be_asked_for_more() {
    let short = |config: &mut api::ApiConfig| config.wait_for_reads = Duration::from_millis(150);
    let service = start_with(Options { configure: short, ..Options::default() }).await;
    let client = service.signed_up("ana").await;
    let created = create(&client, &needed()).await;
    let id = text(&created.body["id"]);
    let written: u64 = created.header("x-event-position").unwrap().parse().unwrap();
    let job = generate(&client, &id).await;
    for path in [
        "/projects".to_owned(),
        "/projects/stats".to_owned(),
        format!("/projects/{id}"),
        format!("/projects/{id}/data"),
        format!("/projects/{id}/timeline"),
        format!("/ai/proposals/{id}/proposals"),
        "/ai/proposals/jobs".to_owned(),
    ] {
        let path = format!("/api/v1{path}");
        let reply = client.get(&path).header("x-min-position", &written.to_string()).send().await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text);
        let included: u64 = reply.header("x-event-position").unwrap().parse().unwrap();
        assert!(included >= written, "{path}: {included} is below {written}");
        let behind = client.get(&path).header("x-min-position", "9007199254740991").send().await;
        behind.assert_problem(503, "READ_MODEL_BEHIND");
        assert_eq!((behind.body["code"].as_str(), behind.header("retry-after")), (Some("HTTP_503"), Some("1")));
        for wrong in ["-1", "x", "9007199254740992"] {
            let reply = client.get(&path).header("x-min-position", wrong).send().await;
            reply.assert_problem(422, "VALIDATION_ERROR");
        }
    }
    let poll = client.get(&format!("/api/v1/ai/proposals/jobs/{job}")).header("x-min-position", "9007199254740991");
    assert_eq!(poll.send().await.status, StatusCode::OK, "a poll never waits and never fails for lag");
}

#[tokio::test]
async fn a_write_is_a_success_and_complete_although_the_read_models_stand_still() {
    let still = |config: &mut api::ApiConfig| config.wait_for_reads = Duration::from_millis(100);
    let service = start_with(Options { projections: false, configure: still, ..Options::default() }).await;
    let client = service.signed_up("ana").await;
    let created = create(&client, &needed()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = text(&created.body["id"]);
    assert_eq!(created.body["timeline"][0]["user"], "ana@example.com");
    let renamed = change(&client, &id, &json!({"name": "South plant"})).await;
    assert_eq!((renamed.status, &renamed.body["name"]), (StatusCode::OK, &json!("South plant")), "{}", renamed.text);
    let data = client.patch(&format!("{PATH}/{id}/data")).json(&json!({"notes": "a"})).send().await;
    assert_eq!((data.status, &data.body["data"]), (StatusCode::OK, &json!({"notes": "a"})), "{}", data.text);
    let job_id = generate(&client, &id).await;
    assert_eq!(job(&client, &job_id).await["status"], "queued");
    assert_eq!(client.delete(&at(&id)).send().await.status, StatusCode::NO_CONTENT);
    assert_eq!(job(&client, &job_id).await["status"], "failed");
    client.delete(&at(&id)).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
}
