//! What the fuzz targets of `/fuzz` found, and what they began with, through the same functions: so that every run of the tests
//! checks it, without libFuzzer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

#[allow(unreachable_pub, reason = "there it is a library")]
#[path = "../../../fuzz/src/lib.rs"]
mod entries;

use std::fs;
use std::path::{Path, PathBuf};

use entries::KEYS;
use regrant_jose::jwe::{ContentEncryption, Encrypter, KeyManagement};
use regrant_jose::{Algorithm, Signer, SigningKey};

type Entry = fn(&[u8]);

#[test]
fn the_corpora_are_still_harmless() {
    let targets: [(&str, Entry); 4] =
        [("jws", entries::jws), ("jwe", entries::jwe), ("jwk", entries::jwk), ("jwt", entries::jwt)];
    for (target, entry) in targets {
        let mut inputs = 0;
        for file in fs::read_dir(corpus(target)).unwrap() {
            let path = file.unwrap().path();
            println!("{}", path.display());
            entry(&fs::read(path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 20, "{target}: {inputs}");
    }
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

/// Run by hand, to begin a corpus anew: `cargo test -p regrant-jose --test corpora -- --ignored`.
#[test]
#[ignore = "writes into the source tree"]
fn seeds() {
    for algorithm in Algorithm::ALL {
        if let Some(key) = KEYS.keys().iter().find(|key| key.signs(*algorithm)) {
            let key = SigningKey::from_jwk(key, *algorithm).expect("a key");
            write("jws", algorithm.as_str(), Signer::new(&key, "at+jwt").sign(b"{}").expect("a token").as_bytes());
        }
    }
    for (n, alg) in KeyManagement::ALL.iter().enumerate() {
        for key in KEYS.keys() {
            let enc = ContentEncryption::ALL[n % ContentEncryption::ALL.len()];
            if let Ok(encrypter) = Encrypter::new(key, *alg, enc) {
                let name = format!("{alg}-{}", key.kid().unwrap());
                write("jwe", &name, encrypter.cty("JWT").encrypt(b"a.b.c").expect("a token").as_bytes());
            }
        }
    }
    for key in KEYS.keys() {
        let name = key.kid().unwrap();
        write("jwk", name, key.to_private_json().as_bytes());
        write("jwk", &format!("{name}-set"), format!(r#"{{"keys":[{}]}}"#, key.to_json()).as_bytes());
    }
    for (name, claims) in [
        (
            "all",
            r#"{"iss":"https://issuer.example","sub":"me","aud":["api","b"],"exp":1900000000,"nbf":1.5e9,"iat":1800000000,"jti":"1","client_id":"c","scope":"a b"}"#,
        ),
        (
            "logout",
            r#"{"iss":"https://issuer.example","aud":"api","iat":1800000000,"exp":1800000060,"jti":"1","sid":"s","events":{"http://schemas.openid.net/event/backchannel-logout":{}}}"#,
        ),
        (
            "id",
            r#"{"iss":"https://issuer.example","sub":"me","aud":["api"],"azp":"api","exp":1800000900,"iat":1800000000,"nonce":"n","auth_time":1800000000}"#,
        ),
        (
            "assertion",
            r#"{"iss":"https://issuer.example","sub":"https://issuer.example","aud":"api","exp":1800000060,"jti":"1"}"#,
        ),
        ("proof", r#"{"jti":"1","htm":"GET","htu":"https://a.example/","iat":1800000000,"ath":"h"}"#),
        ("text", r#"{"aud":"api","exp":"1900000000","nbf":-1,"iat":1e400}"#),
        ("twice", r#"{"exp":1,"exp":2}"#),
        ("deep", r#"{"a":[[[[{"b":null}]]]]}"#),
    ] {
        write("jwt", name, claims.as_bytes());
    }
    for (target, seeds) in [
        ("jws", &[&b"{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}\n{}\nsignature"[..], b"{\"alg\":\"none\"}\n{}\n"][..]),
        (
            "jwe",
            &[
                b"{\"alg\":\"ECDH-ES\",\"enc\":\"A128GCM\",\"epk\":{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"},\"apu\":\"QQ\"}\n\niv",
                b"{\"alg\":\"A128GCMKW\",\"enc\":\"A128GCM\",\"iv\":\"AAAAAAAAAAAAAAAA\",\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\"}\nkey",
                b"{\"alg\":\"dir\",\"enc\":\"A128CBC-HS256\",\"zip\":\"DEF\"}",
            ],
        ),
    ] {
        for (n, seed) in seeds.iter().enumerate() {
            write(target, &format!("parts-{n}"), seed);
        }
    }
}

fn write(target: &str, name: &str, data: &[u8]) {
    fs::create_dir_all(corpus(target)).unwrap();
    fs::write(corpus(target).join(name), data).unwrap();
}
