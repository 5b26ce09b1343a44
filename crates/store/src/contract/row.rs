//! A grant is read as it was written, whatever is in it: what the judge of the next use sees is what the last one left.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex},
};

use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any},
    prop_oneof,
    sample::select,
    strategy::ValueTree,
    test_runner::TestRunner,
};
use regrant_engine::{
    context::{AddressDigest, Context, Network, Networks, Prefix, UserAgentFamily},
    event::{Actor, Event, EventKind},
    id::{ClientId, Generation, GrantRef, SessionId},
    ports::{Facts, Loaded, NewSession, Opened, Verdict, Wanted},
    reason::{Life, Reason},
    refresh::{Decision, Grant, GrantKind, Holding, KeyThumbprint, Owner, Pace, Replay, Suspicion, Window},
    session::Session,
    time::{AbsoluteDeadline, IdleDeadline, Time},
    token::{GrantId, KeyId, Salt},
};

use super::world::{RealRandom, World};

const CASES: usize = 100;

pub(super) async fn every_grant_is_read_as_it_was_written(mut world: World) {
    let ada = world.user("ada").await;
    let template = world.sign_in("ada").await;
    let template = world.record(template.session).await;
    let mut runner = TestRunner::deterministic();
    let mut draw = |of: &dyn Fn(&mut TestRunner) -> Grant| of(&mut runner);
    let mut written = Vec::new();
    for _ in 0..CASES {
        let base = &template.grant;
        let grant = draw(&|runner| grants(base).new_tree(runner).unwrap().current());
        let session = Session {
            id: grant.session.unwrap(),
            grant: grant.public_id,
            context: grant.context.clone(),
            device: None,
            life: Life::Alive,
            ..template.session.clone()
        };
        let event = Event::new(EventKind::SessionCreated, session.created_at, Actor::User, &RealRandom);
        let new = NewSession {
            session: session.clone(),
            grant: grant.clone(),
            limit: u32::MAX,
            replaces: None,
            event: event.of(&grant),
            forgive: vec![],
        };
        let opened = world.store().open_session(new).await.unwrap();
        assert!(matches!(opened, Opened::Opened { .. }));
        let record = world.store().session(session.id).await.unwrap().unwrap();
        assert_eq!((&record.grant, &record.session), (&grant, &session));

        // The same row again, with everything that a use may change changed.
        let other = draw(&|runner| grants(&grant).new_tree(runner).unwrap().current());
        let changed = Grant {
            id: grant.id,
            public_id: grant.public_id,
            user: ada,
            session: grant.session,
            client: grant.client.clone(),
            kind: grant.kind,
            salt: grant.salt,
            scope: grant.scope.clone(),
            audience: grant.audience.clone(),
            issued_at: grant.issued_at,
            ..other
        };
        let before = write(&world, &grant, changed.clone()).await;
        assert_eq!(before.state.grant, grant);
        assert_eq!(before.state.session, Some(Life::Alive));
        assert_eq!(before.state.user, Owner::Active(grant.epoch));
        let facts = Facts {
            auth_time: session.auth_time,
            amr: session.amr.clone().into(),
            roles: [].into(),
            identifier: Some("ada".to_owned()),
            attributes: None,
        };
        assert_eq!(before.facts, facts);
        written.push(changed);
    }
    world.crash().await;
    for grant in &written {
        assert_eq!(write(&world, grant, grant.clone()).await.state.grant, *grant);
    }
}

/// Writes `next` in the place of `grant`; what was there before.
async fn write(world: &World, grant: &Grant, next: Grant) -> Loaded {
    let seen = Arc::new(Mutex::new(None));
    let found = Arc::clone(&seen);
    let judge = Box::new(move |loaded: Option<&Loaded>| {
        *found.lock().unwrap() = loaded.cloned();
        let mut loaded = loaded.unwrap().clone();
        loaded.state.grant = next.clone();
        Verdict {
            decision: Decision::Kept,
            loaded: Some(Box::new(loaded)),
            write: true,
            ends: None,
            renewed: None,
            events: vec![],
            mail: None,
        }
    });
    let verdict = world.store().refresh(grant.id, Wanted::Person, judge).await.unwrap();
    assert!(verdict.loaded.is_some());
    seen.lock().unwrap().take().unwrap()
}

fn grants(base: &Grant) -> impl Strategy<Value = Grant> + use<> {
    let base = base.clone();
    let names = (ids(), text(), text(), select(GrantKind::ALL), any::<[u8; 16]>(), text());
    let counters = (any::<u8>(), generations(), option::of(generations()), any::<bool>(), any::<u8>());
    let times = vec(times(), 7);
    let place = (contexts(), vec(networks(), 0..=8), option::of(select(Replay::ALL)));
    let rest = (holdings(), lives(), any::<u32>(), any::<u32>());
    (names, counters, times, place, rest).prop_map(move |(names, counters, times, place, rest)| {
        let ((id, public_id, session), scope, audience, kind, salt, client) = names;
        let (key, generation, fence, newest_used, points) = counters;
        let (context, rotated_from, worst) = place;
        let (holding, life, rotations, replays) = rest;
        let mut networks = Networks::default();
        rotated_from.into_iter().for_each(|network| networks.note(network));
        Grant {
            // All of a user is on one shard.
            id: GrantId([&base.id.0[..4], &id[4..]].concat().try_into().unwrap()),
            public_id: GrantRef::from_bytes(public_id),
            session: Some(SessionId::from_bytes(session)),
            salt: Salt(salt),
            key: KeyId(key),
            client: ClientId::from(client),
            holding,
            kind,
            generation,
            fence,
            newest_used,
            scope: scope.into(),
            audience: audience.into(),
            issued_at: times[0],
            rotated_at: times[1],
            last_event: times[2],
            idle: IdleDeadline(times[3]),
            absolute: AbsoluteDeadline(times[4]),
            context,
            networks,
            suspicion: Suspicion { points, worst },
            pace: Pace {
                rotations: Window { since: times[5], count: rotations },
                replays: Window { since: times[6], count: replays },
            },
            life,
            ..base.clone()
        }
    })
}

fn ids() -> impl Strategy<Value = ([u8; 16], [u8; 16], [u8; 16])> {
    (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<[u8; 16]>())
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>().prop_filter("SQLite cuts at NUL in places", |c| *c != '\0'), 0..20)
        .prop_map(|characters| characters.into_iter().collect())
}

fn times() -> impl Strategy<Value = Time> {
    prop_oneof![any::<i64>(), 0..4_000_000_000_000i64, Just(i64::MAX)].prop_map(Time::from_millis)
}

fn generations() -> impl Strategy<Value = Generation> {
    prop_oneof![any::<u32>(), 1..100u32, Just(Generation::LAST.0)].prop_map(Generation)
}

fn holdings() -> impl Strategy<Value = Holding> {
    let bound =
        (any::<[u8; 32]>(), generations()).prop_map(|(key, from)| Holding::Bound { key: KeyThumbprint(key), from });
    prop_oneof![Just(Holding::Bearer), Just(Holding::ClientBound), bound]
}

fn lives() -> impl Strategy<Value = Life> {
    let ended = (times(), select(Reason::ALL)).prop_map(|(at, reason)| Life::Ended { at, reason });
    prop_oneof![Just(Life::Alive), ended]
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        any::<[u8; 16]>().prop_map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
    ]
}

fn networks() -> impl Strategy<Value = Network> {
    addresses().prop_map(Network::of)
}

fn contexts() -> impl Strategy<Value = Context> {
    (text(), networks(), any::<[u8; 8]>(), addresses()).prop_map(|(agent, network, address, prefix)| Context {
        user_agent: UserAgentFamily::from_stored(agent),
        network,
        address: AddressDigest(address),
        prefix: Prefix::of(prefix),
    })
}
