//! The primary is lost for ever, and a standby takes its place that lacks its last commits, or that nobody can tell from it at first.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::support::{Client, EMAIL, FIREFOX, Home, Server, cluster::Cluster, eventually};

/// The most that may pass between a promotion and the first answer.
const SOON: Duration = Duration::from_secs(10);

/// A primary, a standby that nobody waits for, and a home on both.
fn pair() -> (Cluster, Cluster, Home) {
    let primary = Cluster::start(&["fsync=off", "wal_retrieve_retry_interval=100ms"]);
    let first = primary.database();
    let name = first.rsplit('/').next().unwrap();
    let standby = primary.standby();
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port);
    let home = Home::new().on(&format!("postgres://postgres@{hosts}/{name}?target_session_attrs=read-write"));
    home.add_user(EMAIL, &[]);
    (primary, standby, home)
}

/// Somebody who keeps what they have until they are given the next.
struct Holder {
    client: Client,
    session: String,
    token: String,
}

impl Holder {
    fn new(server: &Server, number: u8) -> Self {
        let client = server.client_from([127, 9, 1, number], FIREFOX);
        let (signed, token) = client.sign_in();
        Self { client, session: signed.text("/session/id"), token }
    }

    #[track_caller]
    fn renew(&mut self) {
        self.token = self.client.renew(&self.token);
    }

    /// Asks with what they have until it is renewed. Whatever else is said meanwhile: to come back.
    fn insist(&mut self) {
        self.token = eventually("it serves from the standby", || {
            let answer = self.client.refresh(&self.token);
            match answer.status {
                200 => Some(answer.cookie()),
                503 => {
                    assert!(answer.header("retry-after").is_some(), "{answer:?}");
                    None
                }
                other => panic!("{other}: {answer:?}"),
            }
        });
    }
}

#[allow(clippy::disallowed_methods, reason = "measures how long the server takes")]
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "measures how long the server takes")]
fn since(moment: Instant) -> Duration {
    moment.elapsed()
}

/// Asynchronous replication: rotations that were acknowledged are lost. They heal, and nobody whose sign-in survived is signed out.
#[test]
fn what_a_lagging_standby_lacks_heals_and_signs_nobody_out() {
    let (primary, standby, home) = pair();
    let checked = home.regrant(&["--json", "config", "check"]).ok().out;
    assert!(checked.contains("synchronous_standby_names is empty"), "{checked}");
    let server = home.serve();
    let mut holders: Vec<_> = (0..6).map(|number| Holder::new(&server, number)).collect();
    std::thread::scope(|scope| {
        for holder in &mut holders {
            scope.spawn(move || (0..4).for_each(|_| holder.renew()));
        }
    });
    let (mut tabs, mut cut_off, mut beyond) =
        (Holder::new(&server, 20), Holder::new(&server, 21), Holder::new(&server, 22));
    let (left, mut robbed) = (Holder::new(&server, 23), Holder::new(&server, 24));
    let stolen = robbed.token.clone();
    for holder in [&mut tabs, &mut cut_off, &mut beyond] {
        holder.renew();
    }
    (0..3).for_each(|_| robbed.renew());
    primary.is_followed_by(&standby);
    standby.is_cut_off_from(&primary);

    // All of this is acknowledged, and nobody else will ever know of it.
    std::thread::scope(|scope| {
        for (index, holder) in holders.iter_mut().enumerate() {
            scope.spawn(move || (0..index % 3).for_each(|_| holder.renew()));
        }
    });
    tabs.renew();
    // The answer is lost on its way: the token before is still what its holder has.
    let lost = cut_off.client.renew(&cut_off.token);
    (0..3).for_each(|_| beyond.renew());
    left.client.delete("/session").cookie(&left.token).send().expect(204);
    robbed.client.refresh(&stolen).over("reused");
    robbed.client.refresh(&robbed.token).over("reused");
    let late = Holder::new(&server, 25);
    home.regrant(&["session", "show", &late.session]).ok();

    primary.crash();
    assert_eq!(tabs.client.refresh(&tabs.token).status, 503);
    assert_eq!(server.client().get("/health/ready").send().status, 503);
    let served = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for holder in &mut holders {
            let served = &served;
            scope.spawn(move || {
                holder.insist();
                served.lock().unwrap().push(now());
            });
        }
        standby.promote();
        let promoted = now();
        eventually("everybody is served", || (served.lock().unwrap().len() == 6).then_some(()));
        for moment in served.lock().unwrap().iter() {
            let took = moment.saturating_duration_since(promoted);
            assert!(took < SOON, "{took:?} after the promotion");
        }
    });
    for (index, holder) in holders.iter_mut().enumerate() {
        (0..3).for_each(|_| holder.renew());
        let told = home.regrant(&["explain", &holder.session]).ok().out;
        assert_eq!(told.contains("healed: generation"), index % 3 > 0, "{told}");
    }

    // Two tabs with the generation that was lost: one heals it, and both have its one successor.
    let answers = std::thread::scope(|scope| {
        let ask = || tabs.client.renew(&tabs.token);
        let (one, other) = (scope.spawn(ask), scope.spawn(ask));
        [one.join().unwrap(), other.join().unwrap()]
    });
    assert_eq!(answers[0], answers[1]);
    tabs.client.renew(&answers[0]);
    // Who never got the answer renews as if nothing had been, and gets that very token: it is computed, not drawn.
    assert_eq!(cut_off.client.renew(&cut_off.token), lost);
    cut_off.client.renew(&lost);
    // Beyond two lost rotations it is over, and nobody is called a thief.
    beyond.client.refresh(&beyond.token).over("ended");
    let told = home.regrant(&["--json", "explain", &beyond.session]).ok().json();
    assert_eq!(told["reason"], "store_recovered");
    // Nobody told the standby of the sign-in, of the sign-out, or of the thief, who is found again.
    late.client.refresh(&late.token).over("unknown");
    left.client.renew(&left.token);
    robbed.client.refresh(&stolen).over("reused");
}

/// Renewals wait for no standby, ends do: what ends something commits as strongly as the server can.
#[test]
fn a_sign_out_waits_for_the_standby_where_a_renewal_does_not() {
    let (primary, standby, home) = pair();
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_commit = local");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    eventually("the standby follows", || (primary.sql("postgres", sql).trim() == "1").then_some(()));
    let server = home.serve();
    let (mut stays, leaves) = (Holder::new(&server, 30), Holder::new(&server, 31));
    primary.is_followed_by(&standby);
    standby.is_cut_off_from(&primary);
    std::thread::scope(|scope| {
        let signs_out = scope.spawn(|| leaves.client.delete("/session").cookie(&leaves.token).send());
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        eventually("the sign-out waits", || (primary.sql("postgres", waiting).trim() == "1").then_some(()));
        stays.renew();
        assert!(!signs_out.is_finished(), "it is not said before it is so");
        standby.follows_again(&primary);
        signs_out.join().unwrap().expect(204);
    });
    primary.is_followed_by(&standby);
    standby.is_cut_off_from(&primary);
    stays.renew();
    primary.crash();
    standby.promote();
    stays.insist();
    leaves.client.refresh(&leaves.token).over("signed_out");
}

/// The primary's machine is frozen: connections stay open, new ones are taken, and nobody answers on any of them.
#[test]
fn a_frozen_primary_holds_nobody_up_for_long() {
    let (primary, standby, home) = pair();
    let server = home.serve();
    let mut holder = Holder::new(&server, 40);
    holder.renew();
    primary.is_followed_by(&standby);
    primary.freeze();
    standby.promote();
    let promoted = now();
    holder.insist();
    assert!(since(promoted) < SOON, "{:?}", since(promoted));
    eventually("it is ready", || (server.client().get("/health/ready").send().status == 200).then_some(()));
    holder.renew();
}
