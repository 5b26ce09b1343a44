//! What a signed token costs, beside the bare library and beside `jsonwebtoken`:
//! `cargo run --release --manifest-path crates/jose/compare/Cargo.toml [NAME…]`.
//!
//! 1. For each algorithm there is one key, one set of claims and one token.
//! 2. `bare` is aws-lc-rs alone, on bytes that are ready: the least that can be paid.
//! 3. `ours` does what a program does with each token: from bytes of claims to a token, and from a token to its payload.
//! 4. `ours+claims` and `jsonwebtoken` do the same work as each other: from a struct to a token, and from a token to claims
//!    whose `exp`, `iss` and `aud` are checked.
//! 5. They take turns, so that a noisy machine is noisy for all. Times are the least of all rounds; what stands under × is the
//!    median of the quotients within a round.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as bare, KeyPair as _, ParsedPublicKey};
use regrant_jose::jwt::{self, Rules};
use regrant_jose::{Algorithm, Jwks, Signer, SigningKey, jws};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    client_id: String,
    exp: i64,
    iat: i64,
    jti: String,
    sid: String,
    auth_time: i64,
    scope: String,
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    println!(
        "{:<11} {:<7} {:>9} {:>9} {:>6} {:>12} {:>13} {:>6}",
        "", "", "bare", "ours", "×", "ours+claims", "jsonwebtoken", "×"
    );
    for algorithm in Algorithm::ALL {
        if names.is_empty() || names.iter().any(|name| name == algorithm.as_str()) {
            compare(*algorithm);
        }
    }
}

fn compare(algorithm: Algorithm) {
    let claims = claims();
    let payload = serde_json::to_vec(&claims).unwrap();
    let key = SigningKey::generate(algorithm).unwrap();
    let signer = Signer::new(&key, "at+jwt");
    let token = signer.sign(&payload).unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = decode(signature);
    let keys = Jwks::from_keys(vec![key.public()]);
    let rules = Rules::ACCESS_TOKEN.issuer(&claims.iss).audience(&claims.aud);
    let theirs = Theirs::new(&key, &claims);

    let bare_sign = bare_signer(&key);
    let ours = || drop(black_box(signer.sign(black_box(&payload)).unwrap()));
    let ours_claims = || drop(black_box(signer.sign(&serde_json::to_vec(black_box(&claims)).unwrap()).unwrap()));
    let bare = || bare_sign(black_box(input.as_bytes()));
    let their_sign = theirs.as_ref().map(|theirs| theirs.sign(&claims));
    report(algorithm, "sign", [&bare, &ours, &ours_claims], their_sign.as_deref());

    let bare_verify = bare_verifier(&key);
    let accept = [algorithm];
    let bare = || bare_verify(black_box(input.as_bytes()), black_box(&signature));
    let ours = || drop(black_box(jws::verify(black_box(&token), &keys, &accept).unwrap()));
    let ours_claims = || {
        let verified = jws::verify(black_box(&token), &keys, &accept).unwrap();
        drop(black_box(jwt::check(&verified, &rules, NOW).unwrap()));
    };
    let their_verify = theirs.as_ref().map(Theirs::verify);
    report(algorithm, "verify", [&bare, &ours, &ours_claims], their_verify.as_deref());
}

const NOW: i64 = 4_000_000_000;

fn claims() -> Claims {
    Claims {
        iss: "https://id.example".into(),
        sub: "usr_01hzx3v9k2m4n6p8q0r2s4t6v8".into(),
        aud: "https://api.example".into(),
        client_id: "web".into(),
        exp: NOW + 900,
        iat: NOW,
        jti: "01hzx3v9k2m4n6p8q0r2s4t6v9".into(),
        sid: "ses_01hzx3v9k2m4n6p8q0r2s4t6va".into(),
        auth_time: NOW - 60,
        scope: "openid profile email offline_access".into(),
    }
}

/// `jsonwebtoken`, where it has the algorithm.
struct Theirs {
    header: jsonwebtoken::Header,
    encoding: jsonwebtoken::EncodingKey,
    decoding: jsonwebtoken::DecodingKey,
    validation: jsonwebtoken::Validation,
    token: String,
}

impl Theirs {
    fn new(key: &SigningKey, claims: &Claims) -> Option<Theirs> {
        use jsonwebtoken::{Algorithm as Alg, DecodingKey, EncodingKey};

        let pkcs8 = key.to_pkcs8();
        let document = pkcs8.as_ref().map(|document| document.as_slice()).unwrap_or_default();
        let jwk: serde_json::Value = serde_json::from_str(&key.jwk().to_private_json()).unwrap();
        let text = |name: &str| jwk[name].as_str().unwrap_or_default().to_owned();
        let rsa = |alg| {
            // The key inside the PKCS#8 document of an RSA key of 2048 bits.
            let encoding = EncodingKey::from_rsa_der(document.get(26..)?);
            Some((alg, encoding, DecodingKey::from_rsa_components(&text("n"), &text("e")).unwrap()))
        };
        let ec = |alg| {
            let decoding = DecodingKey::from_ec_components(&text("x"), &text("y")).unwrap();
            Some((alg, EncodingKey::from_ec_der(document), decoding))
        };
        let shared = |alg| {
            let secret = decode(&text("k"));
            Some((alg, EncodingKey::from_secret(&secret), DecodingKey::from_secret(&secret)))
        };
        let (alg, encoding, decoding) = match key.algorithm() {
            Algorithm::Es256 => ec(Alg::ES256),
            Algorithm::Es384 => ec(Alg::ES384),
            Algorithm::Rs256 => rsa(Alg::RS256),
            Algorithm::Rs384 => rsa(Alg::RS384),
            Algorithm::Rs512 => rsa(Alg::RS512),
            Algorithm::Ps256 => rsa(Alg::PS256),
            Algorithm::Ps384 => rsa(Alg::PS384),
            Algorithm::Ps512 => rsa(Alg::PS512),
            Algorithm::Hs256 => shared(Alg::HS256),
            Algorithm::Hs384 => shared(Alg::HS384),
            Algorithm::Hs512 => shared(Alg::HS512),
            Algorithm::Ed25519 => {
                let decoding = DecodingKey::from_ed_components(&text("x")).unwrap();
                Some((Alg::EdDSA, EncodingKey::from_ed_der(document), decoding))
            }
            _ => None,
        }?;
        let mut header = jsonwebtoken::Header::new(alg);
        header.typ = Some("at+jwt".into());
        header.kid = Some(key.kid().into());
        let mut validation = jsonwebtoken::Validation::new(alg);
        validation.set_issuer(&[&claims.iss]);
        validation.set_audience(&[&claims.aud]);
        let token = jsonwebtoken::encode(&header, claims, &encoding).unwrap();
        Some(Theirs { header, encoding, decoding, validation, token })
    }

    fn sign<'a>(&'a self, claims: &'a Claims) -> Box<dyn Fn() + 'a> {
        Box::new(|| drop(black_box(jsonwebtoken::encode(&self.header, black_box(claims), &self.encoding).unwrap())))
    }

    fn verify(&self) -> Box<dyn Fn() + '_> {
        Box::new(|| {
            let decoded = jsonwebtoken::decode::<Claims>(black_box(&self.token), &self.decoding, &self.validation);
            drop(black_box(decoded.unwrap()));
        })
    }
}

fn bare_signer(key: &SigningKey) -> Box<dyn Fn(&[u8])> {
    let pkcs8 = key.to_pkcs8();
    let document = pkcs8.as_ref().map(|document| document.as_slice()).unwrap_or_default();
    let random = SystemRandom::new();
    let rsa = |encoding: &'static dyn bare::RsaEncoding| -> Box<dyn Fn(&[u8])> {
        let pair = bare::RsaKeyPair::from_pkcs8(document).unwrap();
        let random = SystemRandom::new();
        Box::new(move |input| {
            let mut signature = [0; 256];
            pair.sign(encoding, &random, input, &mut signature).unwrap();
            black_box(signature);
        })
    };
    let ec = |curve: &'static bare::EcdsaSigningAlgorithm| -> Box<dyn Fn(&[u8])> {
        let pair = bare::EcdsaKeyPair::from_pkcs8(curve, document).unwrap();
        Box::new(move |input| _ = black_box(pair.sign(&random, input).unwrap()))
    };
    let ml_dsa = |algorithm: &'static bare::PqdsaSigningAlgorithm| -> Box<dyn Fn(&[u8])> {
        let pair = bare::PqdsaKeyPair::from_pkcs8(algorithm, document).unwrap();
        Box::new(move |input| {
            let mut signature = [0; 4627];
            black_box(pair.sign(input, &mut signature).unwrap());
            black_box(signature);
        })
    };
    match key.algorithm() {
        Algorithm::Es256 => ec(&bare::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => ec(&bare::ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::Es512 => ec(&bare::ECDSA_P521_SHA512_FIXED_SIGNING),
        Algorithm::Ed25519 => {
            let pair = bare::Ed25519KeyPair::from_pkcs8(document).unwrap();
            Box::new(move |input| _ = black_box(pair.sign(input)))
        }
        Algorithm::Rs256 => rsa(&bare::RSA_PKCS1_SHA256),
        Algorithm::Rs384 => rsa(&bare::RSA_PKCS1_SHA384),
        Algorithm::Rs512 => rsa(&bare::RSA_PKCS1_SHA512),
        Algorithm::Ps256 => rsa(&bare::RSA_PSS_SHA256),
        Algorithm::Ps384 => rsa(&bare::RSA_PSS_SHA384),
        Algorithm::Ps512 => rsa(&bare::RSA_PSS_SHA512),
        Algorithm::MlDsa44 => ml_dsa(&bare::ML_DSA_44_SIGNING),
        Algorithm::MlDsa65 => ml_dsa(&bare::ML_DSA_65_SIGNING),
        Algorithm::MlDsa87 => ml_dsa(&bare::ML_DSA_87_SIGNING),
        _ => {
            let key = hmac_key(key);
            Box::new(move |input| _ = black_box(hmac::sign(&key, input)))
        }
    }
}

fn bare_verifier(key: &SigningKey) -> Box<dyn Fn(&[u8], &[u8])> {
    let pkcs8 = key.to_pkcs8();
    let document = pkcs8.as_ref().map(|document| document.as_slice()).unwrap_or_default();
    let parsed = |algorithm: &'static dyn bare::VerificationAlgorithm, public: &[u8]| -> Box<dyn Fn(&[u8], &[u8])> {
        let public = ParsedPublicKey::new(algorithm, public).unwrap();
        Box::new(move |input, signature| public.verify_sig(input, signature).unwrap())
    };
    let ec = |algorithm, curve| {
        let pair = bare::EcdsaKeyPair::from_pkcs8(curve, document).unwrap();
        parsed(algorithm, pair.public_key().as_ref())
    };
    let rsa = |algorithm| {
        let pair = bare::RsaKeyPair::from_pkcs8(document).unwrap();
        parsed(algorithm, pair.public_key().as_ref())
    };
    let ml_dsa = |algorithm, signing| {
        let pair = bare::PqdsaKeyPair::from_pkcs8(signing, document).unwrap();
        parsed(algorithm, pair.public_key().as_ref())
    };
    match key.algorithm() {
        Algorithm::Es256 => ec(&bare::ECDSA_P256_SHA256_FIXED, &bare::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => ec(&bare::ECDSA_P384_SHA384_FIXED, &bare::ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::Es512 => ec(&bare::ECDSA_P521_SHA512_FIXED, &bare::ECDSA_P521_SHA512_FIXED_SIGNING),
        Algorithm::Ed25519 => {
            let pair = bare::Ed25519KeyPair::from_pkcs8(document).unwrap();
            parsed(&bare::ED25519, pair.public_key().as_ref())
        }
        Algorithm::Rs256 => rsa(&bare::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => rsa(&bare::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => rsa(&bare::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => rsa(&bare::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => rsa(&bare::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => rsa(&bare::RSA_PSS_2048_8192_SHA512),
        Algorithm::MlDsa44 => ml_dsa(&bare::ML_DSA_44, &bare::ML_DSA_44_SIGNING),
        Algorithm::MlDsa65 => ml_dsa(&bare::ML_DSA_65, &bare::ML_DSA_65_SIGNING),
        Algorithm::MlDsa87 => ml_dsa(&bare::ML_DSA_87, &bare::ML_DSA_87_SIGNING),
        _ => {
            let key = hmac_key(key);
            Box::new(move |input, tag| hmac::verify(&key, input, tag).unwrap())
        }
    }
}

fn hmac_key(key: &SigningKey) -> hmac::Key {
    let jwk: serde_json::Value = serde_json::from_str(&key.jwk().to_private_json()).unwrap();
    let hash = match key.algorithm() {
        Algorithm::Hs384 => hmac::HMAC_SHA384,
        Algorithm::Hs512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::Key::new(hash, &decode(jwk["k"].as_str().unwrap()))
}

/// base64url, slowly and without a crate.
fn decode(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for c in text.bytes() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        bits = bits << 6 | alphabet.iter().position(|a| *a == c).unwrap() as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    bytes
}

fn report(algorithm: Algorithm, what: &str, [bare, ours, claims]: [&dyn Fn(); 3], theirs: Option<&dyn Fn()>) {
    let mut contestants = vec![bare, ours, claims];
    contestants.extend(theirs);
    let calls = calls_for(bare);
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(contestants.iter().map(|contestant| time(contestant, calls) / f64::from(calls)).collect());
    }
    let least = |who: usize| rounds.iter().map(|round| round[who]).fold(f64::INFINITY, f64::min);
    // Within a round the machine is as busy for one as for the other.
    let times = |who: usize, than: usize| {
        let mut quotients: Vec<f64> = rounds.iter().map(|round| round[who] / round[than]).collect();
        quotients.sort_by(f64::total_cmp);
        quotients[quotients.len() / 2]
    };
    let micros = |who: usize| format!("{:.2}", least(who) * 1e6);
    let (theirs, ahead) = match contestants.len() {
        4 => (micros(3), format!("{:.2}", times(3, 2))),
        _ => ("—".into(), "—".into()),
    };
    println!(
        "{:<11} {what:<7} {:>9} {:>9} {:>6.3} {:>12} {theirs:>13} {ahead:>6}",
        algorithm.as_str(),
        micros(0),
        micros(1),
        times(1, 0),
        micros(2),
    );
}

/// As many calls as take about half a millisecond: short enough to fall between what else the machine does.
fn calls_for(call: &dyn Fn()) -> u32 {
    let once = time(call, 20) / 20.0;
    (0.000_5 / once).clamp(1.0, 10_000.0) as u32
}

fn time(call: &dyn Fn(), calls: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    let taken: Duration = start.elapsed();
    taken.as_secs_f64()
}

const ROUNDS: u32 = 600;
