//! What a file is, and whether it is whole.

use std::path::Path;

use raddle_vopr::Certificate;
use raddle_vopr::trace::{ChunkKind, Ending, Header, Loss, Recording};
use serde::Serialize;

use crate::{Verdict, named, open, say, say_json};

/// What `info --json` writes.
#[derive(Serialize)]
struct Info {
    header: Header,
    bytes: u64,
    chunks: usize,
    indexed: bool,
    decisions: u64,
    decision_bytes: u64,
    bytes_per_decision: f64,
    certificate: Option<Certificate>,
    events: u64,
    event_bytes: u64,
    ending: Option<Ending>,
    loss: Option<Loss>,
}

fn gather(path: &Path) -> Result<(Info, Recording), String> {
    let reader = open(path)?;
    let (bytes, indexed, places) = (reader.bytes(), reader.is_indexed(), reader.places().to_vec());
    let recording = reader.recording().map_err(|error| named(path, &error))?;
    let of = |kind| {
        let lengths = places.iter().filter(|place| place.kind == kind);
        lengths.map(|place| u64::from(place.length) + 9).sum::<u64>()
    };
    let decisions = recording.trace.decisions.len() as u64;
    let decision_bytes = of(ChunkKind::Decisions);
    let info = Info {
        header: recording.header.clone(),
        bytes,
        chunks: places.len(),
        indexed,
        decisions,
        decision_bytes,
        bytes_per_decision: decision_bytes as f64 / decisions.max(1) as f64,
        certificate: recording.trace.certificate(),
        events: recording.events.count(),
        event_bytes: of(ChunkKind::Events),
        ending: recording.ending.clone(),
        loss: recording.loss.clone(),
    };
    Ok((info, recording))
}

/// Says what a file is.
pub(crate) fn info(path: &Path, json: bool) -> Verdict {
    let (info, _) = gather(path)?;
    let whole = info.loss.is_none();
    if json {
        say_json(&info)?;
    } else {
        print(&info)?;
    }
    Ok(whole)
}

fn print(info: &Info) -> Verdict {
    let Header { scenario, build, settings, configuration, seed, strategy } = &info.header;
    let row = |name: &str, value: String| say(&format!("{name:<14} {value}"));
    row("scenario", scenario.clone())?;
    row("build", build.to_string())?;
    row("seed", format!("{seed:#x}"))?;
    row("strategy", strategy.clone())?;
    row("configuration", format!("{configuration:016x}"))?;
    for (name, value) in settings.iter() {
        row("", format!("{name} = {value}"))?;
    }
    row(
        "decisions",
        format!(
            "{} in {} bytes ({:.2} bytes each, certificates included)",
            info.decisions, info.decision_bytes, info.bytes_per_decision
        ),
    )?;
    let certificate = info.certificate.map_or("none".to_owned(), |it| it.to_string());
    row("certificate", certificate)?;
    row("events", format!("{} in {} bytes", info.events, info.event_bytes))?;
    if let Some(ending) = &info.ending {
        row("steps", ending.steps.to_string())?;
        row("virtual time", format!("{} ns", ending.virtual_ns))?;
        if ending.events_dropped > 0 {
            row("", format!("{} events were dropped", ending.events_dropped))?;
        }
        match &ending.failure {
            None => row("verdict", "passed".to_owned())?,
            Some(it) => row("verdict", format!("{} at step {}: {}", it.kind, it.step, it.message))?,
        };
    }
    let by = if info.indexed { "found by the index" } else { "found one by one" };
    row("file", format!("{} bytes, {} chunks, {by}", info.bytes, info.chunks))?;
    match &info.loss {
        Some(loss) => row("LOSS", loss.to_string()),
        None => Ok(true),
    }
}

/// What `verify --json` writes.
#[derive(Serialize)]
struct Verified {
    whole: bool,
    chunks: usize,
    decisions: u64,
    events: u64,
    problems: Vec<String>,
    loss: Option<Loss>,
}

/// Checks everything that can be checked without running anything.
pub(crate) fn verify(path: &Path, json: bool) -> Verdict {
    let (info, recording) = gather(path)?;
    let mut problems = Vec::new();
    problems.extend(info.loss.as_ref().map(Loss::to_string));
    if let (Some(ending), None) = (&recording.ending, &info.loss) {
        if ending.decisions != info.decisions {
            let recorded = ending.decisions;
            problems
                .push(format!("{recorded} decisions were recorded, {} are there", info.decisions));
        }
        if info.certificate.is_some_and(|it| it != ending.certificate) {
            problems.push("the decisions have another certificate than the execution".to_owned());
        }
        if ending.events != info.events {
            let recorded = ending.events;
            problems.push(format!("{recorded} events were recorded, {} are there", info.events));
        }
    }
    let verified = Verified {
        whole: problems.is_empty(),
        chunks: info.chunks,
        decisions: info.decisions,
        events: info.events,
        problems,
        loss: info.loss,
    };
    if json {
        say_json(&verified)?;
    } else if verified.whole {
        say(&format!(
            "whole: {} chunks, {} decisions, {} events",
            verified.chunks, verified.decisions, verified.events
        ))?;
    } else {
        for problem in &verified.problems {
            say(problem)?;
        }
    }
    Ok(verified.whole)
}
