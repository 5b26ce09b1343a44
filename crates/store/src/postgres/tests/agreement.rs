//! The one statement and the decision table agree: grants and uses at every edge of row 15, through both.

use std::sync::{Arc, Mutex};

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_oneof,
    sample::select,
    strategy::ValueTree,
    test_runner::TestRunner,
};
use regrant_engine::{
    Engine,
    context::{Context, Networks},
    event::{Actor, Event, EventKind},
    id::{ClientId, Generation, GrantRef, SessionId},
    ports::{Loaded, NewSession, Opened, Store, Verdict, Wanted},
    reason::{Life, Reason},
    refresh::{
        Attempt, Decision, Grant, GrantKind, Holding, Intent, KeyThumbprint, Replay, Risk, Suspicion, Terms, Use,
        Window, apply, decide, refresh,
    },
    session::Session,
    time::{AbsoluteDeadline, IdleDeadline, Seconds, Time},
    token::{Endpoint, GrantId, KeyId, Salt},
};

use super::{Database, Options, PostgresStore};
use crate::contract::world::{ABROAD, CURL, FIREFOX, HOME, Place, RealRandom, World, context};

const CASES: usize = 500;

/// A place whose store the test can ask more of.
struct Known(Arc<PostgresStore>, Database);

impl Place for Known {
    fn open(&self) -> Arc<dyn Store> {
        Arc::<PostgresStore>::clone(&self.0)
    }

    fn after_a_crash(&self) -> Box<dyn Place> {
        self.1.after_a_crash()
    }

    fn beside(&self) -> Box<dyn Place> {
        self.1.beside()
    }

    fn mails(&self) -> usize {
        self.1.mails()
    }
}

/// One way in which a grant or its use is not like any other.
#[derive(Clone, Debug)]
enum Edge {
    Generation(u32),
    Presented(i64),
    Fence(i64),
    Used,
    Holding(Holding),
    Proof(u8),
    Idle(i64),
    Absolute(i64),
    IssuedBefore(i64),
    LastEvent(i64),
    Rotations(i64, u32),
    Replays(u32),
    Suspicion(u8, Option<Replay>),
    Networks(bool),
    From(&'static str, &'static str),
    Client,
    OtherEndpoint,
    Kind(GrantKind),
    Ended,
    Forged,
    OtherKey,
    Lifetimes(u32, u32),
}

fn edges() -> impl Strategy<Value = Edge> {
    let near = || prop_oneof![Just(-1i64), Just(0), Just(1), -100_000..100_000i64];
    let bound = (0..2u8, 1..40u32)
        .prop_map(|(key, from)| Holding::Bound { key: KeyThumbprint([key; 32]), from: Generation(from) });
    prop_oneof![
        prop_oneof![1..70u32, Just(Generation::LAST.0 - 1), Just(Generation::LAST.0)].prop_map(Edge::Generation),
        prop_oneof![Just(-1i64), Just(1), -3..4i64].prop_map(Edge::Presented),
        (-1..2i64).prop_map(Edge::Fence),
        Just(Edge::Used),
        prop_oneof![Just(Holding::Bearer), Just(Holding::ClientBound), bound].prop_map(Edge::Holding),
        (0..2u8).prop_map(Edge::Proof),
        near().prop_map(Edge::Idle),
        near().prop_map(Edge::Absolute),
        near().prop_map(Edge::IssuedBefore),
        near().prop_map(Edge::LastEvent),
        (prop_oneof![Just(-60_000i64), Just(-59_999), near()], 0..70u32)
            .prop_map(|(since, count)| Edge::Rotations(since, count)),
        (0..400u32).prop_map(Edge::Replays),
        (any::<u8>(), proptest::option::of(select(Replay::ALL)))
            .prop_map(|(points, worst)| Edge::Suspicion(points, worst)),
        any::<bool>().prop_map(Edge::Networks),
        (select(vec![HOME, ABROAD, "192.0.2.8", "192.0.3.8"]), select(vec![FIREFOX, CURL]))
            .prop_map(|(address, agent)| Edge::From(address, agent)),
        Just(Edge::Client),
        Just(Edge::OtherEndpoint),
        select(GrantKind::ALL).prop_map(Edge::Kind),
        Just(Edge::Ended),
        Just(Edge::Forged),
        Just(Edge::OtherKey),
        (1..20_000_000u32, 1..40_000_000u32).prop_map(|(idle, absolute)| Edge::Lifetimes(idle, absolute)),
    ]
}

/// A grant, and a use of it.
struct Case {
    grant: Grant,
    presented: Generation,
    forged: bool,
    endpoint: Endpoint,
    client: ClientId,
    proof: Option<KeyThumbprint>,
    context: Context,
    terms: Terms,
}

fn case(template: &Grant, context_at: &dyn Fn(&str, &str) -> Context, now: Time, edges: &[Edge]) -> Case {
    let session = SessionId::new(now, &RealRandom);
    let mut random = [0; 28];
    regrant_engine::ports::Random::fill(&RealRandom, &mut random);
    let (id, salt) = random.split_at(12);
    let grant = Grant {
        id: GrantId([&template.id.0[..4], id].concat().try_into().unwrap()),
        salt: Salt(salt.try_into().unwrap()),
        public_id: GrantRef::own_of(session),
        session: Some(session),
        generation: Generation(5),
        idle: IdleDeadline(now.plus(Seconds::days(1))),
        ..template.clone()
    };
    let mut case = Case {
        presented: grant.generation,
        forged: false,
        endpoint: grant.endpoint,
        client: grant.client.clone(),
        proof: None,
        context: context_at(HOME, FIREFOX),
        terms: Terms::default(),
        grant,
    };
    let from_now = |millis: i64| Time::from_millis(now.millis() + millis);
    for edge in edges {
        let grant = &mut case.grant;
        match edge.clone() {
            Edge::Generation(generation) => {
                grant.generation = Generation(generation);
                case.presented = grant.generation;
            }
            Edge::Presented(step) => {
                case.presented = Generation(u32::try_from(i64::from(grant.generation.0) + step).unwrap_or(1));
            }
            Edge::Fence(step) => {
                grant.fence = Some(Generation(u32::try_from(i64::from(grant.generation.0) + step).unwrap_or(1)));
            }
            Edge::Used => grant.newest_used = true,
            Edge::Holding(holding) => grant.holding = holding,
            Edge::Proof(key) => case.proof = Some(KeyThumbprint([key; 32])),
            Edge::Idle(millis) => grant.idle = IdleDeadline(from_now(millis)),
            Edge::Absolute(millis) => grant.absolute = AbsoluteDeadline(from_now(millis)),
            Edge::IssuedBefore(millis) => {
                grant.issued_at = from_now(millis).minus(Seconds::days(30));
            }
            Edge::LastEvent(millis) => grant.last_event = from_now(millis),
            Edge::Rotations(since, count) => grant.pace.rotations = Window { since: from_now(since), count },
            Edge::Replays(count) => grant.pace.replays = Window { since: now, count },
            Edge::Suspicion(points, worst) => grant.suspicion = Suspicion { points, worst },
            Edge::Networks(first) => {
                let (here, there) = (context_at(HOME, FIREFOX).network, context_at(ABROAD, FIREFOX).network);
                let mut networks = Networks::starting_with(if first { there } else { here });
                networks.note(if first { here } else { there });
                grant.networks = networks;
            }
            Edge::From(address, agent) => case.context = context_at(address, agent),
            Edge::Client => case.client = ClientId::from("another"),
            Edge::OtherEndpoint => grant.client = ClientId::from("shop"),
            Edge::Kind(kind) => grant.kind = kind,
            Edge::Ended => grant.life = Life::Ended { at: now, reason: Reason::RevokedByUser },
            Edge::Forged => case.forged = true,
            Edge::OtherKey => grant.key = KeyId(2),
            Edge::Lifetimes(idle, absolute) => {
                (case.terms.idle, case.terms.absolute) = (Some(Seconds(idle)), Some(Seconds(absolute)));
            }
        }
    }
    case
}

async fn read(engine: &Engine, id: GrantId) -> Loaded {
    let seen = Arc::new(Mutex::new(None));
    let found = Arc::clone(&seen);
    let judge = Box::new(move |loaded: Option<&Loaded>| {
        *found.lock().unwrap() = loaded.cloned();
        Verdict {
            decision: Decision::Kept,
            loaded: None,
            write: false,
            ends: None,
            renewed: None,
            events: vec![],
            mail: None,
        }
    });
    engine.store.refresh(id, Wanted::Roles, judge).await.unwrap();
    seen.lock().unwrap().take().unwrap()
}

async fn agree(batch: usize) {
    let database = Database::new();
    let store = Arc::new(database.store(Options { connections: 16, batch, ..Options::default() }));
    let mut world = World::at(Box::new(Known(Arc::clone(&store), database))).await;
    world.settings.sessions_per_user = u32::MAX;
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let template = world.record(signed.session).await;
    let engine = world.engine();
    let now = engine.now();
    let context_at = |address: &str, agent: &str| context(&engine, address, agent);
    let mut runner = TestRunner::deterministic();
    let (mut rotated, before) = (0, store.inner.swifts.done());
    for number in 0..CASES {
        // Most are one or two steps from what the statement does.
        let drawn = vec(edges(), 0..4).new_tree(&mut runner).unwrap().current();
        let case = case(&template.grant, &context_at, now, &drawn);
        let session = Session {
            id: case.grant.session.unwrap(),
            grant: case.grant.public_id,
            life: Life::Alive,
            ..template.session.clone()
        };
        let event = Event::new(EventKind::SessionCreated, now, Actor::User, &RealRandom);
        let new = NewSession {
            session,
            grant: case.grant.clone(),
            limit: u32::MAX,
            replaces: None,
            event: event.of(&case.grant),
            forgive: vec![],
        };
        assert!(matches!(store.open_session(new).await.unwrap(), Opened::Opened { .. }));

        let salt = if case.forged { Salt([9; 16]) } else { case.grant.salt };
        let token = engine.refresh_keys.issue(case.endpoint, KeyId(1), &case.grant.id, case.presented, &salt).unwrap();
        let presented = engine.refresh_keys.open(case.endpoint, token.expose()).unwrap();
        let used = Use {
            presented,
            client: case.client.clone(),
            asks_for_more: false,
            context: case.context.clone(),
            intent: Intent::Rotate,
            terms: Terms { proof: case.proof, ..case.terms.clone() },
        };
        let state = read(&engine, case.grant.id).await.state;
        let policy = case.terms.policy(&engine, case.grant.kind);
        let attempt = Attempt {
            generation: case.presented,
            genuine: !case.forged,
            endpoint: case.endpoint,
            client: case.client.clone(),
            proof: case.proof,
            asks_for_more: false,
            peek: false,
            context: case.context.clone(),
            risk: Risk::Low,
        };
        let decision = decide(Some(&state), &attempt, &policy, now);
        rotated += u64::from(matches!(decision, Decision::Rotated { .. }));
        let mut expected = apply(&decision, &state.grant, &attempt, &policy, now).unwrap_or(state.grant.clone());
        if expected.generation != state.grant.generation {
            expected.key = KeyId(1);
        }
        // A successor of another key than was presented cannot be signed in this world.
        let _ = refresh(&engine, used).await;
        let found = read(&engine, case.grant.id).await.state.grant;
        assert_eq!(found, expected, "case {number}: {decision:?} after {drawn:?}");
    }
    let swift = store.inner.swifts.done() - before;
    assert!(rotated > 90 && swift > rotated / 3, "{swift} of {rotated} rotations by one statement");
    drop(engine);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_statement_for_one_refresh_says_what_the_table_says() {
    agree(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_statement_for_many_refreshes_says_what_the_table_says() {
    agree(256).await;
}
