//! The account in whose name everything is sent, and the calls that prepare and check a load.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval};
use uuid::Uuid;

use crate::Error;
use crate::client::{Answer, Connection, Target, path};

/// Where projects are listed and created.
pub const PROJECTS: &str = "/api/v1/projects";

/// How long one generation may take.
const GENERATION: Duration = Duration::from_secs(60);
/// How long the read models may take to show what was written.
const CATCHING_UP: Duration = Duration::from_secs(60);

/// An account of its own, signed in.
pub struct Account {
    target: Target,
    connection: Connection,
}

/// Something of which each write adds one.
#[derive(Debug, Clone)]
pub enum Written {
    /// The account's projects.
    Projects,
    /// The changes of a project, by the version of its data.
    Data(String),
}

/// A finished generation.
#[derive(Debug)]
pub struct Generated {
    /// Its job.
    pub job: String,
    /// Its proposal.
    pub proposal: String,
    /// From the answer 202 to the first answer that says `completed`.
    pub took: Duration,
}

impl Account {
    /// Registers a new account and signs in.
    ///
    /// # Errors
    ///
    /// Any that a request may end with.
    pub async fn sign_up(address: SocketAddr) -> Result<Self, Error> {
        let connection = Connection::open(address).await?;
        let mut account = Self { target: Target { address, bearer: None }, connection };
        let (email, password) = (format!("bench-{}@example.com", Uuid::now_v7().simple()), Uuid::new_v4().to_string());
        let body = json!({"email": email, "password": password, "first_name": "Ana", "last_name": "Torres"});
        account.post("/api/v1/auth/register", &body, StatusCode::CREATED).await?;
        let body = json!({"username": email, "password": password});
        let answer = account.post("/api/v1/auth/jwt/login", &body, StatusCode::OK).await?;
        let lacks = || Error::Lacks("signing in".to_owned(), "a token that fits a header");
        let token = text(&answer, "/access_token").ok_or_else(lacks)?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| lacks())?;
        bearer.set_sensitive(true);
        account.target.bearer = Some(bearer);
        Ok(account)
    }

    /// Where its requests go.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Creates a project and returns its id.
    ///
    /// # Errors
    ///
    /// Any that a request may end with.
    pub async fn create_project(&mut self) -> Result<String, Error> {
        let answer = self.post(PROJECTS, &project("North plant"), StatusCode::CREATED).await?;
        text(&answer, "/id").ok_or_else(|| Error::Lacks("creating a project".to_owned(), "an id"))
    }

    /// Stores a project's data.
    ///
    /// # Errors
    ///
    /// Any that a request may end with.
    pub async fn write_data(&mut self, project: &str, data: &Value) -> Result<(), Error> {
        let path = format!("{PROJECTS}/{project}/data?merge=true");
        self.call(Method::PATCH, &path, data.to_string().into(), StatusCode::OK).await?;
        Ok(())
    }

    /// Has a proposal generated and looks every 10 ms whether it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Generation`] if it ends otherwise, [`Error::TooLong`], and any that a request may end with.
    pub async fn generate(&mut self, project: &str) -> Result<Generated, Error> {
        let body = json!({"project_id": project, "proposal_type": "Technical"});
        let answer = self.post("/api/v1/ai/proposals/generate", &body, StatusCode::ACCEPTED).await?;
        let accepted = Instant::now();
        let job = text(&answer, "/jobId").ok_or_else(|| Error::Lacks("asking for a proposal".to_owned(), "a job"))?;
        let mut looks = every(Duration::from_millis(10));
        while accepted.elapsed() < GENERATION {
            looks.tick().await;
            let answer = self.get(&job_path(&job)).await?;
            let took = accepted.elapsed();
            match text(&answer, "/status").as_deref() {
                Some("completed") => {
                    let lacks = || Error::Lacks("asking for a job".to_owned(), "the proposal it made");
                    let proposal = text(&answer, "/result/proposalId").ok_or_else(lacks)?;
                    return Ok(Generated { job, proposal, took });
                }
                Some("queued" | "processing") => (),
                Some(_) | None => return Err(Error::Generation(text(&answer, "/errorCode").unwrap_or_default())),
            }
        }
        Err(Error::TooLong { what: "a generation", seconds: GENERATION.as_secs() })
    }

    /// The tag of what a path answers.
    ///
    /// # Errors
    ///
    /// [`Error::Lacks`] if there is none, and any that a request may end with.
    pub async fn tag(&mut self, path: &str) -> Result<HeaderValue, Error> {
        let answer = self.get(path).await?;
        let tag = answer.headers.get(header::ETAG).cloned();
        tag.ok_or_else(|| Error::Lacks(format!("GET {path}"), "an ETag"))
    }

    /// How much was written so far, as far as the read models know.
    ///
    /// # Errors
    ///
    /// [`Error::Lacks`] if the answer does not tell, and any that a request may end with.
    pub async fn count(&mut self, written: &Written) -> Result<u64, Error> {
        match written {
            Written::Projects => {
                let answer = self.get(&format!("{PROJECTS}?size=1")).await?;
                answer.json()["total"].as_u64().ok_or_else(|| Error::Lacks("listing projects".to_owned(), "a total"))
            }
            Written::Data(project) => {
                let path = format!("{PROJECTS}/{project}/data");
                let tag = self.tag(&path).await?;
                version(&tag).ok_or_else(|| Error::Lacks(format!("GET {path}"), "a version in its ETag"))
            }
        }
    }

    /// Waits, within bounds, until at least so much is known to be written, and returns how much is.
    ///
    /// # Errors
    ///
    /// As [`Account::count`].
    pub async fn reach(&mut self, written: &Written, least: u64) -> Result<u64, Error> {
        let begin = Instant::now();
        let mut looks = every(Duration::from_millis(100));
        loop {
            looks.tick().await;
            let count = self.count(written).await?;
            if count >= least || begin.elapsed() > CATCHING_UP {
                return Ok(count);
            }
        }
    }

    async fn get(&mut self, path: &str) -> Result<Answer, Error> {
        self.call(Method::GET, path, Bytes::new(), StatusCode::OK).await
    }

    async fn post(&mut self, path: &str, body: &Value, expected: StatusCode) -> Result<Answer, Error> {
        self.call(Method::POST, path, body.to_string().into(), expected).await
    }

    async fn call(&mut self, method: Method, at: &str, body: Bytes, expected: StatusCode) -> Result<Answer, Error> {
        // While a load ran, the server may have ended this idle connection.
        if self.connection.is_closed() {
            self.connection = Connection::open(self.target.address).await?;
        }
        let what = format!("{method} {at}");
        let answer = self.connection.send(self.target.request(method, &path(at)?, body)).await?;
        if answer.status == expected {
            Ok(answer)
        } else {
            Err(Error::Refused { what, status: answer.status, code: answer.problem() })
        }
    }
}

/// Where a job is polled.
pub fn job_path(job: &str) -> String {
    format!("/api/v1/ai/proposals/jobs/{job}")
}

/// What the web client sends to create a project.
pub fn project(name: &str) -> Value {
    json!({
        "name": name, "client": "Dairy of the Valley", "sector": "industrial", "subsector": "food_processing",
        "location": "Guadalajara, Mexico", "description": "Whey and cleaning water", "budget": 250_000,
        "tags": ["industrial", "food_processing"],
    })
}

fn text(answer: &Answer, pointer: &str) -> Option<String> {
    answer.json().pointer(pointer)?.as_str().map(str::to_owned)
}

/// The version in a tag of the form `"<version>-<position>"` or `"<version>"`.
fn version(tag: &HeaderValue) -> Option<u64> {
    let inner = tag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?;
    inner.split_once('-').map_or(inner, |(version, _)| version).parse().ok()
}

fn every(period: Duration) -> Interval {
    let mut looks = interval(period);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_first_number_of_a_tag() {
        for (tag, expected) in [(r#""12-345""#, Some(12)), (r#""7""#, Some(7)), (r#""l-9""#, None), ("12-3", None)] {
            assert_eq!(version(&HeaderValue::from_static(tag)), expected, "{tag}");
        }
    }
}
