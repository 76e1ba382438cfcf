//! The limits of the routes: the figures of the contract's endpoint index.

use http::Method;

/// How often one account, or one address where nobody is signed in, may ask a route within a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// As often as it likes.
    None,
    /// So many times.
    PerMinute(u32),
}

/// Where all routes but a few begin.
pub const PREFIX: &str = "/api/v1";

/// The limit of a route, by its template; `None` if no limit was ever decided for it.
#[must_use]
pub fn limit_of(method: &Method, route: &str) -> Option<Limit> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let path = route.strip_prefix(PREFIX).unwrap_or(route);
    let found = RULES.iter().find(|(m, p, _)| m == method && *p == path)?;
    Some(found.2)
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

const fn per_minute(times: u32) -> Limit {
    Limit::PerMinute(times)
}

static RULES: &[(Method, &str, Limit)] = &[
    // Signing in has limits of its own: see `auth`.
    (POST, "/auth/jwt/login", Limit::None),
    (POST, "/auth/jwt/logout", Limit::None),
    (POST, "/auth/register", per_minute(10)),
    (GET, "/auth/me", per_minute(300)),
    (GET, "/", Limit::None),
    (GET, "/ping", Limit::None),
    (GET, "/health", Limit::None),
    (GET, "/health/liveness", Limit::None),
    (GET, "/health/readiness", Limit::None),
    (GET, "/metrics", Limit::None),
    (GET, "/problems/{slug}", Limit::None),
    (GET, "/openapi.json", Limit::None),
    (GET, "/docs", Limit::None),
    (GET, "/docs/{file}", Limit::None),
    (GET, "/redoc", Limit::None),
    (GET, "/projects", per_minute(120)),
    (GET, "/projects/stats", per_minute(120)),
    (POST, "/projects", per_minute(100)),
    (GET, "/projects/{id}", per_minute(300)),
    (PATCH, "/projects/{id}", per_minute(120)),
    (DELETE, "/projects/{id}", per_minute(60)),
    (GET, "/projects/{id}/timeline", per_minute(300)),
    (GET, "/projects/{id}/data", per_minute(300)),
    (PATCH, "/projects/{id}/data", per_minute(600)),
    (PUT, "/projects/{id}/data", per_minute(120)),
    (POST, "/ai/proposals/generate", per_minute(10)),
    (GET, "/ai/proposals/jobs", per_minute(120)),
    (GET, "/ai/proposals/jobs/{job_id}", per_minute(600)),
    (POST, "/ai/proposals/jobs/{job_id}/cancel", per_minute(30)),
    (GET, "/ai/proposals/{project_id}/proposals", per_minute(300)),
    (GET, "/ai/proposals/{project_id}/proposals/{id}", per_minute(300)),
    (DELETE, "/ai/proposals/{project_id}/proposals/{id}", per_minute(60)),
    (GET, "/ai/proposals/{project_id}/proposals/{id}/ai-metadata", per_minute(300)),
    (GET, "/audit/events", per_minute(120)),
    (GET, "/audit/streams/{type}/{id}", per_minute(120)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_with_and_without_the_prefix_and_head_is_get() {
        assert_eq!(limit_of(&GET, "/api/v1/projects"), Some(Limit::PerMinute(120)));
        assert_eq!(limit_of(&Method::HEAD, "/api/v1/projects"), Some(Limit::PerMinute(120)));
        assert_eq!(limit_of(&GET, "/health"), Some(Limit::None));
        assert_eq!(limit_of(&PUT, "/api/v1/projects"), None);
    }

    #[test]
    fn no_route_has_two_limits() {
        for (at, (method, path, _)) in RULES.iter().enumerate() {
            assert!(RULES[..at].iter().all(|(m, p, _)| (m, p) != (method, path)), "{method} {path}");
        }
    }
}
