use crate::support;
use domain::proposal::*;
#[tokio::test]
async fn llm() {
    let mut p = support::Provider::start([support::Reply::Hang]).await;
    p.base_url = "http://127.0.0.1:18080/v1".into();
    let d = p.drafter();
    println!("check {:?}", d.check_model().await);
    let mut job = support::Job::of(&support::dairy(), Language::En);
    job.design().await;
    for _ in 0..8 {
        let r = job.step(&d, Stage::Narrative).await;
        match r {
            Err(f) => println!("{:?} {:?} {:?}", f.class, f.retry_after, f.reaction(0)),
            Ok(()) => println!("ok {}", job.output(Stage::Narrative)),
        }
        println!("breaker {:?}", d.breaker());
    }
}
