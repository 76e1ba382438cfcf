//! What a job shows while it goes on, and when it has ended.

use domain::document::Warning;
use domain::proposal::{FailureCode, Stage};
use serde_json::json;

use super::{at, cancel};
use crate::process::{generate, job, project, proposal_of, read};
use crate::support::{SOON, start};

#[tokio::test]
async fn the_stages_have_their_progress_and_their_words() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    let job_id = generate(&client, &id).await;
    let process = service.process(&job_id);
    let mut last = 0;
    for (stage, name, progress, words) in [
        (Stage::Sheet, "sheet", 5, "Reading the project and its technical sheet"),
        (Stage::Basis, "basis", 15, "Setting the design basis: flows, loads, limits"),
        (Stage::Trains, "trains", 25, "Comparing treatment trains and reference cases"),
        (Stage::Sizing, "sizing", 42, "Sizing the equipment"),
        (Stage::Costs, "costs", 52, "Estimating CAPEX and OPEX"),
        (Stage::Narrative, "narrative", 58, "Writing the proposal"),
        (Stage::Checks, "checks", 88, "Checking the text against the calculations"),
        (Stage::Publish, "publish", 95, "Saving the proposal"),
    ] {
        process.begin(stage).await;
        let seen = job(&client, &job_id).await;
        assert_eq!(
            (&seen["status"], &seen["stage"], &seen["currentStep"]),
            (&json!("processing"), &json!(name), &json!(words))
        );
        let shown = seen["progress"].as_u64().unwrap();
        // A stage that waits for the model moves on by itself.
        assert!(shown >= progress && shown >= last && shown < progress + 13, "{name}: {shown}");
        assert_eq!((&seen["attempt"], &seen["finishedAt"]), (&json!(1), &json!(null)));
        assert!(seen["startedAt"].is_string());
        last = shown;
        if stage == Stage::Sizing {
            process.begin(stage).await;
            let again = job(&client, &job_id).await;
            assert_eq!((&again["attempt"], &again["progress"]), (&json!(2), &json!(42)));
            process.finish_attempt(stage, 2).await;
        } else if stage != Stage::Publish {
            process.finish(stage).await;
        }
    }
    process.publish().await;
    let done = job(&client, &job_id).await;
    assert_eq!(
        (&done["status"], &done["stage"], &done["progress"]),
        (&json!("completed"), &json!("done"), &json!(100))
    );
    assert_eq!(done["currentStep"], "Proposal ready");
    assert_eq!((&done["cancelled"], &done["error"], &done["errorCode"]), (&json!(false), &json!(null), &json!(null)));
    assert!(done["finishedAt"].is_string());
    let preview = json!({
        "executiveSummary": "The plant treats 230 m³ of dairy wastewater per day. It keeps all limits.",
        "capex": 210_000.0, "opex": 99_000.5, "keyTechnologies": ["DAF", "SBR"],
    });
    assert_eq!(done["result"], json!({"proposalId": proposal_of(&job_id), "preview": preview}));
}

#[tokio::test]
async fn once_a_job_is_seen_as_completed_every_read_has_the_proposal() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    for turn in 0..5 {
        let id = project(&client, "North plant").await;
        let job_id = generate(&client, &id).await;
        let process = service.process(&job_id);
        process.work_up_to(Stage::Publish).await;
        let watch = async {
            testkit::wait_until(SOON, async || (job(&client, &job_id).await["status"] == "completed").then_some(()))
                .await;
            let detail = read(&client, &format!("/projects/{id}")).await;
            assert_eq!(detail["proposals"][0]["id"], proposal_of(&job_id), "turn {turn}");
            assert_eq!((&detail["status"], &detail["proposalsCount"]), (&json!("Proposal Ready"), &json!(1)));
            let list = read(&client, "/projects").await;
            assert_eq!(list["items"][0]["status"], "Proposal Ready");
            let proposals = read(&client, &format!("/ai/proposals/{id}/proposals")).await;
            assert_eq!(proposals[0]["id"], proposal_of(&job_id));
        };
        tokio::join!(process.publish(), watch);
    }
}

#[tokio::test]
async fn a_failed_job_says_why_in_the_contracts_words_and_stays_where_it_was() {
    let service = start().await;
    let client = service.signed_up("ana").await;
    let id = project(&client, "North plant").await;
    for (code, name, error) in [
        (
            FailureCode::AiUnavailable,
            "AI_UNAVAILABLE",
            "The AI service is not available at the moment. Please try again in a few minutes.",
        ),
        (FailureCode::AiTimeout, "AI_TIMEOUT", "The generation took too long and was stopped. Please try again."),
        (
            FailureCode::AiOutputRejected,
            "AI_OUTPUT_REJECTED",
            "The result did not pass the engineering checks. Please review the technical data and try again.",
        ),
        (FailureCode::SpendLimit, "SPEND_LIMIT", "The limit for AI use has been reached. Please try again later."),
        (
            FailureCode::InputUnusable,
            "INPUT_UNUSABLE",
            "The technical data cannot be used as it is. Please check the marked fields.",
        ),
        (FailureCode::Internal, "INTERNAL", "Something went wrong on our side. Please try again."),
    ] {
        let job_id = generate(&client, &id).await;
        let process = service.process(&job_id);
        process.work_up_to(Stage::Costs).await;
        let warning = Warning {
            code: "FLOW_MISSING".to_owned(),
            message: "There is no flow.".to_owned(),
            fields: vec!["economics-scale/water-consumption".to_owned()],
        };
        process.fail(code, vec![warning.clone()]).await;
        let failed = job(&client, &job_id).await;
        assert_eq!((&failed["status"], &failed["cancelled"]), (&json!("failed"), &json!(false)));
        assert_eq!((&failed["errorCode"], &failed["error"]), (&json!(name), &json!(error)));
        assert_eq!(
            (&failed["progress"], &failed["stage"], &failed["result"]),
            (&json!(52), &json!("costs"), &json!(null))
        );
        assert_eq!(failed["warnings"], json!([warning]));
        assert!(failed["finishedAt"].is_string());
        let detail = read(&client, &format!("/projects/{id}")).await;
        assert_eq!((&detail["status"], &detail["activeJobId"]), (&json!("In Preparation"), &json!(null)));
        cancel(&client, &job_id).await.assert_problem(409, "JOB_ALREADY_FINISHED");
    }
    assert_eq!(read(&client, &format!("/projects/{id}")).await["proposals"], json!([]));
}

#[tokio::test]
async fn unknown_malformed_and_foreign_jobs_are_not_found() {
    let service = start().await;
    let (ana, ben) = (service.signed_up("ana").await, service.signed_up("ben").await);
    let job_id = generate(&ana, &project(&ana, "North plant").await).await;
    let upper = job_id.to_uppercase();
    let long = format!("job_{}", "0".repeat(2000));
    let dashed = format!("job_{}", proposal_of(&job_id));
    for (client, id) in [
        (&ben, job_id.as_str()),
        (&ana, "job_0198a4107c5e7f00a1b2c3d4e5f60718"),
        (&ana, "job_"),
        (&ana, "x"),
        (&ana, "%20"),
        (&ana, "job_%00"),
        (&ana, &upper),
        (&ana, &long),
        (&ana, &dashed),
        (&ana, &job_id[4..]),
    ] {
        client.get(&at(id)).send().await.assert_problem(404, "JOB_NOT_FOUND");
        cancel(client, id).await.assert_problem(404, "JOB_NOT_FOUND");
    }
    assert_eq!(job(&ana, &job_id).await["status"], "queued");
}
