//! The binary; everything is in the library beside it, so that `bench/` and tests can use its parts.

use std::process::ExitCode;

/// A refresh makes and drops some dozens of small things, between threads: glibc's allocator takes a fifth of the whole for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    regrant::run()
}
