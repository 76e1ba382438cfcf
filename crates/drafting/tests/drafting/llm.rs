use crate::support;
use domain::proposal::*;
#[tokio::test]
async fn llm() {
    let mut p = support::Provider::start([support::Reply::Hang]).await;
    p.base_url = "http://127.0.0.1:18080/v1".into();
    let d = p.drafter();
    for n in 0..10 {
        let mut job = support::Job::of(&support::dairy(), Language::En);
        job.project.data["notes"] = format!("job {n}").into();
        job.design().await;
        let mut failures = 0;
        loop {
            let r = job.step(&d, Stage::Narrative).await;
            match r {
                Err(f) => {
                    println!("{:?} {:?} {:?}", f.class, f.retry_after, f.reaction(failures));
                    match f.reaction(failures) {
                        drafting::Reaction::RetryAfter(w) => tokio::time::sleep(w).await,
                        g => panic!("{g:?}"),
                    }
                    failures += 1;
                }
                Ok(()) => {
                    println!("ok");
                    break;
                }
            }
        }
        job.step(&d, Stage::Checks).await.unwrap();
        let p = d.publication(job.input(), "v1.0".into(), support::now()).unwrap();
        if n == 0 {
            println!("{}\n{:?}", p.document.executive_summary, p.document.ai_metadata.transparency.deviations);
        }
    }
}
