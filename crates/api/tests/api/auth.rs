//! Registering, signing in and out, the own account.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{ORIGIN, PASSWORD, SOON, start, start_with};

fn registration(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "first_name": "Ana", "last_name": "Torres"})
}

#[tokio::test]
async fn registering_signing_in_and_reading_oneself_follow_each_other_without_a_pause() {
    let service = start().await;
    let mut client = service.client();
    let body = json!({
        "email": "Ana.Torres@Example.com", "password": PASSWORD, "first_name": "Ana", "last_name": "", "company_name": "Aguas",
        "location": "", "sector": "", "is_active": true, "is_superuser": true, "is_verified": true, "roles": ["admin"],
    });
    let registered = client.post("/api/v1/auth/register").json(&body).send().await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.text);
    assert_eq!(registered.header("location"), Some("/api/v1/auth/me"));
    assert_eq!(registered.header("set-cookie"), None, "registering starts no session");
    let user = &registered.body;
    assert_eq!(user["email"], "Ana.Torres@example.com");
    assert_eq!(user["last_name"], "");
    assert_eq!((&user["location"], &user["sector"]), (&Value::Null, &Value::Null));
    assert_eq!(user["roles"], json!(["user"]), "nobody makes themselves an admin");
    assert_eq!(
        (&user["is_superuser"], &user["is_verified"], &user["is_active"]),
        (&json!(false), &json!(false), &json!(true))
    );

    let login = client.login("ana.torres@EXAMPLE.com", PASSWORD).await;
    assert_eq!(login.status, StatusCode::OK, "{}", login.text);
    assert_eq!((&login.body["token_type"], &login.body["expires_in"]), (&json!("bearer"), &json!(86_400)));
    let cookie = login.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=86400"), "{cookie}");
    assert_ne!(login.cookie(), login.body["access_token"].as_str());

    client.bearer = login.body["access_token"].as_str().map(str::to_owned);
    let me = client.get("/api/v1/auth/me").header("content-type", "application/json").send().await;
    assert_eq!((me.status, &me.body), (StatusCode::OK, user));
    let etag = me.header("etag").unwrap();
    assert_eq!(registered.header("etag"), Some(etag), "the write's answer names the same representation");
    assert_eq!(registered.header("x-event-position"), Some("1"));
    let known = client.get("/api/v1/auth/me").header("if-none-match", etag).send().await;
    assert_eq!((known.status, known.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!((known.header("content-type"), known.header("etag")), (None, Some(etag)));
}

#[tokio::test]
async fn an_address_registers_once_whatever_its_case_also_at_the_same_time() {
    let service = start().await;
    let client = service.client();
    let tries = ["ana@example.com", "ANA@example.com", "Ana@EXAMPLE.com"].map(|email| {
        let client = client.clone();
        tokio::spawn(async move { client.post("/api/v1/auth/register").json(&registration(email)).send().await })
    });
    let mut statuses = vec![];
    for attempt in tries {
        let reply = attempt.await.unwrap();
        if reply.status != StatusCode::CREATED {
            reply.assert_problem(400, "REGISTER_USER_ALREADY_EXISTS");
            assert_eq!(reply.body["detail"], "REGISTER_USER_ALREADY_EXISTS");
        }
        statuses.push(reply.status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400, 400]);
    assert_eq!(service.stored_events().await.lines().count(), 1, "a refused registration leaves no event");
}

#[tokio::test]
async fn a_registration_that_is_repeated_under_its_key_has_one_effect() {
    let service = start().await;
    let client = service.client();
    let send = |email: &str| {
        client.post("/api/v1/auth/register").header("idempotency-key", "\"k-1\"").json(&registration(email)).send()
    };
    let (first, again) = (send("ana@example.com").await, send("ana@example.com").await);
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!((&again.body, again.header("idempotency-replayed")), (&first.body, Some("true")));
    send("other@example.com").await.assert_problem(422, "IDEMPOTENCY_KEY_REUSED");
    let bad = client.post("/api/v1/auth/register").header("idempotency-key", &"k".repeat(256));
    bad.json(&json!({})).send().await.assert_problem(400, "IDEMPOTENCY_KEY_INVALID");
}

#[tokio::test]
async fn a_registration_with_wrong_values_names_all_of_them() {
    let service = start().await;
    let client = service.client();
    let register = |body: Value| client.post("/api/v1/auth/register").json(&body).send();
    let reply =
        register(json!({"email": "ana", "password": 7, "first_name": " ", "company_name": "x".repeat(256)})).await;
    reply.assert_problem(422, "VALIDATION_ERROR");
    let expected = [
        ("/body/email", "format"),
        ("/body/password", "type"),
        ("/body/first_name", "blank"),
        ("/body/last_name", "required"),
        ("/body/company_name", "too_long"),
    ];
    assert_eq!(reply.faults(), expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
    assert_eq!(reply.body["details"]["errors"], reply.body["errors"]);
    assert!(!reply.text.contains("xxx"), "submitted values never appear");

    let nul =
        register(json!({"email": "a@example.com", "password": PASSWORD, "first_name": "A\u{0}", "last_name": ""}))
            .await;
    assert_eq!(nul.faults(), [("/body/first_name".to_owned(), "nul_character".to_owned())]);
    let both =
        json!({"email": "a@example.com", "password": PASSWORD, "first_name": "A", "firstName": "B", "last_name": ""});
    assert_eq!(register(both).await.faults(), [("/body/first_name".to_owned(), "conflicting_spellings".to_owned())]);
    let null = json!({"email": null, "password": PASSWORD, "first_name": "A", "last_name": ""});
    assert_eq!(register(null).await.faults(), [("/body/email".to_owned(), "null_not_allowed".to_owned())]);

    for password in ["short", "password123", "bad@example.com", &"x".repeat(129)] {
        let body = json!({"email": "bad@example.com", "password": password, "first_name": "A", "last_name": "B"});
        let reply = register(body).await;
        reply.assert_problem(400, "REGISTER_INVALID_PASSWORD");
        assert_eq!(reply.body["detail"]["code"], "REGISTER_INVALID_PASSWORD");
        assert_eq!(reply.body["detail"]["reason"], reply.body["message"]);
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_in_its_own_way_and_never_breaks_anything() {
    let service = start().await;
    let client = service.client();
    let send = |media: &str, body: Vec<u8>| {
        client.post("/api/v1/auth/register").header("content-type", media).body(body).send()
    };
    let json_type = "application/json";
    send(json_type, b"{\"email\": ".to_vec()).await.assert_problem(400, "MALFORMED_JSON");
    send(json_type, b"{\"email\": NaN}".to_vec()).await.assert_problem(400, "MALFORMED_JSON");
    send(json_type, b"{\"email\": \"\xff\"}".to_vec()).await.assert_problem(400, "MALFORMED_JSON");
    send(json_type, br#"{"email": "\ud800"}"#.to_vec()).await.assert_problem(400, "MALFORMED_JSON");
    send("text/plain", b"{}".to_vec()).await.assert_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    send("multipart/form-data; boundary=x", b"--x--".to_vec()).await.assert_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    send("application/json; charset=utf-16", b"{}".to_vec()).await.assert_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    send(json_type, vec![b' '; 256 * 1024 + 1]).await.assert_problem(413, "PAYLOAD_TOO_LARGE");
    send(json_type, vec![b' '; 2 * 1024 * 1024]).await.assert_problem(413, "PAYLOAD_TOO_LARGE");
    for (body, fault) in [
        (b"[]".to_vec(), "type"),
        (b"null".to_vec(), "type"),
        (b"{\"a\": 1e999}".to_vec(), "not_finite"),
        ([vec![b'['; 200], vec![b']'; 200]].concat(), "too_deep"),
    ] {
        let reply = send(json_type, body).await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [("/body".to_owned(), fault.to_owned())]);
    }
    // A name that is there twice counts once: the last.
    let twice = br#"{"email": "x", "email": "ana@example.com", "password": "Correct-horse-7", "first_name": "A", "last_name": ""}"#;
    assert_eq!(send("application/vnd.api+json", twice.to_vec()).await.status, StatusCode::CREATED);
    // No body at all, though its type is named: what is required is missing.
    assert_eq!(send(json_type, vec![]).await.faults().len(), 4);
}

#[tokio::test]
async fn wrong_credentials_are_400_and_do_not_tell_what_was_wrong() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let wrong = client.login("ana@example.com", "Wrong-horse-7").await;
    let unknown = client.login("nobody@example.com", "Wrong-horse-7").await;
    for reply in [&wrong, &unknown] {
        reply.assert_problem(400, "LOGIN_BAD_CREDENTIALS");
        assert_eq!(reply.body["detail"], "LOGIN_BAD_CREDENTIALS");
        assert_eq!(reply.header("set-cookie"), None);
    }
    assert_eq!(wrong.body["message"], unknown.body["message"]);
    let missing = client.post("/api/v1/auth/jwt/login").json(&json!({"username": "ana@example.com"})).send().await;
    assert_eq!(missing.faults(), [("/body/password".to_owned(), "required".to_owned())]);
    let as_json = json!({"username": "ana@example.com", "password": PASSWORD, "grant_type": "password", "scope": ""});
    assert_eq!(client.post("/api/v1/auth/jwt/login").json(&as_json).send().await.status, StatusCode::OK);
    // The refused try is an event of the known account.
    testkit::wait_until(SOON, async || service.stored_events().await.contains("sign-in-refused").then_some(())).await;
}

#[tokio::test]
async fn logout_is_204_for_everything_and_never_limited() {
    let service = start_with(crate::support::Options { rate_limits: true, ..crate::support::Options::default() }).await;
    let client = service.signed_up("ana").await;
    let mut nobody = service.client();
    for token in ["", "nonsense", "a.b.c"] {
        nobody.bearer = Some(token.to_owned());
        let reply = nobody.post("/api/v1/auth/jwt/logout").header("content-type", "application/json").send().await;
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::NO_CONTENT, ""));
        assert_eq!(reply.header("content-type"), None);
        assert_eq!(reply.cookie(), Some(""), "the cookie is always cleared");
    }
    assert_eq!(client.post("/api/v1/auth/jwt/logout").send().await.status, StatusCode::NO_CONTENT);
    client.get("/api/v1/auth/me").send().await.assert_problem(401, "SESSION_REVOKED");
    // The storm: hundreds, with a token that is no longer good.
    for _ in 0..300 {
        let reply = client.post("/api/v1/auth/jwt/logout").header("origin", ORIGIN).send().await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
        assert_eq!(reply.header("access-control-allow-origin"), Some(ORIGIN));
    }
    let ended = service.stored_events().await.lines().filter(|line| line.starts_with("session-ended")).count();
    assert_eq!(ended, 1, "only a session that was alive ends");
}

#[tokio::test]
async fn an_expired_token_is_401_once_and_spoils_no_sign_in() {
    let service = start().await;
    let mut client = service.signed_up("ana").await;
    service.advance(TimeDelta::hours(24));
    let expired = client.get("/api/v1/auth/me").send().await;
    expired.assert_problem(401, "SESSION_EXPIRED");
    assert_eq!((expired.header("www-authenticate"), &expired.body["detail"]), (Some("Bearer"), &json!("Unauthorized")));
    assert_eq!(client.post("/api/v1/auth/jwt/logout").send().await.status, StatusCode::NO_CONTENT);
    let login = client.login("ana@example.com", PASSWORD).await;
    assert_eq!(login.status, StatusCode::OK, "the stale bearer that came with it is ignored");
    client.bearer = login.body["access_token"].as_str().map(str::to_owned);
    assert_eq!(client.get("/api/v1/auth/me").send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_good_session_it_is_401() {
    let service = start().await;
    let mut client = service.client();
    client.get("/api/v1/auth/me").send().await.assert_problem(401, "UNAUTHENTICATED");
    client.bearer = Some("nonsense".to_owned());
    client.get("/api/v1/auth/me").send().await.assert_problem(401, "UNAUTHENTICATED");
    let basic = service.client().get("/api/v1/auth/me").header("authorization", "Basic YTpi");
    basic.send().await.assert_problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn the_cookie_signs_in_too_but_the_bearer_decides() {
    let service = start().await;
    let signed_up = service.signed_up("ana").await;
    let login = signed_up.login("ana@example.com", PASSWORD).await;
    let mut client = service.client();
    client.cookie = login.cookie().map(str::to_owned);
    assert_eq!(client.get("/api/v1/auth/me").send().await.status, StatusCode::OK);
    client.bearer = Some("nonsense".to_owned());
    client.get("/api/v1/auth/me").send().await.assert_problem(401, "UNAUTHENTICATED");
    client.bearer = None;
    // Without proof of the origin the cookie signs nobody out.
    let foreign = client.post("/api/v1/auth/jwt/logout").header("origin", "https://evil.example.com").send().await;
    assert_eq!(foreign.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/api/v1/auth/me").send().await.status, StatusCode::OK);
    let own = client.post("/api/v1/auth/jwt/logout").header("sec-fetch-site", "same-origin").send().await;
    assert_eq!(own.status, StatusCode::NO_CONTENT);
    client.get("/api/v1/auth/me").send().await.assert_problem(401, "SESSION_REVOKED");
}

#[tokio::test]
async fn a_write_by_the_cookie_alone_needs_proof_that_a_page_of_ours_sent_it() {
    let service = start().await;
    let signed_up = service.signed_up("ana").await;
    let mut client = service.client();
    client.cookie = signed_up.login("ana@example.com", PASSWORD).await.cookie().map(str::to_owned);
    let create = || client.post("/api/v1/projects").json(&json!({}));
    create().send().await.assert_problem(403, "SAME_ORIGIN_REQUIRED");
    for foreign in ["null", "https://evil.example.com", "http://localhost:3001"] {
        create().header("origin", foreign).send().await.assert_problem(403, "SAME_ORIGIN_REQUIRED");
    }
    create().header("sec-fetch-site", "same-site").send().await.assert_problem(403, "SAME_ORIGIN_REQUIRED");
    for ours in [("origin", "http://localhost:8000"), ("origin", ORIGIN), ("sec-fetch-site", "same-origin")] {
        create().header(ours.0, ours.1).send().await.assert_problem(422, "VALIDATION_ERROR");
    }
    client.bearer = signed_up.bearer;
    let by_bearer = client.post("/api/v1/projects").header("origin", "null").json(&json!({})).send().await;
    by_bearer.assert_problem(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_foreign_page_cannot_plant_a_sign_in() {
    let service = start_with(crate::support::Options {
        configure: |config| config.public_url = api::PublicUrl::new("https://water.example.com").unwrap(),
        ..crate::support::Options::default()
    })
    .await;
    let client = service.signed_up("ana").await;
    let login = |origin: &'static str| {
        let body = json!({"username": "ana@example.com", "password": PASSWORD});
        client.post("/api/v1/auth/jwt/login").header("origin", origin).json(&body).send()
    };
    assert_eq!(login("https://evil.example.com").await.header("set-cookie"), None);
    assert_eq!(login("null").await.header("set-cookie"), None);
    let own = login("https://water.example.com").await;
    assert!(own.header("set-cookie").unwrap().ends_with("; Secure"));
    assert!(login(ORIGIN).await.cookie().is_some());
}

#[tokio::test]
async fn a_head_request_has_the_headers_of_the_answer_to_get() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let get = client.get("/api/v1/auth/me").send().await;
    let head = client.request(Method::HEAD, "/api/v1/auth/me").send().await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    for name in ["etag", "content-type", "x-event-position"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    assert_eq!(head.header("content-length"), Some(get.text.len().to_string().as_str()));
}

#[tokio::test]
async fn nothing_personal_and_no_secret_is_in_clear_anywhere() {
    // The most talkative log there can be, of everything that runs in this test's thread.
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    // While there is but one subscriber, tracing asks only the thread that passes an event first whether anybody listens,
    // and remembers the answer of a test beside this one that nobody does.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let service = start().await;
    let mut client = service.client();
    let planted = [
        "planted.address@example.com",
        "Planted-password-9",
        "Plantedfirst",
        "Plantedlast",
        "Planted Company",
        "Planted Place",
        "PlantedBrowser/9",
        "203.0.113.77",
    ];
    client.peer = "203.0.113.77".parse().unwrap();
    let body = json!({
        "email": planted[0], "password": planted[1], "first_name": planted[2], "last_name": planted[3],
        "company_name": planted[4], "location": planted[5],
    });
    let agent = |sending: crate::support::Sending| sending.header("user-agent", planted[6]);
    let registered = agent(client.post("/api/v1/auth/register")).json(&body).send().await;
    assert_eq!(registered.status, StatusCode::CREATED);
    let again = agent(client.post("/api/v1/auth/register")).json(&body).send().await;
    let refused = client.login(planted[0], "Planted-password-9-wrong").await;
    let login = agent(client.post("/api/v1/auth/jwt/login"));
    let login = login.json(&json!({"username": planted[0], "password": planted[1]})).send().await;
    assert_eq!(login.status, StatusCode::OK);
    let token = login.body["access_token"].as_str().unwrap();
    testkit::wait_until(SOON, async || service.stored_events().await.contains("sign-in-refused").then_some(())).await;
    let events = service.stored_events().await;
    assert!(events.contains("session-started") && events.contains("account-registered"));
    let metrics = client.get("/metrics").send().await.text;
    assert!(metrics.contains("http_requests_total"));
    let log = log.text();
    assert!(log.contains("request answered"));
    for secret in planted.into_iter().chain([token, login.cookie().unwrap()]) {
        for (place, text) in [
            ("log", &log),
            ("events", &events),
            ("metrics", &metrics),
            ("problem", &again.text),
            ("problem", &refused.text),
        ] {
            assert!(!text.contains(secret), "{secret} is in clear in {place}");
        }
    }
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
