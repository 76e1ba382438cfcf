//! Jobs: found from the first moment on and for ever, never ahead of what they promise.

use chrono::TimeDelta;
use domain::proposal::{FailureCode, Stage};
use projections::{JobFilter, JobStatus, Page};

use crate::world::World;

#[tokio::test]
async fn a_job_is_found_and_moves_on_while_nothing_is_projected() {
    let world = World::new().await;
    let project = world.create(world.ana, "North plant").await;
    let proposal = world.generate(project).await;
    let job = async || world.views.job(world.ana, proposal).await.unwrap().unwrap();
    let queued = job().await;
    assert_eq!((queued.job.status, queued.progress(), queued.job.attempt), (JobStatus::Queued, 0, 1));
    let mut seen = vec![0];
    for stage in Stage::ALL {
        world.begin(proposal, stage).await;
        let begun = job().await;
        assert_eq!((begun.job.status, begun.job.stage), (JobStatus::Processing, Some(stage)));
        seen.push(begun.progress());
        if stage == Stage::Costs {
            world.catch_up().await;
            let stored = job().await;
            assert_eq!((stored.job, stored.changed.position()), (begun.job, Some(world.store.head().await.unwrap())));
        }
        if stage != Stage::Publish {
            world.finish(proposal, stage).await;
        }
    }
    assert!(seen.is_sorted() && seen.last() == Some(&95), "{seen:?}");
}

#[tokio::test]
async fn a_job_is_completed_only_once_project_proposal_and_list_contain_the_proposal() {
    let world = World::new().await;
    let project = world.create(world.ana, "North plant").await;
    let proposal = world.generate(project).await;
    world.work(proposal).await;
    world.catch_up().await;
    world.publish(project, proposal).await;
    world.sequenced().await;
    let shown = async || {
        let read = world.views.job(world.ana, proposal).await.unwrap().unwrap();
        (read.job.status, read.job.stage, read.progress(), read.job.result.is_some())
    };
    let saving = (JobStatus::Processing, Some(Stage::Publish), 95, false);
    assert_eq!(shown().await, saving, "the events are there, the documents are not");
    world.catch_up().await;
    assert_eq!(shown().await, (JobStatus::Completed, Some(Stage::Publish), 100, true));
    let found = world.views.proposal(&world.ana(), project, proposal).await.unwrap();
    assert!(found.value.is_some());

    // One of the others falls behind the job.
    let mut superuser = world.superuser().await;
    for name in ["projects", "proposals", "timeline"] {
        let behind = "UPDATE views.checkpoints SET position = position - $2 WHERE name = $1";
        sqlx::query(behind).bind(name).bind(1_i64).execute(&mut superuser).await.unwrap();
        assert_eq!(shown().await, saving, "{name} is behind");
        sqlx::query(behind).bind(name).bind(-1_i64).execute(&mut superuser).await.unwrap();
    }
    assert_eq!(shown().await.0, JobStatus::Completed);
}

#[tokio::test]
async fn a_job_outlives_its_project() {
    let world = World::new().await;
    let project = world.create(world.ana, "North plant").await;
    let proposal = world.generate(project).await;
    world.work(proposal).await;
    world.publish(project, proposal).await;
    world.delete(project).await;
    world.catch_up().await;
    let job = world.views.job(world.ana, proposal).await.unwrap().unwrap();
    assert_eq!(job.job.status, JobStatus::Completed);
    assert!(world.views.proposal(&world.ana(), project, proposal).await.unwrap().value.is_none());
}

#[tokio::test]
async fn jobs_are_listed_newest_first_by_status_and_project() {
    let world = World::new().await;
    let (one, other) = (world.create(world.ana, "One").await, world.create(world.ana, "Other").await);
    let done = world.generate(one).await;
    world.work(done).await;
    world.publish(one, done).await;
    world.pass(TimeDelta::seconds(1));
    let failed = world.generate(one).await;
    world.fail(one, failed, FailureCode::SpendLimit).await;
    let waiting = world.generate(other).await;
    world.catch_up().await;
    let list = async |filter, project, page| {
        let answer = world.views.jobs(&world.ana(), filter, project, page).await.unwrap();
        answer.value.0.into_iter().map(|found| found.document.proposal).collect::<Vec<_>>()
    };
    let all = Page::first(50);
    assert_eq!(list(None, None, all).await, [waiting, failed, done]);
    assert_eq!(list(None, Some(one), all).await, [failed, done]);
    assert_eq!(list(Some(JobFilter::Active), None, all).await, [waiting]);
    assert_eq!(list(Some(JobFilter::Status(JobStatus::Failed)), None, all).await, [failed]);
    assert_eq!(list(Some(JobFilter::Cancelled), None, all).await, []);
    let first = world.views.jobs(&world.ana(), None, None, Page::first(1)).await.unwrap().value.0;
    let before = Some((first[0].document.requested_at, first[0].document.proposal.as_uuid()));
    assert_eq!(list(None, None, Page { limit: 50, before }).await, [failed, done]);
}
