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
        document(bench().args(["refresh", "--grants", "1000", "--connections", "8", "--seconds", "2", "--json"]));
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

#[test]
fn what_cannot_be_seeded_alone_says_how_it_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_regrant-bench"))
        .args(["seed", "--database", "postgres://x", "--grants", "1", "--tokens", "/dev/null"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("refresh --database URL"));
}
