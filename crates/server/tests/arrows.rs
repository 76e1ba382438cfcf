//! Arrows between the houses point one way, and the pure ones stay pure.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeSet;
use std::process::Command;

/// What a crate is built from, itself included; without what only its tests need.
fn tree(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", package])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_pure_houses_know_no_database_network_or_provider() {
    for house in ["units", "domain", "engineering"] {
        let parts = tree(house);
        for part in ["sqlx", "axum", "async-nats", "async-openai", "reqwest", "hyper", "redis", "postgres-es"] {
            assert!(!parts.contains(part), "{house} is built from {part}");
        }
    }
}

#[test]
fn arrows_point_one_way() {
    let houses = [
        "units",
        "domain",
        "engineering",
        "eventstore",
        "identity",
        "projections",
        "drafting",
        "worker",
        "api",
        "telemetry",
        "server",
    ];
    for (house, may_use) in [
        ("units", &[][..]),
        ("domain", &[]),
        ("engineering", &["units"]),
        ("telemetry", &[]),
        ("eventstore", &["domain"]),
        ("identity", &["domain"]),
        ("projections", &["domain", "eventstore"]),
        ("drafting", &["domain", "engineering", "units"]),
        ("worker", &["domain", "eventstore", "drafting", "engineering", "units"]),
        ("api", &["domain", "eventstore", "identity", "projections"]),
    ] {
        let used: BTreeSet<_> = tree(house).into_iter().filter(|part| houses.contains(&part.as_str())).collect();
        let allowed: BTreeSet<_> = may_use.iter().copied().chain([house]).map(str::to_owned).collect();
        assert!(used.is_subset(&allowed), "{house} uses {:?}", used.difference(&allowed).collect::<Vec<_>>());
    }
}
