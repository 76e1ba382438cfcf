//! Backups: a fresh one goes on where it was, an older one is noticed and goes on in a new epoch when it is accepted.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use domain::{AccountId, Clock};
use eventstore::{ErasureList, MasterKey, PublicKey, Store};
use reqwest::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor as _, PgPool};
use testkit::TestDatabase;
use tokio_util::sync::CancellationToken;

use rig::PATIENCE;
use rig::backup::Backup;
use rig::chain::{export, follow};
use rig::client::{Client, Person, sign_up};
use rig::cluster::{Cluster, Disk};
use rig::jobs::{completed, generate, job_id, project};
use rig::nats::PrivateNats;
use rig::server::Server;
use rig::sheets::{blank, dairy};
use rig::site::Site;

/// A database that a backup was restored into, and which the site's servers use from then on.
struct Restored {
    database: TestDatabase,
    pool: PgPool,
}

impl Restored {
    async fn from(backup: &Backup, site: &mut Site) -> Self {
        let database = testkit::empty_database().await;
        backup.restore(&database.url).await;
        site.set("DATABASE_URL", database.url.clone());
        let pool = PgPoolOptions::new().max_connections(2).connect_lazy(&database.url).unwrap();
        Self { database, pool }
    }

    async fn head(&self) -> u64 {
        head(&self.pool).await
    }

    async fn close(self) {
        self.pool.close().await;
        self.database.close().await;
    }
}

/// Restores a backup into a cluster in which nobody knows of us, by the commands of docs/restore.md.
async fn fresh_cluster(cluster: &Cluster, backup: &Backup, site: &mut Site) -> PgPool {
    let url = cluster.create_database("allegiant").await;
    let pool = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
    for role in ["CREATE ROLE allegiant_owner NOLOGIN", "CREATE ROLE allegiant_server NOLOGIN"] {
        pool.execute(role).await.unwrap();
    }
    backup.restore(&url).await;
    site.set("DATABASE_URL", url);
    let migrated = site.run(&["migrate"]).await;
    assert!(migrated.status.success(), "{}", said(&migrated));
    pool
}

/// The ledger's last position, once every event has one.
async fn head(pool: &PgPool) -> u64 {
    testkit::wait_until(PATIENCE, async || {
        let (pending, head): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM es.event_pending), (SELECT coalesce(max(position), 0) FROM es.ledger)",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        (pending == 0).then_some(head.unsigned_abs())
    })
    .await
}

/// Waits until the stream of an epoch is at this position.
async fn published(store: &str, epoch: u32, position: u64) {
    let jetstream = async_nats::jetstream::new(testkit::nats().await);
    testkit::wait_until(PATIENCE, async || {
        let mut stream = jetstream.get_stream(format!("{store}-{epoch}")).await.ok()?;
        (stream.info().await.ok()?.state.last_sequence == position).then_some(())
    })
    .await;
}

/// The names on the bus begin so.
async fn store_on_the_bus(site: &Site) -> String {
    site.bus_name().await.strip_suffix("-1").expect("the first epoch").to_owned()
}

/// Removes what the test left on the shared bus, then the databases.
async fn close(site: Site, restored: Restored, store: &str, epochs: u32) {
    let jetstream = async_nats::jetstream::new(testkit::nats().await);
    for epoch in 1..=epochs {
        // Not every one was published in.
        let _ = jetstream.delete_stream(format!("{store}-{epoch}")).await;
    }
    restored.close().await;
    site.close().await;
}

/// The same person, signed in at another server.
async fn again(person: &Person, server: &Server) -> (Client, String) {
    let client = Client::of(server);
    let session = client.sign_in(&person.email, &person.password).await.ok(200);
    let token = session["access_token"].as_str().unwrap().to_owned();
    (client.with_token(&token), token)
}

fn said(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A request with one header of its own.
async fn with_header(
    server: &Server,
    token: &str,
    (method, path): (Method, &str),
    (name, value): (reqwest::header::HeaderName, &str),
    body: Value,
) -> StatusCode {
    let request = reqwest::Client::new().request(method, format!("{}/api/v1{path}", server.url));
    let request = request.bearer_auth(token).header(name, value).timeout(PATIENCE);
    let request = if body.is_null() { request } else { request.json(&body) };
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_backup_taken_while_writing_goes_on_verifies_and_goes_on_without_a_second_effect() {
    let mut site = Site::new().await;
    let store = store_on_the_bus(&site).await;
    let mut server = site.start().await;
    let ana = sign_up(&server).await;
    let made = project(&ana.client, &dairy()).await;
    let job = generate(&ana.client, &made, "Technical").await;
    completed(&ana.client, job_id(&job)).await;

    // Writing goes on while the first dump is made: a drill elsewhere, with a bus of its own.
    let dumped = CancellationToken::new();
    let writing = tokio::spawn({
        let (client, dumped) = (ana.client.clone(), dumped.clone());
        async move {
            let mut writes = 0;
            while !dumped.is_cancelled() {
                let named = json!({"name": format!("North plant {writes}")});
                client.patch(&format!("/projects/{made}"), &named).await.ok(200);
                writes += 1;
            }
            writes
        }
    });
    let before = head(&site.pool).await;
    let drill = Backup::of(site.setting("DATABASE_URL")).await;
    dumped.cancel();
    assert!(0 < writing.await.unwrap());
    assert!(before < head(&site.pool).await, "somebody wrote while the dump was made");
    let last = head(&site.pool).await;
    published(&store, 1, last).await;
    assert!(server.stop().await.success());
    let whole = Backup::of(site.setting("DATABASE_URL")).await;

    // The drill's bus is empty: nothing is known of a newer state, and the store goes on from its own head.
    if let Some(nats) = PrivateNats::start().await {
        let shared = site.setting("NATS_URL").to_owned();
        site.set("NATS_URL", nats.url());
        let cluster = Cluster::start(Disk::DoesNotWait).await;
        let pool = fresh_cluster(&cluster, &drill, &mut site).await;
        let mut server = site.start().await;
        let (client, _) = again(&ana, &server).await;
        project(&client, &blank()).await;
        let head = head(&pool).await;
        assert_eq!(follow(&export(&site).await), Ok(head));
        assert!(server.stop().await.success());
        pool.close().await;
        site.set("NATS_URL", shared);
    }

    // The whole one goes on with the same bus, whose consumer gets everything once more.
    let restored = Restored::from(&whole, &mut site).await;
    let jetstream = async_nats::jetstream::new(testkit::nats().await);
    let stream = jetstream.get_stream(format!("{store}-1")).await.unwrap();
    assert!(stream.delete_consumer("generations").await.unwrap().success);
    let mut server = site.start().await;
    let (client, _) = again(&ana, &server).await;
    let second = project(&client, &dairy()).await;
    let other = generate(&client, &second, "Technical").await;
    completed(&client, job_id(&other)).await;
    let at = restored.head().await;
    assert!(last < at);
    published(&store, 1, at).await;
    assert_eq!(follow(&export(&site).await), Ok(at));
    let epoch: i32 = sqlx::query_scalar("SELECT epoch FROM es.store").fetch_one(&restored.pool).await.unwrap();
    assert_eq!(epoch, 1, "nothing was lost, so nothing had to be accepted");
    let proposals: i64 = sqlx::query_scalar("SELECT count(*) FROM es.events WHERE event_type = 'proposal-generated'")
        .fetch_one(&restored.pool)
        .await
        .unwrap();
    assert_eq!(proposals, 2, "one for each job, though the first was handed out again");
    assert!(server.stop().await.success());
    close(site, restored, &store, 1).await;
}

#[tokio::test]
async fn an_older_backup_is_refused_until_it_is_accepted_and_then_a_new_epoch_shows_everywhere() {
    let mut site = Site::new().await;
    let store = store_on_the_bus(&site).await;
    let mut server = site.start().await;
    let (ana, ben) = (sign_up(&server).await, sign_up(&server).await);
    let of_ana = project(&ana.client, &blank()).await;
    let of_ben = project(&ben.client, &blank()).await;
    let ben_is: AccountId = ben.client.get("/auth/me").await.ok(200)["id"].as_str().unwrap().parse().unwrap();
    let kept = head(&site.pool).await;
    published(&store, 1, kept).await;
    let backup = Backup::of(site.setting("DATABASE_URL")).await;

    // What the backup does not know of: more writes, which clients have seen, and an erasure.
    ana.client.patch(&format!("/projects/{of_ana}"), &json!({"name": "Lost name"})).await.ok(200);
    let seen = ana.client.get(&format!("/projects/{of_ana}")).await;
    seen.ok(200);
    let old_tag = seen.header("etag").unwrap().to_owned();
    let page = ana.client.get(&format!("/projects/{of_ana}/timeline?limit=1")).await;
    page.ok(200);
    let old_cursor = page.header("x-next-cursor").unwrap().to_owned();
    erase(&site, ben_is).await;
    let lost = head(&site.pool).await;
    assert!(kept < lost);
    published(&store, 1, lost).await;
    assert!(server.stop().await.success());

    let restored = Restored::from(&backup, &mut site).await;
    let refusal = site.refused().await;
    for part in ["older state", "JetStream", &lost.to_string(), &kept.to_string(), "allegiant restore accept"] {
        assert!(refusal.contains(part), "{part} is missing in: {refusal}");
    }
    assert_eq!(restored.head().await, kept, "nothing was written");
    let unasked = site.run(&["restore", "accept"]).await;
    assert!(!unasked.status.success() && said(&unasked).contains("--yes"), "{}", said(&unasked));
    let accepted = site.run(&["restore", "accept", "--yes", "--reason", "the disk was lost"]).await;
    assert!(accepted.status.success(), "{}", said(&accepted));
    for part in [
        format!("at the positions {} to {lost}", kept + 1),
        "epoch 2 is open".to_owned(),
        "1 accounts were erased again".to_owned(),
    ] {
        assert!(said(&accepted).contains(&part), "{part} is missing in: {}", said(&accepted));
    }
    let twice = site.run(&["restore", "accept", "--yes"]).await;
    assert!(!twice.status.success() && said(&twice).contains("nothing to accept"), "{}", said(&twice));

    let mut server = site.start().await;
    let while_serving = site.run(&["restore", "accept", "--yes", "--anyway"]).await;
    assert!(said(&while_serving).contains("stop every server"), "{}", said(&while_serving));
    ana.client.at(&server).get("/auth/me").await.problem(401, "SESSION_REVOKED");
    make_auditor(&restored.pool, &ana).await;
    let (client, token) = again(&ana, &server).await;

    // Clients: tags of the new epoch, and what is from the old one is stale.
    let path = format!("/projects/{of_ana}");
    let now = client.get(&path).await;
    assert_ne!(now.ok(200)["name"], "Lost name");
    let tag = now.headers[ETAG].to_str().unwrap().to_owned();
    assert!(tag.ends_with("-2\""), "{tag}");
    let stale = client.get(&format!("{path}/timeline?limit=1&cursor={old_cursor}")).await;
    let problem = stale.problem(422, "VALIDATION_ERROR");
    assert!(problem.to_string().contains("another epoch"), "{problem}");
    let rename = || json!({"name": "New name"});
    let patch = (Method::PATCH, path.as_str());
    let refused = with_header(&server, &token, patch.clone(), (IF_MATCH, &old_tag), rename()).await;
    assert_eq!(refused, StatusCode::PRECONDITION_FAILED);
    let known = with_header(&server, &token, (Method::GET, &path), (IF_NONE_MATCH, &old_tag), Value::Null).await;
    assert_eq!(known, StatusCode::OK, "a tag of another epoch matches nothing");
    assert_eq!(with_header(&server, &token, patch, (IF_MATCH, &tag), rename()).await, StatusCode::OK);

    // The erased one cannot sign in, and reads as erased.
    assert!(Client::of(&server).sign_in(&ben.email, &ben.password).await.status.is_client_error());
    let shown = client.get(&format!("/audit/streams/project/{of_ben}")).await.ok(200).to_string();
    assert!(shown.contains("[erased]"), "{shown}");
    let addresses: i64 = sqlx::query_scalar("SELECT count(*) FROM views.accounts_v1 WHERE document ->> 'email' = $1")
        .bind(&ben.email)
        .fetch_one(&restored.pool)
        .await
        .unwrap();
    assert_eq!(addresses, 0, "no read model kept the address");

    // History: the opening is signed and stands in the chain, which goes on over it.
    let events = client.get("/audit/events?stream_type=store").await.ok(200);
    let opened = &events["items"][0];
    assert_eq!((&opened["type"], &opened["position"]), (&json!("epoch-opened"), &json!(kept + 1)), "{events}");
    assert_eq!(opened["payload"]["seen"], json!([{"by": "bus", "epoch": 1, "position": lost}]));
    is_signed(&opened["payload"]);
    let at = restored.head().await;
    published(&store, 2, at).await;
    assert_eq!(follow(&export(&site).await), Ok(at));
    let stranger = sign_up(&server).await.client;
    assert_eq!(stranger.get("/audit/events?stream_type=store").await.ok(200)["items"], json!([]));
    assert!(server.stop().await.success());

    // The backup from before is older than the second epoch, too; a third begins.
    let restored_again = Restored::from(&backup, &mut site).await;
    assert!(site.refused().await.contains("epoch 2"));
    let accepted = site.run(&["restore", "accept", "--yes"]).await;
    assert!(said(&accepted).contains("epoch 3 is open"), "{}", said(&accepted));
    restored_again.close().await;
    close(site, restored, &store, 3).await;
}

#[tokio::test]
async fn read_models_ahead_of_the_ledger_are_noticed_and_start_over() {
    let site = Site::new().await;
    let store = store_on_the_bus(&site).await;
    let mut server = site.start().await;
    let ana = sign_up(&server).await;
    let made = project(&ana.client, &blank()).await;
    head(&site.pool).await;
    assert!(server.stop().await.success());
    // As read models are that were restored from another, newer backup.
    site.pool.execute("UPDATE views.checkpoints SET position = 1000 WHERE name = 'projects'").await.unwrap();
    site.pool
        .execute("UPDATE views.projects_v1 SET document = document || '{\"name\": \"From the future\"}'")
        .await
        .unwrap();
    let refusal = site.refused().await;
    assert!(refusal.contains("a read model has seen position 1000"), "{refusal}");
    std::fs::write(site.setting("ERASURE_LIST_FILE"), "").unwrap();
    let accepted = site.run(&["restore", "accept", "--yes"]).await;
    assert!(accepted.status.success(), "{}", said(&accepted));
    let mut server = site.start().await;
    let (client, _) = again(&ana, &server).await;
    testkit::wait_until(PATIENCE, async || {
        let shown = client.get(&format!("/projects/{made}")).await;
        (shown.status == StatusCode::OK).then(|| assert_ne!(shown.json()["name"], "From the future"))
    })
    .await;
    assert!(server.stop().await.success());
    let jetstream = async_nats::jetstream::new(testkit::nats().await);
    let _ = jetstream.delete_stream(format!("{store}-1")).await;
    std::fs::remove_file(site.setting("ERASURE_LIST_FILE")).unwrap();
    site.close().await;
}

#[tokio::test]
async fn without_the_list_of_erasures_no_backup_is_accepted_and_a_planted_line_keeps_servers_from_starting() {
    let site = Site::new().await;
    let file = PathBuf::from(site.setting("ERASURE_LIST_FILE"));
    let refused = site.run(&["restore", "accept", "--yes", "--anyway"]).await;
    assert!(!refused.status.success() && said(&refused).contains("ERASURE_LIST_FILE"), "{}", said(&refused));
    std::fs::write(&file, "{\"subject\":\"0198a3f0-0000-7000-8000-000000000001\"}\n").unwrap();
    let refusal = site.refused().await;
    assert!(refusal.contains("line 1 of the list of erasures"), "{refusal}");
    std::fs::remove_file(&file).unwrap();
    site.close().await;
}

#[tokio::test]
async fn a_server_whose_epoch_has_passed_ends_and_says_so() {
    let site = Site::new().await;
    let mut server = site.start().await;
    site.pool.execute("UPDATE es.store SET epoch = 2").await.unwrap();
    testkit::wait_until(PATIENCE, async || (!server.is_running()).then_some(())).await;
    assert!(server.log().iter().any(|line| line.contains("another epoch")), "{:?}", server.log());
    site.close().await;
}

/// Erases an account as the server will once it can be asked to: its key is destroyed, and the list tells of it.
async fn erase(site: &Site, account: AccountId) {
    let settings = eventstore::Settings::new(site.setting("DATABASE_URL"));
    let pool = eventstore::connect(&settings).await.unwrap();
    let master = MasterKey::from_base64(site.setting("MASTER_KEY")).unwrap();
    let store = Store::open(pool.clone(), master.clone(), Clock::new(|| SystemTime::now().into())).await.unwrap();
    let file = PathBuf::from(site.setting("ERASURE_LIST_FILE"));
    store.keep_erasures(ErasureList::new(file, &master, store.store_id()));
    store.destroy_key(account).await.unwrap();
    drop(store);
    tokio::time::timeout(Duration::from_secs(10), pool.close()).await.unwrap();
}

async fn make_auditor(pool: &PgPool, person: &Person) {
    // The only one who is left: the other was erased.
    let made = pool.execute("UPDATE identity.credentials SET roles = ARRAY['user', 'auditor']").await.unwrap();
    assert_eq!(made.rows_affected(), 1, "{} is the only account", person.email);
}

/// Looks at the signature as an auditor does, with the text of docs/restore.md.
fn is_signed(payload: &Value) {
    let text = |name: &str| payload[name].as_str().unwrap().to_owned();
    let mut statement = format!(
        "allegiant-epoch-1\nstore {}\nepoch {}\nhead {} {}\n",
        text("store"),
        payload["epoch"],
        payload["head"],
        text("head_hash")
    );
    for seen in payload["seen"].as_array().unwrap() {
        let by = seen["by"].as_str().unwrap();
        statement.push_str(&format!("seen {by} {} {}\n", seen["epoch"], seen["position"]));
    }
    let accepted_at: chrono::DateTime<chrono::Utc> = text("accepted_at").parse().unwrap();
    let accepted_at = accepted_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    statement.push_str(&format!("reason {}\naccepted-at {accepted_at}\n", payload["reason"]));
    let signature = hex::decode(text("signature")).unwrap().try_into().unwrap();
    assert!(PublicKey::from_base64(&text("public_key")).unwrap().verify(statement.as_bytes(), &signature));
}
