#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::io::{BufRead, BufReader, Cursor};
use std::net::TcpListener;

use clap::Parser;
use regrant_jose::{Signer, SigningKey};

use super::*;

const NOW: i64 = 1_800_000_000;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: JwtCommand,
}

struct Outcome {
    exit: u8,
    out: String,
    err: String,
}

fn jwt(args: &[&str], stdin: impl AsRef<[u8]>, json: bool) -> Outcome {
    let line = Line::try_parse_from([&["jwt"], args].concat()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(&line.command, &mut Cursor::new(stdin.as_ref()), &mut out, &mut err, NOW, json);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { exit, out: text(out), err: text(err) }
}

/// A key, its key set in a file, and a token of it with this payload.
fn with_token(payload: &str) -> (SigningKey, tempfile::NamedTempFile, String) {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let file = jwks_file(&Jwks::from_keys(vec![key.public()]).to_json());
    let token = Signer::new(&key, "at+jwt").sign(payload.as_bytes()).unwrap();
    (key, file, token)
}

fn jwks_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

#[track_caller]
fn assert_refused(outcome: &Outcome, exit: u8, words: &str) {
    assert_eq!(outcome.exit, exit, "{}", outcome.err);
    assert_eq!(outcome.out, "", "nothing on stdout");
    assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    assert!(outcome.err.contains(words), "{} should say {words}", outcome.err);
}

#[test]
fn a_good_token_prints_its_payload() {
    let payload = r#"{"sub":"b","exp":1800000001,"n":1234567890123456789012,"f":1.10,"a":[],"z":[1,{"q":"\"{"}]}"#;
    let (_, file, token) = with_token(payload);
    let outcome = jwt(&["verify", "--jwks", path(&file)], format!("\r\n\t {token} \n\n"), false);
    assert_eq!((outcome.exit, outcome.err.as_str()), (0, ""));
    assert_eq!(
        outcome.out,
        "{\n  \"sub\": \"b\",\n  \"exp\": 1800000001,\n  \"n\": 1234567890123456789012,\n  \"f\": 1.10,\n  \"a\": [],\n  \
         \"z\": [\n    1,\n    {\n      \"q\": \"\\\"{\"\n    }\n  ]\n}\n"
    );
    let same = jwt(&["verify", "--jwks", path(&file), "--alg", "ES256"], &token, true);
    assert_eq!(same.out, outcome.out);
}

#[test]
fn raw_prints_the_bytes_and_looks_at_no_claims() {
    let (_, file, token) = with_token("not claims\n\u{1b}");
    let outcome = jwt(&["verify", "--raw", "--jwks", path(&file)], &token, false);
    assert_eq!((outcome.exit, outcome.out.as_str()), (0, "not claims\n\u{1b}"));
    assert_refused(&jwt(&["verify", "--jwks", path(&file)], &token, false), 1, "claims_invalid");

    let (_, file, token) = with_token(r#"{"exp":1}"#);
    assert_eq!(jwt(&["verify", "--raw", "--jwks", path(&file)], &token, false).out, r#"{"exp":1}"#);
    assert_refused(&jwt(&["verify", "--jwks", path(&file)], &token, false), 1, "expired");

    let (_, file, token) = with_token("");
    let outcome = jwt(&["verify", "--raw", "--jwks", path(&file)], &token, false);
    assert_eq!((outcome.exit, outcome.out.as_str()), (0, ""));
}

#[test]
fn claims_that_are_asked_for() {
    let (_, file, token) = with_token(r#"{"iss":"https://id.example","aud":["a","b"],"nbf":1800000000}"#);
    let verify = |more: &[&str]| jwt(&[&["verify", "--jwks", path(&file)], more].concat(), &token, false);
    assert_eq!(verify(&["--aud", "b", "--iss", "https://id.example"]).exit, 0);
    assert_refused(&verify(&["--aud", "c"]), 1, "audience_wrong");
    assert_refused(&verify(&["--iss", "https://evil.example"]), 1, "issuer_wrong");

    let (_, file, token) = with_token(r#"{"nbf":1800000001}"#);
    assert_refused(&jwt(&["verify", "--jwks", path(&file)], &token, false), 1, "not_yet_valid");
    assert_refused(&jwt(&["verify", "--jwks", path(&file), "--aud", "a"], &token, false), 1, "claim_missing");
}

#[test]
fn bad_tokens_end_with_one() {
    let (key, file, token) = with_token("{}");
    let verify = |stdin: &[u8]| jwt(&["verify", "--jwks", path(&file)], stdin, false);
    assert_refused(&verify(b""), 1, "token_empty");
    assert_refused(&verify(b" \n "), 1, "token_empty");
    assert_refused(&verify(b"garbage"), 1, "token_malformed");
    assert_refused(&verify(b"\xff\xfe"), 1, "token_malformed");
    assert_refused(&verify(b"{\"payload\":\"\"}"), 1, "json_serialization");
    assert_refused(&verify(b"a.b.c.d.e"), 1, "token_encrypted");
    assert_refused(&verify(&vec![b'a'; 1_000_000]), 1, "token_too_long");
    assert_refused(&verify(format!("{token}\n{token}").as_bytes()), 1, "token_encrypted");
    assert_refused(&verify(format!("{}AA", &token[..token.len() - 2]).as_bytes()), 1, "invalid");

    let stranger = Signer::new(&SigningKey::generate(Algorithm::Es256).unwrap(), "JWT").sign(b"{}").unwrap();
    assert_refused(&verify(stranger.as_bytes()), 1, "key_unknown");
    drop(key);
}

#[test]
fn unusable_keys_are_skipped_and_with_none_left_it_ends_with_one() {
    let (key, _, token) = with_token("{}");
    let good = key.public().to_json();
    let junk =
        r#"{"kty":"RSA","n":"AQ","e":"AQAB"},7,{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"oct","k":"AA"}"#;
    let some = jwks_file(&format!(r#"{{"keys":[{junk},{good}]}}"#));
    assert_eq!(jwt(&["verify", "--jwks", path(&some)], &token, false).exit, 0);
    let without_alg = jwks_file(&format!(r#"{{"keys":[{}]}}"#, good.replace(r#""alg":"ES256","#, "")));
    assert_eq!(jwt(&["verify", "--jwks", path(&without_alg)], &token, false).exit, 0);
    let none = jwks_file(&format!(r#"{{"keys":[{junk}]}}"#));
    assert_refused(&jwt(&["verify", "--jwks", path(&none)], &token, false), 1, "key_unusable");
    let empty = jwks_file(r#"{"keys":[]}"#);
    assert_refused(&jwt(&["verify", "--jwks", path(&empty), "--alg", "ES256"], &token, false), 1, "key_unusable");
}

#[test]
fn usage_and_unreadable_files_end_with_two() {
    let (_, file, token) = with_token("{}");
    let verify = |more: &[&str]| jwt(&[&["verify"], more].concat(), &token, false);
    assert_refused(&verify(&["--jwks", "/does/not/exist"]), 2, "/does/not/exist");
    assert_refused(&verify(&["--jwks", "/"]), 2, "--jwks");
    assert_refused(&verify(&["--jwks", "/dev/zero"]), 2, "too large");
    assert_refused(&verify(&["--jwks", path(&jwks_file("[]"))]), 2, "keys");
    assert_refused(&verify(&["--jwks", path(&file), "--alg", "none"]), 2, "ES256");
    assert_refused(&verify(&["--jwks", path(&file), "--alg", "ES256", "--alg", "a\nb"]), 2, "not supported");
    assert_refused(&verify(&["--jwks", "https://localhost:1/jwks.json"]), 2, "cannot connect");
    assert_refused(&verify(&["--jwks", "http://192.0.2.1/jwks.json"]), 2, "loopback");
    assert_refused(&verify(&["--jwks", "file:///etc/passwd"]), 2, "only files");

    for line in [
        &["jwt", "verify"][..],
        &["jwt", "verify", "--jwks", "f", "--raw", "--aud", "a"],
        &["jwt", "verify", "--jwks", "f", "--raw", "--iss", "a"],
        &["jwt"],
    ] {
        assert_eq!(Line::try_parse_from(line).err().unwrap().exit_code(), 2, "{line:?}");
    }
}

#[test]
fn inspecting_shows_and_says_that_it_is_not_verified() {
    let payload = r#"{"iat":1800000000,"exp":1800000900.5,"nbf":"x","evil":"\u001b"}"#.replace("evil", "ev\u{9b}il");
    let (key, _, token) = with_token(&payload);
    let outcome = jwt(&["inspect"], format!(" {token}\n"), false);
    assert_eq!((outcome.exit, outcome.err.as_str()), (0, ""));
    assert!(outcome.out.starts_with("# NOT VERIFIED"));
    assert!(outcome.out.contains("# iat: issued at 2027-01-15T08:00:00Z\n"), "{}", outcome.out);
    assert!(outcome.out.contains("# exp: expires at 2027-01-15T08:15:00Z\n"));
    assert!(!outcome.out.contains("# nbf"));
    assert!(outcome.out.contains("\"ev\\u009bil\""), "no control characters: {}", outcome.out);
    assert!(outcome.out.contains(key.kid()));

    let outcome = jwt(&["inspect"], &token, true);
    let document: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(document["verified"], false);
    assert_eq!(document["header"]["alg"], "ES256");
    assert_eq!(document["payload"], serde_json::from_str::<serde_json::Value>(&payload).unwrap());

    for (json, words) in [(false, "10 bytes that are not JSON"), (true, r#""payload": "plain text""#)] {
        let (_, _, token) = with_token("plain text");
        let outcome = jwt(&["inspect"], &token, json);
        assert_eq!(outcome.exit, 0);
        assert!(outcome.out.contains(words), "{}", outcome.out);
    }
    for stdin in ["", "a.b.c", "a.b.c.d.e", "{}"] {
        assert_eq!(jwt(&["inspect"], stdin, true).exit, 1, "{stdin}");
    }
}

/// Answers one request with these bytes and closes.
fn serve(answer: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
        let first = request.next().unwrap().unwrap();
        assert_eq!(first, "GET /jwks.json?a=b HTTP/1.1");
        while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        // The client may stop reading once it has seen too much.
        _ = stream.write_all(answer.as_bytes());
    });
    port
}

#[test]
fn a_key_set_comes_over_http_from_this_machine() {
    let (key, _, token) = with_token("{}");
    let jwks = Jwks::from_keys(vec![key.public()]).to_json();
    let length = jwks.len();
    let verify = |answer: String| {
        let url = format!("http://localhost:{}/jwks.json?a=b#c", serve(answer));
        jwt(&["verify", "--jwks", &url], &token, false)
    };
    // `localhost` may also name ::1, where nobody listens; the next address is tried.
    assert_eq!(verify(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{jwks}")).exit, 0);
    assert_eq!(verify(format!("HTTP/1.0 200 OK\r\n\r\n{jwks}")).exit, 0);
    let longer = length + 1;
    assert_refused(&verify(format!("HTTP/1.1 200 OK\r\nContent-Length: {longer}\r\n\r\n{jwks}")), 2, "not complete");
    assert_refused(&verify("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n".into()), 2, "302");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(verify(format!("{chunked}{length:x}\r\n{jwks}\r\n0\r\n\r\n")).exit, 0);
    assert_refused(&verify(format!("{chunked}{length:x}\r\n{jwks}\r\n")), 2, "not complete");
    assert_refused(&verify(format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(90_000))), 2, "too large");
    assert_refused(&verify("nonsense".into()), 2, "not complete");
    assert_refused(&verify(String::new()), 2, "not complete");
}

#[test]
fn other_places_are_not_asked() {
    let refused = |url: &str| fetch(url, 10, None).unwrap_err();
    for url in [
        "http://127.0.0.1@192.0.2.1/",
        "http://",
        "http:///x",
        "http://127.0.0.1:x/",
        "http://127.0.0.1:70000/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\r\nX: y",
        "http://[::1",
        "http://[::1]x/",
        "http://127.0.0.1:/",
    ] {
        assert_eq!(refused(url), outbound::Error::Url, "{url}");
    }
    for url in [
        "http://192.0.2.1/",
        "http://[2001:db8::1]:80/",
        "http://0.0.0.0/",
        "http://[::ffff:192.0.2.1]/",
        "http://169.254.169.254/",
    ] {
        assert_eq!(refused(url), outbound::Error::NotLoopback, "{url}");
    }
    assert_eq!(refused("ftp://127.0.0.1/"), outbound::Error::Scheme);
    assert!(!outbound::is_url("C:jwks.json") && !outbound::is_url("./a://b") && outbound::is_url("http://x"));
}

/// Every algorithm, by a key that says which it is, and by one that does not.
#[test]
fn a_key_without_alg_counts_if_its_type_leaves_one_choice() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(*algorithm).unwrap();
        let token = Signer::new(&key, "JWT").sign(b"{}").unwrap();
        // Private and shared keys may stand in the file, and a key may stand there by itself.
        let whole = key.jwk().to_private_json();
        let label = format!(r#""alg":"{algorithm}","#);
        let unlabelled = whole.replacen(&label, "", 1);
        for file in [jwks_file(&format!(r#"{{"keys":[{}]}}"#, whole.as_str())), jwks_file(&whole)] {
            let outcome = jwt(&["verify", "--jwks", path(&file)], &token, false);
            assert_eq!((outcome.exit, outcome.out.as_str(), outcome.err.as_str()), (0, "{}\n", ""), "{algorithm}");
        }
        let file = jwks_file(&unlabelled);
        let outcome = jwt(&["verify", "--jwks", path(&file)], &token, false);
        match algorithm {
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::Ed25519 => assert_eq!(outcome.exit, 0),
            // RFC 9964: such a key without `alg` is none. RSA and `oct` leave several.
            _ => assert_refused(&outcome, 1, "key_unusable"),
        }
        let asked = jwt(&["verify", "--jwks", path(&file), "--alg", algorithm.as_str()], &token, false);
        assert_eq!(asked.exit == 0, !algorithm.as_str().starts_with("ML-DSA"), "{algorithm}: {}", asked.err);
        let other = if *algorithm == Algorithm::Es256 { "ES384" } else { "ES256" };
        let asked = jwt(&["verify", "--jwks", path(&file), "--alg", other], &token, false);
        assert_refused(&asked, 1, "");
    }
}

/// RFC 8037, Appendix A.4: the older name counts if the caller says it, or the key.
#[test]
fn eddsa_is_by_option() {
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let token = concat!(
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
    let file = jwks_file(key);
    assert_refused(&jwt(&["verify", "--raw", "--jwks", path(&file)], token, false), 1, "algorithm_refused");
    let outcome = jwt(&["verify", "--raw", "--jwks", path(&file), "--alg", "EdDSA"], token, false);
    assert_eq!((outcome.exit, outcome.out.as_str()), (0, "Example of Ed25519 signing"));
    let labelled = jwks_file(&key.replace("\"kty\"", "\"alg\":\"EdDSA\",\"kty\""));
    assert_eq!(jwt(&["verify", "--raw", "--jwks", path(&labelled)], token, false).exit, 0);
}

#[test]
fn a_binary_payload_comes_out_octet_for_octet() {
    let payload: Vec<u8> = (0..=255).chain([0, b'\r', b'\n', 0xff]).collect();
    let key = SigningKey::generate(Algorithm::Hs256).unwrap();
    let file = jwks_file(&key.jwk().to_private_json());
    let token = Signer::new(&key, "JWT").sign(&payload).unwrap();
    let line = Line::try_parse_from(["jwt", "verify", "--raw", "--jwks", path(&file)]).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(run(&line.command, &mut Cursor::new(&token), &mut out, &mut err, NOW, false), 0);
    assert_eq!((out, err), (payload, Vec::new()));
}

#[test]
fn a_key_that_is_for_something_else_is_not_used() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let token = Signer::new(&key, "JWT").sign(b"{}").unwrap();
    let good = key.public().to_json();
    assert!(good.contains(r#""alg":"ES256""#) && good.contains(r#""use":"sig""#));
    for bad in [
        good.replace(r#""use":"sig""#, r#""use":"enc""#),
        good.replace(r#""use":"sig""#, r#""key_ops":["encrypt"]"#),
        good.replace(r#""alg":"ES256""#, r#""alg":"ECDH-ES""#),
        good.replace(r#""alg":"ES256""#, r#""alg":"ES521""#),
        good.replace("P-256", "P-384"),
        good.replace(r#""kty":"EC""#, r#""kty":"RSA""#),
        good.replace(r#""kty":"EC""#, r#""kty":"EC","kty":"EC""#),
    ] {
        let file = jwks_file(&format!(r#"{{"keys":[{bad}]}}"#));
        for more in [&[][..], &["--alg", "ES256"]] {
            assert_refused(
                &jwt(&[&["verify", "--jwks", path(&file)], more].concat(), &token, false),
                1,
                "key_unusable",
            );
        }
    }
}

/// Answers one request over TLS with these bytes, and says goodbye if it is polite.
fn serve_tls(answer: String, polite: bool) -> u16 {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../../http/tls/tests/one.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../http/tls/tests/one.key")).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(std::sync::Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, socket);
        // A client that does not trust the certificate is gone before it asks.
        let mut request = [0; 512];
        if stream.read(&mut request).is_ok_and(|length| request[..length].starts_with(b"GET /jwks.json HTTP/1.1\r\n")) {
            _ = stream.write_all(answer.as_bytes());
            if polite {
                stream.conn.send_close_notify();
            }
            _ = stream.flush();
        }
    });
    port
}

#[test]
fn a_key_set_comes_over_https_from_whom_the_certificate_names() {
    let trusted = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tls/tests/one.pem").into());
    let other = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tls/tests/other.pem").into());
    let get = |host: &str, answer: &str, polite, trusting: &Option<std::ffi::OsString>| {
        let url = format!("https://{host}:{}/jwks.json", serve_tls(answer.to_owned(), polite));
        fetch(&url, 1000, trusting.clone())
    };
    let measured = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let unmeasured = "HTTP/1.0 200 OK\r\n\r\n{}";
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(get(host, measured, true, &trusted).as_deref(), Ok(&b"{}"[..]));
    }
    assert_eq!(get("localhost", unmeasured, true, &trusted).as_deref(), Ok(&b"{}"[..]));
    // Cut off: good only if all that was announced has come.
    assert_eq!(get("localhost", measured, false, &trusted).as_deref(), Ok(&b"{}"[..]));
    assert_eq!(get("localhost", unmeasured, false, &trusted), Err(outbound::Error::Answer));
    assert_eq!(get("localhost", "HTTP/1.1 302 Found\r\n\r\n", true, &trusted), Err(outbound::Error::Status(302)));

    // A certificate of somebody else, a name that it does not have, no authorities at all.
    assert!(matches!(get("localhost", measured, true, &other), Err(outbound::Error::Connection(_))));
    assert!(matches!(get("127.0.0.2", measured, true, &trusted), Err(outbound::Error::Connection(_))));
    let none = Some("/does/not/exist".into());
    assert_eq!(get("localhost", measured, true, &none), Err(outbound::Error::Authorities));
}
