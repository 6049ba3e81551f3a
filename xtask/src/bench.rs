//! `cargo xtask bench`: criterion's benches, and the ratios that they come down to.
//!
//! On a shared machine a time means little and a ratio of two medians of one run means a lot. The
//! bounds are what the project promises; a missed one is printed as missed and fails nothing, for
//! no timed test decides pass or fail.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Verdict, workspace};

/// Run the benches and print the ratios to the rivals.
///
/// The medians are criterion's, of one run, and stay in `target/criterion`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run one bench of them.
    #[arg(long, value_name = "NAME", value_parser = BENCHES)]
    group: Option<String>,
    /// Print the ratios of the last run instead of running the benches again.
    #[arg(long)]
    last: bool,
    /// Write the ratios to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The targets of the package.
const BENCHES: [&str; 3] = ["tasks", "locks", "vopr"];

/// A promise: what is compared with what, and the ratio that is not to be exceeded. Without a
/// rival it is a time in nanoseconds.
struct Promise {
    group: &'static str,
    ours: &'static str,
    rival: Option<&'static str>,
    bound: f64,
}

const fn promise(
    group: &'static str,
    ours: &'static str,
    rival: &'static str,
    bound: f64,
) -> Promise {
    Promise { group, ours, rival: Some(rival), bound }
}

impl Promise {
    /// The target that measures it.
    fn bench(&self) -> &'static str {
        match self.group.split('_').next() {
            Some("mutex") => "locks",
            Some("vopr") => "vopr",
            _ => "tasks",
        }
    }
}

/// Groups and functions as criterion's directories name them.
const PROMISES: &[Promise] = &[
    promise("yield", "raddle", "may", 0.6),
    promise("spawn_join_1_workers", "raddle", "tokio", 0.8),
    promise("spawn_join_2_workers", "raddle", "tokio", 0.8),
    promise("ping_pong_1_workers", "raddle_semaphores", "tokio_semaphores", 0.8),
    promise("ping_pong_1_workers", "raddle_semaphores", "tokio_mpsc", 0.8),
    promise("ping_pong_2_workers", "raddle_semaphores", "tokio_semaphores", 0.8),
    promise("ping_pong_2_workers", "raddle_semaphores", "tokio_mpsc", 0.8),
    promise("mutex_uncontended", "raddle", "parking_lot", 1.1),
    promise("mutex_2_threads_1_ns", "raddle", "parking_lot", 1.2),
    promise("mutex_2_threads_100_ns", "raddle", "parking_lot", 1.2),
    promise("mutex_8_threads_1_ns", "raddle", "parking_lot", 1.2),
    promise("mutex_8_threads_100_ns", "raddle", "parking_lot", 1.2),
    promise("mutex_8_fibers_2_workers", "raddle", "tokio", 0.2),
    // Eight million decisions in a second, recorded.
    Promise { group: "vopr_decisions", ours: "recorded", rival: None, bound: 125.0 },
    promise("vopr_decisions", "recorded", "run", 1.2),
    promise("vopr_bounded_buffer", "raddle_locks", "shuttle", 0.2),
    promise("vopr_bounded_buffer", "raddle_atomics", "shuttle", f64::INFINITY),
    // Twenty thousand commands in a second.
    Promise { group: "vopr_kv", ours: "command", rival: None, bound: 50_000.0 },
];

/// A promise, measured.
#[derive(Debug, Serialize)]
struct Row {
    group: &'static str,
    ours: &'static str,
    ours_median_ns: f64,
    rival: Option<&'static str>,
    rival_median_ns: Option<f64>,
    /// The ratio, or where there is no rival the time in nanoseconds.
    value: f64,
    /// None where the row is there for comparison.
    bound: Option<f64>,
    kept: bool,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Runs the verb.
pub(crate) fn run(options: &Options) -> Result<Verdict, Error> {
    let root = workspace::root();
    if !options.last {
        let mut cargo = workspace::cargo();
        cargo.args(["bench", "--package", "raddle-benches"]);
        if let Some(name) = &options.group {
            cargo.args(["--bench", name]);
        }
        let status =
            cargo.status().map_err(|error| Error::new(format!("cargo does not start: {error}")))?;
        if !status.success() {
            return Err(Error::new("the benches did not run to their end: see above"));
        }
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let criterion = target.join("criterion");
    let wanted =
        |promise: &&Promise| options.group.as_ref().is_none_or(|name| promise.bench() == name);
    let promises = PROMISES.iter().filter(wanted);
    let rows = promises.map(|promise| row(&criterion, promise)).collect::<Result<Vec<_>, _>>()?;
    print(&rows);
    if let Some(file) = &options.json {
        let text = serde_json::json!({ "rows": rows }).to_string();
        std::fs::write(file, text)
            .map_err(|error| Error::new(format!("{}: {error}", file.display())))?;
    }
    Ok(Verdict::Good)
}

fn row(criterion: &Path, promise: &Promise) -> Result<Row, Error> {
    let ours_median_ns = median(criterion, promise.group, promise.ours)?;
    let rival = |name| median(criterion, promise.group, name);
    let rival_median_ns = promise.rival.map(rival).transpose()?;
    let value = rival_median_ns.map_or(ours_median_ns, |rival| ours_median_ns / rival);
    Ok(Row {
        group: promise.group,
        ours: promise.ours,
        ours_median_ns,
        rival: promise.rival,
        rival_median_ns,
        value,
        bound: Some(promise.bound).filter(|bound| bound.is_finite()),
        kept: value <= promise.bound,
    })
}

/// What criterion measured last.
fn median(criterion: &Path, group: &str, function: &str) -> Result<f64, Error> {
    let file = criterion.join(group).join(function).join("new/estimates.json");
    let text = std::fs::read_to_string(&file).map_err(|error| {
        Error::new(format!("{}: {error}; run `cargo xtask bench` without --last", file.display()))
    })?;
    let estimates: Estimates = serde_json::from_str(&text)
        .map_err(|error| Error::new(format!("{}: {error}", file.display())))?;
    Ok(estimates.median.point_estimate)
}

fn print(rows: &[Row]) {
    println!(
        "{:<26} {:<18} {:>10}  {:<18} {:>10} {:>7} {:>9}",
        "bench", "ours", "ns", "rival", "ns", "ratio", "bound"
    );
    for row in rows {
        let unit = if row.rival.is_some() { "" } else { " ns" };
        println!(
            "{:<26} {:<18} {:>10.1}  {:<18} {:>10} {:>7} {:>9} {}",
            row.group,
            row.ours,
            row.ours_median_ns,
            row.rival.unwrap_or("-"),
            row.rival_median_ns.map_or("-".to_owned(), |ns| format!("{ns:.1}")),
            row.rival.map_or("-".to_owned(), |_| format!("{:.2}", row.value)),
            row.bound.map_or("-".to_owned(), |bound| format!("≤ {bound}{unit}")),
            if row.kept { "" } else { "missed" },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{PROMISES, median, row};

    #[test]
    fn a_ratio_is_taken_from_the_medians_that_criterion_wrote() {
        let folder = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        let promise = &PROMISES[0];
        let rival = promise.rival.expect("the first one has a rival");
        for (function, ns) in [(promise.ours, 15.0), (rival, 30.0)] {
            let place = folder.join(promise.group).join(function).join("new");
            std::fs::create_dir_all(&place).expect("a folder");
            let text = format!(r#"{{"median":{{"point_estimate":{ns:.1}}},"mean":{{}}}}"#);
            std::fs::write(place.join("estimates.json"), text).expect("a file");
        }
        let row = row(&folder, promise).expect("both were measured");
        assert!(row.kept && (row.value - 0.5).abs() < 1e-9);
        let error = median(&folder, promise.group, "nobody").expect_err("nobody was measured");
        assert!(error.to_string().contains("without --last"), "{error}");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
