//! Reading back: does an answer show every acknowledged write of its account, or say truly that it is behind?

use std::sync::atomic::Ordering;

use rand::RngExt as _;
use serde_json::{Value, json};

use crate::history::LackingRead;
use crate::load::account::{Lack, Project};
use crate::load::caller::{Request, Told};
use crate::load::hand::Hand;

/// Lacking reads that a hand remembers.
const REMEMBERED: usize = 20_000;

impl Hand {
    /// Reads something of the account after a write to this project, through either instance.
    pub(super) async fn look_at(&mut self, project: &str) {
        match self.rng.random_range(0..10) {
            0..4 => self.look(Request::get(format!("/projects/{project}")), Some(project), "header").await,
            4..7 => self.look(Request::get(format!("/projects/{project}/data")), Some(project), "data").await,
            7..9 => self.look(Request::get("/projects?size=100".to_owned()), None, "header").await,
            _ => {
                if let Some((job, _)) = self.some_job() {
                    self.look_at_job(&job).await;
                }
            }
        }
    }

    /// A job that was acknowledged is there at once, and completed only when its project shows its proposal.
    pub(super) async fn look_at_job(&mut self, job: &str) {
        let request = Request::get(format!("/ai/proposals/jobs/{job}"));
        let Some(told) = self.read(&request).await else { return };
        if told.status != 200 {
            return self.found(&request, format!("an acknowledged job answers {} {}", told.status, told.code()));
        }
        if told.body["status"] != "completed" {
            return;
        }
        let (Some(project), Some(proposal)) =
            (told.body["projectId"].as_str(), told.body["result"]["proposalId"].as_str())
        else {
            return self.found(&request, "a completed job names no proposal".to_owned());
        };
        let request = Request::get(format!("/ai/proposals/{project}/proposals/{proposal}"));
        let Some(told) = self.read(&request).await else { return };
        let deleted = self.account.known().project(project).is_none_or(|project| project.deleted_by.is_some());
        if told.status != 200 && !deleted {
            self.found(&request, format!("the proposal of a completed job answers {} {}", told.status, told.code()));
        }
    }

    /// Sends a read; `None` if it told nothing that could be wrong.
    async fn read(&mut self, request: &Request) -> Option<Told> {
        let root = self.instance();
        let told = self.account.caller.send(&root, request, None).await?;
        self.shared.reads.fetch_add(1, Ordering::Relaxed);
        match told.status {
            503 | 504 => None,
            401 | 500 => {
                self.found(request, format!("answered {} {}", told.status, told.code()));
                None
            }
            _ => Some(told),
        }
    }

    /// Reads one project or the list, and compares every place that is shown with what was written there.
    async fn look(&mut self, request: Request, project: Option<&str>, part: &str) {
        let concerns = |other: &Project| project.is_none_or(|project| other.id == project);
        let before: Vec<Project> = self.account.known().projects.iter().filter(|p| concerns(p)).cloned().collect();
        let Some(told) = self.read(&request).await else { return };
        let mut behind = false;
        for before in &before {
            let Some(after) = self.account.known().project(&before.id).cloned() else { continue };
            let shown = shown(&told, before, project.is_some());
            for lack in self.lacks(&request, part, before, &after, shown) {
                behind |= lack.acknowledged.is_some();
                self.lacking(&request, &told, lack);
            }
            if told.status == 200 && part == "header" && project.is_some() {
                self.account
                    .known()
                    .project(&before.id)
                    .into_iter()
                    .for_each(|known| known.etag.clone_from(&told.etag));
            }
        }
        self.shared.behind.fetch_add(u64::from(behind), Ordering::Relaxed);
    }

    /// What the answer lacks of one project, place by place.
    fn lacks(
        &self,
        request: &Request,
        part: &str,
        before: &Project,
        after: &Project,
        shown: Option<&Value>,
    ) -> Vec<Lack> {
        let Some(shown) = shown else {
            // Only who has begun to delete it may find nothing.
            let missing = Lack { lacks: vec![after.opened_by.clone()], acknowledged: Some(after.opened_by.clone()) };
            return if after.deleted_by.is_none() { vec![missing] } else { vec![] };
        };
        let mut lacks = Vec::new();
        if let Some((tag, acknowledged)) = &after.deleted_by {
            let before = matches!(before.deleted_by, Some((_, true))).then(|| tag.clone());
            lacks.push(Lack { lacks: vec![tag.clone()], acknowledged: before.filter(|_| *acknowledged) });
        }
        for (name, place) in &after.places {
            let Some(name) = name.strip_prefix(part).and_then(|name| name.strip_prefix('/')) else { continue };
            let value = if part == "data" { &shown["data"]["checker"][name] } else { &shown[name] };
            let acknowledged = before.places.get(&format!("{part}/{name}")).and_then(|place| place.acknowledged());
            match place.lack(value.as_str(), acknowledged) {
                Ok(lack) => lacks.push(lack),
                Err(what) => self.found(request, format!("{name} of project {} {what}: {value}", after.id)),
            }
        }
        lacks.retain(|lack| !lack.lacks.is_empty());
        lacks
    }

    fn lacking(&mut self, request: &Request, told: &Told, lack: Lack) {
        let Lack { lacks, acknowledged } = lack;
        let Some(position) = told.position else {
            // Without a position an answer says that it contains everything.
            if let Some(tag) = acknowledged {
                self.found(request, format!("answers {} without a position, and lacks {tag}", told.status));
            }
            return;
        };
        if self.history.reads.len() < REMEMBERED || acknowledged.is_some() {
            let (read, waited) = (request.shown(), told.waited);
            self.history.reads.push(LackingRead { read, told: position, lacks, acknowledged, waited });
        }
    }
}

/// The project in the answer, if it is there.
fn shown<'a>(told: &'a Told, project: &Project, alone: bool) -> Option<&'a Value> {
    if told.status != 200 {
        return None;
    }
    if alone {
        return Some(&told.body);
    }
    told.body["items"].as_array()?.iter().find(|item| item["id"] == json!(project.id))
}
