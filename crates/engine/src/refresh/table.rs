//! The protocol's table: what a use of a token is, and what becomes of the grant. Pure: no I/O, no clock, no randomness.

use super::{
    Attempt, Decision, Grant, Holding, Owner, Pace, Policy, Refusal, Replay, ReplayPolicy, Risk, Rotation, State,
    Suspicion, Window,
};
use crate::{
    id::{Epoch, Generation},
    reason::{Life, Reason},
    time::{AbsoluteDeadline, IdleDeadline, Time},
    token::Endpoint,
};

/// The decision table, rows in its order, first match wins.
///
/// `state` is `None` where the store has no such grant. `now` may be before the grant's last event, which then stands for it.
#[must_use]
pub fn decide(state: Option<&State>, attempt: &Attempt, policy: &Policy, now: Time) -> Decision {
    // Row 1 is `RefreshKeys::open`: it needs no state.
    // Row 2: no such grant, or one that this token is not of.
    let Some(State { grant, session, session_until, user, client_exists, consent_stands }) =
        state.filter(|_| attempt.genuine)
    else {
        return Decision::Unknown;
    };
    // The minute of the limits is the clock's own: pinned to the last event it would not end until a wild clock is caught up.
    let clock = now;
    let now = now.max(grant.last_event);
    let (n, g) = (attempt.generation, grant.generation);
    let behind = g.0.saturating_sub(n.0);
    let ahead = n.0.saturating_sub(g.0);

    // Row 3, RFC 6749 §10.4: the token must have been issued to this client.
    if attempt.client != grant.client || attempt.endpoint != grant.endpoint {
        return Decision::Refused(Refusal::Client);
    }
    // Row 4, RFC 9449 §5: a bound token needs the proof of its key.
    let proven = grant.proven_by(attempt);
    if let Holding::Bound { from, .. } = grant.holding
        && n >= from
        && !proven
    {
        return Decision::Refused(Refusal::Proof);
    }
    // Row 5.
    if let Life::Ended { reason, .. } = grant.life {
        return Decision::Ended(reason);
    }
    // Row 6: what the grant hangs on.
    if let Some(Life::Ended { reason, .. }) = session {
        let own = grant.endpoint == Endpoint::Session;
        return Decision::Ended(if own { *reason } else { Reason::SessionEnded });
    }
    if session_until.is_some_and(|until| now >= until) {
        return Decision::Ended(Reason::SessionEnded);
    }
    match user {
        Owner::Gone => return Decision::Ended(Reason::UserDeleted),
        Owner::Disabled => return Decision::Ended(Reason::UserDisabled),
        Owner::Active(epoch) if *epoch != grant.epoch => return Decision::Ended(Reason::EpochRaised),
        Owner::Active(_) => {}
    }
    if !client_exists {
        return Decision::Ended(Reason::ClientRemoved);
    }
    if !consent_stands {
        return Decision::Ended(Reason::ConsentRevoked);
    }
    if let Some((reason, _)) = grant.expired(policy, now) {
        return Decision::Ended(reason);
    }
    // Row 7: the token before a change of privilege, whose new token nobody has used: its reply was lost, or it is the
    // holder's other tab. No theft, but not the stronger session either.
    if behind == 2 && grant.fence == Some(g) && !grant.newest_used {
        return Decision::Refused(Refusal::Superseded);
    }
    // Rows 8 and 9.
    if behind >= 2 {
        return if proven { Decision::Refused(Refusal::Stale) } else { Decision::Reused };
    }
    // Rows 10 and 11: newer than the store knows.
    if ahead >= 1 {
        let believed = ahead <= 2 && (proven || attempt.context.is_like(&grant.context));
        return match n.next() {
            Some(next) if believed => Decision::Healed { next },
            _ => Decision::Ends(Reason::StoreRecovered),
        };
    }
    // Row 12, RFC 6749 §6: the scope must not include any that was not granted.
    if attempt.asks_for_more {
        return Decision::Refused(Refusal::Scope);
    }
    // Row 13.
    match attempt.risk {
        Risk::High => return Decision::Ends(Reason::RiskHigh),
        Risk::Medium => return Decision::Refused(Refusal::StepUp),
        Risk::Low => {}
    }
    if n == g {
        // Row 14.
        if attempt.peek || grant.rotation_is_off(policy) {
            return Decision::Kept;
        }
        // Row 15.
        let Some(next) = g.next() else {
            return Decision::Ends(Reason::GenerationExhausted);
        };
        return match grant.pace.rotations.count_one(clock, policy.rotations_per_minute) {
            Ok(_) => Decision::Rotated { next },
            Err(retry_after) => Decision::Limited { retry_after },
        };
    }
    match grant.replay(attempt, proven, policy, now) {
        // Row 21.
        None => Decision::Reused,
        Some(replay) => match grant.pace.replays.count_one(clock, policy.replays_per_minute) {
            Ok(_) => Decision::Replayed(replay),
            Err(retry_after) => Decision::Limited { retry_after },
        },
    }
}

impl Grant {
    /// Whether the attempt comes from the one who holds the key, or from the authenticated client.
    fn proven_by(&self, attempt: &Attempt) -> bool {
        match self.holding {
            Holding::Bearer => false,
            Holding::Bound { key, .. } => attempt.proof == Some(key),
            // Row 3 has compared the client, and the endpoint has authenticated it.
            Holding::ClientBound => true,
        }
    }

    /// Rows 16 to 20: what a use of g−1 is, `None` where it is theft.
    fn replay(&self, attempt: &Attempt, proven: bool, policy: &Policy, now: Time) -> Option<Replay> {
        match self.holding {
            // Row 16: g was bound when g−1 was rotated, so the rightful holder has the key. Row 17 otherwise.
            Holding::Bound { .. } => return proven.then_some(Replay::Proven),
            Holding::ClientBound => return Some(Replay::Proven),
            Holding::Bearer => {}
        }
        let forgiven = |replay: Replay| self.suspicion.points.saturating_add(replay.weight()) < Suspicion::LIMIT;
        // Row 18.
        let same_place = attempt.context.is_like(&self.context) && attempt.context.address == self.context.address;
        if same_place && now <= self.rotated_at.plus(policy.burst) {
            return Some(Replay::Burst);
        }
        // Row 19.
        let same_program = attempt.context.user_agent == self.context.user_agent;
        if same_program && self.networks.contains(attempt.context.network) {
            return Some(Replay::Late).filter(|replay| forgiven(*replay));
        }
        // Row 20.
        Some(Replay::Foreign).filter(|replay| policy.replay == ReplayPolicy::Balanced && forgiven(*replay))
    }

    fn rotation_is_off(&self, policy: &Policy) -> bool {
        policy.rotation == Rotation::Off && self.holding != Holding::Bearer
    }

    /// The absolute deadline under `policy`: a shorter lifetime acts at the next use, a longer one never does.
    fn absolute_under(&self, policy: &Policy) -> AbsoluteDeadline {
        policy
            .absolute
            .map_or(self.absolute, |lifetime| self.absolute.min(AbsoluteDeadline(self.issued_at.plus(lifetime))))
    }

    /// Which deadline has passed at `now`, if one has, and when: the one that passed first.
    #[must_use]
    pub fn expired(&self, policy: &Policy, now: Time) -> Option<(Reason, Time)> {
        let absolute = self.absolute_under(policy);
        if now >= self.idle.0 && self.idle.0 < absolute.0 {
            Some((Reason::ExpiredIdle, self.idle.0))
        } else if now >= absolute.0 {
            Some((Reason::ExpiredAbsolute, absolute.0))
        } else {
            None
        }
    }
}

/// What becomes of the grant's row: `None` where `decision` changes nothing.
///
/// Pure, like [`decide`], whose decision about this grant and attempt it carries out.
#[must_use]
pub fn apply(decision: &Decision, grant: &Grant, attempt: &Attempt, policy: &Policy, now: Time) -> Option<Grant> {
    let clock = now;
    let now = now.max(grant.last_event);
    match decision {
        Decision::Unknown | Decision::Refused(_) | Decision::Ended(_) | Decision::Limited { .. } => None,
        Decision::Reused => Some(ended(grant, Reason::Reused, now)),
        Decision::Ends(reason) => Some(ended(grant, *reason, now)),
        Decision::Healed { next } | Decision::Rotated { next } => Some(rotated(grant, *next, attempt, policy, clock)),
        Decision::Kept => {
            let slides = !attempt.peek && grant.rotation_is_off(policy);
            let mut next = grant.clone();
            // Only row 7 asks whether the newest generation was used, so only a fenced one is marked: a peek is otherwise free.
            next.newest_used = grant.newest_used || grant.fence == Some(grant.generation);
            if slides {
                next.absolute = grant.absolute_under(policy);
                next.idle = IdleDeadline::sliding(now, policy.idle, next.absolute);
                next.last_event = now;
            }
            (next != *grant).then_some(next)
        }
        Decision::Replayed(replay) => {
            let mut next = grant.clone();
            let worse = grant.suspicion.worst.is_none_or(|worst| replay.gravity() > worst.gravity());
            if worse {
                next.suspicion.worst = Some(*replay);
            }
            next.pace.replays = grant.pace.replays.count_one(clock, u32::MAX).unwrap_or(grant.pace.replays);
            next.last_event = now;
            Some(next)
        }
    }
}

/// The grant after a change of privilege whose reply goes to its holder: the generation jumps by two, so that no token from
/// before reaches the stronger session, and the user's new epoch is stamped.
///
/// `None` near 2³².
#[must_use]
pub fn raise(grant: &Grant, epoch: Epoch, now: Time) -> Option<Grant> {
    let now = now.max(grant.last_event);
    let generation = grant.generation.skip(2)?;
    Some(Grant {
        generation,
        fence: Some(generation),
        newest_used: false,
        epoch,
        rotated_at: now,
        last_event: now,
        suspicion: grant.suspicion.closed(),
        pace: Pace { replays: Window::default(), ..grant.pace },
        ..grant.clone()
    })
}

pub(super) fn ended(grant: &Grant, reason: Reason, now: Time) -> Grant {
    Grant { life: Life::Ended { at: now, reason }, last_event: now, ..grant.clone() }
}

fn rotated(grant: &Grant, generation: Generation, attempt: &Attempt, policy: &Policy, clock: Time) -> Grant {
    let now = clock.max(grant.last_event);
    let absolute = grant.absolute_under(policy);
    let mut networks = grant.networks.clone();
    networks.note(attempt.context.network);
    // A public client that proves a key from now on is bound to it from the successor on; a binding never changes.
    let holding = match (grant.holding, attempt.proof) {
        (Holding::Bearer, Some(key)) => Holding::Bound { key, from: generation },
        (holding, _) => holding,
    };
    Grant {
        holding,
        generation,
        fence: None,
        newest_used: false,
        rotated_at: now,
        last_event: now,
        idle: IdleDeadline::sliding(now, policy.idle, absolute),
        absolute,
        context: attempt.context.clone(),
        networks,
        suspicion: grant.suspicion.closed(),
        pace: Pace {
            rotations: grant.pace.rotations.count_one(clock, u32::MAX).unwrap_or(grant.pace.rotations),
            replays: Window::default(),
        },
        ..grant.clone()
    }
}
