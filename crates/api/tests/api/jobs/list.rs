//! The list of jobs.

use domain::proposal::{FailureCode, Stage};
use http::StatusCode;
use serde_json::json;

use super::{JOBS, cancel, fault, ids};
use crate::process::{generate, job, project, read};
use crate::support::start;

#[tokio::test]
async fn the_list_of_jobs_has_filters_and_pages() {
    let service = start().await;
    let (client, ben) = (service.signed_up("ana").await, service.signed_up("ben").await);
    generate(&ben, &project(&ben, "his").await).await;
    assert_eq!(read(&client, "/ai/proposals/jobs").await, json!({"items": [], "nextCursor": null}));
    let projects = [
        project(&client, "a").await,
        project(&client, "b").await,
        project(&client, "c").await,
        project(&client, "d").await,
        project(&client, "e").await,
    ];
    let mut jobs = vec![];
    for id in &projects {
        jobs.push(generate(&client, id).await);
    }
    service.process(&jobs[0]).complete().await;
    service.process(&jobs[1]).fail(FailureCode::SpendLimit, vec![]).await;
    cancel(&client, &jobs[2]).await;
    service.process(&jobs[3]).begin(Stage::Sheet).await;
    let [completed, failed, cancelled, running, queued] = [0, 1, 2, 3, 4].map(|n: usize| jobs[n].as_str());
    for (query, expected) in [
        ("", vec![queued, running, cancelled, failed, completed]),
        ("?status=queued", vec![queued]),
        ("?status=processing", vec![running]),
        ("?status=completed", vec![completed]),
        ("?status=failed", vec![cancelled, failed]),
        ("?status=cancelled", vec![cancelled]),
        ("?status=active", vec![queued, running]),
        (&format!("?project_id={}", projects[1]), vec![failed]),
        (&format!("?projectId={}&status=active", projects[1]), vec![]),
        ("?project_id=0198a3f4-1b22-7d0c-8f10-2a6b7c8d9e01", vec![]),
    ] {
        let found = read(&client, &format!("/ai/proposals/jobs{query}")).await;
        assert_eq!((ids(&found), &found["nextCursor"]), (expected, &json!(null)), "{query}");
    }
    let whole = read(&client, "/ai/proposals/jobs").await;
    for (listed, id) in whole["items"].as_array().unwrap().iter().zip([queued, running, cancelled, failed, completed]) {
        assert_eq!(listed, &job(&client, id).await);
    }
    let (mut seen, mut address) = (vec![], format!("{JOBS}?limit=2"));
    loop {
        let page = client.get(&address).send().await;
        assert_eq!((page.status, page.header("cache-control")), (StatusCode::OK, Some("no-store")), "{}", page.text);
        seen.extend(ids(&page.body).into_iter().map(str::to_owned));
        assert_eq!(page.header("x-next-cursor"), page.body["nextCursor"].as_str());
        let Some(cursor) = page.body["nextCursor"].as_str() else { break };
        address = format!("{JOBS}?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, [queued, running, cancelled, failed, completed]);
    for (query, pointer, code) in [
        ("status=Done", "/query/status", "not_in_enum"),
        ("project_id=x", "/query/project_id", "format"),
        ("limit=0", "/query/limit", "too_small"),
        ("limit=101", "/query/limit", "too_large"),
        ("cursor=x", "/query/cursor", "unknown_cursor"),
    ] {
        let reply = client.get(&format!("{JOBS}?{query}")).send().await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [fault(pointer, code)], "{query}");
    }
}
