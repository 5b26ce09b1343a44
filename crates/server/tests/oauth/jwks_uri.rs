//! Clients that keep their public keys at an address of their own.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use regrant_jose::{Algorithm, Jwks, Signer, SigningKey};
use serde_json::json;

use crate::{
    browser::form,
    support::{Answer, MovedClock},
    world::{World, refused},
};

/// A place with a document; it counts who reads it.
struct Place {
    url: String,
    document: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Place {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys.json", listener.local_addr().unwrap());
        let (document, asked) = (Arc::<Mutex<String>>::default(), Arc::<AtomicUsize>::default());
        let (said, counted) = (Arc::clone(&document), Arc::clone(&asked));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (mut socket, mut request) = (socket.unwrap(), Vec::new());
                let mut bytes = [0; 1024];
                while !request.ends_with(b"\r\n\r\n") {
                    let length = socket.read(&mut bytes).unwrap();
                    request.extend_from_slice(&bytes[..length]);
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let body = said.lock().unwrap().clone();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                socket.write_all((head + &body).as_bytes()).unwrap();
            }
        });
        Self { url, document, asked }
    }

    fn publish(&self, keys: &[&SigningKey]) {
        *self.document.lock().unwrap() = Jwks::from_keys(keys.iter().map(|key| key.public()).collect()).to_json();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[allow(clippy::disallowed_methods, reason = "an assertion says until when it is good")]
fn seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Asks for a token with an assertion that this key signed.
fn ask(world: &World, key: &SigningKey) -> Answer {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let claims = json!({
        "iss": "signer",
        "sub": "signer",
        "aud": world.server.issuer,
        "exp": seconds() + 600,
        "jti": COUNT.fetch_add(1, Ordering::Relaxed).to_string(),
    });
    let assertion = Signer::new(key, "JWT").sign(claims.to_string().as_bytes()).unwrap();
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    let call = world.server.client().post("/oauth2/token");
    call.body("application/x-www-form-urlencoded", form(&fields)).send()
}

fn add(world: &World, url: &str) {
    let add = ["client", "add", "--id", "signer", "--type", "service", "--auth-method", "private_key_jwt", "--jwks"];
    world.server.regrant(&[&add[..], &[url]].concat()).ok();
}

#[test]
fn a_clients_keys_are_asked_for_when_they_are_needed_and_a_new_one_is_found() {
    let mut clock = None;
    let world = World::with(|home| {
        home.set("REGRANT_DEVELOPMENT__ALLOW_LOOPBACK", "true");
        clock = Some(MovedClock::of(home));
    });
    let (clock, place) = (clock.unwrap(), Place::new());
    let [old, new, other] = [(); 3].map(|()| SigningKey::generate(Algorithm::Es256).unwrap());
    place.publish(&[&old]);
    add(&world, &place.url);
    assert_eq!(place.asked(), 0);
    for _ in 0..3 {
        ask(&world, &old).expect(200);
    }
    assert_eq!(place.asked(), 1);
    // A new key; made-up names ask for nothing more.
    place.publish(&[&old, &new]);
    clock.set(20);
    ask(&world, &new).expect(200);
    for _ in 0..3 {
        refused(&ask(&world, &other), 401, "invalid_client");
    }
    ask(&world, &old).expect(200);
    assert_eq!(place.asked(), 2);
    // One that was taken back is believed for five minutes at most.
    place.publish(&[&new]);
    clock.set(20 + 300);
    refused(&ask(&world, &old), 401, "invalid_client");
    ask(&world, &new).expect(200);
    assert_eq!(place.asked(), 3);
}

/// SSRF: an address that somebody registered is no way to this machine.
#[test]
fn an_address_on_this_machine_is_not_asked() {
    let world = World::new();
    let (place, key) = (Place::new(), SigningKey::generate(Algorithm::Es256).unwrap());
    place.publish(&[&key]);
    add(&world, &place.url);
    refused(&ask(&world, &key), 401, "invalid_client");
    assert_eq!(place.asked(), 0);
    assert!(world.server.log().contains("a client's keys could not be had"));
}
