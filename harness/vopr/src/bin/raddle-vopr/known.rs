//! Bugs that were found before.

use std::time::Instant;

use raddle_vopr::regressions::{Regression, folder, regressions};

use crate::sweep::Found;

/// Fresh seeds for each bug that must stay away.
const AWAY: u64 = 200;
/// Fresh seeds for a bug that is there.
const THERE: u64 = 20_000;

/// Looks for all of them, and tells what is back.
pub(crate) fn search() -> Result<Vec<Found>, String> {
    let mut back = Vec::new();
    for regression in regressions(&folder())? {
        let started = Instant::now();
        let searched = regression.search(AWAY);
        let (runs, seconds) = (searched.runs, started.elapsed().as_secs_f64());
        let found = searched.found.as_ref().map(|found| keep(&regression, found));
        let word = if found.is_some() { "FAILED" } else { "ok" };
        let name = format!("regression {}", regression.name);
        println!("{word:<9} {name:<48} {runs:>6} runs {seconds:>6.2} s  {}", searched.trail);
        if let Some(found) = found {
            println!("    it is back: {}", regression.bug);
            found.report.lines().for_each(|line| println!("    {line}"));
            println!("    trace: {0} (look into it: cargo xtask replay {0})", found.trace);
            back.push(found);
        }
    }
    Ok(back)
}

/// Looks for one whose fix was taken out of this build: whether it is found.
pub(crate) fn find(name: &str) -> Result<bool, String> {
    let mut all = regressions(&folder())?.into_iter();
    let regression = all.find(|it| it.name == name).ok_or_else(|| format!("no bug {name:?}"))?;
    let searched = regression.search(THERE);
    let Some(found) = searched.found else {
        println!(
            "FAILED    {name}: not found in {} runs, though its fix was taken out",
            searched.runs
        );
        return Ok(false);
    };
    let failure = found.failure().ok_or("it did not fail")?;
    if !regression.is_it(failure) {
        println!("FAILED    {name}: another failure was found: {failure}");
        return Ok(false);
    }
    if found.by_trace {
        println!("ok        {name}: its trace leads to the failure, at step {}", failure.step);
        return Ok(true);
    }
    let kept = keep(&regression, &found);
    println!("ok        {name}: found in {} runs; {}", searched.runs, searched.trail);
    println!("    a new trace, to take the place of the old one: {}", kept.trace);
    Ok(true)
}

fn keep(regression: &Regression, found: &raddle_vopr::regressions::Found) -> Found {
    let report = &found.report;
    let case = regression.case();
    let kept = case.conclude(&found.simulation, report, &|| regression.run());
    let failure = report.failure();
    Found {
        scenario: regression.scenario().to_owned(),
        seed: report.seed,
        oracle: failure.map_or_else(String::new, |it| it.kind.to_string()),
        trace: match kept {
            Ok(Some(kept)) => kept.trace.display().to_string(),
            Ok(None) => "not kept: it did not fail".to_owned(),
            Err(error) => format!("not kept: {error}"),
        },
        command: "cargo xtask vopr --regressions".to_owned(),
        report: failure.map_or_else(String::new, ToString::to_string),
    }
}
