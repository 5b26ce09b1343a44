//! Moves the clock of processes from outside, while they run: libfaketime reads the offset from a file at every look at the
//! clock. The monotonic clock, which time-outs use, goes on as it is.

use std::path::{Path, PathBuf};

use super::Home;

pub(crate) struct MovedClock {
    offset: PathBuf,
}

impl MovedClock {
    /// Puts the processes of `home` under this clock.
    pub(crate) fn of(home: &mut Home) -> Self {
        let clock = Self { offset: home.path("clock-offset") };
        clock.set(0);
        home.set("LD_PRELOAD", library().to_str().expect("a path in UTF-8"));
        home.set("FAKETIME_TIMESTAMP_FILE", clock.offset.to_str().expect("a path in UTF-8"));
        home.set("FAKETIME_NO_CACHE", "1");
        home.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        home.set("NO_FAKE_STAT", "1");
        clock
    }

    /// So many seconds from the real time.
    pub(crate) fn set(&self, seconds: i64) {
        // Renamed into place: a process never reads half an offset.
        let draft = self.offset.with_extension("new");
        std::fs::write(&draft, format!("{seconds:+}\n")).expect("the offset is written");
        std::fs::rename(&draft, &self.offset).expect("the offset is put in place");
    }
}

impl Drop for MovedClock {
    /// The library has a piece of shared memory and a semaphore for each process, called by its number, and leaves them where it was
    /// killed. Those of processes that are no more are nobody's.
    fn drop(&mut self) {
        for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name().into_string().unwrap_or_default();
            let process = name.strip_prefix("faketime_shm_").or(name.strip_prefix("sem.faketime_sem_"));
            if process.is_some_and(|number| number.parse::<u32>().is_ok_and(|number| !is_running(number))) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

fn is_running(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

fn library() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
    found
        .map(|directory| directory.path().join("faketime/libfaketimeMT.so.1"))
        .chain([Path::new("/usr/lib/faketime/libfaketimeMT.so.1").to_owned()])
        .find(|path| path.exists())
        .expect("libfaketime is not installed: `cargo xtask test --only prerequisites` installs it")
}
