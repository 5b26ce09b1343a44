//! The command line, with a running server and without: documents, exit codes, and nothing that a terminal should not see.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::support::{EMAIL, Home, PASSWORD, assert_members};

/// Every command of an operator's day, in an order that works on a new store.
#[track_caller]
fn an_operators_day(home: &Home) {
    let json = |arguments: &[&str]| home.regrant(&[&["--json"], arguments].concat()).ok().json();
    let user_fields = ["id", "email", "username", "claims", "roles", "disabled", "has_password", "created_at"];

    assert_eq!(json(&["role", "add", "editor"]), json!({"name": "editor", "users": 0}));
    let ada = home.add_user(EMAIL, &["--role", "editor", "--claim", "name=Ada", "--claim", "tags=[1,true]"]);
    assert_members(&ada, &user_fields);
    assert!(ada["id"].as_str().unwrap().starts_with("usr_"));
    assert_eq!((&ada["email"], &ada["username"], &ada["has_password"]), (&json!(EMAIL), &json!(null), &json!(true)));
    assert_eq!((&ada["claims"], &ada["roles"]), (&json!({"name": "Ada", "tags": [1, true]}), &json!(["editor"])));
    assert_eq!(json(&["user", "add", "grace"])["has_password"], false);
    let root = json(&["user", "add", "root@example.com", "--admin"]);
    assert_eq!(root["roles"], json!(["admin"]), "the first administrator needs no role made before");
    home.regrant(&["user", "add", EMAIL]).complains(1, &["already"]);
    home.regrant(&["user", "add", "x@example.com", "--role", "nothing"]).complains(1, &["no role nothing", "role add"]);

    let users = json(&["user", "list"]);
    assert_eq!(users.as_array().unwrap().len(), 3);
    users.as_array().unwrap().iter().for_each(|user| assert_members(user, &user_fields));
    for name in [EMAIL, "ADA@example.com", ada["id"].as_str().unwrap()] {
        assert_eq!(json(&["user", "show", name])["id"], ada["id"]);
    }
    let table = home.regrant(&["user", "list"]).ok().out;
    assert!(
        table.lines().next().unwrap().starts_with("ID ") && table.contains(EMAIL) && !table.contains("argon2"),
        "{table}"
    );

    assert_eq!(json(&["role", "list"]), json!([{"name": "admin", "users": 1}, {"name": "editor", "users": 1}]));
    assert_eq!(json(&["role", "grant", "editor", "grace"]), json!({"changed": true}));
    assert_eq!(json(&["role", "grant", "editor", "grace"]), json!({"changed": false}));
    assert_eq!(json(&["role", "revoke", "editor", "grace"]), json!({"changed": true}));
    home.regrant(&["role", "grant", "nothing", "grace"]).complains(1, &["no role nothing"]);
    home.regrant(&["role", "add", "editor"]).complains(1, &["already"]);
    home.regrant(&["role", "add", "no spaces"]).complains(2, &["cannot be a role"]);
    assert_eq!(json(&["role", "remove", "editor"]), json!({"removed": "editor"}));

    assert_eq!(json(&["user", "disable", "grace"]), json!({"changed": true, "sessions_ended": 0}));
    assert_eq!(json(&["user", "show", "grace"])["disabled"], true);
    assert_eq!(json(&["user", "enable", "grace"])["changed"], true);
    let weak = home.regrant_reading(&["user", "set-password", "grace", "--password-stdin"], "short");
    weak.complains(1, &["not taken", "12 characters"]);
    home.regrant_reading(&["user", "set-password", "grace", "--password-stdin"], "").complains(2, &["no password"]);
    home.regrant_reading(&["user", "set-password", "grace", "--password-stdin"], PASSWORD).ok();
    assert_eq!(json(&["user", "delete", "grace"])["changed"], true);
    home.regrant(&["user", "show", "grace"]).complains(1, &["no user grace", "user list"]);
    home.regrant(&["user", "delete", "grace"]).complains(1, &["no user grace"]);

    assert_eq!(json(&["session", "list"]), json!([]));
    assert_eq!(home.regrant(&["session", "list"]).ok().out, "no sessions\n");
    home.regrant(&["session", "list", "--user", "grace"]).complains(1, &["no user"]);
    home.regrant(&["session", "show", "ses_0190a2b4c6d87e8f9a0b1c2d3e4f5061"]).complains(1, &["no session"]);
    home.regrant(&["session", "show", "nonsense"]).complains(2, &["no session"]);
    home.regrant(&["session", "revoke"]).complains(2, &["--user"]);
    let explained = json(&["explain", ada["id"].as_str().unwrap()]);
    assert_eq!((&explained["subject"]["kind"], &explained["state"]), (&json!("user"), &json!("alive")));
    home.regrant(&["explain", "nonsense"]).complains(1, &["neither an id"]);
    home.regrant(&["explain", "ses_0190a2b4c6d87e8f9a0b1c2d3e4f5061"]).complains(1, &["nothing is known"]);
}

#[test]
fn an_operators_day_works_with_a_running_server() {
    an_operators_day(&Home::new().serve());
}

#[test]
fn an_operators_day_works_without_a_server() {
    an_operators_day(&Home::new());
}

#[test]
fn sessions_are_shown_and_revoked() {
    let mut server = Home::with_user().serve();
    let client = server.client();
    let sessions: Vec<_> = (0..3).map(|_| client.sign_in()).collect();
    let home = Home::clone(&server);
    let json = |arguments: &[&str]| home.regrant(&[&["--json"], arguments].concat()).ok().json();
    let list = json(&["session", "list", "--user", EMAIL]);
    let fields = [
        "id",
        "user_id",
        "identifier",
        "grant",
        "state",
        "reason",
        "ended_at",
        "device",
        "user_agent",
        "network",
        "delivery",
        "generation",
        "created_at",
        "last_used_at",
        "idle_expires_at",
        "absolute_expires_at",
    ];
    list.as_array().unwrap().iter().for_each(|session| assert_members(session, &fields));
    let ids: BTreeSet<String> = sessions.iter().map(|(answer, _)| answer.text("/session/id")).collect();
    let listed: BTreeSet<String> =
        list.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, ids);

    let first = sessions[0].0.text("/session/id");
    assert_eq!(json(&["session", "revoke", &first]), json!({"revoked": 1}));
    client.refresh(&sessions[0].1).over("ended");
    client.get("/session").bearer(&sessions[0].0.text("/access_token")).send().refused(401, "invalid_token", None);
    server.regrant(&["session", "revoke", &first]).complains(1, &["over already", "explain"]);
    assert_eq!(json(&["session", "show", &first])["reason"], "revoked_by_admin");
    assert_eq!(server.stop().code(), Some(0));
    // The same without the server.
    assert_eq!(json(&["session", "revoke", "--user", EMAIL]), json!({"revoked": 2}));
    let grant = json(&["session", "show", &first])["grant"].as_str().unwrap().to_owned();
    let explained = json(&["explain", &grant]);
    assert_eq!((&explained["subject"]["kind"], &explained["reason"]), (&json!("grant"), &json!("revoked_by_admin")));
    let event = explained["timeline"][0]["id"].as_str().unwrap();
    assert_eq!(json(&["explain", event])["session"]["id"], json!(first));
    let server = home.serve();
    for (_, token) in &sessions[1..] {
        server.client().refresh(token).over("ended");
    }
}

#[test]
fn explaining_a_token_is_no_use_of_it() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (signed_in, first) = client.sign_in();
    let second = client.renew(&first);
    let third = client.renew(&second);
    for (token, standing) in [(&first, "old"), (&second, "predecessor"), (&third, "newest")] {
        let explained = server.regrant_reading(&["--json", "explain", "-"], format!("{token}\n")).ok().json();
        assert_eq!((&explained["subject"]["standing"], &explained["state"]), (&json!(standing), &json!("alive")));
        assert_eq!(explained["session"]["id"], signed_in.json()["session"]["id"]);
        assert!(!explained.to_string().contains("rg1_"));
    }
    let access = server.regrant_reading(&["--json", "explain", "-"], signed_in.text("/access_token")).ok().json();
    assert_eq!(access["subject"]["kind"], "access_token");
    client.renew(&third);
    // Arguments are seen by every process of the machine.
    for secret in [first.as_str(), "rg1_", &signed_in.text("/access_token")] {
        let said = server.regrant(&["explain", secret]).complains(2, &["secret", "explain -"]);
        assert!(secret.len() < 10 || !said.err.contains(secret));
    }
}

#[test]
fn wrong_usage_ends_with_two() {
    let home = Home::new();
    for arguments in [
        &["frobnicate"][..],
        &["user"],
        &["user", "frobnicate"],
        &["user", "add"],
        &["serve", "--port", "1"],
        &["user", "add", "x@example.com", "--claim", "no equals sign"],
        &["user", "add", "not an address@"],
        &["user", "add", ""],
        &["--database", "postgres://x", "user", "list"],
    ] {
        let mut command = home.command(arguments);
        if arguments[0] == "--database" {
            command = std::process::Command::new(env!("CARGO_BIN_EXE_regrant"));
            command.args(arguments);
        }
        let said = command.output().unwrap();
        let err = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(!err.is_empty() && said.stdout.is_empty() && !err.contains("panicked"), "{arguments:?}: {err}");
    }
    home.regrant(&["frobnicate"]).complains(2, &["no command \"frobnicate\"", "--help"]);
    assert!(home.regrant(&["--version"]).ok().out.starts_with("regrant "));
    assert!(home.regrant(&["--help"]).ok().out.contains("serve"));
}

#[test]
fn what_a_later_wave_brings_is_said_to_be_not_built_yet() {
    let home = Home::new();
    for arguments in [&["risk", "status"][..], &["token", "get"]] {
        home.regrant(arguments).complains(2, &["not built yet"]);
    }
    assert!(!home.data().exists());
}

#[test]
fn a_password_is_no_argument_and_is_told_to_nobody() {
    for url in ["postgres://ada:0open0sesame0@127.0.0.1/regrant", "postgres://127.0.0.1/regrant?password=0open0sesame0"]
    {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_regrant"));
        let said = command.args(["--database", url, "user", "list"]).output().unwrap();
        let err = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(2), "{err}");
        assert!(err.contains("PGPASSFILE") && !err.contains("sesame"), "{err}");
    }
}

#[test]
fn jwt_inspects_and_verifies_an_access_token() {
    let server = Home::with_user().serve();
    let (signed_in, _) = server.client().sign_in();
    let token = signed_in.text("/access_token");
    let keys = server.path("jwks.json");
    let url = format!("http://{}/.well-known/jwks.json", server.address);
    fs::write(&keys, server.client().get("/.well-known/jwks.json").send().expect(200).body).unwrap();

    let inspected = server.regrant_reading(&["--json", "jwt", "inspect"], &token).ok().json();
    assert_members(&inspected, &["header", "payload", "verified"]);
    assert_eq!((&inspected["verified"], &inspected["header"]["typ"]), (&json!(false), &json!("at+jwt")));
    assert!(server.regrant_reading(&["jwt", "inspect"], &token).ok().out.contains("NOT VERIFIED"));

    for place in [keys.to_str().unwrap(), &url] {
        let verify = |more: &[&str], token: &str| {
            server.regrant_reading(&[&["jwt", "verify", "--jwks", place], more].concat(), token)
        };
        let claims: Value =
            verify(&["--iss", &server.issuer, "--aud", &server.issuer, "--alg", "ES256"], &token).ok().json();
        assert_eq!(claims, inspected["payload"]);
        verify(&["--aud", "https://other.example.com"], &token).complains(1, &["regrant: "]);
        verify(&["--iss", "https://other.example.com"], &token).complains(1, &["regrant: "]);
        assert!(matches!(verify(&["--alg", "RS256"], &token).code, Some(1 | 2)));
        verify(&["--alg", "none"], &token).ended_with(2);
        let forged = format!("{}AAAA", &token[..token.len() - 4]);
        let said = verify(&[], &forged).ended_with(1);
        assert!(!said.err.contains(&token[..20]), "the error shows the token: {}", said.err);
    }
    let missing = server.regrant_reading(&["jwt", "verify", "--jwks", "/nowhere"], &token);
    missing.complains(2, &["/nowhere"]);
    server.regrant_reading(&["jwt", "verify", "--jwks", &format!("{url}x")], &token).complains(2, &["404"]);
}

#[test]
fn users_are_exported_and_imported_with_their_passwords() {
    let home = Home::new();
    home.regrant(&["role", "add", "editor"]).ok();
    home.add_user(EMAIL, &["--role", "editor", "--claim", "name=\"Ada\""]);
    home.regrant(&["user", "add", "grace"]).ok();
    home.regrant(&["user", "disable", "grace"]).ok();
    let plain = home.regrant(&["user", "export"]).ok().out;
    assert_eq!(plain.lines().count(), 2);
    assert!(!plain.contains("argon2") && !plain.contains("password_hash"), "{plain}");
    let whole = home.regrant(&["user", "export", "--password-hashes"]).ok().out;
    assert!(whole.contains("$argon2id$"));

    let other = home.with_data("other");
    let file = home.path("users.jsonl");
    fs::write(&file, &whole).unwrap();
    let file = file.to_str().unwrap();
    other.regrant(&["user", "import", file]).complains(1, &["line 1", "no role editor", "nothing was imported"]);
    other.regrant(&["role", "add", "editor"]).ok();
    assert_eq!(other.regrant(&["--json", "user", "import", file]).ok().json(), json!({"imported": 2}));
    other.regrant(&["user", "import", file]).complains(1, &["line 1", "already", "nothing was imported"]);
    let strip = |home: &Home| -> Vec<Value> {
        let users = home.regrant(&["--json", "user", "export", "--password-hashes"]).ok().json();
        let mut users: Vec<Value> = users.as_array().unwrap().clone();
        for user in &mut users {
            ["id", "created_at"].iter().for_each(|name| _ = user.as_object_mut().unwrap().remove(*name));
        }
        users.sort_by_key(ToString::to_string);
        users
    };
    assert_eq!(strip(&other), strip(&home));
    let server = other.serve();
    server.client().sign_in();

    // A document from --json, and standard input.
    let array = home.regrant(&["--json", "user", "export"]).ok().out;
    let third = home.with_data("third");
    third.regrant(&["role", "add", "editor"]).ok();
    assert_eq!(third.regrant_reading(&["--json", "user", "import", "-"], &array).ok().json(), json!({"imported": 2}));
}

#[test]
fn an_import_is_all_or_none_and_names_the_line() {
    let home = Home::new();
    home.add_user(EMAIL, &[]);
    for (bad, words) in [
        ("{\"email\": \"x@example.com\"", &["line 3"][..]),
        ("{\"email\": \"x@example.com\", \"pasword\": 1}", &["line 3", "pasword"]),
        ("{\"email\": \"two@example.com\"}", &["line 3", "identifier"]),
        ("{\"email\": \"not an address\"}", &["line 3"]),
        ("{}", &["line 3"]),
        ("{\"email\": \"x@example.com\", \"roles\": [\"nothing\"]}", &["line 3", "no role nothing"]),
        ("{\"email\": \"x@example.com\", \"password_hash\": \"5f4dcc3b5aa765d61d8327deb882cf99\"}", &["line 3"]),
        (
            "{\"email\": \"x@example.com\", \"password_hash\": \"$argon2id$v=19$m=9999999,t=99,p=1$c2FsdHNhbHQ$aGFzaA\"}",
            &["line 3"],
        ),
        ("{\"email\": \"ada@example.com\"}", &["line 3", "already"]),
    ] {
        let file = home.path("users.jsonl");
        fs::write(&file, format!("{{\"email\": \"two@example.com\"}}\n\n{bad}\n{{\"username\": \"four\"}}\n")).unwrap();
        let said = home.regrant(&["user", "import", file.to_str().unwrap()]);
        let mut words = words.to_vec();
        words.push("nothing was imported");
        said.complains(1, &words);
        assert_eq!(home.regrant(&["--json", "user", "list"]).ok().json().as_array().unwrap().len(), 1, "{bad}");
    }
    home.regrant(&["user", "import", "/nowhere.jsonl"]).complains(2, &["cannot read /nowhere.jsonl"]);
    home.regrant_reading(&["user", "import", "-"], [0xff, 0xfe]).complains(2, &["standard input"]);
}

#[test]
fn nothing_that_people_chose_writes_to_the_operators_terminal() {
    let server = Home::new().serve();
    server.add_user(EMAIL, &["--claim", "name=\"\\u001b[2Jboo\\u0007\""]);
    // The API takes no control characters; U+0085 and U+009B are some, and a right-to-left override is none.
    for device in ["\u{9b}31m", "a\u{85}b", "a\u{7f}b", "a\tb"] {
        let asked = json!({"identifier": EMAIL, "password": PASSWORD, "device": device});
        server.client().post("/session").json(&asked).send().refused(400, "invalid_request", None);
    }
    let client = server.client_from([127, 0, 0, 1], "\u{1b}[31mFirefox\u{7}");
    if let Ok(answer) = client.post("/session").json(&json!({"identifier": EMAIL, "password": PASSWORD})).try_send() {
        assert!(matches!(answer.status, 200 | 400), "{answer:?}");
    }
    let (signed_in, _) = server.client().sign_in();
    let session = signed_in.text("/session/id");
    let user = signed_in.text("/session/user_id");
    for arguments in [
        &["user", "list"][..],
        &["user", "show", EMAIL],
        &["session", "list"],
        &["session", "show", &session],
        &["explain", &session],
        &["explain", &user],
    ] {
        let said = server.regrant(arguments).ok();
        let odd: Vec<char> = said.out.chars().filter(|c| c.is_control() && *c != '\n').collect();
        assert!(odd.is_empty(), "{arguments:?} wrote {odd:?}: {:?}", said.out);
    }
    let odd = server.regrant(&["user", "show", "\u{1b}[31m"]);
    assert!(!odd.err.contains('\u{1b}'), "{:?}", odd.err);
    let odd = server.regrant(&["session", "show", "\u{1b}[31m"]);
    assert!(!odd.err.contains('\u{1b}'), "{:?}", odd.err);
}

#[test]
fn a_data_directory_with_a_long_path_has_a_control_socket_too() {
    let home = Home::new().with_data("long/".to_owned() + &"directory-".repeat(20));
    assert!(home.data().as_os_str().len() > 200);
    let mut server = home.serve();
    server.add_user(EMAIL, &[]);
    server.client().sign_in();
    assert!(server.regrant(&["session", "list"]).ok().out.contains(EMAIL));
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn serve_with_json_says_where_it_listens_in_one_document() {
    use std::io::{BufRead, BufReader};
    let home = Home::new();
    let mut command = home.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let document: Value = serde_json::from_str(&line).unwrap();
    assert_members(&document, &["listening", "issuer", "data"]);
    assert_eq!(document["listening"], document["issuer"]);
    assert_eq!(document["data"], json!(home.data()));
}

#[test]
fn the_demo_tells_its_story_and_exits_well() {
    let home = Home::new();
    let said = home.regrant(&["demo", "--once"]).ok();
    for step in
        ["Sign in", "Decode it", "Lose the reply", "Forty tabs", "A thief", "caught", "Everything happened as told."]
    {
        assert!(said.out.contains(step), "{step} is not in: {}", said.out);
    }
    assert!((20..80).contains(&said.out.lines().count()), "a few dozen lines: {}", said.out.lines().count());
    assert!(!said.out.contains('\u{1b}'), "colours are for terminals");
    assert!(!home.data().exists(), "the store is thrown away");

    let document = home.regrant(&["--json", "demo", "--once"]).ok().json();
    assert_eq!(document["happened_as_told"], true);
    assert!(document["steps"].as_array().unwrap().len() >= 10);
    document["steps"].as_array().unwrap().iter().for_each(|step| assert_members(step, &["step", "told"]));
}
