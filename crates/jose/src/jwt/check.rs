//! Checks a verified token by the rules of its kind.

use serde_json::Value;

use super::{Claims, Events, Expect, Rules, Subject};
use crate::jwe::Decrypted;
use crate::{Error, Verified};

/// Checks kind, claims and times of a token whose signature is good; `now_seconds` are seconds since the epoch.
///
/// # Errors
/// [`Error::RulesIncomplete`] if the rules leave issuer or audience undecided; [`Error::TypeWrong`]; [`Error::ClaimsInvalid`],
/// [`Error::ClaimInvalid`], [`Error::ClaimMissing`], [`Error::ClaimForbidden`]; [`Error::IssuerWrong`], [`Error::AudienceWrong`],
/// [`Error::SubjectWrong`]; [`Error::Expired`], [`Error::NotYetValid`], [`Error::IssuedInFuture`], [`Error::TooOld`],
/// [`Error::ExpiresTooLate`]. [`Error::NestedToken`] for one that holds another token.
pub fn check(token: &Verified, rules: &Rules<'_>, now_seconds: i64) -> Result<Claims, Error> {
    // RFC 7519 §5.2: `cty` announces a nested token, which is to be opened and not read.
    if let Some(cty) = token.header.members.get("cty")
        && cty.as_str().is_none_or(|cty| without_tree(cty).eq_ignore_ascii_case("JWT"))
    {
        return Err(Error::NestedToken);
    }
    check_parts(token.header.typ.as_deref(), &token.payload, rules, now_seconds)
}

/// Checks kind, claims and times of a token that was encrypted and not signed.
///
/// **Nobody vouches for these claims** but who has the shared key, and for a token encrypted to a public key that is
/// everybody (RFC 7519 §11.2). To know who wrote a token, have it signed, and open it with [`crate::jwe::decrypt_nested`].
///
/// # Errors
/// Those of [`check`].
pub fn check_decrypted(token: &Decrypted, rules: &Rules<'_>, now_seconds: i64) -> Result<Claims, Error> {
    // RFC 7519 §5.2: as above.
    if token.header.content_is_token() {
        return Err(Error::NestedToken);
    }
    check_parts(token.header.typ.as_deref(), &token.payload, rules, now_seconds)
}

fn check_parts(typ: Option<&str>, payload: &[u8], rules: &Rules<'_>, now_seconds: i64) -> Result<Claims, Error> {
    if rules.issuer == Expect::Undecided || rules.audience == Expect::Undecided {
        return Err(Error::RulesIncomplete);
    }
    check_type(typ, rules)?;
    let claims = Claims::parse(payload)?;
    for name in rules.required {
        if !claims.members().contains_key(*name) {
            return Err(Error::ClaimMissing(name));
        }
    }
    if let Some(name) = rules.forbidden.iter().find(|name| claims.members().contains_key(**name)) {
        return Err(Error::ClaimForbidden(name));
    }
    if let Some(first) = rules.one_of.first()
        && !rules.one_of.iter().any(|name| claims.members().contains_key(*name))
    {
        return Err(Error::ClaimMissing(first));
    }
    check_issuer(&claims, rules)?;
    check_audience(&claims, rules)?;
    check_subject(&claims, rules)?;
    check_events(&claims, rules)?;
    check_times(&claims, rules, now_seconds)?;
    Ok(claims)
}

/// RFC 8725 §3.11, §3.12: one kind of token never passes for another.
fn check_type(typ: Option<&str>, rules: &Rules<'_>) -> Result<(), Error> {
    if rules.typ.is_empty() {
        return Ok(());
    }
    let fits = match typ {
        None => rules.typ_optional,
        Some(typ) => rules.typ.iter().any(|t| t.eq_ignore_ascii_case(without_tree(typ))),
    };
    if fits { Ok(()) } else { Err(Error::TypeWrong) }
}

/// RFC 7515 §4.1.9: a value without `/` stands for one with `application/` before it. RFC 2045 §5.1: media types are compared
/// without regard to case.
fn without_tree(media_type: &str) -> &str {
    match media_type.split_once('/') {
        Some((tree, short)) if tree.eq_ignore_ascii_case("application") => short,
        _ => media_type,
    }
}

fn check_issuer(claims: &Claims, rules: &Rules<'_>) -> Result<(), Error> {
    let Expect::Exactly(expected) = rules.issuer else {
        return Ok(());
    };
    // RFC 8725 §3.8, RFC 9068 §4: exactly the issuer whose keys were used.
    let issuer = claims.issuer().ok_or(Error::ClaimMissing("iss"))?;
    if issuer == expected { Ok(()) } else { Err(Error::IssuerWrong) }
}

fn check_audience(claims: &Claims, rules: &Rules<'_>) -> Result<(), Error> {
    let Expect::Exactly(expected) = rules.audience else {
        return Ok(());
    };
    // RFC 8725 §3.9, RFC 9068 §4: present, and this recipient is in it.
    if !claims.members().contains_key("aud") {
        return Err(Error::ClaimMissing("aud"));
    }
    if !claims.audience().any(|audience| audience == expected) {
        return Err(Error::AudienceWrong);
    }
    let others = claims.audience().any(|audience| audience != expected);
    if rules.sole_audience && others {
        return Err(Error::AudienceWrong);
    }
    if rules.authorized_party {
        // OpenID Connect Core 1.0 §3.1.3.7, steps 4 and 5.
        match claims.members().get("azp") {
            Some(azp) if azp.as_str() != Some(expected) => return Err(Error::AudienceWrong),
            None if others => return Err(Error::ClaimMissing("azp")),
            _ => {}
        }
    }
    Ok(())
}

fn check_subject(claims: &Claims, rules: &Rules<'_>) -> Result<(), Error> {
    let same = claims.subject().is_some() && claims.subject() == claims.issuer();
    match rules.subject {
        Subject::IsIssuer if !same => Err(Error::SubjectWrong),
        Subject::IsNotIssuer if same => Err(Error::SubjectWrong),
        _ => Ok(()),
    }
}

/// RFC 8417 §2.2: an object with an object for each event.
fn check_events(claims: &Claims, rules: &Rules<'_>) -> Result<(), Error> {
    if rules.events == Events::Anything {
        return Ok(());
    }
    let events = claims.members().get("events").ok_or(Error::ClaimMissing("events"))?;
    let events = events.as_object().filter(|events| !events.is_empty() && events.values().all(Value::is_object));
    match (rules.events, events) {
        (_, None) => Err(Error::ClaimInvalid("events")),
        (Events::Holds(name), Some(events)) if !events.contains_key(name) => Err(Error::ClaimInvalid("events")),
        _ => Ok(()),
    }
}

/// In `i128`, so that no date, leeway or clock can overflow.
fn check_times(claims: &Claims, rules: &Rules<'_>, now_seconds: i64) -> Result<(), Error> {
    let now = i128::from(now_seconds);
    let leeway = i128::from(rules.leeway_seconds);

    // RFC 7519 §4.1.4: now must be *before* `exp`.
    match claims.expires_at() {
        Some(exp) if exp.reached_by(now - leeway) => return Err(Error::Expired),
        None if rules.exp_required => return Err(Error::ClaimMissing("exp")),
        // RFC 7523 §3: not unreasonably far in the future.
        Some(exp) if rules.max_ahead_seconds.is_some_and(|most| !exp.reached_by(now + leeway + i128::from(most))) => {
            return Err(Error::ExpiresTooLate);
        }
        _ => {}
    }
    // RFC 7519 §4.1.5: now must be at or after `nbf`.
    if let Some(nbf) = claims.not_before()
        && !nbf.reached_by(now + leeway)
    {
        return Err(Error::NotYetValid);
    }
    if let Some(max_age) = rules.max_age_seconds {
        let iat = claims.issued_at().ok_or(Error::ClaimMissing("iat"))?;
        if !iat.reached_by(now + leeway) {
            return Err(Error::IssuedInFuture);
        }
        if iat.before(now - leeway - i128::from(max_age)) {
            return Err(Error::TooOld);
        }
    }
    Ok(())
}
