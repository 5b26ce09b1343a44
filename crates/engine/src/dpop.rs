//! Proofs of possession (RFC 9449): a request shows that its sender has the key that a token is bound to.
//!
//! 1. [`check`] reads a proof and compares it with the request that it came with. Pure, and before any I/O.
//! 2. [`first_use`] notes it where every node sees it: a proof is good once. That is a row and a commit, so it is asked last,
//!    of whoever has shown something better than a key of their own making: a client's secret, a token of ours, a code that
//!    was good.
//! 3. [`nonce`] makes what a proof may be asked to hold. Nothing is kept of it: a key of the key file and the time make it, so
//!    each node takes what any other gave.
//!
//! What a proof is good for is said elsewhere: `refresh.rs` has the rows of bound grants, `code.rs` the codes, `mint.rs` what an
//! access token says of its key.

use aws_lc_rs::{constant_time, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use regrant_jose::{
    Algorithm, Error, jws,
    jwt::{self, Rules},
};
use serde_json::Value;

use crate::{
    Engine,
    client::{Client, Requirement},
    digest::Digests,
    id::Generation,
    ports::Broken,
    refresh::{Holding, KeyThumbprint},
    single_sign_on::hash,
    time::{Seconds, Time},
};

/// By which algorithms a proof may be signed (RFC 9449 §4.3, 5: asymmetric ones). `EdDSA` is what libraries still call Ed25519.
pub const ALGORITHMS: &[Algorithm] = &[
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Ed25519,
    Algorithm::EdDsa,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Rs256,
];

/// The longest proof that is read, in bytes: one of RSA with 8192 bits is some 3,900 long.
const LONGEST: usize = 4608;
/// How long ago a proof may have been made. RFC 9449 §11.1: seconds or minutes.
const OLDEST: Seconds = Seconds::minutes(4);
/// How far a client's clock may differ besides.
const LEEWAY: Seconds = Seconds(30);
/// How long a nonce is good: its minute and the four after it. The next one is given with every reply.
const NONCE_STEPS: i64 = 5;
/// Longer than any nonce that is good now.
const NONCE_LIFETIME: Seconds = Seconds::minutes(7);
/// What the client is told of a proof that is old, or early.
const UNTIMELY: &str = "The iat of the DPoP proof is not of these minutes: it is old, or the clock is wrong.";

/// The request that a proof must be of.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    /// Its method.
    pub method: &'r str,
    /// Where clients send it: an address of the issuer, whatever proxies make of that.
    pub uri: &'r str,
    /// The access token that comes with it.
    pub access_token: Option<&'r str>,
    /// Whether the proof must hold a nonce.
    pub nonce: Requirement,
}

/// A proof that is right for its request. Whether it was used before is for [`first_use`] to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The key whose possession it proves.
    pub key: KeyThumbprint,
    /// Its own name: of its key, its address and its `jti`.
    pub name: [u8; 32],
    /// When it is good no more.
    pub until: Time,
}

/// What is wrong with a proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// This.
    Invalid(&'static str),
    /// It holds no nonce, or none that is good now.
    Nonce,
}

/// Checks a proof, first thing that is wrong first (RFC 9449 §4.3). Pure.
///
/// # Errors
/// [`Fault`]
pub fn check(proof: &str, asked: &Asked<'_>, digests: &Digests, now: Time) -> Result<Proof, Fault> {
    // Caps before anything is parsed.
    if proof.len() > LONGEST {
        return Err(Fault::Invalid("The DPoP proof is too long."));
    }
    let (verified, jwk) = jws::verify_embedded(proof, ALGORITHMS).map_err(|error| unreadable(&error))?;
    // §4.3, 7. Whatever its type makes of them: who sends such a thing gives a secret away.
    let is_private = verified.header.members.get("jwk").is_none_or(has_private_members);
    let key = KeyThumbprint::parse(&jwk.thumbprint()).filter(|_| !is_private);
    let key = key.ok_or(Fault::Invalid("The jwk of the DPoP proof must be a public key and nothing else."))?;
    // Its age is looked at below.
    let rules = Rules { max_age_seconds: None, ..Rules::DPOP_PROOF }.leeway(LEEWAY.0);
    let claims = jwt::check(&verified, &rules, now.seconds()).map_err(|error| unfit(&error))?;
    let (Some(id), Some(made)) = (claims.id().filter(|id| !id.is_empty()), claims.issued_at()) else {
        return Err(Fault::Invalid("The jti of the DPoP proof must be a text."));
    };
    // §4.3, 8: as the method is written (RFC 9110 §9.1).
    if claims.text("htm") != Some(asked.method) {
        return Err(Fault::Invalid("The htm of the DPoP proof is not the method of this request."));
    }
    // §4.3, 9.
    let uri = claims.text("htu").and_then(normalised);
    let Some(uri) = uri.filter(|uri| Some(uri) == normalised(asked.uri).as_ref()) else {
        return Err(Fault::Invalid("The htu of the DPoP proof is not the address of this endpoint."));
    };
    // §4.3, 12.
    if let Some(token) = asked.access_token {
        let expected = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()));
        let told = claims.text("ath").unwrap_or_default();
        if constant_time::verify_slices_are_equal(expected.as_bytes(), told.as_bytes()).is_err() {
            return Err(Fault::Invalid("The ath of the DPoP proof is not the hash of the access token."));
        }
    }
    let until = match claims.members().get("nonce") {
        // §4.3, 11.
        None if asked.nonce == Requirement::Optional => fresh_until(made.seconds(), now)?,
        // §4.3, 10; §8. A nonce that came must be good also where none is asked for. It says by our own clock when the proof was
        // made, so that devices with a wrong one get in (§4.3, 11; §11.1).
        Some(Value::String(nonce)) if is_nonce(digests, nonce, now) => now.plus(NONCE_LIFETIME),
        None | Some(Value::String(_)) => return Err(Fault::Nonce),
        Some(_) => return Err(Fault::Invalid("The nonce of the DPoP proof must be a text.")),
    };
    Ok(Proof {
        key,
        // §11.1: within the context of the address. Nobody uses up the names of another's key.
        name: hash(&format!("dpop\n{}\n{uri}\n{id}", jwk.thumbprint())),
        until,
    })
}

/// Until when a proof without a nonce is good that was made then, by its own clock.
fn fresh_until(made: i64, now: Time) -> Result<Time, Fault> {
    let (oldest, leeway) = (i64::from(OLDEST.0), i64::from(LEEWAY.0));
    let age = now.seconds().saturating_sub(made);
    if !(-leeway..=oldest + leeway).contains(&age) {
        return Err(Fault::Invalid(UNTIMELY));
    }
    Ok(Time::from_millis((made + oldest + leeway + 1).saturating_mul(1000)))
}

/// Notes that a proof is used; whether this is the first time (RFC 9449 §11.1).
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn first_use(engine: &Engine, proof: &Proof) -> Result<bool, Broken> {
    engine.store.use_once(proof.name, proof.until).await
}

/// The nonce of this minute (RFC 9449 §8).
#[must_use]
pub fn nonce(digests: &Digests, now: Time) -> String {
    nonce_of(digests, step(now))
}

/// How the grant of a client is held that asks for it with this proof.
#[must_use]
pub fn holding(client: &Client, proof: Option<&Proof>) -> Holding {
    match proof {
        // RFC 9449 §5, RFC 6749 §6: whoever can authenticate does so at each use, and may change its key.
        _ if client.authenticates() => Holding::ClientBound,
        Some(proof) => Holding::Bound { key: proof.key, from: Generation::FIRST },
        None => Holding::Bearer,
    }
}

fn step(now: Time) -> i64 {
    now.seconds().div_euclid(60)
}

/// The step, and a MAC of it.
fn nonce_of(digests: &Digests, step: i64) -> String {
    let mut bytes = step.to_be_bytes().to_vec();
    bytes.extend(digests.dpop_nonce(step));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether it is one of ours, of these minutes. A node whose clock is a step ahead is believed.
fn is_nonce(digests: &Digests, text: &str, now: Time) -> bool {
    let now = step(now);
    let good = |step: i64| {
        let expected = nonce_of(digests, step);
        constant_time::verify_slices_are_equal(expected.as_bytes(), text.as_bytes()).is_ok()
    };
    (now.saturating_sub(NONCE_STEPS - 1)..=now.saturating_add(1)).any(good)
}

/// RFC 7517 §9.2, RFC 7518 §6, RFC 9964 §3.
fn has_private_members(jwk: &Value) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"].iter().any(|name| jwk.get(name).is_some())
}

/// What the client is told of a proof whose signature does not stand.
fn unreadable(error: &Error) -> Fault {
    Fault::Invalid(match error {
        Error::AlgorithmNone | Error::AlgorithmUnknown | Error::AlgorithmRefused => {
            "The alg of the DPoP proof is none that is taken: see dpop_signing_alg_values_supported."
        }
        Error::KeyUnusable | Error::JwkInvalid | Error::JwkUnsupported | Error::PointInvalid | Error::KeyTooWeak => {
            "The jwk of the DPoP proof is no public key for its alg."
        }
        Error::SignatureInvalid => "The signature of the DPoP proof is not of the key in it.",
        _ => "The DPoP proof is no signed JWT with a public key in its header.",
    })
}

/// What the client is told of a proof whose claims do not fit.
fn unfit(error: &Error) -> Fault {
    Fault::Invalid(match error {
        Error::TypeWrong => "The typ of the DPoP proof must be dpop+jwt.",
        Error::Expired | Error::NotYetValid => UNTIMELY,
        _ => "The DPoP proof needs jti, htm, htu and iat.",
    })
}

/// An address without query and fragment, in the one spelling that RFC 9449 §4.3 compares (RFC 3986 §6.2.2, §6.2.3). `None` for
/// what is no address of a web server.
fn normalised(uri: &str) -> Option<String> {
    // RFC 3986 §2: what else there is must be encoded.
    if !uri.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let uri = uri.split(['?', '#']).next()?;
    let (scheme, rest) = uri.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "https" => "443",
        "http" => "80",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // RFC 9110 §4.2.4: a user's name and password are none of it.
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let authority = authority.to_ascii_lowercase();
    let host = match authority.rsplit_once(':') {
        // The colons of an IPv6 address end in a bracket.
        Some((host, port)) if port == default || port.is_empty() => host,
        _ => &authority,
    };
    Some(format!("{scheme}://{host}{}", path_of(&unreserved(path)?)))
}

/// RFC 3986 §6.2.2.1, §6.2.2.2: unreserved characters stand for themselves, and the digits of others are upper case.
fn unreserved(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (high, low) = (rest.next()?, rest.next()?);
        let byte = u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok()?;
        match char::from(byte) {
            c if c.is_ascii_alphanumeric() || "-._~".contains(c) => out.push(c),
            _ => out.extend(['%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
    }
    Some(out)
}

/// RFC 3986 §5.2.4, §6.2.3: without dot segments, and never empty.
fn path_of(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests;
