//! Makes a key of every type, prints its public half and its name, and signs with those that can.

use regrant_jose::{Algorithm, Error, Jwk, Jwks, KeyKind, Signer, SigningKey, jws};

fn main() -> Result<(), Error> {
    for (kind, alg) in [
        (KeyKind::P256, "ES256"),
        (KeyKind::P384, "ES384"),
        (KeyKind::P521, "ES512"),
        (KeyKind::Ed25519, "Ed25519"),
        (KeyKind::Rsa(2048), "PS256"),
        (KeyKind::Secret(32), "HS256"),
        (KeyKind::MlDsa44, "ML-DSA-44"),
        (KeyKind::X25519, "ECDH-ES+A256KW"),
        (KeyKind::Secret(64), "A256CBC-HS512"),
    ] {
        let key = Jwk::generate(kind)?.with_alg(alg)?;
        let kid = key.thumbprint();
        let key = key.with_kid(&kid);
        println!("{alg}: {:.150}", key.to_json());

        if let Some(algorithm) = Algorithm::from_name(alg) {
            let token = Signer::new(&SigningKey::from_jwk(&key, algorithm)?, "JWT").sign(b"{}")?;
            let keys = Jwks::from_keys(vec![key.to_public().unwrap_or(key)]);
            let verified = jws::verify(&token, &keys, &[algorithm])?;
            println!("  signed {} bytes, verified by {}", token.len(), verified.kid().unwrap_or_default());
        }
    }
    Ok(())
}
