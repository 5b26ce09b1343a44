#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn there_is_one_spelling() {
    assert_eq!(decode("").unwrap(), b"");
    assert_eq!(decode("-_8").unwrap(), [0xfb, 0xff]);
    for text in ["A", "AB", "ABC=", "AA==", "AA ", " AA", "A\nA", "+A", "/A", "A.A", "é", "AA\0", "-_9", "AAAAA"] {
        assert_eq!(decode(text), Err(Error::Base64Invalid), "{text:?}");
        assert_eq!(with_decoded(text, <[u8]>::len), Err(Error::Base64Invalid), "{text:?}");
    }
}

proptest! {
    /// Long enough that the vector instructions have their share.
    #[test]
    fn decoding_undoes_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let text = encode(&bytes);
        prop_assert_eq!(Some(text.len()), encoded_len(bytes.len()));
        prop_assert_eq!(&decode(&text).unwrap(), &bytes);
        prop_assert_eq!(with_decoded(&text, <[u8]>::to_vec).unwrap(), bytes);
    }

    #[test]
    fn whatever_decodes_is_the_spelling_of_what_it_decodes_to(text in "[A-Za-z0-9_=+/ -]{0,140}") {
        if let Ok(bytes) = decode(&text) {
            prop_assert_eq!(encode(&bytes), text);
        }
    }

    #[test]
    fn one_outside_character_anywhere_is_noticed(
        bytes in proptest::collection::vec(any::<u8>(), 1..300),
        at in any::<prop::sample::Index>(),
        outside in prop::sample::select(vec!['=', '+', '/', ' ', '\n', '.', '\u{7f}', '\0', '@', '[', '`', '{']),
    ) {
        let text = encode(&bytes);
        let at = at.index(text.len());
        let changed: String = text.chars().enumerate().map(|(index, c)| if index == at { outside } else { c }).collect();
        prop_assert_eq!(decode(&changed), Err(Error::Base64Invalid));
    }
}
