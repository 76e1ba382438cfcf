//! The read models on real PostgreSQL, fed with real events through the store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod following;
mod jobs;
mod parking;
mod rebuilding;
mod world;
