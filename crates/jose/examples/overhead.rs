//! What this crate adds to the bare library: `cargo run --release -p regrant-jose --example overhead`.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "it measures time, beside the bare library, and may stop at once if that fails"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use regrant_jose::{Algorithm, Jwks, Signer, SigningKey, jws};

const ROUNDS: u32 = 40;
const CALLS: u32 = 500;

fn main() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let signer = Signer::new(&key, "at+jwt");
    let keys = Jwks::from_keys(vec![key.public()]);
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.to_pkcs8()).unwrap();
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()).unwrap();

    let payload = [b'x'; 320];
    let token = signer.sign(&payload).unwrap();
    let input = token.rsplit_once('.').unwrap().0.as_bytes();
    let random = SystemRandom::new();
    let signature = pair.sign(&random, input).unwrap();

    compare(
        "sign",
        || _ = black_box(pair.sign(&random, black_box(input)).unwrap()),
        || drop(black_box(signer.sign(black_box(&payload)).unwrap())),
    );
    compare(
        "verify",
        || public.verify_sig(black_box(input), signature.as_ref()).unwrap(),
        || drop(black_box(jws::verify(black_box(&token), &keys, &[Algorithm::Es256]).unwrap())),
    );
}

/// Takes turns, so that a noisy machine is noisy for both; the least time of each counts.
fn compare(what: &str, bare: impl Fn(), ours: impl Fn()) {
    let (mut least_bare, mut least_ours) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        least_bare = least_bare.min(time(&bare));
        least_ours = least_ours.min(time(&ours));
    }
    let ratio = least_ours.as_secs_f64() / least_bare.as_secs_f64();
    println!("{what}: bare {:?}, ours {:?}, ratio {ratio:.3}", least_bare / CALLS, least_ours / CALLS);
}

fn time(call: impl Fn()) -> Duration {
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    start.elapsed()
}
