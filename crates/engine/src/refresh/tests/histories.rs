//! Random histories: any holders of any generations, from anywhere, with or without proof, and what holds after each step.

use proptest::prelude::*;

use super::*;

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Use(Box<Usage>),
    Wait(i64),
    /// A change of privilege by whoever holds the newest token.
    Raise,
    /// Something that the grant hangs on goes, or comes back.
    Session(bool),
    Epoch(bool),
    Configure(ReplayPolicy, Rotation, Option<Seconds>),
}

#[derive(Clone, Debug)]
struct Usage {
    token: Token,
    genuine: bool,
    right_client: bool,
    proof: Option<KeyThumbprint>,
    asks_for_more: bool,
    peek: bool,
    place: (&'static str, &'static str),
    risk: Risk,
}

/// Whose token is used.
#[derive(Clone, Debug)]
enum Token {
    /// So many behind the newest.
    Behind(u32),
    /// So many ahead: the store lost its tail.
    Ahead(u32),
    /// Any that was ever given, as a part of their number.
    Any(prop::sample::Index),
}

fn usage() -> impl Strategy<Value = Step> {
    let token = prop_oneof![
        12 => (0_u32..2).prop_map(Token::Behind),
        2 => (2_u32..4).prop_map(Token::Behind),
        1 => (1_u32..4).prop_map(Token::Ahead),
        1 => any::<prop::sample::Index>().prop_map(Token::Any),
    ];
    let place = prop::sample::select(vec![
        (HOME, "Firefox on Linux"),
        (HOME, "Firefox on Linux"),
        (HOME, "Chrome on Linux"),
        (NEIGHBOUR, "Firefox on Linux"),
        (ELSEWHERE, "Firefox on Linux"),
        ("2001:db8::1", "Safari on iOS"),
    ]);
    let proof = prop_oneof![4 => Just(Some(KEY)), 3 => Just(None), 1 => Just(Some(OTHER_KEY))];
    let risk = prop_oneof![20 => Just(Risk::Low), 1 => Just(Risk::Medium), 1 => Just(Risk::High)];
    let rarely = || prop::bool::weighted(0.03);
    (token, rarely(), rarely(), proof, rarely(), prop::bool::weighted(0.2), place, risk).prop_map(
        |(token, forged, wrong_client, proof, asks_for_more, peek, place, risk)| {
            Step::Use(Box::new(Usage {
                token,
                genuine: !forged,
                right_client: !wrong_client,
                proof,
                asks_for_more,
                peek,
                place,
                risk,
            }))
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let replay = prop::sample::select(ReplayPolicy::ALL);
    let rotation = prop_oneof![Just(Rotation::On), Just(Rotation::Off)];
    let absolute = prop_oneof![Just(None), (1_u32..60).prop_map(|days| Some(Seconds::days(days)))];
    prop_oneof![
        60 => usage(),
        // From a tab's prefetch to an hour, now and then a night, and the clock going back.
        10 => (0_i64..20_000).prop_map(Step::Wait),
        10 => (0_i64..3_600_000).prop_map(Step::Wait),
        2 => (0_i64..200_000_000).prop_map(Step::Wait),
        1 => (-3_600_000_i64..0).prop_map(Step::Wait),
        2 => Just(Step::Raise),
        1 => any::<bool>().prop_map(Step::Session),
        1 => any::<bool>().prop_map(Step::Epoch),
        1 => (replay, rotation, absolute).prop_map(|(replay, rotation, absolute)| Step::Configure(replay, rotation, absolute)),
    ]
}

fn beginning() -> impl Strategy<Value = Scene> {
    let holding = prop_oneof![
        3 => Just(Holding::Bearer),
        1 => Just(Holding::Bound { key: KEY, from: Generation(1) }),
        1 => Just(Holding::Bound { key: KEY, from: Generation(G) }),
        1 => Just(Holding::ClientBound),
    ];
    let generation = prop_oneof![8 => 1_u32..1_000, 1 => Generation::LAST.0 - 12..=Generation::LAST.0];
    let suspicion = (
        0_u8..3,
        prop::option::of(prop::sample::select(vec![Replay::Burst, Replay::Late])),
    )
        // What honest counting can have come to: a late replay is not forgiven at two points.
        .prop_map(|(points, worst)| Suspicion {
            points,
            worst: worst.filter(|replay| points + replay.weight() < Suspicion::LIMIT),
        });
    (holding, generation, suspicion, 1_u32..3_000_000).prop_map(|(holding, generation, suspicion, idle)| {
        Scene::held(holding).with(|scene| {
            scene.state.grant.generation = Generation(generation);
            scene.state.grant.suspicion = suspicion;
            scene.policy.idle = Seconds(idle);
            let absolute = scene.state.grant.absolute;
            scene.state.grant.idle = IdleDeadline::sliding(ROTATED, scene.policy.idle, absolute);
        })
    })
}

/// A history as it is played, with what must be remembered to judge it.
struct History {
    scene: Scene,
    given: Vec<Generation>,
    over: bool,
}

impl History {
    fn beginning(scene: Scene) -> Self {
        Self { given: vec![scene.state.grant.generation], scene, over: false }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let before = self.scene.state.grant.clone();
        match step {
            Step::Use(usage) => self.use_token(*usage)?,
            Step::Wait(millis) => self.scene.now = millis_after(self.scene.now, millis),
            Step::Raise => self.raise(),
            Step::Session(alive) => {
                let over = Life::Ended { at: before.last_event, reason: Reason::SignedOut };
                self.scene.state.session = Some(if alive { Life::Alive } else { over });
            }
            Step::Epoch(same) => {
                let epoch = Epoch(before.epoch.0 + u32::from(!same));
                self.scene.state.user = Owner::Active(epoch);
            }
            Step::Configure(replay, rotation, absolute) => {
                self.scene.policy.replay = replay;
                self.scene.policy.rotation = rotation;
                self.scene.policy.absolute = absolute;
            }
        }
        never_goes_back(&before, &self.scene.state.grant)
    }

    fn use_token(&mut self, usage: Usage) -> Result<(), TestCaseError> {
        let before = self.scene.state.grant.clone();
        let g = before.generation;
        let generation = match usage.token {
            Token::Behind(steps) => Generation(g.0.saturating_sub(steps)),
            Token::Ahead(steps) => Generation(g.0.saturating_add(steps)),
            Token::Any(index) => *index.get(&self.given),
        };
        let client = if usage.right_client { "regrant" } else { "another" };
        self.scene.attempt = Attempt {
            generation,
            genuine: usage.genuine,
            endpoint: before.endpoint,
            client: ClientId::from(client),
            proof: usage.proof,
            asks_for_more: usage.asks_for_more,
            peek: usage.peek,
            context: place(usage.place.0, usage.place.1),
            risk: usage.risk,
        };
        let (decision, written) = self.scene.outcome();
        prop_assert_eq!(&decision, &self.scene.decide(), "the same question has the same answer");
        if let Some(grant) = &written {
            prop_assert_ne!(grant, &before, "what is written is a change");
            self.scene.state.grant = grant.clone();
        }
        let after = &self.scene.state.grant;
        match &decision {
            Decision::Unknown | Decision::Refused(_) | Decision::Ended(_) | Decision::Limited { .. } => {
                prop_assert_eq!(&written, &None, "{:?} changes nothing", decision);
            }
            Decision::Reused | Decision::Ends(_) => {
                prop_assert!(!self.over, "what is over ends no second time");
                prop_assert!(!after.life.is_alive());
                self.over = true;
            }
            Decision::Kept => {
                prop_assert_eq!(generation, g);
                self.give(generation)?;
            }
            Decision::Rotated { next } => {
                prop_assert_eq!(generation, g);
                prop_assert!(!usage.peek);
                self.give(*next)?;
            }
            Decision::Healed { next } => {
                prop_assert!(generation > g);
                self.give(*next)?;
            }
            Decision::Replayed(replay) => {
                prop_assert_eq!(generation.0 + 1, g.0);
                let expected = Grant {
                    last_event: after.last_event,
                    suspicion: Suspicion { worst: after.suspicion.worst, ..before.suspicion },
                    pace: Pace { replays: after.pace.replays, ..before.pace },
                    ..before.clone()
                };
                prop_assert_eq!(after, &expected, "a replay slides nothing");
                prop_assert_eq!(*replay == Replay::Proven, before.holding != Holding::Bearer);
                self.give(g)?;
            }
        }
        Ok(())
    }

    /// A token of `generation` reaches somebody.
    fn give(&mut self, generation: Generation) -> Result<(), TestCaseError> {
        prop_assert!(!self.over, "an ended family yields no token");
        let newest = self.scene.state.grant.generation;
        prop_assert_eq!(generation, newest, "what is given is the grant's own generation");
        prop_assert!(
            self.given.iter().all(|earlier| *earlier <= generation),
            "and none beyond it is out: there is one live successor"
        );
        self.given.push(generation);
        Ok(())
    }

    fn raise(&mut self) {
        if self.over {
            return;
        }
        let epoch = Epoch(self.scene.state.grant.epoch.0 + 1);
        if let Some(raised) = raise(&self.scene.state.grant, epoch, self.scene.now) {
            self.given.push(raised.generation);
            self.scene.state.user = Owner::Active(epoch);
            self.scene.state.grant = raised;
        }
    }
}

fn never_goes_back(before: &Grant, after: &Grant) -> Result<(), TestCaseError> {
    prop_assert!(after.idle.0 <= after.absolute.0);
    prop_assert!(after.absolute <= before.absolute);
    prop_assert!(after.generation >= before.generation);
    prop_assert!(after.generation <= Generation::LAST);
    prop_assert!(after.last_event >= before.last_event);
    prop_assert!(after.rotated_at >= before.rotated_at);
    prop_assert!(after.suspicion.points < Suspicion::LIMIT);
    prop_assert!(after.fence.is_none_or(|fence| fence == after.generation));
    prop_assert!(before.life.is_alive() || after == before, "over is for ever");
    let bound_now = before.holding == Holding::Bearer && matches!(after.holding, Holding::Bound { .. });
    prop_assert!(after.holding == before.holding || bound_now, "a binding never changes");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn whatever_happens_one_successor_lives_and_nothing_goes_back(
        scene in beginning(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut history = History::beginning(scene);
        for step in steps {
            history.take(step)?;
        }
    }

    #[test]
    fn a_reused_family_never_yields_a_token_again(
        scene in beginning(),
        steps in prop::collection::vec(usage(), 1..40),
    ) {
        let mut history = History::beginning(scene.with(|scene| {
            scene.state.grant.life = Life::Ended { at: ROTATED, reason: Reason::Reused };
        }));
        history.over = true;
        for step in steps {
            history.take(step)?;
        }
    }

    #[test]
    fn two_holders_of_one_bearer_token_who_both_go_on_are_found_within_three_generations(
        thief_elsewhere in any::<bool>(),
        thief_first in prop::collection::vec(any::<bool>(), 10),
        waits in prop::collection::vec(11_u32..3_600, 10),
    ) {
        let mut scene = Scene::bearer();
        let thief = if thief_elsewhere { ELSEWHERE } else { NEIGHBOUR };
        let mut survived = 0;
        for (thief_first, wait) in thief_first.into_iter().zip(waits) {
            let n = scene.state.grant.generation.0;
            let (first, second) = if thief_first { (thief, HOME) } else { (HOME, thief) };
            scene.attempt.context = place(first, "Firefox on Linux");
            scene.now = scene.now.plus(Seconds::MINUTE);
            prop_assert_eq!(scene.play(n), rotated_to(n + 1));
            scene.attempt.context = place(second, "Firefox on Linux");
            scene.now = scene.now.plus(Seconds(wait));
            if scene.play(n) == Decision::Reused {
                break;
            }
            survived += 1;
        }
        prop_assert!(survived <= 2, "{survived} generations");
        prop_assert!(!scene.state.grant.life.is_alive());
    }

    #[test]
    fn an_honest_client_that_loses_no_two_replies_in_a_row_is_never_signed_out(
        lost in prop::collection::vec(any::<bool>(), 1..80),
        wait in 0_u32..7_200,
    ) {
        let mut scene = Scene::bearer();
        let mut lost_before = false;
        for lost in lost {
            let n = scene.state.grant.generation.0;
            scene.now = scene.now.plus(Seconds::minutes(15));
            prop_assert_eq!(scene.play(n), rotated_to(n + 1));
            if lost && !lost_before {
                scene.now = scene.now.plus(Seconds(wait));
                prop_assert!(matches!(scene.play(n), Decision::Replayed(_)));
            }
            lost_before = lost && !lost_before;
        }
    }
}
