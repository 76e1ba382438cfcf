//! What is the same for every answer: problems, CORS, ids, methods, addresses.

use crate::support::{ORIGIN, Reply, start};
use http::{Method, StatusCode};
use serde_json::json;

#[track_caller]
fn assert_readable_by_a_page(reply: &Reply) {
    assert_eq!(reply.header("access-control-allow-origin"), Some(ORIGIN), "{}", reply.text);
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    assert!(reply.header("access-control-expose-headers").unwrap().contains("X-Event-Position"));
}

#[tokio::test]
async fn every_answer_has_an_id_and_its_guards() {
    let service = start().await;
    let client = service.client();
    for path in ["/ping", "/api/v1/nowhere", "/api/v1/auth/me", "/metrics", "/api/v1/docs"] {
        let reply = client.get(path).header("x-request-id", "r-1").send().await;
        assert_eq!(reply.header("x-request-id"), Some("r-1"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("vary"), Some("Origin, Authorization, Cookie"));
        assert!(reply.header("cache-control").is_some());
    }
    let made_up = client.get("/ping").header("x-request-id", "not good").send().await;
    assert_eq!(made_up.header("x-request-id").unwrap().len(), 32);
}

#[tokio::test]
async fn pages_of_allowed_origins_can_read_every_failure() {
    let service = start().await;
    let client = service.client();
    let with_origin = |method: Method, path: &str| client.request(method, path).header("origin", ORIGIN);
    let unauthenticated = with_origin(Method::GET, "/api/v1/auth/me").send().await;
    unauthenticated.assert_problem(401, "UNAUTHENTICATED");
    let not_found = with_origin(Method::GET, "/api/v1/nowhere").send().await;
    not_found.assert_problem(404, "NOT_FOUND");
    let method = with_origin(Method::DELETE, "/api/v1/auth/register").send().await;
    method.assert_problem(405, "METHOD_NOT_ALLOWED");
    assert_eq!(method.header("allow"), Some("POST, OPTIONS"));
    let invalid = with_origin(Method::POST, "/api/v1/auth/register").json(&json!({})).send().await;
    invalid.assert_problem(422, "VALIDATION_ERROR");
    let large = with_origin(Method::POST, "/api/v1/auth/register").body(vec![b' '; 300_000]).send().await;
    large.assert_problem(413, "PAYLOAD_TOO_LARGE");
    let long = with_origin(Method::GET, &format!("/ping?{}", "x".repeat(9000))).send().await;
    long.assert_problem(414, "URI_TOO_LONG");
    let headers = with_origin(Method::GET, "/ping").header("x-filler", &"x".repeat(40_000)).send().await;
    headers.assert_problem(431, "HEADERS_TOO_LARGE");
    for reply in [unauthenticated, not_found, method, invalid, large, long, headers] {
        assert_readable_by_a_page(&reply);
    }
    let foreign = client.get("/ping").header("origin", "https://evil.example.com").send().await;
    assert_eq!(foreign.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_preflight_is_answered_before_anything_else() {
    let service = start().await;
    let client = service.client();
    for path in ["/api/v1/auth/me", "/api/v1/auth/register", "/api/v1/nowhere", "/api/v1/projects/x/data?merge=true"] {
        let preflight = client.request(Method::OPTIONS, path).header("origin", ORIGIN);
        let reply = preflight
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,content-type")
            .send()
            .await;
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::NO_CONTENT, ""), "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), Some(ORIGIN));
        assert_eq!(reply.header("access-control-max-age"), Some("7200"));
        let methods = reply.header("access-control-allow-methods").unwrap();
        assert!(
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].iter().all(|method| methods.contains(method))
        );
        assert!(reply.header("access-control-allow-headers").unwrap().contains("Idempotency-Key"));
        assert_eq!(reply.header("content-type"), None);
    }
    let plain = client.request(Method::OPTIONS, "/api/v1/auth/me").send().await;
    assert_eq!((plain.status, plain.header("allow")), (StatusCode::NO_CONTENT, Some("GET, HEAD, OPTIONS")));
}

#[tokio::test]
async fn one_trailing_slash_is_ignored_without_a_redirect() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let reply = client.get("/api/v1/auth/me/").send().await;
    assert_eq!(reply.status, StatusCode::OK);
    client.get("/api/v1/auth/me//").send().await.assert_problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn the_service_tells_about_itself() {
    let service = start().await;
    let client = service.client();
    let root = client.get("/").send().await;
    assert_eq!((root.status, &root.body["health_url"]), (StatusCode::OK, &json!("/api/v1/health")));
    assert_eq!(client.get("/ping").send().await.body, json!({"status": "ok"}));
    for prefix in ["", "/api/v1"] {
        let health = client.get(&format!("{prefix}/health")).send().await;
        assert_eq!((health.status, &health.body["status"]), (StatusCode::OK, &json!("healthy")), "{}", health.text);
        assert_eq!((&health.body["openai"], &health.body["database"]), (&json!("not configured"), &json!("healthy")));
        assert_eq!(health.body["checks"]["projections"]["status"], "up");
        assert_eq!(client.get(&format!("{prefix}/health/liveness")).send().await.body, json!({"status": "alive"}));
        testkit::wait_until(crate::support::SOON, async || {
            let reply = client.get(&format!("{prefix}/health/readiness")).send().await;
            (reply.body == json!({"status": "ready", "database": "connected"})).then_some(())
        })
        .await;
    }
    service.app.drain();
    let draining = client.get("/health/readiness").send().await;
    assert_eq!((draining.status, &draining.body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("not ready")));
    assert_eq!(client.get("/ping").send().await.status, StatusCode::OK, "what is under way goes on");
    let explained = client.get("/problems/rate-limited").send().await;
    assert_eq!((explained.status, &explained.body["code"]), (StatusCode::OK, &json!("RATE_LIMITED")));
    client.get("/problems/nonsense").send().await.assert_problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn the_document_names_every_route_and_every_route_has_a_limit() {
    let service = start().await;
    let client = service.client();
    let document = client.get("/api/v1/openapi.json").send().await.body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/api/v1/auth/register",
        "/api/v1/auth/jwt/login",
        "/api/v1/auth/me",
        "/api/v1/audit/streams/{type}/{id}",
        "/health",
    ] {
        assert!(paths.contains_key(path), "{path} is missing");
    }
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let verb = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            assert!(api::limits::limit_of(&verb, path).is_some(), "no limit was decided for {verb} {path}");
            let problem = &operation["responses"]["4XX"]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(problem, "#/components/schemas/Problem", "{verb} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{verb} {path} has the name of another");
            let signed_in = operation["security"].is_array();
            let open = !path.starts_with("/api/v1/")
                || path.contains("/health")
                || path.contains("/jwt/")
                || path.contains("/register");
            assert_eq!(signed_in, !open, "{verb} {path}");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let keyed = parameters.map(|parameter| &parameter["name"]).any(|name| name == "Idempotency-Key");
            assert_eq!(keyed, verb != Method::GET && !path.contains("/jwt/"), "{verb} {path}");
        }
    }
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["ProjectChanges"]["properties"]["name"]["maxLength"], 255);
    assert_eq!(schemas["Stats"]["properties"]["avg_progress"]["type"], "integer");
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "schema {name} is missing");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let service = start().await;
    let client = service.client();
    let page = client.get("/api/v1/docs").send().await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(!page.text.contains("://"));
    let addresses = page.text.split(['"']).filter(|part| part.starts_with('/')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(addresses.len(), 3);
    for address in addresses {
        let part = client.get(&address).send().await;
        assert_eq!(part.status, StatusCode::OK, "{address}");
        assert!(!part.text.is_empty());
    }
    let redoc = client.get("/api/v1/redoc").send().await;
    assert_eq!((redoc.status.as_u16(), redoc.header("location")), (303, Some("/api/v1/docs")));
}

#[tokio::test]
async fn metrics_name_routes_and_no_addresses() {
    let service = start().await;
    let client = service.client();
    client.get("/problems/some-made-up-word").send().await;
    client.get("/nowhere/some-made-up-word").send().await;
    client.request(Method::from_bytes(b"BREW").unwrap(), "/ping").send().await;
    let metrics = client.get("/metrics").send().await.text;
    assert!(metrics.contains(r#"route="/problems/{slug}""#) && metrics.contains(r#"route="none""#));
    assert!(metrics.contains(r#"method="other""#) && !metrics.contains("BREW") && !metrics.contains("made-up"));
    assert!(metrics.contains("http_request_seconds_bucket"));
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_only_its_id() {
    let service = start().await;
    async fn break_down() -> StatusCode {
        panic!("a secret in a panic's message")
    }
    let routes = axum::Router::new().route("/api/v1/broken", axum::routing::get(break_down));
    let front = api::Front::with_router(service.app.clone(), routes);
    let client = service.client().through(front);
    let reply = client.get("/api/v1/broken").header("origin", ORIGIN).send().await;
    reply.assert_problem(500, "INTERNAL_ERROR");
    assert_readable_by_a_page(&reply);
    assert!(!reply.text.contains("secret"));
    assert_eq!(client.get("/api/v1/broken").send().await.status.as_u16(), 500, "the next request is answered too");
}

#[tokio::test]
async fn without_the_database_answers_are_503_with_a_time_to_come_back() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    service.app.store().pool().close().await;
    let me = client.get("/api/v1/auth/me").header("origin", ORIGIN).send().await;
    // Who calls may still be known for a moment; what they ask for is not.
    me.assert_problem(503, "SERVICE_UNAVAILABLE");
    assert!(me.header("retry-after").is_some());
    assert_readable_by_a_page(&me);
    client.login("ana@example.com", crate::support::PASSWORD).await.assert_problem(503, "SERVICE_UNAVAILABLE");
    assert_eq!(client.post("/api/v1/auth/jwt/logout").send().await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/health/liveness").send().await.status, StatusCode::OK);
    let ready = client.get("/health/readiness").send().await;
    assert_eq!(
        (ready.status.as_u16(), &ready.body),
        (503, &json!({"status": "not ready", "database": "disconnected"}))
    );
    let health = client.get("/health").send().await;
    assert_eq!((health.status.as_u16(), &health.body["status"]), (503, &json!("unhealthy")));
    assert_eq!(health.body["checks"]["postgres"]["status"], "down");
}
