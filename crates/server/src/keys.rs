//! The key file: what must never be in the store or in a backup of it.
//!
//! `sealing` seals the signing keys and keys the digests; each `[[refresh]]` master makes refresh tokens, new ones by the
//! `active` one. The file is made once, with the store, and changed by the operator's word alone (`keeper.rs`), whole or not
//! at all: another file would sign everybody out.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use regrant_engine::{
    ports::Random,
    time::Time,
    token::{KeyId, Master},
};
use serde::Deserialize;
use zeroize::Zeroizing;

/// The secrets of the key file.
pub struct Keys {
    /// Seals the signing keys and keys the digests.
    pub sealing: Zeroizing<[u8; 32]>,
    /// Makes refresh tokens, by id.
    pub refresh: BTreeMap<KeyId, Master>,
    /// Makes new ones.
    pub active: KeyId,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(secret)")
    }
}

/// Why the key file cannot be used.
#[derive(Debug)]
pub struct KeyFileError(pub String);

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyFileError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    sealing: Zeroizing<String>,
    /// The newest, if it does not say.
    active: Option<u8>,
    refresh: Vec<WrittenMaster>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMaster {
    id: u8,
    /// For people.
    created_at: Option<Time>,
    secret: Zeroizing<String>,
}

/// Reads the key file. `Ok(None)` if there is none.
pub fn read(file: &Path) -> Result<Option<Keys>, KeyFileError> {
    read_written(file)?.map(|written| parse(file, written)).transpose()
}

fn read_written(file: &Path) -> Result<Option<Written>, KeyFileError> {
    let shown = file.display();
    let metadata = match fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(KeyFileError(format!("cannot read the key file {shown}: {error}"))),
    };
    // Of a pipe nobody may ever write the end, and it could not be read again.
    if !metadata.is_file() {
        return Err(KeyFileError(format!("the key file {shown} is no file: put it back from your backup of it")));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError(format!(
            "the key file {shown} can be read by others (mode {mode:o}): run chmod 600 on it, and if others had access, \
             rotate its keys"
        )));
    }
    if metadata.len() > 64 * 1024 {
        return Err(KeyFileError(format!("the key file {shown} is larger than 64 KiB: is it the right file?")));
    }
    let text =
        fs::read_to_string(file).map_err(|error| KeyFileError(format!("cannot read the key file {shown}: {error}")))?;
    let text = Zeroizing::new(text);
    // The parser's own message would quote the line, and a line here is a secret.
    toml::from_str(&text).map(Some).map_err(|_| damaged(file, "it is not TOML with `sealing` and [[refresh]] entries"))
}

fn damaged(file: &Path, what: &str) -> KeyFileError {
    KeyFileError(format!("the key file {} is damaged ({what}): restore it from your backup of it", file.display()))
}

fn parse(file: &Path, written: Written) -> Result<Keys, KeyFileError> {
    let sealing = secret(&written.sealing).ok_or_else(|| damaged(file, "`sealing` is not 32 bytes of base64url"))?;
    let mut refresh = BTreeMap::new();
    for master in written.refresh {
        let bytes =
            secret(&master.secret).ok_or_else(|| damaged(file, "a refresh `secret` is not 32 bytes of base64url"))?;
        if refresh.insert(KeyId(master.id), Master::new(*bytes)).is_some() {
            return Err(damaged(file, "two refresh keys have the same id"));
        }
    }
    let newest = refresh.keys().next_back().copied().ok_or_else(|| damaged(file, "it has no refresh key"))?;
    let active = written.active.map_or(newest, KeyId);
    if !refresh.contains_key(&active) {
        return Err(damaged(file, "`active` names a refresh key that it does not have"));
    }
    Ok(Keys { sealing, refresh, active })
}

/// Makes a new key file. An existing one is never replaced.
pub fn create(file: &Path, random: &dyn Random) -> Result<(), KeyFileError> {
    let first = WrittenMaster { id: 1, created_at: None, secret: fresh(random) };
    let written = Written { sealing: fresh(random), active: Some(1), refresh: vec![first] };
    write(file, &written, |draft| fs::hard_link(draft, file).and_then(|()| fs::remove_file(draft)))
}

/// Adds a refresh key, which makes new tokens from now on.
pub(crate) fn add(file: &Path, KeyId(id): KeyId, now: Time, random: &dyn Random) -> Result<(), KeyFileError> {
    change(file, |written| {
        written.refresh.push(WrittenMaster { id, created_at: Some(now), secret: fresh(random) });
        written.active = Some(id);
    })
}

/// Takes a refresh key out of the file.
pub(crate) fn remove(file: &Path, KeyId(id): KeyId) -> Result<(), KeyFileError> {
    change(file, |written| written.refresh.retain(|master| master.id != id))
}

fn change(file: &Path, how: impl FnOnce(&mut Written)) -> Result<(), KeyFileError> {
    // Where a link leads to, not the link.
    let file = &fs::canonicalize(file)
        .map_err(|error| KeyFileError(format!("cannot find the key file {}: {error}", file.display())))?;
    let mut written =
        read_written(file)?.ok_or_else(|| KeyFileError(format!("the key file {} is gone", file.display())))?;
    let secrets = written.refresh.iter().map(|master| &master.secret).chain([&written.sealing]);
    if !secrets.into_iter().all(|text| secret(text).is_some()) {
        return Err(damaged(file, "a secret is not 32 bytes of base64url"));
    }
    // What the file says by being silent is written out: a key that is added later must not change it.
    written.active = written.active.or_else(|| written.refresh.iter().map(|master| master.id).max());
    how(&mut written);
    write(file, &written, |draft| fs::rename(draft, file))
}

/// Writes the file whole under another name, synced, and then puts it in its place: at no moment is there half a file.
fn write(file: &Path, written: &Written, put: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), KeyFileError> {
    let failed = |error: &dyn fmt::Display| {
        KeyFileError(format!(
            "cannot write the key file {}: {error}; nothing was changed. Its directory must be writable",
            file.display()
        ))
    };
    let text = text_of(written);
    let draft = file.with_extension("toml.new");
    let save = || -> std::io::Result<()> {
        // Removed first: a left-over of another mode would keep its mode.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        put(&draft)?;
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    };
    save().map_err(|error| {
        // A draft that stays behind holds keys that nothing uses.
        let _ = fs::remove_file(&draft);
        failed(&error)
    })
}

/// TOML of strings that need no escapes: base64url and times.
fn text_of(written: &Written) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
    text.push_str(HEADER);
    text.push_str("sealing = \"");
    text.push_str(&written.sealing);
    text.push_str("\"\n");
    if let Some(active) = written.active {
        text.push_str(&format!("# Makes new refresh tokens; the others are still accepted.\nactive = {active}\n"));
    }
    for master in &written.refresh {
        text.push_str(&format!("\n[[refresh]]\nid = {}\n", master.id));
        if let Some(at) = master.created_at {
            text.push_str(&format!("created_at = \"{at}\"\n"));
        }
        text.push_str("secret = \"");
        text.push_str(&master.secret);
        text.push_str("\"\n");
    }
    text
}

const HEADER: &str = "\
    # Regrant's keys. Whoever has this file and the database can sign in as anybody; without it the database is of no use.\n\
    # Keep a copy apart from the database's backups, and a new one after each \"regrant key rotate --kind refresh\".\n";

fn fresh(random: &dyn Random) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill(bytes.as_mut_slice());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

fn secret(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

#[cfg(test)]
mod tests;
