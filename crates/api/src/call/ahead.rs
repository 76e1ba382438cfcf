//! Clients that have seen more than there is: the sign of an older backup that nobody else noticed.

use http::header::{HeaderMap, IF_MATCH, IF_NONE_MATCH};

use super::envelope::{X_MIN_POSITION, texts};
use crate::app::App;
use crate::etag::highest_position;

/// Whether the caller's `If-Match` names a position that the ledger has not reached. Whatever it was the tag of then
/// never happened here. Other headers that name one are counted, too; their answers are right as they are: a tag fits
/// nothing, and a read that must contain such a position is behind.
///
/// It cannot stop the server: any client may make up a position.
pub(super) async fn matches_a_lost_state(app: &App, headers: &HeaderMap) -> bool {
    let epoch = app.store().epoch();
    let of = |name| highest_position(texts(headers, name), epoch);
    let (matched, known) = (of(&IF_MATCH), of(&IF_NONE_MATCH));
    let wanted = texts(headers, &X_MIN_POSITION).filter_map(|text| text.trim().parse().ok()).max().unwrap_or(0);
    let highest = matched.max(known).max(wanted);
    // Heard of without asking; it may lag behind what another instance has just given out.
    if highest <= *app.store().signals().ledger().borrow() {
        return false;
    }
    let Ok(head) = app.store().head().await else { return false };
    for (header, position) in [("if-match", matched), ("if-none-match", known), ("x-min-position", wanted)] {
        if head < position {
            metrics::counter!("client_positions_ahead_total", "header" => header).increment(1);
        }
    }
    head < matched
}
