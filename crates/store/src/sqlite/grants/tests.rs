#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use proptest::{collection::vec, prelude::*};
use regrant_engine::{
    context::{AddressDigest, Context, Network, Networks, Prefix, UserAgentFamily},
    id::{ClientId, Epoch, Generation},
    reason::Life,
    refresh::{GrantKind, Holding, Pace, Suspicion},
    time::{AbsoluteDeadline, IdleDeadline, Time},
    token::{KeyId, Salt},
};

use super::{
    journal::{next_record, renewal_of},
    *,
};
use crate::sqlite::file;

// ---- Memory.

#[derive(Clone, Debug)]
enum Change {
    Put(u8, Vec<u8>, Vec<u8>),
    Remove(u8),
    Clean(u8),
}

/// Many of few ids, so that they meet; the first bytes are those of few users, so that pages are full of one user's.
fn change() -> impl Strategy<Value = Change> {
    let bytes = || vec(any::<u8>(), 0..200);
    prop_oneof![
        4 => (any::<u8>(), bytes(), bytes()).prop_map(|(id, state, renewals)| Change::Put(id, state, renewals)),
        1 => any::<u8>().prop_map(Change::Remove),
        1 => any::<u8>().prop_map(Change::Clean),
    ]
}

fn id(n: u8) -> GrantId {
    // Four bytes of user, and tags of which several are alike.
    GrantId([n % 3, 0, 0, 0, 0, 0, 0, 0, n, 0, 0, 0, 0, 0, 0, n % 7])
}

proptest! {
    /// Memory holds what was put into it, in order, and undoing all changes leaves nothing behind.
    #[test]
    fn memory_is_a_map_in_the_order_of_the_ids(changes in vec(change(), 0..400)) {
        let mut hot = Hot::default();
        let mut map = BTreeMap::<GrantId, (bool, Vec<u8>, Vec<u8>)>::new();
        let mut undo = Vec::new();
        for change in changes {
            match change {
                Change::Put(n, state, renewals) => {
                    let before = hot.put(id(n), Held { dirty: true, state: &state, renewals: &renewals });
                    undo.push((id(n), before));
                    map.insert(id(n), (true, state, renewals));
                }
                Change::Remove(n) => {
                    let before = hot.remove(&id(n));
                    assert_eq!(before.is_some(), map.remove(&id(n)).is_some());
                    undo.push((id(n), before));
                }
                Change::Clean(n) => {
                    hot.clean(&id(n));
                    if let Some((dirty, _, renewals)) = map.get_mut(&id(n)) {
                        if *dirty {
                            renewals.clear();
                        }
                        *dirty = false;
                    }
                }
            }
            for n in 0..=255 {
                let told = hot.held(&id(n)).map(|held| (held.dirty, held.state.to_vec(), held.renewals.to_vec()));
                assert_eq!(told.as_ref(), map.get(&id(n)));
            }
        }
        let mut walked = Vec::new();
        while let Some(page) = hot.page_after(walked.last()) {
            walked.extend(page.into_iter().map(|(id, _)| id));
        }
        assert_eq!(walked, map.keys().copied().collect::<Vec<_>>());
        // The same while all that was seen is taken out, or cleaned, behind the one who walks.
        let mut seen = Vec::new();
        while let Some(page) = hot.page_after(seen.last()) {
            let page: Vec<_> = page.into_iter().map(|(id, _)| id).collect();
            for id in &page {
                if id.0[15] % 2 == 0 {
                    undo.push((*id, hot.remove(id)));
                } else {
                    hot.clean(id);
                }
            }
            seen.extend(page);
        }
        assert_eq!(seen, walked);
        while let Some((id, before)) = undo.pop() {
            hot.restore(id, before.as_deref());
        }
        assert!(hot.page_after(None).is_none(), "nothing is left");
        assert_eq!(hot.bytes(), 0);
    }

    /// Whatever stands in a row is read or refused, without a panic.
    #[test]
    fn damaged_bytes_are_refused(bytes in vec(any::<u8>(), 0..300), first in 0..3u8) {
        let words = Words::default();
        let bytes: Vec<u8> = std::iter::once(first).chain(bytes).collect();
        let _ = packed::unpack(id(1), &bytes, &words);
        let _ = packed::unpack_renewals(&bytes, &words);
        let mut records = bytes.as_slice();
        while let Ok(Some(_)) = next_record(&mut records) {}
    }

    #[test]
    fn renewals_are_read_as_they_were_written(
        told in vec((any::<i64>(), any::<u32>(), 0..3u8, any::<[u8; 4]>()), 0..20),
    ) {
        let mut words = Words::default();
        let renewals: Vec<_> = told
            .into_iter()
            .map(|(at, issued, agent, address)| Renewal {
                at: Time::from_millis(at),
                issued: Generation(issued),
                user_agent: UserAgentFamily::from_stored(format!("Agent {agent}")),
                prefix: Prefix::of(IpAddr::from(address)),
            })
            .collect();
        let packed = packed::pack_renewals(&renewals, &mut words);
        assert_eq!(packed::unpack_renewals(&packed, &words).unwrap(), renewals);
        // One after the other they are the same, but for those that are not newer, and the oldest.
        let (mut appended, mut expected) = (Vec::new(), Vec::new());
        for renewal in &renewals {
            packed::append_renewal(&mut appended, renewal, 5, &mut words).unwrap();
            if expected.last().is_none_or(|last: &Renewal| last.issued < renewal.issued) {
                expected.push(renewal.clone());
            }
        }
        let expected = expected.split_off(expected.len().saturating_sub(5));
        assert_eq!(packed::unpack_renewals(&appended, &words).unwrap(), expected);
    }
}

#[test]
fn a_dictionary_that_is_full_takes_no_more() {
    let mut words = Words::default();
    for n in 0..20_000 {
        words.number(&format!("word {n}"));
    }
    assert_eq!(words.number("word 0"), Some(1));
    assert_eq!(words.number("one too many"), None);
    let long = "x".repeat(300);
    assert_eq!(Words::default().number(&long), None);
    // What is no word is written where it is used.
    let mut record = record(1);
    record.grant.audience = long.into();
    record.grant.context.user_agent = UserAgentFamily::from_stored("one too many".to_owned());
    let packed = packed::pack(&record, &mut words);
    assert_eq!(packed::unpack(record.grant.id, &packed, &words).unwrap(), record);
}

// ---- Journal and fold.

fn record(n: u8) -> Record {
    let at = Time::from_millis(1_700_000_000_000);
    let address = IpAddr::from([192, 0, 2, 1]);
    let session = SessionId::from_bytes([n; 16]);
    let grant = Grant {
        id: id(n),
        public_id: GrantRef::own_of(session),
        salt: Salt([n; 16]),
        key: KeyId(1),
        endpoint: Endpoint::Session,
        client: ClientId::session_api(),
        user: UserId::from_bytes([n % 3; 16]),
        session: Some(session),
        epoch: Epoch(0),
        holding: Holding::Bearer,
        kind: GrantKind::Cookie,
        generation: Generation(1),
        fence: None,
        newest_used: false,
        scope: "openid".into(),
        audience: "https://api.example".into(),
        issued_at: at,
        rotated_at: at,
        last_event: at,
        idle: IdleDeadline(at),
        absolute: AbsoluteDeadline(at),
        context: Context {
            user_agent: UserAgentFamily::from_stored("Firefox on Linux".to_owned()),
            network: Network::of(address),
            address: AddressDigest([n; 8]),
            prefix: Prefix::of(address),
        },
        networks: Networks::starting_with(Network::of(address)),
        suspicion: Suspicion::default(),
        pace: Pace::default(),
        life: Life::Alive,
    };
    Record { grant, auth_time: at, amr: words::list_of("pwd"), roles: words::list_of("admin staff"), roles_as_of: 7 }
}

fn open(file: &Path) -> Desk {
    Desk::new(file::open_for_writing(file).unwrap(), 1 << 20).unwrap()
}

fn transaction(desk: &Desk, work: impl FnOnce(&Desk)) {
    desk.execute_batch("BEGIN IMMEDIATE").unwrap();
    work(desk);
    desk.seal().unwrap();
    desk.execute_batch("COMMIT").unwrap();
    desk.sealed();
}

/// Renews grant `n` once.
fn renew(desk: &Desk, n: u8) {
    let mut record = desk.load(&id(n)).unwrap().unwrap();
    let grant = &mut record.grant;
    grant.generation = Generation(grant.generation.0 + 1);
    grant.rotated_at = grant.rotated_at.plus(regrant_engine::time::Seconds(60));
    grant.last_event = grant.rotated_at;
    let renewed = renewal_of(grant);
    desk.write(&record, Some(&renewed)).unwrap();
}

/// What can be known of all grants.
fn all(desk: &Desk) -> Vec<(Record, Vec<Renewal>)> {
    let known = |record: Record| {
        let renewals = desk.renewals(&record.grant.id).unwrap();
        (record, renewals)
    };
    desk.read_after(None, 1000).unwrap().into_iter().map(known).collect()
}

fn fold_all(desk: &Desk, states: usize) {
    while desk.is_to_fold(true) {
        desk.fold(states).unwrap();
    }
    let left: i64 = desk.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "all is in the rows");
}

/// A store is stopped after every single step: of the transactions, and of the folds between them. What is there afterwards is
/// always what was there before.
#[test]
fn a_stop_at_any_step_loses_and_repeats_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("regrant.db");
    let mut desk = open(&file);
    transaction(&desk, |desk| (0..60).for_each(|n| desk.insert(&record(n)).unwrap()));
    let mut expected: usize = 60;
    for round in 0..40u8 {
        transaction(&desk, |desk| {
            for n in 0..7 {
                renew(desk, round.wrapping_mul(13).wrapping_add(n * 5) % 50);
            }
            if round % 10 == 9 {
                desk.remove(&id(50 + round / 10)).unwrap();
                expected -= 1;
            }
        });
        let before = all(&desk);
        assert_eq!(before.len(), expected);
        for (record, renewals) in &before {
            assert_eq!(usize::try_from(record.grant.generation.0).unwrap(), renewals.len() + 1);
        }
        for _ in 0..round % 5 {
            if desk.is_to_fold(true) {
                desk.fold(3).unwrap();
            }
            assert_eq!(all(&desk), before);
        }
        drop(desk);
        desk = open(&file);
        assert_eq!(all(&desk), before);
    }
    let before = all(&desk);
    fold_all(&desk, 3);
    assert_eq!(all(&desk), before);
    drop(desk);
    assert_eq!(all(&open(&file)), before);
}

/// A removed grant stays removed although older records of the journal tell of it.
#[test]
fn a_removed_grant_does_not_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("regrant.db");
    let desk = open(&file);
    transaction(&desk, |desk| (0..3).for_each(|n| desk.insert(&record(n)).unwrap()));
    transaction(&desk, |desk| renew(desk, 1));
    transaction(&desk, |desk| desk.remove(&id(1)).unwrap());
    assert_eq!(desk.load(&id(1)).unwrap(), None);
    drop(desk);
    let desk = open(&file);
    assert_eq!(desk.load(&id(1)).unwrap(), None);
    fold_all(&desk, 3);
    assert_eq!(all(&desk).len(), 2);
}

/// What a transaction did that is rolled back has not happened: in memory neither.
#[test]
fn a_rolled_back_transaction_leaves_memory_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let desk = open(&directory.path().join("regrant.db"));
    transaction(&desk, |desk| (0..40).for_each(|n| desk.insert(&record(n)).unwrap()));
    transaction(&desk, |desk| renew(desk, 1));
    let before = all(&desk);
    desk.execute_batch("BEGIN IMMEDIATE").unwrap();
    (0..5).for_each(|n| renew(&desk, n));
    desk.remove(&id(7)).unwrap();
    desk.insert(&record(50)).unwrap();
    // It is loaded with neighbours, of which one is not there in truth.
    assert!(desk.load(&id(48)).unwrap().is_none());
    assert!(desk.load(&id(50)).unwrap().is_some());
    desk.roles_changed().unwrap();
    desk.execute_batch("ROLLBACK").unwrap();
    desk.undo();
    assert_eq!(all(&desk), before);
    assert_eq!(desk.load(&id(50)).unwrap(), None);
    assert_eq!(desk.roles_as_of().unwrap(), 0);
    transaction(&desk, |desk| renew(desk, 1));
    assert_eq!(desk.renewals(&id(1)).unwrap().len(), 2);
}

/// However many grants there are, memory has no more than it may; those beyond are in their rows.
#[test]
fn memory_is_bounded_and_the_rest_is_in_the_rows() {
    let directory = tempfile::tempdir().unwrap();
    let most = 8 * 1024;
    let desk = Desk::new(file::open_for_writing(&directory.path().join("regrant.db")).unwrap(), most).unwrap();
    transaction(&desk, |desk| (0..=255).for_each(|n| desk.insert(&record(n)).unwrap()));
    let mut most_seen = 0;
    for _ in 0..3 {
        for n in 0..=255 {
            transaction(&desk, |desk| renew(desk, n));
            if desk.is_to_fold(false) {
                desk.fold(16).unwrap();
            }
            most_seen = most_seen.max(desk.memory.borrow().hot.bytes());
        }
    }
    assert!(most_seen > most / 2 && most_seen < 2 * most, "{most_seen} bytes");
    for (record, renewals) in all(&desk) {
        assert_eq!((record.grant.generation.0, renewals.len()), (4, 3));
    }
}

/// A store of before grants were packed is read, with everything that was in it.
#[test]
fn rows_of_before_are_carried_over() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("regrant.db");
    let db = Connection::open(&file).unwrap();
    db.execute_batch(include_str!("../../../migrations/sqlite/0001_initial.sql")).unwrap();
    db.execute_batch(include_str!("../../../migrations/sqlite/0002_key_lifecycle.sql")).unwrap();
    db.execute_batch(include_str!("old_rows.sql")).unwrap();
    db.execute_batch("PRAGMA application_id = 1380405844; PRAGMA user_version = 2").unwrap();
    drop(db);
    let desk = open(&file);
    let all = all(&desk);
    let (alive, ended) = (&all[0].0, &all[1].0);
    assert_eq!(all.len(), 2);
    let told = (alive.grant.generation.0, alive.amr.join(" "), alive.roles.join(" "), alive.auth_time.millis());
    assert_eq!(told, (5, "pwd".to_owned(), "admin staff".to_owned(), 1_700_000_000_500));
    assert_eq!(alive.grant.holding, Holding::Bearer);
    assert_eq!(alive.grant.idle.0.millis(), 1_700_600_000_000);
    assert_eq!(alive.grant.networks.to_bytes(), [4, 192, 0, 0, 0, 4, 198, 51, 0, 0]);
    assert_eq!(alive.grant.context.user_agent.as_str(), "Firefox on Linux");
    assert!(alive.grant.life.is_alive());
    assert!(!ended.grant.life.is_alive());
    assert!(matches!(ended.grant.holding, Holding::Bound { .. }));
    let session = alive.grant.session.unwrap();
    assert_eq!(desk.of_session(session).unwrap(), [alive.grant.id]);
    // Its public id was another than its session's, and still leads to it.
    let found = crate::sqlite::session::id_of_grant(&desk, alive.grant.public_id).unwrap();
    assert_eq!(found, Some(session));
    assert!(desk.prepare("SELECT 1 FROM old_grants").is_err());
}

/// A fold that makes room as it goes writes everything before the journal is forgotten.
#[test]
fn a_full_memory_loses_nothing() {
    for step in [3, 16, 64] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("regrant.db");
        let desk = Desk::new(file::open_for_writing(&file).unwrap(), 8 * 1024).unwrap();
        transaction(&desk, |desk| (0..=255).for_each(|n| desk.insert(&record(n)).unwrap()));
        for n in 0..=255 {
            transaction(&desk, |desk| renew(desk, n));
        }
        let before = all(&desk);
        fold_all(&desk, step);
        drop(desk);
        assert_eq!(all(&open(&file)), before);
    }
}

/// Between two steps of a fold the sweep removes all that the last step looked at: the next one goes on where it should.
#[test]
fn what_vanishes_during_a_fold_hides_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("regrant.db");
    let desk = open(&file);
    transaction(&desk, |desk| (0..60).for_each(|n| desk.insert(&record(n)).unwrap()));
    (0..60).for_each(|n| transaction(&desk, |desk| renew(desk, n)));
    while desk.memory.borrow().fold == Fold::Rests || matches!(desk.memory.borrow().fold, Fold::Writes { .. }) {
        desk.fold(1).unwrap();
        let Fold::Writes { after: Some(last), .. } = desk.memory.borrow().fold else { break };
        let gone = all(&desk).into_iter().map(|(record, _)| record.grant.id).filter(|id| *id <= last);
        let gone: Vec<_> = gone.take(50).collect();
        transaction(&desk, |desk| gone.iter().skip(1).for_each(|id| desk.remove(id).unwrap()));
    }
    fold_all(&desk, 1);
    let before = all(&desk);
    drop(desk);
    assert_eq!(all(&open(&file)), before);
}

/// Renewals that cannot be read are lost; what they belong to is not, nor what comes after it.
#[test]
fn a_damaged_timeline_does_not_stop_the_fold() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("regrant.db");
    let desk = open(&file);
    transaction(&desk, |desk| (0..20).for_each(|n| desk.insert(&record(n)).unwrap()));
    desk.execute("UPDATE grants SET renewals = x'ffffff' WHERE id = ?", params![id(7).0]).unwrap();
    (0..20).for_each(|n| transaction(&desk, |desk| renew(desk, n)));
    fold_all(&desk, 3);
    drop(desk);
    for (record, renewals) in all(&open(&file)) {
        assert_eq!((record.grant.generation.0, renewals.len()), (2, 1));
    }
}

/// However often it is renewed between two folds, what is kept of a grant is bounded, and in order.
#[test]
fn the_last_hundred_renewals_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("regrant.db");
    let desk = open(&file);
    transaction(&desk, |desk| desk.insert(&record(1)).unwrap());
    for round in 1..=3 {
        (0..130).for_each(|_| transaction(&desk, |desk| renew(desk, 1)));
        let renewals = desk.renewals(&id(1)).unwrap();
        let issued: Vec<_> = renewals.iter().map(|renewal| renewal.issued.0).collect();
        let newest = 1 + 130 * round;
        assert_eq!(issued, (newest - 99..=newest).collect::<Vec<_>>());
        fold_all(&desk, 3);
        assert_eq!(desk.renewals(&id(1)).unwrap(), renewals);
    }
}
