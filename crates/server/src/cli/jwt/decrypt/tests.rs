#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::io::{Cursor, Write as _};
use std::path::Path;

use clap::Parser;
use regrant_jose::jwe::Encrypter;
use regrant_jose::{Algorithm, Jwk, KeyKind, Signer, SigningKey};
use serde_json::{Value, json};

use super::super::{JwtCommand, run};
use super::*;

const NOW: i64 = 1_800_000_000;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: JwtCommand,
}

/// Exit code, stdout, stderr.
fn jwt(args: &[&str], stdin: impl AsRef<[u8]>) -> (u8, Vec<u8>, String) {
    let line = Line::try_parse_from([&["jwt"], args].concat()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(&line.command, &mut Cursor::new(stdin.as_ref()), &mut out, &mut err, NOW, false);
    (exit, out, String::from_utf8(err).unwrap())
}

/// A key set in a file.
fn file(keys: &[&str]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, r#"{{"keys":[{}]}}"#, keys.join(",")).unwrap();
    file
}

fn decrypt(keys: &[&str], more: &[&str], token: impl AsRef<[u8]>) -> (u8, Vec<u8>, String) {
    let file = file(keys);
    jwt(&[&["decrypt", "--jwks", file.path().to_str().unwrap()], more].concat(), token)
}

#[track_caller]
fn assert_refused((exit, out, err): (u8, Vec<u8>, String), expected: u8, words: &str) {
    assert_eq!((exit, out), (expected, Vec::new()), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.starts_with("regrant: ") && err.contains(words), "{err}");
}

fn key(bytes: usize) -> Jwk {
    Jwk::generate(KeyKind::Secret(bytes)).unwrap()
}

fn encrypter(key: &Jwk) -> Encrypter {
    Encrypter::new(key, KeyManagement::Dir, ContentEncryption::A256Gcm).unwrap()
}

#[test]
fn raw_prints_every_payload_exactly() {
    let key = key(32);
    for payload in [&b""[..], b"text, no line break", b"\x00\xff\r\n", b"{\"exp\":1}", b"a.b.c"] {
        let token = encrypter(&key).encrypt(payload).unwrap();
        let printed = decrypt(&[&key.to_private_json()], &["--raw"], format!(" {token}\n"));
        assert_eq!(printed, (0, payload.to_vec(), String::new()));
    }
}

#[test]
fn claims_are_checked_and_printed_as_they_were_written() {
    let key = key(32);
    let decrypt =
        |payload: &str| decrypt(&[&key.to_private_json()], &[], encrypter(&key).encrypt(payload.as_bytes()).unwrap());
    let (exit, out, _) = decrypt(r#"{"n":1.50,"a":1e2,"exp":1800000900}"#);
    assert_eq!(
        (exit, String::from_utf8(out).unwrap().as_str()),
        (0, "{\n  \"n\": 1.50,\n  \"a\": 1e2,\n  \"exp\": 1800000900\n}\n")
    );
    assert_refused(decrypt(r#"{"exp":1799999999}"#), 1, "expired");
    assert_refused(decrypt(r#"{"exp":"soon"}"#), 1, "claim_invalid");
    assert_refused(decrypt("plain text"), 1, "claims_invalid");
    assert_refused(decrypt("[1]"), 1, "claims_invalid");
    assert_refused(decrypt(""), 1, "claims_invalid");
}

#[test]
fn a_nested_token_is_handed_on_to_verify() {
    let key = key(32);
    let signer = SigningKey::generate(Algorithm::Es256).unwrap();
    let signed = Signer::new(&signer, "JWT").sign(b"{}").unwrap();
    let token = encrypter(&key).encrypt_nested(&signed).unwrap();
    let (exit, inner, _) = decrypt(&[&key.to_private_json()], &[], &token);
    assert_eq!((exit, &inner), (0, &format!("{signed}\n").into_bytes()));
    let file = file(&[&signer.public().to_json()]);
    assert_eq!(jwt(&["verify", "--jwks", file.path().to_str().unwrap()], inner).0, 0);
    assert_refused(
        decrypt(&[&key.to_private_json()], &[], encrypter(&key).cty("JWT").encrypt(b"{}").unwrap()),
        1,
        "content_type",
    );
}

#[test]
fn bad_tokens_and_useless_keys_end_with_one() {
    let key = key(32);
    let private = key.to_private_json();
    let token = encrypter(&key).encrypt(b"{}").unwrap();
    let decrypt_with = |keys: &[&str]| decrypt(keys, &["--raw"], &token);
    for junk in ["7", r#"{"kty":"oct","k":"AA"}"#, r#"{"kty":"EC"}"#] {
        assert_eq!(decrypt_with(&[junk, &private]).0, 0, "unusable keys are skipped");
        assert_refused(decrypt_with(&[junk]), 1, "key_unusable");
    }
    assert_refused(decrypt_with(&[]), 1, "key_unusable");
    assert_refused(decrypt_with(&[&super::tests::key(32).to_private_json()]), 1, "decryption_failed");
    let public = Jwk::generate(KeyKind::P256).unwrap().to_public().unwrap();
    assert_refused(decrypt_with(&[&public.to_json()]), 1, "key_unusable");

    let decrypt = |token: &str| decrypt(&[&private], &["--raw"], token);
    assert_refused(decrypt(""), 1, "token_empty");
    assert_refused(decrypt(" \n"), 1, "token_empty");
    assert_refused(decrypt("a.b.c"), 1, "token_not_encrypted");
    assert_refused(decrypt("a.b.c.d.e"), 1, "base64");
    assert_refused(decrypt("{}"), 1, "json_serialization");
    assert_refused(decrypt(&"a".repeat(100_000)), 1, "token_too_long");
    assert_refused(decrypt(&format!("{token}\n{token}")), 1, "token_malformed");
    assert_refused(decrypt(&format!("{token}x")), 1, "");
    assert_refused(super::tests::decrypt(&[&private], &["--raw"], b"\xff"), 1, "token_malformed");
}

#[test]
fn usage_and_unreadable_files_end_with_two() {
    let decrypt = |place: &str| jwt(&["decrypt", "--jwks", place], "");
    assert_refused(decrypt("/does/not/exist"), 2, "/does/not/exist");
    assert_refused(decrypt("/"), 2, "--jwks");
    assert_refused(decrypt("/dev/zero"), 2, "too large");
    assert_refused(decrypt("http://127.0.0.1:1/jwks.json"), 2, "from a file only");
    assert_refused(decrypt("https://id.example/jwks.json"), 2, "from a file only");
    let mut no_set = tempfile::NamedTempFile::new().unwrap();
    no_set.write_all(b"[]").unwrap();
    assert_refused(decrypt(no_set.path().to_str().unwrap()), 2, "keys");
    assert_eq!(Line::try_parse_from(["jwt", "decrypt"]).err().unwrap().exit_code(), 2);
}

/// RFC 7520 §5 and §6, as `crates/jose` has them.
#[test]
fn the_examples_of_rfc_7520_are_decrypted_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../jose/tests/vectors/rfc7520");
    let read = |path: &Path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let mut seen = (0, 0);
    for entry in std::fs::read_dir(folder.join("jwe")).unwrap() {
        let vector = read(&entry.unwrap().path());
        let (title, input) = (vector["title"].as_str().unwrap(), &vector["input"]);
        let Some(token) = vector["output"]["compact"].as_str() else {
            assert_refused(
                decrypt(&[&input["key"].to_string()], &["--raw"], vector["output"]["json"].to_string()),
                1,
                "json",
            );
            continue;
        };
        let key = json!({ "kty": "oct", "k": "ZW50cmFwX2_igJNwZXRlcl9sb25n4oCTY3JlZGl0X3R1bg" });
        let key = if input["key"].is_object() { &input["key"] } else { &key };
        let printed = decrypt(&[&key.to_string()], &["--raw"], token);
        if input["alg"] == "RSA1_5" || input["alg"] == "PBES2-HS512+A256KW" || input["zip"] == "DEF" {
            assert_refused(printed, 1, "");
            seen.1 += 1;
        } else {
            assert_eq!(
                (printed.0, printed.1.as_slice()),
                (0, input["plaintext"].as_str().unwrap().as_bytes()),
                "{title}"
            );
            seen.0 += 1;
        }
        assert_eq!(jwt(&["inspect"], token).0, 0);
    }
    assert_eq!(seen, (6, 3));

    let nested = read(&folder.join("6.nesting_signatures_and_encryption.json"));
    let key = nested["encrypt"]["input"]["key"].to_string();
    let (exit, inner, _) = decrypt(&[&key], &[], nested["encrypt"]["output"]["compact"].as_str().unwrap());
    let signed = nested["sign"]["output"]["compact"].as_str().unwrap();
    assert_eq!((exit, inner), (0, format!("{signed}\n").into_bytes()));
}

#[test]
fn an_encrypted_token_is_no_signed_one_and_its_header_can_be_seen() {
    let key = key(32);
    let token = encrypter(&key).encrypt(b"{}").unwrap();
    let file = file(&[&key.to_private_json()]);
    let verify = ["verify", "--jwks", file.path().to_str().unwrap(), "--alg", "HS256"];
    assert_refused(jwt(&verify, &token), 1, "token_encrypted");

    let (exit, out, _) = jwt(&["inspect"], &token);
    let out = String::from_utf8(out).unwrap();
    assert!(
        exit == 0 && out.starts_with("# ENCRYPTED") && out.contains("A256GCM") && out.contains("(2 bytes, encrypted)"),
        "{out}"
    );
    let line = Line::try_parse_from(["jwt", "inspect"]).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(run(&line.command, &mut Cursor::new(token.as_bytes()), &mut out, &mut err, NOW, true), 0);
    let document: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(document["header"], json!({ "alg": "dir", "enc": "A256GCM" }));
    assert_eq!(
        (&document["encrypted"], &document["payload"], &document["verified"]),
        (&json!(true), &Value::Null, &json!(false))
    );
    assert_refused(jwt(&["inspect"], format!("{token}.")), 1, "token_malformed");
}
