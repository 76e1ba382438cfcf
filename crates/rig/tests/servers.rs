//! Servers of a test's own: what is killed comes back where it was, and what it had acknowledged is there.

use async_nats::jetstream;
use rig::binary;
use rig::client::sign_up;
use rig::cluster::{Cluster, Disk};
use rig::jobs::project;
use rig::nats::PrivateNats;
use rig::redis::PrivateRedis;
use rig::sheets::dairy;
use rig::site::Site;

#[tokio::test]
async fn a_killed_postmaster_comes_back_with_what_it_had_acknowledged_and_so_does_the_server_on_it() {
    let mut cluster = Cluster::start(Disk::DoesNotWait).await;
    let site = Site::in_cluster(&cluster, binary::allegiant()).await;
    let mut server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;

    cluster.kill_postmaster();
    assert!(!cluster.is_running());
    cluster.restart().await;

    assert!(server.is_running(), "a server outlives its database");
    let path = format!("/projects/{id}");
    let read = testkit::wait_until(rig::PATIENCE, async || {
        let read = ana.get(&path).await;
        (read.status == 200).then(|| read.ok(200))
    });
    assert_eq!(read.await["name"], dairy().project["name"]);
    assert!(server.memory().is_some_and(|bytes| 1_000_000 < bytes));
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn killed_nats_and_redis_come_back_at_their_addresses() {
    let mut redis = PrivateRedis::start().await;
    let before = redis.url();
    redis.kill();
    redis.go_on().await;
    assert_eq!(redis.url(), before);

    let Some(mut nats) = PrivateNats::start().await else { return };
    let kept = jetstream::stream::Config { name: "kept".into(), ..Default::default() };
    jetstream::new(nats.client().await).create_stream(kept).await.unwrap();
    nats.kill();
    nats.go_on().await;
    let stream = jetstream::new(nats.client().await).get_stream("kept").await.unwrap();
    assert_eq!(stream.cached_info().config.name, "kept");
}
