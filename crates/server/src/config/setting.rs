//! Declares the sections of the configuration once: from it come the structs that are parsed, their defaults, and what
//! `regrant config check` and `reference` tell of every key.

use std::{collections::BTreeMap, path::PathBuf};

use regrant_engine::refresh::ReplayPolicy;
use serde_json::Value;

use super::{AddressRange, LogFormat, SameSite, section::Duration};

/// Declares sections: `name: Struct { key: Type = default => "the default in words"; … }`. Every doc comment is a line of the
/// reference page.
macro_rules! sections {
    ($(
        $(#[doc = $about:literal])+
        $name:ident: $section:ident {
            $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr $(=> $words:literal)?;)+
        }
    )+) => {
        /// The whole configuration.
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Config {
            $($(#[doc = $about])+ pub(crate) $name: $section,)+
        }

        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, serde::Deserialize)]
            #[serde(deny_unknown_fields, default)]
            pub(crate) struct $section {
                $($(#[doc = $doc])+ pub(crate) $key: $type,)+
            }

            impl Default for $section {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        impl Config {
            /// Every key of every section, in the order of their declaration, with its value.
            pub(crate) fn sections(&self) -> Vec<$crate::config::Section> {
                vec![$($crate::config::Section {
                    name: stringify!($name),
                    about: [$($about),+].concat().trim().to_owned(),
                    settings: vec![$($crate::config::Setting {
                        key: stringify!($key),
                        doc: [$($doc),+].concat().trim().to_owned(),
                        kind: <$type as $crate::config::setting::Kind>::kind(),
                        in_words: [$($words,)? ""].first().copied().filter(|words: &&str| !words.is_empty()),
                        value: serde_json::to_value(&self.$name.$key).unwrap_or_default(),
                    }),+],
                }),+]
            }
        }
    };
}
pub(super) use sections;

/// A section as it is told.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// Its doc comment.
    pub(crate) about: String,
    pub(crate) settings: Vec<Setting>,
}

/// A key as it is told.
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    /// Its doc comment.
    pub(crate) doc: String,
    /// What may be written there.
    pub(crate) kind: String,
    /// What it is if nobody says, where no value says it.
    pub(crate) in_words: Option<&'static str>,
    /// What it is.
    pub(crate) value: Value,
}

/// What may be written for a type, in words.
pub(crate) trait Kind {
    fn kind() -> String;
}

macro_rules! kinds {
    ($($type:ty: $kind:expr;)+) => {
        $(impl Kind for $type {
            fn kind() -> String {
                $kind.to_owned()
            }
        })+
    };
}

kinds! {
    String: "text";
    PathBuf: "path";
    bool: "`true` or `false`";
    u32: "number";
    usize: "number";
    Duration: "duration";
    AddressRange: "address or range";
    ReplayPolicy: "`\"balanced\"` or `\"strict\"`";
    SameSite: "`\"strict\"` or `\"lax\"`";
    LogFormat: "`\"auto\"`, `\"text\"` or `\"json\"`";
    BTreeMap<String, String>: "table of text";
}

impl<T: Kind> Kind for Option<T> {
    fn kind() -> String {
        T::kind()
    }
}

impl<T: Kind> Kind for Vec<T> {
    fn kind() -> String {
        format!("list: {}", T::kind())
    }
}
