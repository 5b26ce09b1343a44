//! A run: what a refresh costs and how fast it is.
//!
//! 1. Without a target, a store is seeded (or copied) into a fresh directory, and the server is started: on an empty store
//!    first, for its memory, then on the full one.
//! 2. A bare signature is measured: the yardstick.
//! 3. All connections start, on as many threads as there are processors. After the warm-up the phase begins, and the server's
//!    CPU time is read; at its end again.
//! 4. The signature is measured once more, the server is stopped, and its store looked into.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use crate::{
    Failure, RefreshArguments,
    chains::{self, Chains},
    clock,
    connection::{Phase, Starts, Tally, carry},
    disk::{self, Files},
    http::{Dialect, Target},
    process::{self, Cpu},
    report::{Disk, Memory, Report, Signature, Started},
    schedule::Schedule,
    seed::{self, DEFAULT_ISSUER},
    server::{self, Server},
    signature,
};

/// Before anything counts, connections are made and the first batches found.
const WARM_UP: Duration = Duration::from_secs(2);
/// So many grants more take a second more: after its start the embedded store reads them ahead, beside its work.
const WARMED_PER_SECOND: u64 = 150_000;
/// A thread that has nothing to do looks for replies again so much later, and is not woken by each of them: waking it would be on
/// the server's account, which it is not where the clients are on other machines.
const GATHERING: Duration = Duration::from_micros(250);
/// With fewer connections gathering would only make replies late.
const WORTH_GATHERING: usize = 32;

/// `regrant-bench refresh`
pub(crate) fn run(arguments: &RefreshArguments) -> Result<ExitCode, Failure> {
    if let Some(url) = &arguments.database {
        return crate::database::run(arguments, url);
    }
    let report = match &arguments.target {
        Some(url) => {
            let target = Target::parse(url, Dialect::Session)
                .ok_or_else(|| Failure::usage(format!("--target {url}: write it like http://127.0.0.1:8080")))?;
            let tokens = read_tokens(arguments.tokens.as_deref().unwrap_or(Path::new("")), arguments.grants)?;
            check_rate(arguments, tokens.len())?;
            let measured = measure(arguments, target, tokens, None)?;
            Report::new(arguments, measured.grants, &measured.tally, measured.own, measured.signature, None)
        }
        None => alone(arguments)?,
    };
    let clean = report.is_clean();
    println!("{}", if arguments.json { report.json().to_string() } else { report.text() });
    // Figures of a run with errors are figures of something else.
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// With a server of its own.
pub(crate) fn alone(arguments: &RefreshArguments) -> Result<Report, Failure> {
    check_rate(arguments, usize::try_from(arguments.grants).unwrap_or(usize::MAX))?;
    let binary = server::binary()?;
    let place = tempfile::tempdir().map_err(Failure::at("cannot make a directory"))?;
    let empty = memory_when_empty(&binary, &place)?;
    let data = place.path().join("data");
    let tokens = furnish(arguments, &data)?;
    let before = Files::of(&data);
    let server = Server::start(&binary, &data)?;
    let started_in = server.started_in;
    let opened = process::resident(server.id())?;
    let measured = measure(arguments, server.target.clone(), tokens, Some(server.id()))?;
    let memory = Memory { empty, opened, end: process::resident(server.id())? };
    let after = Files::of(&data);
    server.stop()?;
    let disk = Disk { before, after, tables: disk::tables(&data)? };
    measured.report(arguments, started_in, memory, Some(disk))
}

fn memory_when_empty(binary: &Path, place: &TempDir) -> Result<u64, Failure> {
    let data = place.path().join("empty");
    fs::create_dir(&data).map_err(Failure::at("cannot make a directory"))?;
    let server = Server::start(binary, &data)?;
    let resident = process::resident(server.id())?;
    server.stop()?;
    Ok(resident)
}

/// A full store in `data`, and its tokens.
fn furnish(arguments: &RefreshArguments, data: &Path) -> Result<Vec<Box<str>>, Failure> {
    let (Some(store), Some(tokens)) = (&arguments.store, &arguments.tokens) else {
        let tokens = data.with_extension("tokens");
        let seeded = seed::fill(data, arguments.grants, &tokens, DEFAULT_ISSUER)?;
        eprintln!("seeded {} grants in {:.1} s", arguments.grants, seeded.took.as_secs_f64());
        return read_tokens(&tokens, arguments.grants);
    };
    let copy = || -> std::io::Result<()> {
        fs::create_dir(data)?;
        for name in ["regrant.db", "keys.toml"] {
            fs::copy(store.join(name), data.join(name))?;
        }
        // On disk before anything is measured.
        fs::File::open(data.join("regrant.db"))?.sync_all()
    };
    if store.join("regrant.db-wal").exists() {
        return Err(Failure::usage(format!("the store in {} is in use: stop its server first", store.display())));
    }
    copy().map_err(Failure::at(format!("cannot copy the store in {}", store.display())))?;
    read_tokens(tokens, arguments.grants)
}

/// The first `most` tokens of a file.
pub(crate) fn read_tokens(path: &Path, most: u64) -> Result<Vec<Box<str>>, Failure> {
    let failed = || format!("cannot read {}", path.display());
    let lines = BufReader::new(File::open(path).map_err(Failure::at(failed()))?).lines();
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let filled = lines.filter(|line| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
    let tokens = filled.take(most).map(|line| line.map(|line| line.trim().into()));
    let tokens = tokens.collect::<std::io::Result<Vec<Box<str>>>>().map_err(Failure::at(failed()))?;
    // It is written into JSON and into headers as it is.
    if let Some(odd) =
        tokens.iter().position(|token| !token.chars().all(|c| c.is_ascii_graphic() && !"\"\\".contains(c)))
    {
        return Err(Failure::usage(format!("{}: line {} is no token", path.display(), odd + 1)));
    }
    if tokens.is_empty() { Err(Failure::usage(format!("{} has no tokens", path.display()))) } else { Ok(tokens) }
}

/// Writes a file of tokens anew: `left` in the place of the first `used`, which were used up.
pub(crate) fn replace_tokens(path: &Path, used: usize, left: &[Box<str>]) -> Result<(), Failure> {
    let draft = path.with_extension("new");
    let write = |out: File| -> std::io::Result<()> {
        let mut out = BufWriter::new(out);
        for token in left {
            writeln!(out, "{token}")?;
        }
        let lines = BufReader::new(File::open(path)?).lines();
        for line in lines.filter(|line| !line.as_ref().is_ok_and(|line| line.trim().is_empty())).skip(used) {
            writeln!(out, "{}", line?)?;
        }
        out.into_inner()?.sync_all()?;
        fs::rename(&draft, path)
    };
    write(seed::private(&draft, false)?).map_err(Failure::at(format!("cannot write {}", path.display())))
}

/// An open loop that the grants cannot keep up with would measure their limit.
fn check_rate(arguments: &RefreshArguments, grants: usize) -> Result<(), Failure> {
    let most = chains::most_per_second(grants as u64);
    match arguments.rate {
        Some(rate) if f64::from(rate) > most => Err(Failure::usage(format!(
            "--rate {rate}: {grants} grants that are each renewed at most 50 times a minute allow {most:.0} a second: take \
             more --grants"
        ))),
        _ => Ok(()),
    }
}

/// What a load brought.
pub(crate) struct Measured {
    grants: u64,
    tally: Tally,
    server: Option<Cpu>,
    own: Cpu,
    signature: Signature,
    /// The newest token of each grant that lives.
    pub(crate) left: Vec<Box<str>>,
}

impl Measured {
    /// With what is known of the server, which this program started.
    pub(crate) fn report(
        self,
        arguments: &RefreshArguments,
        started_in: Duration,
        memory: Memory,
        disk: Option<Disk>,
    ) -> Result<Report, Failure> {
        let cpu = self.server.ok_or_else(|| Failure::new("the server's CPU time was not read"))?;
        let started = Started { started_in, cpu, memory, disk };
        Ok(Report::new(arguments, self.grants, &self.tally, self.own, self.signature, Some(started)))
    }
}

/// Puts the load on `target`, between two timings of a bare signature.
pub(crate) fn measure(
    arguments: &RefreshArguments,
    target: Target,
    tokens: Vec<Box<str>>,
    server: Option<u32>,
) -> Result<Measured, Failure> {
    let grants = tokens.len() as u64;
    let hands = usize::try_from(arguments.connections).unwrap_or(usize::MAX).min(tokens.len());
    let dealt = chains::deal(tokens, hands);
    let before = signature::cost()?;
    let load = Load {
        target: Arc::new(target),
        rate: arguments.rate,
        warm_up: WARM_UP + Duration::from_secs(grants / WARMED_PER_SECOND),
        length: Duration::from_secs(arguments.seconds),
    };
    let Carried { tally, server, own, left } = load.run(dealt, server)?;
    let signature = Signature { before, after: signature::cost()?, busy: signature::cost_on_all()? };
    Ok(Measured { grants, tally, server, own, signature, left })
}

/// What came of a load: the tally, the CPU time that the server and this program used in the phase, and the newest tokens.
struct Carried {
    tally: Tally,
    server: Option<Cpu>,
    own: Cpu,
    left: Vec<Box<str>>,
}

struct Load {
    target: Arc<Target>,
    rate: Option<u32>,
    warm_up: Duration,
    length: Duration,
}

impl Load {
    /// Puts it on, from as many threads as there are processors.
    fn run(&self, dealt: Vec<Chains>, server: Option<u32>) -> Result<Carried, Failure> {
        let threads = thread::available_parallelism().map_err(Failure::at("cannot count the processors"))?.get();
        // In an open loop it is the latencies that count, and gathering is a part of them.
        let gathers = self.rate.is_none() && dealt.len() >= WORTH_GATHERING;
        let begun = clock::now();
        let begins = begun + self.warm_up;
        let phase = Phase { begins, ends: begins + self.length };
        let mut senders = Vec::new();
        let mut shares: Vec<Vec<_>> = (0..threads.min(dealt.len())).map(|_| Vec::new()).collect();
        for (nth, chains) in dealt.into_iter().enumerate() {
            let starts = if self.rate.is_some() {
                let (sender, receiver) = unbounded_channel();
                senders.push(sender);
                Starts::Open(receiver)
            } else {
                Starts::Closed
            };
            if let Some(share) = shares.get_mut(nth % threads) {
                share.push((chains, starts));
            }
        }
        let hands = shares.into_iter().map(|share| {
            let target = Arc::clone(&self.target);
            thread::spawn(move || carry_all(&target, share, phase, gathers))
        });
        let hands: Vec<_> = hands.collect();
        let pacer = self.rate.map(|rate| {
            let schedule = Schedule::new(begun, phase.ends, rate);
            thread::spawn(move || schedule.run(&senders))
        });
        let read = || -> Result<(Option<Cpu>, Cpu), Failure> {
            Ok((server.map(Cpu::of).transpose()?, Cpu::of(std::process::id())?))
        };
        clock::pause_until(phase.begins);
        let (server_before, own_before) = read()?;
        clock::pause_until(phase.ends);
        let (server_after, own_after) = read()?;
        let (mut tally, mut left) = (Tally::new(), Vec::new());
        for hand in hands {
            let all = hand.join().map_err(|_| Failure::new("a thread of the generator failed"))??;
            for (its, chains) in all {
                tally.add(&its);
                left.extend(chains.into_tokens());
            }
        }
        if pacer.is_some_and(|pacer| pacer.join().is_err()) {
            return Err(Failure::new("the pacer failed"));
        }
        let used = server_before.zip(server_after).map(|(before, after)| after.since(before));
        Ok(Carried { tally, server: used, own: own_after.since(own_before), left })
    }
}

/// Carries the chains of some connections on this thread.
fn carry_all(
    target: &Arc<Target>,
    share: Vec<(Chains, Starts)>,
    phase: Phase,
    gathers: bool,
) -> Result<Vec<(Tally, Chains)>, Failure> {
    let pause = move || {
        if gathers {
            clock::pause(GATHERING);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(pause)
        .build()
        .map_err(Failure::at("cannot start the runtime"))?;
    let all: Vec<_> = share
        .into_iter()
        .map(|(chains, starts)| runtime.spawn(carry(Arc::clone(target), chains, starts, phase)))
        .collect();
    let failed = Failure::at::<tokio::task::JoinError>;
    all.into_iter().map(|one| runtime.block_on(one).map_err(failed("a connection's task failed"))).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn arguments(words: &[&str]) -> RefreshArguments {
        let words = ["regrant-bench", "refresh"].iter().chain(words);
        match crate::Arguments::try_parse_from(words).unwrap() {
            crate::Arguments::Refresh(arguments) => arguments,
            _ => unreachable!(),
        }
    }

    #[test]
    fn a_rate_that_the_grants_cannot_bear_is_refused() {
        let slow = arguments(&["--rate", "50"]);
        assert!(check_rate(&slow, 60).is_ok());
        let said = check_rate(&slow, 59).unwrap_err().to_string();
        assert!(said.contains("more --grants"), "{said}");
        assert!(check_rate(&arguments(&[]), 1).is_ok());
    }

    #[test]
    fn a_file_of_tokens_is_read_to_the_number_asked_for_and_odd_lines_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "rg1_a\n\n rg1_b \nrg1_c\n").unwrap();
        let read = read_tokens(file.path(), 2).unwrap();
        assert_eq!(read.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["rg1_a", "rg1_b"]);
        replace_tokens(file.path(), 2, &["rg1_d".into()]).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "rg1_d\nrg1_c\n");
        fs::write(file.path(), "rg1_a\n\"\n").unwrap();
        assert!(read_tokens(file.path(), 9).unwrap_err().to_string().contains("line 2"));
        fs::write(file.path(), "\n").unwrap();
        assert!(read_tokens(file.path(), 9).is_err());
    }
}
