//! The document is whole: whatever the code can say, it says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{super::routes, ApiError, OPERATIONS, document, refusals};

fn made() -> Value {
    let api = routes().into_openapi();
    serde_json::from_slice(&document(&api, "https://id.example", "__Host-Http-regrant")).unwrap()
}

/// Method, path, operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(|(method, operation)| (method.clone(), path.clone(), operation.clone()))
        })
        .collect()
}

/// A new variant does not compile until it has a number here, and then it must be in the table.
fn number(error: &ApiError) -> usize {
    match error {
        ApiError::InvalidRequest(_) => 0,
        ApiError::MediaType => 1,
        ApiError::TooLarge => 2,
        ApiError::TooSlow => 3,
        ApiError::NotSignedIn => 4,
        ApiError::AccessToken => 5,
        ApiError::Over(_) => 6,
        ApiError::Refused(_) => 7,
        ApiError::InvalidCredentials => 8,
        ApiError::CurrentPassword => 9,
        ApiError::WeakPassword(_) => 10,
        ApiError::Audience => 11,
        ApiError::Scope => 12,
        ApiError::CrossOrigin => 13,
        ApiError::InsecureOrigin => 14,
        ApiError::Conflict => 15,
        ApiError::NotFound => 16,
        ApiError::MethodNotAllowed => 17,
        ApiError::Limited(_) => 18,
        ApiError::Busy => 19,
        ApiError::Broken(_) => 20,
        ApiError::InvalidClient => 21,
        ApiError::NotAdmin => 22,
        ApiError::Declined(_) => 23,
        ApiError::PreconditionFailed => 24,
    }
}

#[test]
fn every_way_to_go_wrong_is_in_the_table() {
    let told = OPERATIONS.into_iter().flat_map(refusals).chain([ApiError::MethodNotAllowed]);
    let numbers: BTreeSet<usize> = told.map(|refusal| number(&refusal)).collect();
    assert_eq!(numbers, (0..=24).collect());
}

#[test]
fn every_operation_has_a_name_of_its_own_and_its_refusals() {
    let document = made();
    let names: Vec<String> =
        operations(&document).iter().map(|(_, _, told)| told["operationId"].as_str().unwrap().to_owned()).collect();
    let distinct: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    let infallible = ["live", "jwks", "openapi"];
    assert_eq!(distinct, OPERATIONS.into_iter().chain(infallible).collect());
    for (method, path, operation) in operations(&document) {
        assert!(operation["summary"].is_string(), "{method} {path}");
        assert!(operation["description"].is_null(), "{method} {path} tells its code's comments to the world");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("400"), "{method} {path}: any request may be without Host");
        let successes = ["200", "201", "204"].iter().filter(|status| responses.contains_key(**status)).count();
        assert_eq!(successes, 1, "{method} {path}");
        let of_writes =
            ["408", "409", "412", "413", "415"].into_iter().filter(|status| responses.contains_key(*status));
        assert!(method != "get" || of_writes.count() == 0, "{method} {path}: it has no body and changes nothing");
        for (status, response) in responses.iter().filter(|(status, _)| ["429", "503"].contains(&status.as_str())) {
            assert_eq!(response["headers"]["Retry-After"]["required"], true, "{method} {path} {status}");
        }
    }
}

#[test]
fn requests_are_described_as_they_are_read() {
    let document = made();
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let members = |name: &str| schema(name)["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members("SignInBody"), ["audience", "delivery", "device", "identifier", "password", "persist", "scope"]);
    assert_eq!(schema("SignInBody")["required"], json!(["identifier", "password"]));
    assert_eq!(members("RefreshBody"), ["refresh_token", "rotate"]);
    assert_eq!(schema("RefreshBody").get("required"), None);
    assert_eq!(schema("ChangeBody")["required"], json!(["current_password", "new_password"]));
    for name in ["SignInBody", "RefreshBody", "ChangeBody"] {
        assert_eq!(schema(name)["additionalProperties"], false, "{name}");
    }
    assert_eq!(document["paths"]["/session/refresh"]["post"]["requestBody"]["required"], false);
}

#[test]
fn the_cookie_and_the_origin_are_the_issuers() {
    let document = made();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"], json!([{"url": "https://id.example"}]));
    assert_eq!(document["components"]["securitySchemes"]["cookie"]["name"], "__Host-Http-regrant");
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = made();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
}
