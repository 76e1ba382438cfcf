//! A minute of the history checker, in every run of the tests. `./dev check --seed N` repeats its choices.

use std::time::Duration;

use checker::run::{Options, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_a_minute_every_promise_is_kept_whatever_befalls_the_system() {
    let options = Options {
        seed: rand::random(),
        lasts: Duration::from_secs(60),
        accounts: 5,
        hands: 3,
        binary: rig::binary::allegiant(),
    };
    let report = run(&options).await;
    eprintln!("{report}");
    let found = report.found;
    assert_eq!(
        found, 0,
        "see above; `./dev check --minutes 1 --accounts 5 --seed {}` makes these choices again",
        options.seed
    );
    assert!(report.commands[0] > 300 && report.reads[0] > 300, "the run did hardly anything");
}
