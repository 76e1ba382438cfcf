//! Bad input, end to end: a problem, a job that says what is wrong, or a proposal with warnings; never a 500, never a
//! half-written state.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rules;
use rig::PATIENCE;
use rig::client::{Client, sign_up};
use rig::jobs::{at_rest, completed, ended, generate, job_id, project};
use rig::sheets::{Sheet, blank, dairy};
use rig::site::Site;

/// A request that must be refused.
struct Bad {
    what: &'static str,
    method: Method,
    path: String,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    /// One of the errors: where, and what.
    error: Option<(&'static str, &'static str)>,
}

fn bad(what: &'static str, method: Method, path: &str, body: impl Into<Vec<u8>>, refusal: (u16, &'static str)) -> Bad {
    Bad { what, method, path: path.to_owned(), body: body.into(), status: refusal.0, code: refusal.1, error: None }
}

impl Bad {
    fn error(self, pointer: &'static str, code: &'static str) -> Self {
        Self { error: Some((pointer, code)), ..self }
    }
}

const INVALID: (u16, &str) = (422, "VALIDATION_ERROR");
const MALFORMED: (u16, &str) = (400, "MALFORMED_JSON");

#[tokio::test]
async fn a_request_that_cannot_be_understood_is_a_problem_and_leaves_nothing() {
    let site = Site::new().await;
    let server = site.start().await;
    let person = sign_up(&server).await;
    let ana = &person.client;
    let id = project(ana, &dairy()).await;
    let (of_project, of_data) = (format!("/projects/{id}"), format!("/projects/{id}/data"));
    let generate = "/ai/proposals/generate";
    let before = traces(&site).await;

    let whole = |change: fn(&mut Value)| {
        let mut body = json!({"name": "n", "client": "c", "sector": "industrial", "location": "l"});
        change(&mut body);
        body.to_string()
    };
    let two_megabytes = json!({"technical_sections": [{"id": "a", "fields": [], "notes": "x".repeat(2_000_000)}]});
    let requests = [
        bad("no body", Method::POST, "/projects", "", INVALID).error("/body/name", "required"),
        bad("no body", Method::POST, generate, "", INVALID).error("/body/project_id", "required"),
        bad("no body", Method::POST, "/auth/register", "", INVALID).error("/body/email", "required"),
        bad("broken JSON", Method::POST, "/projects", "{\"name\": ", MALFORMED),
        bad("broken JSON", Method::PATCH, &of_data, "{\"a\": [1,}", MALFORMED),
        bad("broken JSON", Method::POST, generate, "project_id=1", MALFORMED),
        bad("broken UTF-8", Method::PATCH, &of_project, b"{\"name\": \"\xff\"}".to_vec(), MALFORMED),
        bad("no object", Method::POST, "/projects", "[]", INVALID),
        bad("no object", Method::PUT, &of_data, "\"text\"", INVALID),
        bad("wrong type", Method::POST, "/projects", whole(|b| b["name"] = json!(7)), INVALID)
            .error("/body/name", "type"),
        bad("wrong type", Method::PATCH, &of_project, r#"{"tags": {"a": 1}}"#, INVALID).error("/body/tags", "type"),
        bad("wrong type", Method::PATCH, &of_project, r#"{"budget": "much"}"#, INVALID).error("/body/budget", "type"),
        bad("negative", Method::PATCH, &of_project, r#"{"budget": -1}"#, INVALID).error("/body/budget", "too_small"),
        bad("NaN", Method::PATCH, &of_project, r#"{"budget": NaN}"#, MALFORMED),
        bad("NaN", Method::PATCH, &of_data, r#"{"flow": NaN}"#, MALFORMED),
        bad("NUL", Method::PATCH, &of_project, r#"{"name": "a\u0000b"}"#, INVALID).error("/body/name", "nul_character"),
        bad("NUL", Method::PATCH, &of_data, r#"{"notes": "a\u0000b"}"#, INVALID),
        bad("NUL in a key", Method::PATCH, &of_data, r#"{"a\u0000b": 1}"#, INVALID),
        bad("a 2 MB sheet", Method::PATCH, &of_data, two_megabytes.to_string(), (413, "PAYLOAD_TOO_LARGE")),
        bad("a 2 MB sheet", Method::PUT, &of_data, two_megabytes.to_string(), (413, "PAYLOAD_TOO_LARGE")),
        bad("depth 40", Method::PATCH, &of_data, deep(40), INVALID),
        bad("depth 40", Method::PUT, &of_data, deep(40), INVALID),
        bad("unknown status", Method::PATCH, &of_project, r#"{"status": "Done"}"#, INVALID)
            .error("/body/status", "not_in_enum"),
        bad(
            "unknown type",
            Method::POST,
            generate,
            json!({"project_id": id, "proposal_type": "Big"}).to_string(),
            INVALID,
        )
        .error("/body/proposal_type", "not_in_enum"),
        bad("null", Method::PATCH, &of_project, r#"{"client": null}"#, INVALID)
            .error("/body/client", "null_not_allowed"),
        bad("two spellings", Method::PATCH, &of_project, r#"{"project_type": "a", "projectType": "b"}"#, INVALID),
        bad("malformed id", Method::GET, "/projects/7", "", INVALID),
        bad("malformed job", Method::GET, "/ai/proposals/jobs/job_7", "", (404, "JOB_NOT_FOUND")),
        bad("unknown route", Method::GET, "/nothing", "", (404, "NOT_FOUND")),
        bad("wrong method", Method::PUT, "/projects", "{}", (405, "METHOD_NOT_ALLOWED")),
        bad("bad query", Method::GET, "/projects?size=0", "", INVALID).error("/query/size", "too_small"),
    ];
    for request in requests {
        let answer = ana.raw(request.method, &request.path, request.body).await;
        let shown = answer.shown();
        assert_eq!(answer.status.as_u16(), request.status, "{}: {shown}", request.what);
        let problem = answer.problem(request.status, request.code);
        if let Some((pointer, code)) = request.error {
            let errors = problem["errors"].as_array().unwrap();
            let told = errors.iter().any(|error| error["pointer"] == pointer && error["code"] == code);
            assert!(told, "{} should be {code} at {pointer}: {shown}", request.what);
            assert_eq!(problem["details"]["errors"], problem["errors"], "{shown}");
        }
    }
    // What no reader of JSON takes: refused, whichever way it is read.
    for body in [r#"{"flow": 1e999}"#.to_owned(), r#"{"flow": -1e999}"#.to_owned(), deep(5_000)] {
        let answer = ana.raw(Method::PATCH, &of_data, body).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{}", answer.shown());
        answer.some_problem();
    }

    assert_eq!(traces(&site).await, before, "a refused request left something");
    assert_eq!(ana.get(&of_data).await.ok(200)["data"], dairy().data);
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn strangers_wrong_passwords_and_old_tokens_get_the_answers_of_the_contract() {
    let site = Site::new().await;
    let server = site.start().await;
    let (ana, eve) = (sign_up(&server).await, sign_up(&server).await.client);
    let id = project(&ana.client, &dairy()).await;
    let job = generate(&ana.client, &id, "Technical").await;
    let job = job_id(&job);
    let done = completed(&ana.client, job).await;
    let proposal = done["result"]["proposalId"].as_str().unwrap();
    let before = traces(&site).await;

    // Somebody else's things look like none.
    let theirs = format!("/projects/{id}");
    for path in [
        theirs.clone(),
        format!("{theirs}/data"),
        format!("{theirs}/timeline"),
        format!("/ai/proposals/{id}/proposals"),
    ] {
        eve.get(&path).await.problem(404, "PROJECT_NOT_FOUND");
    }
    eve.get(&format!("/ai/proposals/{id}/proposals/{proposal}")).await.some_problem();
    eve.patch(&theirs, &json!({"name": "mine"})).await.problem(404, "PROJECT_NOT_FOUND");
    eve.patch(&format!("{theirs}/data"), &json!({"a": 1})).await.problem(404, "PROJECT_NOT_FOUND");
    eve.put(&format!("{theirs}/data"), &json!({})).await.problem(404, "PROJECT_NOT_FOUND");
    eve.delete(&theirs).await.problem(404, "PROJECT_NOT_FOUND");
    let asked = json!({"project_id": id, "proposal_type": "Technical"});
    eve.post("/ai/proposals/generate", &asked).await.problem(404, "PROJECT_NOT_FOUND");
    eve.get(&format!("/ai/proposals/jobs/{job}")).await.problem(404, "JOB_NOT_FOUND");
    eve.post(&format!("/ai/proposals/jobs/{job}/cancel"), &json!({})).await.problem(404, "JOB_NOT_FOUND");
    eve.get(&format!("/audit/streams/proposal/{proposal}")).await.problem(404, "STREAM_NOT_FOUND");
    assert_eq!(eve.get("/projects").await.ok(200)["total"], 0);
    assert_eq!(traces(&site).await, before, "a stranger left something");

    // A wrong password is not told apart from an unknown address, and is never 401.
    let nobody = Client::of(&server);
    for (email, password) in [(&*ana.email, "not the password"), ("nobody@example.com", "not the password")] {
        let refused = nobody.sign_in(email, password).await.problem(400, "LOGIN_BAD_CREDENTIALS");
        assert_eq!(refused["detail"], "LOGIN_BAD_CREDENTIALS");
    }
    nobody.get("/projects").await.problem(401, "UNAUTHENTICATED");
    nobody.with_token("not.a.token").get("/projects").await.problem(401, "UNAUTHENTICATED");

    // A token whose time is over: 401 for each call, signing out works as ever, and so does signing in with it.
    let expire = "UPDATE identity.sessions SET access_expires_at = created_at + interval '1 microsecond'
                   WHERE account_id = (SELECT actor_id FROM es.events WHERE aggregate_type = 'project' AND aggregate_id = $1 LIMIT 1)";
    let expired = sqlx::query(expire).bind(&id).execute(&site.pool).await.unwrap();
    assert_eq!(expired.rows_affected(), 1);
    testkit::wait_until(PATIENCE, async || {
        let answer = ana.client.get("/projects").await;
        (answer.status == 401).then(|| answer.problem(401, "SESSION_EXPIRED"))
    })
    .await;
    for _ in 0..3 {
        ana.client.post("/auth/jwt/logout", &json!({})).await.ok(204);
    }
    let again = ana.client.sign_in(&ana.email, &ana.password).await.ok(200);
    let again = ana.client.with_token(again["access_token"].as_str().unwrap());
    assert_eq!(again.get("/projects").await.ok(200)["total"], 1);
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn asking_many_times_at_once_gives_one_job() {
    let site = Site::new().await;
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;

    let jobs = join_all((0..8).map(|_| generate(&ana, &id, "Technical"))).await;

    let first = job_id(&jobs[0]);
    assert!(jobs.iter().all(|job| job_id(job) == first), "{jobs:?}");
    assert_eq!(jobs.iter().filter(|job| job["reused"] == json!(false)).count(), 1, "one of them began it");
    completed(&ana, first).await;
    assert_eq!(site.count("es.events WHERE event_type = 'generation-requested'").await, 1);
    assert_eq!(ana.get(&format!("/ai/proposals/{id}/proposals")).await.ok(200).as_array().unwrap().len(), 1);
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn a_sheet_that_makes_no_sense_ends_as_unusable_or_as_a_proposal_with_warnings() {
    let site = Site::new().await;
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let flow = |key: &str, value: Value| dairy().with("economics-scale", "wastewater-generated", key, value);
    let no_water =
        |value: &str| flow("value", json!(value)).with("economics-scale", "water-consumption", "value", json!(value));
    let quality = |field: &str, value: Value| dairy().with("water-quality", field, "value", value);
    let mut all_extreme = dairy();
    for field in ["bod5", "cod", "tss", "fats-oils-greases", "nitrogen-total", "phosphorus-total"] {
        all_extreme = all_extreme.with("water-quality", field, "value", json!(1e9));
    }
    let text_for_sections = Sheet { data: json!({"technical_sections": "none"}), ..blank() };
    let odd_sections =
        Sheet { data: json!({"technical_sections": [null, 7, {"fields": [null, {"id": 3}]}, []]}), ..blank() };
    let cases = [
        ("zero fields", blank(), Some("INPUT_UNUSABLE")),
        ("sections that are none", text_for_sections, Some("INPUT_UNUSABLE")),
        ("sections of odd shapes", odd_sections, Some("INPUT_UNUSABLE")),
        ("flow 0", no_water("0"), Some("INPUT_UNUSABLE")),
        ("negative flow", no_water("-230"), Some("INPUT_UNUSABLE")),
        ("flow in words", no_water("a lot"), Some("INPUT_UNUSABLE")),
        ("flow 0, consumption known", flow("value", json!(0)), None),
        ("unknown unit of flow", flow("unit", json!("barrels/fortnight")), None),
        ("unknown unit of BOD", dairy().with("water-quality", "bod5", "unit", json!("grains/firkin")), None),
        ("BOD of 1e9", quality("bod5", json!(1e9)), None),
        ("negative BOD", quality("bod5", json!(-5)), None),
        ("everything of 1e9", all_extreme, None),
        ("flow of 1e9", flow("value", json!("1e9")), None),
        ("pH of 40", quality("ph", json!(40)), None),
    ];
    for (what, sheet, must_end_as) in cases {
        let id = project(&ana, &sheet).await;
        let job = generate(&ana, &id, "Technical").await;
        let end = ended(&ana, job_id(&job), PATIENCE).await;
        let shown = at_rest(&ana, &id).await;
        if let Some(code) = must_end_as {
            assert_eq!(end["errorCode"], code, "{what}: {end}");
        }
        if end["status"] == "completed" {
            let proposal = &shown["proposals"][0];
            assert_eq!(rules::broken(proposal), Vec::<String>::new(), "{what}");
            let warnings = proposal["aiMetadata"]["transparency"]["warnings"].as_array().unwrap();
            let assumptions = proposal["aiMetadata"]["proposal"]["technicalData"]["assumptions"].as_array().unwrap();
            let usual = |warning: &&Value| warning["code"] != "OFFLINE_NARRATIVE";
            assert!(
                warnings.iter().filter(usual).count() > 0 || assumptions.len() > 1,
                "{what}: nothing is said about it: {proposal}"
            );
        } else {
            // Anything else would be a defect of ours.
            assert_eq!(end["errorCode"], "INPUT_UNUSABLE", "{what}: {end}");
            assert_eq!(
                end["error"], "The technical data cannot be used as it is. Please check the marked fields.",
                "{what}"
            );
            assert_eq!((&shown["status"], &shown["proposals"]), (&json!("In Preparation"), &json!([])), "{what}");
            assert!(!end["warnings"].as_array().unwrap().is_empty(), "{what}: no field is named: {end}");
        }
    }
    assert_eq!(site.count("es.claims WHERE kind = 'job-slot'").await, 0);
    assert_eq!(site.count("views.parked").await, 0);
    drop(server);
    site.close().await;
}

/// How much there is of everything that a request can leave behind.
async fn traces(site: &Site) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for table in [
        "es.events",
        "es.command_receipts",
        "es.claims",
        "es.subject_keys",
        "identity.credentials",
        "identity.sessions",
    ] {
        counts.push((table, site.count(table).await));
    }
    counts
}

fn deep(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}
