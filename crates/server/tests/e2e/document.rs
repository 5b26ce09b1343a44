//! Every answer that any of these tests gets is held against `/openapi.json` (`support/document.rs`). Here is what that finds.

use std::panic::{self, AssertUnwindSafe};

use serde_json::{Value, json};

use crate::support::{Answer, Home, document};

/// How the document is at odds with this answer, if it is.
fn objection(head: &str, status: u16, headers: &[(&str, &str)], body: &Value) -> Option<String> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = Answer { status, headers, body };
    let checked = panic::catch_unwind(AssertUnwindSafe(|| document::check(head, &answer)));
    checked.err().map(|why| why.downcast_ref::<String>().expect("a sentence").clone())
}

fn problem(status: u16, code: &str, reason: Option<&str>) -> Value {
    let r#type = format!("urn:regrant:problem:{code}");
    let mut problem = json!({"type": r#type, "title": "t", "status": status, "detail": "d.", "code": code});
    if let Some(reason) = reason {
        problem["reason"] = reason.into();
    }
    problem
}

#[test]
fn an_answer_that_the_document_does_not_know_is_found() {
    const PROBLEM: (&str, &str) = ("content-type", "application/problem+json");
    const JSON: (&str, &str) = ("content-type", "application/json");
    const CHALLENGE: (&str, &str) = ("www-authenticate", "Bearer");
    let told = |status, code, reason| {
        objection("GET /session HTTP/1.1", status, &[PROBLEM, CHALLENGE], &problem(status, code, reason))
    };
    let unchallenged = objection("GET /session HTTP/1.1", 401, &[PROBLEM], &problem(401, "not_signed_in", None));
    for (what, found, objected) in [
        ("a status", told(418, "not_signed_in", None), Some("does not know the status")),
        ("a code of another call", told(401, "invalid_credentials", None), Some("is 0 of")),
        ("a code that is none", told(401, "odd", None), Some("is none of")),
        ("a reason that is none", told(401, "invalid_refresh_token", Some("odd")), Some("is none of")),
        ("a reason of another code", told(401, "invalid_refresh_token", Some("proof_required")), Some("is 0 of")),
        ("a reason too few", told(401, "invalid_refresh_token", None), Some("is 0 of")),
        ("a reason too many", told(401, "not_signed_in", Some("ended")), Some("is 0 of")),
        ("401 without a challenge", unchallenged, Some("WWW-Authenticate is missing")),
        ("429 without Retry-After", told(429, "too_many_requests", None), Some("Retry-After is missing")),
        ("as it is", told(401, "invalid_refresh_token", Some("ended")), None),
        ("a type", objection("GET /health/live HTTP/1.1", 200, &[PROBLEM], &json!({"status": "live"})), Some("")),
        ("no member", objection("GET /health/live HTTP/1.1", 200, &[JSON], &json!({})), Some("has no")),
        ("another type", objection("GET /health/live HTTP/1.1", 200, &[JSON], &json!({"status": 1})), Some("is not")),
        ("well", objection("GET /health/live HTTP/1.1", 200, &[JSON], &json!({"status": "live"})), None),
        ("a body", objection("DELETE /session HTTP/1.1", 204, &[JSON], &json!({})), Some("a body")),
        ("a path", objection("GET /new HTTP/1.1", 200, &[JSON], &json!({})), Some("is not in the document")),
        ("a method", objection("PUT /session HTTP/1.1", 200, &[JSON], &json!({})), Some("is not in the document")),
        ("a query", objection("DELETE /sessions?except=current HTTP/1.1", 204, &[], &Value::Null), None),
    ] {
        match (found, objected) {
            (None, None) => {}
            (Some(found), Some(objected)) => assert!(found.contains(objected), "{what}: {found}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn the_document_is_the_issuers_and_tells_no_secret() {
    let server = Home::with_user().serve();
    let plain = server.client().get("/openapi.json").send().expect(200);
    assert_eq!(plain.header("content-type"), Some("application/json"));
    assert_eq!(plain.header("cache-control"), Some("public, max-age=300"));
    let document = plain.json();
    assert_eq!(document["servers"], json!([{"url": server.issuer}]));
    assert_eq!(document["components"]["securitySchemes"]["cookie"]["name"], "regrant-dev");
    let text = String::from_utf8(plain.body.clone()).expect("text");
    assert!(!text.contains("rg1_") && !text.contains("eyJ"), "a token");

    let https = Home::new().serve_with(&["--issuer", "https://id.example.com"]);
    let document = https.client().get("/openapi.json").send().expect(200).json();
    assert_eq!(document["servers"], json!([{"url": "https://id.example.com"}]));
    assert_eq!(document["components"]["securitySchemes"]["cookie"]["name"], "__Host-Http-regrant");
}
