//! The names of all metrics, with their labels.
//!
//! Every label has few values that the program itself knows: a route's template and never a path, a constant and never
//! what somebody sent. Times are in seconds.

/// Counter, by `method`, `route` (its template), `status`: requests answered.
pub const HTTP_REQUESTS_TOTAL: &str = "http_requests_total";
/// Histogram, by `method`, `route`: from the request's head to the answer's head.
pub const HTTP_REQUEST_SECONDS: &str = "http_request_seconds";
/// Gauge: requests being answered now.
pub const HTTP_REQUESTS_IN_FLIGHT: &str = "http_requests_in_flight";
/// Counter, by `route`: requests refused with 429.
pub const RATE_LIMITED_TOTAL: &str = "rate_limited_total";

/// Counter, by `header` (if-match, if-none-match, x-min-position): requests that name a position which the ledger has not
/// reached, as clients do that have seen a newer state than the one that was restored.
pub const CLIENT_POSITIONS_AHEAD_TOTAL: &str = "client_positions_ahead_total";

/// Counter, by `command`, `outcome`: commands decided.
pub const COMMANDS_TOTAL: &str = "commands_total";
/// Histogram, by `command`: from loading to the commit, waits included.
pub const COMMAND_SECONDS: &str = "command_seconds";

/// Counter: receipts of commands that were removed because they are old, with the answers in them.
pub const RECEIPTS_REMOVED_TOTAL: &str = "receipts_removed_total";

/// Gauge: appended events that have no ledger position yet.
pub const LEDGER_PENDING_EVENTS: &str = "ledger_pending_events";
/// Gauge: the last ledger position given out.
pub const LEDGER_HEAD_POSITION: &str = "ledger_head_position";
/// Gauge, by `projection`: ledger positions it has still to read.
pub const PROJECTION_LAG_EVENTS: &str = "projection_lag_events";
/// Gauge, by `projection`: age of the oldest event it has still to read, 0 if there is none.
pub const PROJECTION_LAG_SECONDS: &str = "projection_lag_seconds";
/// Gauge, by `projection`: streams set aside since one of their events could not be folded.
pub const PROJECTION_PARKED_STREAMS: &str = "projection_parked_streams";
/// Gauge, by `projection`: 1 while it stands still before an event that only a newer release knows, else 0.
pub const PROJECTION_YIELDED: &str = "projection_yielded";
/// Gauge: ledger positions not on JetStream yet.
pub const RELAY_LAG_EVENTS: &str = "relay_lag_events";

/// Counter, by `outcome` (completed, failed, cancelled): generations ended.
pub const GENERATIONS_TOTAL: &str = "generations_total";
/// Histogram, by `outcome`: from the request to the end.
pub const GENERATION_SECONDS: &str = "generation_seconds";
/// Histogram, by `stage`: one attempt at one step.
pub const GENERATION_STEP_SECONDS: &str = "generation_step_seconds";
/// Counter, by `model`, `outcome`: calls of the language model, every attempt.
pub const MODEL_CALLS_TOTAL: &str = "model_calls_total";
/// Histogram, by `model`: one attempt at one call.
pub const MODEL_CALL_SECONDS: &str = "model_call_seconds";
/// Counter, by `model`, `kind` (prompt, completion): tokens the provider counted.
pub const MODEL_TOKENS_TOTAL: &str = "model_tokens_total";

/// Counter: log lines that could not be written.
pub const LOG_LINES_LOST_TOTAL: &str = "log_lines_lost_total";

/// The request's method as the `method` label: one of HTTP's nine, or `other` for what a client made up.
#[must_use]
pub fn method_label(method: &str) -> &'static str {
    const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    METHODS.into_iter().find(|known| *known == method).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_method_makes_no_new_series() {
        assert_eq!(method_label("PATCH"), "PATCH");
        assert_eq!(method_label("patch"), "other");
        assert_eq!(method_label("BREW"), "other");
    }
}
