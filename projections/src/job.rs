//! Generation jobs, kept for ever.

use chrono::{DateTime, Utc};
use domain::document::Warning;
use domain::proposal::{FailureCode, ProposalType, Stage};
use domain::{AccountId, JobId, Personal, ProjectId, ProposalEvent, ProposalId, Recorded, StreamKind, personal};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ReadModel;

/// Characters of the summary in a job's result.
const PREVIEW_CHARACTERS: usize = 500;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// No worker has begun.
    Queued,
    /// A worker has begun.
    Processing,
    /// There is a proposal.
    Completed,
    /// There is none: the job failed or was cancelled.
    Failed,
}

impl JobStatus {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// A generation job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobDocument {
    /// The proposal it makes, after which it is named.
    pub proposal: ProposalId,
    /// The project.
    pub project: ProjectId,
    /// Who asked for it.
    pub owner: AccountId,
    /// The depth asked for.
    pub proposal_type: ProposalType,
    /// Where it is in its life.
    pub status: JobStatus,
    /// Whether somebody no longer wants it.
    pub cancellation_requested: bool,
    /// Whether it ended for that reason.
    pub cancelled: bool,
    /// The stage reached last.
    pub stage: Option<Stage>,
    /// When the first attempt at that stage began.
    pub stage_began_at: Option<DateTime<Utc>>,
    /// The attempt at that stage, from 1.
    pub attempt: u32,
    /// The progress in per cent that was certainly reached.
    pub progress_reached: u8,
    /// Why it failed.
    pub error_code: Option<FailureCode>,
    /// What to look at.
    pub warnings: Vec<Warning>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When a worker began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What came of it.
    pub result: Option<JobPreview>,
    /// The version of its stream at the last event that changed it.
    pub version: u64,
}

/// A finished proposal in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobPreview {
    /// Plain text of at most 500 characters, ended at a sentence.
    pub executive_summary: String,
    /// Capital cost in US dollars.
    pub capex_usd: f64,
    /// Yearly cost of operation in US dollars.
    pub opex_usd: f64,
    /// The technologies, in the order of the train, each once.
    pub key_technologies: Vec<String>,
}

impl JobDocument {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> JobId {
        JobId::from(self.proposal)
    }

    /// Whether it goes on.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.status, JobStatus::Queued | JobStatus::Processing)
    }

    /// Progress in per cent at a time on the clock that dates the events. It never falls while `now` does not, and
    /// stays where it was when the job fails.
    #[must_use]
    pub fn progress_at(&self, now: DateTime<Utc>) -> u8 {
        match self.status {
            JobStatus::Queued | JobStatus::Failed => self.progress_reached,
            JobStatus::Completed => 100,
            JobStatus::Processing => {
                let (Some(stage), Some(began)) = (self.stage, self.stage_began_at) else {
                    return self.progress_reached;
                };
                stage.progress_after(now - began).max(self.progress_reached)
            }
        }
    }

    /// The job as it may be shown: ended only if every read model that shows what it did contains the end
    /// (`contained`), since a client that sees the end looks at the project once and never again. Until then it goes on.
    /// A cancellation shows at once: whoever asked for it reads its own write.
    pub(crate) fn shown(self, contained: bool) -> Self {
        if contained || self.cancelled || self.is_active() {
            return self;
        }
        let goes_on = Self {
            status: if self.stage.is_some() { JobStatus::Processing } else { JobStatus::Queued },
            error_code: None,
            finished_at: None,
            result: None,
            ..self
        };
        match self.status {
            JobStatus::Completed => Self {
                stage_began_at: goes_on.stage_began_at.filter(|_| goes_on.stage == Some(Stage::Publish)),
                stage: Some(Stage::Publish),
                progress_reached: *Stage::Publish.progress().end(),
                ..goes_on
            },
            // Progress stands still meanwhile, so that it does not fall when the end shows.
            JobStatus::Failed | JobStatus::Queued | JobStatus::Processing => Self { stage_began_at: None, ..goes_on },
        }
    }
}

impl ReadModel for JobDocument {
    const NAME: &'static str = "jobs";
    const VERSION: i32 = 1;
    const TABLE: &'static str = "views.jobs_v1";
    const KINDS: &'static [StreamKind] = &[StreamKind::Proposal];

    fn keys(recorded: &Recorded) -> Vec<Uuid> {
        use ProposalEvent as P;
        match recorded.proposal() {
            Some((
                id,
                P::GenerationRequested(_)
                | P::GenerationStarted
                | P::StageReached { .. }
                | P::ProposalGenerated { .. }
                | P::GenerationCompleted
                | P::GenerationFailed { .. }
                | P::CancellationRequested
                | P::GenerationCancelled,
            )) => vec![id.as_uuid()],
            Some((_, P::StepSucceeded { .. } | P::StepFailed { .. } | P::LateResultDiscarded { .. })) | None => vec![],
        }
    }

    fn fold(document: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let Some((proposal, event)) = recorded.proposal() else { return document };
        match (document, event) {
            (_, ProposalEvent::GenerationRequested(request)) => Some(Self {
                proposal,
                project: request.project,
                owner: request.owner,
                proposal_type: request.proposal_type,
                status: JobStatus::Queued,
                cancellation_requested: false,
                cancelled: false,
                stage: None,
                stage_began_at: None,
                attempt: 1,
                progress_reached: 0,
                error_code: None,
                warnings: request.warnings.clone(),
                requested_at: request.requested_at,
                started_at: None,
                finished_at: None,
                result: None,
                version: recorded.sequence,
            }),
            (Some(mut job), event) => {
                job.version = recorded.sequence;
                job.note(event, recorded.recorded_at);
                Some(job)
            }
            (None, _) => None,
        }
    }
}

impl JobDocument {
    fn note(&mut self, event: &ProposalEvent, at: DateTime<Utc>) {
        use ProposalEvent as P;
        match event {
            P::GenerationStarted => {
                self.status = JobStatus::Processing;
                self.started_at = Some(at);
            }
            P::StageReached { stage, attempt } => {
                self.progress_reached = self.progress_at(at).max(*stage.progress().start());
                if self.stage != Some(*stage) {
                    self.stage_began_at = Some(at);
                }
                self.stage = Some(*stage);
                self.attempt = *attempt;
            }
            P::ProposalGenerated { capex_usd, opex_usd, key_technologies, document, .. } => {
                self.progress_reached = self.progress_at(at);
                self.result = Some(JobPreview {
                    executive_summary: match document {
                        Personal::Known(document) => preview(&document.executive_summary),
                        Personal::Erased => personal::ERASED_TEXT.to_owned(),
                    },
                    capex_usd: *capex_usd,
                    opex_usd: *opex_usd,
                    key_technologies: each_once(key_technologies),
                });
            }
            P::GenerationCompleted => self.end(JobStatus::Completed, at),
            P::GenerationFailed { code, warnings } => {
                self.end(JobStatus::Failed, at);
                self.error_code = Some(*code);
                self.cancelled = *code == FailureCode::Cancelled;
                for warning in warnings {
                    if !self.warnings.contains(warning) {
                        self.warnings.push(warning.clone());
                    }
                }
            }
            P::CancellationRequested => self.cancellation_requested = true,
            P::GenerationCancelled => {
                self.end(JobStatus::Failed, at);
                self.error_code = Some(FailureCode::Cancelled);
                self.cancelled = true;
            }
            P::GenerationRequested(_)
            | P::StepSucceeded { .. }
            | P::StepFailed { .. }
            | P::LateResultDiscarded { .. } => (),
        }
    }

    fn end(&mut self, status: JobStatus, at: DateTime<Utc>) {
        self.progress_reached = self.progress_at(at);
        self.status = status;
        self.finished_at = Some(at);
    }
}

fn each_once(names: &[String]) -> Vec<String> {
    let mut once: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        if !once.contains(name) {
            once.push(name.clone());
        }
    }
    once
}

/// As many whole sentences as fit. If not even the first one does, as many words as fit, and an ellipsis.
fn preview(summary: &str) -> String {
    let summary = summary.trim();
    let Some((limit, _)) = summary.char_indices().nth(PREVIEW_CHARACTERS) else { return summary.to_owned() };
    // One character more shows whether the last sentence ends where the limit is.
    let next = summary[limit..].chars().next().map_or(0, char::len_utf8);
    let window = &summary[..limit + next];
    let ends = window
        .char_indices()
        .zip(window.chars().skip(1))
        .filter(|((_, c), following)| matches!(c, '.' | '!' | '?') && following.is_whitespace())
        .map(|((at, c), _)| at + c.len_utf8());
    if let Some(end) = ends.last() {
        return summary[..end].to_owned();
    }
    let room = summary.char_indices().nth(PREVIEW_CHARACTERS - 1).map_or(limit, |(at, _)| at);
    let words = summary[..room].rfind(char::is_whitespace).unwrap_or(room);
    format!("{}…", summary[..words].trim_end())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::Row;
    use crate::history::History;

    fn job(history: &History, proposal: ProposalId) -> JobDocument {
        let mut row = Row::<JobDocument>::default();
        for recorded in history.events.iter().filter(|recorded| recorded.stream == proposal.into()) {
            row.advance(recorded, None);
        }
        row.document.unwrap()
    }

    fn begun() -> (History, ProjectId, ProposalId) {
        let mut history = History::new();
        let project = history.create();
        let proposal = history.accept(project);
        (history, project, proposal)
    }

    #[test]
    fn progress_never_falls_whatever_stage_is_repeated_and_however_it_ends() {
        let (mut history, project, proposal) = begun();
        let mut seen = vec![job(&history, proposal).progress_at(history.later(TimeDelta::zero()))];
        for stage in Stage::ALL {
            for attempt in 1..=3 {
                history.reach(proposal, stage, attempt);
                for _ in 0..4 {
                    let now = history.later(TimeDelta::seconds(25));
                    seen.push(job(&history, proposal).progress_at(now));
                }
            }
        }
        history.fail(project, proposal, FailureCode::AiTimeout);
        let failed = job(&history, proposal);
        seen.push(failed.progress_at(history.later(TimeDelta::days(1))));
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!((failed.status, failed.stage), (JobStatus::Failed, Some(Stage::Publish)));
        assert_eq!([seen[0], seen[1], seen[seen.len() - 1]], [0, 5, 95]);
    }

    #[test]
    fn a_long_stage_moves_on_from_its_first_attempt_and_stays_where_it_failed() {
        let (mut history, project, proposal) = begun();
        history.reach(proposal, Stage::Sheet, 1);
        history.reach(proposal, Stage::Narrative, 1);
        history.later(TimeDelta::seconds(40));
        history.reach(proposal, Stage::Narrative, 2);
        let now = history.later(TimeDelta::seconds(20));
        // Failing is a minute later, since every event of a project is.
        let narrated = job(&history, proposal);
        assert_eq!((narrated.progress_at(now), narrated.attempt), (58 + 6, 2));
        history.fail(project, proposal, FailureCode::AiUnavailable);
        let failed = job(&history, proposal);
        assert_eq!(failed.progress_at(history.later(TimeDelta::hours(2))), 58 + 12);
        assert_eq!(failed.error_code, Some(FailureCode::AiUnavailable));
    }

    #[test]
    fn a_job_is_shown_as_completed_only_when_everything_contains_its_proposal() {
        let (mut history, project, proposal) = begun();
        history.reach(proposal, Stage::Sheet, 1);
        let running = job(&history, proposal);
        history.complete(project, proposal, "v1.0");
        let now = history.later(TimeDelta::zero());
        let done = job(&history, proposal);
        assert_eq!((done.progress_at(now), &done.status), (100, &JobStatus::Completed));
        assert_eq!(done.result.as_ref().unwrap().key_technologies, ["DAF", "SBR"]);
        let shown = done.clone().shown(false);
        assert_eq!(
            (shown.status, shown.stage, shown.progress_at(now)),
            (JobStatus::Processing, Some(Stage::Publish), 95)
        );
        assert_eq!((shown.result, shown.finished_at), (None, None));
        assert_eq!(done.clone().shown(true), done);
        assert_eq!(running.clone().shown(false), running);
    }

    #[test]
    fn a_job_is_shown_as_failed_only_when_its_project_says_so_and_its_progress_stands_still() {
        let (mut history, project, proposal) = begun();
        history.reach(proposal, Stage::Narrative, 1);
        history.fail(project, proposal, FailureCode::AiUnavailable);
        let failed = job(&history, proposal);
        let shown = failed.clone().shown(false);
        assert_eq!((shown.status, shown.error_code, shown.finished_at), (JobStatus::Processing, None, None));
        let later = history.later(TimeDelta::minutes(2));
        assert_eq!(shown.progress_at(later), failed.progress_at(later));
        assert_eq!(failed.clone().shown(true), failed);
    }

    #[test]
    fn a_cancelled_job_is_a_failed_one_that_says_so() {
        let (mut history, project, proposal) = begun();
        history.cancel(project, proposal);
        let job = job(&history, proposal);
        assert_eq!((job.status, job.cancelled, job.progress_reached), (JobStatus::Failed, true, 0));
        assert_eq!(job.clone().shown(false), job, "whoever cancelled it sees that at once");
        assert_eq!(job.error_code, Some(FailureCode::Cancelled));
    }

    #[test]
    fn a_preview_ends_at_a_sentence_and_keeps_to_its_length() {
        let sentence = "The plant treats 230.5 m³ per day. ";
        let long = sentence.repeat(20);
        let cut = preview(&long);
        assert!(cut.ends_with("per day.") && cut.chars().count() <= PREVIEW_CHARACTERS, "{cut}");
        assert_eq!(cut.chars().count(), sentence.chars().count() * (PREVIEW_CHARACTERS / sentence.chars().count()) - 1);
        assert_eq!(preview("Short. And whole"), "Short. And whole");
        // A sentence that ends exactly where the limit is belongs to the preview.
        let exact = format!("{}. {}", "a".repeat(PREVIEW_CHARACTERS - 1), "b".repeat(10));
        assert_eq!(preview(&exact), format!("{}.", "a".repeat(PREVIEW_CHARACTERS - 1)));
        let endless = preview(&"water ".repeat(200));
        assert!(endless.ends_with("water…") && endless.chars().count() <= PREVIEW_CHARACTERS, "{endless}");
        assert_eq!(preview(&"é".repeat(700)).chars().count(), PREVIEW_CHARACTERS);
    }
}
