//! What the kernel says of this process, read when it is asked for.

use std::fs;

/// What a process costs.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Usage {
    /// Seconds of processor time, in user and kernel mode.
    pub(crate) cpu_seconds: f64,
    /// Bytes of memory that are in use.
    pub(crate) resident_bytes: u64,
    /// Files, sockets and the like that are open.
    pub(crate) descriptors: u64,
}

/// Reads it. `None` where there is no /proc.
pub(crate) fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // proc_pid_stat(5): the name stands in brackets and may hold spaces, so fields are counted from behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let ticks = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let descriptors = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(Usage {
        cpu_seconds: (f64::from(user) + f64::from(system)) / f64::from(ticks),
        resident_bytes: pages.saturating_mul(u64::try_from(rustix::param::page_size()).ok()?),
        // The listing itself is one of them.
        descriptors: u64::try_from(descriptors.saturating_sub(1)).ok()?,
    })
}
