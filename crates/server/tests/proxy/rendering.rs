//! A server that renders pages: it peeks with the browser's cookie (`rotate: false`), from an address that is trusted, and
//! forwards the browser's address and user agent. Whoever renews, renews the one cookie that all tabs share.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::{
        Barrier,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::{Value, json};

use crate::support::{Client, FIREFOX, Home, MovedClock, Server, Wire};

const TABS: usize = 5;
const FAN_OUT: usize = 20;
const EXPIRIES: i64 = 1_000;
/// An access token's life.
const LIFE: i64 = 900;
/// Where the rendering server stands, and where its user is.
const RENDERER: [u8; 4] = [127, 9, 0, 1];
const USER: &str = "203.0.113.9";

fn trusting_the_renderer() -> Home {
    let mut home = Home::with_user();
    home.set("REGRANT_SERVER__TRUSTED_PROXIES", r#"["127.9.0.1"]"#);
    home.set("REGRANT_LOG__LEVEL", "warn");
    home
}

/// The rendering server asks on behalf of its user's browser.
fn ask(client: &Client, token: &str, rotate: bool) -> crate::support::Call {
    let call = client.post("/session/refresh").header("X-Forwarded-For", USER).cookie(token);
    if rotate { call } else { call.json(&json!({"rotate": false})) }
}

fn explained(server: &Server, token: &str) -> Value {
    server.regrant_reading(&["--json", "explain", "-"], token).ok().json()
}

/// The replays in the timeline, which tells the newest events: what each was, and the points it found.
fn replays(explained: &Value) -> Vec<(&str, u64)> {
    let events = explained["timeline"].as_array().unwrap().iter();
    let replays = events.filter(|event| event["kind"] == "refresh.replayed").map(|event| &event["data"]);
    replays.map(|data| (data["replay"].as_str().unwrap(), data["points"].as_u64().unwrap())).collect()
}

/// Each expiry: five tabs wake up with the same cookie. For each, the server renders with twenty calls at once; in the midst of
/// that each tab's page renews. Everything meets everything: peeks of the newest token, and of the one before.
#[test]
fn a_rendering_server_with_five_tabs_signs_nobody_out_in_a_thousand_expiries() {
    let mut home = trusting_the_renderer();
    let clock = MovedClock::of(&mut home);
    let server = home.serve();
    let renderer = Client::new(server.address, Ipv4Addr::from(RENDERER), FIREFOX);
    let browser = server.client_from(RENDERER, FIREFOX);
    let asked = json!({"identifier": crate::support::EMAIL, "password": crate::support::PASSWORD});
    let mut token = browser.post("/session").header("X-Forwarded-For", USER).json(&asked).send().expect(200).cookie();

    let signed_out = AtomicU32::new(0);
    // Four workers a tab, each on a connection that it keeps: twenty callers at once are enough to meet each other.
    const WORKERS: usize = 4;
    let mut wires: Vec<Wire> = (0..TABS * WORKERS).map(|_| renderer.connect().unwrap()).collect();
    for expiry in 1..=EXPIRIES {
        clock.set(expiry * LIFE);
        let start = Barrier::new(wires.len());
        let successors: BTreeSet<String> = std::thread::scope(|scope| {
            let callers: Vec<_> = wires
                .iter_mut()
                .enumerate()
                .map(|(worker, wire)| {
                    let (renderer, token, start, signed_out) = (&renderer, &token, &start, &signed_out);
                    scope.spawn(move || {
                        start.wait();
                        let mut successor = None;
                        for call in 0..FAN_OUT / WORKERS {
                            // The first worker of each tab is its page: it renews, each tab at another moment of its fan-out.
                            if worker % WORKERS == 0 && call == worker / WORKERS % (FAN_OUT / WORKERS) {
                                let renewed = wire.exchange(&ask(renderer, token, true)).unwrap();
                                signed_out.fetch_add(u32::from(renewed.status != 200), Ordering::Relaxed);
                                successor = (renewed.status == 200).then(|| renewed.cookie());
                            }
                            let peeked = wire.exchange(&ask(renderer, token, false)).unwrap();
                            signed_out.fetch_add(u32::from(peeked.status != 200), Ordering::Relaxed);
                            assert_eq!(peeked.set_cookie(), None);
                        }
                        successor
                    })
                })
                .collect();
            callers.into_iter().filter_map(|caller| caller.join().unwrap()).collect()
        });
        assert_eq!(signed_out.load(Ordering::Relaxed), 0, "at expiry {expiry}: {}", explained(&server, &token));
        assert_eq!(successors.len(), 1, "all tabs get the same successor");
        token = successors.into_iter().next().unwrap();
    }
    let told = explained(&server, &token);
    assert_eq!(told["state"], "alive", "{told}");
    // Nothing adds up either: the server's calls are bursts of the browser's own, and those cost nothing.
    let replays = replays(&told);
    assert!(!replays.is_empty() && replays.iter().all(|replay| *replay == ("burst", 0)), "{replays:?}");
}
