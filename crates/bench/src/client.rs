//! HTTP as thin as it can be had: one connection, one request at a time, nothing looked at that is not asked for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Error;

/// How long the web client waits for an answer, and so do we.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where requests go, and in whose name.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// The value of `Authorization`, once signed in.
    pub bearer: Option<HeaderValue>,
}

impl Target {
    /// A request for `path` with a JSON body, which may be empty.
    pub fn request(&self, method: Method, path: &Uri, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The server does not tell hosts apart; HTTP/1.1 only asks for a name.
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        if let Some(bearer) = &self.bearer {
            headers.insert(header::AUTHORIZATION, bearer.clone());
        }
        request
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The code of the problem the body describes, or nothing.
    pub fn problem(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection that is kept alive.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] and [`Error::Http`] if there is nobody who speaks HTTP.
    pub async fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await.map_err(Error::Connection)?;
        stream.set_nodelay(true).map_err(Error::Connection)?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await?;
        // Its outcome is known to the request that was under way; an idle connection that ends is opened anew.
        tokio::spawn(driver);
        Ok(Self { sender })
    }

    /// Whether the other side has ended it.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and reads its whole answer, whatever its status.
    ///
    /// # Errors
    ///
    /// As [`Connection::open`], and [`Error::TooLong`] after as long as the web client waits.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let answer = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            Ok(Answer { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() })
        };
        let late = |_| Error::TooLong { what: "an answer", seconds: PATIENCE.as_secs() };
        timeout(PATIENCE, answer).await.map_err(late)?
    }
}

/// Reads a path as it stands in a request line.
///
/// # Errors
///
/// [`Error::Connection`] if it holds what a request line cannot.
pub fn path(text: &str) -> Result<Uri, Error> {
    text.parse().map_err(|error| Error::Connection(io::Error::new(io::ErrorKind::InvalidInput, error)))
}
