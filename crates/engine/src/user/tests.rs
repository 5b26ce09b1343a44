//! Identifiers: what is the same name, and what is none.

use proptest::prelude::*;

use super::*;

fn value(text: &str) -> String {
    match Identifier::parse(text) {
        Ok(identifier) => identifier.value,
        Err(why) => panic!("{text:?}: {why}"),
    }
}

#[test]
fn identifiers_are_compared_in_one_form() {
    let cases = [
        ("ada@example.org", "ada@example.org"),
        ("Ada@Example.ORG", "ada@example.org"),
        ("  ada@example.org\t\n", "ada@example.org"),
        ("\u{a0}ada\u{3000}", "ada"),
        ("ADA", "ada"),
        ("Zoe\u{308}", "zo\u{eb}"),
        ("ZOE\u{308}", "zo\u{eb}"),
        ("ZO\u{cb}", "zo\u{eb}"),
        ("\u{212b}ngstr\u{f6}m", "\u{e5}ngstr\u{f6}m"),
        ("\u{2126}", "\u{3c9}"),
        ("\u{212a}elvin", "kelvin"),
        // Lower case, not case folding: ß stays itself, and is not "ss".
        ("Stra\u{df}e", "stra\u{df}e"),
        ("STRA\u{1e9e}E", "stra\u{df}e"),
        ("\u{130}stanbul", "i\u{307}stanbul"),
        // Lower case alone leaves the dots in the wrong order.
        ("\u{130}\u{323}", "\u{1ecb}\u{307}"),
        ("\u{391}\u{3a3}", "\u{3b1}\u{3c3}"),
        ("\u{c7}a@b", "\u{e7}a@b"),
        ("C\u{327}a@b", "\u{e7}a@b"),
        ("a", "a"),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text), expected, "{text:?}");
    }
}

#[test]
fn an_at_sign_makes_an_address() {
    let email = Identifier::parse("Ada@Example.org");
    assert_eq!(email, Identifier::email("ada@example.org"));
    assert_eq!(email.map(|identifier| identifier.kind), Ok(IdentifierKind::Email));
    let name = Identifier::parse("ada");
    assert_eq!(name.map(|identifier| identifier.kind), Ok(IdentifierKind::Username));
}

#[test]
fn what_cannot_be_an_identifier_says_why() {
    let cases = [
        ("", IdentifierError::Empty),
        (" \t\n", IdentifierError::Empty),
        ("ada lovelace", IdentifierError::ForeignCharacter),
        ("ada\0", IdentifierError::ForeignCharacter),
        ("ada\u{7f}x", IdentifierError::ForeignCharacter),
        ("ada\u{2003}x@example.org", IdentifierError::ForeignCharacter),
        ("ada\u{202e}x@example.org", IdentifierError::ForeignCharacter),
        ("usr_01a2015ae48e70008002ab56fb8eed27", IdentifierError::LikeAnId),
        (" USR_01A2015AE48E70008002AB56FB8EED27 ", IdentifierError::LikeAnId),
        ("ada@", IdentifierError::NotAnAddress),
        ("@example.org", IdentifierError::NotAnAddress),
        ("@", IdentifierError::NotAnAddress),
        ("ada@example@org", IdentifierError::NotAnAddress),
        ("ada@@example.org", IdentifierError::NotAnAddress),
    ];
    for (text, why) in cases {
        assert_eq!(Identifier::parse(text), Err(why), "{text:?}");
    }
    assert!(Identifier::parse("usr_01a2015ae48e70008002ab56fb8eed27@example.org").is_ok());
    assert_eq!(Identifier::email("ada"), Err(IdentifierError::NotAnAddress));
    assert_eq!(Identifier::email(" "), Err(IdentifierError::Empty));
}

#[test]
fn an_identifier_has_at_most_254_bytes_once_normalised() {
    assert_eq!(value(&"a".repeat(254)).len(), 254);
    assert_eq!(Identifier::parse(&"a".repeat(255)), Err(IdentifierError::TooLong));
    assert_eq!(value(&"\u{e9}".repeat(127)).len(), 254);
    assert_eq!(Identifier::parse(&"\u{e9}".repeat(128)), Err(IdentifierError::TooLong));
    // 381 bytes before, 254 after.
    assert_eq!(value(&"e\u{301}".repeat(127)).len(), 254);
    assert_eq!(Identifier::parse(&"a".repeat(10_000_000)), Err(IdentifierError::TooLong));
}

#[test]
fn only_an_address_can_look_like_one() {
    // A username never has an "@", so nobody can register another person's address as a name.
    for text in ["\u{ff20}", "ada\u{ff20}example.org", "ada\u{fe6b}x"] {
        assert!(!value(text).contains('@'), "{text}");
    }
}

#[test]
fn role_names_are_short_and_plain() {
    for name in ["admin", "a", "Org:billing.read-only_2", &"r".repeat(64)] {
        assert!(is_role_name(name), "{name}");
    }
    for name in ["", " ", "a b", "é", "a/b", "a\n", "a,b", &"r".repeat(65)] {
        assert!(!is_role_name(name), "{name:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn normalising_twice_is_normalising_once(
        text in prop_oneof![
            any::<String>(),
            "[a-zA-Z@ ]{1,20}",
            "[İıßẞΩΩKÅǅΣςσeE\u{301}\u{307}\u{308}\u{323}\u{345}@ĳﬁ]{1,12}",
        ],
    ) {
        if let Ok(once) = Identifier::parse(&text) {
            prop_assert_eq!(Identifier::parse(&once.value), Ok(once));
        }
    }

    #[test]
    fn space_around_and_the_case_of_ascii_do_not_matter(text in "[a-z0-9.@\u{e4}\u{f1}]{1,20}") {
        let shouted: String = text.chars().map(|c| c.to_ascii_uppercase()).collect();
        prop_assert_eq!(Identifier::parse(&format!(" {shouted}\n")), Identifier::parse(&text));
    }

    #[test]
    fn a_value_is_never_empty_too_long_or_spaced(text in any::<String>()) {
        if let Ok(Identifier { kind, value }) = Identifier::parse(&text) {
            prop_assert!((1..=Identifier::LONGEST).contains(&value.len()));
            prop_assert!(!value.chars().any(|c| c.is_whitespace() || c.is_control()));
            prop_assert_eq!(kind == IdentifierKind::Email, value.contains('@'));
        }
    }
}
