//! A new project.

use http::StatusCode;
use serde_json::{Value, json};

use super::{PATH, SUMMARY, at, change, create, fault, needed, with};
use crate::process::{keys, read, text};
use crate::support::start;

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
