//! The main job, from signing up to signing out.

use serde_json::{Value, json};

use rig::client::{Client, sign_up};
use rig::jobs::{completed, generate, job_id, project, proposal_of};
use rig::sheets::dairy;
use rig::site::Site;
use rig::{PATIENCE, chain, word};

use crate::rules;

#[tokio::test]
async fn from_signing_up_to_a_proposal_and_out_again() {
    let site = Site::new().await;
    let mut server = site.start().await;

    // An account.
    let nobody = Client::of(&server);
    let email = format!("{}@Example.com", word("ana"));
    let about =
        json!({"email": email, "password": "a long enough one", "first_name": "Ana", "last_name": "", "location": ""});
    let registered = nobody.post("/auth/register", &about).await.ok(201);
    assert_eq!((&registered["roles"], &registered["location"]), (&json!(["user"]), &Value::Null));
    nobody.post("/auth/register", &about).await.problem(400, "REGISTER_USER_ALREADY_EXISTS");
    let signed_in = nobody.sign_in(&email.to_lowercase(), "a long enough one").await;
    assert!(signed_in.header("set-cookie").is_some_and(|cookie| cookie.starts_with("h2o_session=")));
    let session = signed_in.ok(200);
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("bearer"), &json!(86_400)));
    let ana = nobody.with_token(session["access_token"].as_str().unwrap());
    let me = ana.get("/auth/me").await.ok(200);
    assert_eq!((&me["id"], &me["last_name"]), (&registered["id"], &json!("")));

    // A project, as the web client begins one: each call sees the one before.
    let sheet = dairy();
    assert_eq!(ana.get("/projects").await.ok(200)["items"], json!([]));
    let created = ana.post("/projects", &sheet.project).await.ok(201);
    let id = created["id"].as_str().unwrap();
    assert_eq!((&created["status"], &created["progress"]), (&json!("In Preparation"), &json!(0)));
    assert_eq!(ana.get(&format!("/projects/{id}/data")).await.ok(200)["data"], json!({}));
    let path = format!("/projects/{id}/data");
    let written = ana.patch(&format!("{path}?merge=true"), &sheet.data).await.ok(200);
    assert_eq!(written["data"], sheet.data);
    assert_eq!(ana.get(&path).await.ok(200)["data"], sheet.data);
    let shown = ana.get(&format!("/projects/{id}")).await;
    let etag = shown.header("etag").unwrap().to_owned();
    let shown = shown.ok(200);
    assert_eq!(shown["progress"], written["completeness"]["percentage"]);
    assert!(shown["progress"].as_u64().unwrap() > 70, "{shown}");
    let unchanged = ana.patch(&format!("{path}?merge=true"), &sheet.data).await;
    assert_eq!(unchanged.ok(200)["data"], sheet.data);
    assert_eq!(
        ana.get(&format!("/projects/{id}")).await.header("etag"),
        Some(&*etag),
        "an unchanged sheet is no event"
    );
    let listed = ana.get("/projects").await.ok(200);
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &json!(id)));

    // A proposal.
    let job = generate(&ana, id, "technical").await;
    assert_eq!((&job["reused"], &job["proposalType"]), (&json!(false), &json!("Technical")));
    let warned = |code: &str| job["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == code);
    assert!(warned("OFFLINE_NARRATIVE"), "{job}");
    let job = job_id(&job).to_owned();
    let done = completed(&ana, &job).await;
    // Once a job is completed, the next reads show the proposal.
    let shown = ana.get(&format!("/projects/{id}")).await.ok(200);
    assert_eq!(shown["proposals"][0]["id"], done["result"]["proposalId"]);
    assert_eq!((&shown["status"], &shown["proposalsCount"]), (&json!("Proposal Ready"), &json!(1)));
    assert_eq!(
        (&done["progress"], &done["stage"], &done["currentStep"]),
        (&json!(100), &json!("done"), &json!("Proposal ready"))
    );
    assert!(!done["result"]["preview"]["keyTechnologies"].as_array().unwrap().is_empty(), "{done}");
    let proposal_id = done["result"]["proposalId"].as_str().unwrap();
    assert_eq!(proposal_of(&job).to_string(), proposal_id);
    let base = format!("/ai/proposals/{id}/proposals");
    let proposals = ana.get(&base).await.ok(200);
    let proposal = ana.get(&format!("{base}/{proposal_id}")).await.ok(200);
    assert_eq!(proposals, json!([proposal]), "the list holds the whole proposals");
    assert_eq!(shown["proposals"], proposals, "and so does the project");
    assert_eq!(rules::broken(&proposal), Vec::<String>::new());
    assert_eq!(
        (&proposal["version"], &proposal["title"]),
        (&json!("v1.0"), &json!("Technical Proposal - Cheese plant effluent"))
    );

    // What has happened, for people and for auditors.
    let timeline = ana.get(&format!("/projects/{id}/timeline")).await.ok(200);
    let entries: Vec<_> = timeline.as_array().unwrap().iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(entries, ["proposal", "assistant", "edit", "version"], "{timeline}");
    assert_eq!(timeline[0]["metadata"]["proposal_id"], proposal_id);
    assert_eq!(timeline[0]["user"], "H2O Allegiant AI");
    assert_eq!(timeline[3]["user"], me["email"]);
    let events = ana.get(&format!("/audit/streams/proposal/{proposal_id}?limit=500")).await.ok(200);
    let events = events["items"].as_array().unwrap();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!((types.first(), types.last()), (Some(&"generation-requested"), Some(&"generation-completed")));
    for pair in events.windows(2) {
        assert!(pair[0]["position"].as_u64() < pair[1]["position"].as_u64());
        assert_eq!((&pair[0]["streamId"], &pair[0]["streamType"]), (&json!(proposal_id), &json!("proposal")));
    }
    let of_project = ana.get(&format!("/audit/streams/project/{id}?limit=500")).await.ok(200);
    assert!(of_project["items"].as_array().unwrap().iter().any(|event| event["type"] == "project-created"));
    // Somebody else's stream looks like none.
    let other = sign_up(&server).await.client;
    other.get(&format!("/audit/streams/project/{id}")).await.problem(404, "STREAM_NOT_FOUND");

    // A job that has ended cannot be cancelled, and a project may go.
    ana.post(&format!("/ai/proposals/jobs/{job}/cancel"), &json!({})).await.problem(409, "JOB_ALREADY_FINISHED");
    ana.delete(&format!("/projects/{id}")).await.ok(204);
    ana.get(&format!("/projects/{id}")).await.problem(404, "PROJECT_NOT_FOUND");
    ana.get(&base).await.problem(404, "PROJECT_NOT_FOUND");
    ana.delete(&format!("/projects/{id}")).await.problem(404, "PROJECT_NOT_FOUND");
    assert_eq!(ana.get("/projects").await.ok(200)["total"], 0);
    assert_eq!(ana.get(&format!("/ai/proposals/jobs/{job}")).await.ok(200)["status"], "completed", "a job is for ever");

    // Out, as often as anybody likes.
    for _ in 0..2 {
        ana.post("/auth/jwt/logout", &json!({})).await.ok(204);
    }
    ana.get("/auth/me").await.problem(401, "SESSION_REVOKED");
    ana.get("/projects").await.problem(401, "SESSION_REVOKED");

    assert!(server.stop().await.success(), "asked to end, the server ends well");
    chain::is_intact(&site).await;
    site.close().await;
}

#[tokio::test]
async fn deleting_a_project_in_the_middle_of_a_generation_cancels_the_job() {
    let model = rig::model::Model::start().await;
    let site = model.of(Site::new().await);
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;
    model.hold();
    let job = generate(&ana, &id, "Technical").await;
    model.called().await;

    ana.delete(&format!("/projects/{id}")).await.ok(204);
    ana.get(&format!("/projects/{id}")).await.problem(404, "PROJECT_NOT_FOUND");
    let ended = rig::jobs::ended(&ana, job_id(&job), PATIENCE).await;

    assert_eq!((&ended["errorCode"], &ended["cancelled"]), (&json!("CANCELLED"), &json!(true)));
    model.under_way(0, PATIENCE).await;
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn everything_is_there_again_after_a_restart() {
    let site = Site::new().await;
    let mut server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;
    let job = generate(&ana, &id, "Technical").await;
    let before = completed(&ana, job_id(&job)).await;
    let project_before = ana.get(&format!("/projects/{id}")).await;
    assert!(server.stop().await.success());

    let server = site.start().await;
    let ana = ana.at(&server);
    assert_eq!(ana.get(&format!("/ai/proposals/jobs/{}", job_id(&job))).await.ok(200), before);
    let project_after = ana.get(&format!("/projects/{id}")).await;
    assert_eq!(project_after.header("etag"), project_before.header("etag"));
    assert_eq!(project_after.ok(200), project_before.ok(200));
    drop(server);
    site.close().await;
}
