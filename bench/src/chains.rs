//! Which token is next: each connection owns a share of the grants and goes round.
//!
//! A grant is not renewed more often than every [`LEAST_APART`]: the server allows 60 in a minute, and a load that runs into
//! that limit measures the limit.

use std::time::{Duration, Instant};

/// 50 times a minute.
pub(crate) const LEAST_APART: Duration = Duration::from_millis(1200);

/// How many refreshes a second `grants` allow.
pub(crate) fn most_per_second(grants: u64) -> f64 {
    grants as f64 / LEAST_APART.as_secs_f64()
}

/// One connection's grants.
pub(crate) struct Chains {
    chains: Vec<Chain>,
    next: usize,
}

struct Chain {
    /// The newest token; `None` where the server has ended it.
    token: Option<Box<str>>,
    not_before: Option<Instant>,
}

/// Whose turn it is.
pub(crate) struct Turn<'a> {
    pub(crate) token: &'a str,
    /// Not earlier than this.
    pub(crate) not_before: Option<Instant>,
    slot: usize,
}

impl Turn<'_> {
    /// To say later what became of it.
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }
}

impl Chains {
    pub(crate) fn new(tokens: impl IntoIterator<Item = Box<str>>) -> Self {
        let chains = tokens.into_iter().map(|token| Chain { token: Some(token), not_before: None }).collect();
        Self { chains, next: 0 }
    }

    /// The next one that lives; `None` if none does.
    pub(crate) fn turn(&mut self) -> Option<Turn<'_>> {
        let count = self.chains.len();
        let slot = (self.next..self.next + count)
            .map(|slot| slot % count)
            .find(|slot| self.chains.get(*slot).is_some_and(|chain| chain.token.is_some()))?;
        self.next = (slot + 1) % count;
        let chain = self.chains.get(slot)?;
        Some(Turn { token: chain.token.as_deref()?, not_before: chain.not_before, slot })
    }

    /// It was renewed: `successor` is kept.
    pub(crate) fn renewed(&mut self, slot: usize, successor: &str, at: Instant) {
        if let Some(chain) = self.chains.get_mut(slot) {
            *chain = Chain { token: Some(successor.into()), not_before: Some(at + LEAST_APART) };
        }
    }

    /// It was not, and may be tried again after `wait`.
    pub(crate) fn put_off(&mut self, slot: usize, at: Instant, wait: Duration) {
        if let Some(chain) = self.chains.get_mut(slot) {
            chain.not_before = Some(at + wait);
        }
    }

    /// The newest tokens of those that live.
    pub(crate) fn into_tokens(self) -> impl Iterator<Item = Box<str>> {
        self.chains.into_iter().filter_map(|chain| chain.token)
    }

    /// The server does not want this token any more.
    pub(crate) fn ended(&mut self, slot: usize) {
        if let Some(chain) = self.chains.get_mut(slot) {
            chain.token = None;
        }
    }
}

/// Deals the tokens out to `hands`, one after the other, in an order that has nothing to do with theirs: people do not come
/// back in the order in which they signed in. The same tokens give the same hands.
pub(crate) fn deal(mut tokens: Vec<Box<str>>, hands: usize) -> Vec<Chains> {
    let mut chance = Chance(0x5EED);
    for last in (1..tokens.len()).rev() {
        tokens.swap(last, chance.below(last + 1));
    }
    let mut dealt: Vec<Vec<Box<str>>> = (0..hands).map(|_| Vec::with_capacity(tokens.len() / hands + 1)).collect();
    for (index, token) in tokens.into_iter().enumerate() {
        if let Some(hand) = dealt.get_mut(index % hands) {
            hand.push(token);
        }
    }
    dealt.into_iter().map(Chains::new).collect()
}

/// `SplitMix64`: repeatable, fast, and no secret.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn chains(tokens: &[&str]) -> Chains {
        Chains::new(tokens.iter().map(|token| (*token).into()))
    }

    fn turn(chains: &mut Chains) -> Option<String> {
        chains.turn().map(|turn| turn.token.to_owned())
    }

    #[test]
    fn a_connection_goes_round_and_uses_the_successor_in_the_next_round() {
        let mut chains = chains(&["a1", "b1"]);
        let now = clock::now();
        let slot = chains.turn().unwrap().slot();
        chains.renewed(slot, "a2", now);
        assert_eq!(turn(&mut chains).as_deref(), Some("b1"));
        let again = chains.turn().unwrap();
        assert_eq!((again.token, again.not_before), ("a2", Some(now + LEAST_APART)));
    }

    #[test]
    fn ended_chains_are_passed_over_until_none_is_left() {
        let mut chains = chains(&["a1", "b1"]);
        let slot = chains.turn().unwrap().slot();
        chains.ended(slot);
        assert_eq!((turn(&mut chains).as_deref(), turn(&mut chains).as_deref()), (Some("b1"), Some("b1")));
        let slot = chains.turn().unwrap().slot();
        chains.ended(slot);
        assert!(chains.turn().is_none());
        assert!(super::Chains::new([]).turn().is_none());
    }

    #[test]
    fn what_is_put_off_keeps_its_token() {
        let mut chains = chains(&["a1"]);
        let (slot, now) = (chains.turn().unwrap().slot(), clock::now());
        chains.put_off(slot, now, Duration::from_secs(9));
        let again = chains.turn().unwrap();
        assert_eq!((again.token, again.not_before), ("a1", Some(now + Duration::from_secs(9))));
    }

    #[test]
    fn every_token_is_dealt_once_and_always_to_the_same_hand() {
        let tokens = || (0..100).map(|n| n.to_string().into()).collect::<Vec<Box<str>>>();
        let seen = |hands: Vec<Chains>| -> Vec<Vec<String>> {
            let all =
                |hand: Chains| hand.chains.into_iter().filter_map(|chain| chain.token).map(String::from).collect();
            hands.into_iter().map(all).collect()
        };
        let (first, second) = (seen(deal(tokens(), 3)), seen(deal(tokens(), 3)));
        assert_eq!(first, second);
        assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [34, 33, 33]);
        let mut all: Vec<_> = first.concat();
        all.sort_by_key(|token| token.parse::<u32>().unwrap());
        assert_eq!(all, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_grant_is_used_fifty_times_a_minute_at_most() {
        assert!((most_per_second(60) - 50.0).abs() < 1e-9);
    }
}
