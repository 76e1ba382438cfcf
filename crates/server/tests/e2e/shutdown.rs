//! SIGTERM under load: what was acknowledged is there, what was begun ends, and nothing new is begun.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::StatusCode;
use rig::PATIENCE;
use rig::client::sign_up;
use rig::site::Site;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Clients that write until nobody answers any more.
const WRITERS: usize = 6;
/// Writes that were acknowledged before the signal, at least.
const BEFORE: i64 = 20;
/// Requests get 26 s to end, and what follows them a few more.
const ENDS_WITHIN: Duration = Duration::from_secs(35);

/// Somebody who opens projects one after the other. Answers what became of each, by its name.
async fn write(url: String, token: String, writer: usize) -> BTreeMap<String, Option<StatusCode>> {
    let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let mut outcomes = BTreeMap::new();
    for n in 0.. {
        let name = format!("writer-{writer}-{n}");
        let sent = open(&http, &url, &token, &name).await;
        let status = sent.as_ref().ok().map(|(status, _)| *status);
        outcomes.insert(name, status);
        if status != Some(StatusCode::CREATED) {
            break;
        }
    }
    outcomes
}

/// Opens a project under a key that is its name.
async fn open(http: &reqwest::Client, url: &str, token: &str, name: &str) -> reqwest::Result<(StatusCode, Value)> {
    let body = json!({"name": name, "client": "Dairy", "sector": "industrial", "location": "Guadalajara"});
    let request = http.post(format!("{url}/api/v1/projects")).bearer_auth(token).header("idempotency-key", name);
    let answer = request.header("content-type", "application/json").body(body.to_string()).send().await?;
    Ok((answer.status(), serde_json::from_slice(&answer.bytes().await?).unwrap_or_default()))
}

async fn named(site: &Site) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT payload ->> 'name', count(*) FROM es.events WHERE event_type = 'project-created' GROUP BY 1",
    )
    .fetch_all(&site.pool)
    .await
    .unwrap();
    rows.into_iter().collect()
}

#[tokio::test]
async fn a_server_that_is_asked_to_end_finishes_what_it_has_begun_and_begins_nothing_else() {
    let site = Site::new().await;
    let mut server = site.start().await;
    let ana = sign_up(&server).await;
    let (url, token) = (server.url.clone(), ana.client.token().unwrap().to_owned());
    let http = reqwest::Client::new();
    let (_, held) = open(&http, &url, &token, "held").await.unwrap();
    let id = held["id"].as_str().unwrap();

    // One command waits for a stream, and its caller has hung up.
    let mut connection = PgConnection::connect(site.setting("DATABASE_URL")).await.unwrap();
    let mut stream = connection.begin().await.unwrap();
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('project:' || $1, 0))";
    sqlx::query(lock).bind(id).execute(&mut *stream).await.unwrap();
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let mut caller = TcpStream::connect(&address).await.unwrap();
    let body = json!({"name": "renamed"}).to_string();
    let head = format!(
        "PATCH /api/v1/projects/{id} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    let waiters = "pg_locks WHERE locktype = 'advisory' AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    testkit::wait_until(PATIENCE, async || (site.count(waiters).await == 1).then_some(())).await;
    drop(caller);

    let writing: Vec<_> = (0..WRITERS).map(|n| tokio::spawn(write(url.clone(), token.clone(), n))).collect();
    let opened = "es.events WHERE event_type = 'project-created'";
    testkit::wait_until(PATIENCE, async || (site.count(opened).await > BEFORE).then_some(())).await;
    let asked = Instant::now();
    let (status, ()) = tokio::join!(server.stop(), async {
        testkit::wait_until(PATIENCE, async || TcpStream::connect(&address).await.err()).await;
        stream.rollback().await.unwrap();
    });
    let took = asked.elapsed();
    assert!(status.success(), "{status}:\n{}", server.log().join("\n"));
    assert!(took < ENDS_WITHIN, "it took {took:?}");

    let mut outcomes = BTreeMap::new();
    for writer in writing {
        outcomes.extend(writer.await.unwrap());
    }
    let found = named(&site).await;
    for (name, status) in &outcomes {
        let times = found.get(name).copied().unwrap_or_default();
        match status {
            Some(status) if status.is_success() => assert_eq!(times, 1, "{name} was acknowledged"),
            Some(status) => assert_eq!(times, 0, "{name} was refused with {status}"),
            // The answer was lost with its connection: there, or not, and never twice.
            None => assert!(times <= 1, "{name}: {times} times"),
        }
    }
    let renamed = "es.events WHERE event_type = 'project-details-changed'";
    assert_eq!(site.count(renamed).await, 1, "what was begun has ended");

    // Whoever is unsure asks again under the same key.
    let server = site.start().await;
    for name in outcomes.keys() {
        let (status, body) = open(&http, &server.url, &token, name).await.unwrap();
        assert_eq!((status, body["name"].as_str()), (StatusCode::CREATED, Some(name.as_str())));
    }
    let found = named(&site).await;
    assert!(outcomes.keys().all(|name| found.get(name) == Some(&1)), "{found:?}");
    drop(server);
    site.close().await;
}
