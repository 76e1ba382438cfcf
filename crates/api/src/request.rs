//! What is known of a request before anybody looks at what it asks for.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use eventstore::CommandContext;
use http::header::{HeaderMap, HeaderName, ORIGIN, USER_AGENT};
use http::{Extensions, Method};
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::ApiConfig;
use crate::limits::Verdict;

/// The header with the request's id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Most characters of a browser's name that are kept.
const USER_AGENT_KEPT: usize = 300;

/// What is known of a request before anybody looks at what it asks for.
#[derive(Debug)]
pub struct RequestInfo {
    /// Its id: the caller's, or a new one.
    pub id: String,
    /// What its events have in common with others: the caller's word, or the id.
    pub correlation_id: String,
    /// The trace it belongs to, in the form of the W3C header.
    pub traceparent: Option<String>,
    /// Who sent it, as far as trusted proxies tell.
    pub client: IpAddr,
    /// The browser, as it names itself.
    pub user_agent: Option<String>,
    /// Whose page sent it.
    pub origin: Origin,
    /// When it came in.
    pub started: Instant,
    /// The template of its route, once that is known.
    route: OnceLock<String>,
    /// What the answer says about limits, once that is known.
    verdict: Mutex<Option<Verdict>>,
    /// The command it gives, if it came with an idempotency key, once that is known.
    repeatable: OnceLock<CommandContext>,
}

/// Whose page sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// None that names itself, such as a program.
    Unnamed,
    /// One of ours or of an allowed origin: this text is echoed.
    Allowed(String),
    /// Somebody else's.
    Foreign,
}

impl RequestInfo {
    /// Reads it from a request's headers; `peer` is the other end of the connection.
    #[must_use]
    pub fn read(headers: &HeaderMap, peer: IpAddr, config: &ApiConfig, started: Instant) -> Self {
        let id = word(headers, &X_REQUEST_ID).unwrap_or_else(|| Uuid::now_v7().simple().to_string());
        Self {
            correlation_id: word(headers, &X_CORRELATION_ID).unwrap_or_else(|| id.clone()),
            id,
            traceparent: text(headers, &TRACEPARENT).filter(|trace| is_traceparent(trace)).map(str::to_owned),
            client: client(headers, peer, config),
            user_agent: text(headers, &USER_AGENT).map(|name| name.chars().take(USER_AGENT_KEPT).collect()),
            origin: origin(headers, config),
            started,
            route: OnceLock::new(),
            verdict: Mutex::new(None),
            repeatable: OnceLock::new(),
        }
    }

    /// The one that belongs to a request.
    ///
    /// # Panics
    ///
    /// If the request did not come through [`crate::Front`].
    #[must_use]
    pub fn of(extensions: &Extensions) -> Arc<Self> {
        Arc::clone(extensions.get::<Arc<Self>>().expect("every request comes through the front"))
    }

    /// The template of the route, such as `/api/v1/projects/{id}`; `none` for a request that found no route.
    #[must_use]
    pub fn route(&self) -> &str {
        self.route.get().map_or("none", String::as_str)
    }

    pub(crate) fn set_route(&self, template: &str) {
        self.route.get_or_init(|| template.to_owned());
    }

    pub(crate) fn set_verdict(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
    }

    pub(crate) fn verdict(&self) -> Option<Verdict> {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command that it gives, if it came with an idempotency key.
    pub(crate) fn repeatable(&self) -> Option<&CommandContext> {
        self.repeatable.get()
    }

    pub(crate) fn set_repeatable(&self, context: CommandContext) {
        self.repeatable.get_or_init(|| context);
    }

    /// Whom limits are counted for where nobody is signed in: an IPv4 address, or the /64 network of an IPv6 one.
    #[must_use]
    pub fn network(&self) -> String {
        match self.client {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                format!("{}/64", Ipv6Addr::from(network))
            }
        }
    }

    /// Whether the headers prove that one of our own or allowed pages sent it.
    #[must_use]
    pub fn is_from_our_pages(&self, headers: &HeaderMap) -> bool {
        match self.origin {
            Origin::Allowed(_) => true,
            Origin::Foreign => false,
            Origin::Unnamed => text(headers, &SEC_FETCH_SITE) == Some("same-origin"),
        }
    }
}

/// Whether the method changes nothing.
#[must_use]
pub fn only_reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A header that is 1 to 64 characters of the few that are harmless everywhere.
fn word(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let word = text(headers, name)?;
    let harmless = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    ((1..=64).contains(&word.len()) && word.bytes().all(harmless)).then(|| word.to_owned())
}

/// Version 00 of the W3C's Trace Context: `00-` trace `-` parent `-` flags, in lower-case hexadecimal digits.
fn is_traceparent(text: &str) -> bool {
    let lengths = [2, 32, 16, 2];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lengths.len()
        && parts[0] == "00"
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, length)| part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

fn origin(headers: &HeaderMap, config: &ApiConfig) -> Origin {
    match headers.get(ORIGIN) {
        None => Origin::Unnamed,
        Some(value) => match value.to_str() {
            Ok(origin) if config.allows_origin(origin) => Origin::Allowed(origin.to_owned()),
            Ok(_) | Err(_) => Origin::Foreign,
        },
    }
}

/// The right-most address that is no trusted proxy's: what stands left of it was written by whom we do not know.
fn client(headers: &HeaderMap, peer: IpAddr, config: &ApiConfig) -> IpAddr {
    let mut client = peer.to_canonical();
    let hops = headers.get_all(X_FORWARDED_FOR).iter().rev().filter_map(|value| value.to_str().ok());
    for hop in hops.flat_map(|value| value.rsplit(',')) {
        if !config.trusts(client) {
            break;
        }
        let Some(address) = address(hop.trim()) else { break };
        client = address;
    }
    client
}

/// An address as proxies write it: bare, in brackets, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(inside, _)| inside);
    let parsed = bare.parse::<IpAddr>().ok();
    parsed.or_else(|| Some(text.parse::<std::net::SocketAddr>().ok()?.ip())).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PublicUrl;

    fn config() -> ApiConfig {
        let mut config = ApiConfig::at(PublicUrl::new("https://water.example.com").unwrap());
        config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        config
    }

    fn read(peer: &str, headers: &[(&'static str, &str)]) -> RequestInfo {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        RequestInfo::read(&map, peer.parse().unwrap(), &config(), Instant::now())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let forwarded = [("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.1.2.3")];
        assert_eq!(read("192.0.2.1", &forwarded).network(), "192.0.2.1");
        assert_eq!(read("10.9.9.9", &forwarded).network(), "198.51.100.7", "what is left of it may be invented");
        assert_eq!(read("10.9.9.9", &[]).network(), "10.9.9.9");
        assert_eq!(read("10.9.9.9", &[("x-forwarded-for", "1.2.3.4, nonsense")]).network(), "10.9.9.9");
        let twice = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.7:4711")];
        assert_eq!(read("::ffff:10.0.0.1", &twice).network(), "198.51.100.7");
        let v6 = [("x-forwarded-for", "[2001:db8:1:2:3:4:5:6]:443")];
        assert_eq!(read("::1", &v6).network(), "2001:db8:1:2::/64");
    }

    #[test]
    fn ids_of_callers_are_taken_only_if_they_are_harmless() {
        assert_eq!(read("192.0.2.1", &[("x-request-id", "a.B_9-")]).id, "a.B_9-");
        for wrong in ["", "a b", "a\"b", "ä", &"x".repeat(65)] {
            let info = read("192.0.2.1", &[("x-request-id", wrong)]);
            assert!(info.id != wrong && info.id.len() == 32);
            assert_eq!(info.correlation_id, info.id);
        }
        let info = read("192.0.2.1", &[("x-request-id", "r"), ("x-correlation-id", "c")]);
        assert_eq!((info.id.as_str(), info.correlation_id.as_str()), ("r", "c"));
    }

    #[test]
    fn a_trace_is_taken_only_in_its_form() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(read("192.0.2.1", &[("traceparent", good)]).traceparent.as_deref(), Some(good));
        for wrong in
            ["00-4bf9-00f0-01", &good.to_uppercase(), "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]
        {
            assert_eq!(read("192.0.2.1", &[("traceparent", wrong)]).traceparent, None, "{wrong}");
        }
    }

    #[test]
    fn our_own_pages_are_known_by_origin_or_by_the_browsers_word() {
        let from_ours = |headers: &[(&'static str, &str)]| {
            let map: HeaderMap = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
            RequestInfo::read(&map, "192.0.2.1".parse().unwrap(), &config(), Instant::now()).is_from_our_pages(&map)
        };
        assert!(from_ours(&[("origin", "https://water.example.com")]));
        assert!(from_ours(&[("origin", "http://localhost:3000")]));
        assert!(from_ours(&[("sec-fetch-site", "same-origin")]));
        assert!(!from_ours(&[]));
        assert!(!from_ours(&[("origin", "null")]));
        assert!(!from_ours(&[("sec-fetch-site", "cross-site")]));
        assert!(!from_ours(&[("origin", "https://evil.example.com"), ("sec-fetch-site", "same-origin")]));
    }
}
