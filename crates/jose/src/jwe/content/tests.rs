use super::*;
use crate::base64url;

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// RFC 7518, Appendix B: key, plaintext, vector and what is authenticated are the same for all three.
#[test]
fn rfc_7518_appendix_b() {
    let plaintext =
        b"A cipher system must not be required to be secret, and it must be able to fall into the hands of the \
        enemy without inconvenience";
    let iv = hex("1af38c2dc2b96ffdd86694092341bc04");
    let aad = b"The second principle of Auguste Kerckhoffs";
    for (enc, tag) in [
        (ContentEncryption::A128CbcHs256, "652c3fa36b0a7c5b3219fab3a30bc1c4"),
        (ContentEncryption::A192CbcHs384, "8490ac0e58949bfe51875d733f93ac2075168039ccc733d7"),
        (ContentEncryption::A256CbcHs512, "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5"),
    ] {
        let key: Vec<u8> = (0..enc.key_len()).map(|n| n as u8).collect();
        let cek = Cek::new(enc, &key).unwrap();
        let sealed = seal_with(enc, &cek, &iv, aad, plaintext).unwrap();
        // The tag covers the ciphertext.
        assert_eq!(sealed.tag, hex(tag), "{enc}");
        assert_eq!(sealed.ciphertext.len(), 144);
        assert_eq!(open(enc, &cek, aad, sealed).unwrap().as_slice(), plaintext);
    }
}

/// RFC 7516, Appendix A.3.4 to A.3.6.
#[test]
fn rfc_7516_a3_is_made_anew() {
    let cek = [
        4, 211, 31, 197, 84, 157, 252, 254, 11, 100, 157, 250, 63, 170, 106, 206, 107, 124, 212, 45, 111, 107, 9, 219,
        200, 177, 0, 240, 143, 156, 44, 207,
    ];
    let kek = base64url::decode("GawgguFyGrWKav7AX4VKUg").unwrap();
    let wrapped = crate::jwe::aes_kw::wrap(&kek, &cek).unwrap();
    assert_eq!(base64url::encode(&wrapped), "6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ");

    let enc = ContentEncryption::A128CbcHs256;
    let iv = base64url::decode("AxY8DCtDaGlsbGljb3RoZQ").unwrap();
    let aad = base64url::encode(br#"{"alg":"A128KW","enc":"A128CBC-HS256"}"#);
    let sealed = seal_with(enc, &Cek::new(enc, &cek).unwrap(), &iv, aad.as_bytes(), b"Live long and prosper.").unwrap();
    assert_eq!(base64url::encode(&sealed.ciphertext), "KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY");
    assert_eq!(base64url::encode(&sealed.tag), "U0m_YmjN04DJvceFICbCVQ");
}

/// RFC 7518 §5.2, §5.3: a tag that is cut short, a longer vector, half a block: nothing is opened, and nothing panics.
#[test]
fn only_the_exact_lengths_are_opened() {
    for enc in ContentEncryption::ALL {
        let cek = Cek::random(*enc).unwrap();
        let sealed = || seal(*enc, &cek, b"aad", b"text").unwrap();
        assert!(open(*enc, &cek, b"aad", sealed()).is_some());
        assert!(open(*enc, &cek, b"", sealed()).is_none());

        let without = |cut: fn(&mut Sealed)| {
            let mut sealed = sealed();
            cut(&mut sealed);
            open(*enc, &cek, b"aad", sealed)
        };
        assert!(without(|sealed| sealed.tag.truncate(8)).is_none(), "{enc}");
        assert!(without(|sealed| sealed.tag.clear()).is_none(), "{enc}");
        assert!(without(|sealed| sealed.tag.push(0)).is_none(), "{enc}");
        assert!(without(|sealed| sealed.iv.clear()).is_none(), "{enc}");
        assert!(without(|sealed| sealed.iv.push(0)).is_none(), "{enc}");
        assert!(without(|sealed| sealed.ciphertext.clear()).is_none(), "{enc}");
        assert!(without(|sealed| _ = sealed.ciphertext.pop()).is_none(), "{enc}");
        assert!(Cek::new(*enc, &vec![0; enc.key_len() - 1]).is_none());
        assert!(Cek::new(*enc, &vec![0; enc.key_len() + 1]).is_none());
    }
}

/// RFC 7518 §5.2.2.2: a good tag over something that is no whole block, or none at all, or badly padded. Only who has the key
/// can make these.
#[test]
fn bad_padding_under_a_good_tag_is_refused_like_everything_else() {
    use aws_lc_rs::hmac;

    let enc = ContentEncryption::A128CbcHs256;
    let cek = Cek::random(enc).unwrap();
    let iv = vec![7; 16];
    for ciphertext in [vec![], vec![1; 15], vec![1; 16], vec![1; 17], vec![1; 32]] {
        let message = [b"aad", iv.as_slice(), &ciphertext, &24_u64.to_be_bytes()].concat();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &cek.as_bytes()[..16]), &message);
        let sealed = Sealed { iv: iv.clone(), ciphertext, tag: tag.as_ref()[..16].to_vec() };
        assert!(open(enc, &cek, b"aad", sealed).is_none());
    }
}
