//! One of several clients of an account: what it wants, from its own random numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::history::{Effect, History, Verdict};
use crate::load::account::{Account, Place, Project};
use crate::load::caller::Request;
use crate::load::command::Wish;
use crate::violation::Findings;

/// How long a hand rests between two commands at most.
const REST: Duration = Duration::from_millis(120);
/// Open projects of an account.
const PROJECTS: std::ops::RangeInclusive<usize> = 2..=6;
/// Deleted projects of an account that are still looked at.
const DELETED_KEPT: usize = 5;
/// Commands of a hand that it may repeat.
const REPEATABLE: usize = 8;
/// Jobs of an account that are looked at and cancelled.
const JOBS: usize = 5;
/// Fields of the header, of which each hand writes one.
const FIELDS: [(&str, &str); 4] =
    [("name", "name"), ("schedule_summary", "scheduleSummary"), ("sector", "sector"), ("project_type", "projectType")];
/// Places of the sheet that each hand writes; a new one takes the place of one whose last write is not known.
const SHEET_PLACES: u64 = 3;

/// What all hands have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where the instances listen.
    pub(crate) roots: Vec<String>,
    pub(crate) stop: CancellationToken,
    pub(crate) findings: Findings,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) behind: AtomicU64,
}

/// A client.
pub(crate) struct Hand {
    pub(super) rng: StdRng,
    pub(super) shared: Arc<Shared>,
    pub(super) account: Arc<Account>,
    pub(super) history: History,
    /// Begins its tags.
    name: String,
    /// Which hand of its account it is.
    index: usize,
    tags: u64,
    /// The places of the sheet that it writes now.
    sheet_places: Vec<u64>,
    next_place: u64,
    repeatable: Vec<(Request, u16)>,
}

impl Shared {
    pub(crate) fn new(roots: Vec<String>) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            roots,
            stop: CancellationToken::new(),
            findings: Findings::default(),
            acknowledged: zero(),
            refused: zero(),
            unknown: zero(),
            reads: zero(),
            behind: zero(),
        }
    }

    pub(super) fn count(&self, verdict: Verdict) {
        let counter = match verdict {
            Verdict::Acknowledged => &self.acknowledged,
            Verdict::Refused => &self.refused,
            Verdict::Unknown => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Hand {
    pub(crate) fn new(seed: u64, shared: Arc<Shared>, account: Arc<Account>, name: String, index: usize) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            shared,
            account,
            history: History::default(),
            name,
            index,
            tags: 0,
            sheet_places: (0..SHEET_PLACES).collect(),
            next_place: SHEET_PLACES,
            repeatable: Vec::new(),
        }
    }

    /// Writes and reads until it is told to stop; returns what it remembers.
    pub(crate) async fn run(mut self) -> History {
        while !self.shared.stop.is_cancelled() {
            tokio::time::sleep(REST.mul_f64(self.rng.random())).await;
            self.one().await;
        }
        self.history
    }

    async fn one(&mut self) {
        let open: Vec<Project> = self.account.known().open().into_iter().cloned().collect();
        if open.len() < *PROJECTS.start() {
            return self.create().await;
        }
        let project = &open[self.rng.random_range(..open.len())];
        match self.rng.random_range(0..100) {
            0..6 if open.len() < *PROJECTS.end() => self.create().await,
            0..10 => self.delete(project).await,
            10..40 => self.change_header(project).await,
            40..80 => self.change_sheet(project).await,
            80..84 => self.generate(project).await,
            84..88 => self.cancel().await,
            88..95 => self.repeat().await,
            _ => self.misuse_a_key().await,
        }
    }

    async fn create(&mut self) {
        let tag = self.tag();
        let mut body = json!({"client": "Checker", "location": "Here", "tags": [tag]});
        for (field, _) in FIELDS {
            body[field] = json!(tag);
        }
        let wish = self.wish(Method::POST, "/projects".to_owned(), Some(body), Effect::CREATE, &tag).keyed();
        let settled = self.carry_out(&wish).await;
        let Some(told) = settled.told.filter(|_| settled.verdict == Verdict::Acknowledged) else { return };
        let Some(id) = told.body["id"].as_str() else {
            return self.found(&wish.request(), "a project has no id".to_owned());
        };
        let places = FIELDS.map(|(_, shown)| (format!("header/{shown}"), Place::filled_by(&tag)));
        let id = id.to_owned();
        self.account.known().projects.push(Project {
            id: id.clone(),
            opened_by: tag,
            deleted_by: None,
            places: places.into(),
            etag: told.etag,
        });
        self.look_at(&id).await;
    }

    async fn delete(&mut self, project: &Project) {
        let tag = self.tag();
        {
            let mut known = self.account.known();
            let Some(project) = known.project(&project.id) else { return };
            if project.deleted_by.is_some() {
                return; // Another hand was faster.
            }
            project.deleted_by = Some((tag.clone(), false));
            known.forget_deleted(DELETED_KEPT);
        }
        let wish = self.wish(Method::DELETE, format!("/projects/{}", project.id), None, Effect::DELETE, &tag).keyed();
        let settled = self.carry_out(&wish).await;
        match settled.verdict {
            Verdict::Acknowledged => {
                if let Some(project) = self.account.known().project(&project.id) {
                    project.deleted_by = Some((tag, true));
                }
            }
            Verdict::Refused => {
                let answer = settled.told.map(|told| format!("{} {}", told.status, told.code())).unwrap_or_default();
                self.found(&wish.request(), format!("the only deletion was refused: {answer} ({tag})"));
            }
            Verdict::Unknown => (),
        }
        self.look_at(&project.id).await;
    }

    async fn change_header(&mut self, project: &Project) {
        let tag = self.tag();
        let (field, shown) = FIELDS[self.index % FIELDS.len()];
        let body = json!({field: tag});
        let path = format!("/projects/{}", project.id);
        // Always under a key: what is not known to be stored might otherwise be written later, over a newer value.
        let mut wish = self.wish(Method::PATCH, path, Some(body), Effect::HEADER, &tag).keyed();
        wish.if_match = match self.rng.random_range(0..10) {
            0..3 => project.etag.clone(),
            3 => Some("\"1\"".to_owned()),
            _ => None,
        };
        let told = self.write(&wish, &project.id, format!("header/{shown}")).await;
        if let Some(told) = told {
            if told.body[shown] != json!(tag) && !told.replayed {
                self.found(&wish.request(), format!("the answer to {tag} does not show it"));
            }
            if let Some(project) = self.account.known().project(&project.id) {
                project.etag = told.etag;
            }
        }
        self.look_at(&project.id).await;
    }

    async fn change_sheet(&mut self, project: &Project) {
        let tag = self.tag();
        let slot = self.rng.random_range(..self.sheet_places.len());
        let place = format!("h{}-{}", self.index, self.sheet_places[slot]);
        let body = json!({"checker": {place.clone(): tag}});
        let path = format!("/projects/{}/data?merge=true", project.id);
        let mut wish = self.wish(Method::PATCH, path, Some(body), Effect::SHEET, &tag);
        if self.rng.random_ratio(6, 10) {
            wish = wish.keyed();
        }
        match self.write(&wish, &project.id, format!("data/{place}")).await {
            Some(told) if told.body["data"]["checker"][&place] != json!(tag) && !told.replayed => {
                self.found(&wish.request(), format!("the answer to {tag} does not show it"));
            }
            Some(_) => (),
            None => {
                // Without a key it may still be written, over whatever else is written there.
                self.sheet_places[slot] = self.next_place;
                self.next_place += 1;
            }
        }
        self.look_at(&project.id).await;
    }

    /// Writes a place. Returns the answer if it was a success.
    async fn write(&mut self, wish: &Wish, project: &str, place: String) -> Option<crate::load::caller::Told> {
        if let Some(project) = self.account.known().project(project) {
            project.places.entry(place.clone()).or_default().sent(&wish.tag);
        }
        let settled = self.carry_out(wish).await;
        let mut deleted = true;
        if let Some(project) = self.account.known().project(project) {
            project.places.entry(place).or_default().told(&wish.tag, settled.verdict);
            deleted = project.deleted_by.is_some();
        }
        let told = settled.told?;
        if told.status == 404 && !deleted {
            self.found(&wish.request(), "404, although nobody has deleted it".to_owned());
        }
        if told.is_success() && wish.key.is_some() && self.rng.random_ratio(1, 3) {
            if self.repeatable.len() == REPEATABLE {
                self.repeatable.remove(0);
            }
            self.repeatable.push((wish.request(), told.status));
        }
        told.is_success().then_some(told)
    }

    async fn generate(&mut self, project: &Project) {
        let tag = self.tag();
        let body = json!({"project_id": project.id, "proposal_type": "Conceptual"});
        let wish = self.wish(Method::POST, "/ai/proposals/generate".to_owned(), Some(body), Effect::GENERATE, &tag);
        let settled = self.carry_out(&wish.keyed()).await;
        let Some(told) = settled.told.filter(|_| settled.verdict == Verdict::Acknowledged) else { return };
        let Some(job) = told.body["jobId"].as_str() else { return };
        {
            let jobs = &mut self.account.known().jobs;
            jobs.retain(|(other, _)| other != job);
            jobs.push((job.to_owned(), project.id.clone()));
            let excess = jobs.len().saturating_sub(JOBS);
            jobs.drain(..excess);
        }
        self.look_at_job(job).await;
    }

    async fn cancel(&mut self) {
        let Some((job, project)) = self.some_job() else { return };
        let tag = self.tag();
        let path = format!("/ai/proposals/jobs/{job}/cancel");
        let wish = self.wish(Method::POST, path, None, Effect::CANCEL, &tag).keyed();
        self.carry_out(&wish).await;
        self.look_at_job(&job).await;
        self.look_at(&project).await;
    }

    /// Says again what was acknowledged before, under the same key: the same answer, and no second effect.
    async fn repeat(&mut self) {
        if self.repeatable.is_empty() {
            return;
        }
        let (request, status) = self.repeatable[self.rng.random_range(..self.repeatable.len())].clone();
        let root = self.instance();
        let Some(told) = self.account.caller.send(&root, &request, None).await else { return };
        if told.status >= 500 || told.code() == "IDEMPOTENCY_IN_PROGRESS" {
            return;
        }
        if told.status != status || !told.replayed {
            let what = format!("repeated under its key it answers {} {} instead of {status}", told.status, told.code());
            self.found(&request, what);
        }
    }

    /// Says something else under a key that was used: refused, and nothing is stored.
    async fn misuse_a_key(&mut self) {
        let Some((request, _)) = self.repeatable.last().cloned() else { return };
        let tag = self.tag();
        let body = Some(json!({"name": tag, "checker": {"misused": tag}}));
        let (method, path, key) = (request.method.clone(), request.path.clone(), request.key.clone());
        let wish = Wish { method, path, body, effect: Effect::NONE, tag: tag.clone(), key, if_match: None };
        let root = self.instance();
        let request = wish.request();
        let Some(told) = self.account.caller.send(&root, &request, None).await else { return };
        self.history.commands.push(crate::history::Command {
            tag,
            effect: Effect::NONE,
            verdict: Verdict::Refused,
            position: None,
        });
        if told.status < 500 && !["IDEMPOTENCY_KEY_REUSED", "IDEMPOTENCY_IN_PROGRESS"].contains(&told.code()) {
            self.found(&request, format!("another request under a used key answers {} {}", told.status, told.code()));
        }
    }

    pub(super) fn some_job(&mut self) -> Option<(String, String)> {
        let known = self.account.known();
        let count = known.jobs.len();
        (0 < count).then(|| known.jobs[self.rng.random_range(..count)].clone())
    }

    /// Either instance.
    pub(super) fn instance(&mut self) -> String {
        self.shared.roots[self.rng.random_range(..self.shared.roots.len())].clone()
    }

    fn tag(&mut self) -> String {
        self.tags += 1;
        format!("{}-{}", self.name, self.tags)
    }

    fn wish(&self, method: Method, path: String, body: Option<Value>, effect: Effect, tag: &str) -> Wish {
        Wish { method, path, body, effect, tag: tag.to_owned(), key: None, if_match: None }
    }
}

impl Wish {
    fn keyed(mut self) -> Self {
        self.key = Some(format!("key-{}", self.tag));
        self
    }

    pub(super) fn request(&self) -> Request {
        Request {
            method: self.method.clone(),
            path: self.path.clone(),
            body: self.body.clone(),
            tag: Some(self.tag.clone()),
            key: self.key.clone(),
            if_match: self.if_match.clone(),
        }
    }
}
