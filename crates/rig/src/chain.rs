//! The hash chain, computed from an export as `docs/ledger.md` says and not as the crate does it.

use chrono::DateTime;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::site::Site;

/// Microseconds from 1970-01-01 to 2000-01-01.
const UNIX_TO_2000: i64 = 946_684_800_000_000;

/// Exports a site's ledger with the command line.
pub async fn export(site: &Site) -> Vec<String> {
    let output = site.run(&["audit", "export"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("an export is UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "the last line of the export is cut");
    text.lines().map(str::to_owned).collect()
}

/// Follows the chain from its beginning. Returns the number of events.
///
/// # Errors
///
/// The first position at which it breaks.
pub fn follow(lines: &[String]) -> Result<u64, u64> {
    let mut previous = [0_u8; 32];
    for (line, position) in lines.iter().zip(1_u64..) {
        let event: Value = serde_json::from_str(line).map_err(|_| position)?;
        let linked = link(&event, &previous).ok_or(position)?;
        let told = [&event["previousHash"], &event["hash"]].map(|hash| hash.as_str().unwrap_or_default());
        if event["position"] != position || told != [hex::encode(previous), hex::encode(linked)] {
            return Err(position);
        }
        previous = linked;
    }
    Ok(lines.len() as u64)
}

/// Exports a site's ledger, follows its chain, and looks that every stored event is in it.
pub async fn is_intact(site: &Site) {
    let events = site.count("es.events").await;
    let positions = site.count("es.ledger").await;
    assert_eq!((events, site.count("es.event_pending").await), (positions, 0), "every event has a position");
    assert_eq!(follow(&export(site).await), Ok(events.unsigned_abs()));
}

fn link(event: &Value, previous: &[u8; 32]) -> Option<[u8; 32]> {
    let mut framed = Vec::new();
    let mut frame = |field: &[u8]| {
        framed.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
        framed.extend_from_slice(field);
    };
    let text = |name: &str| event[name].as_str();
    let number = |name: &str| event[name].as_i64().map(i64::to_be_bytes);
    let id = |name: &str| text(name).and_then(|text| text.parse::<Uuid>().ok()).map(Uuid::into_bytes);
    let time = |name: &str| {
        let time = DateTime::parse_from_rfc3339(text(name)?).ok()?;
        Some((time.timestamp_micros() - UNIX_TO_2000).to_be_bytes())
    };
    frame(b"allegiant-ledger-1");
    frame(&number("position")?);
    frame(&time("ledgerTime")?);
    frame(text("streamType")?.as_bytes());
    frame(text("streamId")?.as_bytes());
    frame(&number("version")?);
    frame(text("type")?.as_bytes());
    frame(text("eventVersion")?.as_bytes());
    frame(text("payload")?.as_bytes());
    frame(text("metadata")?.as_bytes());
    frame(&number("insertOrder")?);
    frame(&id("id")?);
    frame(&time("recordedAt")?);
    frame(&id("actorId")?);
    let digest = Sha256::digest(&framed);
    Some(Sha256::new().chain_update(previous).chain_update(digest).finalize().into())
}
