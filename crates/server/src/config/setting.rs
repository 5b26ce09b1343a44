//! Declares the sections of the configuration once: from it come the structs that are parsed, their defaults, and what
//! `regrant config check` and `reference` tell of every key.

use std::{collections::BTreeMap, path::PathBuf};

use regrant_engine::{
    client::{AuthMethod, ClientType, GrantType, Requirement},
    refresh::ReplayPolicy,
};
use serde_json::Value;

use super::{
    AddressRange, LogFormat, SameSite, ScopeTable, TokenScope,
    client::ApplicationKind,
    section::{DatabaseUrl, Duration},
};

/// Declares sections: `name: Struct { key: Type = default => "the default in words"; … }`. Every doc comment is a line of the
/// reference page.
macro_rules! sections {
    ($(
        $(#[doc = $about:literal])+
        $name:ident: $section:ident { $($keys:tt)+ }
    )+) => {
        /// The whole configuration.
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Config {
            $($(#[doc = $about])+ pub(crate) $name: $section,)+
            /// The clients, by their ids.
            pub(crate) clients: BTreeMap<String, $crate::config::ClientTable>,
            /// The resources, by names of their own.
            pub(crate) resources: BTreeMap<String, $crate::config::ResourceTable>,
        }

        $($crate::config::setting::section! { $(#[doc = $about])+ $section { $($keys)+ } })+

        impl Config {
            /// Every key of every section, in the order of their declaration, with its value.
            pub(crate) fn sections(&self) -> Vec<$crate::config::Section> {
                let clients = self.clients.iter().map(|(id, table)| table.section(format!("clients.{id}")));
                let resources = self.resources.iter().map(|(name, table)| table.section(format!("resources.{name}")));
                [$(self.$name.section(stringify!($name).to_owned())),+].into_iter().chain(clients).chain(resources).collect()
            }

            /// The sections as the reference page tells them.
            pub(crate) fn described() -> Vec<$crate::config::Section> {
                let mut sections = Self::default().sections();
                sections.push($crate::config::ClientTable::default().section("clients.ID".to_owned()));
                sections.push($crate::config::ResourceTable::default().section("resources.NAME".to_owned()));
                sections
            }
        }
    };
}
pub(super) use sections;

/// One section: the struct that is parsed, its defaults, and what is told of it.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $section:ident { $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr $(=> $words:literal)?;)+ }
    ) => {
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

        impl $section {
            /// Every key in the order of their declaration, with its value.
            pub(crate) fn section(&self, name: String) -> $crate::config::Section {
                $crate::config::Section {
                    name,
                    about: [$($about),+].concat().trim().to_owned(),
                    settings: vec![$($crate::config::Setting {
                        key: stringify!($key).trim_start_matches("r#"),
                        doc: [$($doc),+].concat().trim().to_owned(),
                        kind: <$type as $crate::config::setting::Kind>::kind(),
                        in_words: [$($words,)? ""].first().copied().filter(|words: &&str| !words.is_empty()),
                        value: serde_json::to_value(&self.$key).unwrap_or_default(),
                    }),+],
                }
            }
        }
    };
}
pub(super) use section;

/// A section as it is told.
pub(crate) struct Section {
    pub(crate) name: String,
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
    DatabaseUrl: "URL";
    Duration: "duration";
    AddressRange: "address or range";
    ReplayPolicy: "`\"balanced\"` or `\"strict\"`";
    SameSite: "`\"strict\"` or `\"lax\"`";
    ClientType: "`\"public\"`, `\"confidential\"` or `\"service\"`";
    ApplicationKind: "`\"browser\"` or `\"native\"`";
    GrantType: "`\"authorization_code\"`, `\"refresh_token\"`, `\"client_credentials\"` or \
                `\"urn:ietf:params:oauth:grant-type:device_code\"`";
    AuthMethod: "`\"none\"`, `\"client_secret_basic\"`, `\"client_secret_post\"` or `\"private_key_jwt\"`";
    Requirement: "`\"required\"` or `\"optional\"`";
    LogFormat: "`\"auto\"`, `\"text\"` or `\"json\"`";
    BTreeMap<String, String>: "table of text";
    BTreeMap<String, TokenScope>: "tables: `claims`";
    BTreeMap<String, ScopeTable>: "tables: `description`, `roles`";
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
