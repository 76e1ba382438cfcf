//! The service on a socket: what hyper does, and what we do about it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{ORIGIN, Options, SOON, Service, start, start_with};

async fn listen(service: &Service) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api::serve(listener, service.front.clone(), stop.clone(), Duration::from_secs(5)));
    (address, stop, serving)
}

/// Sends bytes on a new connection and reads until the other side closes it.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request).await.unwrap();
    let mut answer = vec![];
    tokio::time::timeout(SOON, connection.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

fn request(head: &str) -> Vec<u8> {
    format!("{head}\r\nHost: localhost\r\nOrigin: {ORIGIN}\r\nConnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn what_is_too_long_is_refused_with_a_problem_that_a_page_can_read() {
    let service = start().await;
    let (address, _stop, _serving) = listen(&service).await;
    let ping = exchange(address, &request("GET /ping HTTP/1.1")).await;
    assert!(ping.starts_with("HTTP/1.1 200 OK\r\n") && ping.ends_with(r#"{"status":"ok"}"#), "{ping}");
    let long = request(&format!("GET /ping?{} HTTP/1.1", "x".repeat(9_000)));
    let many: String = (0..400).map(|n| format!("\r\nx-{n}: {}", "y".repeat(100))).collect();
    for (wrong, status, code) in [
        (long, "414 URI Too Long", "URI_TOO_LONG"),
        (request(&format!("GET /ping HTTP/1.1\r\nx-filler: {}", "x".repeat(40_000))), "431 ", "HEADERS_TOO_LARGE"),
        (request(&format!("GET /ping HTTP/1.1{many}")), "431 ", "HEADERS_TOO_LARGE"),
    ] {
        let answer = exchange(address, &wrong).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code), "{answer}");
        assert!(answer.contains(&format!("access-control-allow-origin: {ORIGIN}")), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_gets_its_answer_and_not_a_broken_connection() {
    let service = start().await;
    let (address, _stop, _serving) = listen(&service).await;
    let length = 2 * 1024 * 1024;
    let mut upload = format!(
        "POST /api/v1/auth/register HTTP/1.1\r\nHost: localhost\r\nOrigin: {ORIGIN}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    upload.resize(upload.len() + length, b' ');
    let answer = exchange(address, &upload).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let service = start_with(Options {
        configure: |config| config.body_stall = Duration::from_millis(100),
        ..Options::default()
    })
    .await;
    let (address, _stop, _serving) = listen(&service).await;
    let begun =
        "POST /api/v1/auth/register HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{";
    let answer = exchange(address, begun.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("HTTP_408"), "{answer}");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504() {
    let service = start_with(Options {
        configure: |config| config.request_timeout = Duration::from_millis(100),
        ..Options::default()
    })
    .await;
    let (address, _stop, _serving) = listen(&service).await;
    let begun =
        "POST /api/v1/auth/register HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{";
    let answer = exchange(address, begun.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("GATEWAY_TIMEOUT"), "{answer}");
}

#[tokio::test]
async fn stopping_lets_requests_end_and_takes_no_new_ones() {
    let service = start().await;
    let (address, stop, serving) = listen(&service).await;
    let mut under_way = TcpStream::connect(address).await.unwrap();
    let head =
        "POST /api/v1/auth/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    under_way.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request has begun.
    let mut asked = [0; 25];
    tokio::time::timeout(SOON, under_way.read_exact(&mut asked)).await.unwrap().unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stop.cancel();
    testkit::wait_until(SOON, async || TcpStream::connect(address).await.err()).await;
    under_way.write_all(b"{}").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, under_way.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    tokio::time::timeout(SOON, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn nonsense_on_the_wire_ends_the_connection_only() {
    let service = start().await;
    let (address, _stop, _serving) = listen(&service).await;
    let answer = exchange(address, b"\x16\x03\x01 this is no http\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(exchange(address, &request("GET /ping HTTP/1.1")).await.starts_with("HTTP/1.1 200 "));
}
