//! `allegiant projections`: a rebuild beside a running server, and what the commands say and end with.

use std::process::Output;

use serde_json::json;

use rig::client::sign_up;
use rig::jobs::project;
use rig::sheets::dairy;
use rig::site::Site;

const NAMES: [&str; 6] = ["accounts", "jobs", "project_data", "projects", "proposals", "timeline"];

fn said(output: &Output) -> (bool, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn read_models_are_rebuilt_rolled_back_and_checked_beside_a_running_server() {
    let site = Site::new().await;
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;
    let path = format!("/projects/{id}");

    for (turn, (command, generation)) in [("rebuild", 2), ("rollback", 1), ("rebuild", 3)].into_iter().enumerate() {
        for name in ["projects", "timeline"] {
            let (well, out, err) = said(&site.run(&["projections", command, name]).await);
            assert!(well, "{command} {name}: {err}");
            assert!(out.contains(&format!("{name}: generation {generation} is read")), "{out}");
            // No terminal: plain lines.
            assert!(command == "rollback" || err.contains(&format!("rebuilding {name}: ")), "{err}");
        }
        let name = format!("Plant {turn}");
        ana.patch(&path, &json!({"name": name})).await.ok(200);
        assert_eq!(ana.get(&path).await.ok(200)["name"], name);
    }
    for name in NAMES {
        let (well, out, err) = said(&site.run(&["projections", "verify", name]).await);
        assert!(well && out.contains("equals the fold of the ledger"), "{name}: {out}{err}");
    }
    let (well, out, err) = said(&site.run(&["projections", "status"]).await);
    assert!(well, "{out}{err}");
    let (_, listed, _) = said(&site.run(&["projections", "list"]).await);
    for name in NAMES {
        assert!(out.contains(name) && listed.contains(name), "{out}{listed}");
    }
    assert!(listed.contains("projects version 1 generation 3: live"), "{listed}");
    assert!(listed.contains("projects version 1 generation 1: former"), "{listed}");
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn what_is_amiss_is_said_and_ends_a_command_with_a_failure() {
    let site = Site::new().await;
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;
    ana.get(&format!("/projects/{id}")).await.ok(200);

    let (well, _, err) = said(&site.run(&["projections", "rebuild", "nonsense"]).await);
    assert!(!well && NAMES.iter().all(|name| err.contains(name)), "{err}");
    let (well, _, err) = said(&site.run(&["projections", "rollback", "jobs"]).await);
    assert!(!well && err.contains("no former generation"), "{err}");

    sqlx::query("UPDATE views.projects_v1 SET document = jsonb_set(document, '{name}', '\"Another\"')")
        .execute(&site.pool)
        .await
        .unwrap();
    let (well, out, err) = said(&site.run(&["projections", "verify", "projects"]).await);
    assert!(!well && out.contains(&format!("document {id} differs in document")), "{out}{err}");
    assert!(!out.contains("Another") && !err.contains("Another"), "stored values are not shown: {out}{err}");

    // An event of a shape that nobody knows sets its stream aside, and health tells of it.
    sqlx::query(
        "INSERT INTO es.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         SELECT aggregate_type, aggregate_id, 1000, 'project-status-set', '1', '{\"type\": \"project-status-set\"}', metadata
         FROM es.events WHERE aggregate_id = $1 AND sequence = 1",
    )
    .bind(&id)
    .execute(&site.pool)
    .await
    .unwrap();
    testkit::wait_until(std::time::Duration::from_secs(20), async || {
        (site.count("views.parked").await > 0).then_some(())
    })
    .await;
    let (well, out, err) = said(&site.run(&["projections", "status"]).await);
    assert!(!well && out.contains(&format!("project/{id} from event 1000")), "{out}{err}");
    let (well, out, err) = said(&site.run(&["projections", "retry", "projects"]).await);
    assert!(!well && out.contains("projects: 0 streams are followed again"), "{out}{err}");
    let parked = testkit::wait_until(std::time::Duration::from_secs(20), async || {
        let health = ana.get("/health").await.ok(200);
        (health["status"] == "degraded").then(|| health["checks"]["projections"]["parkedStreams"].clone())
    })
    .await;
    assert_eq!(parked, 4, "projects, project_data, timeline and proposals follow projects");
    drop(server);
    site.close().await;
}
