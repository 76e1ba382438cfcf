//! What can be known of `docker-compose.yml` without an engine: it is YAML, names only settings that the binary reads and
//! files that are there, and keeps what the bus has acknowledged.

use std::path::Path;

use yaml_rust2::{Yaml, YamlLoader};

use crate::command_line::settings_in_the_manual;
use rig::site::Site;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// The services that are our binary.
const OURS: [&str; 3] = ["server", "migrate", "restore"];

fn compose() -> Yaml {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docker-compose.yml")).unwrap();
    let mut documents = YamlLoader::load_from_str(&text).expect("docker-compose.yml is YAML");
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// The settings that a variable may give: its own, or that whose value is in the file it names.
fn names(variable: &str) -> [&str; 2] {
    [variable, variable.strip_suffix("_FILE").unwrap_or(variable)]
}

fn keys(yaml: &Yaml) -> Vec<&str> {
    yaml.as_hash().expect("a mapping").keys().map(|key| key.as_str().expect("a key is a word")).collect()
}

#[tokio::test]
async fn the_compose_file_sets_only_variables_that_the_binary_reads() {
    let site = Site::empty().await;
    let known = settings_in_the_manual(&site).await;
    let compose = compose();
    for service in OURS {
        let variables = keys(&compose["services"][service]["environment"]);
        assert!(variables.len() >= 3, "{service} has hardly any settings: {variables:?}");
        for variable in variables {
            let is_read = names(variable).into_iter().any(|name| known.contains(name));
            assert!(is_read, "{service} sets {variable}, which the binary does not read");
        }
    }
    let required = ["DATABASE_URL", "NATS_URL", "REDIS_URL", "MASTER_KEY", "SIGNING_KEY", "ERASURE_LIST_FILE"];
    let of_server = keys(&compose["services"]["server"]["environment"]);
    for setting in required {
        let given = of_server.iter().any(|variable| names(variable).contains(&setting));
        assert!(given, "the server is started without {setting}");
    }
    site.close_without_store().await;
}

#[test]
fn the_compose_file_has_all_parts_and_every_name_in_it_leads_somewhere() {
    let compose = compose();
    let services = keys(&compose["services"]);
    for part in ["server", "postgres", "nats", "redis"] {
        assert!(services.contains(&part), "{part} is missing in {services:?}");
    }
    let (secrets, volumes) = (keys(&compose["secrets"]), keys(&compose["volumes"]));
    for service in &services {
        let definition = &compose["services"][*service];
        let runs = !definition["image"].is_badvalue() || !definition["build"].is_badvalue();
        assert!(runs, "{service} has neither an image nor a build");
        for secret in definition["secrets"].as_vec().into_iter().flatten() {
            assert!(secrets.contains(&secret.as_str().unwrap()), "{service} uses the secret {secret:?}");
        }
        if let Some(others) = definition["depends_on"].as_hash() {
            for other in others.keys() {
                assert!(services.contains(&other.as_str().unwrap()), "{service} waits for {other:?}");
            }
        }
        for volume in definition["volumes"].as_vec().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            let there =
                if source.starts_with('.') { Path::new(ROOT).join(source).exists() } else { volumes.contains(&source) };
            assert!(there, "{service} mounts {source}, which is nowhere");
        }
        for (name, value) in definition["environment"].as_hash().into_iter().flatten() {
            let Some(secret) = value.as_str().and_then(|value| value.strip_prefix("/run/secrets/")) else { continue };
            let own: Vec<_> = definition["secrets"].as_vec().into_iter().flatten().filter_map(Yaml::as_str).collect();
            assert!(own.contains(&secret), "{service}: {name:?} names a secret that the service does not get");
        }
    }
    assert!(Path::new(ROOT).join("Dockerfile").exists());
}

#[test]
fn the_bus_acknowledges_only_what_is_on_the_disk() {
    let settings = std::fs::read_to_string(Path::new(ROOT).join("ops/nats.conf")).unwrap();
    let plain: Vec<&str> = settings.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).collect();
    assert!(plain.contains(&"sync_interval: always"), "{settings}");
    // And it is this file that the container runs with.
    let nats = &compose()["services"]["nats"];
    let mounted = nats["volumes"].as_vec().unwrap().iter().filter_map(Yaml::as_str);
    let target =
        mounted.filter_map(|volume| volume.strip_prefix("./ops/nats.conf:")).next().expect("ops/nats.conf is mounted");
    let target = target.trim_end_matches(":ro");
    let command: Vec<_> = nats["command"].as_vec().unwrap().iter().filter_map(Yaml::as_str).collect();
    assert!(command.join(" ").contains(&format!("--config {target}")), "{command:?}");
}
