//! Many at once, streams that are busy, callers that go away, and what was refused for lack of time.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::process::{ask, project, read, text};
use crate::support::{Client, Options, PASSWORD, Reply, SOON, Service, start, start_with};

const PROJECTS: &str = "/api/v1/projects";
/// Waiting for a stream's lock, in this database.
const WAITERS: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

async fn superuser(service: &Service) -> PgConnection {
    PgConnection::connect(&service.database_url).await.unwrap()
}

/// Holds the stream of a project as a command of another instance would.
async fn hold<'c>(connection: &'c mut PgConnection, project: &str) -> Transaction<'c, Postgres> {
    let mut held = connection.begin().await.unwrap();
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('project:' || $1, 0))";
    sqlx::query(lock).bind(project).execute(&mut *held).await.unwrap();
    held
}

async fn somebody_waits(service: &Service) {
    testkit::wait_until(SOON, async || {
        let waiting: i64 = sqlx::query_scalar(WAITERS).fetch_one(&mut superuser(service).await).await.unwrap();
        (waiting > 0).then_some(())
    })
    .await;
}

fn rename(client: &Client, id: &str, name: &str) -> tokio::task::JoinHandle<Reply> {
    let sending = client.patch(&format!("{PROJECTS}/{id}")).json(&json!({"name": name}));
    tokio::spawn(sending.send())
}

/// A service whose commands may start until a second after the request, and which tells after six that it took too long.
async fn hurried() -> Service {
    start_with(Options { configure: |config| config.request_timeout = Duration::from_secs(6), ..Options::default() })
        .await
}

#[tokio::test]
async fn a_stream_that_is_not_had_in_time_is_a_conflict_that_tells_the_tag_and_stores_nothing() {
    let service = hurried().await;
    let ana = service.signed_up("ana").await;
    let id = project(&ana, "North plant").await;
    let tag = ana.get(&format!("{PROJECTS}/{id}")).send().await.header("etag").unwrap().to_owned();
    let mut connection = superuser(&service).await;
    let held = hold(&mut connection, &id).await;
    let before = service.events().await;
    let refused = rename(&ana, &id, "South plant").await.unwrap();
    refused.assert_problem(409, "CONCURRENT_WRITE");
    assert_eq!(refused.body["details"], json!({"currentEtag": tag}));
    held.rollback().await.unwrap();
    service.app.store().drain().await;
    assert_eq!(service.events().await, before);
    assert_eq!(rename(&ana, &id, "South plant").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn nothing_is_written_after_the_caller_was_told_that_it_failed() {
    let service = hurried().await;
    let ana = service.signed_up("ana").await;
    let id = project(&ana, "North plant").await;
    let before = service.events().await;
    // The first waits in the one statement of its append, the second in its transaction after the append.
    let mut connection = superuser(&service).await;
    for table in ["es.events", "es.claims"] {
        let mut held = connection.begin().await.unwrap();
        sqlx::query(&format!("LOCK TABLE {table} IN EXCLUSIVE MODE")).execute(&mut *held).await.unwrap();
        let sent = match table {
            "es.events" => rename(&ana, &id, "South plant"),
            _ => tokio::spawn({
                let (ana, id) = (ana.clone(), id.clone());
                async move { ask(&ana, &id).await }
            }),
        };
        somebody_waits(&service).await;
        let reply = sent.await.unwrap();
        assert!(reply.status.is_server_error(), "{table}: {} {}", reply.status, reply.text);
        let still: i64 = sqlx::query_scalar(WAITERS).fetch_one(&mut *held).await.unwrap();
        held.rollback().await.unwrap();
        service.app.store().drain().await;
        assert_eq!(service.events().await, before, "{table}: written after {}", reply.status);
        assert_eq!(still, 0, "{table}: what was told to have failed goes on");
    }
    assert_eq!(rename(&ana, &id, "South plant").await.unwrap().status, StatusCode::OK);
    assert_eq!(ask(&ana, &id).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn too_many_commands_at_once_are_refused_before_anything_is_done() {
    let service = start_with(Options { command_permits: 1, ..Options::default() }).await;
    let ana = service.signed_up("ana").await;
    let (id, other) = (project(&ana, "North plant").await, project(&ana, "East plant").await);
    let mut connection = superuser(&service).await;
    let held = hold(&mut connection, &id).await;
    let waiting = rename(&ana, &id, "South plant");
    somebody_waits(&service).await;
    let before = service.events().await;
    let refused = rename(&ana, &other, "West plant").await.unwrap();
    refused.assert_problem(503, "SERVICE_UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(service.events().await, before);
    held.rollback().await.unwrap();
    assert_eq!(waiting.await.unwrap().status, StatusCode::OK);
    assert_eq!(read(&ana, &format!("/projects/{other}")).await["name"], "East plant");
    assert_eq!(rename(&ana, &other, "West plant").await.unwrap().status, StatusCode::OK);
}

async fn listen(service: &Service) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api::serve(listener, service.front.clone(), stop.clone(), Duration::from_secs(20)));
    (address, stop, serving)
}

/// Sends a request on a connection of its own, which is not read from.
async fn send_on_the_wire(address: std::net::SocketAddr, head: &str, body: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{head}\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

#[tokio::test]
async fn a_command_goes_on_when_its_caller_hangs_up() {
    let service = start().await;
    let ana = service.signed_up("ana").await;
    let id = project(&ana, "North plant").await;
    let (address, _stop, _serving) = listen(&service).await;
    let mut connection = superuser(&service).await;
    let held = hold(&mut connection, &id).await;
    let head = format!(
        "PATCH {PROJECTS}/{id} HTTP/1.1\r\nAuthorization: Bearer {}\r\nIdempotency-Key: k",
        ana.bearer.as_deref().unwrap()
    );
    let body = json!({"name": "South plant"}).to_string();
    let caller = send_on_the_wire(address, &head, &body).await;
    somebody_waits(&service).await;
    drop(caller);
    held.rollback().await.unwrap();
    testkit::wait_until(SOON, async || {
        (read(&ana, &format!("/projects/{id}")).await["name"] == "South plant").then_some(())
    })
    .await;
    // Whoever hung up gets its answer after all.
    let again = ana.patch(&format!("{PROJECTS}/{id}")).header("idempotency-key", "k");
    let again = again.header("content-type", "application/json").body(body).send().await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::OK, Some("true")), "{}", again.text);
}

#[tokio::test]
async fn the_end_of_the_service_waits_for_what_no_answer_waited_for() {
    let service = start().await;
    service.signed_up("ana").await;
    let (address, stop, serving) = listen(&service).await;
    let mut connection = superuser(&service).await;
    // The refusal is told at once; its record waits for the table.
    let mut held = connection.begin().await.unwrap();
    sqlx::query("LOCK TABLE es.events IN EXCLUSIVE MODE").execute(&mut *held).await.unwrap();
    let refused = service.client().login("ana@example.com", "wrong-password-1").await;
    refused.assert_problem(400, "LOGIN_BAD_CREDENTIALS");
    somebody_waits(&service).await;
    stop.cancel();
    testkit::wait_until(SOON, async || TcpStream::connect(address).await.err()).await;
    assert!(!serving.is_finished());
    held.rollback().await.unwrap();
    tokio::time::timeout(SOON, serving).await.unwrap().unwrap();
    assert!(service.stored_events().await.contains("sign-in-refused"));
    assert_eq!(service.client().login("ana@example.com", PASSWORD).await.status, StatusCode::OK);
}

/// People at one project at the same time, on two instances; each types, and sends one large part.
const EDITORS: usize = 5;
const EDITS: usize = 12;
const LARGE: usize = 40 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_large_sheets_and_a_generation_at_once_lose_nothing_and_refuse_nothing() {
    let one = start().await;
    let other = one.another(Options::default()).await;
    let ana = one.signed_up("ana").await;
    let clients = [ana.clone(), ana.clone().through(other.front.clone())];
    let id = project(&ana, "North plant").await;
    let data = format!("{PROJECTS}/{id}/data");

    // Each types into a key of its own, and each sends a large part of its own once.
    let typing = (0..EDITORS).map(|editor| {
        let (client, data) = (clients[editor % 2].clone(), data.clone());
        tokio::spawn(async move {
            for n in 1..=EDITS {
                let reply = client.patch(&data).json(&json!({format!("typed-{editor}"): n.to_string()})).send().await;
                assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
                assert_eq!(reply.body["data"][format!("typed-{editor}")], n.to_string(), "an answer shows its write");
            }
        })
    });
    let large = (0..EDITORS).map(|n| {
        let (client, data) = (clients[n % 2].clone(), data.clone());
        let body = json!({format!("large-{n}"): "x".repeat(LARGE)});
        tokio::spawn(async move {
            let reply = client.patch(&data).json(&body).send().await;
            assert_eq!(reply.status, StatusCode::OK, "{}", &reply.text[..reply.text.len().min(300)]);
        })
    });
    let renaming = (0..EDITORS).map(|n| {
        let (client, at) = (clients[n % 2].clone(), format!("{PROJECTS}/{id}"));
        tokio::spawn(async move {
            let reply = client.patch(&at).json(&json!({"budget": n + 1})).send().await;
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        })
    });
    let generating = tokio::spawn({
        let (client, id) = (ana.clone(), id.clone());
        async move {
            let reply = ask(&client, &id).await;
            assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
            text(&reply.body["jobId"])
        }
    });
    let all: Vec<_> = typing.chain(large).chain(renaming).collect();
    let job = generating.await.unwrap();
    one.process(&job).complete().await;
    for done in join_all(all).await {
        done.unwrap();
    }

    let found = read(&ana, &format!("/projects/{id}/data")).await["data"].clone();
    for editor in 0..EDITORS {
        assert_eq!(found[format!("typed-{editor}")], EDITS.to_string());
        assert_eq!(found[format!("large-{editor}")].as_str().map(str::len), Some(LARGE));
    }
    let shown = read(&ana, &format!("/projects/{id}")).await;
    assert_eq!((&shown["proposalsCount"], &shown["status"]), (&json!(1), &json!("Proposal Ready")));
    let changes = one.stored_events().await.lines().filter(|line| line.starts_with("project-data-changed")).count();
    assert_eq!(changes, EDITORS * EDITS + EDITORS, "each write is one event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_documents_that_are_written_at_once_leave_one_of_them_and_refuse_none() {
    let service = start().await;
    let ana = service.signed_up("ana").await;
    let data = format!("{PROJECTS}/{}/data", project(&ana, "North plant").await);
    let documents: Vec<Value> = (0..EDITORS).map(|n| json!({"who": n, "filler": "x".repeat(LARGE)})).collect();
    let sent = documents.iter().map(|document| ana.put(&data).json(document).send());
    for reply in join_all(sent).await {
        assert_eq!(reply.status, StatusCode::OK, "{}", &reply.text[..reply.text.len().min(300)]);
        assert!(documents.contains(&reply.body["data"]));
    }
    let left = ana.get(&data).send().await.body["data"].clone();
    assert!(documents.contains(&left), "a mixture of several");
}
