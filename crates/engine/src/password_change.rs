//! A user changes their password: a change of privilege. Everything else that they hold ends, and the one session whose
//! holder receives the reply goes on with a token beyond the next (`refresh::raise`).

use std::sync::Arc;

use crate::{
    Engine,
    context::Context,
    event::{Actor, Event, EventKind},
    factor::password::Checked,
    id::Epoch,
    ports::{Broken, End, Judge, PasswordChange, PasswordChanged, UserSelector},
    reason::Reason,
    refresh::{Decision, Intent, Refreshed, Terms, Use, judge, raise, refresh, settle},
    time::Seconds,
    token::Presented,
    user::{self, Identifier, PasswordRefused},
};

/// What became of it.
#[derive(Debug)]
pub enum Changed {
    /// It is done; these are the new tokens.
    Done(Refreshed),
    /// The refresh token does not allow it.
    NotAllowed(Refreshed),
    /// The current password is wrong.
    Wrong,
    /// The new one was not taken.
    Refused(PasswordRefused),
    /// Too many failures; try again after this.
    Limited(Seconds),
    /// Somebody else changed it meanwhile.
    Conflict,
}

/// Changes the password of the session that `presented` belongs to.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn change(
    engine: &Arc<Engine>,
    presented: Presented,
    context: Context,
    current: &str,
    new: &str,
) -> Result<Changed, Broken> {
    let peeked = refresh(engine, Use::of_session(presented.clone(), context.clone(), Intent::Peek)).await?;
    let Refreshed::Tokens(tokens) = peeked else {
        return Ok(Changed::NotAllowed(peeked));
    };
    let Some(user) = engine.store.user(UserSelector::Id(tokens.user)).await? else {
        return Ok(Changed::NotAllowed(Refreshed::Over(crate::reason::WireReason::Ended)));
    };
    // Guessing the current password with a stolen session is guessing it all the same: the same limits hold.
    let keys: Vec<_> = user.identifiers.iter().map(|known| account_key(engine, &known.identifier)).collect();
    let limits = engine.settings.sign_in;
    let now = engine.now();
    let Ok(turn) = engine.hasher.turn().await else {
        return Ok(Changed::Refused(PasswordRefused::Busy));
    };
    for failures in engine.store.failures(keys.clone()).await? {
        if failures.count >= limits.per_account_and_address
            && let Some(retry_after) = failures.wait(limits.window, now)
        {
            return Ok(Changed::Limited(retry_after));
        }
    }
    let Some(expected) = engine.store.password_hash(user.id).await? else {
        return Ok(Changed::Wrong);
    };
    match engine.hasher.check(turn, Some(&expected), current).await {
        Ok(Checked::Right { .. }) => {}
        Ok(Checked::Wrong) => {
            let event =
                Event::new(EventKind::SignInFailed, now, Actor::User, &*engine.random).user(user.id).from(&context);
            engine.store.note_failure(keys, now, limits.window, event).await?;
            return Ok(Changed::Wrong);
        }
        Err(busy) => return Ok(Changed::Refused(busy.into())),
    }
    let names: Vec<&str> = user.identifiers.iter().map(|known| known.identifier.value.as_str()).collect();
    let hash = match user::hash_password(engine, new, &names).await {
        Ok(hash) => hash,
        Err(refused) => return Ok(Changed::Refused(refused)),
    };
    let now = engine.now();
    let event = Event::new(EventKind::PasswordChanged, now, Actor::User, &*engine.random).user(user.id).from(&context);
    let grant = presented.grant;
    let raising = raising(engine, presented, context);
    let change = PasswordChange { expected, hash, event };
    let terms = Terms::default();
    Ok(match engine.store.change_password(grant, raising, change).await? {
        PasswordChanged::Changed(verdict) => Changed::Done(settle(engine, &verdict, &terms, true, now)?),
        PasswordChanged::NotAllowed(verdict) => Changed::NotAllowed(settle(engine, &verdict, &terms, false, now)?),
        PasswordChanged::Conflict => Changed::Conflict,
    })
}

/// Judges as for a peek, and raises the grant if that lets its holder through.
fn raising(engine: &Arc<Engine>, presented: Presented, context: Context) -> Judge {
    let now = engine.now();
    let engine = Arc::clone(engine);
    let peek = judge(&engine, Use::of_session(presented, context, Intent::Peek), now);
    Box::new(move |loaded| {
        let mut verdict = peek(loaded);
        let allowed = matches!(verdict.decision, Decision::Kept | Decision::Replayed(_) | Decision::Healed { .. });
        if allowed && let Some(loaded) = &mut verdict.loaded {
            let grant = &loaded.state.grant;
            let Some(mut raised) = raise(grant, Epoch(grant.epoch.0.saturating_add(1)), now) else {
                // Near 2³² the grant ends, here as in the table.
                let reason = Reason::GenerationExhausted;
                verdict.decision = Decision::Ends(reason);
                verdict.ends = Some(End { at: now.max(grant.last_event), reason, actor: Actor::User });
                return verdict;
            };
            raised.key = engine.refresh_keys.active();
            verdict.events.push(
                Event::new(EventKind::Raised, now, Actor::User, &*engine.random)
                    .of(&raised)
                    .from(&raised.context)
                    .with("issued", raised.generation.0),
            );
            verdict.decision = Decision::Rotated { next: raised.generation };
            loaded.state.grant = raised;
            verdict.write = true;
        }
        verdict
    })
}

fn account_key(engine: &Engine, identifier: &Identifier) -> crate::login::FailureKey {
    crate::login::FailureKey(engine.digests.failure(&[b"password change", identifier.value.as_bytes()]))
}
