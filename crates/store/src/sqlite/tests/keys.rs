//! Keys in the embedded store: one writer of the ring, what is over stays over, and what a compromised key takes with it.

use std::collections::BTreeMap;

use regrant_engine::{
    event::{Actor, Event, EventKind},
    keyring::{KeyRetired, KeyState, Keyring, SealedKey, Vault, lifecycle::Step},
    ports::{Broken, End, GrantsEnded, Identity, KeyMarked, RingSwapped},
    reason::{Reason, WireReason},
    refresh_key::{self, KeyMark, WhyRetired},
    time::Seconds,
    token::{Endpoint, KeyId, Master, Stopped},
};
use rusqlite::{Connection, params};

use super::{super::key, Directory, file};
use crate::contract::world::{RealRandom, Seen, World, at_once};

/// That of the contract's world.
const SEALING_SECRET: &[u8] = b"the sealing secret of the contract's key file";

async fn world() -> World {
    World::at(Box::new(Directory::new())).await
}

fn keyring() -> Keyring {
    Keyring::new(Vault::new(SEALING_SECRET).unwrap())
}

fn event(world: &World) -> Event {
    Event::new(EventKind::KeyActivated, world.engine().now(), Actor::System, &RealRandom)
}

fn masters(ids: &[u8]) -> BTreeMap<KeyId, Master> {
    // The world's first master is seven times over.
    ids.iter().map(|id| (KeyId(*id), Master::new([if *id == 1 { 7 } else { *id }; 32]))).collect()
}

async fn ring(world: &World) -> Vec<(String, KeyState)> {
    let keys = world.store().signing_keys().await.unwrap();
    let mut ring: Vec<_> = keys.into_iter().map(|key| (key.algorithm, key.state)).collect();
    ring.sort_by_key(|(algorithm, state)| (algorithm.clone(), state.as_str()));
    ring
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_of_one_ring_one_is_made() {
    let world = world().await;
    let before = world.store().signing_keys().await.unwrap();
    let changes = (0..16).map(|n| {
        let (store, before, event) = (world.store(), before.clone(), event(&world));
        async move {
            let next = vec![SealedKey { longest_token: Seconds(n), ..before[0].clone() }];
            (n, store.swap_signing_keys(before, next, vec![event]).await.unwrap())
        }
    });
    let outcomes = at_once(changes.collect()).await;
    let won: Vec<u32> = outcomes.iter().filter(|(_, made)| *made == RingSwapped::Swapped).map(|(n, _)| *n).collect();
    assert_eq!(won.len(), 1);
    let now = world.store().signing_keys().await.unwrap();
    assert_eq!(now[0].longest_token, Seconds(won[0]));
    // The others learn what there is, and wrote nothing, no event either.
    assert!(outcomes.iter().all(|(n, made)| *n == won[0] || *made == RingSwapped::Moved(now.clone())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_active_keys_of_one_algorithm_cannot_be_stored() {
    let world = world().await;
    let before = world.store().signing_keys().await.unwrap();
    let second = SealedKey { kid: "another".to_owned(), ..before[0].clone() };
    let both = vec![before[0].clone(), second];
    assert!(matches!(world.store().swap_signing_keys(before.clone(), both, vec![]).await, Err(Broken::Store(_))));
    assert_eq!(world.store().signing_keys().await.unwrap(), before, "nothing of it happened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_live_through_their_states_and_no_token_is_ever_refused() {
    let mut world = world().await;
    world.user("ada").await;
    let keyring = keyring();
    // A store of before has no RS256 key: it gets one, in the ordinary way.
    let steps = keyring.tend(&world.engine()).await.unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(keyring.tend(&world.engine()).await.unwrap(), []);
    world.pass(Seconds::minutes(10));
    keyring.tend(&world.engine()).await.unwrap();
    let es = |state| ("ES256".to_owned(), state);
    let rs = |state| ("RS256".to_owned(), state);
    assert_eq!(ring(&world).await, [es(KeyState::Active), rs(KeyState::Active)]);

    let first = world.engine().mint.ring()[0].kid.clone();
    world.pass(Seconds(90 * Seconds::DAY.0 - 20 * 60));
    keyring.tend(&world.engine()).await.unwrap();
    assert_eq!(ring(&world).await, [es(KeyState::Active), es(KeyState::Published), rs(KeyState::Active)]);
    let signed = world.sign_in("ada").await;
    world.pass(Seconds::minutes(10));
    keyring.tend(&world.engine()).await.unwrap();
    assert!(ring(&world).await.contains(&es(KeyState::Retiring)), "{:?}", ring(&world).await);
    let engine = world.engine();
    assert!(engine.mint.check(&signed.access, engine.now()).is_some(), "signed by the key that retires");
    let later = world.sign_in("ada").await;
    assert!(engine.mint.check(&later.access, engine.now()).is_some(), "signed by its successor");
    assert_ne!(engine.mint.ring()[0].kid, first);
    drop(engine);

    // The store remembers all of it.
    world.crash().await;
    keyring.tend(&world.engine()).await.unwrap();
    let engine = world.engine();
    assert!(engine.mint.check(&later.access, engine.now()).is_some());
    assert!(engine.mint.ring().iter().any(|key| key.kid == first));
    drop(engine);
    // Ended with the day that the first keys of this world were promised.
    world.pass(Seconds(Seconds::DAY.0 + 61));
    keyring.tend(&world.engine()).await.unwrap();
    assert!(!world.store().signing_keys().await.unwrap().iter().any(|key| key.kid == first));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_nodes_one_does_what_is_due_and_all_use_it() {
    let world = world().await;
    keyring().tend(&world.engine()).await.unwrap();
    world.pass(Seconds::days(100));
    let nodes = (0..8).map(|_| {
        let engine = world.engine();
        async move { keyring().tend(&engine).await.unwrap() }
    });
    let taken: Vec<Step> = at_once(nodes.collect()).await.into_iter().flatten().collect();
    assert_eq!(taken.iter().filter(|step| matches!(step, Step::Publish(_))).count(), 1, "{taken:?}");
    let stored = world.store().signing_keys().await.unwrap();
    assert_eq!(stored.len(), 3);
    assert!(world.engine().mint.holds(&stored));
    // However many rotate at the same moment, one key signs.
    let operators = (0..4).map(|_| {
        let engine = world.engine();
        async move { keyring().rotate(&engine, true).await.unwrap() }
    });
    at_once(operators.collect()).await;
    keyring().tend(&world.engine()).await.unwrap();
    for algorithm in ["ES256", "RS256"] {
        let active = ring(&world).await.into_iter().filter(|key| *key == (algorithm.to_owned(), KeyState::Active));
        assert_eq!(active.count(), 1, "{algorithm}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compromised_signing_key_is_refused_at_once_and_nobody_is_signed_out() {
    let world = world().await;
    world.user("ada").await;
    let keyring = keyring();
    let signed = world.sign_in("ada").await;
    let engine = world.engine();
    let kid = engine.mint.ring()[0].kid.clone();
    assert_eq!(keyring.retire(&engine, &kid, false).await, Ok(KeyRetired::Signs));
    assert_eq!(keyring.retire(&engine, "nonsense", true).await, Ok(KeyRetired::Unknown));
    let Ok(KeyRetired::Gone { successor: Some(successor) }) = keyring.retire(&engine, &kid, true).await else {
        panic!("it signs, and so has a successor");
    };
    assert_eq!(engine.mint.check(&signed.access, engine.now()), None);
    assert!(!engine.mint.jwks().contains(&kid) && engine.mint.jwks().contains(&successor));
    let Seen::Rotated(_) = world.refresh(&signed.token).await else { panic!("the session goes on") };
    assert_eq!(keyring.retire(&engine, &kid, true).await, Ok(KeyRetired::Unknown), "it is gone for good");

    // One that waits is withdrawn without more ado; one that retires goes by itself.
    keyring.rotate(&engine, false).await.unwrap();
    let waiting = engine.mint.ring().iter().find(|key| key.state == KeyState::Published).unwrap().kid.clone();
    assert_eq!(keyring.retire(&engine, &waiting, false).await, Ok(KeyRetired::Gone { successor: None }));
    keyring.rotate(&engine, true).await.unwrap();
    assert!(matches!(keyring.retire(&engine, &successor, false).await, Ok(KeyRetired::Retiring { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_key_retires_when_no_live_grant_names_it_and_never_comes_back() {
    let mut world = world().await;
    world.user("ada").await;
    let first =
        Identity { issuer: None, refresh_keys: vec![(KeyId(1), masters(&[1])[&KeyId(1)].check_value(KeyId(1)))] };
    world.store().remember(first.clone()).await.unwrap();
    let signed = world.sign_in("ada").await;
    let other = world.sign_in("ada").await;
    let engine = world.engine();
    assert_eq!(world.store().refresh_key_uses(engine.now()).await, Ok(vec![(KeyId(1), 2)]));

    assert!(engine.refresh_keys.replace(&masters(&[1, 2]), KeyId(2), KeyId(2)));
    refresh_key::remember(&engine, KeyId(2), &masters(&[2])[&KeyId(2)]).await.unwrap();
    let retire = |id| refresh_key::retire(&engine, KeyId(id), WhyRetired::Retired);
    assert_eq!(retire(1).await, Ok(KeyMarked::InUse));
    let Seen::Rotated(moved) = world.refresh(&signed.token).await else { panic!("it does not rotate") };
    let presented = engine.refresh_keys.open(Endpoint::Session, &moved).unwrap();
    assert_eq!(presented.key, KeyId(2));
    assert_eq!(world.store().refresh_key_uses(engine.now()).await, Ok(vec![(KeyId(1), 1), (KeyId(2), 1)]));
    assert_eq!(retire(1).await, Ok(KeyMarked::InUse));
    // The other session ends, and nothing names the key any more.
    assert_eq!(world.sign_out(&other.token).await, Seen::SignedOut);
    assert_eq!(retire(1).await, Ok(KeyMarked::Marked));
    assert_eq!(retire(1).await, Ok(KeyMarked::Already));
    assert_eq!(retire(9).await, Ok(KeyMarked::Unknown));
    engine.refresh_keys.forget(KeyId(1));
    assert_eq!(engine.refresh_keys.open(Endpoint::Session, &signed.token), Err(Stopped::Unknown));

    // An old key file remembers it in vain.
    world.store().remember(first).await.unwrap();
    refresh_key::remember(&engine, KeyId(1), &masters(&[1])[&KeyId(1)]).await.unwrap();
    let at = engine.now();
    drop(engine);
    world.crash().await;
    let records = world.store().refresh_keys().await.unwrap();
    assert_eq!(records[0].mark, Some(KeyMark { at, why: WhyRetired::Retired }));
    assert_eq!((records[1].id, records[1].mark), (KeyId(2), None));
    let identity = world.store().identity().await.unwrap();
    assert_eq!(identity.refresh_keys.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [KeyId(2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compromised_refresh_key_takes_its_grants_with_it_and_no_others() {
    let world = world().await;
    world.user("ada").await;
    world.user("bob").await;
    let engine = world.engine();
    world.store().remember(Identity { issuer: None, refresh_keys: vec![(KeyId(1), [1; 16])] }).await.unwrap();
    let mut of_ada = Vec::new();
    for _ in 0..5 {
        of_ada.push(world.sign_in("ada").await);
    }
    let over = of_ada.pop().unwrap();
    assert_eq!(world.sign_out(&over.token).await, Seen::SignedOut);
    assert!(engine.refresh_keys.replace(&masters(&[1, 2]), KeyId(2), KeyId(2)));
    let saved = of_ada.pop().unwrap();
    let Seen::Rotated(saved_token) = world.refresh(&saved.token).await else { panic!("it does not rotate") };
    let of_bob = world.sign_in("bob").await;

    // A token that was opened just before is refused just after.
    engine.refresh_keys.forget(KeyId(1));
    assert_eq!(engine.refresh_keys.open(Endpoint::Session, &of_ada[0].token), Err(Stopped::Unknown));
    assert_eq!(refresh_key::retire(&engine, KeyId(1), WhyRetired::Compromised).await, Ok(KeyMarked::Marked));

    // Half of the way; then all of it, from the beginning: nothing is ended twice.
    let end = End { at: engine.now(), reason: Reason::KeyCompromised, actor: Actor::Operator };
    let GrantsEnded { ended, next } = world.store().end_grants_of_key(KeyId(1), None, 3, end).await.unwrap();
    assert!(ended <= 3 && next.is_some());
    assert_eq!(refresh_key::end_all_of(&engine, KeyId(1)).await.map(|rest| rest + ended), Ok(3));
    assert_eq!(refresh_key::end_all_of(&engine, KeyId(1)).await, Ok(0));
    for signed in &of_ada {
        assert_eq!(world.ended(signed.session).await, Some(Reason::KeyCompromised));
        assert_eq!(world.told(signed.session, EventKind::SessionEnded).await, 1);
    }
    assert_eq!(world.ended(over.session).await, Some(Reason::SignedOut), "what ended before keeps its reason");
    assert_eq!(world.ended(saved.session).await, None);
    assert!(matches!(world.refresh(&saved_token).await, Seen::Rotated(_)));
    assert!(matches!(world.refresh(&of_bob.token).await, Seen::Rotated(_)));
    assert_eq!(Reason::KeyCompromised.on_the_wire(), WireReason::Ended);
}

#[test]
fn a_store_of_the_first_version_is_brought_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("regrant.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../../../migrations/sqlite/0001_initial.sql")).unwrap();
    old.execute_batch("PRAGMA application_id = 0x52475254; PRAGMA user_version = 1;").unwrap();
    old.execute(
        "INSERT INTO signing_keys (kid, algorithm, state, created_at, sealed) VALUES ('k', 'ES256', 'active', 17, x'00')",
        [],
    )
    .unwrap();
    old.execute("INSERT INTO refresh_keys (id, check_value) VALUES (1, ?)", params![[1u8; 16]]).unwrap();
    drop(old);
    let db = file::open_for_writing(&path).unwrap();
    let keys = key::all(&db).unwrap();
    assert_eq!((keys[0].since.millis(), keys[0].longest_token), (17, Seconds::DAY), "a day is the most there could be");
    let records = key::refresh_keys(&db).unwrap();
    assert_eq!((records[0].id, records[0].mark), (KeyId(1), None));
}
