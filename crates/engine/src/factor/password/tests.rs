//! What is asked of a password, and hashing behind its queue.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU8, Ordering};

use proptest::prelude::*;

use super::*;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const PASSWORD: &str = "a very private thought";

/// Another byte at each call, so that salts differ.
#[derive(Default)]
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn hasher_of(cost: Cost, concurrency: usize, queue: usize) -> Hasher {
    Hasher::new(cost, concurrency, queue, Arc::new(Counting::default())).unwrap()
}

fn hasher() -> Hasher {
    hasher_of(CHEAP, 2, 8)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

async fn check(hasher: &Hasher, hash: Option<&str>, password: &str) -> Checked {
    let turn = hasher.turn().await.unwrap();
    hasher.check(turn, hash, password).await.unwrap()
}

const RIGHT: Checked = Checked::Right { outdated: false };

#[test]
fn a_new_password_is_long_enough_and_not_what_is_tried_first() {
    let ada = ["ada@example.org", "lovelace"];
    let cases = [
        (PASSWORD, Ok(())),
        ("", Err(Weakness::TooShort(12))),
        ("elevenchars", Err(Weakness::TooShort(12))),
        ("twelve chars", Ok(())),
        // Code points, not bytes.
        ("ééééèèèèëë1", Err(Weakness::TooShort(12))),
        ("ééééèèèèëë12", Ok(())),
        ("🦀🐙🦑🐚🦐🦞🐡🐠🐟🐬🐳🐋", Ok(())),
        // Twelve as typed, eleven once composed.
        ("e\u{301}tudiants pas", Ok(())),
        ("e\u{301}tudiants p", Err(Weakness::TooShort(12))),
        ("password1234", Err(Weakness::Common)),
        ("PassWord1234", Err(Weakness::Common)),
        ("correct horse battery staple", Err(Weakness::Common)),
        ("correct horse battery staple!", Ok(())),
        ("aaaaaaaaaaaa", Err(Weakness::Common)),
        ("ÄÄÄÄÄÄÄÄÄÄÄÄ", Err(Weakness::Common)),
        ("abcdefghijkl", Err(Weakness::Common)),
        ("ABCDEFGHIJKL", Err(Weakness::Common)),
        ("zyxwvutsrqpo", Err(Weakness::Common)),
        ("abcdefghijkm", Ok(())),
        ("ada@example.org", Err(Weakness::Identifier)),
        ("ADA@Example.ORG", Err(Weakness::Identifier)),
        ("adaadaadaada", Err(Weakness::Identifier)),
        ("lovelacelovelace", Err(Weakness::Identifier)),
        ("ada@example.org!", Ok(())),
        ("ada and lovelace", Ok(())),
        // Spaces are characters like any other.
        ("   spaces   ", Ok(())),
    ];
    for (password, expected) in cases {
        assert_eq!(PasswordRules::default().check(password, &ada), expected, "{password:?}");
    }
}

#[test]
fn a_password_has_at_most_128_code_points() {
    let rules = PasswordRules::default();
    let long = |n: usize| ["🦀", "🐙"].into_iter().cycle().take(n).collect::<String>();
    assert_eq!(rules.check(&long(128), &[]), Ok(()));
    assert_eq!(rules.check(&long(129), &[]), Err(Weakness::TooLong));
    // 128 once composed.
    let decomposed = format!("{}ab", "e\u{301}".repeat(126));
    assert_eq!(rules.check(&decomposed, &[]), Ok(()));
    assert_eq!(rules.check(&format!("{decomposed}c"), &[]), Err(Weakness::TooLong));
    assert_eq!(rules.check(&"x y".repeat(10_000_000), &[]), Err(Weakness::TooLong));
}

#[test]
fn an_odd_identifier_makes_no_password_weak() {
    let rules = PasswordRules::default();
    for identifier in ["", "@", "@example.org", " "] {
        assert_eq!(rules.check(PASSWORD, &[identifier]), Ok(()), "{identifier:?}");
    }
}

#[test]
fn a_password_is_recognised_and_another_is_not() {
    run(async {
        let hasher = hasher();
        let hash = hasher.hash(PASSWORD).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert_eq!(check(&hasher, Some(&hash), PASSWORD).await, RIGHT);
        for wrong in [
            "",
            "a very private though",
            "a very private thought ",
            "A very private thought",
            "a very private thought\0",
        ] {
            assert_eq!(check(&hasher, Some(&hash), wrong).await, Checked::Wrong, "{wrong:?}");
        }
        let again = hasher.hash(PASSWORD).await.unwrap();
        assert_ne!(hash, again, "each has its own salt");
        assert_eq!(check(&hasher, Some(&again), PASSWORD).await, RIGHT);
    });
}

#[test]
fn a_password_typed_composed_and_decomposed_is_the_same() {
    let (composed, decomposed) = ("Z\u{fc}rich ist sch\u{f6}n", "Zu\u{308}rich ist scho\u{308}n");
    run(async {
        let hasher = hasher();
        for (set, typed) in [(composed, decomposed), (decomposed, composed)] {
            let hash = hasher.hash(set).await.unwrap();
            assert_eq!(check(&hasher, Some(&hash), typed).await, RIGHT);
        }
        // NFC only: what merely looks alike stays apart.
        let hash = hasher.hash("\u{fb01}re in the hole").await.unwrap();
        assert_eq!(check(&hasher, Some(&hash), "fire in the hole").await, Checked::Wrong);
    });
}

#[test]
fn an_unknown_user_has_every_password_wrong() {
    run(async {
        let hasher = hasher();
        for password in [PASSWORD, "", "a password that nobody has"] {
            assert_eq!(check(&hasher, None, password).await, Checked::Wrong, "{password:?}");
        }
    });
}

#[test]
fn a_password_longer_than_any_is_wrong_and_cannot_be_set() {
    run(async {
        let hasher = hasher();
        let hash = hasher.hash(PASSWORD).await.unwrap();
        let long = "ab".repeat(65);
        assert_eq!(check(&hasher, Some(&hash), &long).await, Checked::Wrong);
        assert_eq!(check(&hasher, None, &long).await, Checked::Wrong);
        assert!(hasher.hash(&long).await.is_err());
    });
}

#[test]
fn a_hash_of_another_cost_is_right_and_outdated() {
    let costs =
        [Cost { memory_kib: 16, ..CHEAP }, Cost { passes: 2, ..CHEAP }, Cost { lanes: 2, memory_kib: 16, ..CHEAP }];
    run(async {
        let hasher = hasher();
        for cost in costs {
            let other = hasher_of(cost, 1, 1);
            let hash = other.hash(PASSWORD).await.unwrap();
            let outdated = Checked::Right { outdated: true };
            assert_eq!(check(&hasher, Some(&hash), PASSWORD).await, outdated, "{cost:?}");
            assert_eq!(check(&other, Some(&hash), PASSWORD).await, RIGHT);
        }
    });
}

/// A hash of [`PASSWORD`] at the cheap cost, with `from` replaced by `to`.
async fn altered(hasher: &Hasher, from: &str, to: &str) -> String {
    let hash = hasher.hash(PASSWORD).await.unwrap();
    assert!(hash.contains(from), "{hash}");
    hash.replace(from, to)
}

#[test]
fn hashes_of_other_kinds_are_refused() {
    run(async {
        let hasher = hasher();
        let foreign = [
            String::new(),
            "password".to_owned(),
            "$argon2id$".to_owned(),
            "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW".to_owned(),
            "$pbkdf2-sha256$i=600000$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            altered(&hasher, "argon2id", "argon2i").await,
            altered(&hasher, "argon2id", "argon2d").await,
            altered(&hasher, "argon2id", "scrypt").await,
        ];
        for hash in foreign {
            assert!(!can_check(&hash), "{hash}");
            assert_eq!(check(&hasher, Some(&hash), PASSWORD).await, Checked::Wrong, "{hash}");
        }
    });
}

#[test]
fn costs_above_the_cap_are_refused_before_they_are_paid() {
    run(async {
        let hasher = hasher();
        let most = "m=262144,t=16,p=8";
        assert!(can_check(&altered(&hasher, "m=8,t=1,p=1", most).await));
        for cost in [
            "m=262145,t=16,p=8",
            "m=262144,t=17,p=8",
            "m=262144,t=16,p=9",
            "m=4294967295,t=1,p=1",
            "m=8,t=4294967295,p=1",
        ] {
            let hash = altered(&hasher, "m=8,t=1,p=1", cost).await;
            assert!(!can_check(&hash), "{cost}");
            assert_eq!(check(&hasher, Some(&hash), PASSWORD).await, Checked::Wrong, "{cost}");
        }
    });
}

#[test]
fn an_impossible_cost_makes_no_hasher() {
    let impossible = Cost { passes: 0, ..CHEAP };
    assert!(Hasher::new(impossible, 1, 1, Arc::new(Counting::default())).is_none());
}

#[test]
fn one_more_than_may_run_and_wait_is_sent_away_at_once() {
    run(async {
        let hasher = Arc::new(hasher_of(CHEAP, 2, 3));
        let running = [hasher.turn().await.unwrap(), hasher.turn().await.unwrap()];
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let hasher = Arc::clone(&hasher);
                tokio::spawn(async move { hasher.turn().await.map(drop) })
            })
            .collect();
        // On one thread a yield lets each of them run to the point where it waits.
        tokio::task::yield_now().await;
        assert_eq!(hasher.waiting.available_permits(), 0);
        assert!(matches!(hasher.turn().await, Err(Busy)));
        assert!(matches!(hasher.hash(PASSWORD).await, Err(Busy)));
        assert_eq!(hasher.load(), Load { running: 2, waiting: 3, refused: 2 });
        assert!(waiting.iter().all(|task| !task.is_finished()));

        drop(running);
        for task in waiting {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
        assert!(hasher.turn().await.is_ok(), "every turn was given back");
        assert_eq!(hasher.load(), Load { running: 0, waiting: 0, refused: 2 });
    });
}

#[test]
fn many_at_once_are_answered_or_sent_away_and_every_turn_is_given_back() {
    run(async {
        let hasher = Arc::new(hasher_of(CHEAP, 2, 2));
        let hash = hasher.hash(PASSWORD).await.unwrap();
        let callers: Vec<_> = (0..40)
            .map(|_| {
                let (hasher, hash) = (Arc::clone(&hasher), hash.clone());
                tokio::spawn(async move {
                    let turn = hasher.turn().await?;
                    hasher.check(turn, Some(&hash), PASSWORD).await
                })
            })
            .collect();
        let mut right = 0;
        let mut busy = 0;
        for caller in callers {
            match caller.await.unwrap() {
                Ok(RIGHT) => right += 1,
                Err(Busy) => busy += 1,
                other => panic!("{other:?}"),
            }
        }
        // Two run and two wait at least; how many of the others find a place that was given back is the machine's to say.
        assert!(right >= 4 && right + busy == 40, "{right} right, {busy} busy");
        assert_eq!(hasher.running.available_permits(), 2);
        assert_eq!(hasher.waiting.available_permits(), 4);
    });
}

#[test]
fn debug_output_of_a_hasher_is_its_cost_alone() {
    let shown = format!("{:?}", hasher());
    assert!(shown.contains("memory_kib: 8") && !shown.contains("argon2id"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_password_within_the_limit_is_recognised(password in "\\PC{1,128}", other in "\\PC{1,20}") {
        prop_assume!(password.nfc().count() <= LONGEST);
        let alike = password.nfc().eq(other.nfc());
        run(async {
            let hasher = hasher();
            let hash = hasher.hash(&password).await.unwrap();
            prop_assert_eq!(check(&hasher, Some(&hash), &password).await, RIGHT);
            let typed = check(&hasher, Some(&hash), &other).await;
            prop_assert_eq!(typed == RIGHT, alike);
            Ok(())
        })?;
    }

    #[test]
    fn garbage_is_no_hash(text in any::<String>()) {
        let phc = format!("$argon2id${text}");
        prop_assert!(!can_check(&text));
        prop_assert!(!can_check(&phc));
    }
}
