//! A user changes their password: a change of privilege. Everything else that they hold ends, and the one session whose
//! holder receives the reply goes on: with a token beyond the next (`refresh::raise`, [`change`]), or, on the provider's own page,
//! with a new reference ([`change_on_page`]).

use std::sync::Arc;

use crate::{
    Engine,
    context::Context,
    event::{Actor, Event, EventKind},
    factor::password::Checked,
    id::Epoch,
    ports::{Broken, End, Judge, PasswordChange, PasswordChanged, UserSelector, Verdict},
    reason::Reason,
    refresh::{Decision, Intent, Owner, Refreshed, Terms, Use, judge, raise, refresh, settle},
    session::SessionRecord,
    single_sign_on::{Reference, SignedIn, prove_again},
    time::{AbsoluteDeadline, Seconds},
    token::Presented,
    user::{self, Identifier, PasswordRefused, User},
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
    let expected = match prove(engine, &user, &context, current).await? {
        Proof::Right { expected } => expected,
        Proof::Wrong => return Ok(Changed::Wrong),
        Proof::Limited(retry_after) => return Ok(Changed::Limited(retry_after)),
        Proof::Busy => return Ok(Changed::Refused(PasswordRefused::Busy)),
    };
    let hash = match hashed(engine, &user, new).await {
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

/// What became of a change on the provider's own page.
#[derive(Debug)]
pub enum ChangedOnPage {
    /// It is done. The session goes on with this reference.
    Done {
        /// For the cookie; the one before is worth nothing.
        reference: Reference,
        /// When the session ends whatever happens.
        until: AbsoluteDeadline,
    },
    /// The session is over.
    Over,
    /// The current password is wrong.
    Wrong,
    /// The new one was not taken.
    Refused(PasswordRefused),
    /// Too many failures; try again after this.
    Limited(Seconds),
}

/// Changes the password of whoever is signed in at the provider. Nobody holds a token of that session's own grant, so there is
/// none to be raised: what its browser holds is the reference, which is made anew first. If the machine breaks between the two,
/// the worst is one more sign-in.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn change_on_page(
    engine: &Arc<Engine>,
    signed_in: &SignedIn,
    context: Context,
    current: &str,
    new: &str,
) -> Result<ChangedOnPage, Broken> {
    let SessionRecord { session, grant, .. } = &signed_in.record;
    let Some(user) = engine.store.user(UserSelector::Id(session.user)).await? else {
        return Ok(ChangedOnPage::Over);
    };
    let expected = match prove(engine, &user, &context, current).await? {
        Proof::Right { expected } => expected,
        Proof::Wrong => return Ok(ChangedOnPage::Wrong),
        Proof::Limited(retry_after) => return Ok(ChangedOnPage::Limited(retry_after)),
        Proof::Busy => return Ok(ChangedOnPage::Refused(PasswordRefused::Busy)),
    };
    let hash = match hashed(engine, &user, new).await {
        Ok(hash) => hash,
        Err(refused) => return Ok(ChangedOnPage::Refused(refused)),
    };
    // ASVS 5 §7.2.4: a proof makes a new reference, and a copy of the old one must not outlive the old password.
    let Some(reference) = prove_again(engine, signed_in, grant.epoch, &context, vec![]).await? else {
        return Ok(ChangedOnPage::Over);
    };
    let event = Event::new(EventKind::PasswordChanged, engine.now(), Actor::User, &*engine.random);
    let change = PasswordChange { expected, hash, event: event.user(user.id).from(&context) };
    Ok(match engine.store.change_password(grant.id, stamping(engine), change).await? {
        PasswordChanged::Changed(_) => ChangedOnPage::Done { reference, until: grant.absolute },
        // Ended, or changed elsewhere, which ends this session too.
        PasswordChanged::NotAllowed(_) | PasswordChanged::Conflict => ChangedOnPage::Over,
    })
}

/// Stamps the grant with the user's next epoch if it lives.
fn stamping(engine: &Arc<Engine>) -> Judge {
    let engine = Arc::clone(engine);
    let now = engine.now();
    Box::new(move |loaded| {
        let mut loaded = loaded.cloned().map(Box::new);
        let (mut decision, mut write) = (Decision::Unknown, false);
        if let Some(loaded) = &mut loaded {
            let state = &mut loaded.state;
            let policy = engine.settings.policy(state.grant.kind);
            let lives = state.grant.life.is_alive() && state.grant.expired(&policy, now).is_none();
            // As of now, in the store's transaction: what has ended meanwhile stays ended.
            if lives && state.user == Owner::Active(state.grant.epoch) {
                let epoch = Epoch(state.grant.epoch.0.saturating_add(1));
                (state.grant.epoch, state.user) = (epoch, Owner::Active(epoch));
                state.grant.last_event = now.max(state.grant.last_event);
                (decision, write) = (Decision::Rotated { next: state.grant.generation }, true);
            }
        }
        Verdict { decision, loaded, write, ends: None, renewed: None, events: vec![], mail: None }
    })
}

/// What became of the wish to prove the current password.
enum Proof {
    Right {
        /// The hash that it was compared with.
        expected: String,
    },
    Wrong,
    Limited(Seconds),
    Busy,
}

/// Whether `current` is the user's password. Guessing it with a stolen session is guessing it all the same: the same limits hold.
async fn prove(engine: &Engine, user: &User, context: &Context, current: &str) -> Result<Proof, Broken> {
    let keys: Vec<_> = user.identifiers.iter().map(|known| account_key(engine, &known.identifier)).collect();
    let limits = engine.settings.sign_in;
    let now = engine.now();
    let Ok(turn) = engine.hasher.turn().await else {
        return Ok(Proof::Busy);
    };
    for failures in engine.store.failures(keys.clone()).await? {
        if failures.count >= limits.per_account_and_address
            && let Some(retry_after) = failures.wait(limits.window, now)
        {
            return Ok(Proof::Limited(retry_after));
        }
    }
    let Some(expected) = engine.store.password_hash(user.id).await? else {
        return Ok(Proof::Wrong);
    };
    match engine.hasher.check(turn, Some(&expected), current).await {
        Ok(Checked::Right { .. }) => Ok(Proof::Right { expected }),
        Ok(Checked::Wrong) => {
            let event =
                Event::new(EventKind::SignInFailed, now, Actor::User, &*engine.random).user(user.id).from(context);
            engine.store.note_failure(keys, now, limits.window, event).await?;
            Ok(Proof::Wrong)
        }
        Err(_) => Ok(Proof::Busy),
    }
}

async fn hashed(engine: &Engine, user: &User, new: &str) -> Result<String, PasswordRefused> {
    let names: Vec<&str> = user.identifiers.iter().map(|known| known.identifier.value.as_str()).collect();
    user::hash_password(engine, new, &names).await
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
