//! Parked streams folded again: what comes of it is the fold of the ledger, whatever happened meanwhile.

use domain::proposal::Stage;
use domain::{ProposalId, StreamKey};
use projections::{JobStatus, names, parked, retry, verify};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::following::compare_all;
use crate::world::World;

async fn sequence_of(world: &World, stream: StreamKey, event_type: &str) -> i64 {
    sqlx::query_scalar(
        "SELECT min(sequence) FROM es.events WHERE aggregate_type = $1 AND aggregate_id = $2 AND event_type = $3",
    )
    .bind(stream.kind.as_str())
    .bind(stream.id.to_string())
    .bind(event_type)
    .fetch_one(&mut world.superuser().await)
    .await
    .unwrap()
}

#[tokio::test]
async fn streams_that_can_be_read_again_come_out_as_if_they_had_never_been_parked() {
    let world = World::new().await;
    let (kept, deleted) = (world.create(world.ana, "Kept").await, world.create(world.ana, "Deleted").await);
    let healthy = world.create(world.ana, "Healthy").await;
    let [one, two, three] = [world.generate(kept).await, world.generate(deleted).await, world.generate(healthy).await];
    world.edit(kept, json!({"count": 1})).await;
    world.edit(healthy, json!({"count": 1})).await;
    world.sequenced().await;
    // A project, a proposal of a project that is deleted later, and a proposal alone.
    let victims: [(StreamKey, &str); 3] = [
        (kept.into(), "project-data-changed"),
        (two.into(), "generation-requested"),
        (three.into(), "generation-requested"),
    ];
    let mut mended = Vec::new();
    for (stream, event_type) in victims {
        let sequence = sequence_of(&world, stream, event_type).await;
        let broken = json!({"type": event_type, "unheard": "of"}).to_string();
        mended.push((stream, sequence, world.change_payload(stream, sequence, &broken).await));
    }
    world.catch_up().await;
    assert_eq!(parked(&world.store, "projects").await.unwrap().len(), 1);
    assert_eq!(parked(&world.store, "timeline").await.unwrap().len(), 3);

    // History goes on, as far as it is not asked to read what cannot be read.
    world.rename(healthy, "Healthy, renamed").await;
    world.edit(healthy, json!({"count": 2})).await;
    world.delete(deleted).await;
    world.catch_up().await;
    let verdict = verify(&world.store, "timeline", &|_| (), &CancellationToken::new()).await.unwrap();
    assert_eq!(verdict.differing, 0, "{:?}", verdict.differences);

    // Now all but one can be read again.
    let (stream, sequence, payload) = mended.pop().unwrap();
    for (stream, sequence, payload) in &mended {
        world.change_payload(*stream, *sequence, payload).await;
    }
    let verdict = verify(&world.store, "timeline", &|_| (), &CancellationToken::new()).await.unwrap();
    assert!(verdict.differences.iter().any(|found| found.what.contains("can be folded: retry")), "{verdict:?}");
    for name in names() {
        retry(&world.store, name).await.unwrap();
    }
    for name in ["timeline", "proposals", "jobs"] {
        let left = parked(&world.store, name).await.unwrap();
        assert_eq!((left.len(), left[0].id.as_str()), (1, stream.id.to_string().as_str()), "{name}");
    }
    assert!(parked(&world.store, "projects").await.unwrap().is_empty());
    world.change_payload(stream, sequence, &payload).await;
    for name in names() {
        assert!(retry(&world.store, name).await.unwrap().parked.is_empty());
    }
    compare_all(&world).await;

    // They are followed again.
    world.rename(kept, "Kept, renamed").await;
    finish(&world, kept, one).await;
    world.catch_up().await;
    compare_all(&world).await;
}

async fn finish(world: &World, project: domain::ProjectId, proposal: ProposalId) {
    world.work(proposal).await;
    world.publish(project, proposal).await;
}

#[tokio::test]
async fn a_parked_stream_counts_as_passed() {
    let world = World::new().await;
    let project = world.create(world.ana, "North plant").await;
    let other = world.create(world.ana, "Other").await;
    let proposal = world.generate(project).await;
    world.begin(proposal, Stage::Sheet).await;
    world.append_raw(other, 2, "project-status-set", json!({"old": 7})).await;
    world.sequenced().await;
    world.finish(proposal, Stage::Sheet).await;
    for stage in &Stage::ALL[1..] {
        world.begin(proposal, *stage).await;
        if *stage != Stage::Publish {
            world.finish(proposal, *stage).await;
        }
    }
    world.publish(project, proposal).await;
    world.catch_up().await;
    assert!(!parked(&world.store, "proposals").await.unwrap().is_empty());
    let job = world.views.job(world.ana, proposal).await.unwrap().unwrap();
    assert_eq!(job.job.status, JobStatus::Completed);
}
