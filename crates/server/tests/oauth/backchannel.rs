//! Back-channel logout: applications hear from us that a session ended, at a receiver of their own, over TLS and, in development,
//! without it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, form, location},
    support::{Home, eventually},
    world::{CALLBACK, VERIFIER, World},
};

/// A certificate for `localhost`, signed by itself.
const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tls/tests/one.pem");

/// Where an application hears of ends.
pub(crate) struct Receiver {
    pub(crate) uri: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Answers with these, one after the other, and the last one for ever.
    pub(crate) fn new(secure: bool, answers: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&heard);
        let tls = tls();
        std::thread::spawn(move || {
            let mut answers = answers.iter();
            let mut answer = *answers.next().unwrap();
            for socket in listener.incoming() {
                let socket = socket.unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let said = if secure {
                    let connection = ServerConnection::new(Arc::clone(&tls)).unwrap();
                    receive(StreamOwned::new(connection, socket), answer)
                } else {
                    receive(socket, answer)
                };
                // Who connects and says nothing (the test for those who must not) has not been heard.
                if let Some(said) = said {
                    noted.lock().unwrap().push(said);
                    answer = answers.next().copied().unwrap_or(answer);
                }
            }
        });
        let scheme = if secure { "https" } else { "http" };
        Self { uri: format!("{scheme}://localhost:{port}/logout?tenant=1"), heard }
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The tokens that came, once there are so many.
    #[track_caller]
    pub(crate) fn tokens(&self, count: usize) -> Vec<String> {
        eventually("the application hears of it", || {
            let heard = self.heard();
            assert!(heard.len() <= count, "{heard:?}");
            (heard.len() == count).then(|| {
                heard.iter().map(|body| body.strip_prefix("logout_token=").expect("the one field").to_owned()).collect()
            })
        })
    }
}

fn tls() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_file(CERTIFICATE.replace(".pem", ".key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    Arc::new(config.unwrap())
}

/// One request, answered; its body.
pub(crate) fn receive(mut stream: impl Read + Write, answer: u16) -> Option<String> {
    let (mut request, mut bytes) = (Vec::new(), [0; 4096]);
    let body = loop {
        let length = stream.read(&mut bytes).ok().filter(|length| *length > 0)?;
        request.extend_from_slice(&bytes[..length]);
        let text = String::from_utf8(request.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length: usize = head.split_once("content-length: ")?.1.lines().next()?.parse().unwrap();
        if body.len() == length {
            assert!(head.starts_with("post /logout?tenant=1 http/1.1\r\n"), "{head}");
            assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{head}");
            break body.to_owned();
        }
    };
    // A redirect would lead to a place that panics.
    let answer = format!("HTTP/1.1 {answer} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).ok()?;
    stream.flush().ok()?;
    Some(body)
}

pub(crate) fn development(home: &mut Home) {
    home.set("REGRANT_DEVELOPMENT__ALLOW_LOOPBACK", "true");
    home.set("REGRANT_DEVELOPMENT__EXTRA_CA", CERTIFICATE);
}

/// Adds a confidential application, and signs in there.
pub(crate) struct Party {
    id: &'static str,
    secret: String,
}

impl Party {
    pub(crate) fn new(world: &World, id: &'static str, uri: &str) -> Self {
        let add = ["client", "add", "--id", id, "--type", "confidential", "--first-party", "--redirect-uri", CALLBACK];
        let add = [&["--json"], &add[..], &["--backchannel-logout-uri", uri]].concat();
        let secret = world.server.regrant(&add).ok().json()["client_secret"].as_str().unwrap().to_owned();
        Self { id, secret }
    }

    /// The claims of the ID token.
    #[track_caller]
    pub(crate) fn sign_in(&self, world: &World, browser: &mut Browser) -> (Value, String) {
        let code = world.code(browser, "shop", &[("client_id", self.id)]);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", self.id),
            ("client_secret", &self.secret),
        ];
        let call = world.server.client().post("/oauth2/token");
        let tokens = call.body("application/x-www-form-urlencoded", form(&fields)).send().expect(200).json();
        let id_token = tokens["id_token"].as_str().unwrap().to_owned();
        (world.verified(&id_token, self.id), id_token)
    }
}

/// The claims of a good logout token (Back-Channel Logout §2.6).
#[track_caller]
fn checked(world: &World, token: &str, audience: &str, signed_in: &Value) -> Value {
    let header = world.header(token);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("logout+jwt"), &json!("RS256")));
    let claims = world.verified(token, audience);
    assert_eq!(claims["events"], json!({"http://schemas.openid.net/event/backchannel-logout": {}}));
    assert_eq!((&claims["sid"], &claims["sub"]), (&signed_in["sid"], &signed_in["sub"]));
    assert_eq!(claims.get("nonce"), None);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
    assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() >= 22), "{claims}");
    claims
}

/// What the operator sees of it.
#[track_caller]
pub(crate) fn standing(world: &World, session: &str, client: &str) -> Option<(String, u64, Value)> {
    let shown = world.server.regrant(&["--json", "session", "show", session]).ok().json();
    let logout = shown["logouts"].as_array().unwrap().iter().find(|logout| logout["client"] == client)?.clone();
    let state = logout["state"].as_str().unwrap().to_owned();
    Some((state, logout["attempts"].as_u64().unwrap(), logout["error"].clone()))
}

#[test]
fn every_application_of_a_session_hears_of_its_end() {
    let world = World::with(development);
    let (secure, plain) = (Receiver::new(true, &[200]), Receiver::new(false, &[204]));
    let (shop, crm) = (Party::new(&world, "a_shop", &secure.uri), Party::new(&world, "crm", &plain.uri));
    let mut browser = world.browser();
    let (at_shop, _) = shop.sign_in(&world, &mut browser);
    let (at_crm, hint) = crm.sign_in(&world, &mut browser);
    assert_eq!(at_shop["sid"], at_crm["sid"], "one sign-in");
    let session = at_shop["sid"].as_str().unwrap();
    world.server.regrant(&["session", "revoke", session]).ok();
    let first = secure.tokens(1).remove(0);
    checked(&world, &first, "a_shop", &at_shop);
    checked(&world, &plain.tokens(1).remove(0), "crm", &at_crm);
    for client in ["a_shop", "crm"] {
        eventually("the delivery is noted", || {
            (standing(&world, session, client)? == ("delivered".to_owned(), 1, Value::Null)).then_some(())
        });
    }
    let told = world.server.regrant(&["--json", "explain", session]).ok().json();
    let told: Vec<_> =
        told["timeline"].as_array().unwrap().iter().filter(|event| event["kind"] == "logout.delivered").collect();
    assert_eq!(told.len(), 2, "{told:?}");

    // Signing out by oneself is told too; the session of before is not told of again.
    let (at_crm, _) = {
        browser.cookie = None;
        crm.sign_in(&world, &mut browser)
    };
    let stale = location(&browser.get(&format!("/oauth2/logout?id_token_hint={hint}")));
    assert!(stale.starts_with("/logout?"), "another session's");
    // A logout token is no ID token: it is not a hint for anything (§4.1).
    let second = format!("/oauth2/logout?id_token_hint={}", plain.tokens(1).remove(0));
    assert!(location(&browser.get(&second)).starts_with("/logout?"));
    browser.post("/logout", &[]).expect(200);
    checked(&world, &plain.tokens(2).remove(1), "crm", &at_crm);
    assert_eq!(secure.heard().len(), 1);
    assert!(world.server.log().contains("DEVELOPMENT"), "it is said aloud");
}

#[test]
fn who_fails_is_told_again_by_another_token_even_after_a_restart() {
    let world = World::with(development);
    let (failing, refusing) = (Receiver::new(false, &[503, 200]), Receiver::new(true, &[400]));
    let (shop, crm) = (Party::new(&world, "a_shop", &failing.uri), Party::new(&world, "crm", &refusing.uri));
    let mut browser = world.browser();
    let (at_shop, _) = shop.sign_in(&world, &mut browser);
    crm.sign_in(&world, &mut browser);
    let session = at_shop["sid"].as_str().unwrap();
    world.server.regrant(&["session", "revoke", session]).ok();
    let first = failing.tokens(1).remove(0);
    eventually("the failure is noted", || {
        (standing(&world, session, "a_shop")? == ("waiting".to_owned(), 1, json!("it answers 503"))).then_some(())
    });
    // §2.8: what the application says is wrong does not become right.
    eventually("the refusal is noted", || {
        (standing(&world, session, "crm")? == ("gave_up".to_owned(), 1, json!("it answers 400"))).then_some(())
    });
    let mut world = world;
    assert!(world.server.stop().success());
    let address = world.server.address.to_string();
    world.server = world.server.serve_with(&["--listen", &address]);
    let second = failing.tokens(2).remove(1);
    let claims = [&first, &second].map(|token| checked(&world, token, "a_shop", &at_shop));
    assert_ne!(claims[0]["jti"], claims[1]["jti"]);
    eventually("the delivery is noted", || {
        (standing(&world, session, "a_shop")? == ("delivered".to_owned(), 2, Value::Null)).then_some(())
    });
    assert_eq!(refusing.tokens(1).len(), 1);
}

/// Whoever may register an address must not have the server ask what listens on its own machine.
#[test]
fn without_the_setting_nobody_on_this_machine_is_asked() {
    let world = World::with(|home| home.set("REGRANT_DEVELOPMENT__EXTRA_CA", CERTIFICATE));
    let (secure, plain) = (Receiver::new(true, &[200]), Receiver::new(false, &[200]));
    let (shop, crm) = (Party::new(&world, "a_shop", &secure.uri), Party::new(&world, "crm", &plain.uri));
    let mut browser = world.browser();
    let (at_shop, _) = shop.sign_in(&world, &mut browser);
    crm.sign_in(&world, &mut browser);
    let session = at_shop["sid"].as_str().unwrap();
    world.server.regrant(&["session", "revoke", session]).ok();
    for (client, why) in [("a_shop", "the name leads to no public address"), ("crm", "http is not asked: use https")] {
        eventually("the attempt is noted", || {
            let (state, attempts, error) = standing(&world, session, client)?;
            (attempts == 1 && error == why).then(|| assert_eq!(state, "waiting"))
        });
    }
    assert!(secure.heard().is_empty() && plain.heard().is_empty());
    // They were not even connected to: a receiver hears what comes next, and first.
    let port = plain.uri.split(':').nth(2).unwrap().split('/').next().unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    socket.write_all(b"POST /logout?tenant=1 HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1\r\n\r\nx").unwrap();
    assert_eq!(eventually("it hears", || Some(plain.heard()).filter(|heard| !heard.is_empty())), ["x"]);
}
