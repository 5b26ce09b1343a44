//! What a process used: CPU time and resident memory, as `/proc` tells.

use std::{fs, time::Duration};

use crate::Failure;

/// CPU time, as a process used it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Cpu {
    /// In its own code.
    pub(crate) user: Duration,
    /// In the kernel for it.
    pub(crate) system: Duration,
}

impl Cpu {
    /// Of process `id`, all its threads.
    pub(crate) fn of(id: u32) -> Result<Self, Failure> {
        let path = format!("/proc/{id}/stat");
        let text = fs::read_to_string(&path).map_err(Failure::at(format!("cannot read {path}")))?;
        parse_stat(&text, rustix::param::clock_ticks_per_second())
            .ok_or_else(|| Failure::new(format!("{path} is not as expected")))
    }

    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }

    /// What was used since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { user: self.user.saturating_sub(before.user), system: self.system.saturating_sub(before.system) }
    }
}

/// Resident memory of process `id`, in bytes.
pub(crate) fn resident(id: u32) -> Result<u64, Failure> {
    let path = format!("/proc/{id}/status");
    let text = fs::read_to_string(&path).map_err(Failure::at(format!("cannot read {path}")))?;
    parse_resident(&text).ok_or_else(|| Failure::new(format!("{path} is not as expected")))
}

/// proc(5): the second field is the program's name in parentheses, and may hold anything; utime and stime are 14 and 15.
fn parse_stat(text: &str, ticks_per_second: u64) -> Option<Cpu> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let mut time = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_micros(ticks.checked_mul(1_000_000)?.checked_div(ticks_per_second)?))
    };
    Some(Cpu { user: time()?, system: time()? })
}

fn parse_resident(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "7 (a ) 1 (b) S 1 7 7 0 -1 4194304 99 0 0 0 250 75 3 4 20 0 9 0 100 0 0";
        let right = Cpu { user: Duration::from_millis(2500), system: Duration::from_millis(750) };
        assert_eq!(parse_stat(stat, 100), Some(right));
        assert_eq!(parse_stat("7 (a) S 1", 100), None);
        assert_eq!(parse_stat("", 100), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(parse_resident("Name:\tx\nVmRSS:\t    40 kB\nThreads: 1\n"), Some(40_960));
        assert_eq!(parse_resident("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let id = std::process::id();
        assert!(resident(id).unwrap() > 100_000);
        assert!(Cpu::of(id).is_ok());
    }
}
