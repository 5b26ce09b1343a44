//! Discovery is true to what runs.

use serde_json::Value;

use crate::world::World;

#[test]
fn what_is_named_is_there_and_what_is_there_is_named() {
    let world = World::new();
    let client = world.server.client();
    let answer = client.get("/.well-known/openid-configuration").send().expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let document = answer.json();
    assert_eq!(document, client.get("/.well-known/oauth-authorization-server").send().expect(200).json());
    assert_eq!(document["issuer"], world.server.issuer);
    for (name, value) in document.as_object().unwrap() {
        let Some(path) =
            value.as_str().and_then(|uri| uri.strip_prefix(&world.server.issuer)).filter(|path| !path.is_empty())
        else {
            continue;
        };
        let status = [client.get(path).send().status, client.post(path).send().status];
        assert!(!status.contains(&404), "{name}: {status:?}");
    }
    // What a later wave brings.
    for path in ["register", "par", "revocations", "check_session"] {
        client.get(&format!("/oauth2/{path}")).send().expect(404);
        assert!(!document.to_string().contains(&format!("/oauth2/{path}")), "{path}");
    }
    let list = |name: &str| -> Vec<String> {
        document[name].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    for grant in list("grant_types_supported") {
        let answer = world.job().post("/oauth2/token", &[("grant_type", &grant)]);
        assert_ne!(answer.json()["error"], "unsupported_grant_type", "{grant}");
    }
    assert_eq!(document.get("registration_endpoint"), None::<&Value>);
}

/// Applications in browsers are clients too; the authorization endpoint is for navigation only (RFC 9700 §2.6).
#[test]
fn pages_of_any_origin_may_call_what_clients_call() {
    let world = World::new();
    let client = world.server.client();
    for path in ["/oauth2/token", "/oauth2/userinfo", "/oauth2/revoke"] {
        let ask = client
            .call("OPTIONS", path)
            .header("Origin", "https://spa.example")
            .header("Access-Control-Request-Method", "POST");
        let preflight = ask.send().expect(204);
        assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
        assert!(preflight.header("access-control-allow-credentials").is_none());
        let answer = client.post(path).header("Origin", "https://spa.example").send();
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
    }
    for path in ["/oauth2/authorize", "/oauth2/logout", "/login", "/oauth2/introspect"] {
        let ask = client
            .call("OPTIONS", path)
            .header("Origin", "https://spa.example")
            .header("Access-Control-Request-Method", "POST");
        let refused = ask.send();
        assert_eq!(refused.header("access-control-allow-origin"), None, "{path}");
    }
}
