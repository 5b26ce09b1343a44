//! Both directions against two independent implementations, for every algorithm and pair of algorithms that both sides have:
//! npm's `jose` (on node's WebCrypto) and PyPI's joserfc (on OpenSSL).
//!
//! 1. Each comes from its registry, as the lock file pins it, into a place of its own below `target/`.
//! 2. They sign and encrypt, and we verify and decrypt; then the other way round. Each is started once for each batch.
//! 3. What they lack is listed by name, so that nothing is left out unseen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use regrant_jose::jwe::{self, ContentEncryption, KeyManagement};
use regrant_jose::{Algorithm, Jwk, Jwks, KeyKind, Signer, SigningKey, jws};
use serde_json::{Value, json};

/// Node 20's WebCrypto has no ML-DSA.
const NOT_IN_NODE: &[Algorithm] = &[Algorithm::MlDsa44, Algorithm::MlDsa65, Algorithm::MlDsa87];
const NOT_IN_PYTHON: &[Algorithm] = &[Algorithm::MlDsa44, Algorithm::MlDsa65, Algorithm::MlDsa87];
/// joserfc stretches a password 300,000 times at most, whoever asks; we write 600,000 for SHA-256.
const TOO_MUCH_WORK_FOR_PYTHON: &[KeyManagement] = &[KeyManagement::Pbes2Hs256A128Kw];

#[test]
fn npm_jose_and_we_read_each_other() {
    both_ways(&npm_jose(), NOT_IN_NODE, &[]);
}

#[test]
fn pypi_joserfc_and_we_read_each_other() {
    both_ways(&pypi_joserfc(), NOT_IN_PYTHON, TOO_MUCH_WORK_FOR_PYTHON);
}

fn both_ways(peer: &Peer, lacking: &[Algorithm], unreadable: &[KeyManagement]) {
    let mut cases = cases(lacking);

    // They write, we read.
    let tasks: Vec<Value> = cases.iter().map(Case::for_them_to_write).collect();
    for (case, answer) in cases.iter().zip(peer.answers(&tasks)) {
        let token = answer.unwrap_or_else(|error| panic!("{} cannot write {}: {error}", peer.name, case.name()));
        assert_eq!(case.read(&token), PAYLOAD, "{} wrote {}", peer.name, case.name());
    }

    eprintln!("{}: {} cases written there and read here", peer.name, cases.len());

    // We write, they read.
    cases.retain(|case| !matches!(case, Case::Encrypted { alg, .. } if unreadable.contains(alg)));
    let tasks: Vec<Value> = cases.iter().map(|case| case.for_them_to_read(&case.write())).collect();
    for (case, answer) in cases.iter().zip(peer.answers(&tasks)) {
        let payload = answer.unwrap_or_else(|error| panic!("{} cannot read {}: {error}", peer.name, case.name()));
        assert_eq!(payload, URL_SAFE_NO_PAD.encode(PAYLOAD), "{} read {}", peer.name, case.name());
    }
    eprintln!("{}: {} cases written here and read there", peer.name, cases.len());
}

const PAYLOAD: &[u8] = "{\"sub\":\"Zoë\",\"n\":[1,2.5,null]}".as_bytes();

/// What is written and read.
enum Case {
    Signed { alg: Algorithm, key: Box<SigningKey>, jwk: Jwk },
    Encrypted { alg: KeyManagement, enc: ContentEncryption, key: Jwk },
}

/// Every signature algorithm but the lacking ones, and every pair of encryption algorithms with every type of key that it
/// takes.
fn cases(lacking: &[Algorithm]) -> Vec<Case> {
    let mut cases = Vec::new();
    for alg in Algorithm::ALL.iter().chain(&[Algorithm::EdDsa]).filter(|alg| !lacking.contains(alg)) {
        let made = Jwk::generate(match alg {
            Algorithm::Es256 => KeyKind::P256,
            Algorithm::Es384 => KeyKind::P384,
            Algorithm::Es512 => KeyKind::P521,
            Algorithm::Ed25519 | Algorithm::EdDsa => KeyKind::Ed25519,
            Algorithm::Hs256 => KeyKind::Secret(32),
            Algorithm::Hs384 => KeyKind::Secret(48),
            Algorithm::Hs512 => KeyKind::Secret(64),
            Algorithm::MlDsa44 => KeyKind::MlDsa44,
            Algorithm::MlDsa65 => KeyKind::MlDsa65,
            Algorithm::MlDsa87 => KeyKind::MlDsa87,
            _ => KeyKind::Rsa(2048),
        });
        let jwk = made.unwrap().with_alg(alg.as_str()).unwrap();
        let key = Box::new(SigningKey::from_jwk(&jwk, *alg).unwrap());
        cases.push(Case::Signed { alg: *alg, key, jwk });
    }

    let rsa = Jwk::generate(KeyKind::Rsa(2048)).unwrap();
    let points =
        [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::X25519].map(|kind| Jwk::generate(kind).unwrap());
    for alg in KeyManagement::ALL {
        for enc in ContentEncryption::ALL {
            let secret = |bytes| vec![Jwk::generate(KeyKind::Secret(bytes)).unwrap()];
            let keys = match alg {
                KeyManagement::RsaOaep | KeyManagement::RsaOaep256 => vec![rsa.clone()],
                KeyManagement::EcdhEs | KeyManagement::EcdhEsA128Kw | KeyManagement::EcdhEsA256Kw => points.to_vec(),
                KeyManagement::A128Kw | KeyManagement::A128GcmKw => secret(16),
                KeyManagement::A256Kw | KeyManagement::A256GcmKw => secret(32),
                _ => secret(enc.key_len()),
            };
            cases.extend(keys.into_iter().map(|key| Case::Encrypted { alg: *alg, enc: *enc, key }));
        }
    }
    for alg in KeyManagement::PASSWORD_BASED {
        let key = Jwk::generate(KeyKind::Secret(24)).unwrap();
        cases.push(Case::Encrypted { alg: *alg, enc: ContentEncryption::A256Gcm, key });
    }
    cases
}

impl Case {
    fn name(&self) -> String {
        match self {
            Case::Signed { alg, .. } => alg.to_string(),
            Case::Encrypted { alg, enc, key } => format!("{alg} with {enc} and the key {key:?}"),
        }
    }

    fn for_them_to_write(&self) -> Value {
        let payload = URL_SAFE_NO_PAD.encode(PAYLOAD);
        match self {
            Case::Signed { alg, jwk, .. } => {
                json!({ "work": "sign", "alg": alg.as_str(), "key": private(jwk), "payload": payload })
            }
            Case::Encrypted { alg, enc, key } => json!({
                "work": "encrypt", "alg": alg.as_str(), "enc": enc.as_str(), "key": public(key), "payload": payload
            }),
        }
    }

    fn for_them_to_read(&self, token: &str) -> Value {
        match self {
            Case::Signed { alg, jwk, .. } => {
                json!({ "work": "verify", "alg": alg.as_str(), "key": public(jwk), "token": token })
            }
            Case::Encrypted { alg, enc, key } => json!({
                "work": "decrypt", "alg": alg.as_str(), "enc": enc.as_str(), "key": private(key), "token": token
            }),
        }
    }

    fn write(&self) -> String {
        match self {
            Case::Signed { key, .. } => Signer::new(key, "JWT").sign(PAYLOAD).unwrap(),
            Case::Encrypted { alg, enc, key } => {
                let public = Jwk::parse(public(key).to_string().as_bytes()).unwrap();
                jwe::Encrypter::new(&public, *alg, *enc).unwrap().encrypt(PAYLOAD).unwrap()
            }
        }
    }

    fn read(&self, token: &str) -> Vec<u8> {
        match self {
            Case::Signed { alg, jwk, .. } => {
                let public = Jwk::parse(public(jwk).to_string().as_bytes()).unwrap();
                jws::verify(token, &Jwks::from_keys(vec![public]), &[*alg]).unwrap().payload
            }
            Case::Encrypted { alg, enc, key } => {
                jwe::decrypt(token, &Jwks::from_keys(vec![key.clone()]), &[*alg], &[*enc]).unwrap().payload.to_vec()
            }
        }
    }
}

fn private(key: &Jwk) -> Value {
    serde_json::from_str(&key.to_private_json()).unwrap()
}

/// The public half; of a shared secret, the secret.
fn public(key: &Jwk) -> Value {
    key.to_public().map_or_else(|| private(key), |public| serde_json::from_str(&public.to_json()).unwrap())
}

/// Another implementation, ready to be started.
struct Peer {
    name: &'static str,
    program: PathBuf,
    script: PathBuf,
}

impl Peer {
    /// Hands over all tasks, and returns the answers in the same order.
    fn answers(&self, tasks: &[Value]) -> Vec<Result<String, String>> {
        let mut child = Command::new(&self.program)
            .arg(&self.script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        // It reads to the end before it writes, so that neither waits for the other.
        child.stdin.take().unwrap().write_all(Value::from(tasks).to_string().as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{}: {}", self.name, done.status);
        let answers: Vec<Value> = serde_json::from_slice(&done.stdout).expect("answers in JSON");
        assert_eq!(answers.len(), tasks.len(), "{}", self.name);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        answers
            .iter()
            .map(|answer| match answer.get("error") {
                None => Ok(text(&answer["answer"])),
                Some(error) => Err(text(error)),
            })
            .collect()
    }
}

/// Puts npm's `jose` in place, unless it is there as the lock file wants it.
fn npm_jose() -> Peer {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop-node");
    let peer = Peer { name: "npm jose", program: "node".into(), script: place.join("peer.mjs") };
    fs::create_dir_all(&place).unwrap();
    for file in ["package.json", "package-lock.json", "peer.mjs"] {
        fs::copy(home().join(file), place.join(file)).unwrap();
    }
    installed(&place, "package-lock.json", || {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&place);
        run(&mut npm);
    });
    peer
}

/// Puts joserfc in place, unless it is there as `requirements.txt` wants it.
fn pypi_joserfc() -> Peer {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop-python");
    installed(&place, "requirements.txt", || {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place));
        let mut pip = Command::new(place.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]);
        run(pip.arg(home().join("requirements.txt")));
    });
    Peer { name: "PyPI joserfc", program: place.join("bin/python"), script: home().join("peer.py") }
}

/// Runs `install`, unless it ran for this very list before.
fn installed(place: &Path, list: &str, install: impl FnOnce()) {
    let wanted = fs::read_to_string(home().join(list)).unwrap();
    let stamp = place.join("installed.txt");
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        install();
        fs::write(stamp, wanted).unwrap();
    }
}

fn run(command: &mut Command) {
    let hint = "it needs the package registry, and what `cargo xtask test --only prerequisites` installs";
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}; {hint}"));
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {errors}; {hint}");
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}
