//! The life of signing keys: a table of what is due, and histories in which nobody ever meets an unknown key.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

const START: Time = Time::from_millis(1_700_000_000_000);
const POLICY: KeyPolicy =
    KeyPolicy { jwks_max_age: Seconds::minutes(5), rotate_every: Seconds::days(90), ed25519: false };
const LONGEST: Seconds = Seconds::minutes(15);

fn key(kid: &str, algorithm: Algorithm, state: KeyState, since: Time) -> SealedKey {
    SealedKey {
        kid: kid.to_owned(),
        algorithm: algorithm.as_str().to_owned(),
        state,
        since,
        longest_token: LONGEST,
        created_at: since,
        sealed: vec![],
    }
}

fn at(seconds: u32) -> Time {
    START.plus(Seconds(seconds))
}

#[test]
fn each_state_ends_at_its_time_and_not_a_millisecond_before() {
    use Algorithm::{Ed25519, Es256, Rs256};
    use KeyState::{Active, Published, Retiring};
    let rs = |state| key("rs", Rs256, state, START);
    let es = |kid: &str, state| key(kid, Es256, state, START);
    let day = Seconds::DAY.0;
    let table: Vec<(&str, Vec<SealedKey>, u32, Vec<Step>)> = vec![
        ("an active key is young", vec![es("a", Active), rs(Active)], day, vec![]),
        (
            "its successor is published in time to sign on the day",
            vec![es("a", Active), rs(Published)],
            90 * day - 600,
            vec![Step::Publish(Es256), Step::Activate("rs".into())],
        ),
        (
            "a published key signs after twice the max-age",
            vec![es("a", Active), es("b", Published), rs(Active)],
            600,
            vec![Step::Activate("b".into())],
        ),
        (
            "a retiring key is gone when its last token has expired, and a minute later",
            vec![es("a", Retiring), es("b", Active), rs(Active)],
            15 * 60 + 60,
            vec![Step::Remove("a".into())],
        ),
    ];
    for (what, keys, seconds, steps) in table {
        assert_eq!(due(&keys, &POLICY, LONGEST, at(seconds)), steps, "{what}");
        let before = Time::from_millis(at(seconds).millis() - 1);
        let waiting: Vec<Step> = due(&keys, &POLICY, LONGEST, before);
        let early = steps.first().filter(|step| waiting.contains(step));
        assert_eq!(early, None, "{what}: not before");
    }

    // An algorithm that is switched on is published first; one that is switched off goes the usual way.
    let ring = vec![es("a", Active), rs(Active)];
    let with_ed25519 = KeyPolicy { ed25519: true, ..POLICY };
    assert_eq!(due(&ring, &with_ed25519, LONGEST, START), [Step::Publish(Ed25519)]);
    let ring =
        vec![es("a", Active), rs(Active), key("ed", Ed25519, Active, START), key("ed2", Ed25519, Published, START)];
    assert_eq!(due(&ring, &POLICY, LONGEST, START), [Step::Remove("ed2".into()), Step::Retire("ed".into())]);
    // A store of before knows no RS256: verifiers know the store.
    assert_eq!(due(&[es("a", Active)], &POLICY, LONGEST, START), [Step::Publish(Rs256)]);
    // Longer lifetimes than the key ever signed for.
    assert_eq!(
        due(&[es("a", Active), rs(Active)], &POLICY, Seconds::HOUR, START),
        [Step::Lengthen("a".into()), Step::Lengthen("rs".into())]
    );
    // A clock that was ahead leaves times in the future. Nothing is due before them, and nothing is undone.
    assert_eq!(due(&[es("a", Active), rs(Active)], &POLICY, LONGEST, START.minus(Seconds::days(400))), []);
}

#[test]
fn a_token_of_a_shorter_configuration_does_not_shorten_what_was_promised() {
    let mut ring = vec![key("a", Algorithm::Es256, KeyState::Active, START)];
    ring[0].longest_token = Seconds::DAY;
    let (ring, _) = after(&ring, &[Step::Retire("a".into())], vec![], LONGEST, START);
    assert_eq!(ring[0].until(&POLICY), START.plus(Seconds::DAY).plus(Seconds::MINUTE));
}

#[test]
fn the_operator_rotates_and_does_not_rotate_twice() {
    let active =
        [key("a", Algorithm::Es256, KeyState::Active, START), key("r", Algorithm::Rs256, KeyState::Active, START)];
    assert_eq!(rotation(&active, &POLICY, false), [Step::Publish(Algorithm::Es256), Step::Publish(Algorithm::Rs256)]);
    assert_eq!(rotation(&active, &POLICY, true), [Step::Begin(Algorithm::Es256), Step::Begin(Algorithm::Rs256)]);
    let mut waiting = active.to_vec();
    waiting.push(key("b", Algorithm::Es256, KeyState::Published, START));
    assert_eq!(rotation(&waiting, &POLICY, false), [Step::Publish(Algorithm::Rs256)]);
    assert_eq!(rotation(&waiting, &POLICY, true), [Step::Activate("b".into()), Step::Begin(Algorithm::Rs256)]);
    // Compromised: with a successor if it signs, the one that waits before a new one.
    assert_eq!(revocation(&active, &POLICY, "a"), [Step::Revoke("a".into()), Step::Begin(Algorithm::Es256)]);
    assert_eq!(revocation(&waiting, &POLICY, "a"), [Step::Revoke("a".into()), Step::Activate("b".into())]);
    assert_eq!(revocation(&waiting, &POLICY, "b"), [Step::Revoke("b".into())]);
    assert_eq!(revocation(&waiting, &POLICY, "?"), []);
}

/// What happens to a ring, at random.
#[derive(Clone, Debug)]
enum Happening {
    /// Time goes by; then somebody looks after the keys, once.
    Passes(u32),
    Rotates,
    RotatesNow,
    /// The nth key is compromised.
    Compromised(usize),
    Ed25519(bool),
    /// Tokens live so long from now on.
    Lives(u32),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        // Around the lead, around a token's life, around a rotation.
        8 => prop_oneof![0..30u32, 500..700u32, 800..1100u32, 80_000..100_000u32].prop_map(Happening::Passes),
        2 => Just(Happening::Rotates),
        1 => Just(Happening::RotatesNow),
        1 => (0..8usize).prop_map(Happening::Compromised),
        1 => any::<bool>().prop_map(Happening::Ed25519),
        1 => (60..7200u32).prop_map(Happening::Lives),
    ]
}

/// The world around a ring: who signed what, who knows which keys.
struct World {
    now: Time,
    policy: KeyPolicy,
    longest: Seconds,
    ring: Vec<SealedKey>,
    made: u32,
    /// When each kid was published.
    published: Vec<(String, Time)>,
    /// Kids that signed before everybody could know them, by the operator's word.
    forced: Vec<String>,
    revoked: Vec<String>,
    /// JWKS that verifiers keep: fetched when, with which kids.
    caches: Vec<(Time, Vec<String>)>,
    /// Tokens: kid and expiry.
    tokens: Vec<(String, Time)>,
}

impl World {
    fn take(&mut self, steps: &[Step]) {
        let made: Vec<SealedKey> = steps
            .iter()
            .filter_map(Step::makes)
            .map(|(algorithm, state)| {
                self.made += 1;
                SealedKey { longest_token: self.longest, ..key(&self.made.to_string(), algorithm, state, self.now) }
            })
            .collect();
        self.published.extend(made.iter().map(|key| (key.kid.clone(), self.now)));
        for step in steps {
            if let Step::Revoke(kid) = step {
                self.revoked.push(kid.clone());
            }
        }
        (self.ring, _) = after(&self.ring, steps, made, self.longest, self.now);
    }

    fn force(&mut self, steps: &[Step]) {
        self.take(steps);
        let active = self.ring.iter().filter(|key| key.state == KeyState::Active && key.since == self.now);
        let kids: Vec<String> = active.map(|key| key.kid.clone()).collect();
        self.forced.extend(kids);
    }

    fn tend(&mut self) {
        let steps = due(&self.ring, &self.policy, self.longest, self.now);
        self.take(&steps);
        assert_eq!(due(&self.ring, &self.policy, self.longest, self.now), [], "what was due is done");
    }

    fn look(&mut self) {
        for algorithm in Algorithm::ALL {
            let active: Vec<_> = self
                .ring
                .iter()
                .filter(|key| key.algorithm == algorithm.as_str() && key.state == KeyState::Active)
                .collect();
            let wanted = self.policy.algorithms().contains(algorithm);
            assert!(active.len() <= 1, "one key of an algorithm signs at a time");
            assert!(active.len() == 1 || !wanted || *algorithm == Algorithm::Ed25519, "and there is always one");
            for key in active {
                let (_, since) = self.published.iter().find(|(kid, _)| *kid == key.kid).unwrap();
                let known = key.since >= since.plus(self.policy.lead()) || *since == START;
                assert!(known || self.forced.contains(&key.kid), "{} signs before everybody knows it", key.kid);
                self.tokens.push((key.kid.clone(), self.now.plus(self.longest)));
            }
        }
        let kids: Vec<String> = self.ring.iter().map(|key| key.kid.clone()).collect();
        let excused = |kid: &String| self.forced.contains(kid) || self.revoked.contains(kid);
        // Whoever asks now can verify every token that lives.
        self.tokens.retain(|(_, expires)| *expires > self.now);
        for (kid, _) in &self.tokens {
            assert!(kids.contains(kid) || self.revoked.contains(kid), "a living token of {kid}, which is gone");
        }
        // Whoever asked within the max-age can verify every token that is signed now.
        let oldest = self.now.minus(self.policy.jwks_max_age);
        self.caches.retain(|(fetched, _)| *fetched >= oldest);
        for key in self.ring.iter().filter(|key| key.state == KeyState::Active) {
            for (fetched, known) in &self.caches {
                assert!(known.contains(&key.kid) || excused(&key.kid), "{} is unknown since {fetched}", key.kid);
            }
        }
        self.caches.push((self.now, kids));
    }
}

proptest! {
    #[test]
    fn nobody_who_keeps_the_keys_for_their_max_age_meets_an_unknown_one(
        happenings in proptest::collection::vec(happening(), 1..200),
        rotate_every in 1300..200_000u32,
    ) {
        let policy = KeyPolicy { rotate_every: Seconds(rotate_every), ..POLICY };
        let mut world = World {
            now: START, policy, longest: LONGEST, ring: vec![], made: 0,
            published: vec![], forced: vec![], revoked: vec![], caches: vec![], tokens: vec![],
        };
        // A new store: its first keys sign at once.
        let first: Vec<Step> = policy.algorithms().iter().copied().map(Step::Begin).collect();
        world.take(&first);
        world.look();
        for happening in happenings {
            match happening {
                Happening::Passes(seconds) => {
                    world.now = world.now.plus(Seconds(seconds));
                    // Before and after somebody looks after the keys, who may come late.
                    world.look();
                    world.tend();
                }
                Happening::Rotates => {
                    let steps = rotation(&world.ring, &world.policy, false);
                    world.take(&steps);
                }
                Happening::RotatesNow => {
                    let steps = rotation(&world.ring, &world.policy, true);
                    world.force(&steps);
                }
                Happening::Compromised(nth) => {
                    let kid = world.ring[nth % world.ring.len()].kid.clone();
                    let steps = revocation(&world.ring, &world.policy, &kid);
                    world.force(&steps);
                    // An algorithm that waits for its first key has none until then.
                    prop_assert!(!world.ring.iter().any(|key| key.kid == kid));
                }
                Happening::Ed25519(on) => {
                    world.policy.ed25519 = on;
                    world.tend();
                }
                Happening::Lives(seconds) => {
                    world.longest = Seconds(seconds);
                    // A server that starts looks after its keys before it signs.
                    world.tend();
                }
            }
            world.look();
        }
    }
}
