//! The key file: made once, for its owner alone, and read with care.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU8, Ordering},
};

use regrant_engine::{ports::Random, token::KeyId};
use tempfile::TempDir;

use super::{create, read};

/// Bytes that a test can tell apart.
struct Counted(AtomicU8);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn made() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.toml");
    create(&file, &Counted(AtomicU8::new(1))).unwrap();
    (directory, file)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_new_file_is_its_owners_alone_and_reads_back() {
    let (directory, file) = made();
    assert_eq!(names(directory.path()), ["keys.toml"], "no draft is left");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let keys = read(&file).unwrap().unwrap();
    assert_eq!(keys.refresh.keys().copied().collect::<Vec<_>>(), [KeyId(1)]);
    let text = fs::read_to_string(&file).unwrap();
    let secrets: Vec<&str> = text.split('"').filter(|part| part.len() == 43).collect();
    assert_eq!(secrets.len(), 2);
    assert_ne!(secrets[0], secrets[1], "each secret is drawn by itself");
    assert!(text.starts_with('#'), "it says what it is");
    assert_eq!(format!("{keys:?}"), "Keys(secret)");
}

#[test]
fn a_missing_file_is_none_and_an_unreadable_one_an_error() {
    let directory = tempfile::tempdir().unwrap();
    assert!(read(&directory.path().join("keys.toml")).unwrap().is_none());
    fs::write(directory.path().join("file"), "").unwrap();
    assert!(read(&directory.path().join("file/keys.toml")).is_err());
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(read(directory.path()).is_err(), "a directory is no key file");
}

#[test]
fn an_existing_file_is_never_replaced() {
    let (directory, file) = made();
    let before = fs::read(&file).unwrap();
    assert!(create(&file, &Counted(AtomicU8::new(100))).is_err());
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(names(directory.path()), ["keys.toml"], "the draft is gone");
}

#[test]
fn a_file_in_a_directory_that_is_not_there_is_a_clear_error() {
    let error = create(Path::new("/nowhere/keys.toml"), &Counted(AtomicU8::new(1))).unwrap_err().to_string();
    assert!(error.contains("cannot write the key file /nowhere/keys.toml"), "{error}");
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let (_directory, file) = made();
    for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && error.contains(&format!("{mode:o}")), "{error}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(read(&file).unwrap().is_some());
}

#[test]
fn a_damaged_file_is_refused_and_no_secret_is_shown() {
    let (_directory, file) = made();
    let whole = fs::read_to_string(&file).unwrap();
    let secrets: Vec<&str> = whole.split('"').filter(|part| part.len() == 43).collect();
    let (sealing, master) = (secrets[0], secrets[1]);
    for (damage, text) in [
        ("empty", String::new()),
        ("half", whole[..whole.len() / 2].to_owned()),
        ("no quote", whole.replace(&format!("{sealing}\""), sealing)),
        ("short", whole.replace(sealing, &sealing[..40])),
        ("long", whole.replace(master, &format!("{master}A"))),
        ("padded", whole.replace(master, &format!("{master}="))),
        ("another alphabet", whole.replace(master, &format!("+{}", &master[1..]))),
        // The last character has two bits that mean nothing: only one spelling is right.
        ("not canonical", whole.replace(master, &format!("{}B", &master[..42]))),
        ("no master", whole.split("[[refresh]]").next().unwrap().to_owned()),
        ("unknown", format!("{whole}\nsecret2 = \"{sealing}\"\n")),
        ("twice", format!("{whole}\n[[refresh]]\nid = 1\nsecret = \"{sealing}\"\n")),
        ("too large an id", whole.replace("id = 1", "id = 256")),
        ("a negative id", whole.replace("id = 1", "id = -1")),
    ] {
        fs::write(&file, text).unwrap();
        let Err(error) = read(&file) else { panic!("{damage}: accepted") };
        let said = error.to_string();
        assert!(said.contains("keys.toml is damaged") && said.contains("restore it"), "{damage}: {said}");
        assert!(!said.contains(&sealing[..8]) && !said.contains(&master[..8]), "{damage}: {said}");
    }
    fs::write(&file, vec![b' '; 65 * 1024]).unwrap();
    assert!(read(&file).unwrap_err().to_string().contains("larger than 64 KiB"));
    fs::write(&file, [0xff, 0xfe]).unwrap();
    assert!(read(&file).is_err());
}

#[test]
fn several_masters_are_read_by_their_ids() {
    let (_directory, file) = made();
    let whole = fs::read_to_string(&file).unwrap();
    let sealing = whole.split('"').find(|part| part.len() == 43).unwrap();
    fs::write(&file, format!("{whole}\n[[refresh]]\nid = 7\nsecret = \"{sealing}\"\n")).unwrap();
    let keys = read(&file).unwrap().unwrap();
    assert_eq!(keys.refresh.keys().copied().collect::<Vec<_>>(), [KeyId(1), KeyId(7)]);
}
