//! The list of projects, and the figures over them.

use http::StatusCode;
use serde_json::{Value, json};

use super::{PATH, at, change, create, fault, names};
use crate::process::{generate, project, read, text};
use crate::support::start;

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
