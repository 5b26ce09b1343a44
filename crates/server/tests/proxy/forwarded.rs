//! Who the client is, behind a trusted proxy and behind nobody. What the headers may look like is a table in
//! `src/http/forwarded/tests.rs`; here it is the whole way to the timeline and to the cookie.

use serde_json::json;

use crate::support::{Client, EMAIL, FIREFOX, Home, PASSWORD, Server};

/// A home whose server trusts these.
fn trusting(proxies: &str) -> Home {
    let mut home = Home::with_user();
    home.set("REGRANT_SERVER__TRUSTED_PROXIES", proxies);
    home
}

/// Signs in from `client` with these headers; the network that the user is shown for it.
#[track_caller]
fn network(client: &Client, headers: &[(&str, &str)]) -> String {
    let with = |call| headers.iter().fold(call, |call: crate::support::Call, (name, value)| call.header(name, value));
    let asked = json!({"identifier": EMAIL, "password": PASSWORD});
    let token = with(client.post("/session").json(&asked)).send().expect(200).cookie();
    let shown = with(client.get("/session").cookie(&token)).send().expect(200);
    shown.text("/session/network")
}

#[test]
fn only_a_trusted_proxy_says_who_the_client_is() {
    let server = trusting(r#"["127.9.0.0/16"]"#).serve();
    let (proxy, stranger) = (server.client_from([127, 9, 0, 1], FIREFOX), server.client_from([127, 8, 0, 1], FIREFOX));
    for headers in [
        &[("X-Forwarded-For", "203.0.113.9")][..],
        &[("X-Forwarded-For", "8.8.8.8, 203.0.113.9, 127.9.0.7")],
        &[("X-Forwarded-For", "8.8.8.8"), ("X-Forwarded-For", "203.0.113.9")],
        &[("Forwarded", "for=\"203.0.113.9:4711\";proto=http;host=localhost")],
        &[("Forwarded", "for=8.8.8.8, for=203.0.113.9")],
    ] {
        assert_eq!(network(&proxy, headers), "203.0.113.0/24", "{headers:?}");
        assert_eq!(network(&stranger, headers), "127.8.0.0/24", "{headers:?}");
    }
    assert_eq!(network(&proxy, &[("X-Forwarded-For", "2001:db8:1:2::3")]), "2001:db8:1::/48");
    assert_eq!(network(&proxy, &[]), "127.9.0.0/24");
    assert!(server.log().contains("a forwarding header was ignored"), "{}", server.log());
    // Contradictions are not believed, and said once.
    for _ in 0..2 {
        let headers = [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=8.8.8.8")];
        assert_eq!(network(&proxy, &headers), "127.9.0.0/24");
    }
    assert_eq!(server.log().matches("name different clients").count(), 1, "{}", server.log());
}

#[test]
fn nobody_is_trusted_by_default() {
    let server = Home::with_user().serve();
    assert_eq!(network(&server.client(), &[("X-Forwarded-For", "203.0.113.9")]), "127.0.0.0/24");
}

#[test]
fn a_list_that_is_not_exact_does_not_start() {
    for (list, why) in [
        (r#"["localhost"]"#, "server.trusted_proxies: \"localhost\""),
        (r#"["10.0.0.1/8"]"#, "write 10.0.0.0/8"),
        (r#"["0.0.0.0/0"]"#, "every address"),
        (r#"["10.0.0.0/8", ""]"#, "server.trusted_proxies"),
    ] {
        trusting(list).serve_in_vain(&[]).complains(2, &[why]);
    }
}

/// A thief elsewhere stays a thief elsewhere, whatever he writes into headers.
#[test]
fn a_forged_header_does_not_bring_a_thief_home() {
    let server = trusting(r#"["127.9.0.1"]"#).serve();
    let proxy = server.client_from([127, 9, 0, 1], FIREFOX);
    let thief = server.client_from([127, 66, 6, 6], FIREFOX);
    let at_home = |call: crate::support::Call| call.header("X-Forwarded-For", "203.0.113.9");
    let asked = json!({"identifier": EMAIL, "password": PASSWORD});
    let first = at_home(proxy.post("/session").json(&asked)).send().expect(200).cookie();
    let second = at_home(proxy.post("/session/refresh").cookie(&first)).send().expect(200).cookie();
    at_home(thief.post("/session/refresh").cookie(&first)).send().expect(200);
    let told = explained(&server, &second);
    let replayed =
        told["timeline"].as_array().unwrap().iter().find(|event| event["kind"] == "refresh.replayed").unwrap();
    assert_eq!(replayed["data"]["replay"], "foreign", "{replayed}");
}

fn explained(server: &Server, token: &str) -> serde_json::Value {
    server.regrant_reading(&["--json", "explain", "-"], token).ok().json()
}

/// The proxy knows what the browser's connection is like; the server behind it sees http on a loopback address either way.
#[test]
fn a_cookie_that_would_travel_in_the_clear_is_refused_behind_a_proxy_too() {
    let home = trusting(r#"["127.9.0.1"]"#);
    let server = home.serve();
    let (proxy, stranger) = (server.client_from([127, 9, 0, 1], FIREFOX), server.client());
    let asked = json!({"identifier": EMAIL, "password": PASSWORD});
    let sign_in = |client: &Client, name, value| client.post("/session").json(&asked).header(name, value).send();
    sign_in(&proxy, "X-Forwarded-Host", "app.example").refused(400, "insecure_origin", None);
    sign_in(&proxy, "Forwarded", "for=203.0.113.9;host=app.example").refused(400, "insecure_origin", None);
    sign_in(&proxy, "X-Forwarded-Host", "localhost:3000").expect(200);
    sign_in(&stranger, "X-Forwarded-Host", "app.example").expect(200);
    drop(server);

    let mut home = trusting(r#"["127.9.0.1"]"#);
    home.set("REGRANT_SERVER__ISSUER", "https://id.example.com");
    let server = home.serve();
    let (proxy, stranger) = (server.client_from([127, 9, 0, 1], FIREFOX), server.client());
    let sign_in = |client: &Client, value| {
        client.post("/session").host("id.example.com").json(&asked).header("X-Forwarded-Proto", value).send()
    };
    sign_in(&proxy, "http").refused(400, "insecure_origin", None);
    sign_in(&proxy, "https").expect(200);
    sign_in(&stranger, "http").expect(200);
}
