//! The audit of streams and events.

use chrono::TimeDelta;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Client, PASSWORD, SOON, Service, start};

async fn id_of(client: &Client) -> String {
    client.get("/api/v1/auth/me").send().await.body["id"].as_str().unwrap().to_owned()
}

async fn give_role(service: &Service, account: &str, role: &str) {
    let pool = PgPool::connect(&service.database_url).await.unwrap();
    let done = sqlx::query("UPDATE identity.credentials SET roles = array['user', $2] WHERE account_id = $1::uuid")
        .bind(account)
        .bind(role)
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
}

#[tokio::test]
async fn the_events_of_ones_own_stream_are_chained_and_in_clear() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = id_of(&client).await;
    let page = client.get(&format!("/api/v1/audit/streams/account/{id}")).send().await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let items = page.body["items"].as_array().unwrap();
    let types: Vec<_> = items.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["account-registered", "session-started"]);
    let (first, second) = (&items[0], &items[1]);
    assert_eq!((&first["position"], &first["version"], &first["schemaVersion"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!((&first["streamType"], &first["streamId"]), (&json!("account"), &json!(id)));
    assert_eq!(first["actor"], json!({"kind": "account", "id": id}));
    assert_eq!(first["payload"]["email"], "ana@example.com");
    assert_eq!(second["previousHash"], first["hash"]);
    assert_eq!(first["previousHash"], "0".repeat(64));
    assert!(first["requestId"].is_string() && first["correlationId"] == first["requestId"]);
    assert_eq!(page.header("x-event-position"), Some("2"));
}

#[tokio::test]
async fn an_event_tells_in_which_course_and_trace_it_came_about() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let login =
        client.post("/api/v1/auth/jwt/login").json(&json!({"username": "ana@example.com", "password": PASSWORD}));
    let login = login.header("x-request-id", "r-9").header("x-correlation-id", "c-9").header("traceparent", trace);
    assert_eq!(login.send().await.status, StatusCode::OK);
    let page = client.get("/api/v1/audit/events?correlation_id=c-9").send().await;
    let items = page.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{}", page.text);
    assert_eq!((&items[0]["requestId"], &items[0]["correlationId"]), (&json!("r-9"), &json!("c-9")));
    assert!(service.stored_events().await.contains(trace));
}

#[tokio::test]
async fn pages_follow_each_other_in_either_order() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    for _ in 0..4 {
        assert_eq!(client.login("ana@example.com", PASSWORD).await.status, StatusCode::OK);
    }
    for (order, expected) in [("asc", vec![1, 2, 3, 4, 5, 6]), ("desc", vec![6, 5, 4, 3, 2, 1])] {
        let mut seen = vec![];
        let mut address = format!("/api/v1/audit/events?limit=2&order={order}");
        loop {
            let page = client.get(&address).send().await;
            assert_eq!(page.status, StatusCode::OK, "{}", page.text);
            seen.extend(page.body["items"].as_array().unwrap().iter().map(|event| event["position"].as_i64().unwrap()));
            let Some(link) = page.header("link") else { break };
            assert_eq!(page.header("x-next-cursor"), page.body["nextCursor"].as_str());
            address = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn somebody_elses_stream_looks_like_none() {
    let service = start().await;
    let (ana, ben) = (service.signed_up("ana").await, service.signed_up("ben").await);
    let id = id_of(&ana).await;
    let foreign = ben.get(&format!("/api/v1/audit/streams/account/{id}")).send().await;
    foreign.assert_problem(404, "STREAM_NOT_FOUND");
    ben.get(&format!("/api/v1/audit/streams/account/{id}?as_of=1"))
        .send()
        .await
        .assert_problem(404, "STREAM_NOT_FOUND");
    let narrowed = ben.get(&format!("/api/v1/audit/events?stream_id={id}")).send().await;
    assert_eq!((narrowed.status, &narrowed.body["items"]), (StatusCode::OK, &json!([])));
    let own = ben.get("/api/v1/audit/events").send().await;
    assert!(own.body["items"].as_array().unwrap().iter().all(|event| event["streamId"] != json!(id)));
}

#[tokio::test]
async fn auditors_see_everything_and_analysts_nothing() {
    let service = start().await;
    let (ana, ben) = (service.signed_up("ana").await, service.signed_up("ben").await);
    let (anas, bens) = (id_of(&ana).await, id_of(&ben).await);
    give_role(&service, &bens, "auditor").await;
    testkit::wait_until(SOON, async || {
        let reply = ben.get(&format!("/api/v1/audit/streams/account/{anas}")).send().await;
        (reply.status == StatusCode::OK).then_some(())
    })
    .await;
    let selected =
        format!("/api/v1/audit/events?actor_id={anas}&event_type=session-started,account-registered&to_position=1");
    let all = ben.get(&selected).send().await;
    assert_eq!(all.body["items"].as_array().unwrap().len(), 1);
    give_role(&service, &bens, "analyst").await;
    testkit::wait_until(SOON, async || {
        let reply = ben.get("/api/v1/audit/events").send().await;
        (reply.code() == "FORBIDDEN").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_selection_streams_as_lines_with_an_end() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let lines = client.get("/api/v1/audit/events").header("accept", "application/x-ndjson").send().await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["type"], "account-registered");
    assert_eq!(lines[2], json!({"end": true, "count": 2, "position": 2}));
}

#[tokio::test]
async fn the_state_is_shown_as_it_was() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = id_of(&client).await;
    let at = |as_of: &str| client.get(&format!("/api/v1/audit/streams/account/{id}?as_of={as_of}")).send();
    let (first, second) = (at("1").await, at("2").await);
    assert_eq!((&first.body["version"], &first.body["asOf"]), (&json!(1), &json!("1")));
    assert_eq!(first.body["state"]["sessions"], json!([]));
    assert_eq!(second.body["state"]["sessions"].as_array().unwrap().len(), 1);
    at("0").await.assert_problem(404, "STREAM_NOT_FOUND");
    let long_ago = "2001-01-01T00:00:00Z";
    at(long_ago).await.assert_problem(404, "STREAM_NOT_FOUND");
    let later = (service.app.clock().now() + TimeDelta::hours(1)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    assert_eq!(at(&later).await.body["version"], json!(2));
    at("yesterday").await.assert_problem(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn wrong_questions_are_named() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let bad = "/api/v1/audit/events?stream_type=x&stream_id=1&limit=501&order=up&cursor=x&from=now&from_position=-1&event_type=A";
    let reply = client.get(bad).send().await;
    reply.assert_problem(422, "VALIDATION_ERROR");
    let faults: std::collections::BTreeSet<_> = reply.faults().into_iter().collect();
    for (pointer, code) in [
        ("/query/stream_type", "not_in_enum"),
        ("/query/stream_id", "format"),
        ("/query/limit", "too_large"),
        ("/query/order", "not_in_enum"),
        ("/query/cursor", "unknown_cursor"),
        ("/query/from", "format"),
        ("/query/from_position", "too_small"),
        ("/query/event_type", "format"),
    ] {
        assert!(faults.contains(&(pointer.to_owned(), code.to_owned())), "{pointer} {code} is missing in {faults:?}");
    }
    client.get("/api/v1/audit/streams/account/nonsense").send().await.assert_problem(422, "VALIDATION_ERROR");
    client.get("/api/v1/audit/streams/nonsense/nonsense").send().await.assert_problem(422, "VALIDATION_ERROR");
}
