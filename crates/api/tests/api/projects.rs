//! Projects: open, list, show, change, delete.

mod change;
mod creation;
mod deletion;
mod freshness;
mod list;

use serde_json::{Value, json};

use crate::support::{Client, Reply};

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
