//! What goes on without anybody asking: the relay from the ledger to JetStream, and the generation process.
//!
//! Three tasks run side by side, each of which may be lost and started again at any moment:
//! - [`relay`] publishes an envelope for every row of the ledger;
//! - [`consumer`] receives the envelopes that begin a job and hands the job to a free place;
//! - [`sweep`] finds jobs that nobody works at, also while NATS is away.
//!
//! Both of the last two end in [`process`], which reads the job's stream and does the next step until the job has
//! ended. The events alone say what the next step is, so it never matters who called, or how often.

pub mod bus;
pub mod consumer;
pub mod lease;
pub mod process;
pub mod relay;
pub mod retention;
pub mod sight;
pub mod sweep;

pub use bus::{Bus, BusStatus};
pub use process::{Generations, Settings, Worked};
pub use retention::Kept;
pub use sight::Sight;
