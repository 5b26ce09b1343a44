//! Two nodes on one database drain one outbox: each application is told once while they live, and at least once when one of them
//! dies in the middle of it.

use std::{
    io::Read,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Duration,
};

use serde_json::json;

use crate::{
    backchannel::{Party, Receiver, development, receive, standing},
    support::{EMAIL, MovedClock, cluster::Cluster, eventually},
    world::World,
};

/// Longer than a claim holds (`engine/src/backchannel_logout.rs`).
const PAST_THE_CLAIM: i64 = 61;

/// Says nothing to the first who tells it something, and hears the others.
fn silent_at_first() -> (String, mpsc::Receiver<TcpStream>, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://localhost:{}/logout?tenant=1", listener.local_addr().unwrap().port());
    let ((held, first), (said, heard)) = (mpsc::channel(), mpsc::channel());
    std::thread::spawn(move || {
        let mut connections = listener.incoming().map_while(Result::ok);
        let mut silent = connections.next().unwrap();
        silent.read_exact(&mut [0]).unwrap();
        held.send(silent).unwrap();
        for connection in connections {
            connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let Some(body) = receive(connection, 200) else { continue };
            let _ = said.send(body);
        }
    });
    (uri, first, heard)
}

#[test]
fn nodes_share_the_outbox_and_one_that_dies_loses_nothing_of_it() {
    let mut clock = None;
    let mut world = World::with(|home| {
        *home = home.clone().on_a_database();
        development(home);
        clock = Some(MovedClock::of(home));
    });
    let clock = clock.unwrap();
    let mut other = world.server.serve();
    let quick = Receiver::new(false, &[200]);
    let (hanging, first, heard) = silent_at_first();
    let (shop, crm) = (Party::new(&world, "a_shop", &quick.uri), Party::new(&world, "crm", &hanging));

    let database = world.server.place();
    // Who stops between a delivery and its note leaves it to be told again: that is no matter of this test.
    let noted = |count: usize| {
        let sql = "SELECT count(*) FROM logouts WHERE state = 'delivered'";
        let told = || Cluster::shared().sql(database.rsplit('/').next().unwrap(), sql);
        eventually("the deliveries are noted", || (told().trim() == count.to_string()).then_some(()));
    };
    // While both live: once each.
    for _ in 0..5 {
        let mut browser = world.browser();
        shop.sign_in(&world, &mut browser);
    }
    world.server.regrant(&["session", "revoke", "--user", EMAIL]).ok();
    let mut tokens = quick.tokens(5);
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 5);

    noted(5);
    // One claims, and dies before it is answered.
    assert!(other.stop().success());
    let (at_crm, _) = crm.sign_in(&world, &mut world.browser());
    let session = at_crm["sid"].as_str().unwrap().to_owned();
    world.server.regrant(&["session", "revoke", &session]).ok();
    let held = first.recv_timeout(Duration::from_secs(30)).unwrap();
    world.server.kill();
    drop(held);
    let address = world.server.address.to_string();
    world.server = world.server.serve_with(&["--listen", &address]);
    // The other one drains what is due, and leaves alone what is claimed.
    let mut browser = world.browser();
    shop.sign_in(&world, &mut browser);
    world.server.regrant(&["session", "revoke", "--user", EMAIL]).ok();
    assert_eq!(quick.tokens(6).len(), 6);
    noted(6);
    let (state, attempts, _) = standing(&world, &session, "crm").unwrap();
    assert_eq!((state.as_str(), attempts), ("waiting", 1));
    assert!(heard.try_recv().is_err(), "not within the claim");
    clock.set(PAST_THE_CLAIM);
    let told = heard.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(told.starts_with("logout_token="), "{told}");
    eventually("the delivery is noted", || {
        (standing(&world, &session, "crm")? == ("delivered".to_owned(), 2, json!(null))).then_some(())
    });
    assert!(heard.try_recv().is_err(), "once");
    assert_eq!(quick.heard().len(), 6);
}
