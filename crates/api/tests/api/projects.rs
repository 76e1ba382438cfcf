//! Projects: open, list, show, change, delete.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::proposal::{FailureCode, Stage};
use http::StatusCode;
use serde_json::{Value, json};

use crate::process::{ask, generate, job, keys, project, proposal_of, read, text};
use crate::support::{Client, Options, Reply, start, start_with};

const PATH: &str = "/api/v1/projects";
/// The members of a project in a list.
const SUMMARY: [&str; 19] = [
    "activeJobId",
    "budget",
    "client",
    "createdAt",
    "currentProposalId",
    "description",
    "id",
    "location",
    "name",
    "progress",
    "projectType",
    "proposalsCount",
    "scheduleSummary",
    "sector",
    "status",
    "subsector",
    "tags",
    "type",
    "updatedAt",
];

fn at(id: &str) -> String {
    format!("{PATH}/{id}")
}

/// The four fields that a project needs.
fn needed() -> Value {
    json!({"name": "North plant", "client": "Dairy of the Valley", "sector": "industrial", "location": "Guadalajara"})
}

/// These four, and others over them.
fn with(other: &Value) -> Value {
    let mut body = needed();
    for (name, value) in other.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn create(client: &Client, body: &Value) -> Reply {
    client.post(PATH).json(body).send().await
}

async fn change(client: &Client, id: &str, body: &Value) -> Reply {
    client.patch(&at(id)).json(body).send().await
}

fn fault(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_new_project_has_the_contracts_defaults_and_is_there_at_once() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let reply = create(&client, &needed()).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    let created = &reply.body;
    let id = text(&created["id"]);
    assert_eq!(reply.header("location"), Some(at(&id).as_str()));
    let (etag, position) = (reply.header("etag").unwrap(), reply.header("x-event-position").unwrap());
    assert_eq!(etag, format!("\"1-{position}\""));
    assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7);

    let mut members = SUMMARY.to_vec();
    members.extend(["completeness", "proposals", "timeline"]);
    members.sort_unstable();
    assert_eq!(keys(created), members);
    for (member, value) in [
        ("name", json!("North plant")),
        ("client", json!("Dairy of the Valley")),
        ("sector", json!("industrial")),
        ("location", json!("Guadalajara")),
        ("subsector", json!(null)),
        ("description", json!(null)),
        ("projectType", json!("To be defined")),
        ("type", json!("To be defined")),
        ("scheduleSummary", json!("To be defined")),
        ("status", json!("In Preparation")),
        ("progress", json!(0)),
        ("proposalsCount", json!(0)),
        ("tags", json!([])),
        ("currentProposalId", json!(null)),
        ("activeJobId", json!(null)),
        ("proposals", json!([])),
        ("completeness", json!({"percentage": 0, "completed": 0, "total": 0})),
    ] {
        assert_eq!(created[member], value, "{member}");
    }
    assert_eq!(created["budget"].as_f64(), Some(0.0));
    assert_eq!(created["createdAt"], created["updatedAt"]);
    assert!(text(&created["createdAt"]).ends_with('Z'));
    let timeline = created["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), 1);
    let entry = &timeline[0];
    assert_eq!(keys(entry), ["description", "id", "metadata", "timestamp", "title", "type", "user"]);
    assert_eq!((&entry["type"], &entry["title"]), (&json!("version"), &json!("Project created")));
    assert_eq!(entry["description"], "North plant for Dairy of the Valley");
    assert_eq!(entry["user"], "ana@example.com");
    assert_eq!(entry["metadata"], json!({"sector": "industrial", "subsector": null, "budget": 0}));

    let shown = client.get(&at(&id)).send().await;
    assert_eq!((shown.status, &shown.body), (StatusCode::OK, created));
    assert_eq!(shown.header("etag"), Some(etag));
    let list = client.get(PATH).send().await;
    assert_eq!(list.body["total"], 1);
    assert_eq!(keys(&list.body["items"][0]), SUMMARY);
    for member in SUMMARY {
        assert_eq!(list.body["items"][0][member], created[member], "{member}");
    }
    assert_eq!(read(&client, &format!("/projects/{id}/data")).await["data"], json!({}));
}

#[tokio::test]
async fn all_fields_of_a_new_project_are_kept_in_either_spelling() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let camel = json!({
        "name": "  North plant ", "subsector": "food_processing", "projectType": "WWTP", "scheduleSummary": "9 months",
        "description": "Whey and\ncleaning water", "budget": 425_000.129, "tags": ["b", " a ", "b", "a"],
    });
    let snake = json!({
        "subsector": "food_processing", "project_type": "WWTP", "schedule_summary": "9 months",
        "description": "Whey and\ncleaning water", "budget": 425_000.129, "tags": ["b", "a"],
    });
    let short = json!({
        "subsector": "food_processing", "type": "WWTP", "projectType": "WWTP", "project_type": "WWTP",
        "schedule_summary": "9 months", "scheduleSummary": "9 months", "description": "Whey and\ncleaning water",
        "budget": 425_000.13, "tags": ["b", "a"],
    });
    for fields in [camel, snake, short] {
        let reply = create(&client, &with(&fields)).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        for (member, value) in [
            ("name", json!("North plant")),
            ("subsector", json!("food_processing")),
            ("projectType", json!("WWTP")),
            ("type", json!("WWTP")),
            ("scheduleSummary", json!("9 months")),
            ("description", json!("Whey and\ncleaning water")),
            ("budget", json!(425_000.13)),
            ("tags", json!(["b", "a"])),
        ] {
            assert_eq!(reply.body[member], value, "{member} of {fields}");
        }
    }
    for (fields, pointer) in [
        (json!({"type": "A", "projectType": "B"}), "/body/projectType"),
        (json!({"project_type": "A", "projectType": "B"}), "/body/project_type"),
        (json!({"schedule_summary": "A", "scheduleSummary": "B"}), "/body/schedule_summary"),
    ] {
        let reply = create(&client, &with(&fields)).await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [fault(pointer, "conflicting_spellings")]);
    }
}

#[tokio::test]
async fn what_is_empty_or_null_in_a_new_project_is_its_default() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let nothing = json!({
        "subsector": null, "project_type": null, "description": null, "budget": null, "schedule_summary": null,
        "tags": null,
    });
    for fields in [json!({"subsector": ""}), json!({"subsector": "  "}), nothing] {
        let reply = create(&client, &with(&fields)).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        assert_eq!(reply.body["subsector"], json!(null));
        assert_eq!(reply.body["projectType"], "To be defined");
        assert_eq!(reply.body["scheduleSummary"], "To be defined");
        assert_eq!(reply.body["description"], json!(null));
        assert_eq!(reply.body["tags"], json!([]));
        assert_eq!(reply.body["budget"].as_f64(), Some(0.0));
    }
}

#[tokio::test]
async fn unknown_and_read_only_fields_of_a_new_project_are_ignored() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let own = json!({
        "id": "0198a3f4-1b22-7d0c-8f10-2a6b7c8d9e01", "status": "Completed", "progress": 99, "proposalsCount": 7,
        "createdAt": "1999-01-01T00:00:00Z", "owner": "me", "shoeSize": {"eu": 42},
    });
    let reply = create(&client, &with(&own)).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    assert_ne!(reply.body["id"], own["id"]);
    assert_eq!((&reply.body["status"], &reply.body["progress"]), (&json!("In Preparation"), &json!(0)));
    assert_eq!(reply.body["proposalsCount"], 0);
    assert_ne!(reply.body["createdAt"], own["createdAt"]);
}

#[tokio::test]
async fn the_fields_of_a_project_are_bounded_and_everything_wrong_is_named_at_once() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let before = service.events().await;
    let missing = create(&client, &json!({"name": "", "client": "x"})).await;
    missing.assert_problem(422, "VALIDATION_ERROR");
    let expected =
        [fault("/body/name", "blank"), fault("/body/location", "required"), fault("/body/sector", "required")];
    assert_eq!(missing.faults(), expected);
    let id = "0198a3f4-1b22-7d0c-8f10-2a6b7c8d9e01";
    for (fields, pointer, code) in [
        (json!({"name": "x".repeat(256)}), "/body/name", "too_long"),
        (json!({"name": "  "}), "/body/name", "blank"),
        (json!({"name": null}), "/body/name", "null_not_allowed"),
        (json!({"name": 5}), "/body/name", "type"),
        (json!({"name": "a\u{0}b"}), "/body/name", "nul_character"),
        (json!({"name": "a\u{7}b"}), "/body/name", "format"),
        (json!({"client": "x".repeat(256)}), "/body/client", "too_long"),
        (json!({"location": ["x"]}), "/body/location", "type"),
        (json!({"sector": "x".repeat(101)}), "/body/sector", "too_long"),
        (json!({"subsector": "x".repeat(101)}), "/body/subsector", "too_long"),
        (json!({"projectType": "x".repeat(101)}), "/body/projectType", "too_long"),
        (json!({"description": "x".repeat(10_001)}), "/body/description", "too_long"),
        (json!({"description": "a\u{0}"}), "/body/description", "nul_character"),
        (json!({"scheduleSummary": "x".repeat(256)}), "/body/scheduleSummary", "too_long"),
        (json!({"budget": -0.01}), "/body/budget", "too_small"),
        (json!({"budget": 1e12 + 1.0}), "/body/budget", "too_large"),
        (json!({"budget": "many"}), "/body/budget", "type"),
        (json!({"tags": vec!["x"; 51]}), "/body/tags", "too_many"),
        (json!({"tags": ["a", ""]}), "/body/tags/1", "blank"),
        (json!({"tags": ["x".repeat(101)]}), "/body/tags/0", "too_long"),
        (json!({"tags": "a"}), "/body/tags", "type"),
    ] {
        for reply in [create(&client, &with(&fields)).await, change(&client, id, &fields).await] {
            reply.assert_problem(422, "VALIDATION_ERROR");
            assert_eq!(reply.faults(), [fault(pointer, code)], "{fields}");
            assert_eq!(reply.body["details"]["errors"], reply.body["errors"]);
        }
    }
    for (text, status, code) in [
        ("{\"name\":", 400, "MALFORMED_JSON"),
        ("{\"name\": NaN}", 400, "MALFORMED_JSON"),
        ("[]", 422, "VALIDATION_ERROR"),
        ("{\"budget\": 1e999}", 422, "VALIDATION_ERROR"),
        ("", 422, "VALIDATION_ERROR"),
    ] {
        let reply = client.post(PATH).header("content-type", "application/json").body(text).send().await;
        reply.assert_problem(status, code);
    }
    let form = client.post(PATH).header("content-type", "multipart/form-data; boundary=x").body("--x--").send().await;
    form.assert_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    let longest = json!({
        "name": "é".repeat(255), "client": "x".repeat(255), "location": "x".repeat(255), "sector": "x".repeat(100),
        "subsector": "x".repeat(100), "project_type": "x".repeat(100), "description": "x".repeat(10_000),
        "schedule_summary": "x".repeat(255), "budget": 1e12,
        "tags": (0..50).map(|n| format!("{n:0>100}")).collect::<Vec<_>>(),
    });
    assert_eq!(service.events().await, before, "what is refused leaves no event");
    let reply = create(&client, &longest).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    assert_eq!(reply.body["budget"].as_f64(), Some(1e12));
}

#[tokio::test]
async fn null_clears_what_may_be_empty_and_is_refused_for_the_rest() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let full = json!({
        "subsector": "food", "description": "Whey", "budget": 5, "project_type": "WWTP", "schedule_summary": "soon",
        "tags": ["a"],
    });
    let id = text(&create(&client, &with(&full)).await.body["id"]);
    for field in ["name", "client", "sector", "location", "status"] {
        let reply = change(&client, &id, &json!({field: null})).await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [fault(&format!("/body/{field}"), "null_not_allowed")]);
    }
    for (field, member, default) in [
        ("subsector", "subsector", json!(null)),
        ("description", "description", json!(null)),
        ("budget", "budget", json!(0.0)),
        ("projectType", "type", json!("To be defined")),
        ("schedule_summary", "scheduleSummary", json!("To be defined")),
        ("tags", "tags", json!([])),
    ] {
        let reply = change(&client, &id, &json!({field: null})).await;
        assert_eq!((reply.status, &reply.body[member]), (StatusCode::OK, &default), "{field}: {}", reply.text);
    }
    let entry = &read(&client, &format!("/projects/{id}")).await["timeline"][0];
    assert_eq!((&entry["type"], &entry["metadata"]["changed_fields"]), (&json!("edit"), &json!(["tags"])));
    assert_eq!(entry["metadata"]["changes"][0]["old_value"], "a");
}

#[tokio::test]
async fn a_change_that_changes_nothing_stores_no_event_and_answers_as_success() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let created = create(&client, &with(&json!({"tags": ["a"], "budget": 12.5, "subsector": "x"}))).await;
    let id = text(&created.body["id"]);
    let before = service.events().await;
    // The last one is what the web client does: it sends back the whole answer, read-only fields included.
    for body in [json!({}), json!({"name": " North plant ", "status": "In Preparation"}), created.body.clone()] {
        let reply = change(&client, &id, &body).await;
        assert_eq!((reply.status, &reply.body), (StatusCode::OK, &created.body), "{}", reply.text);
        assert_eq!(reply.header("etag"), created.header("etag"));
        assert_eq!(reply.header("x-event-position"), created.header("x-event-position"));
    }
    let empty = client.patch(&at(&id)).header("content-type", "application/json").send().await;
    assert_eq!((empty.status, &empty.body), (StatusCode::OK, &created.body));
    assert_eq!(service.events().await, before);
}

#[tokio::test]
async fn a_change_answers_the_whole_project_with_proposals_and_timeline() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let job = generate(&client, &id).await;
    service.process(&job).complete().await;
    let body = json!({
        "client": "Alimentos S.A.", "status": "In Development", "budget": 425_000, "scheduleSummary": "9 meses",
    });
    let reply = change(&client, &id, &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert_eq!(reply.body["proposals"][0]["id"], proposal_of(&job));
    assert_eq!((&reply.body["status"], &reply.body["budget"]), (&json!("In Development"), &json!(425_000.0)));
    assert_eq!(reply.body["scheduleSummary"], "9 meses");
    let titles: Vec<_> =
        reply.body["timeline"].as_array().unwrap().iter().map(|entry| entry["title"].as_str().unwrap()).collect();
    let expected =
        ["Status changed", "Project details changed", "Proposal generated", "Proposal requested", "Project created"];
    assert_eq!(titles, expected);
    let details = &reply.body["timeline"][1]["metadata"];
    assert_eq!(details["changed_fields"], json!(["client", "budget", "schedule_summary"]));
    assert_eq!(
        details["changes"][1],
        json!({"field": "budget", "label": "Budget", "old_value": "0", "new_value": "425000", "unit": "USD"})
    );
    let shown = client.get(&at(&id)).send().await;
    assert_eq!((&shown.body, shown.header("etag")), (&reply.body, reply.header("etag")));
}

#[tokio::test]
async fn a_status_is_one_of_six_words_and_progress_is_checked_but_computed() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    for status in ["Generating Proposal", "Proposal Ready", "In Development", "Completed", "On Hold", "In Preparation"]
    {
        let reply = change(&client, &id, &json!({"status": status, "progress": 77})).await;
        assert_eq!((reply.status, &reply.body["status"]), (StatusCode::OK, &json!(status)), "{}", reply.text);
        assert_eq!(reply.body["progress"], 0);
    }
    for (body, pointer, code) in [
        (json!({"status": "Done"}), "/body/status", "not_in_enum"),
        (json!({"status": "in preparation"}), "/body/status", "not_in_enum"),
        (json!({"status": 1}), "/body/status", "type"),
        (json!({"progress": 101}), "/body/progress", "too_large"),
        (json!({"progress": -1}), "/body/progress", "too_small"),
        (json!({"progress": "much"}), "/body/progress", "type"),
    ] {
        let reply = change(&client, &id, &body).await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [fault(pointer, code)], "{body}");
    }
}

#[tokio::test]
async fn a_stale_precondition_is_refused_with_the_current_tag_and_stores_nothing() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let created = create(&client, &needed()).await;
    let id = text(&created.body["id"]);
    let old = created.header("etag").unwrap();
    let renamed = client.patch(&at(&id)).header("if-match", old).json(&json!({"name": "A"})).send().await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text);
    let current = renamed.header("etag").unwrap();
    assert_ne!(current, old);
    let before = service.events().await;
    for stale in [old, "\"1\"", "\"nonsense\"", "W/\"2\""] {
        for reply in [
            client.patch(&at(&id)).header("if-match", stale).json(&json!({"name": "B"})).send().await,
            client.delete(&at(&id)).header("if-match", stale).send().await,
        ] {
            reply.assert_problem(412, "PRECONDITION_FAILED");
            let tag = text(&reply.body["details"]["currentEtag"]);
            assert_eq!(reply.header("etag"), Some(tag.as_str()));
            let version = |tag: &str| tag.trim_matches('"').split('-').next().unwrap().to_owned();
            assert_eq!(version(&tag), version(current));
            assert!(reply.body["details"]["changedSince"].is_array());
        }
    }
    assert_eq!(service.events().await, before);
    for (name, form) in [("B", "whole"), ("C", "version"), ("D", "any")] {
        let tag = client.get(&at(&id)).send().await.header("etag").unwrap().to_owned();
        let tag = match form {
            "whole" => tag,
            "version" => format!("\"{}\"", tag.trim_matches('"').split('-').next().unwrap()),
            _ => "*".to_owned(),
        };
        let reply = client.patch(&at(&id)).header("if-match", &tag).json(&json!({"name": name})).send().await;
        assert_eq!((reply.status, &reply.body["name"]), (StatusCode::OK, &json!(name)), "{tag}: {}", reply.text);
    }
    let unknown = client.patch(&at("0198a3f4-1b22-7d0c-8f10-2a6b7c8d9e01")).header("if-match", old);
    unknown.json(&json!({"name": "B"})).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
}

#[tokio::test]
async fn a_new_proposal_changes_the_tag_of_a_project_but_does_not_block_its_renaming() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let before = client.get(&at(&id)).send().await;
    let tag = before.header("etag").unwrap();
    let job = generate(&client, &id).await;
    service.process(&job).complete().await;
    let after = client.get(&at(&id)).header("if-none-match", tag).send().await;
    assert_eq!(after.status, StatusCode::OK, "what is shown has changed");
    assert_ne!(after.header("etag"), Some(tag));
    let reply = client.patch(&at(&id)).header("if-match", tag).json(&json!({"name": "South plant"})).send().await;
    assert_eq!((reply.status, &reply.body["name"]), (StatusCode::OK, &json!("South plant")), "{}", reply.text);
}

#[tokio::test]
async fn a_project_that_did_not_change_is_not_sent_again() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let tag = client.get(&at(&id)).send().await.header("etag").unwrap().to_owned();
    let again = client.get(&at(&id)).header("if-none-match", &tag).send().await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(again.header("etag"), Some(tag.as_str()));
    assert_eq!(again.header("cache-control"), Some("private, no-cache"));
    assert_eq!(again.header("content-type"), None);
    change(&client, &id, &json!({"name": "South plant"})).await;
    let changed = client.get(&at(&id)).header("if-none-match", &tag).send().await;
    assert_eq!((changed.status, &changed.body["name"]), (StatusCode::OK, &json!("South plant")));
}

#[tokio::test]
async fn somebody_elses_project_looks_like_none() {
    let service = start().await;
    let (ana, ben) = (service.signed_up("ana").await, service.signed_up("ben").await);
    let id = project(&ana, "North plant").await;
    let before = service.events().await;
    for id in [id.as_str(), "0198a3f4-1b22-7d0c-8f10-2a6b7c8d9e01"] {
        for reply in [
            ben.get(&at(id)).send().await,
            ben.patch(&at(id)).json(&json!({"name": "Mine"})).send().await,
            ben.delete(&at(id)).send().await,
            ben.get(&format!("{PATH}/{id}/data")).send().await,
            ben.patch(&format!("{PATH}/{id}/data")).json(&json!({"notes": "x"})).send().await,
            ben.put(&format!("{PATH}/{id}/data")).json(&json!({"notes": "x"})).send().await,
            ben.get(&format!("{PATH}/{id}/timeline")).send().await,
            ben.get(&format!("/api/v1/ai/proposals/{id}/proposals")).send().await,
            ask(&ben, id).await,
        ] {
            reply.assert_problem(404, "PROJECT_NOT_FOUND");
        }
    }
    for reply in [
        ben.get(&at("not-a-uuid")).send().await,
        ben.patch(&at("not-a-uuid")).json(&json!({"name": "Mine"})).send().await,
        ben.delete(&at("0198a3f41b227d0c8f102a6b7c8d9e01")).send().await,
    ] {
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [fault("/path/id", "format")]);
    }
    assert_eq!(read(&ben, "/projects").await["items"], json!([]));
    assert_eq!(service.events().await, before);
}

#[tokio::test]
async fn the_list_has_pages_and_one_past_the_end_is_empty() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let none = read(&client, "/projects").await;
    assert_eq!(none, json!({"items": [], "total": 0, "page": 1, "size": 100, "pages": 1}));
    for name in ["a", "b", "c", "d", "e"] {
        project(&client, name).await;
    }
    let all = read(&client, "/projects").await;
    assert_eq!(names(&all), ["e", "d", "c", "b", "a"], "last changed first");
    assert_eq!(
        (&all["total"], &all["page"], &all["size"], &all["pages"]),
        (&json!(5), &json!(1), &json!(100), &json!(1))
    );
    for (page, expected) in [(1, vec!["e", "d"]), (2, vec!["c", "b"]), (3, vec!["a"]), (4, vec![]), (1000, vec![])] {
        let found = read(&client, &format!("/projects?page={page}&size=2")).await;
        assert_eq!(names(&found), expected);
        assert_eq!((&found["total"], &found["page"], &found["pages"]), (&json!(5), &json!(page), &json!(3)));
    }
    for (query, pointer, code) in [
        ("page=0", "/query/page", "too_small"),
        ("page=1001", "/query/page", "too_large"),
        ("page=x", "/query/page", "type"),
        ("size=0", "/query/size", "too_small"),
        ("size=101", "/query/size", "too_large"),
        ("status=Done", "/query/status", "not_in_enum"),
    ] {
        let reply = client.get(&format!("{PATH}?{query}")).send().await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [fault(pointer, code)], "{query}");
    }
    let long = client.get(&format!("{PATH}?search={}", "x".repeat(101))).send().await;
    assert_eq!(long.faults(), [fault("/query/search", "too_long")]);
    // Parameters that are empty are as good as none.
    assert_eq!(read(&client, "/projects?page=&size=&search=&status=&sector=").await["total"], 5);
}

#[tokio::test]
async fn whatever_is_changed_comes_first_in_the_list() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let (a, b, c) = (project(&client, "a").await, project(&client, "b").await, project(&client, "c").await);
    assert_eq!(names(&read(&client, "/projects").await), ["c", "b", "a"]);
    change(&client, &a, &json!({"budget": 5})).await;
    assert_eq!(names(&read(&client, "/projects").await), ["a", "c", "b"]);
    client.patch(&format!("{PATH}/{b}/data")).json(&json!({"notes": "x"})).send().await;
    assert_eq!(names(&read(&client, "/projects").await), ["b", "a", "c"]);
    let job = generate(&client, &c).await;
    assert_eq!(names(&read(&client, "/projects").await), ["c", "b", "a"]);
    change(&client, &a, &json!({"budget": 6})).await;
    service.process(&job).complete().await;
    let list = read(&client, "/projects").await;
    assert_eq!(names(&list), ["c", "a", "b"]);
    assert_eq!(
        (&list["items"][0]["status"], &list["items"][0]["proposalsCount"]),
        (&json!("Proposal Ready"), &json!(1))
    );
}

#[tokio::test]
async fn a_search_is_literal_and_without_case_and_filters_narrow_together() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    for (name, customer, location, sector) in [
        ("100% reuse", "Álamo", "Mérida", "commercial"),
        ("plant_2", "Dairy", "León", "industrial"),
        ("plantX2", "Dairy", "León", "industrial"),
        ("back\\slash", "Hotel", "Cancún", "commercial"),
    ] {
        create(&client, &json!({"name": name, "client": customer, "location": location, "sector": sector})).await;
    }
    let id = text(&read(&client, "/projects?search=plantX2").await["items"][0]["id"]);
    change(&client, &id, &json!({"status": "On Hold"})).await;
    for (query, expected) in [
        ("search=%25", vec!["100% reuse"]),
        ("search=_", vec!["plant_2"]),
        ("search=plant_2", vec!["plant_2"]),
        ("search=%5C", vec!["back\\slash"]),
        ("search=PLANT", vec!["plantX2", "plant_2"]),
        ("search=%C3%A1lamo", vec!["100% reuse"]),
        ("search=DAIRY", vec!["plantX2", "plant_2"]),
        ("search=m%C3%89rida", vec!["100% reuse"]),
        ("search=nothing", vec![]),
        ("sector=commercial", vec!["back\\slash", "100% reuse"]),
        ("sector=commerc", vec![]),
        ("status=On%20Hold", vec!["plantX2"]),
        ("status=On+Hold&sector=industrial&search=2&page=1&size=5", vec!["plantX2"]),
        ("status=In%20Preparation&sector=industrial", vec!["plant_2"]),
    ] {
        let found = read(&client, &format!("/projects?{query}")).await;
        assert_eq!((names(&found), &found["total"]), (expected.clone(), &json!(expected.len())), "{query}");
    }
}

#[tokio::test]
async fn the_list_has_a_tag_that_every_change_and_deletion_changes() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let tag_of = async |query: &str| {
        let reply = client.get(&format!("{PATH}{query}")).send().await;
        assert_eq!((reply.status, reply.header("cache-control")), (StatusCode::OK, Some("private, no-cache")));
        reply.header("etag").unwrap().to_owned()
    };
    let empty = tag_of("").await;
    let again = client.get(PATH).header("if-none-match", &empty).send().await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "the empty list is asked for most");
    let id = project(&client, "a").await;
    let one = tag_of("").await;
    let position: u64 = one.strip_prefix("\"l-").unwrap().trim_matches('"').parse().unwrap();
    assert!(position > 0 && one != empty);
    assert_ne!(tag_of("?page=2").await, one, "the query is in the tag's making");
    assert_ne!(tag_of("/stats").await, empty);
    change(&client, &id, &json!({"name": "b"})).await;
    let renamed = tag_of("").await;
    assert_ne!(renamed, one);
    let stats = tag_of("/stats").await;
    assert_eq!(client.get(&format!("{PATH}/stats")).header("if-none-match", &stats).send().await.status, 304);
    client.delete(&at(&id)).send().await;
    let deleted = client.get(PATH).header("if-none-match", &renamed).send().await;
    assert_eq!((deleted.status, &deleted.body["items"]), (StatusCode::OK, &json!([])));
    assert_ne!(tag_of("/stats").await, stats);
    // Nobody else's list moves.
    let ben = service.signed_up("ben").await;
    let before = tag_of("").await;
    project(&ben, "his").await;
    assert_eq!(tag_of("").await, before);
}

#[tokio::test]
async fn the_stats_are_in_both_spellings() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let check = |stats: &Value, expected: Value| {
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&stats[name], value, "{name} in {stats}");
        }
    };
    let none = read(&client, "/projects/stats").await;
    check(
        &none,
        json!({
            "totalProjects": 0, "inPreparation": 0, "generating": 0, "ready": 0, "proposalReady": 0, "inDevelopment": 0,
            "completed": 0, "onHold": 0, "avgProgress": 0, "lastUpdated": null, "pipelineStages": {},
            "total_projects": 0, "in_preparation": 0, "proposal_ready": 0, "in_development": 0, "on_hold": 0,
            "avg_progress": 0,
        }),
    );
    assert_eq!(none["totalBudget"].as_f64(), Some(0.0));

    let ids = [project(&client, "a").await, project(&client, "b").await, project(&client, "c").await];
    let done = project(&client, "d").await;
    for (id, budget) in ids.iter().zip([0.1, 0.2, 100.0]) {
        change(&client, id, &json!({"budget": budget})).await;
    }
    let sheet = json!({"technical_sections": [{"id": "s", "title": "S", "fields": [
        {"id": "f", "label": "F", "value": "1", "type": "text", "source": "manual"},
        {"id": "g", "label": "G", "value": "", "type": "text", "source": "manual"},
    ]}]});
    client.patch(&format!("{PATH}/{}/data", ids[0])).json(&sheet).send().await;
    change(&client, &ids[1], &json!({"status": "On Hold"})).await;
    generate(&client, &ids[2]).await;
    let job = generate(&client, &done).await;
    service.process(&job).complete().await;
    let stats = read(&client, "/projects/stats").await;
    // 50 % over four projects is 12.5 %, and halves are rounded up.
    check(
        &stats,
        json!({
            "totalProjects": 4, "inPreparation": 1, "generating": 1, "ready": 1, "proposalReady": 1, "inDevelopment": 0,
            "completed": 0, "onHold": 1, "avgProgress": 13,
            "total_projects": 4, "in_preparation": 1, "proposal_ready": 1, "in_development": 0, "on_hold": 1,
            "avg_progress": 13,
        }),
    );
    assert_eq!(stats["totalBudget"].as_f64(), Some(100.3), "money is exact to the cent");
    assert_eq!(
        stats["pipelineStages"],
        json!({
            "In Preparation": {"count": 1, "avgProgress": 50},
            "Generating Proposal": {"count": 1, "avgProgress": 0},
            "Proposal Ready": {"count": 1, "avgProgress": 0},
            "On Hold": {"count": 1, "avgProgress": 0},
        })
    );
    let newest = &read(&client, "/projects").await["items"][0];
    assert_eq!((&stats["lastUpdated"], &newest["name"]), (&newest["updatedAt"], &json!("d")));
}

#[tokio::test]
async fn a_deleted_project_is_gone_at_once_and_deleting_it_again_does_no_harm() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let (id, other) = (project(&client, "a").await, project(&client, "b").await);
    let done = generate(&client, &id).await;
    service.process(&done).complete().await;
    let proposal = proposal_of(&done);
    let reply = client.delete(&at(&id)).header("content-type", "application/json").send().await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!((reply.header("content-type"), reply.header("etag")), (None, None));
    assert!(reply.header("x-event-position").is_some());
    let before = service.events().await;
    for path in ["", "/data", "/timeline"] {
        let gone = client.get(&format!("{}{path}", at(&id))).send().await;
        gone.assert_problem(404, "PROJECT_NOT_FOUND");
    }
    let base = format!("/api/v1/ai/proposals/{id}/proposals");
    client.get(&base).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
    client.get(&format!("{base}/{proposal}")).send().await.assert_problem(404, "PROPOSAL_NOT_FOUND");
    client.get(&format!("{base}/{proposal}/ai-metadata")).send().await.assert_problem(404, "PROPOSAL_NOT_FOUND");
    client.delete(&at(&id)).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
    client.delete(&at(&id)).header("if-match", "\"1\"").send().await.assert_problem(404, "PROJECT_NOT_FOUND");
    change(&client, &id, &json!({"name": "c"})).await.assert_problem(404, "PROJECT_NOT_FOUND");
    ask(&client, &id).await.assert_problem(404, "PROJECT_NOT_FOUND");
    assert_eq!(service.events().await, before);
    assert_eq!(names(&read(&client, "/projects").await), ["b"]);
    assert_eq!(job(&client, &done).await["status"], "completed", "jobs are found for ever");
    read(&client, &format!("/projects/{other}")).await;
}

#[tokio::test]
async fn deleting_a_project_ends_its_queued_job_at_once() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "a").await;
    let queued = generate(&client, &id).await;
    assert_eq!(client.delete(&at(&id)).send().await.status, StatusCode::NO_CONTENT);
    let ended = job(&client, &queued).await;
    assert_eq!((&ended["status"], &ended["cancelled"]), (&json!("failed"), &json!(true)));
    assert_eq!((&ended["errorCode"], &ended["projectId"]), (&json!("CANCELLED"), &json!(id)));
    assert!(ended["finishedAt"].is_string());
    // Its place is free again: five more can be asked for.
    for name in ["b", "c", "d", "e", "f"] {
        generate(&client, &project(&client, name).await).await;
    }
}

#[tokio::test]
async fn deleting_a_project_asks_the_worker_to_end_its_running_job() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "a").await;
    let running = generate(&client, &id).await;
    let process = service.process(&running);
    process.work_up_to(Stage::Costs).await;
    assert_eq!(client.delete(&at(&id)).send().await.status, StatusCode::NO_CONTENT);
    let asked = job(&client, &running).await;
    assert_eq!(
        (&asked["status"], &asked["progress"], &asked["cancelled"]),
        (&json!("processing"), &json!(52), &json!(false))
    );
    process.confirm_cancellation().await;
    let ended = job(&client, &running).await;
    assert_eq!(
        (&ended["status"], &ended["progress"], &ended["cancelled"]),
        (&json!("failed"), &json!(52), &json!(true))
    );
    client.get(&at(&id)).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
}

#[tokio::test]
async fn the_status_follows_a_generation_but_does_not_overrule_people() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "a").await;
    let status = async || text(&read(&client, &format!("/projects/{id}")).await["status"]);
    assert_eq!(status().await, "In Preparation");
    let first = generate(&client, &id).await;
    let shown = read(&client, &format!("/projects/{id}")).await;
    assert_eq!((&shown["status"], &shown["activeJobId"]), (&json!("Generating Proposal"), &json!(first)));
    service.process(&first).fail(FailureCode::AiUnavailable, vec![]).await;
    assert_eq!(status().await, "In Preparation");
    let second = generate(&client, &id).await;
    service.process(&second).complete().await;
    let shown = read(&client, &format!("/projects/{id}")).await;
    assert_eq!((&shown["status"], &shown["activeJobId"]), (&json!("Proposal Ready"), &json!(null)));
    let third = generate(&client, &id).await;
    assert_eq!(status().await, "Generating Proposal");
    client.post(&format!("/api/v1/ai/proposals/jobs/{third}/cancel")).send().await;
    assert_eq!(status().await, "Proposal Ready");
    let fourth = generate(&client, &id).await;
    change(&client, &id, &json!({"status": "In Development"})).await;
    service.process(&fourth).complete().await;
    assert_eq!(status().await, "In Development");
}

#[tokio::test]
async fn one_account_reads_its_own_writes_through_any_instance() {
    let first = start().await;
    let second = first.another(Options::default()).await;
    let here = first.signed_up("ana").await;
    let there = here.clone().through(second.front.clone());
    for turn in 0..10 {
        let (writer, reader) = if turn % 2 == 0 { (&here, &there) } else { (&there, &here) };
        let id = project(writer, &format!("plant {turn}")).await;
        assert_eq!(read(reader, &format!("/projects/{id}")).await["name"], format!("plant {turn}"));
        assert_eq!(read(reader, "/projects").await["total"], turn + 1);
        let body = json!({"notes": turn});
        let written = writer.patch(&format!("{PATH}/{id}/data")).json(&body).send().await;
        let data = reader.get(&format!("{PATH}/{id}/data")).send().await;
        assert_eq!((&data.body["data"], data.header("etag")), (&body, written.header("etag")));
        let job = generate(writer, &id).await;
        let polled = reader.get(&format!("/api/v1/ai/proposals/jobs/{job}")).send().await;
        assert_eq!((polled.status, &polled.body["status"]), (StatusCode::OK, &json!("queued")));
        assert_eq!(writer.delete(&at(&id)).send().await.status, StatusCode::NO_CONTENT);
        reader.get(&at(&id)).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
        let id = project(writer, &format!("plant {turn}")).await;
        read(reader, &format!("/projects/{id}/timeline")).await;
    }
}

#[tokio::test]
async fn a_read_says_up_to_where_it_includes_everything_and_may_be_asked_for_more() {
    let short = |config: &mut api::ApiConfig| config.wait_for_reads = Duration::from_millis(150);
    let service = start_with(Options { configure: short, ..Options::default() }).await;
    let client = service.signed_up("ana").await;
    let created = create(&client, &needed()).await;
    let id = text(&created.body["id"]);
    let written: u64 = created.header("x-event-position").unwrap().parse().unwrap();
    let job = generate(&client, &id).await;
    for path in [
        "/projects".to_owned(),
        "/projects/stats".to_owned(),
        format!("/projects/{id}"),
        format!("/projects/{id}/data"),
        format!("/projects/{id}/timeline"),
        format!("/ai/proposals/{id}/proposals"),
        "/ai/proposals/jobs".to_owned(),
    ] {
        let path = format!("/api/v1{path}");
        let reply = client.get(&path).header("x-min-position", &written.to_string()).send().await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text);
        let included: u64 = reply.header("x-event-position").unwrap().parse().unwrap();
        assert!(included >= written, "{path}: {included} is below {written}");
        let behind = client.get(&path).header("x-min-position", "9007199254740991").send().await;
        behind.assert_problem(503, "READ_MODEL_BEHIND");
        assert_eq!((behind.body["code"].as_str(), behind.header("retry-after")), (Some("HTTP_503"), Some("1")));
        for wrong in ["-1", "x", "9007199254740992"] {
            let reply = client.get(&path).header("x-min-position", wrong).send().await;
            reply.assert_problem(422, "VALIDATION_ERROR");
        }
    }
    let poll = client.get(&format!("/api/v1/ai/proposals/jobs/{job}")).header("x-min-position", "9007199254740991");
    assert_eq!(poll.send().await.status, StatusCode::OK, "a poll never waits and never fails for lag");
}

#[tokio::test]
async fn a_write_is_a_success_and_complete_although_the_read_models_stand_still() {
    let still = |config: &mut api::ApiConfig| config.wait_for_reads = Duration::from_millis(100);
    let service = start_with(Options { projections: false, configure: still, ..Options::default() }).await;
    let client = service.signed_up("ana").await;
    let created = create(&client, &needed()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = text(&created.body["id"]);
    assert_eq!(created.body["timeline"][0]["user"], "ana@example.com");
    let renamed = change(&client, &id, &json!({"name": "South plant"})).await;
    assert_eq!((renamed.status, &renamed.body["name"]), (StatusCode::OK, &json!("South plant")), "{}", renamed.text);
    let data = client.patch(&format!("{PATH}/{id}/data")).json(&json!({"notes": "a"})).send().await;
    assert_eq!((data.status, &data.body["data"]), (StatusCode::OK, &json!({"notes": "a"})), "{}", data.text);
    let job_id = generate(&client, &id).await;
    assert_eq!(job(&client, &job_id).await["status"], "queued");
    assert_eq!(client.delete(&at(&id)).send().await.status, StatusCode::NO_CONTENT);
    assert_eq!(job(&client, &job_id).await["status"], "failed");
    client.delete(&at(&id)).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
}

#[tokio::test]
async fn a_repeated_creation_with_the_same_key_makes_one_project() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let send = async |key: &str, body: &Value| client.post(PATH).header("idempotency-key", key).json(body).send().await;
    let first = send("k-1", &needed()).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::CREATED, None), "{}", first.text);
    let before = service.events().await;
    let again = send("\"k-1\"", &needed()).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body), "{}", again.text);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("location"), first.header("location"));
    send("k-1", &with(&json!({"name": "Another"}))).await.assert_problem(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(service.events().await, before);
    assert_ne!(send("k-2", &needed()).await.body["id"], first.body["id"]);
}

#[tokio::test]
async fn updated_at_is_the_time_of_the_newest_event() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let created = create(&client, &needed()).await.body;
    let id = text(&created["id"]);
    let changed = change(&client, &id, &json!({"budget": 1})).await.body;
    let time = |project: &Value, member: &str| text(&project[member]).parse::<DateTime<Utc>>().unwrap();
    assert_eq!(changed["createdAt"], created["createdAt"]);
    assert!(time(&changed, "updatedAt") > time(&created, "updatedAt"));
    assert_eq!(changed["updatedAt"], changed["timeline"][0]["timestamp"]);
}

#[tokio::test]
async fn many_who_change_different_fields_at_once_lose_nothing() {
    let service = start().await;
    let second = service.another(Options::default()).await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let there = client.clone().through(second.front.clone());
    let fields = [
        ("name", json!("South plant")),
        ("client", json!("Hotel")),
        ("sector", json!("commercial")),
        ("subsector", json!("hotel")),
        ("location", json!("Cancún")),
        ("budget", json!(5.25)),
        ("tags", json!(["a"])),
        ("status", json!("On Hold")),
    ];
    let writes = fields.iter().enumerate().map(|(n, (field, value))| {
        let client = if n % 2 == 0 { &client } else { &there };
        let id = &id;
        async move {
            let reply = change(client, id, &json!({*field: value})).await;
            assert_eq!((reply.status, &reply.body[*field]), (StatusCode::OK, value), "{}", reply.text);
        }
    });
    futures::future::join_all(writes).await;
    let shown = read(&client, &format!("/projects/{id}")).await;
    for (field, value) in fields {
        assert_eq!(shown[field], value, "{field}");
    }
}

#[tokio::test]
async fn deleting_and_generating_at_once_leave_no_job_behind() {
    let service = start().await;
    let second = service.another(Options::default()).await;
    let client = service.signed_up("ana").await;
    let there = client.clone().through(second.front.clone());
    for turn in 0..6 {
        let id = project(&client, "North plant").await;
        let (asked, deleted) = tokio::join!(ask(&client, &id), async { there.delete(&at(&id)).send().await });
        assert_eq!(deleted.status, StatusCode::NO_CONTENT, "turn {turn}: {}", deleted.text);
        match asked.status {
            StatusCode::ACCEPTED => {
                let ended = job(&client, &text(&asked.body["jobId"])).await;
                assert_eq!((&ended["status"], &ended["cancelled"]), (&json!("failed"), &json!(true)), "turn {turn}");
            }
            _ => asked.assert_problem(404, "PROJECT_NOT_FOUND"),
        }
        client.get(&at(&id)).send().await.assert_problem(404, "PROJECT_NOT_FOUND");
    }
    assert_eq!(read(&client, "/ai/proposals/jobs?status=active").await["items"], json!([]));
}
