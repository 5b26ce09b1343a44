//! The sign-in of the provider's own pages: one for all applications.
//!
//! 1. Whoever signs in at `/login` gets a session like any other, whose own grant nobody holds a token of, and a *reference*: an
//!    opaque cookie that names the session and can refresh nothing.
//! 2. `/oauth2/authorize` and the pages read it ([`signed_in`]). Such a use slides the session ([`touch`]), at most once an hour.
//! 3. Each proof of who one is makes a new reference, and the one before is worth nothing: ASVS 5 §7.2.4. The same user's session
//!    goes on, so that nobody is signed out elsewhere by it; another user's ends.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{
    Engine,
    authorize::Present,
    context::Context,
    event::{Actor, Event, EventKind},
    id::{Epoch, SessionId},
    login::{Credentials, FailureKey, Proof, Proven, SignIn, open, prove},
    ports::{Broken, Judge, NewSignIn, SignInRecord, Verdict, Wanted},
    reason::Reason,
    refresh::{Authentication, Decision, Owner},
    session::{self, SessionRecord},
    time::{AbsoluteDeadline, IdleDeadline, Seconds},
};

/// A use slides the session at most so often.
const SLIDES_EVERY: Seconds = Seconds::HOUR;
/// The length of a reference: 256 bits.
const LENGTH: usize = 43;

/// The opaque text of the sign-in cookie. Silent in `Debug`.
pub struct Reference(Zeroizing<String>);

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reference(secret)")
    }
}

impl Reference {
    fn new(engine: &Engine) -> Self {
        Self(secret(engine))
    }

    /// The text itself, for the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// 256 random bits as text.
pub(crate) fn secret(engine: &Engine) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    engine.random.fill(bytes.as_mut_slice());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

/// What the store keeps of such a text: so much randomness needs no slow hash.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()) {
        *to = *from;
    }
    out
}

/// Somebody who is signed in at the provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedIn {
    /// The session.
    pub record: SessionRecord,
    /// Their last proof of who they are.
    pub authentication: Authentication,
}

impl SignedIn {
    /// As the rules of the authorization endpoint see it.
    #[must_use]
    pub fn present(&self) -> Present {
        let session = &self.record.session;
        Present { user: session.user, session: session.id, auth_time: self.authentication.auth_time }
    }
}

/// Who the reference is of, if their session lives.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn signed_in(engine: &Engine, reference: &str) -> Result<Option<SignedIn>, Broken> {
    if reference.len() != LENGTH {
        return Ok(None);
    }
    let Some(SignInRecord { record, authentication, user }) = engine.store.sign_in(hash(reference)).await? else {
        return Ok(None);
    };
    let lives = user == Owner::Active(record.grant.epoch) && record.life_at(engine, engine.now()).is_alive();
    Ok(lives.then_some(SignedIn { record, authentication }))
}

/// Slides the session: its user is there.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn touch(engine: &Engine, signed_in: &SignedIn) -> Result<(), Broken> {
    let grant = &signed_in.record.grant;
    let (now, policy) = (engine.now(), engine.settings.policy(grant.kind));
    let slid = IdleDeadline::sliding(now, policy.idle, grant.absolute);
    if slid.0.millis_since(grant.idle.0) < SLIDES_EVERY.millis() {
        return Ok(());
    }
    let judge: Judge = Box::new(move |loaded| {
        let mut loaded = loaded.cloned().map(Box::new);
        let mut write = false;
        if let Some(loaded) = &mut loaded {
            let grant = &mut loaded.state.grant;
            let owned = loaded.state.user == Owner::Active(grant.epoch);
            // As of now, in the store's transaction: what has ended meanwhile stays ended.
            if grant.life.is_alive() && owned && grant.expired(&policy, now).is_none() && slid > grant.idle {
                (grant.idle, grant.last_event, write) = (slid, now.max(grant.last_event), true);
            }
        }
        Verdict { decision: Decision::Kept, loaded, write, ends: None, renewed: None, events: vec![], mail: None }
    });
    engine.store.refresh(grant.id, Wanted::Roles, judge).await.map(|_| ())
}

/// What became of a sign-in.
#[derive(Debug)]
pub enum Outcome {
    /// It succeeded.
    Done {
        /// For the cookie.
        reference: Reference,
        /// The session.
        session: SessionId,
        /// When it ends whatever happens.
        until: AbsoluteDeadline,
    },
    /// Identifier or password is wrong, or the user may not sign in.
    Wrong,
    /// Too many failures; try again after this.
    Limited(Seconds),
    /// Too many sign-ins wait already.
    Busy,
}

/// Signs somebody in at the provider. `current` is who is signed in there until now.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn sign_in(
    engine: &Arc<Engine>,
    credentials: Credentials<'_>,
    current: Option<SignedIn>,
) -> Result<Outcome, Broken> {
    let context = credentials.context.clone();
    let Proven { account, keys } = match prove(engine, &credentials).await? {
        Proof::Proven(proven) => *proven,
        Proof::Wrong => return Ok(Outcome::Wrong),
        Proof::Limited(retry_after) => return Ok(Outcome::Limited(retry_after)),
        Proof::Busy => return Ok(Outcome::Busy),
    };
    if let Some(current) = current.as_ref().filter(|current| current.record.session.user == account.user) {
        let forgive = keys.iter().take(2).copied().collect();
        let (session, until) = (current.record.session.id, current.record.grant.absolute);
        if let Some(reference) = prove_again(engine, current, account.epoch, &context, forgive).await? {
            return Ok(Outcome::Done { reference, session, until });
        }
        // It ended meanwhile: they get a new one.
    }
    let (audience, scope) = (engine.settings.audience.clone(), crate::scope::OPENID.to_owned());
    let tokens = match open(engine, account.clone(), credentials, audience, scope, &keys).await? {
        SignIn::Granted(tokens) => tokens,
        SignIn::Limited(retry_after) => return Ok(Outcome::Limited(retry_after)),
        SignIn::Busy => return Ok(Outcome::Busy),
        SignIn::Wrong | SignIn::Audience | SignIn::Scope => return Ok(Outcome::Wrong),
    };
    // Tokens of a session's own grant have a session; the one made here is held by nobody.
    let Some(session) = tokens.session else {
        return Ok(Outcome::Wrong);
    };
    let reference = Reference::new(engine);
    if !engine.store.add_sign_in(by_password(engine, &reference, session, account.epoch)).await? {
        return Ok(Outcome::Wrong);
    }
    if let Some(current) = current {
        let session = &current.record.session;
        session::end(engine, session.id, Some(session.user), Reason::Replaced, Actor::User).await?;
    }
    Ok(Outcome::Done { reference, session, until: tokens.absolute })
}

/// A new reference for a session that goes on, after one more proof by password; `None` if it has ended meanwhile.
pub(crate) async fn prove_again(
    engine: &Engine,
    current: &SignedIn,
    epoch: Epoch,
    context: &Context,
    forgive: Vec<FailureKey>,
) -> Result<Option<Reference>, Broken> {
    let session = &current.record.session;
    let reference = Reference::new(engine);
    let event = Event::new(EventKind::Reauthenticated, engine.now(), Actor::User, &*engine.random);
    let event = Some(event.user(session.user).session(session.id).from(context));
    let new = NewSignIn { event, forgive, ..by_password(engine, &reference, session.id, epoch) };
    Ok(engine.store.add_sign_in(new).await?.then_some(reference))
}

fn by_password(engine: &Engine, reference: &Reference, session: SessionId, epoch: Epoch) -> NewSignIn {
    NewSignIn {
        session,
        hash: hash(reference.expose()),
        authentication: Authentication { auth_time: engine.now(), amr: vec!["pwd".to_owned()] },
        epoch,
        event: None,
        forgive: vec![],
    }
}
