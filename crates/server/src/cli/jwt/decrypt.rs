//! `regrant jwt decrypt`: opens an encrypted token with a key from a file.
//!
//! 1. The key set is read from a file and nowhere else: it holds private keys.
//! 2. A key with an `alg` serves that alone; one without serves what its type and the token's own `alg` agree on. Passwords
//!    (PBES2) and what the library refuses are refused whatever the keys.
//! 3. With `--raw` the payload is printed as it is. Else it is claims, which must be valid now, or a signed token (`cty` is
//!    `JWT`), which is handed on to `jwt verify`.

use std::fs::File;
use std::io::Read;

use clap::Args;
use regrant_jose::jwe::{self, ContentEncryption, Decrypted, KeyManagement};
use regrant_jose::jwt::{self, Rules};
use regrant_jose::{Error, Jwks, MAX_JWKS_BYTES};
use zeroize::Zeroizing;

use super::{Refusal, pretty::pretty, read_capped, read_token};
use crate::outbound;

/// What `regrant jwt decrypt` takes.
#[derive(Debug, Args)]
pub(crate) struct DecryptArgs {
    /// The key set (JWKS) with the private or symmetric keys: a file.
    #[arg(long, value_name = "FILE")]
    jwks: String,
    /// Print the payload as it is, whatever it is; look at no claims.
    #[arg(long)]
    raw: bool,
}

pub(super) fn decrypt(args: &DecryptArgs, stdin: &mut dyn Read, now_seconds: i64) -> Result<Vec<u8>, Refusal> {
    let keys = read_keys(&args.jwks)?;
    let token = read_token(stdin)?;
    let decrypted = jwe::decrypt(&token, &keys, KeyManagement::ALL, ContentEncryption::ALL)?;
    if args.raw {
        return Ok(decrypted.payload.to_vec());
    }
    if decrypted.header.content_is_token() { inner_token(&decrypted) } else { claims(&decrypted, now_seconds) }
}

/// The inner token on a line of its own. Nobody has verified it: this command has no keys of signers.
fn inner_token(decrypted: &Decrypted) -> Result<Vec<u8>, Refusal> {
    let shape = std::str::from_utf8(&decrypted.payload).ok().map(regrant_jose::jws::danger_unverified);
    match shape {
        // RFC 7519 §7.2 step 8: a token again, signed or encrypted.
        Some(Ok(_) | Err(Error::TokenEncrypted)) => {
            let mut line = decrypted.payload.to_vec();
            line.push(b'\n');
            Ok(line)
        }
        _ => Err(Error::ContentTypeWrong.into()),
    }
}

/// The claims, printed from the bytes that were encrypted: the order and every digit stay as they are.
fn claims(decrypted: &Decrypted, now_seconds: i64) -> Result<Vec<u8>, Refusal> {
    jwt::check_decrypted(decrypted, &Rules::ANY, now_seconds)?;
    let text = std::str::from_utf8(&decrypted.payload).map_err(|_| Error::ClaimsInvalid)?;
    Ok(pretty(text).into_bytes())
}

fn read_keys(place: &str) -> Result<Jwks, Refusal> {
    let shown = place.escape_debug();
    let refusal = |why: &dyn std::fmt::Display| Refusal::usage(format!("--jwks {shown}: {why}"));
    if outbound::is_url(place) {
        return Err(refusal(&"private and shared keys are read from a file only"));
    }
    let bytes = File::open(place).and_then(|mut file| read_capped(&mut file, MAX_JWKS_BYTES));
    let bytes = bytes.map_err(|error| refusal(&error))?.ok_or_else(|| refusal(&Error::JwksTooLarge))?;
    Jwks::parse_set_or_key(&Zeroizing::new(bytes)).map_err(|error| refusal(&error))
}

#[cfg(test)]
mod tests;
