//! Holds every answer of the server against its own `/openapi.json`: status, type, required headers and body.

use std::{io::Write, sync::OnceLock};

use serde_json::Value;

use super::{Answer, Home};

/// Panics if `answer` is none that the document knows for `head`, the request's first lines.
pub(crate) fn check(head: &str, answer: &Answer) {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // nginx answers for itself; hyper does, without a body, when it cannot read a request at all.
    let is_ours = answer.header("server").is_none() && !(matches!(answer.status, 400 | 431) && answer.body.is_empty());
    if !is_ours || !target.starts_with('/') || method == "HEAD" {
        return;
    }
    let path = target.split(['?', '#']).next().unwrap_or_default();
    // RFCs describe the OAuth endpoints, and pages are for people: the document has neither.
    let is_described =
        !["/oauth2/", "/login", "/consent", "/device", "/logout", "/account", "/error", "/assets/", "/.well-known/o"]
            .iter()
            .any(|other| path.starts_with(other));
    if !is_described {
        return;
    }
    let document = document();
    let Some(operation) = operation(document, method, path) else {
        let is_refused = matches!(answer.status, 404 | 405) || (method == "OPTIONS" && answer.status == 204);
        assert!(is_refused, "{method} {path} is not in the document and answers {answer:?}");
        return;
    };
    let known = &operation["responses"][answer.status.to_string()];
    assert!(known.is_object(), "{method} {path} does not know the status {}: {answer:?}", answer.status);
    for (name, header) in known["headers"].as_object().into_iter().flatten() {
        let is_missing = header["required"] == true && answer.header(&name.to_ascii_lowercase()).is_none();
        assert!(!is_missing, "{method} {path} {}: {name} is missing", answer.status);
    }
    let Some(content) = known["content"].as_object() else {
        assert!(answer.body.is_empty(), "{method} {path} {}: a body", answer.status);
        return;
    };
    let kind = answer.header("content-type").unwrap_or_default();
    let schema = content.get(kind).unwrap_or_else(|| panic!("{method} {path} {}: {kind:?}", answer.status));
    if let Err(why) = fits(document, &schema["schema"], &answer.json()) {
        panic!("{method} {path} {}: {why}", answer.status);
    }
}

/// The same for every server but for the issuer and its cookie's name, so one is asked, once.
fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let server = Home::new().serve();
        let mut wire = server.client().connect().expect("the server accepts");
        let asked = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
        wire.0.get_mut().write_all(asked.as_bytes()).expect("the server reads");
        wire.answer().expect("the server answers").expect(200).json()
    })
}

fn operation<'d>(document: &'d Value, method: &str, path: &str) -> Option<&'d Value> {
    let is_same = |template: &str| {
        let (known, found) = (template.split('/'), path.split('/'));
        known.clone().count() == found.clone().count()
            && known.zip(found).all(|(known, found)| known == found || (known.starts_with('{') && !found.is_empty()))
    };
    let mut paths = document["paths"].as_object().expect("paths").iter();
    let (_, item) = paths.find(|(template, _)| is_same(template))?;
    item.get(method.to_ascii_lowercase())
}

/// As much of JSON Schema (2020-12) as the document uses; another keyword is an error, never passed over.
fn fits(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let wrong = |why: String| Err(format!("{value} {why}"));
    for (keyword, rule) in schema.as_object().ok_or("no schema")? {
        let list = || rule.as_array().map(Vec::as_slice).unwrap_or_default();
        match keyword.as_str() {
            "$ref" => {
                let place = rule.as_str().and_then(|text| text.strip_prefix('#')).unwrap_or_default();
                fits(document, document.pointer(place).ok_or(format!("nothing at {place}"))?, value)?;
            }
            "allOf" => list().iter().try_for_each(|one| fits(document, one, value))?,
            "oneOf" => {
                let fitting = list().iter().filter(|one| fits(document, one, value).is_ok()).count();
                if fitting != 1 {
                    return wrong(format!("is {fitting} of {rule}"));
                }
            }
            "not" if fits(document, rule, value).is_ok() => return wrong(format!("is {rule}")),
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap_or_default() {
                    "null" => value.is_null(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "string" => value.is_string(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    _ => false,
                };
                if !(is(rule) || list().iter().any(is)) {
                    return wrong(format!("is not {rule}"));
                }
            }
            "const" if value != rule => return wrong(format!("is not {rule}")),
            "enum" if !list().contains(value) => return wrong(format!("is none of {rule}")),
            "required" => {
                if let Some(missing) = list().iter().find(|name| value.get(name.as_str().unwrap_or_default()).is_none())
                {
                    return wrong(format!("has no {missing}"));
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().into_iter().flatten() {
                    value.get(name).map_or(Ok(()), |member| fits(document, schema, member))?;
                }
            }
            "additionalProperties" if *rule == false => {
                let mut members = value.as_object().into_iter().flatten();
                if let Some((name, _)) = members.find(|(name, _)| schema["properties"].get(name).is_none()) {
                    return wrong(format!("has {name}, which is not known"));
                }
            }
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|item| fits(document, rule, item))?;
            }
            "minimum" if value.as_f64() < rule.as_f64() => return wrong(format!("is less than {rule}")),
            "maximum" if value.as_f64() > rule.as_f64() => return wrong(format!("is more than {rule}")),
            "format" if rule == "date-time" => {
                let is_time = value.as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_ok());
                if !is_time {
                    return wrong("is no time".to_owned());
                }
            }
            "not" | "const" | "enum" | "minimum" | "maximum" | "format" => {}
            // Bounds of requests, patterns that schemathesis checks, and what is for people.
            "minLength" | "maxLength" | "pattern" | "description" | "example" | "examples" | "default" => {}
            "additionalProperties" | "propertyNames" => {}
            unknown => return Err(format!("what is {unknown}?")),
        }
    }
    Ok(())
}
