//! `[tokens.claims]`.

use serde_json::json;

use crate::{
    claims_of,
    support::{EMAIL, Home},
};

#[test]
fn mapped_claims_are_told_and_a_changed_one_shows_at_the_next_refresh() {
    let mut home = Home::new();
    home.set(
        "REGRANT_TOKENS__CLAIMS",
        r#"{ name = "name", department = "dept", email = "@email", absent = "absent" }"#,
    );
    let department = r#"dept={"id": 12345678901234567890, "in": ["research", null]}"#;
    home.add_user(EMAIL, &["--claim", "name=Ada", "--claim", department, "--claim", "secret=1"]);
    let server = home.serve();
    let (answer, first) = server.client().sign_in();
    let claims = claims_of(&home, &answer.text("/access_token"));
    assert_eq!(claims["name"], "Ada");
    assert_eq!(claims["department"], json!({"id": 12345678901234567890_u64, "in": ["research", null]}));
    assert_eq!(claims["email"], EMAIL);
    for untold in ["absent", "dept", "secret"] {
        assert_eq!(claims.get(untold), None, "{untold}");
    }
    // No command changes a claim yet; whoever does will write this row.
    let changed = rusqlite::Connection::open(home.data().join("regrant.db")).unwrap();
    changed.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    assert_eq!(changed.execute(r#"UPDATE users SET claims = '{"name":"Ada King","dept":null}'"#, []), Ok(1));
    let answer = server.client().refresh(&first).expect(200);
    let claims = claims_of(&home, &answer.text("/access_token"));
    assert_eq!(claims["name"], "Ada King");
    assert_eq!(claims.get("department"), None);
    // A reader sees it as well.
    let answer = server.client().peek(&answer.cookie()).expect(200);
    assert_eq!(claims_of(&home, &answer.text("/access_token"))["name"], "Ada King");
}

#[test]
fn without_a_mapping_no_attribute_is_told() {
    let home = Home::new();
    home.add_user(EMAIL, &["--claim", "name=Ada"]);
    let (answer, _) = home.serve().client().sign_in();
    assert_eq!(claims_of(&home, &answer.text("/access_token")).get("name"), None);
}

#[test]
fn a_reserved_name_is_refused_at_the_start() {
    let home = Home::new();
    for (mapping, words) in [
        ("sub = \"name\"", &["tokens.claims", "sub", "regrant.toml"][..]),
        ("roles = \"name\"", &["tokens.claims", "roles"]),
        ("name = \"@mail\"", &["@mail", "@email"]),
        ("name = \"iss\"", &["iss"]),
        ("name = 1", &["regrant.toml", "line 2"]),
    ] {
        let file = home.path("regrant.toml");
        std::fs::write(&file, format!("[tokens.claims]\n{mapping}\n")).unwrap();
        home.serve_in_vain(&["--config", file.to_str().unwrap()]).complains(2, words);
        assert!(!home.data().exists(), "{mapping}: nothing was made");
    }
}

#[test]
fn claims_that_fit_into_no_token_are_refused_when_a_user_is_added() {
    let mut home = Home::new();
    let large = format!("name={}", "x".repeat(5000));
    home.set("REGRANT_TOKENS__CLAIMS", "{ name = \"name\" }");
    home.regrant(&["user", "add", EMAIL, "--claim", &large]).complains(2, &["[tokens.claims]", "4096 bytes"]);
    home.add_user("no-claims@example.com", &[]);
}

#[test]
fn the_demo_shows_a_name_and_roles() {
    let said = Home::new().regrant(&["demo", "--once"]).ok();
    assert!(said.out.contains("name      Ada Lovelace") && said.out.contains("roles     [\"editor\"]"), "{}", said.out);
}
