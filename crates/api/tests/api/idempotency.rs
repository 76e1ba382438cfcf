//! Requests that are repeated under the same idempotency key.

mod concurrent;
mod refusals;

use http::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::process::{generate, project, proposal_of, text};
use crate::support::{Client, Options, PASSWORD, Reply, SOON, Sending, Service, start, start_with};

const PROJECTS: &str = "/api/v1/projects";
const GENERATE: &str = "/api/v1/ai/proposals/generate";

/// Headers that belong to an answer itself, and so to its repetition.
const KEPT: [&str; 6] = ["content-type", "location", "etag", "x-event-position", "cache-control", "retry-after"];

async fn keyed(sending: Sending, key: &str) -> Reply {
    sending.header("idempotency-key", key).send().await
}

fn registration(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "first_name": "Ana", "last_name": "Torres"})
}

fn needed() -> Value {
    json!({"name": "North plant", "client": "Dairy of the Valley", "sector": "industrial", "location": "Guadalajara"})
}

/// The answers kept with a key.
async fn kept(service: &Service) -> i64 {
    let mut connection = PgConnection::connect(&service.database_url).await.unwrap();
    let count = "SELECT count(*) FROM es.command_receipts WHERE request_hash IS NOT NULL AND answer IS NOT NULL";
    sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap()
}

#[track_caller]
fn assert_again(first: &Reply, again: &Reply) {
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    for name in KEPT {
        assert_eq!(again.header(name), first.header(name), "{name} of {}", first.text);
    }
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
}

/// Sends it under a key of its own: once, and, after `meanwhile`, once more. Answers what came back first.
async fn repeated(service: &Service, sending: impl Fn() -> Sending, status: StatusCode, key: &str) -> Reply {
    let first = keyed(sending(), key).await;
    assert_eq!(first.status, status, "{}", first.text);
    let events = service.events().await;
    assert_again(&first, &keyed(sending(), &format!("\"{key}\"")).await);
    assert_eq!(service.events().await, events, "a repetition has no effect");
    first
}

#[tokio::test]
async fn every_write_gives_its_first_answer_again_and_has_its_effect_once() {
    let service = start().await;
    let open = service.client();
    let register = || open.post("/api/v1/auth/register").json(&registration("ana@example.com"));
    repeated(&service, register, StatusCode::CREATED, "k").await;
    let mut ana = service.client();
    let login = ana.login("ana@example.com", PASSWORD).await;
    ana.bearer = Some(text(&login.body["access_token"]));

    let created = repeated(&service, || ana.post(PROJECTS).json(&needed()), StatusCode::CREATED, "k").await;
    let id = text(&created.body["id"]);
    let (at, data) = (format!("{PROJECTS}/{id}"), format!("{PROJECTS}/{id}/data"));
    let rename = || ana.patch(&at).json(&json!({"name": "South plant", "status": "On Hold"}));
    let renamed = repeated(&service, rename, StatusCode::OK, "k").await;
    assert_eq!(renamed.header("etag"), ana.get(&at).send().await.header("etag"), "as a read has it");
    let merge = || ana.patch(&data).json(&json!({"notes": "Whey", "b": 1, "a": [2.50, {"z": null}]}));
    let merged = repeated(&service, merge, StatusCode::OK, "k").await;
    assert_eq!(merged.header("etag"), ana.get(&data).send().await.header("etag"));
    let put = || ana.put(&data).json(&json!({"notes": "Permeate"}));
    let replaced = repeated(&service, put, StatusCode::OK, "k").await;
    let body = json!({"project_id": id, "proposal_type": "Technical"});
    let asked = repeated(&service, || ana.post(GENERATE).json(&body), StatusCode::ACCEPTED, "k").await;
    let cancel = format!("/api/v1/ai/proposals/jobs/{}/cancel", text(&asked.body["jobId"]));
    repeated(&service, || ana.post(&cancel), StatusCode::ACCEPTED, "k").await;
    let job = generate(&ana, &id).await;
    service.process(&job).complete().await;
    let proposal = format!("/api/v1/ai/proposals/{id}/proposals/{}", proposal_of(&job));
    repeated(&service, || ana.delete(&proposal), StatusCode::NO_CONTENT, "k").await;
    let deleted = repeated(&service, || ana.delete(&at), StatusCode::NO_CONTENT, "k").await;
    assert_eq!((deleted.header("content-type"), deleted.text.as_str()), (None, ""));

    // The project is gone. What was told about it is told again.
    let events = service.events().await;
    assert_again(&created, &keyed(ana.post(PROJECTS).json(&needed()), "k").await);
    assert_again(&renamed, &keyed(rename(), "k").await);
    assert_again(&merged, &keyed(merge(), "k").await);
    assert_again(&replaced, &keyed(put(), "k").await);
    assert_again(&asked, &keyed(ana.post(GENERATE).json(&body), "k").await);
    assert_eq!(service.events().await, events);
}

#[tokio::test]
async fn a_write_that_changes_nothing_is_kept_as_well() {
    let service = start().await;
    let ana = service.signed_up("ana").await;
    let at = format!("{PROJECTS}/{}", project(&ana, "North plant").await);
    let same = || ana.patch(&at).json(&json!({"name": "North plant"}));
    let unchanged = repeated(&service, same, StatusCode::OK, "k").await;
    let renamed = ana.patch(&at).json(&json!({"name": "South plant"})).send().await;
    assert_ne!(renamed.header("etag"), unchanged.header("etag"));
    let events = service.events().await;
    assert_again(&unchanged, &keyed(same(), "k").await);
    assert_eq!(service.events().await, events, "decided anew it would rename the project back");
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let service = start().await;
    let ana = service.signed_up("ana").await;
    let at = format!("{PROJECTS}/{}", project(&ana, "North plant").await);
    let data = format!("{at}/data");
    let whole = format!("{data}?merge=false");
    keyed(ana.patch(&data).json(&json!({"notes": "a"})), "k").await;
    keyed(ana.delete(&at).header("if-match", "\"99\""), "d").await.assert_problem(412, "PRECONDITION_FAILED");
    let events = service.events().await;
    for other in [
        ana.patch(&data).json(&json!({"notes": "b"})),
        // The same value in other bytes.
        ana.patch(&data).body(r#"{ "notes": "a" }"#),
        ana.patch(&whole).json(&json!({"notes": "a"})),
        // Wrong values are not looked at before the key.
        ana.patch(&data).json(&json!([])),
    ] {
        keyed(other, "k").await.assert_problem(422, "IDEMPOTENCY_KEY_REUSED");
    }
    // A body counts also where nobody looks at it.
    keyed(ana.delete(&at).json(&json!({})), "d").await.assert_problem(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(service.events().await, events);
}

#[tokio::test]
async fn a_key_belongs_to_whoever_sends_it_and_to_a_method_and_a_path() {
    let service = start().await;
    let (ana, ben) = (service.signed_up("ana").await, service.signed_up("ben").await);
    let first = keyed(ana.post(PROJECTS).json(&needed()), "k").await;
    let theirs = keyed(ben.post(PROJECTS).json(&needed()), "k").await;
    assert_eq!((theirs.status, theirs.header("idempotency-replayed")), (StatusCode::CREATED, None));
    assert_ne!(theirs.body["id"], first.body["id"]);
    let data = format!("{PROJECTS}/{}/data", text(&first.body["id"]));
    for sending in [ana.patch(&data).json(&needed()), ana.put(&data).json(&needed())] {
        let reply = keyed(sending, "k").await;
        assert_eq!((reply.status, reply.header("idempotency-replayed")), (StatusCode::OK, None), "{}", reply.text);
    }
    let slash = keyed(ana.post(&format!("{PROJECTS}/")).json(&needed()), "k").await;
    assert_again(&first, &slash);

    // Somebody who is not signed in is known by the address.
    let (here, mut there) = (service.client(), service.client());
    there.peer = "198.51.100.7".parse().unwrap();
    let register =
        |client: &Client, email: &str| keyed(client.post("/api/v1/auth/register").json(&registration(email)), "k");
    assert_eq!(register(&here, "eve@example.com").await.status, StatusCode::CREATED);
    assert_eq!(register(&there, "fay@example.com").await.status, StatusCode::CREATED);
    register(&here, "fay@example.com").await.assert_problem(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn reads_and_whatever_answers_with_secrets_ignore_the_key() {
    let service = start().await;
    let ana = service.signed_up("ana").await;
    let wrong = "k".repeat(256);
    keyed(ana.post(PROJECTS).json(&needed()), &wrong).await.assert_problem(400, "IDEMPOTENCY_KEY_INVALID");
    assert_eq!(keyed(ana.get(PROJECTS), &wrong).await.status, StatusCode::OK);
    let sign_in = json!({"username": "ana@example.com", "password": PASSWORD});
    let login = async |key: &str| keyed(service.client().post("/api/v1/auth/jwt/login").json(&sign_in), key).await;
    let (one, other) = (login("k").await, login("k").await);
    assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK));
    assert_ne!(one.body["access_token"], other.body["access_token"]);
    assert_eq!(other.header("idempotency-replayed"), None);
    for _ in 0..2 {
        let reply = keyed(ana.post("/api/v1/auth/jwt/logout").json(&json!([])), &wrong).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text);
    }
    assert_eq!(kept(&service).await, 0);
}

#[tokio::test]
async fn what_is_kept_is_sealed_and_goes_with_the_accounts_key() {
    let service = start().await;
    let ana = service.signed_up("ana").await;
    let created = keyed(ana.post(PROJECTS).json(&needed()), "k").await;
    assert_eq!(created.status, StatusCode::CREATED);
    let mut connection = PgConnection::connect(&service.database_url).await.unwrap();
    let all = "SELECT string_agg(outcome::text || encode(answer, 'escape'), ' ') FROM es.command_receipts";
    let stored: String = sqlx::query_scalar(all).fetch_one(&mut connection).await.unwrap();
    for word in ["Dairy", "North plant", "ana@example.com", "status"] {
        assert!(!stored.contains(word), "{word} is readable");
    }
    let account = service.account(&ana).await;
    service.app.store().destroy_key(account).await.unwrap();
    assert_eq!(kept(&service).await, 0);
}

#[tokio::test]
async fn a_repetition_adds_the_positions_that_the_first_answer_did_not_know() {
    let service = start_with(Options {
        configure: |config| config.wait_for_reads = std::time::Duration::from_millis(50),
        ..Options::default()
    })
    .await;
    let ana = service.signed_up("ana").await;
    let mut holder = PgConnection::connect(&service.database_url).await.unwrap();
    let mut head = holder.begin().await.unwrap();
    sqlx::query("SELECT FROM es.store FOR UPDATE").execute(&mut *head).await.unwrap();
    let create = || keyed(ana.post(PROJECTS).json(&needed()), "k");
    let first = create().await;
    assert_eq!((first.status, first.header("etag")), (StatusCode::CREATED, Some("\"1\"")), "{}", first.text);
    assert_eq!(first.header("x-event-position"), None);
    let early = create().await;
    assert_eq!((early.header("etag"), early.header("x-event-position")), (Some("\"1\""), None));
    head.rollback().await.unwrap();
    let (at, position) = testkit::wait_until(SOON, async || {
        let again = create().await;
        assert_eq!((&again.text, again.header("idempotency-replayed")), (&first.text, Some("true")));
        let position = again.header("x-event-position")?.to_owned();
        let place = again.header("location").unwrap().to_owned();
        assert_eq!(again.header("etag"), Some(format!("\"1-{position}\"").as_str()));
        Some((place, position))
    })
    .await;
    let read = testkit::wait_until(SOON, async || {
        let read = ana.get(&at).send().await;
        (read.status == StatusCode::OK).then_some(read)
    });
    assert_eq!(read.await.header("etag"), Some(format!("\"1-{position}\"").as_str()), "as a read has it");
}

#[tokio::test]
async fn a_key_is_free_again_when_its_receipt_is_no_longer_kept() {
    let service = start().await;
    let ana = service.signed_up("ana").await;
    let create = || keyed(ana.post(PROJECTS).json(&needed()), "k");
    let first = create().await;
    let day = std::time::Duration::from_secs(86_400);
    assert_eq!(service.app.store().forget_receipts(day, 1_000).await.unwrap(), 0);
    assert_again(&first, &create().await);
    let mut connection = PgConnection::connect(&service.database_url).await.unwrap();
    let age = "UPDATE es.command_receipts SET recorded_at = recorded_at - interval '25 hours'";
    sqlx::query(age).execute(&mut connection).await.unwrap();
    assert!(service.app.store().forget_receipts(day, 1_000).await.unwrap() > 0);
    let second = create().await;
    assert_eq!((second.status, second.header("idempotency-replayed")), (StatusCode::CREATED, None), "{}", second.text);
    assert_ne!(second.body["id"], first.body["id"]);
}
