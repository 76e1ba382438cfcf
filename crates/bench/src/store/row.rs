//! The rows of the table, in the order in which they are measured.

use clap::ValueEnum;

use super::figure::Figure;
use super::{append, filled, long_stream, sequencer, stock, visible};
use crate::{Error, Store as Arguments};

/// One row, or a few that are measured together. The text is what the manual says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Row {
    /// one-event commands on new streams by 8 and 32 clients, against pgbench inserting the same row
    Append,
    /// ten-event commands by 8 clients, against pgbench inserting one such row at a time
    AppendTen,
    /// a command on a stream of 10,000 events, against one on a stream of 10
    LongStream,
    /// the ledger read typed, against COPY TO STDOUT of the same rows
    Read,
    /// events numbered and chained a second
    Sequencer,
    /// the same while a snapshot as old as the first round is open
    SequencerOldSnapshot,
    /// the project list rebuilt, against the same events read typed, and the memory that takes
    Rebuild,
    /// from the acknowledgement of a write to its being visible through another instance, at 200 commands a second
    Visible,
    /// events whose links of the chain are computed again a second
    Verify,
    /// one-event appends by postgres-es alone, and by this store, in turn
    PostgresEs,
}

impl Row {
    /// Measures it, on a database of its own.
    ///
    /// # Errors
    ///
    /// Whatever kept it from being measured.
    pub async fn measure(self, arguments: &Arguments) -> Result<Vec<Figure>, Error> {
        match self {
            Self::Append => append::one_event(arguments).await,
            Self::AppendTen => append::ten_events(arguments).await,
            Self::LongStream => long_stream::measure(arguments).await,
            Self::Read => filled::read(arguments).await,
            Self::Sequencer => sequencer::measure(arguments, false).await,
            Self::SequencerOldSnapshot => sequencer::measure(arguments, true).await,
            Self::Rebuild => filled::rebuild(arguments).await,
            Self::Visible => visible::measure(arguments).await,
            Self::Verify => filled::verify(arguments).await,
            Self::PostgresEs => stock::measure(arguments).await,
        }
    }
}
