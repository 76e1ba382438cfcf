//! The settings of this crate, read and checked by the server.

use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;

/// What the operator may choose.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Where people find the service.
    pub public_url: PublicUrl,
    /// Other origins whose pages may call it, exactly as a browser sends them.
    pub cors_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether requests are limited at all. Off only for benchmarks and tests.
    pub rate_limits: bool,
    /// The environment's name, as the root page tells it.
    pub environment: String,
    /// This release.
    pub version: String,
    /// Most bytes of a body, unless it is project data.
    pub body_limit: usize,
    /// Most bytes of a body with project data.
    pub data_limit: usize,
    /// How long a write waits for the read models, and a read for the account's own writes.
    pub wait_for_reads: Duration,
    /// How long a request may take as a whole.
    pub request_timeout: Duration,
    /// After how long a generation ends, if need be without a proposal.
    pub generation_deadline: Duration,
    /// How long a body may make no progress.
    pub body_stall: Duration,
    /// Most connections at one time. Those that come later wait in the kernel's queue.
    pub connections: usize,
}

impl ApiConfig {
    /// The contract's defaults, for a service at this address.
    #[must_use]
    pub fn at(public_url: PublicUrl) -> Self {
        Self {
            public_url,
            cors_origins: vec!["http://localhost:3000".to_owned()],
            trusted_proxies: vec![],
            rate_limits: true,
            environment: "development".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            body_limit: 256 * 1024,
            data_limit: 1024 * 1024,
            wait_for_reads: Duration::from_secs(2),
            request_timeout: Duration::from_secs(25),
            generation_deadline: Duration::from_secs(14 * 60),
            body_stall: Duration::from_secs(15),
            connections: 10_000,
        }
    }

    /// Whether pages of this origin may call with credentials.
    #[must_use]
    pub fn allows_origin(&self, origin: &str) -> bool {
        origin == self.public_url.origin() || self.cors_origins.iter().any(|allowed| allowed == origin)
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }
}

/// The address of the service, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    origin: String,
}

/// The text is not an `http` or `https` address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https address")]
pub struct NotAnAddress;

impl PublicUrl {
    /// Reads an address such as `https://water.example.com`.
    ///
    /// # Errors
    ///
    /// [`NotAnAddress`] if it is no absolute `http` or `https` address.
    pub fn new(text: &str) -> Result<Self, NotAnAddress> {
        let text = text.trim_end_matches('/');
        let uri: Uri = text.parse().map_err(|_| NotAnAddress)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(NotAnAddress) };
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Err(NotAnAddress),
        };
        // A browser leaves the scheme's own port out of an origin, and writes hosts in lower case.
        let port = authority.port_u16().filter(|port| *port != default_port);
        let host = authority.host().to_ascii_lowercase();
        let origin = port.map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}"));
        Ok(Self { text: text.to_owned(), origin })
    }

    /// The address itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its origin, as a browser sends it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether cookies can be sent over TLS only.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.origin.starts_with("https:")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_origin_that_a_browser_sends() {
        for (text, origin, secure) in [
            ("http://localhost:8000/", "http://localhost:8000", false),
            ("https://Water.Example.com:443/app", "https://water.example.com", true),
            ("http://[::1]:80", "http://[::1]", false),
        ] {
            let url = PublicUrl::new(text).unwrap();
            assert_eq!((url.origin(), url.is_secure()), (origin, secure));
        }
        for wrong in ["", "localhost", "ftp://x", "/api", "http://"] {
            assert_eq!(PublicUrl::new(wrong), Err(NotAnAddress), "{wrong}");
        }
    }
}
