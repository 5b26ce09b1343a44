//! What a run found, for people and as one JSON document.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use crate::{RefreshArguments, chains, connection::Tally, disk::Files, process::Cpu};

/// The percentiles that are shown.
const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// CPU time of a bare ES256 signature before and after the load.
#[derive(Clone, Copy)]
pub(crate) struct Signature {
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    /// After it, one on each processor at the same time.
    pub(crate) busy: Duration,
}

impl Signature {
    fn mean(&self) -> Duration {
        (self.before + self.after) / 2
    }
}

/// Resident memory of the server, in bytes.
pub(crate) struct Memory {
    /// Serving an empty store.
    pub(crate) empty: u64,
    /// Serving the full one, before the first request.
    pub(crate) opened: u64,
    /// After the load.
    pub(crate) end: u64,
}

/// The store's files, in bytes.
pub(crate) struct Disk {
    /// As seeded.
    pub(crate) before: Files,
    /// After the load, while the server ran.
    pub(crate) after: Files,
    /// Each table and index after the load.
    pub(crate) tables: BTreeMap<String, u64>,
}

/// What is known of a server that this program started.
pub(crate) struct Started {
    pub(crate) started_in: Duration,
    /// In the phase.
    pub(crate) cpu: Cpu,
    pub(crate) memory: Memory,
    /// Of one that keeps anything there.
    pub(crate) disk: Option<Disk>,
}

/// What of it is laid beside that of another server.
pub(crate) struct Summary {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// The server's, for each refresh.
    pub(crate) cpu_micros: f64,
    /// The same, in bare signatures.
    pub(crate) signatures: f64,
    /// Resident, without a grant.
    pub(crate) memory_empty: u64,
    /// Resident, after the load.
    pub(crate) memory: u64,
    /// A bare signature.
    pub(crate) signature: Signature,
}

/// All of it.
pub(crate) struct Report {
    grants: u64,
    connections: u32,
    length: Duration,
    rate: Option<u32>,
    tally: Tally,
    own: Cpu,
    signature: Signature,
    server: Option<Started>,
}

impl Report {
    pub(crate) fn new(
        arguments: &RefreshArguments,
        grants: u64,
        tally: &Tally,
        own: Cpu,
        signature: Signature,
        server: Option<Started>,
    ) -> Self {
        Self {
            grants,
            connections: arguments.connections,
            length: Duration::from_secs(arguments.seconds),
            rate: arguments.rate,
            tally: tally.clone(),
            own,
            signature,
            server,
        }
    }

    /// Whether every reply was as it should be.
    pub(crate) fn is_clean(&self) -> bool {
        self.tally.errors.is_empty() && self.tally.renewed > 0
    }

    /// Nothing for a server that this program did not start: what it used is not known.
    pub(crate) fn summary(&self) -> Option<Summary> {
        let server = self.server.as_ref()?;
        let [_, _, cpu_micros] = self.each(server.cpu);
        Some(Summary {
            per_second: self.throughput(),
            p50: self.tally.latencies.percentile(0.5),
            p99: self.tally.latencies.percentile(0.99),
            cpu_micros,
            signatures: self.signatures(cpu_micros),
            memory_empty: server.memory.empty,
            memory: server.memory.end,
            signature: self.signature,
        })
    }

    fn throughput(&self) -> f64 {
        self.tally.renewed as f64 / self.length.as_secs_f64()
    }

    /// Microseconds of CPU for each refresh: user, system, both.
    fn each(&self, cpu: Cpu) -> [f64; 3] {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.tally.renewed.max(1) as f64;
        [each(cpu.user), each(cpu.system), each(cpu.total())]
    }

    /// How many bare signatures the time of one refresh is.
    fn signatures(&self, micros: f64) -> f64 {
        micros / micros_of(self.signature.mean())
    }

    pub(crate) fn json(&self) -> Value {
        let tally = &self.tally;
        let mut latency: serde_json::Map<String, Value> = SHARES
            .iter()
            .map(|(name, share)| ((*name).to_owned(), json!(micros_of(tally.latencies.percentile(*share)))))
            .collect();
        latency.insert("max".to_owned(), json!(micros_of(tally.latencies.longest())));
        let [own_user, own_system, own] = self.each(self.own);
        let mut document = json!({
            "grants": self.grants,
            "connections": self.connections,
            "seconds": self.length.as_secs(),
            "rate": self.rate,
            "refreshes": tally.renewed,
            "refreshes_per_second": self.throughput(),
            "latency_us": latency,
            "latencies": tally.latencies.total(),
            "errors": tally.errors,
            "reopened_connections": tally.reopened,
            "waits_for_a_grant": tally.waits,
            "es256_us": {
                "before": micros_of(self.signature.before),
                "after": micros_of(self.signature.after),
                "all_busy": micros_of(self.signature.busy),
            },
            "generator_cpu_us": { "user": own_user, "system": own_system, "total": own },
        });
        if let (Some(server), Some(document)) = (&self.server, document.as_object_mut()) {
            let [user, system, total] = self.each(server.cpu);
            let cpu =
                json!({ "user": user, "system": system, "total": total, "es256_multiple": self.signatures(total) });
            document.insert("server_cpu_us".to_owned(), cpu);
            document.insert("start_ms".to_owned(), json!(server.started_in.as_secs_f64() * 1e3));
            let Started { memory, disk, .. } = server;
            let memory = json!({
                "empty": memory.empty, "opened": memory.opened, "end": memory.end,
                "per_grant": self.per_grant(memory.end.saturating_sub(memory.empty)),
            });
            document.insert("resident_bytes".to_owned(), memory);
            if let Some(disk) = disk {
                let disk = json!({
                    "before": disk.before.total(), "database": disk.after.database, "log": disk.after.log,
                    "per_grant_before": self.per_grant(disk.before.total()),
                    "per_grant": self.per_grant(disk.after.total()),
                    "tables": disk.tables,
                });
                document.insert("disk_bytes".to_owned(), disk);
            }
        }
        document
    }

    fn per_grant(&self, bytes: u64) -> f64 {
        bytes as f64 / self.grants.max(1) as f64
    }

    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a `String` does not fail.
        let _ = self.write(&mut out);
        out.truncate(out.trim_end().len());
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let tally = &self.tally;
        let seconds = self.length.as_secs();
        writeln!(out, "{} grants, {} connections, {seconds} s", self.grants, self.connections)?;
        match self.rate {
            Some(rate) => writeln!(out, "  open loop       {rate}/s asked for; latency from when a request was due")?,
            None => writeln!(out, "  closed loop     each connection sends when it has its reply")?,
        }
        writeln!(out, "  throughput      {:.0} refreshes/s", self.throughput())?;
        write!(out, "  latency         ")?;
        for (name, share) in SHARES {
            write!(out, "{name} {}  ", shown(tally.latencies.percentile(share)))?;
        }
        writeln!(out, "max {}", shown(tally.latencies.longest()))?;
        if tally.errors.is_empty() {
            writeln!(out, "  errors          none")?;
        }
        self.write_troubles(out)?;
        let [before, after, busy] = [self.signature.before, self.signature.after, self.signature.busy].map(micros_of);
        writeln!(
            out,
            "  ES256           {before:.1} µs of CPU before, {after:.1} µs after: one bare signature; {busy:.1} µs while every \
             processor makes them"
        )?;
        if let Some(server) = &self.server {
            self.write_server(server, out)?;
        }
        let [user, system, total] = self.each(self.own);
        writeln!(out, "  generator CPU   {total:.1} µs a refresh ({user:.1} user, {system:.1} system)")
    }

    /// What makes the figures doubtful, a line each.
    pub(crate) fn write_troubles(&self, out: &mut String) -> std::fmt::Result {
        let tally = &self.tally;
        for (what, count) in &tally.errors {
            writeln!(out, "  error           {count} × {what}")?;
        }
        if tally.reopened > 0 {
            writeln!(out, "  reopened        {} idle connections", tally.reopened)?;
        }
        if tally.waits > 0 {
            writeln!(
                out,
                "  slowed down     {} times: a grant is renewed at most 50 times a minute, so {} grants allow {:.0}/s",
                tally.waits,
                self.grants,
                chains::most_per_second(self.grants)
            )?;
        }
        Ok(())
    }

    fn write_server(&self, server: &Started, out: &mut String) -> std::fmt::Result {
        let [user, system, total] = self.each(server.cpu);
        writeln!(
            out,
            "  server CPU      {total:.1} µs a refresh ({user:.1} user, {system:.1} system) = {:.2} × ES256",
            self.signatures(total)
        )?;
        let Started { memory, disk, started_in, .. } = server;
        writeln!(out, "  start           {} to ready", shown(*started_in))?;
        writeln!(
            out,
            "  memory          {} empty, {} opened, {} at the end: {:.0} bytes a grant",
            mib(memory.empty),
            mib(memory.opened),
            mib(memory.end),
            self.per_grant(memory.end.saturating_sub(memory.empty))
        )?;
        let Some(disk) = disk else { return Ok(()) };
        writeln!(
            out,
            "  disk            {} seeded ({:.0} bytes a grant), {} + log {} at the end ({:.0} bytes a grant)",
            mib(disk.before.total()),
            self.per_grant(disk.before.total()),
            mib(disk.after.database),
            mib(disk.after.log),
            self.per_grant(disk.after.total())
        )?;
        let mut tables: Vec<_> = disk.tables.iter().filter(|(_, bytes)| self.per_grant(**bytes) >= 1.0).collect();
        tables.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
        for (name, bytes) in tables {
            writeln!(out, "    {name:<40} {:>7.1} bytes a grant", self.per_grant(*bytes))?;
        }
        Ok(())
    }
}

pub(crate) fn micros_of(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

pub(crate) fn shown(time: Duration) -> String {
    match time.as_micros() {
        0..1000 => format!("{} µs", time.as_micros()),
        1000..10_000_000 => format!("{:.2} ms", micros_of(time) / 1e3),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;

    /// A thousand refreshes in two seconds, 50 µs of the server's CPU each, and 20 µs for a signature.
    pub(crate) fn report() -> Report {
        let crate::Arguments::Refresh(arguments) =
            crate::Arguments::parse_from(["regrant-bench", "refresh", "--seconds", "2", "--connections", "8"])
        else {
            unreachable!()
        };
        let mut tally = Tally::new();
        tally.renewed = 1000;
        (1..=1000).for_each(|n| tally.latencies.record(Duration::from_micros(n)));
        let signature = Signature {
            before: Duration::from_micros(10),
            after: Duration::from_micros(30),
            busy: Duration::from_micros(25),
        };
        let cpu = Cpu { user: Duration::from_millis(30), system: Duration::from_millis(20) };
        let server = Started {
            started_in: Duration::from_millis(90),
            cpu,
            memory: Memory { empty: 1000, opened: 2000, end: 3000 },
            disk: Some(Disk {
                before: Files { database: 4000, log: 0 },
                after: Files { database: 5000, log: 1000 },
                tables: BTreeMap::from([("grants".to_owned(), 3000)]),
            }),
        };
        Report::new(&arguments, 10, &tally, Cpu::default(), signature, Some(server))
    }

    #[test]
    fn a_refresh_is_told_in_signatures_of_the_same_run() {
        let document = report().json();
        assert_eq!(document["refreshes_per_second"], 500.0);
        assert_eq!(document["server_cpu_us"]["total"], 50.0);
        assert_eq!(document["server_cpu_us"]["es256_multiple"], 2.5);
        assert_eq!(document["resident_bytes"]["per_grant"], 200.0);
        assert_eq!(document["disk_bytes"]["per_grant"], 600.0);
        let text = report().text();
        for part in ["500 refreshes/s", "2.50 × ES256", "errors          none", "grants  ", "90.00 ms to ready"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn errors_are_shown_and_spoil_the_run() {
        let mut report = report();
        assert!(report.is_clean());
        report.tally.errors.insert("401".to_owned(), 7);
        assert!(!report.is_clean());
        assert!(report.text().contains("7 × 401"));
        assert_eq!(report.json()["errors"]["401"], 7);
    }
}
