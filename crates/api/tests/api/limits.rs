//! Rate limits: shared through Redis, and by each instance alone without it.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::support::{Client, ORIGIN, Options, PASSWORD, Reply, SOON, Service, start_with};

fn limited(redis: Option<String>, redis_prefix: &str) -> Options {
    Options { redis, redis_prefix: redis_prefix.to_owned(), rate_limits: true, ..Options::default() }
}

/// Waits until the instance counts in Redis.
async fn connected(service: &Service) {
    testkit::wait_until(SOON, async || (service.limiter.ping().await == Some(true)).then_some(())).await;
}

async fn register(client: &Client) -> Reply {
    client.post("/api/v1/auth/register").header("origin", ORIGIN).json(&json!({})).send().await
}

#[tokio::test]
async fn two_instances_share_one_limit_through_redis() {
    let prefix = testkit::unique("limits");
    let first = start_with(limited(Some(testkit::redis_url()), &prefix)).await;
    let second = first.another(limited(Some(testkit::redis_url()), &prefix)).await;
    connected(&first).await;
    connected(&second).await;
    let (one, other) = (first.client(), second.client());
    for n in 0..10 {
        let reply = register(if n % 2 == 0 { &one } else { &other }).await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.header("ratelimit-limit"), Some("10"));
        assert_eq!(reply.header("ratelimit-remaining"), Some((9 - n).to_string().as_str()));
    }
    for client in [&one, &other] {
        let refused = register(client).await;
        refused.assert_problem(429, "RATE_LIMITED");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait));
        assert_eq!(refused.header("ratelimit-reset"), refused.header("retry-after"));
        assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN));
    }
    let mut elsewhere = first.client();
    elsewhere.peer = "192.0.2.2".parse().unwrap();
    register(&elsewhere).await.assert_problem(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn many_at_once_are_counted_exactly() {
    let prefix = testkit::unique("limits");
    let service = start_with(limited(Some(testkit::redis_url()), &prefix)).await;
    connected(&service).await;
    let client = service.client();
    let replies = futures::future::join_all((0..50).map(|_| register(&client))).await;
    let passed = replies.iter().filter(|reply| reply.status == StatusCode::UNPROCESSABLE_ENTITY).count();
    let refused = replies.iter().filter(|reply| reply.status == StatusCode::TOO_MANY_REQUESTS).count();
    assert_eq!((passed, refused), (10, 40));
}

#[tokio::test]
async fn without_redis_each_instance_counts_and_nothing_fails() {
    // A port where nobody listens, and one where somebody listens and never answers.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [closed, deaf.local_addr().unwrap()] {
        let service = start_with(limited(Some(format!("redis://{address}")), "")).await;
        let client = service.client();
        for _ in 0..10 {
            register(&client).await.assert_problem(422, "VALIDATION_ERROR");
        }
        register(&client).await.assert_problem(429, "RATE_LIMITED");
        assert_eq!(service.limiter.ping().await, Some(false));
        let health = client.get("/health").send().await;
        assert_eq!((health.status, &health.body["status"]), (StatusCode::OK, &json!("degraded")));
    }
}

#[tokio::test]
async fn a_redis_that_stops_answering_stops_no_request() {
    let (address, stop) = proxy_to_redis().await;
    let service = start_with(limited(Some(address), &testkit::unique("limits"))).await;
    connected(&service).await;
    let client = service.client();
    register(&client).await.assert_problem(422, "VALIDATION_ERROR");
    stop.send(true).unwrap();
    for n in 0..10 {
        let reply = register(&client).await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.header("ratelimit-remaining"), Some((9 - n).to_string().as_str()), "counted in memory");
    }
    register(&client).await.assert_problem(429, "RATE_LIMITED");
    stop.send(false).unwrap();
    connected(&service).await;
    let reply = register(&client).await;
    assert_eq!(reply.header("ratelimit-remaining"), Some("8"), "shared again: one of ten was counted there before");
}

/// A way to the real Redis that can be cut (true) and opened again.
async fn proxy_to_redis() -> (String, tokio::sync::watch::Sender<bool>) {
    let real: http::Uri = testkit::redis_url().parse().unwrap();
    let authority = real.authority().unwrap().as_str().to_owned();
    let (login, target) =
        authority.rsplit_once('@').map_or(("", authority.as_str()), |(login, target)| (login, target));
    let target = target.to_owned();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("redis://{login}@{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let (target, mut stopped) = (target.clone(), stopped.clone());
            tokio::spawn(async move {
                if *stopped.borrow() {
                    return;
                }
                let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => (),
                    _ = stopped.wait_for(|stopped| *stopped) => (),
                }
            });
        }
    });
    (address, stop)
}

#[tokio::test]
async fn failed_sign_ins_are_throttled_by_address_of_the_network_and_good_ones_are_not() {
    let service = start_with(limited(None, "")).await;
    let client = service.signed_up("ana").await;
    for _ in 0..8 {
        assert_eq!(client.login("ana@example.com", PASSWORD).await.status, StatusCode::OK);
    }
    for _ in 0..5 {
        client.login("ana@example.com", "Wrong-horse-7").await.assert_problem(400, "LOGIN_BAD_CREDENTIALS");
    }
    let throttled = client.login("ana@example.com", PASSWORD).await;
    throttled.assert_problem(429, "LOGIN_THROTTLED");
    assert_eq!(throttled.body["code"], "HTTP_429");
    assert!(throttled.header("retry-after").is_some());
    let mut elsewhere = client.clone();
    elsewhere.peer = "2001:db8::1".parse().unwrap();
    assert_eq!(elsewhere.login("ana@example.com", PASSWORD).await.status, StatusCode::OK);
}

#[tokio::test]
async fn failed_sign_ins_are_throttled_by_e_mail_for_longer_than_a_minute() {
    let service = start_with(limited(None, "")).await;
    let client = service.signed_up("ana").await;
    for _ in 0..2 {
        for _ in 0..5 {
            client.login("ana@example.com", "Wrong-horse-7").await.assert_problem(400, "LOGIN_BAD_CREDENTIALS");
        }
        client.login("ana@example.com", PASSWORD).await.assert_problem(429, "LOGIN_THROTTLED");
        pass(Duration::from_secs(61)).await;
    }
    // The minute is over, but ten failed tries with one address from one place count for a quarter of an hour.
    let throttled = client.login("ANA@example.com", PASSWORD).await;
    throttled.assert_problem(429, "LOGIN_THROTTLED");
    assert_eq!(throttled.header("ratelimit-limit"), Some("10"));
    client.login("ben@example.com", PASSWORD).await.assert_problem(400, "LOGIN_BAD_CREDENTIALS");
    pass(Duration::from_secs(14 * 60)).await;
    assert_eq!(client.login("ana@example.com", PASSWORD).await.status, StatusCode::OK);
}

/// Lets the limiter's time pass without waiting for it.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_hundred_failed_sign_ins_from_everywhere_close_an_e_mail_for_an_hour() {
    let service = start_with(limited(None, "")).await;
    let client = service.signed_up("ana").await;
    let places = (0..20).map(|place| {
        let mut client = client.clone();
        async move {
            client.peer = format!("198.51.100.{place}").parse().unwrap();
            for _ in 0..5 {
                client.login("ana@example.com", "Wrong-horse-7").await.assert_problem(400, "LOGIN_BAD_CREDENTIALS");
            }
        }
    });
    futures::future::join_all(places).await;
    let throttled = client.login("ana@example.com", PASSWORD).await;
    throttled.assert_problem(429, "LOGIN_THROTTLED");
    assert_eq!(throttled.header("ratelimit-limit"), Some("100"));
}

#[tokio::test]
async fn one_address_tries_to_sign_in_thirty_times_a_minute_at_most() {
    let service = start_with(limited(None, "")).await;
    let client = service.signed_up("ana").await;
    for _ in 0..29 {
        assert_eq!(client.login("ana@example.com", PASSWORD).await.status, StatusCode::OK);
    }
    client.login("ana@example.com", PASSWORD).await.assert_problem(429, "LOGIN_THROTTLED");
}

#[tokio::test]
async fn the_neighbours_in_one_ipv6_network_share_their_limit() {
    let service = start_with(limited(None, "")).await;
    let mut client = service.client();
    for n in 0..10 {
        client.peer = format!("2001:db8:1:2::{n}").parse().unwrap();
        register(&client).await.assert_problem(422, "VALIDATION_ERROR");
    }
    client.peer = "2001:db8:1:2:ffff::1".parse().unwrap();
    register(&client).await.assert_problem(429, "RATE_LIMITED");
    client.peer = "2001:db8:1:3::1".parse().unwrap();
    register(&client).await.assert_problem(422, "VALIDATION_ERROR");
}
