//! Lists events and decisions.

use std::path::PathBuf;

use raddle_vopr::trace::{Contents, Event, Filter, What};
use serde_json::{Value, json};

use crate::{Verdict, read, say};

/// What to list.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The trace file.
    file: PathBuf,
    /// List the decisions instead of the events.
    #[arg(long)]
    decisions: bool,
    /// From this step on; of decisions, from this one on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// Up to this step, and not further; of decisions, up to this one.
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Only those of these threads.
    #[arg(long, value_name = "N")]
    thread: Vec<u32>,
    /// Only operations with these names, or kinds of what the program tells: `park`, `Scheduled`.
    #[arg(long, value_name = "NAME")]
    kind: Vec<String>,
    /// Only those at sites that contain this.
    #[arg(long, value_name = "PART")]
    site: Vec<String>,
    /// So many lines and no more.
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// Write one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Lists what is asked for.
pub(crate) fn list(options: &Options) -> Verdict {
    let recording = read(&options.file)?;
    let limit = usize::try_from(options.limit).unwrap_or(usize::MAX);
    if options.decisions {
        let decisions = recording.trace.decisions.iter().enumerate();
        let wanted = |index: &usize| (options.from..=options.to).contains(&(*index as u64));
        for (index, decision) in decisions.filter(|(index, _)| wanted(index)).take(limit) {
            let certificate = recording.trace.certificate_after(index + 1);
            let line = match (options.json, certificate) {
                (true, certificate) => json!({
                    "decision": index, "kind": decision.kind(), "options": decision.options(),
                    "chosen": decision.chosen(), "certificate": certificate,
                })
                .to_string(),
                (false, Some(certificate)) => format!("{index:>8}  {decision:?}  {certificate}"),
                (false, None) => format!("{index:>8}  {decision:?}"),
            };
            say(&line)?;
        }
        return Ok(true);
    }
    if recording.events.count() == 0 {
        eprintln!(
            "the trace has no events, only decisions (--decisions lists them); `cargo xtask replay \
             {} --record OUT` records some",
            options.file.display()
        );
    }
    let filter = Filter {
        threads: options.thread.clone(),
        kinds: options.kind.clone(),
        sites: options.site.clone(),
    };
    let wanted = |event: &Event| {
        (options.from..=options.to).contains(&event.step)
            && filter.admits(event.thread, event.kind(), &event.site)
    };
    for event in recording.events.iter().filter(wanted).take(limit) {
        say(&if options.json { object(&event).to_string() } else { event.to_string() })?;
    }
    Ok(true)
}

fn object(event: &Event) -> Value {
    let mut value = json!({
        "step": event.step, "decision": event.decision, "virtual_ns": event.time_ns,
        "thread": event.thread, "site": &*event.site, "kind": event.kind(),
        "text": event.what.to_string(),
    });
    if let What::Told { fields, .. } = &event.what {
        for (name, contents) in fields {
            value["fields"][&**name] = match contents {
                Contents::Number(number) => json!(number),
                Contents::Text(text) => json!(&**text),
            };
        }
    }
    value
}
