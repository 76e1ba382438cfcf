//! Named places at which a test has the process die, stand still or fail: the kill matrix (`docs/kill-matrix.md`).
//!
//! They exist only with the cargo feature `failpoints`, in a build of its own that no release can be: without the
//! feature [`reach`] is a future that is ready, and nothing of the names, of the plan or of its setting is compiled.

#[cfg(feature = "failpoints")]
mod armed;
#[cfg(any(test, feature = "failpoints"))]
mod plan;

#[cfg(feature = "failpoints")]
pub use armed::{configure, reach};
#[cfg(feature = "failpoints")]
pub use plan::InvalidPlan;

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("fail-points are for tests: they cannot be built for release");

/// The table of all points. Only the build with fail-points knows their names.
macro_rules! points {
    ($($(#[doc = $meaning:literal])+ $point:ident = $name:literal,)+) => {
        /// A place that a test can name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $($(#[doc = $meaning])+ $point,)+
        }

        #[cfg(any(test, feature = "failpoints"))]
        impl Point {
            /// Every point.
            pub const ALL: &[Self] = &[$(Self::$point),+];

            /// What the plan calls it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// A command has decided; nothing of it was sent to the database.
    AppendBefore = "append.before",
    /// A command that needs a transaction has written its events and its receipt, and not committed.
    AppendUncommitted = "append.uncommitted",
    /// A command is committed; its caller, the sequencer and the snapshots do not know.
    AppendAfter = "append.after",
    /// Events are pending; the sequencer was not called yet.
    SequenceBefore = "sequence.before",
    /// Events have positions; nobody in this process was told.
    SequenceAfter = "sequence.after",
    /// A snapshot is sealed and not written.
    SnapshotBefore = "snapshot.before",
    /// A snapshot is written, and the task that wrote it has not ended.
    SnapshotAfter = "snapshot.after",
    /// The documents of a batch are written, its checkpoints are not, and nothing is committed.
    ProjectionWritten = "projection.written",
    /// A batch is committed; readers in this process were not told.
    ProjectionAfter = "projection.after",
    /// A rebuild has written a piece of its new generation, and not committed it.
    RebuildWritten = "rebuild.written",
    /// A swap has made another generation live, and not committed that.
    SwapWritten = "swap.written",
    /// A swap is committed; the generations that nobody needs any more are still there.
    SwapAfter = "swap.after",
    /// The relay has read rows of the ledger and published none of them.
    RelayBefore = "relay.before",
    /// The relay has sent its messages and waits for their acknowledgements.
    RelaySent = "relay.sent",
    /// The messages are acknowledged; the relay has not noted how far it came.
    RelayAfter = "relay.after",
}

/// Tells that the caller has come to `point`. In this build nothing ever happens there.
///
/// # Errors
///
/// Never in this build; with fail-points, if the plan says so.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reach(_: Point) -> std::future::Ready<Result<(), sqlx::Error>> {
    std::future::ready(Ok(()))
}

/// Whether this build is to stand for an older release that does not know events of this type.
#[inline(always)]
pub(crate) fn is_unknown(event_type: &str) -> bool {
    #[cfg(feature = "failpoints")]
    return armed::is_unknown(event_type);
    #[cfg(not(feature = "failpoints"))]
    {
        _ = event_type;
        false
    }
}
