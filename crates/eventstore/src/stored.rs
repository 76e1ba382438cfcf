//! The aggregates whose streams this store keeps.

use cqrs_es::Aggregate;
use cqrs_es::persist::EventUpcaster;
use domain::{Account, Fact, Project, Proposal, StoreLife, StreamKind};
use sha2::{Digest, Sha256};

/// An aggregate with a kind of stream of its own.
pub trait Stored: Aggregate<Services = ()> + Clone + 'static {
    /// The kind of its streams.
    const KIND: StreamKind;
    /// The number of its serialised shape. Raise it with every change of shape or of `apply`: snapshots with another
    /// number are ignored.
    const SHAPE: u32;

    /// The event as a fact of whichever aggregate.
    fn fact(event: Self::Event) -> Fact;

    /// Reads what older releases wrote, one entry per shape that is no longer written, oldest first.
    fn upcasters() -> &'static [Box<dyn EventUpcaster>];

    /// Identifies the code that wrote a snapshot, from the aggregate's name and shape.
    #[must_use]
    fn code_version() -> i64 {
        let digest: [u8; 32] = Sha256::digest(format!("{}/{}", Self::TYPE, Self::SHAPE)).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Stored for Account {
    const KIND: StreamKind = StreamKind::Account;
    const SHAPE: u32 = 1;

    fn fact(event: Self::Event) -> Fact {
        Fact::Account(event)
    }

    fn upcasters() -> &'static [Box<dyn EventUpcaster>] {
        &[]
    }
}

impl Stored for Project {
    const KIND: StreamKind = StreamKind::Project;
    const SHAPE: u32 = 1;

    fn fact(event: Self::Event) -> Fact {
        Fact::Project(event)
    }

    fn upcasters() -> &'static [Box<dyn EventUpcaster>] {
        &[]
    }
}

impl Stored for Proposal {
    const KIND: StreamKind = StreamKind::Proposal;
    const SHAPE: u32 = 1;

    fn fact(event: Self::Event) -> Fact {
        Fact::Proposal(event)
    }

    fn upcasters() -> &'static [Box<dyn EventUpcaster>] {
        &[]
    }
}

impl Stored for StoreLife {
    const KIND: StreamKind = StreamKind::Store;
    const SHAPE: u32 = 1;

    fn fact(event: Self::Event) -> Fact {
        Fact::Store(event)
    }

    fn upcasters() -> &'static [Box<dyn EventUpcaster>] {
        &[]
    }
}
