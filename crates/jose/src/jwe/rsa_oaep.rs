//! RSAES-OAEP (RFC 7518 §4.3), with an empty label.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
};
use zeroize::Zeroizing;

use super::KeyManagement;

/// Decrypts what was encrypted to this key. `None` for every failure; the caller goes on with a random key.
pub(super) fn decrypt(
    key: &OaepPrivateDecryptingKey,
    algorithm: KeyManagement,
    encrypted: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut plaintext = Zeroizing::new(vec![0; key.min_output_size()]);
    let length = key.decrypt(variant(algorithm)?, encrypted, &mut plaintext, None).ok()?.len();
    plaintext.truncate(length);
    Some(plaintext)
}

/// Encrypts `plaintext` to this key. `None` if it is too long, or the library fails.
pub(super) fn encrypt(key: &OaepPublicEncryptingKey, algorithm: KeyManagement, plaintext: &[u8]) -> Option<Vec<u8>> {
    let mut encrypted = vec![0; key.ciphertext_size()];
    let length = key.encrypt(variant(algorithm)?, plaintext, &mut encrypted, None).ok()?.len();
    encrypted.truncate(length);
    Some(encrypted)
}

fn variant(algorithm: KeyManagement) -> Option<&'static OaepAlgorithm> {
    match algorithm {
        // Both the hash and the mask are SHA-1 here; MGF1 with SHA-256 and a hash of SHA-1 would be neither name's.
        KeyManagement::RsaOaep => Some(&OAEP_SHA1_MGF1SHA1),
        KeyManagement::RsaOaep256 => Some(&OAEP_SHA256_MGF1SHA256),
        _ => None,
    }
}
