//! A token that is signed, then encrypted; and what it comes to with a wrong key, a changed byte or another algorithm.
//!
//! `cargo run -p regrant-jose --example encrypt_and_decrypt`

use regrant_jose::jwe::{self, ContentEncryption, Encrypter, KeyManagement};
use regrant_jose::{Algorithm, Error, Jwk, Jwks, KeyKind, Signer, SigningKey, jws};

fn main() -> Result<(), Error> {
    // The recipient: a key pair for one algorithm. The public half is published.
    let alg = KeyManagement::EcdhEsA256Kw;
    let private = Jwk::generate(KeyKind::X25519)?.with_alg(alg.as_str())?.with_use("enc")?.with_kid("2027");
    let public = private.to_public().ok_or(Error::KeyUnusable)?;

    // The sender: signs, then encrypts (RFC 7519 §11.2). Encryption alone says nothing about who wrote the token.
    let key = SigningKey::generate(Algorithm::Es256)?;
    let signed = Signer::new(&key, "JWT").sign(br#"{"sub":"usr_1","salary":"high"}"#)?;
    let encrypter = Encrypter::new(&public, alg, ContentEncryption::A256Gcm)?;
    let token = encrypter.encrypt_nested(&signed)?;
    println!("encrypted: {token}\n");

    // The recipient again: decrypts, then verifies, and says each time what it accepts.
    let keys = Jwks::from_keys(vec![private]);
    let nested = jwe::decrypt_nested(&token, &keys, &[alg], &[ContentEncryption::A256Gcm])?;
    let verified = jws::verify(&nested.token, &Jwks::from_keys(vec![key.public()]), &[Algorithm::Es256])?;
    println!("inside:    {}\n", String::from_utf8_lossy(&verified.payload));

    // Whatever is wrong with key or content is one and the same error.
    let stranger = Jwks::from_keys(vec![Jwk::generate(KeyKind::X25519)?.with_kid("2027")]);
    let (start, tag) = token.split_at(token.len().saturating_sub(22));
    let changed = format!("{start}{}", if tag.starts_with('A') { "B" } else { "A" }) + tag.get(1..).unwrap_or_default();
    for (what, token, keys, enc) in [
        ("a stranger's key", &token, &stranger, ContentEncryption::A256Gcm),
        ("a changed tag", &changed, &keys, ContentEncryption::A256Gcm),
        ("not accepted", &token, &keys, ContentEncryption::A256CbcHs512),
    ] {
        match jwe::decrypt(token, keys, &[alg], &[enc]) {
            Ok(_) => println!("{what}: opened, which must not be"),
            Err(error) => println!("{what}: {} ({error})", error.code()),
        }
    }
    Ok(())
}
