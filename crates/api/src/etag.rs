//! Entity tags: `"<version>-<position>"` of a resource, `"l-<position>"` of a list.

use std::fmt;

use domain::store::FIRST_EPOCH;
use sha2::{Digest as _, Sha256};

/// A strong entity tag, with its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etag(String);

/// Characters of the digest in a list's tag.
const DIGEST: usize = 8;
/// A version that no resource has.
pub(crate) const NO_VERSION: u64 = u64::MAX;

impl Etag {
    /// The tag of a resource: `version` is that of the last event that changed what a write to it can change, `position`
    /// that of the last event that changed anything in the representation. Without a known position the tag is the
    /// version alone. `epoch` shows only where an older backup was restored, from the second one on.
    #[must_use]
    pub fn resource(version: u64, position: Option<u64>, epoch: u32) -> Self {
        Self(match position {
            None => format!("\"{version}\""),
            Some(position) if epoch > FIRST_EPOCH => format!("\"{version}-{position}-{epoch}\""),
            Some(position) => format!("\"{version}-{position}\""),
        })
    }

    /// The tag of a list: `position` is that of the last event that changed the list, and `query` what was asked of it.
    #[must_use]
    pub fn list(position: u64, query: &str, epoch: u32) -> Self {
        let epoch = if epoch > FIRST_EPOCH { format!("-{epoch}") } else { String::new() };
        if query.is_empty() {
            return Self(format!("\"l-{position}{epoch}\""));
        }
        let digest = hex::encode(&Sha256::digest(query)[..DIGEST / 2]);
        Self(format!("\"l-{position}{epoch}-{digest}\""))
    }

    /// Whether it is in the list of an `If-None-Match` header, compared weakly as RFC 9110 wants it there.
    #[must_use]
    pub fn is_among(&self, tags: &str) -> bool {
        tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.0)
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The version that `If-Match` names, if it names one: the part before the first dash. `*` names none. What is no tag of
/// ours, a tag from another epoch, or a list of tags with different versions, fits no version.
pub(crate) fn expected_version(headers: &[&str], epoch: u32) -> Option<u64> {
    let mut tags = headers.iter().flat_map(|header| header.split(',')).map(str::trim).filter(|tag| !tag.is_empty());
    let first = tags.next()?;
    if first == "*" {
        return None;
    }
    let version = version_of(first, epoch);
    Some(if tags.all(|other| version_of(other, epoch) == version) { version } else { NO_VERSION })
}

fn version_of(tag: &str, epoch: u32) -> u64 {
    read(tag, epoch).map_or(NO_VERSION, |(version, _)| version)
}

/// The highest position in tags of this epoch, of resources or lists; 0 if there is none.
pub(crate) fn highest_position<'a>(headers: impl Iterator<Item = &'a str>, epoch: u32) -> u64 {
    let tags = headers.flat_map(|header| header.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    let positions = tags.filter_map(|tag| match tag.strip_prefix("\"l-") {
        Some(list) => position_in_list(list.strip_suffix('"')?, epoch),
        None => read(tag, epoch)?.1,
    });
    positions.max().unwrap_or(0)
}

/// Version and position of a resource's tag of this epoch.
fn read(tag: &str, epoch: u32) -> Option<(u64, Option<u64>)> {
    let mut parts = tag.strip_prefix('"')?.strip_suffix('"')?.split('-').map(str::parse::<u64>);
    let version = parts.next()?.ok()?;
    let Some(position) = parts.next() else { return Some((version, None)) };
    let position = position.ok()?;
    let theirs = parts.next().unwrap_or(Ok(FIRST_EPOCH.into())).ok()?;
    (theirs == u64::from(epoch) && parts.next().is_none()).then_some((version, Some(position)))
}

/// What follows is the epoch, unless it is the first, and a digest of eight characters, unless nothing was asked for.
fn position_in_list(rest: &str, epoch: u32) -> Option<u64> {
    let mut parts = rest.split('-');
    let position = parts.next()?.parse().ok()?;
    let theirs = match parts.next() {
        Some(part) if part.len() < DIGEST => part.parse().ok()?,
        Some(_) | None => FIRST_EPOCH,
    };
    (theirs == epoch).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_shows_version_position_and_a_later_epoch() {
        assert_eq!(Etag::resource(17, Some(90488), 1).to_string(), "\"17-90488\"");
        assert_eq!(Etag::resource(17, Some(90488), 2).to_string(), "\"17-90488-2\"");
        assert_eq!(Etag::resource(17, None, 1).to_string(), "\"17\"");
        assert_eq!(Etag::list(5, "", 1).to_string(), "\"l-5\"");
        assert_ne!(Etag::list(5, "page=2", 1), Etag::list(5, "page=3", 1));
    }

    #[test]
    fn if_match_compares_the_version_alone() {
        for (headers, expected) in [
            (&[][..], None),
            (&["*"], None),
            (&["\"17-90488\""], Some(17)),
            (&["\"17\""], Some(17)),
            (&["\"17-90488-2\""], Some(NO_VERSION)),
            (&["\"17-x\""], Some(NO_VERSION)),
            (&["\"17-1\", \"17-2\""], Some(17)),
            (&["\"17-1\"", "\"18-2\""], Some(NO_VERSION)),
            (&["W/\"17-1\""], Some(NO_VERSION)),
            (&["17"], Some(NO_VERSION)),
            (&["\"l-5\""], Some(NO_VERSION)),
        ] {
            assert_eq!(expected_version(headers, 1), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_tag_from_before_a_restore_is_stale_after_it() {
        assert_eq!(expected_version(&["\"17-90488\""], 2), Some(NO_VERSION));
        assert_eq!(expected_version(&["\"17-90488-2\""], 2), Some(17));
        assert_eq!(expected_version(&["\"17\""], 2), Some(17));
    }

    #[test]
    fn positions_are_read_from_tags_of_this_epoch_alone() {
        let highest = |tags: &str, epoch| highest_position([tags].into_iter(), epoch);
        assert_eq!(highest("\"17-5\", W/\"1-9\", \"3\", *, x", 1), 9);
        assert_eq!(highest("\"17-5\", \"1-9-2\"", 2), 9);
        assert_eq!(highest("\"17-5-2\"", 1), 0);
        for epoch in [1, 2] {
            for query in ["", "page=2"] {
                let tag = Etag::list(41, query, epoch).to_string();
                assert_eq!([highest(&tag, epoch), highest(&tag, 3)], [41, 0], "{tag}");
            }
        }
    }

    #[test]
    fn if_none_match_takes_lists_and_weak_tags() {
        let etag = Etag::resource(17, Some(5), 1);
        assert!(etag.is_among("\"1-1\", W/\"17-5\""));
        assert!(etag.is_among("*"));
        assert!(!etag.is_among("\"17\""));
    }
}
