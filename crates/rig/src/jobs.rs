//! Projects, generations, and their ends.

use std::time::Duration;

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::client::Client;
use crate::sheets::Sheet;
use crate::site::Site;

/// The stages whose step has an output that is kept.
pub const STEPS: [&str; 7] = ["sheet", "basis", "trains", "sizing", "costs", "narrative", "checks"];

/// Makes a project and fills in its sheet, as the web client does.
pub async fn project(client: &Client, sheet: &Sheet) -> String {
    let project = client.post("/projects", &sheet.project).await.ok(201);
    let id = project["id"].as_str().unwrap().to_owned();
    client.patch(&format!("/projects/{id}/data?merge=true"), &sheet.data).await.ok(200);
    id
}

/// Asks for a proposal; returns the job.
pub async fn generate(client: &Client, project: &str, proposal_type: &str) -> Value {
    let asked = json!({"project_id": project, "proposal_type": proposal_type});
    client.post("/ai/proposals/generate", &asked).await.ok(202)
}

/// The id in an answer about a job.
pub fn job_id(job: &Value) -> &str {
    job["jobId"].as_str().expect("a job has an id")
}

/// The id of the proposal that a job makes, as the events have it.
pub fn proposal_of(job: &str) -> uuid::Uuid {
    job.strip_prefix("job_").expect("a job's id begins so").parse().expect("and ends with a proposal's id")
}

/// Polls a job as the web client does, until it has ended. Each poll must succeed, and progress must never fall.
pub async fn ended(client: &Client, job: &str, limit: Duration) -> Value {
    let mut progress = 0;
    testkit::wait_until(limit, async || {
        let seen = client.get(&format!("/ai/proposals/jobs/{job}")).await.ok(200);
        let now = seen["progress"].as_u64().unwrap();
        assert!(progress <= now, "progress fell from {progress}: {seen}");
        progress = now;
        matches!(seen["status"].as_str(), Some("completed" | "failed")).then_some(seen)
    })
    .await
}

/// Polls a job until there is a proposal; returns the job.
pub async fn completed(client: &Client, job: &str) -> Value {
    let ended = ended(client, job, PATIENCE).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    ended
}

/// The project once it shows that its job has ended. A failure is told as soon as it is known; the project follows.
pub async fn at_rest(client: &Client, project: &str) -> Value {
    testkit::wait_until(PATIENCE, async || {
        let shown = client.get(&format!("/projects/{project}")).await.ok(200);
        shown["activeJobId"].is_null().then_some(shown)
    })
    .await
}

/// The types of all events of a stream, in order.
pub async fn event_types(site: &Site, kind: &str, id: &str) -> Vec<String> {
    let query = "SELECT event_type FROM es.events WHERE aggregate_type = $1 AND aggregate_id = $2 ORDER BY sequence";
    sqlx::query_scalar(query).bind(kind).bind(id).fetch_all(&site.pool).await.unwrap()
}

/// Of each step, how often it has succeeded.
pub async fn successes(site: &Site, proposal: uuid::Uuid) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT payload ->> 'stage', count(*) FROM es.events
          WHERE aggregate_type = 'proposal' AND aggregate_id = $1 AND event_type = 'step-succeeded'
          GROUP BY 1 ORDER BY min(sequence)",
    )
    .bind(proposal.to_string())
    .fetch_all(&site.pool)
    .await
    .unwrap()
}

/// Looks, in the events and through the interface, that a job made one proposal and left nothing behind.
pub async fn made_exactly_one_proposal(site: &Site, client: &Client, project: &str, job: &str) {
    let proposal = proposal_of(job);
    let events = event_types(site, "proposal", &proposal.to_string()).await;
    let times = |event: &str| events.iter().filter(|other| *other == event).count();
    for once in ["generation-requested", "generation-started", "proposal-generated", "generation-completed"] {
        assert_eq!(times(once), 1, "{once} in {events:?}");
    }
    for never in ["generation-failed", "generation-cancelled", "step-failed"] {
        assert_eq!(times(never), 0, "{never} in {events:?}");
    }
    let successes = successes(site, proposal).await;
    assert_eq!(successes, STEPS.map(|step| (step.to_owned(), 1)), "each step succeeds once, in order");

    let in_project = event_types(site, "project", project).await;
    let of_project = |event: &str| in_project.iter().filter(|other| *other == event).count();
    assert_eq!((of_project("generation-accepted"), of_project("generation-ended")), (1, 1), "{in_project:?}");
    let slots = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM es.claims WHERE kind = 'job-slot' AND holder = $1");
    assert_eq!(slots.bind(proposal).fetch_one(&site.pool).await.unwrap(), 0, "the job still has a slot");

    let shown = client.get(&format!("/projects/{project}")).await.ok(200);
    let proposals = shown["proposals"].as_array().unwrap();
    assert_eq!(proposals.len(), 1, "{shown}");
    assert_eq!((&proposals[0]["id"], &proposals[0]["version"]), (&json!(proposal.to_string()), &json!("v1.0")));
    assert_eq!((&shown["status"], &shown["activeJobId"]), (&json!("Proposal Ready"), &Value::Null));
}
