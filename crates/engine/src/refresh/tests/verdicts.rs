//! What a use makes the store write, and what its holder is told.

use std::collections::BTreeMap;

use regrant_jose::{Algorithm, SigningKey};

use super::{super::tokens::jittered, *};
use crate::{
    backchannel_logout::{Logout, Notice, Outcome},
    client::{Client, SecretId},
    code::Code,
    consent::Consent,
    digest::Digests,
    event::Origin,
    factor::password::{Cost, Hasher},
    keyring::{KeyState, SealedKey},
    login::{Account, FailureCount, FailureKey},
    mint::Mint,
    ports::{
        Access, Answer, AnswerJudge, Answering, ClientAdded, ClientRemoved, ClientsKept, Clock, CodeJudge,
        DeviceCodeAdded, End, Facts, GrantsEnded, Guess, Guessed, Identity, KeyMarked, LogoutClaim, NewDeviceCode,
        NewSession, NewSignIn, Opened, PasswordChange, PasswordChanged, PollJudge, Polling, Random, Redemption,
        ResourceAdded, ResourceRemoved, ResourcesKept, Retention, RingSwapped, RoleChanged, SecretRotated,
        SessionFilter, SignInRecord, Store, Swept, TimelineOf, Unobserved, UserChanged, UserSelector, UsersAdded,
    },
    refresh_key::{KeyMark, RefreshKeyRecord},
    resource::Resource,
    session::SessionRecord,
    settings::Settings,
    token::{Master, RefreshKeys, RefreshToken},
    user::{Identifier, NewUser, Role, User},
};

const OLD_MASTER: KeyId = KeyId(1);
const ACTIVE_MASTER: KeyId = KeyId(2);

/// An engine at `now` whose store has this grant and nothing else.
fn engine(loaded: Loaded, now: Time) -> Arc<Engine> {
    let random = Arc::new(Always(0x55));
    let masters = BTreeMap::from([(OLD_MASTER, Master::new([1; 32])), (ACTIVE_MASTER, Master::new([2; 32]))]);
    let issuer = "https://id.example";
    let signing = [crate::keyring::tests::standing(KeyState::Active, SigningKey::generate(Algorithm::Es256).unwrap())];
    let cheap = Cost { memory_kib: 8, passes: 1, lanes: 1 };
    Arc::new(Engine {
        store: Arc::new(OneGrant(loaded)),
        clock: Arc::new(At(now)),
        refresh_keys: RefreshKeys::new(&masters, ACTIVE_MASTER, issuer).unwrap(),
        mint: Mint::new(issuer, Seconds::minutes(15), &signing).unwrap(),
        digests: Digests::new(b"secret").unwrap(),
        hasher: Hasher::new(cheap, 1, 1, random.clone()).unwrap(),
        clients: crate::client::Clients::default(),
        resources: crate::resource::Resources::default(),
        settings: Settings::new(issuer),
        random,
        observer: Arc::new(Unobserved),
    })
}

struct Always(u8);

impl Random for Always {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

struct At(Time);

impl Clock for At {
    fn now(&self) -> Time {
        self.0
    }
}

/// No stand-in for a store, which has its own suite: it asks the judge and does nothing with the verdict.
struct OneGrant(Loaded);

macro_rules! never_asked {
    ($(fn $verb:ident($($argument:ty),*) -> $answer:ty;)+) => {
        impl Store for OneGrant {
            fn refresh(&self, _: GrantId, _: Wanted, judge: Judge) -> Answer<'_, Verdict> {
                let verdict = judge(Some(&self.0));
                Box::pin(async { Ok(verdict) })
            }

            $(never_asked!(@ $verb, $answer, $($argument),*);)+
        }
    };
    (@ $verb:ident, $answer:ty, ) => {
        fn $verb(&self) -> Answer<'_, $answer> { panic!("a use asks for nothing else") }
    };
    (@ $verb:ident, $answer:ty, $a:ty) => {
        fn $verb(&self, _: $a) -> Answer<'_, $answer> { panic!("a use asks for nothing else") }
    };
    (@ $verb:ident, $answer:ty, $a:ty, $b:ty) => {
        fn $verb(&self, _: $a, _: $b) -> Answer<'_, $answer> { panic!("a use asks for nothing else") }
    };
    (@ $verb:ident, $answer:ty, $a:ty, $b:ty, $c:ty) => {
        fn $verb(&self, _: $a, _: $b, _: $c) -> Answer<'_, $answer> { panic!("a use asks for nothing else") }
    };
    (@ $verb:ident, $answer:ty, $a:ty, $b:ty, $c:ty, $d:ty) => {
        fn $verb(&self, _: $a, _: $b, _: $c, _: $d) -> Answer<'_, $answer> { panic!("a use asks for nothing else") }
    };
}

never_asked! {
    fn change_password(GrantId, Judge, PasswordChange) -> PasswordChanged;
    fn open_session(NewSession) -> Opened;
    fn session(SessionId) -> Option<SessionRecord>;
    fn session_of(GrantRef) -> Option<SessionRecord>;
    fn session_by_secret(GrantId) -> Option<SessionRecord>;
    fn sessions(SessionFilter) -> Vec<SessionRecord>;
    fn end_session(SessionId, Option<UserId>, End) -> bool;
    fn end_sessions(UserId, Option<SessionId>, End) -> u64;
    fn account(Identifier) -> Option<Account>;
    fn failures(Vec<FailureKey>) -> Vec<FailureCount>;
    fn note_failure(Vec<FailureKey>, Time, Seconds, Event) -> ();
    fn add_users(Vec<NewUser>, Event) -> UsersAdded;
    fn user(UserSelector) -> Option<User>;
    fn users(Option<UserId>, u32) -> Vec<User>;
    fn password_hash(UserId) -> Option<String>;
    fn set_password(UserSelector, String, End) -> UserChanged;
    fn upgrade_password(UserId, String, String) -> ();
    fn set_disabled(UserSelector, bool, End) -> UserChanged;
    fn delete_user(UserSelector, End) -> UserChanged;
    fn add_role(String, Option<String>, Time) -> bool;
    fn roles() -> Vec<Role>;
    fn remove_role(String) -> bool;
    fn set_role(String, UserSelector, bool, End) -> RoleChanged;
    fn add_client(Client, Event) -> ClientAdded;
    fn client(ClientId) -> Option<Client>;
    fn clients() -> Vec<Client>;
    fn rotate_client_secret(ClientId, [u8; 32], Time, Event) -> SecretRotated;
    fn note_client_secret(ClientId, SecretId, Time) -> ();
    fn remove_client(ClientId, End, Event) -> ClientRemoved;
    fn keep_clients(Vec<Client>, End) -> ClientsKept;
    fn add_resource(Resource, bool, Event) -> ResourceAdded;
    fn resources() -> Vec<Resource>;
    fn had_resources() -> bool;
    fn remove_resource(String, Event) -> ResourceRemoved;
    fn keep_resources(Vec<Resource>, End) -> ResourcesKept;
    fn add_sign_in(NewSignIn) -> bool;
    fn sign_in([u8; 32]) -> Option<SignInRecord>;
    fn add_code(Code) -> ();
    fn redeem_code([u8; 32], CodeJudge) -> Redemption;
    fn add_device_code(NewDeviceCode) -> DeviceCodeAdded;
    fn find_device_code([u8; 16], Option<Guess>) -> Guessed;
    fn answer_device_code([u8; 16], AnswerJudge) -> Answering;
    fn poll_device_code([u8; 32], PollJudge) -> Polling;
    fn authentication(GrantId) -> Option<Authentication>;
    fn grant(GrantRef) -> Option<Loaded>;
    fn use_once([u8; 32], Time) -> bool;
    fn consent(UserId, ClientId) -> Option<Consent>;
    fn give_consent(Consent, Event) -> ();
    fn withdraw_consent(UserId, ClientId, End, Event) -> bool;
    fn access(UserId, u32) -> Access;
    fn claim_logouts(LogoutClaim) -> Vec<Notice>;
    fn settle_logout(Notice, Outcome, Time, Option<Event>) -> bool;
    fn logouts(crate::id::SessionId) -> Vec<Logout>;
    fn timeline(TimelineOf, u32) -> Vec<Event>;
    fn event(crate::id::EventId) -> Option<Event>;
    fn signing_keys() -> Vec<SealedKey>;
    fn swap_signing_keys(Vec<SealedKey>, Vec<SealedKey>, Vec<Event>) -> RingSwapped;
    fn refresh_keys() -> Vec<RefreshKeyRecord>;
    fn add_refresh_key(KeyId, [u8; 16], Event) -> ();
    fn refresh_key_uses(Time) -> Vec<(KeyId, u64)>;
    fn retire_refresh_key(KeyId, KeyMark, Event) -> KeyMarked;
    fn end_grants_of_key(KeyId, Option<GrantId>, u32, End) -> GrantsEnded;
    fn identity() -> Identity;
    fn remember(Identity) -> ();
    fn end_sessions_of_all(End, Option<SessionId>, u32) -> Option<SessionId>;
    fn count_sessions() -> u64;
    fn has_live_sessions(Time) -> bool;
    fn sweep(Time, Retention) -> Swept;
    fn ready(Time) -> ();
}

/// A use of the token `n` of the scene's grant, as the store is asked to judge it, and then as its holder sees it.
struct Told {
    loaded: Loaded,
    now: Time,
}

impl Told {
    fn of(scene: Scene) -> Self {
        Self {
            loaded: Loaded {
                state: scene.state,
                facts: Facts {
                    auth_time: BORN,
                    amr: ["pwd".to_owned()].into(),
                    roles: [].into(),
                    identifier: None,
                    attributes: None,
                },
            },
            now: scene.now,
        }
    }

    fn at(mut self, now: Time) -> Self {
        self.now = now;
        self
    }

    fn engine(&self) -> Arc<Engine> {
        engine(self.loaded.clone(), self.now)
    }

    fn token(&self, n: u32, salt: &Salt) -> Presented {
        let grant = &self.loaded.state.grant;
        let keys = &self.engine().refresh_keys;
        let token = keys.issue(grant.endpoint, grant.key, &grant.id, Generation(n), salt).unwrap();
        keys.open(grant.endpoint, token.expose()).unwrap()
    }

    fn using(&self, n: u32, intent: Intent) -> Use {
        let presented = self.token(n, &self.loaded.state.grant.salt);
        Use::of_session(presented, place(HOME, "Firefox on Linux"), intent)
    }

    fn verdict_of(&self, used: Use) -> Verdict {
        judge(&self.engine(), used, self.now)(Some(&self.loaded))
    }

    fn verdict(&self, n: u32, intent: Intent) -> Verdict {
        self.verdict_of(self.using(n, intent))
    }

    fn answer_of(&self, used: Use) -> Refreshed {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(refresh(&self.engine(), used)).unwrap()
    }

    fn answer(&self, n: u32, intent: Intent) -> Refreshed {
        self.answer_of(self.using(n, intent))
    }

    fn tokens(&self, n: u32, intent: Intent) -> Tokens {
        match self.answer(n, intent) {
            Refreshed::Tokens(tokens) => *tokens,
            other => panic!("tokens expected: {other:?}"),
        }
    }

    fn generation_of(&self, token: &RefreshToken) -> u32 {
        let keys = &self.engine().refresh_keys;
        let opened = keys.open(Endpoint::Session, token.expose()).unwrap();
        assert!(keys.is_genuine(&opened, &self.loaded.state.grant.salt));
        opened.generation.0
    }
}

fn kinds(verdict: &Verdict) -> Vec<EventKind> {
    verdict.events.iter().map(|event| event.kind).collect()
}

#[test]
fn without_a_grant_nothing_is_written() {
    let told = Told::of(Scene::bearer());
    let verdict = judge(&told.engine(), told.using(10, Intent::Rotate), told.now)(None);
    let nothing = Verdict {
        decision: Decision::Unknown,
        loaded: None,
        write: false,
        ends: None,
        renewed: None,
        events: vec![],
        mail: None,
    };
    assert_eq!(verdict, nothing);
}

#[test]
fn a_token_of_another_salt_or_client_is_answered_as_unknown() {
    let told = Told::of(Scene::bearer());
    let mut forged = told.using(10, Intent::Rotate);
    forged.presented = told.token(10, &Salt([99; 16]));
    let mut of_another = told.using(10, Intent::Rotate);
    of_another.client = ClientId::from("another");
    for (used, decision) in [(forged, Decision::Unknown), (of_another, Decision::Refused(Refusal::Client))] {
        let verdict = told.verdict_of(used.clone());
        assert_eq!((verdict.decision, verdict.write), (decision, false));
        assert!(matches!(told.answer_of(used), Refreshed::Over(WireReason::Unknown)));
    }
}

#[test]
fn refusals_and_ended_grants_write_nothing_anywhere() {
    let ended = Scene::bearer().with(|scene| {
        scene.state.grant.life = Life::Ended { at: ROTATED, reason: Reason::Reused };
    });
    let limited = Scene::bearer().with(|scene| {
        scene.state.grant.pace.rotations = Window { since: scene.now, count: 60 };
    });
    let stale = Scene::client_bound();
    for (scene, n) in [(ended, 10), (limited, 10), (stale, 8), (fenced(Scene::bearer()), 8)] {
        let told = Told::of(scene);
        let verdict = told.verdict(n, Intent::Rotate);
        assert_eq!((verdict.write, verdict.ends), (false, None), "{verdict:?}");
        assert!(verdict.events.is_empty() && verdict.mail.is_none());
        let loaded = verdict.loaded.unwrap();
        assert_eq!(loaded.state, told.loaded.state);
    }
}

#[test]
fn a_rotation_gives_the_successor_and_a_replay_the_same_one_again() {
    let mut told = Told::of(Scene::bearer());
    let verdict = told.verdict(10, Intent::Rotate);
    assert!(verdict.write);
    assert_eq!(kinds(&verdict), []);
    let line = verdict.renewed.as_ref().unwrap().told(&verdict.loaded.as_ref().unwrap().state.grant);
    assert_eq!((line.kind, line.at), (EventKind::Rotated, told.now));
    assert_eq!((&line.data["presented"], &line.data["issued"]), (&10.into(), &11.into()));
    let first = told.tokens(10, Intent::Rotate);
    assert_eq!(first.idle, Some(IdleDeadline(told.now.plus(Seconds::days(7)))));
    told.loaded = *verdict.loaded.unwrap();

    let verdict = told.verdict(10, Intent::Rotate);
    assert_eq!(kinds(&verdict), [EventKind::Replayed]);
    assert_eq!(verdict.events[0].data["replay"], "burst");
    let again = told.tokens(10, Intent::Rotate);
    let token = first.refresh_token.unwrap();
    assert_eq!(told.generation_of(&token), 11);
    assert_eq!(again.refresh_token, Some(token));
}

#[test]
fn a_peek_gives_an_access_token_and_no_refresh_token() {
    let told = Told::of(Scene::bearer());
    for n in [9, 10] {
        assert_eq!(told.tokens(n, Intent::Peek).refresh_token, None, "{n}");
    }
    let verdict = told.verdict(10, Intent::Peek);
    assert_eq!((verdict.write, verdict.ends), (false, None));
    assert!(verdict.events.is_empty());
}

/// The same grant at the same moment, once rotated long ago and once just now.
fn rotated_long_ago_and_just_now() -> [Told; 2] {
    let now = ROTATED.plus(Seconds::DAY);
    [Seconds::DAY, Seconds::MINUTE].map(|ago| {
        let rotated_at = now.minus(ago);
        Told::of(Scene::bearer().with(|scene| {
            scene.state.grant.rotated_at = rotated_at;
            scene.state.grant.last_event = rotated_at;
            scene.state.grant.idle = IdleDeadline(rotated_at.plus(Seconds::days(7)));
        }))
        .at(now)
    })
}

#[test]
fn a_replay_tells_no_deadline_that_reveals_when_the_rotation_was() {
    let [long_ago, just_now] = rotated_long_ago_and_just_now().map(|told| told.tokens(9, Intent::Rotate));
    assert_eq!((long_ago.idle, just_now.idle), (None, None));
    assert_eq!(long_ago.keep, just_now.keep);
    assert_eq!(long_ago.absolute, just_now.absolute);
}

#[test]
fn a_peeked_replay_tells_no_deadline_that_reveals_when_the_rotation_was() {
    let [long_ago, just_now] = rotated_long_ago_and_just_now().map(|told| told.tokens(9, Intent::Peek));
    assert_eq!(long_ago.idle, just_now.idle);
    assert_eq!(long_ago.keep, just_now.keep);
}

#[test]
fn a_new_token_is_made_by_the_active_master_and_a_repeated_one_by_its_own() {
    let mut told = Told::of(Scene::bearer());
    assert_eq!(told.loaded.state.grant.key, OLD_MASTER);
    let replayed = told.verdict(9, Intent::Rotate).loaded.unwrap();
    assert_eq!(replayed.state.grant.key, OLD_MASTER);
    told.loaded = *told.verdict(10, Intent::Rotate).loaded.unwrap();
    assert_eq!(told.loaded.state.grant.key, ACTIVE_MASTER);
}

#[test]
fn a_reuse_ends_the_family_tells_both_contexts_and_writes_a_mail() {
    let told = Told::of(Scene::bearer());
    let elsewhere = place(ELSEWHERE, "Chrome on Windows");
    let mut used = told.using(8, Intent::Peek);
    used.context = elsewhere.clone();
    let verdict = told.verdict_of(used.clone());
    assert_eq!(verdict.decision, Decision::Reused);
    assert_eq!((verdict.write, verdict.ends.map(|end| end.reason)), (true, Some(Reason::Reused)));
    assert_eq!(kinds(&verdict), [EventKind::Reused]);
    let event = &verdict.events[0];
    assert_eq!(event.reason, Some(Reason::Reused));
    assert_eq!(event.context, Some(Origin::from(&elsewhere)));
    let held_by = serde_json::json!(Origin::from(&told.loaded.state.grant.context));
    assert_eq!(event.data["held_by"], held_by);
    let mail = verdict.mail.unwrap();
    assert_eq!(mail.data["seen"], serde_json::json!(Origin::from(&elsewhere)));
    assert_eq!(mail.data["usual"], held_by);
    assert!(matches!(told.answer_of(used), Refreshed::Over(WireReason::Reused)));
}

#[test]
fn healing_and_giving_up_are_told_in_the_timeline() {
    let told = Told::of(Scene::bearer());
    assert_eq!(kinds(&told.verdict(11, Intent::Rotate)), [EventKind::Healed]);
    let verdict = told.verdict(13, Intent::Rotate);
    assert_eq!(kinds(&verdict), [EventKind::GrantEnded]);
    assert_eq!(verdict.ends.map(|end| end.reason), Some(Reason::StoreRecovered));
    assert!(verdict.mail.is_none());
}

#[test]
fn signing_out_and_being_replaced_end_the_session_of_whoever_the_table_lets_through() {
    let told = Told::of(Scene::bearer());
    for (intent, reason) in [(Intent::SignOut, Reason::SignedOut), (Intent::Replace, Reason::Replaced)] {
        for n in [9, 10, 11] {
            let verdict = told.verdict(n, intent);
            assert_eq!(verdict.ends.map(|end| end.reason), Some(reason), "{n}");
            assert!(matches!(told.answer(n, intent), Refreshed::Ended), "{n}");
        }
        let ends = told.verdict(8, intent).ends.map(|end| end.reason);
        assert_eq!(ends, Some(Reason::Reused), "an old token is theft");
        let fenced = Told::of(fenced(Scene::bearer()));
        assert_eq!(fenced.verdict(8, intent).ends, None, "and a superseded one nothing");
    }
}

#[test]
fn a_read_that_may_rotate_does_so_once_the_age_is_reached() {
    let intent = Intent::RotateAfter(Seconds::minutes(15));
    let age = ROTATED.plus(Seconds::minutes(15));
    let young = Told::of(Scene::bearer()).at(millis_after(age, -1));
    assert_eq!(young.verdict(10, intent).decision, Decision::Kept);
    let old = Told::of(Scene::bearer()).at(age);
    assert_eq!(old.verdict(10, intent).decision, rotated_to(11));
}

#[test]
fn the_next_refresh_is_due_at_two_thirds_of_the_lifetime_give_or_take_a_fifth() {
    for (lifetime, earliest, latest) in [(900, 480, 720), (300, 160, 240), (60, 32, 48)] {
        assert_eq!(jittered(Seconds(lifetime), &Always(0)), Seconds(earliest));
        assert_eq!(jittered(Seconds(lifetime), &Always(0xff)), Seconds(latest));
        let middle = jittered(Seconds(lifetime), &Always(0x80)).0;
        assert!((earliest..latest).contains(&middle), "{middle}");
    }
}
