mod support;
use domain::proposal::*;
#[tokio::test]
async fn dump() {
    for (name, sheet) in support::shared_sheets().unwrap() {
        for (l, language) in [("en", Language::En), ("es", Language::Es)] {
            let mut job = support::Job::of(&sheet, language);
            job.all(&support::offline()).await.unwrap();
            let p = support::offline().publication(job.input(), "v1.0".into(), support::now()).unwrap();
            std::fs::write(
                format!("/tmp/dump-{name}-{l}.json"),
                serde_json::to_string_pretty(
                    &serde_json::json!({"key": p.key_technologies, "title": p.title, "doc": p.document}),
                )
                .unwrap(),
            )
            .unwrap();
        }
    }
}
