//! The timeline of a project.

use chrono::TimeDelta;
use http::StatusCode;
use serde_json::{Value, json};

use crate::process::{generate, project, proposal_of, read, text};
use crate::support::{Client, PASSWORD, Service, start};

async fn with_project() -> (Service, Client, String) {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    (service, client, id)
}

async fn timeline(client: &Client, id: &str) -> Vec<Value> {
    read(client, &format!("/projects/{id}/timeline")).await.as_array().unwrap().clone()
}

fn titles(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["title"].as_str().unwrap()).collect()
}

/// A sheet with this amount of water, in a field of this form.
fn water(value: &Value, form: &Value) -> Value {
    let mut field = json!({
        "id": "water-consumption", "label": "Water Consumption", "type": "unit", "value": value, "unit": "m³/day",
        "source": "manual",
    });
    for (key, value) in form.as_object().unwrap() {
        field[key] = value.clone();
    }
    json!({"technical_sections": [{"id": "economics-scale", "title": "Economics & Scale", "fields": [field]}]})
}

async fn write(client: &Client, id: &str, body: &Value) {
    let reply = client.patch(&format!("/api/v1/projects/{id}/data?merge=true")).json(body).send().await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

#[tokio::test]
async fn keystrokes_form_one_entry_with_the_first_old_and_the_last_new_value() {
    let (service, client, id) = with_project().await;
    write(&client, &id, &water(&json!(""), &json!({}))).await;
    service.advance(TimeDelta::minutes(6));
    let before = timeline(&client, &id).await;
    for value in ["4", "41", "412"] {
        write(&client, &id, &water(&json!(value), &json!({}))).await;
        service.advance(TimeDelta::minutes(4));
    }
    let entries = timeline(&client, &id).await;
    assert_eq!(entries.len(), before.len() + 1, "{entries:?}");
    let entry = &entries[0];
    assert_eq!((&entry["type"], &entry["user"]), (&json!("edit"), &json!("ana@example.com")));
    assert_eq!(
        (&entry["title"], &entry["description"]),
        (&json!("Technical data updated"), &json!("Water Consumption"))
    );
    let change = json!({
        "field": "economics-scale/water-consumption", "label": "Water Consumption", "old_value": "", "new_value": "412",
        "unit": "m³/day",
    });
    let field = "economics-scale/water-consumption";
    assert_eq!(entry["metadata"], json!({"changed_fields": [field], "changes": [change]}));
    let first = entry["id"].clone();
    service.advance(TimeDelta::minutes(2));
    write(&client, &id, &water(&json!("500"), &json!({}))).await;
    let entries = timeline(&client, &id).await;
    assert_eq!(entries.len(), before.len() + 2, "six minutes later begins another entry");
    assert_ne!(entries[0]["id"], first);
    assert_eq!(entries[0]["metadata"]["changes"][0]["old_value"], "412");
}

#[tokio::test]
async fn one_course_of_typing_lasts_an_hour_at_most() {
    let (service, client, id) = with_project().await;
    for turn in 0..16 {
        write(&client, &id, &json!({"notes": format!("turn {turn}")})).await;
        service.advance(TimeDelta::minutes(4));
    }
    let edits: Vec<Value> = timeline(&client, &id).await.into_iter().filter(|entry| entry["type"] == "edit").collect();
    let values: Vec<_> = edits.iter().map(|entry| &entry["metadata"]["changes"][0]["new_value"]).collect();
    assert_eq!(
        values,
        [&json!("turn 15"), &json!("turn 14")],
        "sixteen edits in sixty minutes, the last at the sixtieth"
    );
}

#[tokio::test]
async fn what_came_back_to_its_old_value_is_not_told() {
    let (service, client, id) = with_project().await;
    write(&client, &id, &water(&json!("412"), &json!({}))).await;
    service.advance(TimeDelta::minutes(6));
    let before = timeline(&client, &id).await;
    write(&client, &id, &water(&json!("41"), &json!({}))).await;
    assert_eq!(timeline(&client, &id).await.len(), before.len() + 1);
    write(&client, &id, &water(&json!("412"), &json!({}))).await;
    assert_eq!(timeline(&client, &id).await, before);
    assert_eq!(read(&client, &format!("/projects/{id}")).await["timeline"], json!(before));
}

#[tokio::test]
async fn a_change_of_what_only_describes_the_form_is_stored_but_not_told() {
    let (service, client, id) = with_project().await;
    let mut bare = water(&json!("412"), &json!({}));
    bare["technical_sections"][0]["fields"][0].as_object_mut().unwrap().remove("unit");
    write(&client, &id, &bare).await;
    service.advance(TimeDelta::minutes(6));
    let before = timeline(&client, &id).await;
    for form in [
        json!({"unit": ""}),
        json!({"unit": "", "placeholder": "How much?"}),
        json!({"unit": "", "options": ["a", "b"], "importance": "critical", "required": true}),
    ] {
        let sheet = water(&json!("412"), &form);
        write(&client, &id, &sheet).await;
        assert_eq!(read(&client, &format!("/projects/{id}/data")).await["data"], sheet);
    }
    assert_eq!(timeline(&client, &id).await, before);
}

#[tokio::test]
async fn long_values_are_cut_at_two_hundred_characters() {
    let (_service, client, id) = with_project().await;
    write(&client, &id, &json!({"notes": "é".repeat(500)})).await;
    let entry = &timeline(&client, &id).await[0];
    let change = &entry["metadata"]["changes"][0];
    assert_eq!((&change["field"], &change["new_value"]), (&json!("notes"), &json!("é".repeat(200))));
}

#[tokio::test]
async fn pages_follow_each_other_and_stay_where_they_were_when_something_new_comes() {
    let (_service, client, id) = with_project().await;
    for name in ["A", "B", "C", "D", "E", "F"] {
        let reply = client.patch(&format!("/api/v1/projects/{id}")).json(&json!({"name": name})).send().await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    }
    let all = timeline(&client, &id).await;
    assert_eq!(all.len(), 7);
    assert!(all.windows(2).all(|pair| text(&pair[0]["timestamp"]) >= text(&pair[1]["timestamp"])), "newest first");
    let mut seen = vec![];
    let mut address = format!("/api/v1/projects/{id}/timeline?limit=3");
    let mut lengths = vec![];
    loop {
        let page = client.get(&address).send().await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let entries = page.body.as_array().unwrap();
        lengths.push(entries.len());
        seen.extend(entries.clone());
        let Some(cursor) = page.header("x-next-cursor") else {
            assert_eq!(page.header("link"), None);
            break;
        };
        address = page.header("link").unwrap().trim_start_matches('<').split('>').next().unwrap().to_owned();
        assert!(address.contains(cursor) && address.contains("limit=3"), "{address}");
        client.patch(&format!("/api/v1/projects/{id}")).json(&json!({"budget": lengths.len()})).send().await;
    }
    assert_eq!((seen, lengths), (all, vec![3, 3, 1]));
    // The page that ends exactly at the end has no cursor.
    let total = timeline(&client, &id).await.len();
    let exact = client.get(&format!("/api/v1/projects/{id}/timeline?limit={total}")).send().await;
    assert_eq!((exact.body.as_array().unwrap().len(), exact.header("x-next-cursor")), (total, None));
    let detail = read(&client, &format!("/projects/{id}")).await;
    assert_eq!(detail["timeline"].as_array().unwrap(), &timeline(&client, &id).await[..total.min(10)]);
}

#[tokio::test]
async fn a_detail_shows_the_newest_ten_entries() {
    let (_service, client, id) = with_project().await;
    for budget in 1..=12 {
        client.patch(&format!("/api/v1/projects/{id}")).json(&json!({"budget": budget})).send().await;
    }
    let all = timeline(&client, &id).await;
    assert_eq!(all.len(), 13);
    assert_eq!(read(&client, &format!("/projects/{id}")).await["timeline"].as_array().unwrap(), &all[..10]);
}

#[tokio::test]
async fn a_cursor_that_is_none_or_too_old_is_refused() {
    let (service, client, id) = with_project().await;
    client.patch(&format!("/api/v1/projects/{id}")).json(&json!({"name": "A"})).send().await;
    let path = format!("/api/v1/projects/{id}/timeline?limit=1");
    let cursor = client.get(&path).send().await.header("x-next-cursor").unwrap().to_owned();
    let unknown = async |client: &Client, cursor: &str| {
        let reply = client.get(&format!("{path}&cursor={cursor}")).send().await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [("/query/cursor".to_owned(), "unknown_cursor".to_owned())]);
    };
    for wrong in ["x", "!!!", &"A".repeat(43), &"A".repeat(64), &"A".repeat(1000), "%00", &cursor[1..]] {
        unknown(&client, wrong).await;
    }
    service.advance(TimeDelta::days(6));
    let sign_in = async |client: &mut Client| {
        let reply = client.login("ana@example.com", PASSWORD).await;
        client.bearer = Some(text(&reply.body["access_token"]));
    };
    let mut client = client;
    sign_in(&mut client).await;
    let page = client.get(&format!("{path}&cursor={cursor}")).send().await;
    assert_eq!((page.status, titles(page.body.as_array().unwrap())), (StatusCode::OK, vec!["Project created"]));
    service.advance(TimeDelta::days(2));
    sign_in(&mut client).await;
    unknown(&client, &cursor).await;
    for (query, code) in [("limit=0", "too_small"), ("limit=101", "too_large"), ("limit=x", "type")] {
        let reply = client.get(&format!("/api/v1/projects/{id}/timeline?{query}")).send().await;
        reply.assert_problem(422, "VALIDATION_ERROR");
        assert_eq!(reply.faults(), [("/query/limit".to_owned(), code.to_owned())]);
    }
}

#[tokio::test]
async fn a_generation_is_told_from_the_request_to_the_proposal() {
    let (service, client, id) = with_project().await;
    let job = generate(&client, &id).await;
    assert_eq!(titles(&timeline(&client, &id).await), ["Proposal requested", "Project created"]);
    service.process(&job).complete().await;
    let entries = timeline(&client, &id).await;
    assert_eq!(titles(&entries), ["Proposal generated", "Proposal requested", "Project created"]);
    let types: Vec<_> = entries.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["proposal", "assistant", "version"]);
    assert_eq!((&entries[0]["user"], &entries[1]["user"]), (&json!("H2O Allegiant AI"), &json!("ana@example.com")));
    assert_eq!(
        entries[0]["metadata"],
        json!({
            "proposal_id": proposal_of(&job), "version": "v1.0", "proposal_type": "Technical", "capex": 210_000,
            "opex": 99_000.5, "generation_time": 71.4,
        })
    );
    let cancelled = generate(&client, &id).await;
    client.post(&format!("/api/v1/ai/proposals/jobs/{cancelled}/cancel")).send().await;
    assert_eq!(titles(&timeline(&client, &id).await)[..2], ["Proposal generation cancelled", "Proposal requested"]);
}
