//! AES in CBC mode, then HMAC (RFC 7518 §5.2).
//!
//! 1. The key's first half is for the HMAC, its second half for AES (§5.2.2.1 step 1).
//! 2. To lock: pad and encrypt; then the tag over what is authenticated, vector and ciphertext.
//! 3. To open: the tag first, in constant time; only a ciphertext that it vouches for is decrypted, so that its padding tells
//!    nobody anything.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use super::Sealed;
use crate::jwe::ContentEncryption;
use crate::jwe::cek::Cek;

/// The two halves of a key, and what they are for.
pub(super) struct Keys<'k> {
    mac: hmac::Key,
    tag_len: usize,
    cipher: &'static Algorithm,
    cipher_key: &'k [u8],
}

impl<'k> Keys<'k> {
    /// `None` if `enc` is none of this family, or the key not of its length.
    pub(super) fn of(enc: ContentEncryption, cek: &'k Cek) -> Option<Keys<'k>> {
        // RFC 7518 §5.2.3 to §5.2.5.
        let (hash, cipher) = match enc {
            ContentEncryption::A128CbcHs256 => (hmac::HMAC_SHA256, &AES_128),
            ContentEncryption::A192CbcHs384 => (hmac::HMAC_SHA384, &AES_192),
            ContentEncryption::A256CbcHs512 => (hmac::HMAC_SHA512, &AES_256),
            ContentEncryption::A128Gcm | ContentEncryption::A256Gcm => return None,
        };
        let (mac_key, cipher_key) = cek.as_bytes().split_at_checked(enc.key_len() / 2)?;
        Some(Keys { mac: hmac::Key::new(hash, mac_key), tag_len: enc.tag_len(), cipher, cipher_key })
    }

    /// Opens `sealed`. `None` for every failure.
    pub(super) fn open(&self, aad: &[u8], sealed: Sealed) -> Option<Zeroizing<Vec<u8>>> {
        // RFC 7518 §5.2.2.2 steps 2 and 3: the tag before anything is decrypted.
        let tag = self.tag(aad, &sealed.iv, &sealed.ciphertext)?;
        verify_slices_are_equal(tag.as_ref().get(..self.tag_len)?, &sealed.tag).ok()?;

        // The library takes whole blocks for granted, and at least one: padding is never empty.
        let mut text = Zeroizing::new(sealed.ciphertext);
        if text.is_empty() || !text.len().is_multiple_of(BLOCK_BYTES) {
            return None;
        }
        let key = UnboundCipherKey::new(self.cipher, self.cipher_key).ok()?;
        let context = DecryptionContext::Iv128(FixedLength::try_from(sealed.iv.as_slice()).ok()?);
        let length = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?.decrypt(&mut text, context).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    /// Locks `plaintext`. `None` if the vector is not of 16 bytes, or the library fails.
    pub(super) fn seal(&self, iv: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<Sealed> {
        // With room for the padding, so that no copy of the plaintext is left behind.
        let mut text = Vec::with_capacity(plaintext.len().checked_add(BLOCK_BYTES)?);
        text.extend_from_slice(plaintext);
        let key = UnboundCipherKey::new(self.cipher, self.cipher_key).ok()?;
        let context = EncryptionContext::Iv128(FixedLength::try_from(iv).ok()?);
        PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?.less_safe_encrypt(&mut text, context).ok()?;
        let tag = self.tag(aad, iv, &text)?.as_ref().get(..self.tag_len)?.to_vec();
        Some(Sealed { iv: iv.to_vec(), ciphertext: text, tag })
    }

    /// RFC 7518 §5.2.2.1 step 5: over `aad`, vector, ciphertext and the number of bits in `aad`; not yet cut.
    fn tag(&self, aad: &[u8], iv: &[u8], ciphertext: &[u8]) -> Option<hmac::Tag> {
        let aad_bits = u64::try_from(aad.len()).ok()?.checked_mul(8)?;
        let mut mac = hmac::Context::with_key(&self.mac);
        mac.update(aad);
        mac.update(iv);
        mac.update(ciphertext);
        mac.update(&aad_bits.to_be_bytes());
        Some(mac.sign())
    }
}

const BLOCK_BYTES: usize = 16;
