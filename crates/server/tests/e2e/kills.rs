//! The server is ended in the middle of a generation and started again: the job ends with exactly one proposal.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;

use rig::chain;
use rig::client::sign_up;
use rig::gate::{Gate, Place};
use rig::jobs::{completed, generate, job_id, made_exactly_one_proposal, project, proposal_of};
use rig::model::Model;
use rig::sheets::dairy;
use rig::site::Site;

/// How many sites of this file there are at a time.
const AT_ONCE: usize = 3;
/// Silence after which another worker takes a job over, in seconds: the shortest that can be set.
const LEASE: &str = "1";

/// Right after each stage, in order: what comes next stands before a gate.
const AFTER_EACH_STAGE: [Place; 10] = [
    Place::Reaching("sheet"),
    Place::Reaching("basis"),
    Place::Reaching("trains"),
    Place::Reaching("sizing"),
    Place::Reaching("costs"),
    Place::Reaching("narrative"),
    Place::Reaching("checks"),
    Place::Reaching("publish"),
    Place::Event("proposal-generated"),
    Place::Numbering("proposal-generated"),
];

/// What becomes of the statement that was under way when the server was killed.
#[derive(Debug, Clone, Copy)]
enum LastStatement {
    /// The database carries it out although nobody waits for its answer.
    IsCarriedOut,
    /// The database never carries it out.
    IsLost,
}

#[tokio::test]
async fn killed_after_any_stage_with_its_last_statement_carried_out_the_job_ends_with_one_proposal() {
    kill_after_each_stage(LastStatement::IsCarriedOut).await;
}

#[tokio::test]
async fn killed_after_any_stage_with_its_last_statement_lost_the_job_ends_with_one_proposal() {
    kill_after_each_stage(LastStatement::IsLost).await;
}

async fn kill_after_each_stage(last: LastStatement) {
    let kills = AFTER_EACH_STAGE.map(|place| kill_at(place, last));
    stream::iter(kills).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

async fn kill_at(place: Place, last: LastStatement) {
    let site = Site::new().await.with("GENERATION_LEASE_SECONDS", LEASE);
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;
    let mut gate = Gate::close(&site, place).await;
    let job = generate(&ana, &id, "Technical").await;
    let job = job_id(&job);
    gate.reached().await;

    server.kill().await;
    match last {
        LastStatement::IsCarriedOut => gate.open().await,
        LastStatement::IsLost => gate.turn_away_and_open().await,
    }
    let server = site.start().await;
    let ana = ana.at(&server);
    completed(&ana, job).await;

    made_exactly_one_proposal(&site, &ana, &id, job).await;
    chain::is_intact(&site).await;
    drop(server);
    site.close().await;
}

/// Sites of the test of random moments, and how often each server is killed.
const SITES: usize = 4;
const KILLS_ON_EACH: usize = 5;
/// No kill comes later after the request than this; by then most jobs would have ended.
const LATEST_KILL: Duration = Duration::from_millis(900);
/// The longest time that the model takes.
const SLOWEST_ANSWER: Duration = Duration::from_millis(300);

#[tokio::test]
async fn killed_at_random_moments_each_job_ends_with_one_proposal_and_few_calls_of_the_model() {
    let seed = seed();
    eprintln!("E2E_SEED={seed} repeats the moments of this run");
    let sites = (0..SITES as u64).map(|site| kill_at_random_moments(Moments(seed.wrapping_add(site))));
    let interrupted: usize = futures::future::join_all(sites).await.into_iter().sum();
    eprintln!("{interrupted} of {} kills came before the end of the job", SITES * KILLS_ON_EACH);
    assert!(interrupted > 0, "no kill came before the end of its job: the moments are chosen badly");
}

/// Returns how many jobs were interrupted.
async fn kill_at_random_moments(mut moments: Moments) -> usize {
    let model = Model::slow(SLOWEST_ANSWER).await;
    let site = model.of(Site::new().await).with("GENERATION_LEASE_SECONDS", LEASE);
    let mut server = site.start().await;
    let mut ana = sign_up(&server).await.client;
    let mut interrupted = 0;
    for _ in 0..KILLS_ON_EACH {
        let id = project(&ana, &dairy()).await;
        let job = generate(&ana, &id, "Technical").await;
        let job = job_id(&job).to_owned();
        // The moment is the subject here; nothing is waited for.
        tokio::time::sleep(moments.next()).await;
        server.kill().await;
        let ended = sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (SELECT FROM es.events WHERE aggregate_id = $1 AND event_type = 'generation-completed')",
        );
        let ended = ended.bind(proposal_of(&job).to_string()).fetch_one(&site.pool).await.unwrap();
        interrupted += usize::from(!ended);
        server = site.start().await;
        ana = ana.at(&server);
        completed(&ana, &job).await;
        made_exactly_one_proposal(&site, &ana, &id, &job).await;
    }

    let attempts = "es.events WHERE event_type = 'stage-reached' AND payload ->> 'stage' = 'narrative'";
    let attempts = usize::try_from(site.count(attempts).await).unwrap();
    let calls = model.calls();
    assert!(
        calls <= attempts && attempts <= calls + KILLS_ON_EACH,
        "{calls} calls of the model for {attempts} attempts and {KILLS_ON_EACH} kills"
    );
    assert_eq!(model.complaints(), Vec::<String>::new());
    chain::is_intact(&site).await;
    drop(server);
    site.close().await;
    interrupted
}

/// Moments after a request, from a seed (SplitMix64).
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        LATEST_KILL.mul_f64(f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()) / f64::from(u32::MAX))
    }
}

#[expect(clippy::disallowed_methods, reason = "the seed of a failed run that is repeated is no setting of the system")]
fn seed() -> u64 {
    let given = std::env::var("E2E_SEED").ok().map(|seed| seed.parse().expect("E2E_SEED is a number"));
    given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0)
}
