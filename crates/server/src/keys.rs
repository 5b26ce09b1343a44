//! The key file: what must never be in the store or in a backup of it.
//!
//! `sealing` seals the signing keys and keys the digests; each `[[refresh]]` master makes refresh tokens. The file is made
//! once, with the store, and never changed silently: another file would sign everybody out.

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
    refresh: Vec<WrittenMaster>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMaster {
    id: u8,
    secret: Zeroizing<String>,
}

/// Reads the key file. `Ok(None)` if there is none.
pub fn read(file: &Path) -> Result<Option<Keys>, KeyFileError> {
    let shown = file.display();
    let metadata = match fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(KeyFileError(format!("cannot read the key file {shown}: {error}"))),
    };
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
    let damaged = |what: &str| {
        KeyFileError(format!("the key file {shown} is damaged ({what}): restore it from your backup of it"))
    };
    let written: Written =
        toml::from_str(&text).map_err(|_| damaged("it is not TOML with `sealing` and [[refresh]] entries"))?;
    let sealing = secret(&written.sealing).ok_or_else(|| damaged("`sealing` is not 32 bytes of base64url"))?;
    let mut refresh = BTreeMap::new();
    for master in written.refresh {
        let bytes = secret(&master.secret).ok_or_else(|| damaged("a refresh `secret` is not 32 bytes of base64url"))?;
        if refresh.insert(KeyId(master.id), Master::new(*bytes)).is_some() {
            return Err(damaged("two refresh keys have the same id"));
        }
    }
    if refresh.is_empty() {
        return Err(damaged("it has no refresh key"));
    }
    Ok(Some(Keys { sealing, refresh }))
}

/// Makes a new key file: written whole under another name, synced, then named. An existing one is never replaced.
pub fn create(file: &Path, random: &dyn Random) -> Result<(), KeyFileError> {
    let fresh = || {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut_slice());
        Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
    };
    let text = Zeroizing::new(format!(
        "# Regrant's keys. Whoever has this file and the database can sign in as anybody; without it the database is of no use.\n\
         # Keep a copy apart from the database's backups.\n\
         sealing = \"{}\"\n\n[[refresh]]\nid = 1\nsecret = \"{}\"\n",
        *fresh(),
        *fresh()
    ));
    let draft = file.with_extension("toml.new");
    let write = || -> std::io::Result<()> {
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::hard_link(&draft, file)?;
        fs::remove_file(&draft)?;
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| {
        // A draft that stays behind holds keys that nothing uses.
        let _ = fs::remove_file(&draft);
        KeyFileError(format!("cannot write the key file {}: {error}", file.display()))
    })
}

fn secret(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

#[cfg(test)]
mod tests;
