//! A disk that is full, or that fails to sync, when the test says so: `disk.c` stands between the process and its C library.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use super::Home;

pub(crate) struct FaultyDisk {
    switches: PathBuf,
}

impl FaultyDisk {
    /// Puts the processes of `home` on this disk, which works until told otherwise.
    pub(crate) fn of(home: &mut Home) -> Self {
        let switches = home.path("disk");
        std::fs::create_dir(&switches).expect("a directory for the switches");
        home.set("LD_PRELOAD", library().to_str().expect("a path in UTF-8"));
        home.set("DISK_SWITCHES", switches.to_str().expect("a path in UTF-8"));
        Self { switches }
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.switch("full", full);
    }

    pub(crate) fn set_sync_fails(&self, fails: bool) {
        self.switch("sync-fails", fails);
    }

    fn switch(&self, name: &str, on: bool) {
        let file = self.switches.join(name);
        if on {
            std::fs::write(file, "").expect("the switch is set");
        } else {
            std::fs::remove_file(file).expect("the switch is taken away");
        }
    }
}

/// Compiled once a run.
fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/support/disk.c");
        let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{}.so", std::process::id()));
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        let hint = "a C compiler is needed: `cargo xtask test --only prerequisites` installs it";
        assert!(compiled.expect(hint).success(), "disk.c compiles");
        library
    })
}
