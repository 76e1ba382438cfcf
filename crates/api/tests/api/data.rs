//! The technical sheet of a project, and whatever else its document holds.

use futures::future::join_all;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::process::{keys, project, read, text};
use crate::support::{Client, Reply, Service, start};

fn at(id: &str) -> String {
    format!("/api/v1/projects/{id}/data")
}

async fn merge(client: &Client, id: &str, body: &Value) -> Reply {
    client.patch(&format!("{}?merge=true", at(id))).json(body).send().await
}

/// Stores it, and answers the whole document.
async fn merged(client: &Client, id: &str, body: &Value) -> Value {
    let reply = merge(client, id, body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.body["data"].clone()
}

/// A service, somebody with a project, and its id.
async fn with_project() -> (Service, Client, String) {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    (service, client, id)
}

fn field(id: &str, value: &Value) -> Value {
    json!({"id": id, "label": id, "type": "text", "value": value, "source": "manual", "importance": "critical"})
}

fn sheet(fields: &[Value]) -> Value {
    json!({"technical_sections": [{"id": "context", "title": "Context", "fields": fields}]})
}

fn nested(depth: usize) -> Value {
    (1..depth).fold(json!({}), |inner, _| json!({"a": inner}))
}

fn fault(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[tokio::test]
async fn the_document_of_a_new_project_is_empty() {
    let (_service, client, id) = with_project().await;
    let reply = client.get(&at(&id)).send().await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert_eq!(keys(&reply.body), ["completeness", "data", "projectId", "project_id", "updated_at"]);
    assert_eq!((&reply.body["project_id"], &reply.body["projectId"]), (&json!(id), &json!(id)));
    assert_eq!(reply.body["data"], json!({}));
    assert_eq!(reply.body["completeness"], json!({"percentage": 0, "completed": 0, "total": 0}));
    assert!(text(&reply.body["updated_at"]).ends_with('Z'));
    let tag = reply.header("etag").unwrap();
    assert!(tag.starts_with("\"1-"), "{tag}");
    let again = client.get(&at(&id)).header("if-none-match", tag).send().await;
    assert_eq!((again.status, again.text.as_str(), again.header("etag")), (StatusCode::NOT_MODIFIED, "", Some(tag)));
}

#[tokio::test]
async fn a_write_answers_the_whole_document() {
    let (_service, client, id) = with_project().await;
    let body =
        json!({"notes": "a", "technical_sections": [{"id": "s", "title": "S", "fields": [field("f", &json!(1))]}]});
    let reply = merge(&client, &id, &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let members = ["completeness", "data", "message", "projectId", "project_id", "updatedAt", "updated_at"];
    assert_eq!(keys(&reply.body), members);
    assert_eq!((&reply.body["message"], &reply.body["data"]), (&json!("Project data updated"), &body));
    assert_eq!(reply.body["updatedAt"], reply.body["updated_at"]);
    assert_eq!(reply.body["completeness"], json!({"percentage": 100, "completed": 1, "total": 1}));
    let shown = client.get(&at(&id)).send().await;
    assert_eq!((&shown.body["data"], shown.header("etag")), (&body, reply.header("etag")));
    let position = reply.header("x-event-position").unwrap();
    assert_eq!(reply.header("etag"), Some(format!("\"2-{position}\"").as_str()));
    assert_eq!(read(&client, &format!("/projects/{id}")).await["progress"], 100);
}

#[tokio::test]
async fn objects_are_merged_key_by_key_at_all_depths() {
    let (_service, client, id) = with_project().await;
    merged(&client, &id, &json!({"basic_info": {"a": {"x": 1, "y": {"z": 1}}, "b": 1}, "notes": "n"})).await;
    let data = merged(&client, &id, &json!({"basic_info": {"a": {"y": {"w": 2}}, "c": 3}})).await;
    let expected = json!({"basic_info": {"a": {"x": 1, "y": {"z": 1, "w": 2}}, "b": 1, "c": 3}, "notes": "n"});
    assert_eq!(data, expected);
    // An object over a plain value, and a plain value over an object, replace.
    let data = merged(&client, &id, &json!({"basic_info": {"a": 5, "b": {"d": 1}}})).await;
    assert_eq!(data, json!({"basic_info": {"a": 5, "b": {"d": 1}, "c": 3}, "notes": "n"}));
    assert_eq!(merged(&client, &id, &json!({"basic_info": {"a": {}}})).await["basic_info"]["a"], json!({}));
}

#[tokio::test]
async fn arrays_and_plain_values_replace_and_null_is_stored() {
    let (_service, client, id) = with_project().await;
    merged(&client, &id, &json!({"regulations": ["a", "b"], "quality": [{"x": 1}], "notes": "n", "o": {"k": 1}})).await;
    let data = merged(&client, &id, &json!({"regulations": ["c"], "quality": [{"y": 2}], "notes": null})).await;
    assert_eq!(data, json!({"regulations": ["c"], "quality": [{"y": 2}], "notes": null, "o": {"k": 1}}));
    let data = merged(&client, &id, &json!({"o": null, "regulations": []})).await;
    assert_eq!(data, json!({"regulations": [], "quality": [{"y": 2}], "notes": null, "o": null}));
    // Resetting the sheet.
    merged(&client, &id, &sheet(&[field("f", &json!("x"))])).await;
    let reply = merge(&client, &id, &json!({"technical_sections": []})).await;
    assert_eq!(reply.body["data"]["technical_sections"], json!([]));
    assert_eq!(reply.body["completeness"], json!({"percentage": 0, "completed": 0, "total": 0}));
}

#[tokio::test]
async fn without_merging_the_document_becomes_the_body() {
    let (_service, client, id) = with_project().await;
    for (turn, spelling) in ["merge=false", "merge=0", "PUT"].into_iter().enumerate() {
        merged(&client, &id, &json!({"a": 1, "b": {"c": 2}, "turn": turn})).await;
        let body = json!({"b": {"d": turn}});
        let sending = match spelling {
            "PUT" => client.put(&at(&id)),
            query => client.patch(&format!("{}?{query}", at(&id))),
        };
        let reply = sending.json(&body).send().await;
        assert_eq!((reply.status, &reply.body["data"]), (StatusCode::OK, &body), "{spelling}: {}", reply.text);
        assert_eq!(reply.body["message"], "Project data updated");
        assert_eq!(client.get(&at(&id)).send().await.body["data"], body);
    }
    let merging = client.put(&format!("{}?merge=true", at(&id))).json(&json!({"e": 1})).send().await;
    assert_eq!(merging.body["data"], json!({"e": 1}), "PUT always replaces");
    let wrong = client.patch(&format!("{}?merge=maybe", at(&id))).json(&json!({})).send().await;
    wrong.assert_problem(422, "VALIDATION_ERROR");
    assert_eq!(wrong.faults(), [fault("/query/merge", "type")]);
    let emptied = client.put(&at(&id)).json(&json!({})).send().await;
    assert_eq!((emptied.status, &emptied.body["data"]), (StatusCode::OK, &json!({})));
}

#[tokio::test]
async fn a_whole_sheet_that_is_sent_again_unchanged_stores_no_event() {
    let (service, client, id) = with_project().await;
    let template = sheet(&[field("source", &json!("")), field("uses", &json!([]))]);
    let first = merge(&client, &id, &template).await;
    let before = service.events().await;
    let replacing = client.put(&at(&id)).json(&template).send().await;
    let nothing = client.patch(&at(&id)).header("content-type", "application/json").send().await;
    let empty = merge(&client, &id, &json!({})).await;
    for reply in [merge(&client, &id, &template).await, replacing, nothing, empty] {
        assert_eq!((reply.status, &reply.body), (StatusCode::OK, &first.body), "{}", reply.text);
        assert_eq!(reply.header("etag"), first.header("etag"));
        assert_eq!(reply.header("x-event-position"), first.header("x-event-position"));
    }
    assert_eq!(service.events().await, before);
    merge(&client, &id, &sheet(&[field("source", &json!("Well")), field("uses", &json!([]))])).await;
    assert_eq!(service.events().await, before + 1, "a change is one event");
}

#[tokio::test]
async fn progress_is_what_the_web_client_computes() {
    let (_service, client, id) = with_project().await;
    let missing = json!({"id": "x", "label": "x", "type": "text", "source": "manual"});
    for (fields, completed, percentage) in [
        (vec![field("a", &json!("x"))], 1, 100),
        (vec![field("a", &json!(0)), field("b", &json!(false)), field("c", &json!([]))], 3, 100),
        (vec![field("a", &json!("")), field("b", &json!(null)), missing.clone()], 0, 0),
        (vec![field("a", &json!(" ")), field("b", &json!({})), missing.clone()], 2, 67),
        (vec![field("a", &json!("x")), missing.clone(), missing.clone()], 1, 33),
        ((0..8).map(|n| field(&format!("f{n}"), &if n == 0 { json!(1) } else { json!("") })).collect(), 1, 13),
        ((0..200).map(|n| field(&format!("f{n}"), &if n == 0 { json!(1) } else { json!("") })).collect(), 1, 1),
        ((0..201).map(|n| field(&format!("f{n}"), &if n == 0 { json!(1) } else { json!("") })).collect(), 1, 0),
    ] {
        let reply = merge(&client, &id, &sheet(&fields)).await;
        let expected = json!({"percentage": percentage, "completed": completed, "total": fields.len()});
        assert_eq!(reply.body["completeness"], expected, "{}", reply.text);
        let detail = read(&client, &format!("/projects/{id}")).await;
        assert_eq!((&detail["progress"], &detail["completeness"]), (&json!(percentage), &expected));
        assert_eq!(read(&client, "/projects").await["items"][0]["progress"], percentage);
    }
    // What does not fit is stored and not counted.
    let odd =
        json!({"technical_sections": [1, null, {"id": "a"}, {"fields": 5}, {"fields": [1, "x", null, {"value": 1}]}]});
    let reply = merge(&client, &id, &odd).await;
    assert_eq!((reply.status, &reply.body["data"]), (StatusCode::OK, &odd), "{}", reply.text);
    assert_eq!(reply.body["completeness"], json!({"percentage": 100, "completed": 1, "total": 1}));
}

#[tokio::test]
async fn keys_belong_to_the_user_and_come_back_untouched() {
    let (_service, client, id) = with_project().await;
    let body = json!({
        "project_type": "a", "projectType": "b", "": {"": ""}, "ünïcödé ✓": ["\t\n", "\u{7}", 1e300, -0.5],
        "a/b~c": {"merge": true}, "id": 5, "technical_sections": {"not": "a list"}, "x".repeat(256): 1,
        "big": 9_007_199_254_740_993_i64,
    });
    assert_eq!(merged(&client, &id, &body).await, body);
    assert_eq!(client.get(&at(&id)).send().await.body["data"], body);
}

#[tokio::test]
async fn what_is_beyond_the_bounds_is_refused_whole() {
    let (service, client, id) = with_project().await;
    let before = service.events().await;
    for (body, pointer, code) in [
        (nested(33), format!("/body{}", "/a".repeat(32)), "too_deep"),
        (json!({"x".repeat(257): 1}), "/body".to_owned(), "too_long"),
        (json!({"o": {"x".repeat(257): 1}}), "/body/o".to_owned(), "too_long"),
        (json!({"a\u{0}": 1}), "/body".to_owned(), "nul_character"),
        (json!({"o": [{"k": "a\u{0}b"}]}), "/body/o/0/k".to_owned(), "nul_character"),
    ] {
        for reply in [merge(&client, &id, &body).await, client.put(&at(&id)).json(&body).send().await] {
            reply.assert_problem(422, "VALIDATION_ERROR");
            assert_eq!(reply.faults(), [(pointer.clone(), code.to_owned())]);
        }
    }
    for (body, status, code, fault_code) in [
        ("{\"a\": 1e999}".to_owned(), 422, "VALIDATION_ERROR", "not_finite"),
        ("[]".to_owned(), 422, "VALIDATION_ERROR", "type"),
        ("\"text\"".to_owned(), 422, "VALIDATION_ERROR", "type"),
        ("null".to_owned(), 422, "VALIDATION_ERROR", "type"),
        (format!("{}{}", "{\"a\":".repeat(200), "}".repeat(200)), 422, "VALIDATION_ERROR", "too_deep"),
        ("{\"a\": NaN}".to_owned(), 400, "MALFORMED_JSON", ""),
        ("{\"a\": Infinity}".to_owned(), 400, "MALFORMED_JSON", ""),
        ("{\"a\": \"\\ud800\"}".to_owned(), 400, "MALFORMED_JSON", ""),
        ("{\"a\": 1".to_owned(), 400, "MALFORMED_JSON", ""),
        ("{\"a\": 1} x".to_owned(), 400, "MALFORMED_JSON", ""),
        ("\u{feff}".to_owned(), 400, "MALFORMED_JSON", ""),
    ] {
        let reply = client.patch(&at(&id)).header("content-type", "application/json").body(body.clone()).send().await;
        reply.assert_problem(status, code);
        let faults: Vec<_> = reply.faults().into_iter().map(|(_, code)| code).collect();
        let expected: Vec<_> = Some(fault_code).filter(|code| !code.is_empty()).into_iter().collect();
        assert_eq!(faults, expected, "{}", reply.text);
    }
    let bytes: &'static [u8] = b"{\"a\": \"\xff\"}";
    client.patch(&at(&id)).body(bytes).send().await.assert_problem(400, "MALFORMED_JSON");
    assert_eq!(service.events().await, before, "what is refused leaves no event");
    assert_eq!(client.get(&at(&id)).send().await.body["data"], json!({}));
    let deepest = nested(32);
    assert_eq!(merged(&client, &id, &deepest).await, deepest);
}

#[tokio::test]
async fn a_body_and_a_document_may_have_a_mebibyte_and_no_more() {
    const MIB: usize = 1 << 20;
    let (service, client, id) = with_project().await;
    let body_of = |key: &str, bytes: usize| {
        let frame = format!("{{\"{key}\":\"\"}}").len();
        format!("{{\"{key}\":\"{}\"}}", "x".repeat(bytes - frame))
    };
    let send = async |body: String| {
        client
            .patch(&at(&id))
            .header("content-type", "application/json")
            .header("origin", crate::support::ORIGIN)
            .body(body)
            .send()
            .await
    };
    let too_large = send(body_of("a", MIB + 1)).await;
    too_large.assert_problem(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(too_large.header("access-control-allow-origin"), Some(crate::support::ORIGIN));
    send(body_of("a", 2 * MIB)).await.assert_problem(413, "PAYLOAD_TOO_LARGE");
    let before = service.events().await;
    let full = send(body_of("a", MIB)).await;
    assert_eq!(full.status, StatusCode::OK, "{}", &full.text[..full.text.len().min(300)]);
    assert_eq!(service.events().await, before + 1);
    // The body is small, but together it is too much.
    let resulting = send("{\"b\":1}".to_owned()).await;
    resulting.assert_problem(413, "DOCUMENT_TOO_LARGE");
    assert_eq!(resulting.header("access-control-allow-origin"), Some(crate::support::ORIGIN));
    let smaller = send("{\"a\":1,\"b\":1}".to_owned()).await;
    assert_eq!(smaller.body["data"], json!({"a": 1, "b": 1}));
}

#[tokio::test]
async fn many_writers_of_different_fields_lose_nothing() {
    const WRITERS: usize = 8;
    const TURNS: usize = 5;
    let (service, client, id) = with_project().await;
    let second = service.another(crate::support::Options::default()).await;
    let before = service.events().await;
    join_all((0..WRITERS).map(|writer| {
        let front = if writer % 2 == 0 { &service.front } else { &second.front };
        let client = client.clone().through(front.clone());
        let id = &id;
        async move {
            for turn in 0..TURNS {
                let name = format!("field-{writer}");
                let reply = merge(&client, id, &json!({"quality": {name.clone(): {"value": turn}}})).await;
                assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
                assert_eq!(reply.body["data"]["quality"][&name]["value"], turn, "an answer holds its own write");
            }
        }
    }))
    .await;
    let last = |writer| (format!("field-{writer}"), json!({"value": TURNS - 1}));
    let expected: Map<String, Value> = (0..WRITERS).map(last).collect();
    assert_eq!(client.get(&at(&id)).send().await.body["data"], json!({"quality": expected}));
    assert_eq!(service.events().await, before + WRITERS * TURNS);
}

#[tokio::test]
async fn a_stale_precondition_keeps_a_whole_sheet_from_overwriting() {
    let (service, client, id) = with_project().await;
    let old = client.get(&at(&id)).send().await.header("etag").unwrap().to_owned();
    let first = client.patch(&at(&id)).header("if-match", &old).json(&json!({"notes": "a"})).send().await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    let current = first.header("etag").unwrap();
    let before = service.events().await;
    for sending in [client.patch(&at(&id)), client.put(&at(&id))] {
        let reply = sending.header("if-match", &old).json(&json!({"notes": "b"})).send().await;
        reply.assert_problem(412, "PRECONDITION_FAILED");
        assert_eq!(reply.body["details"]["currentEtag"], current);
        assert_eq!(reply.header("etag"), Some(current));
        assert_eq!(reply.body["details"]["changedSince"], json!(["notes"]));
    }
    assert_eq!(service.events().await, before);
    // The header of the project is another resource: changing it makes no sheet stale.
    client.patch(&format!("/api/v1/projects/{id}")).json(&json!({"name": "South plant"})).send().await;
    let fresh = client.put(&at(&id)).header("if-match", current).json(&json!({"notes": "b"})).send().await;
    assert_eq!((fresh.status, &fresh.body["data"]), (StatusCode::OK, &json!({"notes": "b"})), "{}", fresh.text);
}

#[tokio::test]
async fn the_web_clients_first_steps_in_a_new_project_each_see_the_one_before() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    for turn in 0..5 {
        let id = project(&client, &format!("plant {turn}")).await;
        let template = sheet(&[field("source", &json!("")), field("flow", &json!(turn))]);
        assert_eq!(merged(&client, &id, &template).await, template);
        let detail = read(&client, &format!("/projects/{id}")).await;
        assert_eq!((&detail["progress"], &detail["completeness"]["total"]), (&json!(50), &json!(2)));
        assert_eq!(read(&client, &format!("/projects/{id}/data")).await["data"], template);
    }
}
