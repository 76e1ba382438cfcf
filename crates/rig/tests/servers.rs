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
use tokio::net::TcpStream;

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

#[tokio::test]
async fn servers_end_with_whoever_started_them_even_if_that_drops_nothing() {
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (cluster, redis) = tokio::join!(Cluster::start(Disk::DoesNotWait), PrivateRedis::start());
            let addresses = [cluster.url("postgres"), redis.url()]
                .map(|url| url.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned());
            let directory = cluster.directory().to_owned();
            std::mem::forget((cluster, redis));
            (addresses, directory)
        })
    };
    let (addresses, directory) = std::thread::spawn(start).join().unwrap();
    for address in addresses {
        let gone = async || TcpStream::connect(&address).await.is_err().then_some(());
        testkit::wait_until(rig::PATIENCE, gone).await;
    }
    testkit::wait_until(rig::PATIENCE, async || std::fs::remove_dir_all(&directory).ok()).await;
    std::fs::remove_file(directory.with_extension("log")).unwrap();
}
