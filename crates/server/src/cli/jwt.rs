//! `regrant jwt`: look at a token, verify or decrypt one, on the command line. The token comes on stdin.
//!
//! 1. What the caller got wrong (an algorithm that does not exist, a key set that cannot be read) ends with 2.
//! 2. The token is read from stdin, to a limit, and white space around it is dropped.
//! 3. `inspect` decodes and believes nothing. `verify` proves the signature, then checks the claims unless `--raw`. `decrypt`
//!    is in a file of its own.
//! 4. A token that is not good ends with 1 and one line on stderr, which holds nothing of the token.

mod decrypt;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};

use clap::{Args, Subcommand};
use regrant_jose::jwe::{self, MAX_TOKEN_BYTES, Unopened};
use regrant_jose::jws::{self, Unverified};
use regrant_jose::jwt::{self, NumericDate, Rules};
use regrant_jose::{Algorithm, Jwk, Jwks, MAX_JWKS_BYTES};
use serde::Serialize;
use serde_json::value::RawValue;

use self::decrypt::DecryptArgs;
use self::pretty::pretty;
use crate::outbound::{self, Outbound};

/// Looks at tokens; the token is read from stdin.
#[derive(Debug, Subcommand)]
pub(crate) enum JwtCommand {
    /// Show a token's header and claims. Nothing is verified.
    Inspect,
    /// Verify a token's signature and claims; prints the payload.
    Verify(VerifyArgs),
    /// Decrypt an encrypted token; prints the payload, or the signed token inside.
    Decrypt(DecryptArgs),
}

/// What `regrant jwt verify` takes.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The key set (JWKS), or one key: a file, https://, or http:// on a loopback host.
    #[arg(long, value_name = "FILE|URL")]
    jwks: String,
    /// Accept this algorithm; may be repeated. Without it: each key's own `alg`, or the only one that its type allows. RSA keys
    /// and shared secrets allow several, so without an `alg` they need this option. `EdDSA`, the older name of Ed25519, counts
    /// only if it stands here or in the key.
    #[arg(long = "alg", value_name = "ALG")]
    algorithms: Vec<String>,
    /// The audience that the token must be meant for (`aud`).
    #[arg(long, value_name = "A", conflicts_with = "raw")]
    aud: Option<String>,
    /// The issuer that the token must come from (`iss`).
    #[arg(long, value_name = "I", conflicts_with = "raw")]
    iss: Option<String>,
    /// Print the payload as it is, whatever it is; look at no claims.
    #[arg(long)]
    raw: bool,
}

/// Runs the command and returns the exit code: 0, 1 (the token is not good) or 2 (usage, or a file that cannot be read).
/// `now_seconds` are seconds since the epoch; `json` asks for one JSON document on `out`.
pub(crate) fn run(
    command: &JwtCommand,
    stdin: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
    now_seconds: i64,
    json: bool,
) -> u8 {
    let outcome = match command {
        JwtCommand::Inspect => inspect(stdin, json),
        JwtCommand::Verify(args) => verify(args, stdin, now_seconds),
        JwtCommand::Decrypt(args) => decrypt::decrypt(args, stdin, now_seconds),
    };
    let written = outcome.and_then(|text| {
        out.write_all(&text)
            .and_then(|()| out.flush())
            .map_err(|error| Refusal::usage(format!("cannot write to stdout: {error}")))
    });
    match written {
        Ok(()) => 0,
        Err(Refusal { exit, line }) => {
            // Nobody is left to be told if stderr is closed, too; the exit code still says it.
            _ = writeln!(err, "regrant: {line}");
            exit
        }
    }
}

fn inspect(stdin: &mut dyn Read, json: bool) -> Result<Vec<u8>, Refusal> {
    let token = read_token(stdin)?;
    let unverified = match jws::danger_unverified(&token) {
        Err(regrant_jose::Error::TokenEncrypted) => return inspect_encrypted(&jwe::danger_unopened(&token)?, json),
        unverified => unverified?,
    };
    Ok(if json { inspect_for_machines(&unverified)? } else { inspect_for_people(&unverified) }.into_bytes())
}

/// Of an encrypted token only the header can be seen.
fn inspect_encrypted(token: &Unopened, json: bool) -> Result<Vec<u8>, Refusal> {
    let header = String::from_utf8_lossy(&token.header_json);
    let text = if json {
        pretty(&format!(r#"{{"header":{header},"payload":null,"encrypted":true,"verified":false}}"#))
    } else {
        format!(
            "# ENCRYPTED: only the header can be seen, and anyone can write one. `regrant jwt decrypt` opens the rest.\n\
             # header\n{}# payload\n# ({} bytes, encrypted)\n",
            pretty(&header),
            token.ciphertext_len
        )
    };
    Ok(text.into_bytes())
}

fn verify(args: &VerifyArgs, stdin: &mut dyn Read, now_seconds: i64) -> Result<Vec<u8>, Refusal> {
    let asked = asked_algorithms(&args.algorithms)?;
    let keys = read_jwks(&args.jwks)?;
    let (keys, accept) = if asked.is_empty() { keys_that_decide(&keys) } else { (keys, asked) };
    let token = read_token(stdin)?;
    if keys.keys().is_empty() {
        return Err(regrant_jose::Error::KeyUnusable.into());
    }

    let verified = jws::verify(&token, &keys, &accept)?;
    if args.raw {
        return Ok(verified.payload);
    }
    let mut rules = Rules::ANY;
    if let Some(issuer) = &args.iss {
        rules = rules.issuer(issuer);
    }
    if let Some(audience) = &args.aud {
        rules = rules.audience(audience);
    }
    jwt::check(&verified, &rules, now_seconds)?;
    // The claims are printed from the bytes that were signed: the order and every digit stay as they are.
    let text = String::from_utf8(verified.payload).map_err(|_| regrant_jose::Error::ClaimsInvalid)?;
    Ok(pretty(&text).into_bytes())
}

/// The keys that leave one choice, and the algorithms that they leave (`interface.md`: each key's own `alg`; a key without
/// one is used only if its type leaves one choice). Each of these keys serves its one algorithm alone, so the list of all of
/// them accepts no more than that.
fn keys_that_decide(keys: &Jwks) -> (Jwks, Vec<Algorithm>) {
    let keys = keys.narrowed(|key| key.clone().with_alg(key.only_algorithm()?.as_str()).ok());
    let algorithms = keys.keys().iter().filter_map(Jwk::only_algorithm).collect();
    (keys, algorithms)
}

fn asked_algorithms(names: &[String]) -> Result<Vec<Algorithm>, Refusal> {
    names
        .iter()
        .map(|name| {
            Algorithm::from_name(name).ok_or_else(|| {
                let known = Algorithm::ALL.iter().chain(&[Algorithm::EdDsa]).map(|algorithm| algorithm.as_str());
                let known: Vec<_> = known.collect();
                Refusal::usage(format!("--alg {}: not supported; known: {}", name.escape_debug(), known.join(", ")))
            })
        })
        .collect()
}

/// Reads one token, without the white space around it.
fn read_token(stdin: &mut dyn Read) -> Result<String, Refusal> {
    let bytes = read_capped(stdin, MAX_STDIN_BYTES)
        .map_err(|error| Refusal::usage(format!("cannot read the token from stdin: {error}")))?
        .ok_or(regrant_jose::Error::TokenTooLong)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| regrant_jose::Error::TokenMalformed)?;
    Ok(text.trim().to_owned())
}

fn read_jwks(place: &str) -> Result<Jwks, Refusal> {
    let shown = place.escape_debug();
    let refusal = |why: &dyn std::fmt::Display| Refusal::usage(format!("--jwks {shown}: {why}"));
    let bytes = if outbound::is_url(place) {
        fetch(place, MAX_JWKS_BYTES, std::env::var_os("SSL_CERT_FILE")).map_err(|error| refusal(&error))?
    } else {
        File::open(place)
            .and_then(|mut file| read_capped(&mut file, MAX_JWKS_BYTES))
            .map_err(|error| refusal(&error))?
            .ok_or_else(|| refusal(&regrant_jose::Error::JwksTooLarge))?
    };
    Jwks::parse_set_or_key(&bytes).map_err(|error| refusal(&error))
}

/// The body behind `url`, trusting the authorities in this file, or else the machine's own.
fn fetch(url: &str, cap: usize, authorities: Option<OsString>) -> Result<Vec<u8>, outbound::Error> {
    let outbound = Outbound::typed(authorities)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| outbound::Error::Connection(error.to_string()))?;
    let body = runtime.block_on(outbound.get(url, cap));
    // A look-up of a name cannot be called off: nobody waits for one that takes too long.
    runtime.shutdown_background();
    body
}

/// Everything that `source` has; `None` if that is more than `cap` bytes.
fn read_capped(source: &mut dyn Read, cap: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    source.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= cap).then_some(bytes))
}

/// Comment lines begin with `#`, so that what is left is JSON.
fn inspect_for_people(token: &Unverified) -> String {
    let mut text = String::from(
        "# NOT VERIFIED: anyone can write a token like this one. `regrant jwt verify` proves who did.\n# header\n",
    );
    text += &pretty(&String::from_utf8_lossy(&token.header_json));
    text += "# payload\n";
    let Some(payload) = json_text(&token.payload) else {
        text += &format!("# ({} bytes that are not JSON)\n", token.payload.len());
        return text;
    };
    text += &pretty(payload);
    let claims: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
    for (name, meaning) in [("iat", "issued at"), ("nbf", "not before"), ("exp", "expires at")] {
        if let Some(time) = claims.get(name).and_then(rfc_3339) {
            text += &format!("# {name}: {meaning} {time}\n");
        }
    }
    text
}

fn inspect_for_machines(token: &Unverified) -> Result<String, Refusal> {
    #[derive(Serialize)]
    struct Document<'a> {
        header: &'a RawValue,
        payload: Payload<'a>,
        verified: bool,
    }
    // A payload that is no JSON is shown as text, and as null if it is not even that.
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Payload<'a> {
        Json(&'a RawValue),
        Text(&'a str),
        Bytes(()),
    }

    let header = std::str::from_utf8(&token.header_json).ok().and_then(|text| serde_json::from_str(text).ok());
    let payload = std::str::from_utf8(&token.payload)
        .map_or(Payload::Bytes(()), |text| serde_json::from_str(text).map_or(Payload::Text(text), Payload::Json));
    let document = Document { header: header.ok_or(regrant_jose::Error::HeaderInvalid)?, payload, verified: false };
    let text = serde_json::to_string(&document).map_err(|error| Refusal::usage(error.to_string()))?;
    Ok(pretty(&text))
}

fn json_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    Some(text)
}

/// A claim that is a date, in UTC; `None` for what is no date or lies outside the calendar.
fn rfc_3339(claim: &serde_json::Value) -> Option<String> {
    let date = NumericDate::from_number(claim.as_number()?)?;
    jiff::Timestamp::from_second(date.seconds()).ok().map(|time| time.to_string())
}

/// A refusal: one line, and how to exit.
struct Refusal {
    exit: u8,
    line: String,
}

impl Refusal {
    fn usage(line: impl Into<String>) -> Refusal {
        Refusal { exit: 2, line: line.into() }
    }
}

impl From<regrant_jose::Error> for Refusal {
    fn from(error: regrant_jose::Error) -> Refusal {
        Refusal { exit: 1, line: format!("{}: {error}", error.code()) }
    }
}

/// A token, encrypted ones being the longer, and generous white space.
const MAX_STDIN_BYTES: usize = MAX_TOKEN_BYTES + 4096;

mod pretty {
    //! Lays out JSON text for reading without touching what it says: numbers keep every digit, members their order.

    /// Lays out `json`, which must be valid JSON; ends with a line break. Characters that could move the cursor or turn the
    /// writing direction of a terminal are written as JSON escapes, which mean the same.
    pub(super) fn pretty(json: &str) -> String {
        let mut out = String::with_capacity(json.len().saturating_mul(2));
        let mut depth = 0_usize;
        let mut in_string = false;
        let mut after_backslash = false;
        let mut chars = json.chars().peekable();

        while let Some(c) = chars.next() {
            if in_string {
                if unsafe_to_show(c) {
                    out.push_str(&format!("\\u{:04x}", u32::from(c)));
                } else {
                    out.push(c);
                }
                in_string = c != '"' || after_backslash;
                after_backslash = c == '\\' && !after_backslash;
                continue;
            }
            match c {
                ' ' | '\t' | '\r' | '\n' => {}
                '{' | '[' => {
                    out.push(c);
                    while chars.next_if(|c| matches!(c, ' ' | '\t' | '\r' | '\n')).is_some() {}
                    match chars.next_if(|c| matches!(c, '}' | ']')) {
                        Some(close) => out.push(close),
                        None => {
                            depth = depth.saturating_add(1);
                            new_line(&mut out, depth);
                        }
                    }
                }
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    new_line(&mut out, depth);
                    out.push(c);
                }
                ',' => {
                    out.push(c);
                    new_line(&mut out, depth);
                }
                ':' => out.push_str(": "),
                _ => {
                    in_string = c == '"';
                    out.push(c);
                }
            }
        }
        out.push('\n');
        out
    }

    fn new_line(out: &mut String, depth: usize) {
        out.push('\n');
        for _ in 0..depth {
            out.push_str("  ");
        }
    }

    /// All of these are in the basic plane, so four hexadecimal digits are enough.
    fn unsafe_to_show(c: char) -> bool {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    }
}

#[cfg(test)]
mod tests;
