//! The reference page of the configuration: prose here, the tables from the declarations in `section.rs`.

use super::{Config, Setting};

/// `docs/reference/configuration.md`, whole.
pub(crate) fn reference() -> String {
    let mut page = HEAD.to_owned();
    for section in Config::described() {
        page += &format!(
            "\n## `[{}]`\n\n{}\n\n| Key | Type | Default | |\n|---|---|---|---|\n",
            section.name, section.about
        );
        for setting in &section.settings {
            let Setting { key, doc, kind, .. } = setting;
            page += &format!("| `{key}` | {kind} | {} | {doc} |\n", default(setting));
        }
    }
    page + TAIL
}

fn default(setting: &Setting) -> String {
    match (setting.in_words, &setting.value) {
        (Some(words), _) => words.to_owned(),
        // JSON and TOML agree on texts, numbers and empty lists and tables.
        (None, value) => format!("`{value}`"),
    }
}

const HEAD: &str = include_str!("reference/head.md");
const TAIL: &str = include_str!("reference/tail.md");
