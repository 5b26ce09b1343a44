//! Two versions beside each other: `cargo xtask upgrade` names the binary of the one before. Elsewhere it is this one itself, so that what is
//! tried here is always tried.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::support::{Client, EMAIL, FIREFOX, Home, PASSWORD, Server};

/// The version before, if one was named.
fn named() -> Option<PathBuf> {
    std::env::var_os("UPGRADE_FROM").map(PathBuf::from)
}

fn before() -> PathBuf {
    named().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_regrant")))
}

/// One session, in the hands of its owner.
struct Holder {
    client: [u8; 4],
    session: String,
    token: String,
    /// The token before: a retry that comes late.
    last: Option<String>,
}

/// What was asked, and what went wrong.
#[derive(Default)]
struct Tally {
    sign_ins: AtomicU32,
    refreshes: AtomicU32,
    retries: AtomicU32,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// Prints what was done since the last time.
    fn tell(&self, phase: &str) {
        let taken = |count: &AtomicU32| count.swap(0, Ordering::SeqCst);
        let (signed, refreshed, retried) = (taken(&self.sign_ins), taken(&self.refreshes), taken(&self.retries));
        let wrong = self.wrong.lock().unwrap();
        println!(
            "{phase:<46} {signed:>3} sign-ins {refreshed:>4} refreshes {retried:>3} retries {:>3} errors",
            wrong.len()
        );
        for what in wrong.iter().take(10) {
            println!("    {what}");
        }
    }

    fn client(server: &Server, from: [u8; 4]) -> Client {
        server.client_from(from, FIREFOX)
    }

    fn sign_in(&self, at: &Server, client: [u8; 4]) -> Option<Holder> {
        let asked = serde_json::json!({"identifier": EMAIL, "password": PASSWORD, "delivery": "body"});
        let answer = Self::client(at, client).post("/session").json(&asked).send();
        self.sign_ins.fetch_add(1, Ordering::SeqCst);
        if answer.status != 200 {
            self.wrong(format!("sign-in: {answer:?}"));
            return None;
        }
        let (session, token) = (answer.text("/session/id"), answer.text("/refresh_token"));
        Some(Holder { client, session, token, last: None })
    }

    /// Renews at one node, and shows the access token to the other.
    fn renew(&self, at: &Server, other: &Server, holder: &mut Holder) {
        let answer = Self::client(at, holder.client).refresh_by_body(&holder.token);
        self.refreshes.fetch_add(1, Ordering::SeqCst);
        if answer.status != 200 {
            return self.wrong(format!("refresh of {}: {answer:?}", holder.session));
        }
        holder.last = Some(std::mem::replace(&mut holder.token, answer.text("/refresh_token")));
        let seen = Self::client(other, holder.client).get("/session").bearer(&answer.text("/access_token")).send();
        if seen.status != 200 {
            self.wrong(format!("the other node does not know the access token: {seen:?}"));
        }
    }

    /// The reply was lost, and the same is asked of this node: it gives the one successor that there is.
    fn retry(&self, at: &Server, holder: &Holder) {
        let Some(last) = &holder.last else { return };
        let answer = Self::client(at, holder.client).refresh_by_body(last);
        self.retries.fetch_add(1, Ordering::SeqCst);
        if answer.status != 200 || answer.text("/refresh_token") != holder.token {
            self.wrong(format!("retry of {}: {answer:?}", holder.session));
        }
    }

    /// All holders at once, each going from node to node at every renewal.
    fn hop(&self, holders: &mut [Holder], between: [&Server; 2], rounds: usize) {
        std::thread::scope(|scope| {
            for (offset, holder) in holders.iter_mut().enumerate() {
                scope.spawn(move || {
                    for round in 0..rounds {
                        let (at, other) = match (round + offset) % 2 {
                            0 => (between[0], between[1]),
                            _ => (between[1], between[0]),
                        };
                        self.renew(at, other, holder);
                        if round % 5 == 4 {
                            self.retry(other, holder);
                        }
                    }
                });
            }
        });
    }
}

const ISSUER: [&str; 2] = ["--issuer", "https://id.example.com"];

fn schema(home: &Home) -> i64 {
    home.regrant(&["--json", "migrate", "status"]).ok().json()["schema"].as_i64().unwrap()
}

/// What is due says itself whether nodes of this schema can go on beside it.
fn goes_on_beside(new: &Home, schema: i64) {
    let status = new.regrant(&["--json", "migrate", "status"]).ok().json();
    for due in status["due"].as_array().unwrap() {
        assert!(
            due["oldest"].as_i64().unwrap() <= schema,
            "migration {} ({}) says that nodes of the version before, which know schema {schema}, cannot go on beside it: this upgrade \
             begins with stopping all of them",
            due["version"],
            due["name"]
        );
    }
}

/// One database: the old node alone, both, the old one alone again and started again, the new one alone. Nobody is signed out.
#[test]
fn nodes_of_two_versions_serve_one_database() {
    let rounds = if named().is_some() { 20 } else { 5 };
    let new = Home::new().on_a_database();
    let old = new.with_program(&before());
    let tally = Tally::default();
    old.add_user(EMAIL, &["--role", "admin"]);
    let mut one = old.serve_with(&ISSUER);
    let (first, alone) = (schema(&old), [127, 9, 1, 1]);
    let mut holders: Vec<Holder> = (1..=4).filter_map(|n| tally.sign_in(&one, [127, 9, 1, n])).collect();
    tally.hop(&mut holders, [&one, &one], 3);
    tally.tell("the version before alone");

    goes_on_beside(&new, first);
    let mut two = new.serve_with(&ISSUER);
    println!("the new node has started: schema {first} is schema {}", schema(&new));
    tally.hop(&mut holders, [&one, &two], rounds);
    for at in [&one, &two, &one, &two] {
        holders.extend(tally.sign_in(at, [127, 9, 1, 5]));
    }
    tally.hop(&mut holders, [&two, &one], 4);
    tally.tell("both, each chain hopping between them");

    // What one ends is over at the other, and a thief at one is found at the other.
    let over = |at: &Server, holder: &Holder| {
        let answer = Tally::client(at, holder.client).refresh_by_body(&holder.token);
        if answer.status != 401 {
            tally.wrong(format!("ended elsewhere and good here: {answer:?}"));
        }
    };
    for (from, to, by) in [(&one, &two, &old), (&two, &one, &new)] {
        let Some(ended) = tally.sign_in(from, alone) else { continue };
        by.regrant(&["session", "revoke", &ended.session]).ok();
        over(to, &ended);
        let Some(mut robbed) = tally.sign_in(from, alone) else { continue };
        let stolen = robbed.token.clone();
        tally.renew(from, to, &mut robbed);
        tally.renew(to, from, &mut robbed);
        let caught = Tally::client(to, alone).refresh_by_body(&stolen);
        if caught.status != 401 {
            tally.wrong(format!("a token of two generations ago: {caught:?}"));
        }
        over(from, &robbed);
    }
    tally.tell("ends and thieves, from each to the other");

    two.stop();
    tally.hop(&mut holders, [&one, &one], 4);
    one.stop();
    let mut one = old.serve_with(&ISSUER);
    holders.extend(tally.sign_in(&one, alone));
    tally.hop(&mut holders, [&one, &one], 4);
    tally.tell("the way back: the version before goes on");

    one.stop();
    let two = new.serve_with(&ISSUER);
    holders.extend(tally.sign_in(&two, alone));
    tally.hop(&mut holders, [&two, &two], 4);
    tally.tell("the new version alone");

    let alive = new.regrant(&["--json", "session", "list"]).ok().json();
    let alive: Vec<&str> = alive.as_array().unwrap().iter().filter_map(|session| session["id"].as_str()).collect();
    let lost = holders.iter().filter(|holder| !alive.contains(&holder.session.as_str())).count();
    println!("{} sessions, {lost} signed out", holders.len());
    assert_eq!((tally.wrong.into_inner().unwrap(), lost), (Vec::new(), 0));
}

/// One directory: the new version opens a copy of what the version before left, and that one its own again.
#[test]
fn a_directory_of_the_version_before_is_opened_by_this_one() {
    let new = Home::new();
    let old = new.with_program(&before());
    let tally = Tally::default();
    old.add_user(EMAIL, &[]);
    let mut one = old.serve_with(&ISSUER);
    let mut holders: Vec<Holder> = (1..=4).filter_map(|n| tally.sign_in(&one, [127, 9, 2, n])).collect();
    tally.hop(&mut holders, [&one, &one], 6);
    one.stop();
    tally.tell("a directory: the version before");

    let copy = new.with_data("copy");
    let copied = Command::new("cp").arg("-a").arg(old.data()).arg(copy.data()).status();
    assert!(copied.expect("cp").success());
    let mut kept: Vec<Holder> = holders
        .iter()
        .map(|Holder { client, session, token, last }| Holder {
            client: *client,
            session: session.clone(),
            token: token.clone(),
            last: last.clone(),
        })
        .collect();
    let mut two = copy.serve_with(&ISSUER);
    holders.extend(tally.sign_in(&two, [127, 9, 2, 5]));
    holders.iter().take(2).for_each(|holder| tally.retry(&two, holder));
    tally.hop(&mut holders, [&two, &two], 6);
    two.stop();
    tally.tell("its copy: the new version");
    back_on_the_copy(&copy.with_program(&before()));

    let one = old.serve_with(&ISSUER);
    tally.hop(&mut kept, [&one, &one], 4);
    tally.tell("the way back: the directory as it was");
    assert_eq!(tally.wrong.into_inner().unwrap(), Vec::<String>::new());
}

/// The version before goes on with a directory whose tables it knows, and refuses one that it does not, without touching it.
fn back_on_the_copy(old: &Home) {
    let told = old.regrant(&["--json", "session", "list"]);
    match told.code {
        Some(0) => println!("the copy, which the new version used: the version before can use it, too"),
        _ => {
            let said = told.complains(2, &["written by a newer Regrant"]).err;
            println!("the copy, which the new version used: the version before refuses it ({})", said.trim());
        }
    }
    assert!(Path::new(old.data()).is_dir());
}
