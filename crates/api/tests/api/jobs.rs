//! Generation jobs: ask, look, list, cancel.

mod cancellation;
mod list;
mod progress;
mod request;

use serde_json::Value;

use crate::support::{Client, Reply};

const GENERATE: &str = "/api/v1/ai/proposals/generate";
const JOBS: &str = "/api/v1/ai/proposals/jobs";

fn at(job: &str) -> String {
    format!("{JOBS}/{job}")
}

async fn cancel(client: &Client, job: &str) -> Reply {
    client.post(&format!("{}/cancel", at(job))).header("content-type", "application/json").send().await
}

fn fault(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|job| job["jobId"].as_str().unwrap()).collect()
}
