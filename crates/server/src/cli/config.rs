//! `regrant config`: what the configuration is, where it comes from, and what is wrong or doubtful about it.

use std::{path::Path, sync::Arc};

use regrant_store::postgres::{Address, Durability, Options, PostgresStore};
use serde_json::{Value, json};

use super::Failure;
use crate::{
    config::{self, Doubt, Loaded, Source},
    control::{Reply, table},
    home, serve,
    system::SystemSource,
    telemetry,
};

/// What a start with this configuration would refuse is refused; the rest is told.
pub(super) fn check(loaded: &Loaded, directory: &Path, of_database: Vec<Doubt>) -> Result<Reply, Failure> {
    serve::preflight(&loaded.config)?;
    telemetry::filter(&loaded.config)?;
    let mut doubts = loaded.config.doubts();
    doubts.extend(of_database);
    doubts.extend(home::kept_stores(directory).into_iter().map(|path| Doubt {
        key: "--data".to_owned(),
        why: format!(
            "{} is a store that a restore kept, with all its secrets: remove it when you are sure that you do not need it",
            path.display()
        ),
    }));
    let (mut rows, mut settings) = (Vec::new(), Vec::new());
    for section in loaded.config.sections() {
        for setting in section.settings {
            let source = loaded.source(&section.name, setting.key);
            let shown = match (&setting.value, setting.in_words) {
                (Value::Null, words) => words.unwrap_or_default().replace('`', ""),
                (value, _) => value.to_string(),
            };
            rows.push(vec![format!("{}.{}", section.name, setting.key), shown, source.to_string()]);
            let (kind, from) = match source {
                Source::Default => ("default", None),
                Source::File(path) => ("file", Some(path.display().to_string())),
                Source::Environment(name) => ("environment", Some(name.clone())),
            };
            settings.push(json!({
                "section": section.name, "key": setting.key, "value": setting.value, "source": kind, "from": from,
            }));
        }
    }
    let file = loaded.file.as_ref().map(|path| path.display().to_string());
    let mut text = format!("file: {}\n\n", file.as_deref().unwrap_or("none"));
    text += &table::table(&["KEY", "VALUE", "SOURCE"], &rows);
    text += "\n\n";
    if doubts.is_empty() {
        text += "nothing is wrong, and nothing is doubtful";
    } else {
        let lines: Vec<String> = doubts.iter().map(|doubt| format!("doubtful: {}: {}", doubt.key, doubt.why)).collect();
        text += &lines.join("\n");
    }
    Ok(Reply { document: json!({"file": file, "settings": settings, "doubts": doubts}), text })
}

/// Asks a database what a sign-out is worth there when its primary is lost.
pub(super) async fn of_database(address: &Address) -> Vec<Doubt> {
    let options = Options { connections: 1, batch: 1, ..Options::default() };
    let store = PostgresStore::new(Address::clone(address), Arc::new(SystemSource::new()), options);
    let why = match store.durability().await {
        Ok(Durability { waits: true, .. }) => return Vec::new(),
        Ok(Durability { followed, .. }) if followed || address.has_several_hosts() => {
            "a standby may take over that lacks what was acknowledged last (synchronous_standby_names is empty): renewals heal, but \
             who signed out, was revoked or was found out as a thief may be signed in again. Name a standby there"
                .to_owned()
        }
        Ok(_) => return Vec::new(),
        Err(broken) => format!("it could not be asked what becomes of a sign-out when its primary is lost: {broken}"),
    };
    vec![Doubt { key: "database.url".to_owned(), why }]
}

/// The reference page.
pub(super) fn reference() -> Reply {
    let text = config::reference();
    Reply { document: json!({"markdown": text}), text: text.trim_end().to_owned() }
}
