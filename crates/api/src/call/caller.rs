//! Who calls: by bearer token, or by the cookie.

use http::header::{AUTHORIZATION, COOKIE as COOKIE_HEADER, HeaderMap};
use identity::{AuthFailure, Caller};

use crate::app::App;
use crate::problem::{Kind, Problem, catalogue};

/// The name of the cookie.
pub const COOKIE: &str = "h2o_session";

/// What showed who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// The header `Authorization`.
    Bearer,
    /// The cookie.
    Cookie,
}

/// Who calls. If both carriers are there the bearer alone decides.
pub(super) async fn authenticate(app: &App, headers: &HeaderMap) -> Result<(Caller, Carrier), Problem> {
    let now = app.clock().now();
    let (found, carrier) = if headers.contains_key(AUTHORIZATION) {
        let Some(token) = bearer(headers) else { return Err(catalogue::UNAUTHENTICATED.into()) };
        (app.sessions().authenticate_bearer(token, now).await, Carrier::Bearer)
    } else {
        let Some(value) = cookie_value(headers) else { return Err(catalogue::UNAUTHENTICATED.into()) };
        (app.sessions().authenticate_cookie(value, now).await, Carrier::Cookie)
    };
    found.map(|caller| (caller, carrier)).map_err(|failure| problem(&failure))
}

fn problem(failure: &AuthFailure) -> Problem {
    let kind: Kind = match failure {
        AuthFailure::Malformed | AuthFailure::Unknown => catalogue::UNAUTHENTICATED,
        AuthFailure::Expired => catalogue::SESSION_EXPIRED,
        AuthFailure::Revoked => catalogue::SESSION_REVOKED,
        // Not 401: the web client would throw the user out.
        AuthFailure::Storage(error) => {
            tracing::error!(error = %error, "sessions cannot be read");
            catalogue::SERVICE_UNAVAILABLE
        }
    };
    kind.into()
}

/// The token of the header `Authorization: Bearer`, if there is one.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of our cookie, if there is one.
#[must_use]
pub fn cookie_value(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE_HEADER).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriers_are_found_among_others() {
        let headers =
            |name: &'static str, value: &str| HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        assert_eq!(cookie_value(&headers("cookie", "a=b; h2o_session=x=y; c=d")), Some("x=y"));
        assert_eq!(cookie_value(&headers("cookie", "xh2o_session=1")), None);
        assert_eq!(bearer(&headers("authorization", "bearer abc")), Some("abc"));
        assert_eq!(bearer(&headers("authorization", "Basic abc")), None);
        assert_eq!(bearer(&headers("authorization", "Bearer")), None);
    }
}
