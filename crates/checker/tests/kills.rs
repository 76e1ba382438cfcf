//! The kill matrix: `docs/kill-matrix.md`.

use checker::kill::{Victim, one};

/// Carries out one cell and has the test fail with all that was found.
async fn holds(victim: Victim) {
    let seed = rand::random();
    let report = one(victim, seed, rig::binary::allegiant(), rig::binary::with_failpoints()).await;
    println!("{victim:?}: {report}");
    assert_eq!(report.found, 0, "{victim:?}: {report}");
}

macro_rules! matrix {
    ($($name:ident: $victim:expr,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                holds($victim).await;
            }
        )+
    };
}

matrix! {
    the_server_before_an_append: Victim::ServerAt("append.before=kill@40"),
    the_server_within_a_transaction: Victim::ServerAt("append.uncommitted=kill@12"),
    the_server_after_an_append_before_its_answer: Victim::ServerAt("append.after=kill@40"),
    the_server_before_sequencing: Victim::ServerAt("sequence.before=kill@40"),
    the_server_after_sequencing: Victim::ServerAt("sequence.after=kill@40"),
    the_server_before_a_snapshot: Victim::ServerAt("snapshot.before=kill@1"),
    the_server_after_a_snapshot: Victim::ServerAt("snapshot.after=kill@1"),
    the_server_in_the_middle_of_a_projection_batch: Victim::ServerAt("projection.written=kill@40"),
    the_server_after_a_projection_batch: Victim::ServerAt("projection.after=kill@40"),
    the_server_before_publishing: Victim::ServerAt("relay.before=kill@20"),
    the_server_between_publishing_and_acknowledgement: Victim::ServerAt("relay.sent=kill@20"),
    the_server_after_publishing: Victim::ServerAt("relay.after=kill@20"),
    the_answer_to_a_commit: Victim::ConnectionAt("append.after=error@40"),
    the_answer_of_the_sequencer: Victim::ConnectionAt("sequence.after=error@40"),
    the_backend_that_appends: Victim::Backend("%INSERT INTO es.events%"),
    the_backend_that_numbers: Victim::Backend("%es.sequence_pending%"),
    the_backend_that_projects: Victim::Backend("%views.checkpoints%"),
    the_postmaster: Victim::Postmaster,
    nats: Victim::Nats,
    nats_with_its_store: Victim::NatsAndItsStore,
    redis: Victim::Redis,
}
