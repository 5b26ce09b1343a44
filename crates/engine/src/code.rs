//! Authorization codes (RFC 6749 §4.1): made for one client, one address and one proof key, good once and for a minute.
//!
//! [`issue`] makes one; `grant/authorization_code.rs` redeems it by [`decide`], which is pure and runs in the store's transaction.

use aws_lc_rs::{constant_time, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{
    Engine,
    authorize::Authorization,
    id::{ClientId, Epoch, SessionId, UserId},
    ports::{Broken, Facts},
    reason::Life,
    refresh::{Authentication, KeyThumbprint, Owner},
    session::SessionRecord,
    single_sign_on::{SignedIn, hash, secret},
    time::{Seconds, Time},
    token::GrantId,
};

/// RFC 9700 §4.5.3, ASVS 5 §10.4.3: a minute at most.
pub const LIFETIME: Seconds = Seconds::MINUTE;

/// A code as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Code {
    /// Its SHA-256.
    pub hash: [u8; 32],
    /// Whom it was made for.
    pub client: ClientId,
    /// Who signed in.
    pub user: UserId,
    /// Their session.
    pub session: SessionId,
    /// The user's epoch when they did.
    pub epoch: Epoch,
    /// Where it was sent.
    pub redirect_uri: String,
    /// What is granted by it.
    pub scope: String,
    /// Whom the access tokens are for, with a space between.
    pub audience: String,
    /// For the ID token.
    pub nonce: Option<String>,
    /// The SHA-256 of the verifier, in base64url.
    pub challenge: Option<String>,
    /// The key that must be proven with it (RFC 9449 §10).
    pub key: Option<KeyThumbprint>,
    /// When and how the user proved who they are.
    pub authentication: Authentication,
    /// When it was made.
    pub created_at: Time,
    /// When it is good no more.
    pub expires_at: Time,
}

/// A code with all that its redemption depends on, as the store loads it.
#[derive(Clone, PartialEq, Debug)]
pub struct LoadedCode {
    /// The code.
    pub code: Code,
    /// What it was redeemed for, if it was.
    pub redeemed: Option<GrantId>,
    /// Its session; `None` where that is forgotten.
    pub session: Option<SessionRecord>,
    /// Its user.
    pub user: Owner,
    /// What tokens tell of the user.
    pub facts: Facts,
    /// Whether its client still exists.
    pub client_exists: bool,
}

/// Makes a code for a request that may be answered.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn issue(engine: &Engine, asked: &Authorization, signed_in: &SignedIn) -> Result<Zeroizing<String>, Broken> {
    let now = engine.now();
    let text = secret(engine);
    let SignedIn { record, authentication } = signed_in;
    let code = Code {
        hash: hash(&text),
        client: asked.to.client.id.clone(),
        user: record.session.user,
        session: record.session.id,
        epoch: record.grant.epoch,
        redirect_uri: asked.to.redirect_uri.clone(),
        scope: asked.scope.clone(),
        audience: asked.audience.clone(),
        nonce: asked.nonce.clone(),
        challenge: asked.challenge.clone(),
        key: asked.key,
        authentication: authentication.clone(),
        created_at: now,
        expires_at: now.plus(LIFETIME),
    };
    engine.store.add_code(code).await?;
    Ok(text)
}

/// What is said of a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It is good for nothing, or not for this client; nothing changes.
    Refused,
    /// Its rightful client has redeemed it already: somebody has a copy. What it gave ends.
    Reused(GrantId),
    /// It is redeemed.
    Good,
}

/// What the client shows with a code.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The client, authenticated if it can be.
    pub client: ClientId,
    /// Where the code was sent.
    pub redirect_uri: Option<String>,
    /// What the challenge was made of.
    pub verifier: Option<String>,
    /// The key whose possession was proven.
    pub key: Option<KeyThumbprint>,
}

/// Decides about a code. First match wins.
#[must_use]
pub fn decide(loaded: Option<&LoadedCode>, shown: &Shown, now: Time) -> Decision {
    let Some(LoadedCode { code, redeemed, session, user, client_exists, .. }) = loaded else {
        return Decision::Refused;
    };
    // RFC 6749 §4.1.3: issued to this client, and sent to this address.
    if shown.client != code.client || shown.redirect_uri.as_deref() != Some(code.redirect_uri.as_str()) {
        return Decision::Refused;
    }
    // RFC 7636 §4.6; RFC 9700 §2.1.1: a verifier without a challenge is a downgrade, and refused.
    let proven = match (&code.challenge, &shown.verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => is_of(challenge, verifier),
        (None, Some(_)) | (Some(_), None) => false,
    };
    if !proven {
        return Decision::Refused;
    }
    // RFC 9449 §10: the key that the request named.
    if code.key.is_some() && code.key != shown.key {
        return Decision::Refused;
    }
    // RFC 6749 §4.1.2, RFC 9700 §4.2: a second time, with all that the first one showed.
    if let Some(grant) = redeemed {
        return Decision::Reused(*grant);
    }
    // A clock that was ahead by more than a moment, and is right again, lets no code live on.
    let in_time = code.created_at <= now.plus(LIFETIME) && now < code.expires_at;
    let session_lives = session.as_ref().is_some_and(|record| {
        let deadline = record.grant.absolute.0.min(record.grant.idle.0);
        record.session.life == Life::Alive && now < deadline
    });
    let same_user = *user == Owner::Active(code.epoch);
    if in_time && session_lives && same_user && *client_exists { Decision::Good } else { Decision::Refused }
}

/// RFC 7636 §4.1, §4.6.
fn is_of(challenge: &str, verifier: &str) -> bool {
    let is_one = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let computed = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    is_one && constant_time::verify_slices_are_equal(computed.as_bytes(), challenge.as_bytes()).is_ok()
}

#[cfg(test)]
pub(crate) mod tests;
