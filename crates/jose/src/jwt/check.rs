//! Checks a verified token by the rules of its kind.

use super::{Claims, Expect, Rules};
use crate::{Error, Verified};

/// Checks kind, claims and times of a token whose signature is good; `now_seconds` are seconds since the epoch.
///
/// # Errors
/// [`Error::RulesIncomplete`] if the rules leave issuer or audience undecided; [`Error::TypeWrong`]; [`Error::ClaimsInvalid`],
/// [`Error::ClaimInvalid`], [`Error::ClaimMissing`]; [`Error::IssuerWrong`], [`Error::AudienceWrong`]; [`Error::Expired`],
/// [`Error::NotYetValid`], [`Error::IssuedInFuture`], [`Error::TooOld`].
pub fn check(token: &Verified, rules: &Rules<'_>, now_seconds: i64) -> Result<Claims, Error> {
    if rules.issuer == Expect::Undecided || rules.audience == Expect::Undecided {
        return Err(Error::RulesIncomplete);
    }
    check_type(token.header.typ.as_deref(), rules)?;
    let claims = Claims::parse(&token.payload)?;
    for name in rules.required {
        if !claims.members().contains_key(*name) {
            return Err(Error::ClaimMissing(name));
        }
    }
    check_issuer(&claims, rules)?;
    check_audience(&claims, rules)?;
    check_times(&claims, rules, now_seconds)?;
    Ok(claims)
}

/// RFC 8725 §3.11, §3.12: one kind of token never passes for another.
fn check_type(typ: Option<&str>, rules: &Rules<'_>) -> Result<(), Error> {
    if rules.typ.is_empty() {
        return Ok(());
    }
    let typ = typ.ok_or(Error::TypeWrong)?;
    // RFC 7515 §4.1.9: a value without `/` stands for one with `application/` before it. RFC 2045 §5.1: media types are
    // compared without regard to case.
    let short = match typ.split_once('/') {
        Some((tree, short)) if tree.eq_ignore_ascii_case("application") => short,
        _ => typ,
    };
    let fits = rules.typ.iter().any(|t| t.eq_ignore_ascii_case(short));
    if fits { Ok(()) } else { Err(Error::TypeWrong) }
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
    if claims.audience().any(|audience| audience == expected) { Ok(()) } else { Err(Error::AudienceWrong) }
}

/// In `i128`, so that no date, leeway or clock can overflow.
fn check_times(claims: &Claims, rules: &Rules<'_>, now_seconds: i64) -> Result<(), Error> {
    let now = i128::from(now_seconds);
    let leeway = i128::from(rules.leeway_seconds);

    // RFC 7519 §4.1.4: now must be *before* `exp`.
    match claims.expires_at() {
        Some(exp) if exp.reached_by(now - leeway) => return Err(Error::Expired),
        None if rules.exp_required => return Err(Error::ClaimMissing("exp")),
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
