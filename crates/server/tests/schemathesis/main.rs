//! schemathesis reads `/openapi.json` and makes up requests, right ones and wrong ones, against the real binary: no answer is
//! a 5xx but 503 with Retry-After, and each has a status, a type, headers and a body that the document knows.
//!
//! It comes from PyPI, as `requirements.txt` pins it, into an environment of its own below `target/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

#[allow(dead_code, unused_imports, reason = "it is shared with tests/e2e, and each uses what it needs")]
#[path = "../e2e/support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use support::{EMAIL, FIREFOX, Home, Server};

#[test]
fn the_answers_to_anything_made_up_are_in_the_document() {
    let schemathesis = Schemathesis::install();
    let mut home = Home::new();
    // What is made up fails; the limits have tests of their own.
    for limit in ["PER_ACCOUNT_AND_ADDRESS", "PER_ACCOUNT", "PER_NETWORK"] {
        home.set(&format!("REGRANT_LIMITS__{limit}"), "1000000");
    }
    let server = home.serve();
    let document = server.client().get("/openapi.json").send().expect(200).json();
    // The user of the document's own example, so that it works as it stands.
    let example = |name: &str| {
        let place = format!("/components/schemas/SignInBody/properties/{name}/example");
        document.pointer(&place).and_then(Value::as_str).expect("an example").to_owned()
    };
    let password = example("password");
    assert_eq!(example("identifier"), EMAIL);
    home.regrant_reading(&["user", "add", EMAIL, "--password-stdin"], &password).ok();
    let sign_in = || {
        let asked = json!({"identifier": EMAIL, "password": password});
        server.client().post("/session").json(&asked).send().expect(200)
    };

    let seen = schemathesis.run(&server, &document, &[]);
    assert_eq!(operations(&seen), operations_of(&document), "nothing was left out");
    assert!(seen.contains(&told("POST", "/session", 200)), "the example signs in: {seen:?}");

    // Signing out, signing in anew with the cookie, and renewing without keeping the successor would end the session that the
    // rest is asked with. So does ending one by an id that was listed, which schemathesis finds out last.
    // Each has a session of its own, begun when its turn comes: the one before ends all others.
    let bearer = || format!("Authorization: Bearer {}", sign_in().text("/access_token"));
    let cookie = || format!("Cookie: regrant-dev={}", sign_in().cookie());
    for credentials in [&bearer as &dyn Fn() -> String, &cookie] {
        let credentials = credentials();
        let mut arguments = vec!["-H", &credentials];
        for ends_it in ["sign_in", "sign_out", "renew"] {
            arguments.extend(["--exclude-operation-id", ends_it]);
        }
        arguments.extend(["--exclude-path-regex", "^/admin/"]);
        let seen = schemathesis.run(&server, &document, &arguments);
        for (method, path, status) in [
            ("GET", "/session", 200),
            ("GET", "/sessions", 200),
            ("GET", "/auth/verify", 200),
            ("DELETE", "/sessions", 204),
            ("DELETE", "/sessions/{id}", 404),
        ] {
            assert!(seen.contains(&told(method, path, status)), "{method} {path} never answered {status}: {seen:?}");
        }
    }

    // A tab that never gets its replies: the same token again and again.
    let seen = schemathesis.run(&server, &document, &["-H", &cookie(), "--include-operation-id", "renew"]);
    assert!(seen.contains(&told("POST", "/session/refresh", 200)), "{seen:?}");

    // An administrator. What would end the session that it is asked with is left out: ids are found in lists, and keys are numbers.
    home.regrant(&["role", "add", "admin"]).ok();
    home.regrant(&["role", "grant", "admin", EMAIL]).ok();
    let asked = json!({"identifier": EMAIL, "password": password, "scope": "openid regrant:admin"});
    let admin = server.client().post("/session").json(&asked).send().expect(200).text("/access_token");
    let admin = format!("Authorization: Bearer {admin}");
    let mut arguments = vec!["-H", &admin, "--include-path-regex", "^/admin/", "--max-examples", "15"];
    // Ids that are no ids are thrown away by the tool itself; under load it takes that for a fault.
    arguments.extend(["--suppress-health-check", "filter_too_much"]);
    for ends_it in [
        "admin_change_user",
        "admin_delete_user",
        "admin_set_password",
        "admin_revoke_role",
        "admin_remove_role",
        "admin_end_session",
        "admin_end_sessions",
        "admin_retire_key",
    ] {
        arguments.extend(["--exclude-operation-id", ends_it]);
    }
    let seen = schemathesis.run(&server, &document, &arguments);
    for (method, path, status) in [
        ("GET", "/admin/users", 200),
        ("POST", "/admin/users", 201),
        ("GET", "/admin/users/{id}", 404),
        ("POST", "/admin/clients", 400),
        ("GET", "/admin/events", 400),
    ] {
        assert!(seen.contains(&told(method, path, status)), "{method} {path} never answered {status}: {seen:?}");
    }

    // Signing out ends it at once, so it is last.
    let seen = schemathesis.run(&server, &document, &["-H", &bearer(), "--include-operation-id", "sign_out"]);
    assert!(seen.contains(&told("DELETE", "/session", 204)), "{seen:?}");
}

/// Method, path of the document, status.
type Told = (String, String, u64);

fn told(method: &str, path: &str, status: u64) -> Told {
    (method.to_owned(), path.to_owned(), status)
}

/// Those that were asked, but for methods that the document does not have.
fn operations(seen: &BTreeSet<Told>) -> BTreeSet<(String, String)> {
    seen.iter().filter(|(.., status)| *status != 405).map(|(method, path, _)| (method.clone(), path.clone())).collect()
}

fn operations_of(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let methods = |item: &Value| item.as_object().expect("a path").keys().cloned().collect::<Vec<_>>();
    paths.flat_map(|(path, item)| methods(item).into_iter().map(|m| (m.to_uppercase(), path.clone()))).collect()
}

struct Schemathesis {
    program: PathBuf,
}

impl Schemathesis {
    /// Puts it in place, unless it is there as `requirements.txt` wants it.
    fn install() -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
        let wanted = fs::read_to_string(home().join("requirements.txt")).unwrap();
        let stamp = root.join("installed.txt");
        let program = root.join("bin/schemathesis");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Self { program };
        }
        let hint = "python3 with venv is needed: `cargo xtask test --only prerequisites` installs it";
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&root), hint);
        let mut pip = Command::new(root.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]);
        output(pip.arg(home().join("requirements.txt")), "pip did not work, which needs the package registry");
        fs::write(stamp, wanted).unwrap();
        Self { program }
    }

    /// Runs it on what `arguments` leave of the document, and says what it saw.
    fn run(&self, server: &Server, document: &Value, arguments: &[&str]) -> BTreeSet<Told> {
        let scratch = tempfile::tempdir().unwrap();
        // From a file: what it reads over HTTP itself, it does not test.
        fs::write(scratch.path().join("openapi.json"), document.to_string()).unwrap();
        let mut run = Command::new(&self.program);
        run.args(["run", "openapi.json", "--url", &format!("http://{}", server.address)])
            .args(["--no-color", "--warnings", "off", "--report", "ndjson", "--report-ndjson-path", "seen.ndjson"])
            // The same requests each time.
            .args(["--seed", "20", "--generation-database", "none"])
            .args(["--max-examples", "50", "--request-timeout", "30", "--checks", &CHECKS.join(",")])
            // The same browser as the one that signed in.
            .args(["-H", &format!("User-Agent: {FIREFOX}")])
            .args(arguments)
            .current_dir(scratch.path())
            .env("HOME", scratch.path())
            .env("PYTHONPATH", home())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SCHEMATHESIS_HOOKS", "checks");
        output(&mut run, "schemathesis found something");
        let report = fs::read_to_string(scratch.path().join("seen.ndjson")).unwrap();
        let events = report.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.flat_map(|event| told_in(&event["ScenarioFinished"]["recorder"])).collect()
    }
}

fn told_in(recorder: &Value) -> Vec<Told> {
    let interactions = recorder["interactions"].as_object().into_iter().flatten();
    interactions
        .filter_map(|(id, interaction)| {
            let case = &recorder["cases"][id]["value"];
            let status = interaction["response"]["status_code"].as_u64()?;
            Some(told(case["method"].as_str()?, case["path"].as_str()?, status))
        })
        .collect()
}

/// Runs it to its good end.
fn output(command: &mut Command, hint: &str) {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{hint}: {error}"));
    let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{hint}\n{out}\n{errors}");
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis")
}

/// Ours of `checks.py`, and all of its own but those that want every right request to succeed.
const CHECKS: [&str; 8] = [
    "fails_only_by_503_with_retry_after",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
];
