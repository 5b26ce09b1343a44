//! What was acknowledged is there after a crash and after a stop, whatever went on.

use std::{
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::support::{Answer, Client, EMAIL, Home, PASSWORD, Server, eventually};

/// A session that one client renews as fast as it can.
struct Chain {
    client: Client,
    /// Every token that was acknowledged, oldest first.
    acknowledged: Vec<String>,
}

const CLIENTS: usize = 8;
/// Rotations of one grant in a minute: more is 429, so the client signs in anew before.
const ROTATIONS: usize = 40;

/// Signs in and renews until the server is gone or it is told to stop.
fn carry_on(client: &Client, renewed: &AtomicUsize, stop: &AtomicBool) -> Vec<Chain> {
    let mut chains = Vec::new();
    let sign_in = serde_json::json!({"identifier": EMAIL, "password": PASSWORD});
    // No whole answer is no acknowledgement: each `else` is the end of the server.
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut wire) = client.connect() else { break };
        let Ok(answer) = wire.exchange(&client.post("/session").json(&sign_in)) else { break };
        let mut chain = Chain { client: client.clone(), acknowledged: vec![answer.expect(200).cookie()] };
        while chain.acknowledged.len() <= ROTATIONS && !stop.load(Ordering::Relaxed) {
            let newest = chain.acknowledged.last().unwrap();
            let Ok(answer) = wire.exchange(&client.post("/session/refresh").cookie(newest)) else { break };
            chain.acknowledged.push(answer.expect(200).cookie());
            renewed.fetch_add(1, Ordering::Relaxed);
        }
        chains.push(chain);
    }
    chains
}

/// A server that has the load's user, and room for all its sessions.
fn server() -> Server {
    let mut home = Home::with_user();
    home.set("REGRANT_SESSION__PER_USER", "1000");
    home.serve()
}

/// Loads the server, and does `then` in the middle of it. Gives the chains as their clients know them.
fn under_load(server: &mut Server, then: impl FnOnce(&mut Server)) -> Vec<Chain> {
    let (renewed, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let client = server.client();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| carry_on(&client, &renewed, &stop))).collect();
        eventually("the load is on", || (renewed.load(Ordering::Relaxed) >= CLIENTS * 15).then_some(()));
        then(server);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// Every acknowledged rotation is there. Gives how many sessions were ended by looking.
fn assert_nothing_was_lost(server: &Server, chains: &[Chain]) -> usize {
    assert!(chains.len() >= CLIENTS);
    let mut ended = 0;
    for (index, chain) in chains.iter().enumerate() {
        let client = Client::clone(&chain.client).at(server.address);
        // The last one may have been rotated once more, without the answer having come: then its retry gets the successor.
        let last = chain.acknowledged.last().unwrap();
        let successor = client.renew(last);
        assert!(!chain.acknowledged.contains(&successor));
        match &chain.acknowledged[..] {
            // Older by two at least: the whole history is known, too.
            [.., before_last, _] if index % 2 == 0 => {
                client.refresh(before_last).over("reused");
                client.refresh(&successor).over("reused");
                ended += 1;
            }
            _ => _ = client.renew(&successor),
        }
    }
    ended
}

#[test]
fn a_kill_in_the_middle_of_the_load_loses_no_acknowledged_rotation() {
    let mut server = server();
    let home = Home::clone(&server);
    let chains = under_load(&mut server, Server::kill);
    drop(server);
    let server = home.serve();
    let ended = assert_nothing_was_lost(&server, &chains);
    let listed = server.regrant(&["--json", "session", "list"]).ok().json();
    // A sign-in may have been written without its answer having come.
    let alive = chains.len() - ended;
    assert!((alive..=alive + CLIENTS).contains(&listed.as_array().unwrap().len()), "{alive} of {listed}");
}

#[test]
fn a_stop_in_the_middle_of_the_load_finishes_what_was_begun_and_leaves_a_tidy_directory() {
    let mut server = server();
    let home = Home::clone(&server);
    assert!(home.data().join("control.sock").exists());
    let chains = under_load(&mut server, |server| {
        let status = server.stop();
        assert_eq!(status.code(), Some(0), "{}", server.log());
    });
    drop(server);
    let mut left: Vec<String> = std::fs::read_dir(home.data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["keys.toml", "lock", "regrant.db"], "no socket, and the write-ahead log is folded in");
    assert_nothing_was_lost(&home.serve(), &chains);
}

#[test]
fn requests_under_way_are_answered_before_the_server_stops() {
    let mut server = Home::with_user().serve();
    let client = server.client();
    let mut idle = client.connect().unwrap();
    idle.exchange(&client.get("/health/live")).unwrap().expect(200);
    // Argon2 takes its time: these are under way when the signal comes.
    let begun = AtomicUsize::new(0);
    let answers: Vec<Option<Answer>> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let body = serde_json::json!({"identifier": "nobody@example.com", "password": "not the password"});
                    let call = client.post("/session").json(&body);
                    let mut wire = client.connect().ok()?;
                    // The connection is served before the signal comes, not waiting in the kernel's queue.
                    wire.exchange(&client.get("/health/live")).ok()?;
                    begun.fetch_add(1, Ordering::SeqCst);
                    wire.exchange(&call).ok()
                })
            })
            .collect();
        eventually("all are connected", || (begun.load(Ordering::SeqCst) == 6).then_some(()));
        server.terminate();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(server.wait().code(), Some(0), "an idle connection does not keep it");
    for answer in answers.into_iter().flatten() {
        answer.refused(401, "invalid_credentials", None);
    }
    assert!(client.connect().is_err(), "it listens no more");
}

#[test]
fn sessions_and_their_ends_survive_a_crash() {
    let mut server = Home::with_user().serve();
    let home = Home::clone(&server);
    let client = server.client();
    let (_, signed_out) = client.sign_in();
    let (_, reused) = client.sign_in();
    let (_, alive) = client.sign_in();
    client.delete("/session").cookie(&signed_out).send().expect(204);
    let next = client.renew(&reused);
    client.renew(&next);
    client.refresh(&reused).over("reused");
    server.kill();
    let server = home.serve();
    server.client().refresh(&signed_out).over("signed_out");
    server.client().refresh(&next).over("reused");
    server.client().renew(&alive);
}

#[test]
fn what_is_in_the_data_directory_is_for_its_owner_alone_and_holds_no_token() {
    let mut server = Home::with_user().serve();
    let client = server.client();
    let (_, first) = client.sign_in();
    let second = client.renew(&first);
    let (_, by_body) = client.sign_in_by_body();
    let mode = |name: &str| {
        let path = server.data().join(name);
        std::fs::metadata(&path).unwrap_or_else(|error| panic!("{name}: {error}")).permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    for name in ["regrant.db", "regrant.db-wal", "regrant.db-shm", "keys.toml", "lock", "control.sock"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(server.stop().code(), Some(0));
    let bytes = std::fs::read(server.data().join("regrant.db")).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for token in [&first, &second, &by_body] {
        assert!(!holds(token) && !holds(&token[4..30]), "a token is in the store");
    }
    assert!(!holds("rg1_") && !holds(PASSWORD));
    assert!(holds("ada@example.com"), "the search works");
}
