//! What the holder of a token gets, once the verdict about it is on disk.

use super::{Authentication, GrantKind, KeyThumbprint, Terms};
use crate::{
    Engine,
    claims::ClaimMapping,
    id::{GrantRef, SessionId, UserId},
    mint::{AccessToken, Wish},
    ports::{Broken, Facts, Loaded, Random},
    resource::Target,
    time::{AbsoluteDeadline, IdleDeadline, Seconds, Time},
    token::RefreshToken,
};

/// What the holder of a token gets.
#[derive(Debug)]
pub struct Tokens {
    /// The new access token.
    pub access_token: AccessToken,
    /// Its lifetime.
    pub expires_in: Seconds,
    /// When to come back: two thirds of that, ± 20 %.
    pub refresh_in: Seconds,
    /// The refresh token to keep; `None` for a peek.
    pub refresh_token: Option<RefreshToken>,
    /// How it travels.
    pub kind: GrantKind,
    /// Which grant.
    pub grant: GrantRef,
    /// What the access token allows.
    pub scope: String,
    /// The key that the access token is bound to.
    pub key: Option<KeyThumbprint>,
    /// Whose session.
    pub user: UserId,
    /// Which session; `None` for an offline grant.
    pub session: Option<SessionId>,
    /// What an authenticating proxy passes on.
    pub facts: Facts,
    /// What is told of the user besides, in an ID token too.
    pub told: ClaimMapping,
    /// When the session ends if it is not used. `None` for a replay and for a peek: it would tell when the rotation was.
    pub idle: Option<IdleDeadline>,
    /// How long the refresh token can be kept, for the cookie; tells nothing about when a rotation was.
    pub keep: Seconds,
    /// When the session ends whatever happens.
    pub absolute: AbsoluteDeadline,
}

impl Tokens {
    /// The first tokens of a grant.
    pub(crate) fn fresh(
        engine: &Engine,
        loaded: &Loaded,
        terms: &Terms,
        now: Time,
        renews: bool,
    ) -> Result<Self, Broken> {
        Self::make(engine, loaded, terms, now, renews, false)
    }

    pub(super) fn make(
        engine: &Engine,
        loaded: &Loaded,
        terms: &Terms,
        now: Time,
        renews: bool,
        is_replay: bool,
    ) -> Result<Self, Broken> {
        let grant = &loaded.state.grant;
        let lifetime = terms.access_token.unwrap_or(engine.mint.lifetime());
        let mut facts = loaded.facts.clone();
        if let Some(Authentication { auth_time, amr }) = terms.authentication.clone() {
            (facts.auth_time, facts.amr) = (auth_time, amr.into());
        }
        let failed = || Broken::Store("a token could not be made: is there a key for its algorithm?".to_owned());
        let target = match terms.target(engine, grant, &facts.roles) {
            Some(target) => target,
            // Introspection and revocation read, and hand the token to nobody.
            None if !renews => Target::default(),
            None => return Err(failed()),
        };
        let told = engine.settings.told_for(&terms.claims, &target.scope);
        let wish = Wish { target: &target, told: Some(&told), lifetime, key: terms.proof };
        let access_token = engine.mint.access_token(grant, &facts, wish, now, &*engine.random).ok_or_else(failed)?;
        let scope = target.scope;
        let issue = || {
            engine
                .refresh_keys
                .issue(grant.endpoint, grant.key, &grant.id, grant.generation, &grant.salt)
                .ok_or_else(failed)
        };
        // A reader is never told the idle deadline: its change, or its absence after a replay, would tell a thief who keeps
        // asking when the holder renews (`docs/adr/0005-what-the-simulation-taught.md`).
        let idle = (renews && !is_replay).then_some(grant.idle);
        let full = IdleDeadline::sliding(now, engine.settings.lifetimes.of(grant.kind).idle, grant.absolute);
        let kept_until = idle.unwrap_or(full).0;
        Ok(Self {
            access_token,
            expires_in: lifetime,
            refresh_in: jittered(lifetime, &*engine.random),
            refresh_token: renews.then(issue).transpose()?,
            kind: grant.kind,
            grant: grant.public_id,
            scope,
            key: terms.proof,
            user: grant.user,
            session: grant.session,
            facts,
            told,
            idle,
            keep: Seconds(u32::try_from(kept_until.seconds_from(now)).unwrap_or(u32::MAX)),
            absolute: grant.absolute,
        })
    }
}

/// Two thirds of the access token's lifetime, ± 20 %, so that a crowd that signed in together does not come back together.
pub(super) fn jittered(lifetime: Seconds, random: &dyn Random) -> Seconds {
    let mut bytes = [0; 2];
    random.fill(&mut bytes);
    let base = u64::from(lifetime.0) * 2 / 3;
    let spread = base * 2 / 5;
    let jitter = spread * u64::from(u16::from_be_bytes(bytes)) / u64::from(u16::MAX);
    Seconds(u32::try_from(base - spread / 2 + jitter).unwrap_or(lifetime.0))
}
