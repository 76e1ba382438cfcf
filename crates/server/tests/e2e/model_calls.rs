//! While a language model is called: no connection to the database is held, and a cancellation reaches the call.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::rules;
use rig::client::{Client, sign_up};
use rig::jobs::{at_rest, completed, ended, generate, job_id, project};
use rig::model::{MODEL, Model};
use rig::sheets::dairy;
use rig::site::Site;

/// How long a read may take, however long the model takes.
const READ: Duration = Duration::from_secs(2);
/// How long a call may go on after its job was cancelled.
const CANCELLED: Duration = Duration::from_secs(5);

#[tokio::test]
async fn with_one_connection_and_a_model_that_takes_its_time_reads_and_writes_answer_and_cancelling_ends_the_call() {
    let model = Model::start().await;
    let site = model.of(Site::new().await).with("DATABASE_CONNECTIONS", "1");
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;
    model.hold();
    let job = generate(&ana, &id, "Technical").await;
    let job = job_id(&job);
    model.called().await;

    for path in [
        "/auth/me".to_owned(),
        "/projects".to_owned(),
        format!("/projects/{id}"),
        format!("/projects/{id}/data"),
        format!("/projects/{id}/timeline"),
        format!("/ai/proposals/{id}/proposals"),
        format!("/ai/proposals/jobs/{job}"),
        format!("/audit/streams/project/{id}"),
        "/health".to_owned(),
        "/health/readiness".to_owned(),
    ] {
        in_time(&path, ana.get(&path)).await.ok(200);
    }
    let renamed = in_time("a write", ana.patch(&format!("/projects/{id}"), &json!({"name": "Renamed"}))).await.ok(200);
    assert_eq!(renamed["name"], "Renamed");
    let reused = in_time("a second request", async { generate(&ana, &id, "Technical").await }).await;
    assert_eq!((&reused["jobId"], &reused["reused"]), (&json!(job), &json!(true)));
    in_time("many reads at once", futures::future::join_all((0..16).map(|_| ana.get("/projects")))).await;
    // Nobody holds a transaction open meanwhile. One that was seen by chance is gone at the next look.
    let open =
        "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
    testkit::wait_until(READ, async || (site.count(open).await == 0).then_some(())).await;
    let shown = ana.get(&format!("/ai/proposals/jobs/{job}")).await.ok(200);
    assert_eq!((&shown["status"], &shown["stage"]), (&json!("processing"), &json!("narrative")), "{shown}");

    ana.post(&format!("/ai/proposals/jobs/{job}/cancel"), &json!({})).await.ok(202);
    model.under_way(0, CANCELLED).await;
    let cancelled = ended(&ana, job, CANCELLED).await;
    assert_eq!(
        (&cancelled["status"], &cancelled["cancelled"], &cancelled["errorCode"]),
        (&json!("failed"), &json!(true), &json!("CANCELLED")),
    );
    ana.post(&format!("/ai/proposals/jobs/{job}/cancel"), &json!({})).await.ok(202);
    assert_eq!(at_rest(&ana, &id).await["status"], "In Preparation");

    // The next one is not cancelled, and its text comes from the model.
    let job = generate(&ana, &id, "Technical").await;
    model.called().await;
    model.let_go();
    completed(&ana, job_id(&job)).await;
    let proposal = ana.get(&format!("/ai/proposals/{id}/proposals")).await.ok(200)[0].clone();
    assert_eq!(rules::broken(&proposal), Vec::<String>::new());
    let transparency = &proposal["aiMetadata"]["transparency"];
    assert_eq!((&transparency["provider"], &transparency["model"]), (&json!("openai"), &json!(MODEL)));
    assert_eq!((&transparency["usage"]["requests"], &transparency["usage"]["totalTokens"]), (&json!(1), &json!(2_500)));
    assert_eq!(proposal["version"], "v1.0", "a cancelled job uses no version up");
    assert_eq!(model.complaints(), Vec::<String>::new());
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn a_queued_job_is_cancelled_at_once_and_a_sixth_one_is_refused() {
    let model = Model::start().await;
    let site = model.of(Site::new().await).with("GENERATION_PLACES", "1");
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    model.hold();
    let mut jobs = Vec::new();
    for _ in 0..5 {
        let id = project(&ana, &dairy()).await;
        jobs.push(job_id(&generate(&ana, &id, "Technical").await).to_owned());
    }
    model.called().await;
    let sixth = project(&ana, &dairy()).await;
    let asked = json!({"project_id": sixth, "proposal_type": "Technical"});
    let refused = ana.post("/ai/proposals/generate", &asked).await.problem(429, "GENERATION_LIMIT");
    assert_eq!(refused["code"], "HTTP_429");

    let queued = statuses(&ana, &jobs).await.iter().position(|status| status == "queued").expect("a job is queued");
    let cancel = ana.post(&format!("/ai/proposals/jobs/{}/cancel", jobs[queued]), &json!({})).await.ok(202);
    assert_eq!((&cancel["status"], &cancel["cancelled"]), (&json!("failed"), &json!(true)));
    jobs.remove(queued);
    jobs.push(job_id(&generate(&ana, &sixth, "Technical").await).to_owned());

    model.let_go();
    for job in &jobs {
        completed(&ana, job).await;
    }
    drop(server);
    site.close().await;
}

async fn statuses(client: &Client, jobs: &[String]) -> Vec<String> {
    let looks = jobs.iter().map(async |job| {
        let job = client.get(&format!("/ai/proposals/jobs/{job}")).await.ok(200);
        job["status"].as_str().unwrap().to_owned()
    });
    futures::future::join_all(looks).await
}

async fn in_time<T>(what: &str, answer: impl Future<Output = T>) -> T {
    timeout(READ, answer)
        .await
        .unwrap_or_else(|_| panic!("{what} took longer than {READ:?} while the model was called"))
}
