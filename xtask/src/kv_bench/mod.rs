//! `cargo xtask kv-bench`: raddle-kv against Redis, on this machine, under one load.
//!
//! Both servers run all the time and are measured in turn, A B A B …, so that whatever else the
//! machine does falls on both; the figures are the medians of the rounds.

mod load;
mod server;
mod table;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Error, Verdict, workspace};
use load::{Keys, Load, Test};
use server::Server;
use table::Row;

/// Compare raddle-kv with Redis.
///
/// redis-benchmark drives both in turn, several rounds, and the medians are compared. The keys are
/// `uniform` (one million), `skewed` (one hundred: redis-benchmark has no skewed distribution, so
/// a small range stands in for the hot part of one) and `one-hot` (always the same key); ping has
/// none.
///
/// Needs redis-benchmark; without redis-server raddle-kv is measured alone.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write the rows to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Requests per measurement.
    #[arg(long, value_name = "N", default_value_t = 500_000, value_parser = positive())]
    requests: u64,
    /// Connections.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = positive())]
    clients: u64,
    /// Requests that a connection sends before it waits for the replies.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive())]
    pipeline: u64,
    /// Worker threads of raddle-kv.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive())]
    workers: u64,
    /// Which keys are requested.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "uniform,skewed,one-hot")]
    keys: Vec<Keys>,
    /// Measurements of each row and server; one more comes first and does not count.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive())]
    rounds: u64,
    /// Run this program instead of building raddle-kv.
    #[arg(long, value_name = "PATH")]
    raddle_binary: Option<PathBuf>,
}

const INSTALL: &str = "install it with `apt-get install redis-server redis-tools`";

fn positive() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..)
}

/// What `--json` writes.
#[derive(Serialize)]
struct Results<'a> {
    rows: &'a [Row],
}

/// Runs the verb.
pub(crate) fn run(options: &Options) -> Result<Verdict, Error> {
    if !server::is_installed("redis-benchmark") {
        return Err(Error::new(format!("redis-benchmark is not installed: {INSTALL}")));
    }
    let built;
    let binary = match &options.raddle_binary {
        Some(path) => path,
        None => {
            built = build()?;
            &built
        }
    };
    let raddle = Server::raddle(binary, options.workers)?;
    let redis = if server::is_installed("redis-server") {
        Some(Server::redis()?)
    } else {
        println!("left out: redis-server, which is not installed; {INSTALL}");
        None
    };
    // Up to here something is missing; from here on a server or the benchmark fails.
    match measure_all(options, &raddle, redis.as_ref()) {
        Ok(rows) => {
            if let Some(path) = &options.json {
                write_json(path, &rows)?;
            }
            Ok(Verdict::Good)
        }
        Err(error) => {
            eprintln!("error: {error}");
            Ok(Verdict::Bad)
        }
    }
}

/// Measures each row and prints it.
fn measure_all(
    options: &Options,
    raddle: &Server,
    redis: Option<&Server>,
) -> Result<Vec<Row>, Error> {
    let loads = Test::ALL.iter().flat_map(|test| {
        let keys = if test.has_keys() { options.keys.as_slice() } else { &[] };
        let keyed = keys.iter().map(|keys| (*test, Some(*keys)));
        keyed.chain((!test.has_keys()).then_some((*test, None)))
    });
    let loads: Vec<_> = loads.collect();
    println!("{}", table::HEADER);
    let mut rows = Vec::new();
    for (index, (test, keys)) in loads.iter().enumerate() {
        let load = Load {
            test: *test,
            keys: *keys,
            requests: options.requests,
            clients: options.clients,
            pipeline: options.pipeline,
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=options.rounds {
            progress(&format!(
                "row {} of {}, round {round} of {}",
                index + 1,
                loads.len(),
                options.rounds
            ));
            let servers = [(Some(raddle), &mut ours), (redis, &mut theirs)];
            for (server, rates) in servers {
                let Some(server) = server else { continue };
                let rate = load.measure(server)?;
                if round > 0 {
                    rates.push(rate);
                }
            }
        }
        progress("");
        let row = Row::new(*test, *keys, &ours, &theirs);
        println!("{row}");
        rows.push(row);
    }
    Ok(rows)
}

/// Shows what is being done, on a terminal, until the next line is printed.
fn progress(text: &str) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{text}");
        let _ = stderr.flush();
    }
}

/// Builds raddle-kv in release and returns where it is.
fn build() -> Result<PathBuf, Error> {
    let output = workspace::cargo()
        .args(["build", "--release", "--package", "raddle-kv", "--bin", "raddle-kv"])
        .arg("--message-format=json-render-diagnostics")
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| Error::new(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        return Err(Error::new("raddle-kv does not build"));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| Error::new("cargo built raddle-kv and did not say where"))
}

fn write_json(path: &Path, rows: &[Row]) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(format!("cannot write {}: {error}", path.display()))
    };
    let json = serde_json::to_string_pretty(&Results { rows }).map_err(|error| failed(&error))?;
    std::fs::write(path, json + "\n").map_err(|error| failed(&error))
}
