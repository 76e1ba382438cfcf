//! NATS or Redis are away: it goes slower, and no answer changes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use rig::client::{Client, sign_up};
use rig::jobs::{completed, generate, job_id, made_exactly_one_proposal, project};
use rig::model::Model;
use rig::nats::PrivateNats;
use rig::sheets::dairy;
use rig::site::{AWAY_COSTS_AT_MOST, Site};
use rig::{PATIENCE, free_port};

#[tokio::test]
async fn nats_goes_in_the_middle_of_a_generation_and_comes_back() {
    let Some(mut nats) = PrivateNats::start().await else { return };
    let model = Model::start().await;
    let site = model.of(Site::new().await).with("NATS_URL", nats.url()).with("GENERATION_LEASE_SECONDS", "1");
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;
    model.hold();
    let job = generate(&ana, &id, "Technical").await;
    model.called().await;

    nats.kill();
    model.let_go();
    completed(&ana, job_id(&job)).await;
    made_exactly_one_proposal(&site, &ana, &id, job_id(&job)).await;

    // Also what is asked for while NATS is away is done: the sweep finds it.
    let id = project(&ana, &dairy()).await;
    let job = generate(&ana, &id, "Technical").await;
    completed(&ana, job_id(&job)).await;
    made_exactly_one_proposal(&site, &ana, &id, job_id(&job)).await;
    health_shows(&ana, "nats", "down").await;
    ana.get("/health/readiness").await.ok(200);

    // Back again, the bus learns everything that it missed, at the same positions.
    nats.go_on().await;
    health_shows(&ana, "nats", "up").await;
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let name = site.bus_name().await;
    testkit::wait_until(PATIENCE, async || {
        let mut stream = jetstream.get_stream(&name).await.ok()?;
        let last = stream.info().await.ok()?.state.last_sequence;
        (i64::try_from(last).unwrap() == site.count("es.ledger").await).then_some(())
    })
    .await;
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn without_nats_from_the_start_the_server_serves_and_jobs_end() {
    let nowhere = format!("nats://allegiant:x@127.0.0.1:{}", free_port().await);
    let site = Site::new().await.with("NATS_URL", nowhere).with("GENERATION_LEASE_SECONDS", "1");
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;
    let job = generate(&ana, &id, "Technical").await;
    completed(&ana, job_id(&job)).await;
    made_exactly_one_proposal(&site, &ana, &id, job_id(&job)).await;
    health_shows(&ana, "nats", "down").await;
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn without_redis_requests_are_counted_by_the_instance_and_none_fails_for_it() {
    let nowhere = format!("redis://default:x@127.0.0.1:{}", free_port().await);
    let site = Site::new().await.with("REDIS_URL", nowhere).with("RATE_LIMITS", "on");
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let mut remaining = Vec::new();
    for _ in 0..3 {
        let listed =
            timeout(AWAY_COSTS_AT_MOST, ana.get("/projects")).await.expect("Redis is away, and nobody waits for it");
        listed.ok(200);
        assert_eq!(listed.header("ratelimit-limit"), Some("120"));
        remaining.push(listed.header("ratelimit-remaining").unwrap().parse::<u32>().unwrap());
    }
    assert!(remaining.windows(2).all(|pair| pair[1] + 1 == pair[0]), "{remaining:?}");
    let id = project(&ana, &dairy()).await;
    let job = generate(&ana, &id, "Technical").await;
    completed_politely(&ana, job_id(&job)).await;
    health_shows(&ana, "redis", "down").await;
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn limits_are_shared_by_instances_through_redis_and_a_refusal_is_readable_for_browsers() {
    let site = Site::new().await.with("RATE_LIMITS", "on");
    let (one, other) = (site.start().await, site.start().await);
    let ana = sign_up(&one).await.client;
    let mut refused = None;
    for turn in 0..130 {
        let caller = if turn % 2 == 0 { ana.clone() } else { ana.at(&other) };
        let answer = caller.get("/projects").await;
        if answer.status == 429 {
            refused = Some((turn, answer));
            break;
        }
        answer.ok(200);
    }
    let (turn, refused) = refused.expect("130 requests in a minute are too many");
    assert_eq!(turn, 120, "the limit of the list is 120 a minute, for both instances together");
    let problem = refused.problem(429, "RATE_LIMITED");
    assert_eq!(problem["code"], "HTTP_429", "the web client tries again only on this code");
    assert!(refused.header("retry-after").is_some());
    // Another route has a limit of its own.
    ana.get("/auth/me").await.ok(200);
    drop((one, other));
    site.close().await;
}

/// Polls no faster than the limit of the route allows.
async fn completed_politely(client: &Client, job: &str) {
    let look = async {
        let mut looks = tokio::time::interval(Duration::from_millis(200));
        loop {
            looks.tick().await;
            let seen = client.get(&format!("/ai/proposals/jobs/{job}")).await.ok(200);
            if seen["status"] == "completed" {
                return;
            }
            assert_ne!(seen["status"], "failed", "{seen}");
        }
    };
    timeout(PATIENCE, look).await.expect("the job ends");
}

async fn health_shows(client: &Client, part: &str, status: &str) {
    let look = async || {
        let health = client.get("/health").await.ok(200);
        if health["checks"][part]["status"] != status {
            return None;
        }
        let whole: Value = if status == "up" { json!("healthy") } else { json!("degraded") };
        (health["status"] == whole).then_some(())
    };
    testkit::wait_until(PATIENCE, look).await;
}
