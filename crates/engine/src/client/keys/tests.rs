//! How often an address is asked, and what is believed of its answer.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::atomic::{AtomicU32, Ordering},
    task::Poll,
};

use regrant_jose::{KeyKind, SigningKey};

use super::*;

const NOW: Time = Time::from_millis(1_700_000_000_000);
const URL: &str = "https://app.example/jwks.json";

/// An address with these answers; it counts who asks.
#[derive(Default)]
struct Place {
    says: Mutex<Option<String>>,
    asked: AtomicU32,
}

impl KeySource for Place {
    fn fetch<'a>(&'a self, _: &'a str) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + 'a>> {
        Box::pin(async {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            self.says.lock().unwrap().clone().map(String::into_bytes)
        })
    }
}

struct World {
    place: Arc<Place>,
    sets: KeySets,
}

impl World {
    fn new() -> Self {
        let (place, sets) = (Arc::new(Place::default()), KeySets::default());
        sets.fetch_by(Arc::clone(&place) as Arc<dyn KeySource>);
        Self { place, sets }
    }

    fn say(&self, text: Option<&str>) {
        *self.place.says.lock().unwrap() = text.map(str::to_owned);
    }

    /// The names of the keys so many seconds later, and how often the address was asked.
    fn at(&self, seconds: u32, kid: Option<&str>) -> (Option<Vec<String>>, u32) {
        let set = block(self.sets.at(URL, kid, NOW.plus(Seconds(seconds))));
        let names = |set: Arc<Jwks>| set.keys().iter().filter_map(Jwk::kid).map(str::to_owned).collect();
        (set.map(names), self.place.asked.load(Ordering::Relaxed))
    }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn set_of(names: &[&str]) -> String {
    let key = |name: &&str| Jwk::generate(KeyKind::P256).unwrap().to_public().unwrap().with_kid(name);
    Jwks::from_keys(names.iter().map(key).collect()).to_json()
}

fn named(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_set_is_kept_for_five_minutes_and_no_longer() {
    let world = World::new();
    world.say(Some(&set_of(&["a"])));
    assert_eq!(world.at(0, Some("a")), (named(&["a"]), 1));
    world.say(Some(&set_of(&["b"])));
    assert_eq!(world.at(299, Some("a")), (named(&["a"]), 1));
    assert_eq!(world.at(299, None), (named(&["a"]), 1));
    assert_eq!(world.at(300, Some("a")), (named(&["b"]), 2), "a key that was taken back");
}

#[test]
fn a_new_key_is_found_at_once_and_made_up_names_are_not_looked_for_again_and_again() {
    let world = World::new();
    world.say(Some(&set_of(&["a"])));
    assert_eq!(world.at(0, Some("a")).1, 1);
    world.say(Some(&set_of(&["a", "b"])));
    assert_eq!(world.at(14, Some("b")), (named(&["a"]), 1));
    assert_eq!(world.at(15, Some("b")), (named(&["a", "b"]), 2));
    for second in 16..30 {
        assert_eq!(world.at(second, Some("made-up")), (named(&["a", "b"]), 2));
    }
    assert_eq!(world.at(30, Some("made-up")).1, 3);
}

#[test]
fn who_does_not_answer_is_left_alone_for_a_while_and_believed_no_longer_than_usual() {
    let world = World::new();
    assert_eq!(world.at(0, Some("a")), (None, 1));
    world.say(Some(&set_of(&["a"])));
    assert_eq!(world.at(14, Some("a")), (None, 1));
    assert_eq!(world.at(15, Some("a")), (named(&["a"]), 2));
    world.say(None);
    assert_eq!(world.at(31, Some("b")), (named(&["a"]), 3), "it was good, and still is");
    assert_eq!(world.at(315, Some("a")), (None, 4), "and is no more");
    world.say(Some("{"));
    assert_eq!(world.at(330, Some("a")), (None, 5));
}

#[test]
fn what_everybody_can_read_is_no_secret() {
    let world = World::new();
    let secret = Jwk::generate(KeyKind::Secret(32)).unwrap().with_kid("s").to_private_json();
    let private = SigningKey::generate(regrant_jose::Algorithm::Es256).unwrap().jwk().clone().with_kid("p");
    let private = private.to_private_json();
    world.say(Some(&format!("{{\"keys\":[{},{}]}}", *secret, *private)));
    assert_eq!(world.at(0, None), (named(&[]), 1));
}

#[test]
fn many_who_come_at_once_ask_once() {
    let world = World::new();
    world.say(Some(&set_of(&["a"])));
    block(async {
        let one = || world.sets.at(URL, Some("a"), NOW);
        let (first, second, third) = tokio::join!(one(), one(), one());
        assert!([first, second, third].iter().all(Option::is_some));
    });
    assert_eq!(world.place.asked.load(Ordering::Relaxed), 1);
    assert!(block(KeySets::default().at(URL, None, NOW)).is_none(), "nobody to ask by");
}

#[test]
fn who_hangs_up_does_not_keep_the_keys_from_the_others() {
    let world = World::new();
    world.say(Some(&set_of(&["a"])));
    let found = block(async {
        let mut first = Box::pin(world.sets.at(URL, Some("a"), NOW));
        let waits = std::future::poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_pending())).await;
        assert!(waits);
        drop(first);
        world.sets.at(URL, Some("a"), NOW).await
    });
    assert!(found.is_some());
    assert_eq!(world.place.asked.load(Ordering::Relaxed), 1);
}
