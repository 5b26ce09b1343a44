//! ID tokens (OpenID Connect Core §2): who signed in, told to the application that asked. RS256, which every client can check.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    Engine, acr,
    id::{ClientId, SessionId, UserId},
    mint::IdToken,
    ports::Broken,
    refresh::Tokens,
};

#[derive(Serialize)]
struct IdClaims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a str,
    exp: i64,
    iat: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    amr: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'static str>,
    azp: &'a str,
    at_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
}

/// The ID token that goes with `tokens`.
///
/// # Errors
/// [`Broken`] without an RS256 key, or if the library fails.
pub fn of(engine: &Engine, client: &ClientId, tokens: &Tokens, nonce: Option<&str>) -> Result<IdToken, Broken> {
    let now = engine.now();
    let claims = IdClaims {
        iss: &engine.settings.issuer,
        sub: tokens.user.to_string(),
        aud: &client.0,
        // As long as the access token: it says who signed in, not that they are still there.
        exp: now.plus(tokens.expires_in).seconds(),
        iat: now.seconds(),
        auth_time: tokens.facts.auth_time.seconds(),
        nonce,
        amr: &tokens.facts.amr,
        acr: acr::of(&tokens.facts.amr),
        azp: &client.0,
        at_hash: at_hash(&tokens.access_token.0),
        sid: tokens.session.map(|session| session.to_string()),
    };
    let failed = || Broken::Store("an ID token could not be signed: is there an RS256 key?".to_owned());
    if tokens.told.is_empty() {
        return engine.mint.sign_id_token(&claims).ok_or_else(failed);
    }
    let mut payload = serde_json::to_vec(&claims).map_err(|_| failed())?;
    tokens.told.append(&mut payload, &tokens.facts, tokens.user);
    let whole = String::from_utf8(payload).ok().and_then(|text| RawValue::from_string(text).ok()).ok_or_else(failed)?;
    engine.mint.sign_id_token(&whole).ok_or_else(failed)
}

/// OpenID Connect Core §3.1.3.6: the left half of the SHA-256 of the access token's ASCII.
fn at_hash(access_token: &str) -> String {
    let digest = digest::digest(&digest::SHA256, access_token.as_bytes());
    let half: Vec<u8> = digest.as_ref().iter().take(16).copied().collect();
    URL_SAFE_NO_PAD.encode(half)
}

/// What an ID token that comes back as a hint says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hint {
    /// Who signed in.
    pub user: UserId,
    /// In which session.
    pub session: Option<SessionId>,
    /// Whom it was told.
    pub client: ClientId,
}

/// Reads one of our own ID tokens, expired or not (OpenID Connect RP-Initiated Logout §2).
#[must_use]
pub fn hint(engine: &Engine, token: &str) -> Option<Hint> {
    let claims = engine.mint.id_token_claims(token)?;
    let text = |name: &str| claims.get(name).and_then(serde_json::Value::as_str);
    Some(Hint {
        user: text("sub")?.parse().ok()?,
        session: text("sid").and_then(|sid| sid.parse().ok()),
        client: ClientId::from(text("aud")?),
    })
}

#[cfg(test)]
mod tests {
    /// OpenID Connect Core appendix A.3 has this pair, with RS256.
    #[test]
    fn the_hash_is_the_standards() {
        assert_eq!(super::at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
