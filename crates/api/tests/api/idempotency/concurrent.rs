//! The same request several times at once.

use std::collections::BTreeMap;

use futures::future::join_all;
use http::StatusCode;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use super::{GENERATE, PROJECTS, keyed, needed, registration};
use crate::process::project;
use crate::support::{Options, Reply, SOON, Sending, start};

const DUPLICATES: usize = 100;

/// Each got the one answer, or heard that somebody is at it. Returns the answer.
#[track_caller]
fn one_answer(replies: &[Reply], status: StatusCode) -> &Reply {
    let first = replies.iter().find(|reply| reply.status == status && reply.header("idempotency-replayed").is_none());
    let first = first.unwrap_or_else(|| panic!("nobody was first: {}", replies[0].text));
    let mut outcomes = BTreeMap::new();
    for reply in replies {
        if reply.status == status {
            assert_eq!(reply.text, first.text);
            *outcomes.entry(reply.header("idempotency-replayed").is_some()).or_insert(0) += 1;
        } else {
            reply.assert_problem(409, "IDEMPOTENCY_IN_PROGRESS");
            assert_eq!(reply.header("retry-after"), Some("1"));
        }
    }
    assert_eq!(outcomes.get(&false), Some(&1), "the request was carried out more than once");
    first
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_duplicates_on_two_instances_have_one_effect_and_one_answer() {
    let one = start().await;
    let other = one.another(Options::default()).await;
    let ana = one.signed_up("ana").await;
    let clients = [ana.clone(), ana.clone().through(other.front.clone())];
    let all_at_once =
        async |key: &str, send: &dyn Fn(usize) -> Sending| join_all((0..DUPLICATES).map(|n| keyed(send(n), key))).await;

    let events = one.events().await;
    let replies = all_at_once("k", &|n| clients[n % 2].post(PROJECTS).json(&needed())).await;
    let created = one_answer(&replies, StatusCode::CREATED).clone();
    assert_eq!(one.events().await, events + 1);
    let at = created.header("location").unwrap();

    let replies = all_at_once("k", &|n| clients[n % 2].patch(at).json(&json!({"name": "South plant"}))).await;
    one_answer(&replies, StatusCode::OK);
    assert_eq!(one.events().await, events + 2);

    let body = json!({"project_id": created.body["id"], "proposal_type": "Technical"});
    let replies = all_at_once("k", &|n| clients[n % 2].post(GENERATE).json(&body)).await;
    assert_eq!(one_answer(&replies, StatusCode::ACCEPTED).body["reused"], false);
    let accepted = one.events().await;

    let replies = all_at_once("nothing", &|n| clients[n % 2].patch(at).json(&json!({}))).await;
    one_answer(&replies, StatusCode::OK);
    assert_eq!(one.events().await, accepted);

    // A refusal is one answer, too: only one of them was the first.
    let unknown = format!("{PROJECTS}/0198a3f4-1b22-7d0c-8f10-2a6b7c8d9e01");
    let replies = all_at_once("k", &|n| clients[n % 2].delete(&unknown)).await;
    one_answer(&replies, StatusCode::NOT_FOUND);
    assert_eq!(one.events().await, accepted);

    let replies = all_at_once("k", &|n| clients[n % 2].delete(at)).await;
    one_answer(&replies, StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_of_a_registration_make_one_account() {
    let one = start().await;
    let other = one.another(Options::default()).await;
    let clients = [one.client(), other.client()];
    let send =
        |n: usize| keyed(clients[n % 2].post("/api/v1/auth/register").json(&registration("ana@example.com")), "k");
    let replies = join_all((0..8).map(send)).await;
    one_answer(&replies, StatusCode::CREATED);
    assert_eq!(one.events().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_repeats_a_request_that_is_under_way_hears_so_at_once() {
    let service = start().await;
    let other = service.another(Options::default()).await;
    let ana = service.signed_up("ana").await;
    let id = project(&ana, "North plant").await;
    let at = format!("{PROJECTS}/{id}");
    let mut holder = PgConnection::connect(&service.database_url).await.unwrap();
    let mut stream = holder.begin().await.unwrap();
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('project:' || $1, 0))";
    sqlx::query(lock).bind(&id).execute(&mut *stream).await.unwrap();
    let rename = |client: &crate::support::Client| {
        let sending = client.patch(&at).json(&json!({"name": "South plant"}));
        tokio::spawn(async move { keyed(sending, "k").await })
    };
    let first = rename(&ana);
    let waiters = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    testkit::wait_until(SOON, async || {
        let mut connection = PgConnection::connect(&service.database_url).await.unwrap();
        let waiting: i64 = sqlx::query_scalar(waiters).fetch_one(&mut connection).await.unwrap();
        (waiting == 1).then_some(())
    })
    .await;
    let again = rename(&ana).await.unwrap();
    again.assert_problem(409, "IDEMPOTENCY_IN_PROGRESS");
    // Another instance waits for the stream as well, and then finds the answer.
    let elsewhere = rename(&ana.clone().through(other.front.clone()));
    stream.rollback().await.unwrap();
    let (first, elsewhere) = (first.await.unwrap(), elsewhere.await.unwrap());
    one_answer(&[first, elsewhere], StatusCode::OK);
    let repeated = rename(&ana).await.unwrap();
    assert_eq!((repeated.status, repeated.header("idempotency-replayed")), (StatusCode::OK, Some("true")));
}
