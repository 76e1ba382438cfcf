//! The accept loop: connections, their limits, and their end.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::front::Front;

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// Most bytes of a request's head that hyper reads. What is above the contract's limits and below this is answered by
/// [`Front`] with a problem document; what is above this by hyper itself, in short.
const HEAD_READ: usize = 256 * 1024;
/// Most headers that hyper reads, for the same reason.
const HEADERS_READ: usize = 1024;
/// How long to wait after the system refused a connection, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is cancelled, then lets requests that are under way end and what they have begun, at most for
/// `patience`.
///
/// Connections speak HTTP/1.1. Others come through a proxy.
pub async fn serve(listener: TcpListener, front: Front, stop: CancellationToken, patience: Duration) {
    let connections = Arc::new(Semaphore::new(front.app().config().connections));
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, peer, permit) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let connection = connect(stream, peer.ip(), front.clone());
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            // A connection that breaks is the other side's business: nothing of ours is wrong then.
            if let Err(error) = watched.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    front.app().drain();
    let ended = async {
        graceful.shutdown().await;
        front.app().finished().await;
    };
    if tokio::time::timeout(patience, ended).await.is_err() {
        tracing::warn!("requests that were still under way were cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit) {
    let permit = Arc::clone(connections).acquire_owned().await.expect("nobody closes the semaphore");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true); // Without it answers are only a little slower.
                return (stream, peer, permit);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn connect(
    stream: TcpStream,
    peer: IpAddr,
    front: Front,
) -> http1::Connection<TokioIo<TcpStream>, impl hyper::service::HttpService<Incoming, ResBody = Body, Future: Send>> {
    let answer = service_fn(move |request: Request<Incoming>| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(front.answer(request.map(Body::new), peer).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_READ)
        .max_headers(HEADERS_READ)
        .serve_connection(TokioIo::new(stream), answer)
}
