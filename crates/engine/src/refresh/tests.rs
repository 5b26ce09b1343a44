//! The rotation's rules, each number and both sides of each condition; then random histories; then what is told of a use.
//!
//! A [`Scene`] is a grant with g = 10, an attempt at it and the time. It begins as one that rotates, and each test says how
//! its own differs.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{
    context::{AddressDigest, Network, Networks, Prefix, UserAgentFamily},
    id::{Epoch, Generation, GrantRef, SessionId, UserId},
    reason::Life,
    time::{AbsoluteDeadline, IdleDeadline},
    token::{GrantId, KeyId, Salt},
};

mod histories;
mod verdicts;

const BORN: Time = Time::from_millis(1_700_000_000_000);
const ROTATED: Time = BORN.plus(Seconds::HOUR);
const G: u32 = 10;
const KEY: KeyThumbprint = KeyThumbprint([1; 32]);
const OTHER_KEY: KeyThumbprint = KeyThumbprint([2; 32]);

const HOME: &str = "203.0.113.7";
/// Of the same /16 as [`HOME`].
const NEIGHBOUR: &str = "203.0.200.9";
const ELSEWHERE: &str = "198.51.100.1";

#[derive(Clone, Debug)]
struct Scene {
    state: State,
    attempt: Attempt,
    policy: Policy,
    now: Time,
}

impl Scene {
    /// A session's own grant, held as `holding`, a quarter of an hour after its last rotation, used from home.
    fn held(holding: Holding) -> Self {
        let home = place(HOME, "Firefox on Linux");
        let grant = Grant {
            id: GrantId([3; 16]),
            public_id: GrantRef::from_bytes([4; 16]),
            salt: Salt([5; 16]),
            key: KeyId(1),
            endpoint: Endpoint::Session,
            client: ClientId::session_api(),
            user: UserId::from_bytes([6; 16]),
            session: Some(SessionId::from_bytes([7; 16])),
            epoch: Epoch(3),
            holding,
            kind: GrantKind::Cookie,
            generation: Generation(G),
            fence: None,
            newest_used: false,
            scope: "openid".into(),
            audience: "https://api.example".into(),
            issued_at: BORN,
            rotated_at: ROTATED,
            last_event: ROTATED,
            idle: IdleDeadline(ROTATED.plus(Seconds::days(7))),
            absolute: AbsoluteDeadline(BORN.plus(Seconds::days(30))),
            context: home.clone(),
            networks: Networks::starting_with(home.network),
            suspicion: Suspicion::default(),
            pace: Pace::default(),
            life: Life::Alive,
        };
        let attempt = Attempt {
            generation: Generation(G),
            genuine: true,
            endpoint: grant.endpoint,
            client: grant.client.clone(),
            proof: matches!(holding, Holding::Bound { .. }).then_some(KEY),
            asks_for_more: false,
            peek: false,
            context: home,
            risk: Risk::Low,
        };
        Self {
            state: State {
                session: Some(Life::Alive),
                user: Owner::Active(grant.epoch),
                session_until: None,
                client_exists: true,
                consent_stands: true,
                grant,
            },
            attempt,
            policy: Policy::with_lifetimes(Seconds::days(7), Some(Seconds::days(30))),
            now: ROTATED.plus(Seconds::minutes(15)),
        }
    }

    fn bearer() -> Self {
        Self::held(Holding::Bearer)
    }

    /// Bound from the first generation on, and the proof is there.
    fn bound() -> Self {
        Self::bound_from(1)
    }

    fn bound_from(from: u32) -> Self {
        Self::held(Holding::Bound { key: KEY, from: Generation(from) })
    }

    fn client_bound() -> Self {
        Self::held(Holding::ClientBound)
    }

    fn of_every_holding() -> [Self; 3] {
        [Self::bearer(), Self::bound(), Self::client_bound()]
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn presenting(self, n: u32) -> Self {
        self.with(|scene| scene.attempt.generation = Generation(n))
    }

    fn from(self, address: &str, browser: &str) -> Self {
        self.with(|scene| scene.attempt.context = place(address, browser))
    }

    fn proving(self, proof: Option<KeyThumbprint>) -> Self {
        self.with(|scene| scene.attempt.proof = proof)
    }

    fn peeking(self) -> Self {
        self.with(|scene| scene.attempt.peek = true)
    }

    fn at(self, now: Time) -> Self {
        self.with(|scene| scene.now = now)
    }

    fn points(self, points: u8) -> Self {
        self.with(|scene| scene.state.grant.suspicion.points = points)
    }

    fn strict(self) -> Self {
        self.with(|scene| scene.policy.replay = ReplayPolicy::Strict)
    }

    fn rotation_off(self) -> Self {
        self.with(|scene| scene.policy.rotation = Rotation::Off)
    }

    fn decide(&self) -> Decision {
        decide(Some(&self.state), &self.attempt, &self.policy, self.now)
    }

    /// What the use decides, and the row that it writes.
    fn outcome(&self) -> (Decision, Option<Grant>) {
        let decision = self.decide();
        let written = apply(&decision, &self.state.grant, &self.attempt, &self.policy, self.now);
        (decision, written)
    }

    /// Uses the token `n` and lets the grant become what that makes of it.
    fn play(&mut self, n: u32) -> Decision {
        self.attempt.generation = Generation(n);
        let (decision, written) = self.outcome();
        if let Some(grant) = written {
            self.state.grant = grant;
        }
        decision
    }

    /// One whole generation: the newest token is used at home, and its predecessor again after `wait` from `address`.
    fn generation_with_replay(&mut self, wait: Seconds, address: &str) -> Decision {
        let n = self.state.grant.generation.0;
        self.attempt.context = place(HOME, "Firefox on Linux");
        self.now = self.now.plus(Seconds::minutes(15));
        assert!(matches!(self.play(n), Decision::Rotated { .. }), "{self:?}");
        self.attempt.context = place(address, "Firefox on Linux");
        self.now = self.now.plus(wait);
        self.play(n)
    }
}

fn place(address: &str, browser: &str) -> Context {
    let address: std::net::IpAddr = address.parse().unwrap();
    let mut digest = [0; 8];
    if let std::net::IpAddr::V4(v4) = address {
        digest[..4].copy_from_slice(&v4.octets());
    }
    Context {
        user_agent: UserAgentFamily::from_stored(browser.to_owned()),
        network: Network::of(address),
        address: AddressDigest(digest),
        prefix: Prefix::of(address),
    }
}

fn millis_after(time: Time, millis: i64) -> Time {
    Time::from_millis(time.millis() + millis)
}

fn rotated_to(next: u32) -> Decision {
    Decision::Rotated { next: Generation(next) }
}

// Rows 2 and 3.

#[test]
fn row_02_without_a_grant_or_with_a_wrong_mac_a_token_is_unknown() {
    for scene in Scene::of_every_holding() {
        let absent = decide(None, &scene.attempt, &scene.policy, scene.now);
        assert_eq!(absent, Decision::Unknown);
        let forged = scene.with(|scene| scene.attempt.genuine = false);
        assert_eq!(forged.outcome(), (Decision::Unknown, None));
    }
}

#[test]
fn row_03_another_client_or_kind_of_endpoint_is_refused_for_any_generation() {
    for scene in Scene::of_every_holding() {
        for n in [1, 8, 9, 10, 11, 12, 13] {
            let other_client =
                scene.clone().presenting(n).with(|scene| scene.attempt.client = ClientId::from("another"));
            let other_endpoint = scene.clone().presenting(n).with(|scene| scene.attempt.endpoint = Endpoint::OAuth);
            let refused = (Decision::Refused(Refusal::Client), None);
            assert_eq!(other_client.outcome(), refused, "{n}");
            assert_eq!(other_endpoint.outcome(), refused, "{n}");
        }
    }
}

// Row 4.

#[test]
fn row_04_a_bound_token_without_the_proof_of_its_key_is_refused_for_any_generation_that_needs_one() {
    for proof in [None, Some(OTHER_KEY)] {
        for n in [5, 7, 8, 9, 10, 11, 12, 13] {
            let scene = Scene::bound_from(5).presenting(n).proving(proof);
            assert_eq!(scene.outcome(), (Decision::Refused(Refusal::Proof), None), "{n}");
        }
    }
}

#[test]
fn row_04_asks_no_proof_for_generations_before_the_binding() {
    for proof in [None, Some(OTHER_KEY)] {
        let before = Scene::bound_from(5).presenting(4).proving(proof);
        assert_eq!(before.decide(), Decision::Reused, "row 9 instead");
    }
}

#[test]
fn row_04_asks_no_proof_of_bearers_and_clients() {
    for scene in [Scene::bearer(), Scene::client_bound()] {
        for proof in [None, Some(OTHER_KEY)] {
            assert_eq!(scene.clone().proving(proof).decide(), rotated_to(11));
        }
    }
}

// Rows 5 and 6.

#[test]
fn row_05_an_ended_grant_tells_its_reason_for_any_generation_and_stays_as_it_is() {
    for scene in Scene::of_every_holding() {
        for &reason in Reason::ALL {
            for n in [1, 8, 9, 10, 11, 13] {
                let over = scene.clone().presenting(n).with(|scene| {
                    scene.state.grant.life = Life::Ended { at: ROTATED, reason };
                });
                assert_eq!(over.outcome(), (Decision::Ended(reason), None));
            }
        }
    }
}

#[test]
fn row_06_what_a_grant_hangs_on_ends_it_with_its_own_reason() {
    type Change = fn(&mut Scene);
    let cases: [(&str, Change, Reason); 8] = [
        (
            "the session",
            |scene| {
                scene.state.session = Some(Life::Ended { at: ROTATED, reason: Reason::RevokedByAdmin });
            },
            Reason::RevokedByAdmin,
        ),
        ("its session's deadline", |scene| scene.state.session_until = Some(ROTATED), Reason::SessionEnded),
        ("the epoch", |scene| scene.state.user = Owner::Active(Epoch(4)), Reason::EpochRaised),
        ("the user, disabled", |scene| scene.state.user = Owner::Disabled, Reason::UserDisabled),
        ("the user, gone", |scene| scene.state.user = Owner::Gone, Reason::UserDeleted),
        ("the client", |scene| scene.state.client_exists = false, Reason::ClientRemoved),
        ("the consent", |scene| scene.state.consent_stands = false, Reason::ConsentRevoked),
        ("a deadline", |scene| scene.now = BORN.plus(Seconds::days(8)), Reason::ExpiredIdle),
    ];
    for scene in Scene::of_every_holding() {
        for n in [1, 8, 9, 10, 11, 13] {
            for (what, change, reason) in cases {
                let over = scene.clone().presenting(n).with(change);
                assert_eq!(over.outcome(), (Decision::Ended(reason), None), "{what}, n = {n}");
            }
        }
    }
}

#[test]
fn row_06_an_oauth_grant_says_only_that_its_session_ended() {
    let scene = Scene::bearer().with(|scene| {
        scene.state.grant.endpoint = Endpoint::OAuth;
        scene.attempt.endpoint = Endpoint::OAuth;
        scene.state.session = Some(Life::Ended { at: ROTATED, reason: Reason::Reused });
    });
    assert_eq!(scene.decide(), Decision::Ended(Reason::SessionEnded));
}

#[test]
fn row_06_an_offline_grant_needs_no_session() {
    let scene = Scene::bearer().with(|scene| {
        scene.state.session = None;
        scene.state.grant.session = None;
    });
    assert_eq!(scene.decide(), rotated_to(11));
}

#[test]
fn row_06_a_deadline_acts_at_its_millisecond() {
    for scene in Scene::of_every_holding() {
        let idle = scene.state.grant.idle.0;
        assert_eq!(scene.clone().at(millis_after(idle, -1)).decide(), rotated_to(11));
        assert_eq!(scene.clone().at(idle).decide(), Decision::Ended(Reason::ExpiredIdle));

        let absolute = scene.state.grant.absolute.0;
        let busy = scene.with(|scene| scene.state.grant.idle = IdleDeadline(absolute));
        assert_eq!(busy.clone().at(millis_after(absolute, -1)).decide(), rotated_to(11));
        assert_eq!(busy.at(absolute).outcome(), (Decision::Ended(Reason::ExpiredAbsolute), None));
    }
}

#[test]
fn row_06_of_two_deadlines_the_one_that_passed_first_is_told() {
    let scene = Scene::bearer().at(BORN.plus(Seconds::days(300)));
    assert_eq!(scene.decide(), Decision::Ended(Reason::ExpiredIdle));
    let configured_shorter = scene.with(|scene| scene.policy.absolute = Some(Seconds::DAY));
    assert_eq!(configured_shorter.decide(), Decision::Ended(Reason::ExpiredAbsolute));
}

#[test]
fn a_shorter_configured_absolute_lifetime_acts_and_a_longer_one_never_does() {
    let shorter = Scene::bearer().with(|scene| scene.policy.absolute = Some(Seconds::DAY));
    let end = BORN.plus(Seconds::DAY);
    assert_eq!(shorter.clone().at(millis_after(end, -1)).decide(), rotated_to(11));
    assert_eq!(shorter.clone().at(end).decide(), Decision::Ended(Reason::ExpiredAbsolute));
    let written = shorter.outcome().1.unwrap();
    assert_eq!(written.absolute, AbsoluteDeadline(end));
    assert_eq!(written.idle, IdleDeadline(end));

    for longer in [None, Some(Seconds::days(365))] {
        let scene = Scene::bearer().with(|scene| scene.policy.absolute = longer);
        let written = scene.outcome().1.unwrap();
        assert_eq!(written.absolute, scene.state.grant.absolute);
    }
}

#[test]
fn without_an_absolute_lifetime_only_idleness_ends_a_grant() {
    let scene = Scene::client_bound().with(|scene| {
        scene.state.grant.absolute = AbsoluteDeadline::NEVER;
        scene.policy.absolute = None;
    });
    let written = scene.outcome().1.unwrap();
    assert_eq!(written.absolute, AbsoluteDeadline::NEVER);
    assert_eq!(written.idle, IdleDeadline(scene.now.plus(Seconds::days(7))));
}

// Row 7.

fn fenced(scene: Scene) -> Scene {
    scene.with(|scene| scene.state.grant.fence = Some(Generation(G)))
}

#[test]
fn row_07_the_token_before_an_unused_change_of_privilege_is_superseded_and_no_theft() {
    for scene in Scene::of_every_holding() {
        let scene = fenced(scene).presenting(8);
        assert_eq!(scene.outcome(), (Decision::Refused(Refusal::Superseded), None));
    }
}

#[test]
fn row_07_holds_only_for_the_token_two_behind_an_unused_fence() {
    let used = fenced(Scene::bearer()).presenting(8).with(|scene| scene.state.grant.newest_used = true);
    assert_eq!(used.decide(), Decision::Reused);
    assert_eq!(fenced(Scene::bearer()).presenting(7).decide(), Decision::Reused);
    for older_fence in [None, Some(Generation(8)), Some(Generation(9))] {
        let scene = Scene::bearer().presenting(8).with(|scene| scene.state.grant.fence = older_fence);
        assert_eq!(scene.decide(), Decision::Reused, "{older_fence:?}");
    }
}

#[test]
fn row_07_a_peek_of_the_new_token_counts_as_its_use() {
    let mut scene = fenced(Scene::bearer()).peeking();
    assert_eq!(scene.play(10), Decision::Kept);
    assert!(scene.state.grant.newest_used);
    assert_eq!(scene.play(8), Decision::Reused);
}

#[test]
fn row_07_a_rotation_of_the_new_token_takes_the_fence_away() {
    let mut scene = fenced(Scene::bearer());
    assert_eq!(scene.play(10), rotated_to(11));
    assert_eq!(scene.state.grant.fence, None);
    assert_eq!(scene.play(8), Decision::Reused);
}

// Rows 8 and 9.

#[test]
fn row_08_an_old_token_of_its_rightful_holder_is_stale() {
    for scene in [Scene::bound(), Scene::client_bound()] {
        for n in [1, 7, 8] {
            let scene = scene.clone().presenting(n);
            assert_eq!(scene.outcome(), (Decision::Refused(Refusal::Stale), None), "{n}");
        }
    }
    let before_the_binding = Scene::bound_from(10).presenting(8);
    assert_eq!(before_the_binding.decide(), Decision::Refused(Refusal::Stale));
}

#[test]
fn row_09_an_old_token_of_anybody_else_ends_the_family() {
    for n in [0, 1, 7, 8] {
        assert_eq!(Scene::bearer().presenting(n).decide(), Decision::Reused, "{n}");
        assert_eq!(Scene::bearer().presenting(n).peeking().decide(), Decision::Reused, "{n}");
        let unproven = Scene::bound_from(10).presenting(n).proving(None);
        assert_eq!(unproven.decide(), Decision::Reused, "{n}");
    }
    assert_eq!(
        Scene::bearer().presenting(8).proving(Some(KEY)).decide(),
        Decision::Reused,
        "a proof means nothing for a grant that is not bound"
    );
}

// Rows 10 and 11.

#[test]
fn row_10_a_token_one_or_two_ahead_is_believed_of_its_rightful_holder() {
    for scene in [Scene::bound(), Scene::client_bound()] {
        let scene = scene.from(ELSEWHERE, "Chrome on Windows");
        for (n, next) in [(11, 12), (12, 13)] {
            assert_eq!(scene.clone().presenting(n).decide(), Decision::Healed { next: Generation(next) });
        }
    }
}

#[test]
fn row_10_a_bearer_is_believed_from_the_context_of_the_last_use() {
    for (n, next) in [(11, 12), (12, 13)] {
        let healed = Decision::Healed { next: Generation(next) };
        assert_eq!(Scene::bearer().presenting(n).decide(), healed);
        let neighbour = Scene::bearer().presenting(n).from(NEIGHBOUR, "Firefox on Linux");
        assert_eq!(neighbour.decide(), healed, "the address may differ, the network not");
    }
}

#[test]
fn row_11_a_token_further_ahead_or_from_elsewhere_ends_the_family() {
    let ends = Decision::Ends(Reason::StoreRecovered);
    for scene in Scene::of_every_holding() {
        for n in [13, 14, 1000, u32::MAX] {
            assert_eq!(scene.clone().presenting(n).decide(), ends, "{n}");
        }
    }
    for n in [11, 12] {
        let scene = Scene::bearer().presenting(n);
        assert_eq!(scene.clone().from(ELSEWHERE, "Firefox on Linux").decide(), ends);
        assert_eq!(scene.from(HOME, "Chrome on Linux").decide(), ends);
    }
}

// Rows 12 and 13.

#[test]
fn row_12_asking_for_more_is_refused_alike_for_the_newest_token_and_its_predecessor() {
    for scene in Scene::of_every_holding() {
        for n in [9, 10] {
            for peek in [false, true] {
                let scene = scene.clone().presenting(n).with(|scene| {
                    scene.attempt.asks_for_more = true;
                    scene.attempt.peek = peek;
                });
                assert_eq!(scene.outcome(), (Decision::Refused(Refusal::Scope), None));
            }
        }
    }
}

#[test]
fn row_13_high_risk_ends_and_medium_risk_asks_for_a_factor() {
    for scene in Scene::of_every_holding() {
        for n in [9, 10] {
            for peek in [false, true] {
                let scene = scene.clone().presenting(n).with(|scene| scene.attempt.peek = peek);
                let high = scene.clone().with(|scene| scene.attempt.risk = Risk::High);
                assert_eq!(high.decide(), Decision::Ends(Reason::RiskHigh));
                let medium = scene.with(|scene| scene.attempt.risk = Risk::Medium);
                assert_eq!(medium.outcome(), (Decision::Refused(Refusal::StepUp), None));
            }
        }
    }
}

// Rows 14 and 15.

#[test]
fn row_14_a_peek_keeps_the_token_and_changes_nothing() {
    for scene in Scene::of_every_holding() {
        for scene in [scene.clone(), scene.rotation_off()] {
            assert_eq!(scene.peeking().outcome(), (Decision::Kept, None));
        }
    }
}

#[test]
fn row_14_without_rotation_the_token_is_kept_and_its_idle_deadline_slides() {
    for scene in [Scene::bound(), Scene::client_bound()] {
        let scene = scene.rotation_off();
        let (decision, written) = scene.outcome();
        assert_eq!(decision, Decision::Kept);
        let expected =
            Grant { idle: IdleDeadline(scene.now.plus(Seconds::days(7))), last_event: scene.now, ..scene.state.grant };
        assert_eq!(written, Some(expected));
    }
}

#[test]
fn row_14_without_rotation_idleness_never_passes_the_absolute_deadline() {
    let scene = Scene::client_bound().rotation_off().with(|scene| scene.policy.absolute = Some(Seconds::days(2)));
    let written = scene.outcome().1.unwrap();
    let end = BORN.plus(Seconds::days(2));
    assert_eq!((written.absolute, written.idle), (AbsoluteDeadline(end), IdleDeadline(end)));
}

#[test]
fn row_14_rotation_cannot_be_switched_off_for_a_bearer() {
    assert_eq!(Scene::bearer().rotation_off().decide(), rotated_to(11));
}

#[test]
fn row_15_the_newest_token_rotates_whoever_holds_it_rightly_and_wherever() {
    for scene in Scene::of_every_holding() {
        assert_eq!(scene.decide(), rotated_to(11));
        let travelled = scene.from(ELSEWHERE, "Chrome on Windows");
        assert_eq!(travelled.decide(), rotated_to(11));
    }
}

#[test]
fn row_15_near_the_end_of_counting_the_grant_ends() {
    let last = Generation::LAST.0;
    for scene in Scene::of_every_holding() {
        let at_generation =
            |g: u32| scene.clone().presenting(g).with(|scene| scene.state.grant.generation = Generation(g));
        assert_eq!(at_generation(last - 1).decide(), rotated_to(last));
        assert_eq!(at_generation(last).decide(), Decision::Ends(Reason::GenerationExhausted));
        assert_eq!(at_generation(u32::MAX).decide(), Decision::Ends(Reason::GenerationExhausted));
        assert_eq!(at_generation(last).peeking().decide(), Decision::Kept, "a peek needs no successor");
    }
}

// Rows 16 and 17.

#[test]
fn row_16_the_token_that_was_rotated_into_a_binding_is_theft_without_the_key() {
    for proof in [None, Some(OTHER_KEY)] {
        for peek in [false, true] {
            let scene =
                Scene::bound_from(10).presenting(9).proving(proof).at(ROTATED).with(|scene| scene.attempt.peek = peek);
            assert_eq!(scene.decide(), Decision::Reused);
        }
    }
}

#[test]
fn row_17_the_rightful_holder_gets_the_successor_again_from_anywhere_and_at_any_time() {
    let scenes = [Scene::bound(), Scene::bound_from(9), Scene::bound_from(10), Scene::client_bound()];
    for scene in scenes {
        for scene in [scene.clone(), scene.clone().strict(), scene.clone().points(2)] {
            let scene = scene.presenting(9).from(ELSEWHERE, "Chrome on Windows").at(ROTATED.plus(Seconds::days(6)));
            assert_eq!(scene.decide(), Decision::Replayed(Replay::Proven));
            assert_eq!(scene.peeking().decide(), Decision::Replayed(Replay::Proven));
        }
    }
}

#[test]
fn row_17_a_replay_costs_the_rightful_holder_no_points() {
    let mut scene = Scene::client_bound().points(2).presenting(9);
    assert_eq!(scene.play(9), Decision::Replayed(Replay::Proven));
    for _ in 0..5 {
        let n = scene.state.grant.generation.0;
        assert_eq!(scene.play(n), rotated_to(n + 1));
        assert_eq!(scene.play(n), Decision::Replayed(Replay::Proven));
    }
    assert_eq!(scene.state.grant.suspicion.points, 2);
}

// Rows 18 to 21.

#[test]
fn row_18_a_bearer_may_repeat_at_once_from_the_same_place_for_ten_seconds() {
    let scene = Scene::bearer().presenting(9);
    for scene in [scene.clone(), scene.clone().strict(), scene.clone().points(2), scene.clone().peeking()] {
        for millis in [0, 1, 9_999, 10_000] {
            let scene = scene.clone().at(millis_after(ROTATED, millis));
            assert_eq!(scene.decide(), Decision::Replayed(Replay::Burst), "{millis}");
        }
    }
    let late = scene.at(millis_after(ROTATED, 10_001));
    assert_eq!(late.decide(), Decision::Replayed(Replay::Late));
}

#[test]
fn row_18_needs_the_same_address_and_context() {
    let scene = Scene::bearer().presenting(9).at(ROTATED);
    let cases = [
        (HOME, "Firefox on Linux", Replay::Burst),
        (NEIGHBOUR, "Firefox on Linux", Replay::Late),
        (HOME, "Chrome on Linux", Replay::Foreign),
        (ELSEWHERE, "Firefox on Linux", Replay::Foreign),
    ];
    for (address, browser, replay) in cases {
        let scene = scene.clone().from(address, browser);
        assert_eq!(scene.decide(), Decision::Replayed(replay), "{browser} at {address}");
    }
}

#[test]
fn row_19_a_late_replay_needs_the_program_of_the_rotation_and_one_of_the_last_four_networks() {
    let mut scene = Scene::bearer();
    let networks = ["10.1.0.1", "10.2.0.1", "10.3.0.1", "10.4.0.1", "10.5.0.1"];
    for (n, address) in (G..).zip(networks) {
        scene = scene.from(address, "Firefox on Linux");
        assert_eq!(scene.play(n), rotated_to(n + 1));
    }
    let scene = scene.presenting(14).with(|scene| scene.now = scene.now.plus(Seconds::HOUR));
    for address in &networks[1..] {
        let known = scene.clone().from(address, "Firefox on Linux");
        assert_eq!(known.decide(), Decision::Replayed(Replay::Late), "{address}");
        let other_program = scene.clone().from(address, "Chrome on Linux");
        assert_eq!(other_program.decide(), Decision::Replayed(Replay::Foreign), "{address}");
    }
    let fifth = scene.from(networks[0], "Firefox on Linux");
    assert_eq!(fifth.decide(), Decision::Replayed(Replay::Foreign));
}

#[test]
fn row_19_a_late_replay_is_forgiven_below_three_points() {
    for scene in [Scene::bearer(), Scene::bearer().strict()] {
        for (points, decision) in [
            (0, Decision::Replayed(Replay::Late)),
            (1, Decision::Replayed(Replay::Late)),
            (2, Decision::Reused),
            (3, Decision::Reused),
            (u8::MAX, Decision::Reused),
        ] {
            for peek in [false, true] {
                let scene = scene.clone().presenting(9).points(points).with(|scene| scene.attempt.peek = peek);
                assert_eq!(scene.decide(), decision, "{points}");
            }
        }
    }
}

#[test]
fn row_20_a_foreign_replay_is_forgiven_below_two_points_and_never_if_strict() {
    let scene = Scene::bearer().presenting(9).from(ELSEWHERE, "Firefox on Linux");
    for (points, decision) in [(0, Decision::Replayed(Replay::Foreign)), (1, Decision::Reused), (2, Decision::Reused)] {
        for peek in [false, true] {
            let scene = scene.clone().points(points).with(|scene| scene.attempt.peek = peek);
            assert_eq!(scene.decide(), decision, "{points}");
            assert_eq!(scene.strict().decide(), Decision::Reused, "{points}, strict");
        }
    }
}

#[test]
fn row_21_is_for_bearers_who_are_out_of_points() {
    let scene = Scene::bearer().presenting(9).points(2);
    assert_eq!(scene.clone().at(ROTATED).decide(), Decision::Replayed(Replay::Burst));
    assert_eq!(scene.decide(), Decision::Reused);
}

// First match wins.

#[test]
fn of_two_rows_that_match_the_first_one_wins() {
    type Fault = (&'static str, fn(&mut Scene), Decision);
    const OVER: Life = Life::Ended { at: ROTATED, reason: Reason::SignedOut };
    const SESSION_OVER: Life = Life::Ended { at: ROTATED, reason: Reason::RevokedByUser };
    // In the order of the table, row 6 in the order of its words.
    let faults: [Fault; 18] = [
        ("2", |scene| scene.attempt.genuine = false, Decision::Unknown),
        ("3 client", |scene| scene.attempt.client = ClientId::from("another"), Decision::Refused(Refusal::Client)),
        ("3 endpoint", |scene| scene.attempt.endpoint = Endpoint::OAuth, Decision::Refused(Refusal::Client)),
        ("4", |scene| scene.attempt.proof = None, Decision::Refused(Refusal::Proof)),
        ("5", |scene| scene.state.grant.life = OVER, Decision::Ended(Reason::SignedOut)),
        ("6 session", |scene| scene.state.session = Some(SESSION_OVER), Decision::Ended(Reason::RevokedByUser)),
        ("6 session's deadline", |scene| scene.state.session_until = Some(BORN), Decision::Ended(Reason::SessionEnded)),
        ("6 epoch", |scene| scene.state.user = Owner::Active(Epoch(9)), Decision::Ended(Reason::EpochRaised)),
        ("6 disabled", |scene| scene.state.user = Owner::Disabled, Decision::Ended(Reason::UserDisabled)),
        ("6 client", |scene| scene.state.client_exists = false, Decision::Ended(Reason::ClientRemoved)),
        ("6 consent", |scene| scene.state.consent_stands = false, Decision::Ended(Reason::ConsentRevoked)),
        ("6 deadline", |scene| scene.now = scene.state.grant.idle.0, Decision::Ended(Reason::ExpiredIdle)),
        (
            "7",
            |scene| {
                scene.attempt.generation = Generation(8);
                scene.state.grant.fence = Some(Generation(G));
            },
            Decision::Refused(Refusal::Superseded),
        ),
        ("8", |scene| scene.attempt.generation = Generation(7), Decision::Refused(Refusal::Stale)),
        ("11", |scene| scene.attempt.generation = Generation(13), Decision::Ends(Reason::StoreRecovered)),
        ("12", |scene| scene.attempt.asks_for_more = true, Decision::Refused(Refusal::Scope)),
        ("13", |scene| scene.attempt.risk = Risk::High, Decision::Ends(Reason::RiskHigh)),
        ("14", |scene| scene.attempt.peek = true, Decision::Kept),
    ];
    for (first, (row, fault, decision)) in faults.iter().enumerate() {
        for (later_row, later, _) in &faults[first..] {
            let scene = Scene::bound().with(*later).with(*fault);
            assert_eq!(scene.decide(), *decision, "row {row} comes before row {later_row}");
        }
    }
}

#[test]
fn rows_10_and_11_come_before_scope_and_risk() {
    for (n, decision) in [(11, Decision::Healed { next: Generation(12) }), (13, Decision::Ends(Reason::StoreRecovered))]
    {
        let scene = Scene::bearer().presenting(n).with(|scene| {
            scene.attempt.asks_for_more = true;
            scene.attempt.risk = Risk::High;
        });
        assert_eq!(scene.decide(), decision);
    }
}

#[test]
fn row_9_comes_before_scope_and_risk_so_that_no_thief_can_ask_for_less() {
    let scene = Scene::bearer().presenting(8).with(|scene| {
        scene.attempt.asks_for_more = true;
        scene.attempt.risk = Risk::Medium;
        scene.attempt.peek = true;
    });
    assert_eq!(scene.decide(), Decision::Reused);
}

#[test]
fn scope_and_risk_come_before_the_judgement_of_a_replay() {
    let theft = Scene::bearer().presenting(9).points(2);
    assert_eq!(theft.decide(), Decision::Reused);
    let asking = theft.clone().with(|scene| scene.attempt.asks_for_more = true);
    assert_eq!(asking.decide(), Decision::Refused(Refusal::Scope));
    let risky = theft.with(|scene| scene.attempt.risk = Risk::Medium);
    assert_eq!(risky.decide(), Decision::Refused(Refusal::StepUp));
}

// Pace.

#[test]
fn the_61st_rotation_in_a_minute_has_to_wait_and_ends_nothing() {
    for mut scene in Scene::of_every_holding() {
        for n in G..G + 60 {
            assert_eq!(scene.play(n), rotated_to(n + 1));
        }
        let scene = scene.presenting(70);
        let limited = |seconds| {
            let retry_after = Seconds(seconds);
            (Decision::Limited { retry_after }, None)
        };
        let began = scene.now;
        assert_eq!(scene.outcome(), limited(60));
        assert_eq!(scene.clone().at(millis_after(began, 1)).outcome(), limited(60));
        assert_eq!(scene.clone().at(millis_after(began, 1_000)).outcome(), limited(59));
        assert_eq!(scene.clone().at(millis_after(began, 59_999)).outcome(), limited(1));
        assert_eq!(scene.clone().peeking().decide(), Decision::Kept, "a peek is no rotation");
        let next_minute = scene.at(millis_after(began, 60_000));
        assert_eq!(next_minute.decide(), rotated_to(71));
        let began_anew = next_minute.outcome().1.unwrap().pace.rotations;
        assert_eq!((began_anew.since, began_anew.count), (next_minute.now, 1));
    }
}

#[test]
fn the_301st_replay_of_a_generation_in_a_minute_has_to_wait_and_ends_nothing() {
    for scene in Scene::of_every_holding() {
        let mut scene = scene.at(millis_after(ROTATED, 1));
        for _ in 0..300 {
            assert!(matches!(scene.play(9), Decision::Replayed(_)));
        }
        let scene = scene.presenting(9);
        let retry_after = Seconds::MINUTE;
        assert_eq!(scene.outcome(), (Decision::Limited { retry_after }, None));
        assert_eq!(
            scene.clone().peeking().decide(),
            Decision::Limited { retry_after },
            "a peek of g−1 is judged like any other use"
        );
        let last_moment = scene.clone().at(millis_after(ROTATED, 60_000));
        let retry_after = Seconds(1);
        assert_eq!(last_moment.decide(), Decision::Limited { retry_after });
        let next_minute = scene.clone().at(millis_after(ROTATED, 60_001));
        assert!(matches!(next_minute.decide(), Decision::Replayed(_)));
        assert_eq!(scene.presenting(10).decide(), rotated_to(11), "a rotation is no replay");
    }
}

#[test]
fn replays_are_counted_for_each_generation_and_rotations_for_the_grant() {
    let mut scene = Scene::bearer().at(ROTATED);
    for _ in 0..300 {
        assert_eq!(scene.play(9), Decision::Replayed(Replay::Burst));
    }
    assert_eq!(scene.play(10), rotated_to(11));
    assert_eq!(scene.state.grant.pace.replays, Window::default());
    assert_eq!(scene.play(10), Decision::Replayed(Replay::Burst));
    assert_eq!(scene.state.grant.pace.replays.count, 1);
    assert_eq!(scene.state.grant.pace.rotations.count, 1);
}

// Points.

#[test]
fn a_generation_weighs_what_its_worst_replay_weighs() {
    // Each is a generation's replays in their order, and the points once it is closed, from one point before.
    let cases: [(&[Replay], u8); 9] = [
        (&[], 0),
        (&[Replay::Proven], 1),
        (&[Replay::Burst], 1),
        (&[Replay::Burst, Replay::Burst], 1),
        (&[Replay::Late], 2),
        (&[Replay::Late, Replay::Late, Replay::Late], 2),
        (&[Replay::Late, Replay::Burst], 2),
        (&[Replay::Foreign, Replay::Late, Replay::Burst], 3),
        (&[Replay::Burst, Replay::Late, Replay::Foreign], 3),
    ];
    for (replays, points) in cases {
        let mut scene = Scene::bearer().points(1);
        for &replay in replays {
            let decision = Decision::Replayed(replay);
            let grant = &scene.state.grant;
            scene.state.grant = apply(&decision, grant, &scene.attempt, &scene.policy, scene.now).unwrap();
            assert_eq!(scene.state.grant.suspicion.points, 1, "points are summed when it is closed");
        }
        assert_eq!(scene.play(10), rotated_to(11));
        let suspicion = Suspicion { points, worst: None };
        assert_eq!(scene.state.grant.suspicion, suspicion, "{replays:?}");
    }
}

#[test]
fn an_honest_lost_reply_now_and_then_is_forgiven_for_ever() {
    let mut scene = Scene::bearer();
    for _ in 0..50 {
        let lost = scene.generation_with_replay(Seconds::MINUTE, HOME);
        assert_eq!(lost, Decision::Replayed(Replay::Late));
        scene.attempt.context = place(HOME, "Firefox on Linux");
        let n = scene.state.grant.generation.0;
        assert_eq!(scene.play(n), rotated_to(n + 1));
        assert_eq!(scene.play(n + 1), rotated_to(n + 2));
        assert_eq!(scene.state.grant.suspicion, Suspicion::default());
    }
}

#[test]
fn the_second_generation_in_step_with_a_thief_elsewhere_ends_the_family() {
    let mut scene = Scene::bearer();
    let first = scene.generation_with_replay(Seconds::MINUTE, ELSEWHERE);
    assert_eq!(first, Decision::Replayed(Replay::Foreign));
    assert_eq!(scene.generation_with_replay(Seconds::MINUTE, ELSEWHERE), Decision::Reused);
}

#[test]
fn the_third_generation_in_step_with_a_thief_in_the_same_network_ends_the_family() {
    let mut scene = Scene::bearer();
    for _ in 0..2 {
        let replay = scene.generation_with_replay(Seconds(5), NEIGHBOUR);
        assert_eq!(replay, Decision::Replayed(Replay::Late));
    }
    assert_eq!(scene.generation_with_replay(Seconds(5), NEIGHBOUR), Decision::Reused);
}

#[test]
fn bursts_do_not_wipe_out_the_points_of_a_thief_at_the_same_address() {
    let mut scene = Scene::bearer();
    for _ in 0..2 {
        let miss = scene.generation_with_replay(Seconds::MINUTE, HOME);
        assert_eq!(miss, Decision::Replayed(Replay::Late));
        for _ in 0..20 {
            let hit = scene.generation_with_replay(Seconds(9), HOME);
            assert_eq!(hit, Decision::Replayed(Replay::Burst));
        }
    }
    assert_eq!(scene.generation_with_replay(Seconds::MINUTE, HOME), Decision::Reused);
}

#[test]
fn who_skips_a_generation_is_found_at_once() {
    let mut scene = Scene::bearer();
    assert_eq!(scene.play(10), rotated_to(11));
    assert_eq!(scene.play(11), rotated_to(12));
    assert_eq!(scene.play(10), Decision::Reused);
}

// What is written.

#[test]
fn a_rotation_writes_the_successor_its_context_and_a_new_idle_deadline() {
    let scene = Scene::bearer().from(ELSEWHERE, "Chrome on Windows").with(|scene| {
        scene.state.grant.fence = Some(Generation(G));
        scene.state.grant.newest_used = true;
        scene.state.grant.suspicion = Suspicion { points: 1, worst: Some(Replay::Late) };
        scene.state.grant.pace.replays = Window { since: ROTATED, count: 7 };
    });
    let (decision, written) = scene.outcome();
    assert_eq!(decision, rotated_to(11));
    let mut networks = scene.state.grant.networks.clone();
    networks.note(scene.attempt.context.network);
    let expected = Grant {
        generation: Generation(11),
        fence: None,
        newest_used: false,
        rotated_at: scene.now,
        last_event: scene.now,
        idle: IdleDeadline(scene.now.plus(Seconds::days(7))),
        context: scene.attempt.context.clone(),
        networks,
        suspicion: Suspicion { points: 2, worst: None },
        pace: Pace { rotations: Window { since: scene.now, count: 1 }, replays: Window::default() },
        ..scene.state.grant.clone()
    };
    assert_eq!(written, Some(expected));
}

#[test]
fn healing_goes_on_from_the_token_that_was_believed() {
    let scene = Scene::client_bound().presenting(12);
    let (decision, written) = scene.outcome();
    assert_eq!(decision, Decision::Healed { next: Generation(13) });
    let written = written.unwrap();
    assert_eq!(written.generation, Generation(13));
    assert_eq!((written.rotated_at, written.last_event), (scene.now, scene.now));
    assert!(written.life.is_alive());
    let again = scene.with(|scene| scene.state.grant = written);
    assert_eq!(again.decide(), Decision::Replayed(Replay::Proven));
    assert_eq!(again.presenting(13).decide(), rotated_to(14));
}

#[test]
fn idleness_never_slides_past_the_absolute_deadline() {
    let scene = Scene::bearer().with(|scene| {
        scene.state.grant.idle = IdleDeadline(BORN.plus(Seconds::days(29)));
        scene.now = BORN.plus(Seconds::days(28));
    });
    let written = scene.outcome().1.unwrap();
    assert_eq!(written.idle.0, written.absolute.0);
    assert_eq!(written.absolute, scene.state.grant.absolute);
}

#[test]
fn a_replay_writes_its_gravity_its_count_and_its_time_and_nothing_else() {
    let scene = Scene::bearer().presenting(9).proving(Some(KEY));
    let (decision, written) = scene.outcome();
    assert_eq!(decision, Decision::Replayed(Replay::Late));
    let expected = Grant {
        last_event: scene.now,
        suspicion: Suspicion { points: 0, worst: Some(Replay::Late) },
        pace: Pace { rotations: Window::default(), replays: Window { since: scene.now, count: 1 } },
        ..scene.state.grant
    };
    assert_eq!(written, Some(expected));
}

#[test]
fn an_end_is_written_with_its_time_and_reason_and_keeps_everything_else() {
    let cases = [
        (Scene::bearer().presenting(8), Decision::Reused, Reason::Reused),
        (Scene::bearer().presenting(13), Decision::Ends(Reason::StoreRecovered), Reason::StoreRecovered),
        (
            Scene::bearer().with(|scene| scene.attempt.risk = Risk::High),
            Decision::Ends(Reason::RiskHigh),
            Reason::RiskHigh,
        ),
    ];
    for (scene, decision, reason) in cases {
        let expected =
            Grant { life: Life::Ended { at: scene.now, reason }, last_event: scene.now, ..scene.state.grant.clone() };
        assert_eq!(scene.outcome(), (decision, Some(expected)));
    }
}

#[test]
fn a_bearer_that_proves_a_key_at_a_rotation_is_bound_from_the_successor_on() {
    let mut scene = Scene::bearer().proving(Some(KEY));
    assert_eq!(scene.play(10), rotated_to(11));
    let binding = Holding::Bound { key: KEY, from: Generation(11) };
    assert_eq!(scene.state.grant.holding, binding);
    assert_eq!(scene.play(10), Decision::Replayed(Replay::Proven));
    assert_eq!(scene.play(11), rotated_to(12));
    assert_eq!(scene.state.grant.holding, binding, "later rotations leave it");
    scene.attempt.proof = Some(OTHER_KEY);
    assert_eq!(scene.play(12), Decision::Refused(Refusal::Proof));
}

#[test]
fn only_a_rotation_binds() {
    let mut scene = Scene::bearer().proving(Some(KEY));
    assert_eq!(scene.play(9), Decision::Replayed(Replay::Late));
    assert_eq!(scene.state.grant.holding, Holding::Bearer);
    let mut scene = scene.peeking();
    assert_eq!(scene.play(10), Decision::Kept);
    assert_eq!(scene.state.grant.holding, Holding::Bearer);
}

#[test]
fn a_clients_key_binds_only_its_access_tokens_and_may_change() {
    let mut scene = Scene::client_bound();
    for (n, proof) in (G..).zip([Some(KEY), Some(OTHER_KEY), None]) {
        scene.attempt.proof = proof;
        assert_eq!(scene.play(n), rotated_to(n + 1));
        assert_eq!(scene.state.grant.holding, Holding::ClientBound);
    }
}

#[test]
fn a_clock_that_went_back_counts_as_the_last_event() {
    let an_hour_back = ROTATED.minus(Seconds::HOUR);
    let rotating = Scene::bearer().at(an_hour_back);
    let written = rotating.outcome().1.unwrap();
    assert_eq!((written.rotated_at, written.last_event), (ROTATED, ROTATED));
    assert_eq!(written.idle, IdleDeadline(ROTATED.plus(Seconds::days(7))));

    let replaying = Scene::bearer().presenting(9).at(an_hour_back);
    assert_eq!(replaying.decide(), Decision::Replayed(Replay::Burst));

    let over = Scene::bearer().at(an_hour_back).with(|scene| scene.state.grant.last_event = scene.state.grant.idle.0);
    assert_eq!(over.decide(), Decision::Ended(Reason::ExpiredIdle));

    let ended = Scene::bearer().presenting(8).at(an_hour_back).outcome().1.unwrap();
    let life = Life::Ended { at: ROTATED, reason: Reason::Reused };
    assert_eq!((ended.life, ended.last_event), (life, ROTATED));
}

// A change of privilege.

#[test]
fn raising_jumps_two_generations_behind_a_fence_with_the_new_epoch() {
    let scene = Scene::bearer().with(|scene| {
        scene.state.grant.newest_used = true;
        scene.state.grant.pace.rotations.count = 5;
        scene.state.grant.pace.replays.count = 9;
        scene.state.grant.suspicion = Suspicion { points: 1, worst: Some(Replay::Late) };
    });
    let raised = raise(&scene.state.grant, Epoch(4), scene.now);
    let expected = Grant {
        generation: Generation(12),
        fence: Some(Generation(12)),
        newest_used: false,
        epoch: Epoch(4),
        rotated_at: scene.now,
        last_event: scene.now,
        suspicion: Suspicion { points: 2, worst: None },
        pace: Pace { rotations: scene.state.grant.pace.rotations, replays: Window::default() },
        ..scene.state.grant.clone()
    };
    assert_eq!(raised, Some(expected));
}

#[test]
fn a_raised_grant_lets_in_its_new_token_and_none_from_before() {
    for scene in Scene::of_every_holding() {
        let bearer = scene.state.grant.holding == Holding::Bearer;
        let mut scene = scene.with(|scene| {
            scene.state.grant = raise(&scene.state.grant, Epoch(4), scene.now).unwrap();
            scene.state.user = Owner::Active(Epoch(4));
        });
        assert_eq!(scene.play(10), Decision::Refused(Refusal::Superseded));
        assert_eq!(scene.clone().presenting(12).decide(), rotated_to(13));
        let older = scene.play(9);
        if bearer {
            assert_eq!(older, Decision::Reused);
        } else {
            assert_eq!(older, Decision::Refused(Refusal::Stale));
        }
    }
}

#[test]
fn raising_with_a_clock_that_went_back_counts_as_the_last_event() {
    let raised = raise(&Scene::bearer().state.grant, Epoch(4), BORN).unwrap();
    assert_eq!((raised.rotated_at, raised.last_event), (ROTATED, ROTATED));
}

#[test]
fn raising_is_impossible_near_the_end_of_counting() {
    let mut grant = Scene::bearer().state.grant;
    grant.generation = Generation(Generation::LAST.0 - 2);
    assert_eq!(raise(&grant, Epoch(4), ROTATED).map(|grant| grant.generation), Some(Generation::LAST));
    grant.generation = Generation(Generation::LAST.0 - 1);
    assert_eq!(raise(&grant, Epoch(4), ROTATED), None);
}
