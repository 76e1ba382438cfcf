//! The command line: the manual, migrations, the auditor's export, replays, and refusals to start.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use rig::chain;
use rig::client::{Client, sign_up};
use rig::jobs::{completed, generate, job_id, project};
use rig::model::Model;
use rig::sheets::dairy;
use rig::site::{Site, random_key};

/// Settings that others rely on by name.
const PROMISED: [&str; 20] = [
    "HOST",
    "PORT",
    "PUBLIC_URL",
    "DATABASE_URL",
    "MIGRATION_DATABASE_URL",
    "NATS_URL",
    "REDIS_URL",
    "CORS_ORIGINS",
    "TRUSTED_PROXIES",
    "RATE_LIMITS",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL",
    "MASTER_KEY",
    "SIGNING_KEY",
    "ERASURE_LIST_FILE",
    "ENVIRONMENT",
    "DATABASE_CONNECTIONS",
    "LOG",
    "LOG_FORMAT",
];

/// The settings that the manual names.
pub async fn settings_in_the_manual(site: &Site) -> BTreeSet<String> {
    let manual = site.run(&["--help"]).await;
    assert!(manual.status.success());
    let manual = String::from_utf8(manual.stdout).unwrap();
    let words = manual.split(|letter: char| !(letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_'));
    words.filter(|word| word.len() > 2).map(str::to_owned).collect()
}

#[tokio::test]
async fn help_is_the_manual_of_every_command_and_setting() {
    let site = Site::empty().await;
    let manual = site.run(&["--help"]).await;
    let text = String::from_utf8(manual.stdout).unwrap();
    for command in ["serve", "migrate", "audit", "projections", "replay"] {
        assert!(text.contains(command), "{command} is not in the manual:\n{text}");
    }
    let named = settings_in_the_manual(&site).await;
    for setting in PROMISED {
        assert!(named.contains(setting), "{setting} is not in the manual:\n{text}");
    }
    // And every other one that the source knows.
    let source = include_str!("../../src/settings.rs");
    let known: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("setting(\"").or_else(|| line.trim().strip_prefix("secret(\"")))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(known.len() >= PROMISED.len(), "the table of settings was not found in the source");
    for setting in known {
        assert!(named.contains(setting), "{setting} is not in the manual:\n{text}");
    }
    assert!(text.contains("_FILE"), "it does not say how to give a secret in a file:\n{text}");
    for command in [&["audit", "export", "--help"][..], &["replay", "--help"], &["serve", "--help"]] {
        assert!(site.run(command).await.status.success());
    }
    assert!(!site.run(&["nonsense"]).await.status.success());
    site.close_without_store().await;
}

#[tokio::test]
async fn migrating_twice_is_as_good_as_once_and_an_unmigrated_database_is_not_served() {
    let site = Site::empty().await;
    let said = site.refused().await;
    assert!(said.contains("migrat"), "it does not say what to do: {said}");

    for _ in 0..2 {
        let migrated = site.run(&["migrate"]).await;
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    }

    let server = site.start().await;
    sign_up(&server).await;
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn an_export_proves_by_itself_whether_history_was_changed() {
    let site = Site::new().await;
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let id = project(&ana, &dairy()).await;
    completed(&ana, job_id(&generate(&ana, &id, "Technical").await)).await;
    drop(server);

    let lines = chain::export(&site).await;
    let events = site.count("es.ledger").await.unsigned_abs();
    assert_eq!(chain::follow(&lines), Ok(events));
    assert!(events > 20);

    // A part of it is the same lines.
    let part = site.run(&["audit", "export", "--from", "3", "--to", "5"]).await;
    let part: Vec<String> = String::from_utf8(part.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(part, lines[2..5]);

    // Any change of any line shows at that line.
    for (change, to) in [("\"version\":1", "\"version\":2"), ("project-created", "project-deleted"), ("T", " ")] {
        let at = lines.iter().position(|line| line.contains(change)).unwrap();
        let mut changed = lines.clone();
        changed[at] = changed[at].replacen(change, to, 1);
        assert_eq!(chain::follow(&changed), Err(at as u64 + 1), "{change} became {to}");
    }
    let mut without_one = lines.clone();
    without_one.remove(4);
    assert_eq!(chain::follow(&without_one), Err(5));
    let mut swapped = lines;
    swapped.swap(6, 7);
    assert_eq!(chain::follow(&swapped), Err(7));
    site.close().await;
}

#[tokio::test]
async fn a_replay_prints_a_project_as_it_was() {
    let site = Site::new().await;
    let server = site.start().await;
    let ana = sign_up(&server).await.client;
    let created =
        ana.post("/projects", &json!({"name": "First name", "client": "c", "sector": "other", "location": "l"})).await;
    let at_creation = position(&created);
    let id = created.ok(201)["id"].as_str().unwrap().to_owned();
    let written = ana.patch(&format!("/projects/{id}/data"), &json!({"remark": "as it was"})).await;
    let at_writing = position(&written);
    written.ok(200);
    let renamed = ana.patch(&format!("/projects/{id}"), &json!({"name": "Second name"})).await;
    renamed.ok(200);
    let at_renaming = position(&renamed);
    ana.patch(&format!("/projects/{id}/data"), &json!({"remark": "as it is"})).await.ok(200);
    let recorded: String = sqlx::query_scalar(
        "SELECT to_char(ledger_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM es.ledger WHERE position = $1",
    )
    .bind(i64::try_from(at_writing).unwrap())
    .fetch_one(&site.pool)
    .await
    .unwrap();
    let replay = async |as_of: &[&str]| {
        let output = site.run(&[&["replay", "--project", &id], as_of].concat()).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("a replay is JSON")
    };

    let first = replay(&["--as-of", &at_creation.to_string()]).await;
    assert_eq!(
        (&first["position"], &first["version"], &first["streamId"]),
        (&json!(at_creation), &json!(1), &json!(id))
    );
    assert!(holds(&first, "First name") && !holds(&first, "as it was"), "{first}");
    for as_of in [at_writing.to_string(), recorded] {
        let then = replay(&["--as-of", &as_of]).await;
        assert!(holds(&then, "First name") && holds(&then, "as it was"), "{as_of}: {then}");
    }
    let later = replay(&["--as-of", &at_renaming.to_string()]).await;
    assert!(holds(&later, "Second name") && holds(&later, "as it was"), "{later}");
    let now = replay(&[]).await;
    assert!(holds(&now, "Second name") && holds(&now, "as it is") && !holds(&now, "First name"), "{now}");

    for never in [&["--as-of", "0"][..], &["--as-of", "2001-01-01T00:00:00Z"], &["--as-of", "yesterday"]] {
        let output = site.run(&[&["replay", "--project", &id], never].concat()).await;
        assert!(!output.status.success() && output.stdout.is_empty(), "{never:?}");
    }
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn the_server_refuses_settings_that_would_do_harm_and_names_them() {
    let mut site = Site::new().await;
    site.set("ENVIRONMENT", "production");
    let said = site.refused().await;
    assert!(said.contains("RATE_LIMITS"), "{said}");
    site.set("ENVIRONMENT", "development");

    // The first server says by which key this database is read.
    let server = site.start().await;
    sign_up(&server).await;
    drop(server);
    let right = site.setting("MASTER_KEY").to_owned();
    site.set("MASTER_KEY", random_key());
    let said = site.refused().await;
    assert!(said.to_lowercase().contains("master") && !said.contains(site.setting("MASTER_KEY")), "{said}");
    let export = site.run(&["audit", "export"]).await;
    assert!(!export.status.success());
    site.set("MASTER_KEY", "dG9vIHNob3J0");
    let said = site.refused().await;
    assert!(said.contains("MASTER_KEY") && !said.contains("dG9vIHNob3J0"), "{said}");
    site.unset("MASTER_KEY");
    assert!(site.refused().await.contains("MASTER_KEY"));
    site.set("MASTER_KEY", right);

    let signing_key = site.setting("SIGNING_KEY").to_owned();
    site.unset("SIGNING_KEY");
    site.set("ENVIRONMENT", "production");
    site.set("RATE_LIMITS", "on");
    site.set("PUBLIC_URL", "https://water.example.com");
    assert!(site.refused().await.contains("SIGNING_KEY"));
    site.set("SIGNING_KEY", signing_key.clone());
    site.unset("PUBLIC_URL");
    assert!(site.refused().await.contains("PUBLIC_URL"));
    site.set("ENVIRONMENT", "development");
    site.set("SIGNING_KEY", "dG9vIHNob3J0");
    let said = site.refused().await;
    assert!(said.contains("SIGNING_KEY") && !said.contains("dG9vIHNob3J0"), "{said}");
    site.set("SIGNING_KEY", signing_key);

    site.set("PORT", "eighty");
    assert!(site.refused().await.contains("PORT"));
    site.set("PORT", "0");
    let mut server = site.start().await;
    assert!(server.is_running());
    drop(server);
    site.close().await;
}

#[tokio::test]
async fn a_secret_may_come_from_a_file() {
    let mut site = Site::new().await;
    let file = std::env::temp_dir().join(rig::word("allegiant-master-key-"));
    std::fs::write(&file, format!("{}\n", site.setting("MASTER_KEY"))).unwrap();
    site.unset("MASTER_KEY");
    site.set("MASTER_KEY_FILE", file.to_str().unwrap());
    let server = site.start().await;
    sign_up(&server).await;
    drop(server);
    std::fs::remove_file(file).unwrap();
    site.close().await;
}

#[tokio::test]
async fn a_model_that_the_provider_does_not_have_is_refused_in_production_and_warned_of_in_development() {
    let model = Model::start().await;
    let mut site = model.of(Site::new().await).with("OPENAI_MODEL", "no-such-model");
    let server = site.start().await;
    let client = Client::of(&server);
    assert_eq!(client.get("/health").await.ok(200)["status"], "degraded");
    let warned = server.log().iter().any(|line| line.contains("OPENAI_MODEL") || line.contains("no-such-model"));
    assert!(warned, "{:#?}", server.log());
    drop(server);

    site.set("ENVIRONMENT", "production");
    site.set("RATE_LIMITS", "on");
    site.set("PUBLIC_URL", "https://water.example.com");
    let said = site.refused().await;
    assert!(said.contains("OPENAI_MODEL"), "{said}");
    assert!(
        !said.contains(&model.key) && !said.contains("does not exist"),
        "the provider's own words, or a secret: {said}"
    );

    // A model that it has, or a provider that cannot be asked, is no reason not to start.
    for (setting, value) in [("OPENAI_MODEL", rig::model::MODEL), ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")] {
        site.set(setting, value);
        let server = site.start().await;
        Client::of(&server).get("/health/liveness").await.ok(200);
    }
    site.close().await;
}

fn position(answer: &rig::client::Answer) -> u64 {
    answer.header("x-event-position").expect("a write says its position").parse().unwrap()
}

/// Whether a text stands anywhere in a value.
fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Array(items) => items.iter().any(|item| holds(item, text)),
        Value::Object(members) => members.values().any(|member| holds(member, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
