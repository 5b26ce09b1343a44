//! Regrant beside npm `oidc-provider`, in one run.
//!
//! 1. The other server is installed first, so that a missing one is said before anything is measured.
//! 2. Regrant is measured as `refresh` does, on a store of its own. Then the other one, by the same generator, with as many grants
//!    and connections and for as long. A bare signature is timed before and after each: before, between and after.
//! 3. The figures are laid side by side. What each server does for its refresh, and what it does not, `docs/benchmarks.md` says.

use std::{fmt::Write as _, process::ExitCode};

use serde_json::{Value, json};

use crate::{
    CompareArguments, Failure, RefreshArguments,
    peer::{self, Peer},
    refresh,
    report::{Report, Summary, mib, micros_of, shown},
};

/// `regrant-bench compare`
pub(crate) fn run(arguments: &CompareArguments) -> Result<ExitCode, Failure> {
    let peer = Peer::install()?;
    let load = RefreshArguments {
        grants: arguments.grants,
        connections: arguments.connections,
        seconds: arguments.seconds,
        rate: None,
        target: None,
        tokens: None,
        store: None,
        database: None,
        keys: None,
        batch: 1,
        json: arguments.json,
    };
    let ours = refresh::alone(&load)?;
    let theirs = peer.measured(&load)?;
    let clean = ours.is_clean() && theirs.report.is_clean();
    let comparison = Comparison::new(arguments, ours, theirs)?;
    println!("{}", if arguments.json { comparison.json().to_string() } else { comparison.text() });
    // Figures of a run with errors are figures of something else.
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Comparison {
    heading: String,
    ours: (Report, Summary),
    theirs: (Report, Summary),
    /// `oidc-provider`'s, and Node's.
    versions: (String, String),
}

impl Comparison {
    fn new(arguments: &CompareArguments, ours: Report, theirs: peer::Measured) -> Result<Self, Failure> {
        let CompareArguments { grants, connections, seconds, .. } = arguments;
        let summed = |report: Report| {
            let summary = report.summary().ok_or_else(|| Failure::new("a server's CPU time was not read"))?;
            Ok::<_, Failure>((report, summary))
        };
        Ok(Self {
            heading: format!("{grants} grants, {connections} connections, {seconds} s for each"),
            ours: summed(ours)?,
            theirs: summed(theirs.report)?,
            versions: (theirs.version, theirs.node),
        })
    }

    fn json(&self) -> Value {
        let ((ours, our), (theirs, their)) = (&self.ours, &self.theirs);
        let (version, node) = &self.versions;
        let mut theirs = theirs.json();
        if let Some(theirs) = theirs.as_object_mut() {
            theirs.insert("version".to_owned(), json!(version));
            theirs.insert("node".to_owned(), json!(node));
        }
        json!({
            "regrant": ours.json(),
            "oidc_provider": theirs,
            // Each is the other server's figure divided by Regrant's.
            "ratio": {
                "refreshes_per_second": ratio(their.per_second, our.per_second),
                "server_cpu_us": ratio(their.cpu_micros, our.cpu_micros),
                "es256_multiple": ratio(their.signatures, our.signatures),
                "resident_bytes": ratio(their.memory as f64, our.memory as f64),
            },
        })
    }

    fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a `String` does not fail.
        let _ = self.write(&mut out);
        out.truncate(out.trim_end().len());
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let ((ours, our), (theirs, their)) = (&self.ours, &self.theirs);
        let (version, node) = &self.versions;
        writeln!(out, "{}; oidc-provider {version} on Node {node}", self.heading)?;
        writeln!(out, "  {:<24} {:>14} {:>15} {:>8}", "", "regrant", "oidc-provider", "ratio")?;
        let mut row = |what: &str, of: &dyn Fn(&Summary) -> String, measure: Option<&dyn Fn(&Summary) -> f64>| {
            let ratio = measure.and_then(|measure| ratio(measure(their), measure(our)));
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            let line = format!("  {what:<24} {:>14} {:>15} {ratio:>8}", of(our), of(their));
            writeln!(out, "{}", line.trim_end())
        };
        row("refreshes/s", &|it| format!("{:.0}", it.per_second), Some(&|it| it.per_second))?;
        row("latency p50", &|it| shown(it.p50), Some(&|it| micros_of(it.p50)))?;
        row("latency p99", &|it| shown(it.p99), Some(&|it| micros_of(it.p99)))?;
        row("server CPU a refresh", &|it| format!("{:.1} µs", it.cpu_micros), Some(&|it| it.cpu_micros))?;
        row("in ES256 signatures", &|it| format!("{:.2}", it.signatures), Some(&|it| it.signatures))?;
        row("memory, no grants", &|it| mib(it.memory_empty), Some(&|it| it.memory_empty as f64))?;
        row("memory, at the end", &|it| mib(it.memory), Some(&|it| it.memory as f64))?;
        row("ES256 before the load", &|it| format!("{:.1} µs", micros_of(it.signature.before)), None)?;
        row("ES256 after it", &|it| format!("{:.1} µs", micros_of(it.signature.after)), None)?;
        for (name, report) in [("regrant", ours), ("oidc-provider", theirs)] {
            let mut troubles = String::new();
            report.write_troubles(&mut troubles)?;
            if !troubles.is_empty() {
                write!(out, "{name}:\n{troubles}")?;
            }
        }
        Ok(())
    }
}

fn ratio(theirs: f64, ours: f64) -> Option<f64> {
    (ours > 0.0).then(|| theirs / ours)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::report::tests::report;

    fn comparison() -> Comparison {
        let crate::Arguments::Compare(arguments) = crate::Arguments::parse_from(["regrant-bench", "compare"]) else {
            unreachable!()
        };
        let theirs = peer::Measured { report: report(), version: "9.0.0".to_owned(), node: "20.0.0".to_owned() };
        let mut comparison = Comparison::new(&arguments, report(), theirs).unwrap();
        // As if the other one had needed twice the CPU for half as many.
        comparison.theirs.1.cpu_micros *= 2.0;
        comparison.theirs.1.signatures *= 2.0;
        comparison.theirs.1.per_second /= 2.0;
        comparison
    }

    #[test]
    fn the_other_server_is_told_as_a_multiple_of_regrant() {
        let document = comparison().json();
        assert_eq!(document["ratio"]["refreshes_per_second"], 0.5);
        assert_eq!(
            (&document["ratio"]["server_cpu_us"], &document["ratio"]["es256_multiple"]),
            (&2.0.into(), &2.0.into())
        );
        assert_eq!(document["regrant"]["refreshes_per_second"], 500.0);
        assert_eq!(document["oidc_provider"]["version"], "9.0.0");
    }

    #[test]
    fn the_table_has_a_column_for_each_and_one_for_the_ratio() {
        let text = comparison().text();
        let row = |what: &str| {
            let line = text.lines().find_map(|line| line.trim_start().strip_prefix(what));
            line.unwrap_or_else(|| panic!("no {what} in\n{text}")).split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(row("refreshes/s"), "500 250 0.50");
        assert_eq!(row("server CPU a refresh"), "50.0 µs 100.0 µs 2.00");
        assert_eq!(row("in ES256 signatures"), "2.50 5.00 2.00");
        assert_eq!(row("ES256 after it"), "30.0 µs 30.0 µs");
        assert!(
            text.starts_with("100000 grants, 64 connections, 20 s for each; oidc-provider 9.0.0 on Node 20.0.0"),
            "{text}"
        );
    }
}
