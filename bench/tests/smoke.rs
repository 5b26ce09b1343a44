//! A whole run, as a user starts it: small, and in the profile of the tests. Its figures mean nothing; that they are there,
//! and that every reply was right, does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, not tests themselves to the lint")]

use std::{path::Path, process::Command};

use serde_json::Value;

fn bench() -> Command {
    let own = Path::new(env!("CARGO_BIN_EXE_regrant-bench"));
    let server = own.with_file_name("regrant");
    assert!(
        server.is_file(),
        "there is no {}: \"cargo build -p regrant\" makes it, and \"cargo test --workspace\" does so by itself",
        server.display()
    );
    Command::new(own)
}

fn document(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{complained}", output.status);
    serde_json::from_str(&said).unwrap()
}

#[test]
fn a_thousand_grants_are_renewed_without_an_error() {
    let found =
        document(bench().args(["refresh", "--grants", "1000", "--connections", "64", "--seconds", "2", "--json"]));
    assert_eq!(found["grants"], 1000);
    assert_eq!(found["errors"], serde_json::json!({}));
    for number in [
        &found["refreshes"],
        &found["latency_us"]["p99"],
        &found["latency_us"]["max"],
        &found["server_cpu_us"]["es256_multiple"],
        &found["es256_us"]["before"],
        &found["es256_us"]["after"],
        &found["start_ms"],
        &found["disk_bytes"]["tables"]["grants"],
    ] {
        assert!(number.as_f64().is_some_and(|number| number > 0.0), "{found:#}");
    }
    // A thousand grants are less than what an allocator gives back meanwhile.
    assert!(found["resident_bytes"]["per_grant"].as_f64().is_some_and(|bytes| bytes >= 0.0), "{found:#}");
    // Two seconds of warm-up and two that count: at most 50 a minute of each of a thousand grants.
    assert!(found["refreshes"].as_u64().is_some_and(|count| count <= 2500), "{found:#}");
}

#[test]
fn an_open_loop_on_a_seeded_store_keeps_to_its_rate() {
    let place = tempfile::tempdir().unwrap();
    let (data, tokens) = (place.path().join("data"), place.path().join("tokens"));
    let seeded =
        bench().args(["seed", "--grants", "500", "--data"]).arg(&data).arg("--tokens").arg(&tokens).status().unwrap();
    assert!(seeded.success());
    let found = document(
        bench()
            .args(["refresh", "--grants", "500", "--connections", "4", "--seconds", "1", "--rate", "100", "--json"])
            .arg("--store")
            .arg(&data)
            .arg("--tokens")
            .arg(&tokens),
    );
    assert_eq!(found["errors"], serde_json::json!({}));
    // A slow machine may be late with the last ones.
    assert!(found["refreshes"].as_u64().is_some_and(|count| (50..=110).contains(&count)), "{found:#}");
}

#[test]
fn another_server_is_measured_in_the_same_run() {
    // So many that the CPU time is more than a tick of the clock that counts it.
    let found =
        document(bench().args(["compare", "--grants", "500", "--connections", "2", "--seconds", "1", "--json"]));
    for server in ["regrant", "oidc_provider"] {
        let found = &found[server];
        assert_eq!((&found["grants"], &found["connections"], &found["seconds"]), (&500.into(), &2.into(), &1.into()));
        assert_eq!(found["errors"], serde_json::json!({}), "{server}");
        for number in [
            &found["refreshes"],
            &found["latency_us"]["p50"],
            &found["latency_us"]["p99"],
            &found["server_cpu_us"]["es256_multiple"],
            &found["es256_us"]["before"],
            &found["es256_us"]["after"],
            &found["resident_bytes"]["end"],
        ] {
            assert!(number.as_f64().is_some_and(|number| number > 0.0), "{server}: {found:#}");
        }
    }
    assert!(found["ratio"]["server_cpu_us"].as_f64().is_some_and(|ratio| ratio > 0.0), "{found:#}");
    assert!(found["oidc_provider"]["version"].as_str().is_some_and(|version| version.starts_with("9.")), "{found:#}");
}

#[test]
fn without_node_it_is_said_how_to_get_it_before_anything_is_measured() {
    let output = Command::new(env!("CARGO_BIN_EXE_regrant-bench")).arg("compare").env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(complained.contains("no node in PATH") && complained.contains("apt-get install"), "{complained}");
}

/// A PostgreSQL of its own, as the store's tests start one.
#[path = "../../crates/store/src/postgres/tests/cluster.rs"]
mod cluster;

fn seed(url: &str, place: &Path, grants: &str, more: &[&str]) -> (i32, String) {
    let mut command = bench();
    command.args(["seed", "--database", url, "--grants", grants, "--tokens"]).arg(place.join("tokens")).args(more);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_seeded_database_is_served_again_and_again_and_can_be_added_to() {
    let (cluster, place) = (cluster::Cluster::shared(), tempfile::tempdir().unwrap());
    let (url, place) = (cluster.database(), place.path());
    let lines =
        || std::fs::read_to_string(place.join("tokens")).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(seed(&url, place, "400", &[]).0, 0);
    let first = lines();
    assert_eq!(first.len(), 400);
    for secret in ["tokens", "keys.toml"] {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(place.join(secret)).unwrap());
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }

    // Whoever is there is not mixed with others by mistake.
    let (code, said) = seed(&url, place, "10", &[]);
    assert!(code == 2 && said.contains("--add"), "{said}");
    let elsewhere = place.join("other");
    let (code, said) = seed(&url, place, "10", &["--add", "--keys", elsewhere.to_str().unwrap()]);
    assert!(code == 2 && said.contains("keys already") && !elsewhere.exists(), "{said}");
    assert_eq!(lines(), first);

    assert_eq!(seed(&url, place, "100", &["--add"]).0, 0);
    let both = lines();
    assert_eq!((both.len(), &both[..400]), (500, &first[..]));
    let name = url.rsplit('/').next().unwrap();
    let counted = cluster.sql(
        name,
        "SELECT (SELECT count(*) FROM grants), (SELECT count(*) FROM sessions), (SELECT count(*) FROM users)",
    );
    assert_eq!(counted.trim(), "500|500|50");

    // Twice: the second run needs the tokens that the first one left.
    for _ in 0..2 {
        let before = lines();
        let mut run = bench();
        run.args(["refresh", "--grants", "450", "--connections", "4", "--seconds", "1", "--json", "--database", &url]);
        let found = document(run.arg("--tokens").arg(place.join("tokens")).arg("--keys").arg(place.join("keys.toml")));
        assert_eq!((&found["errors"], &found["grants"]), (&serde_json::json!({}), &450.into()), "{found:#}");
        for number in [&found["refreshes"], &found["pgbench"]["updates_per_second"]] {
            assert!(number.as_f64().is_some_and(|number| number > 0.0), "{found:#}");
        }
        let after = lines();
        assert_eq!(after.len(), 500);
        assert!(after.iter().filter(|token| !before.contains(token)).count() > 100, "they were renewed");
        assert_eq!(after[450..], both[450..]);
    }
}

#[test]
fn a_seeded_database_needs_both_of_its_files() {
    let output = bench().args(["refresh", "--database", "postgres://x", "--tokens", "/dev/null"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--tokens and --keys go together"));
}
