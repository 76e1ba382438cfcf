//! A command: sent, and sent again under its key until it is known what became of it.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use reqwest::Method;
use serde_json::Value;

use crate::history::{Command, Effect, Verdict};
use crate::load::caller::{Request, Told};
use crate::load::hand::Hand;
use crate::violation::Violation;

/// How long a command under a key may take until its client knows what became of it, disturbances included.
const SETTLES_WITHIN: Duration = Duration::from_secs(90);
/// Waiting time between two attempts: it doubles from the first to the second.
const RETRY_AFTER: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// Of a hundred requests, how many are cut off, and after how long at most.
const CUT: (u32, Duration) = (8, Duration::from_millis(40));

/// What a hand wants done.
pub(super) struct Wish {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) effect: Effect,
    pub(super) tag: String,
    pub(super) key: Option<String>,
    pub(super) if_match: Option<String>,
}

/// What became of it.
pub(super) struct Settled {
    pub(super) verdict: Verdict,
    /// The last answer.
    pub(super) told: Option<Told>,
}

/// What one answer says of a command.
enum Said {
    Done,
    Refused,
    /// Nothing was stored by this attempt; a later one may.
    NotNow,
    /// Perhaps something was stored.
    Perhaps,
}

impl Hand {
    /// Sends a command until its client knows what became of it, and remembers that. Without a key there is one attempt.
    pub(super) async fn carry_out(&mut self, wish: &Wish) -> Settled {
        let (request, tag) = (wish.request(), &wish.tag);
        let began = Instant::now();
        let [mut wait, longest] = RETRY_AFTER;
        let mut perhaps = false;
        let settled = loop {
            let (cut_in_hundred, cut_within) = CUT;
            let cut = self.rng.random_ratio(cut_in_hundred, 100).then(|| cut_within.mul_f64(self.rng.random()));
            let root = self.instance();
            let told = self.account.caller.send(&root, &request, cut).await;
            let said = told.as_ref().map_or(Said::Perhaps, |told| self.said(&request, told));
            match said {
                Said::Done => break Settled { verdict: Verdict::Acknowledged, told },
                Said::Refused => break Settled { verdict: Verdict::Refused, told },
                Said::NotNow => (),
                Said::Perhaps => perhaps = true,
            }
            if wish.key.is_none() {
                let verdict = if perhaps { Verdict::Unknown } else { Verdict::Refused };
                break Settled { verdict, told };
            }
            if SETTLES_WITHIN < began.elapsed() {
                let last = told
                    .as_ref()
                    .map_or("nobody answered".to_owned(), |told| format!("{} {}", told.status, told.code()));
                let what = format!("it is not known what became of {tag} after {} s: {last}", SETTLES_WITHIN.as_secs());
                self.found(&request, what);
                break Settled { verdict: Verdict::Unknown, told };
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(longest);
        };
        self.remember(wish, &settled);
        settled
    }

    fn remember(&mut self, wish: &Wish, settled: &Settled) {
        let told = settled.told.as_ref().filter(|told| told.is_success());
        // A generation was under way already: the answer is its job, and nothing was stored.
        let reused = told.is_some_and(|told| told.body["reused"] == true);
        let effect = if reused { Effect::NONE } else { wish.effect };
        let position = told.filter(|told| !reused && !told.replayed).and_then(|told| told.position);
        let command = Command { tag: wish.tag.clone(), effect, verdict: settled.verdict, position };
        self.shared.count(settled.verdict);
        self.history.commands.push(command);
    }

    fn said(&self, request: &Request, told: &Told) -> Said {
        match (told.status, told.code()) {
            (200..300, _) => Said::Done,
            (409, "IDEMPOTENCY_IN_PROGRESS" | "CONCURRENT_WRITE") | (429, "GENERATION_LIMIT") => Said::NotNow,
            (404 | 412, _) | (409, "JOB_ALREADY_FINISHED") => Said::Refused,
            (503 | 504, _) => Said::Perhaps,
            (status, code) => {
                self.found(request, format!("answered {status} {code}"));
                if status < 500 { Said::Refused } else { Said::Perhaps }
            }
        }
    }

    /// Reports an answer that must not be.
    pub(super) fn found(&self, request: &Request, what: String) {
        self.shared.findings.add(Violation::Answer { to: request.shown(), what });
    }
}
