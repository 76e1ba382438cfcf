//! What a change of a project does, and who may see it.

use chrono::{DateTime, Utc};
use domain::proposal::FailureCode;
use http::StatusCode;
use serde_json::{Value, json};

use super::{PATH, at, change, create, fault, needed, with};
use crate::process::{ask, generate, project, proposal_of, read, text};
use crate::support::{Options, start};

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
    assert_ne!(renamed.header("etag"), Some(old));
    let changed = change(&client, &id, &json!({"budget": 5, "status": "On Hold"})).await;
    let current = changed.header("etag").unwrap();
    let before = service.events().await;
    for stale in [old, "\"1\"", "\"nonsense\"", "W/\"2\""] {
        for reply in [
            client.patch(&at(&id)).header("if-match", stale).json(&json!({"name": "B"})).send().await,
            client.delete(&at(&id)).header("if-match", stale).send().await,
        ] {
            reply.assert_problem(412, "PRECONDITION_FAILED");
            assert_eq!(reply.body["details"]["currentEtag"], current);
            assert_eq!(reply.header("etag"), Some(current));
            let since = if stale == old || stale == "\"1\"" { json!(["budget", "name", "status"]) } else { json!([]) };
            assert_eq!(reply.body["details"]["changedSince"], since, "{stale}");
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
