//! A trace as a picture: the JSON that ui.perfetto.dev and chrome://tracing show.
//!
//! Virtual time stands still while threads run, so the axis is the count of operations: one
//! "microsecond" is one step. Virtual time is a counter beside it.

use std::collections::btree_map::{BTreeMap, Entry};
use std::io::{self, Write};
use std::rc::Rc;

use serde_json::{Value, json};

use super::event::{Contents, Event, What};
use super::header::Header;
use super::observed::Observed;

/// Groups of tracks.
const THREADS: u32 = 1;
const TASKS: u32 = 2;

/// Writes one event after another into an array.
struct Array<W> {
    to: W,
    first: bool,
}

impl<W: Write> Array<W> {
    fn add(&mut self, value: &Value) -> io::Result<()> {
        self.to.write_all(if self.first { b"\n" } else { b",\n" })?;
        self.first = false;
        serde_json::to_writer(&mut self.to, value)?;
        Ok(())
    }

    fn name(&mut self, what: &str, pid: u32, tid: u64, name: &str) -> io::Result<()> {
        self.add(&json!({
            "ph": "M", "name": what, "pid": pid, "tid": tid, "args": { "name": name },
        }))
    }

    /// A slice from one step to another.
    fn slice(&mut self, pid: u32, tid: u64, name: &str, span: (u64, u64)) -> io::Result<()> {
        let (from, to) = span;
        self.add(&json!({
            "ph": "X", "name": name, "cat": "task", "pid": pid, "tid": tid,
            "ts": from, "dur": to.saturating_sub(from).max(1),
        }))
    }
}

/// Who runs where, since when.
#[derive(Clone, Copy)]
struct Run {
    task: u64,
    worker: u64,
    since: u64,
}

/// Writes events as JSON that Perfetto reads. Threads and tasks are tracks; a task that runs is a
/// slice on both; operations are points, and what a wake leads to is an arrow.
///
/// # Errors
/// Those of `to`.
pub fn export<W: Write>(
    to: W,
    header: &Header,
    events: impl Iterator<Item = Event>,
) -> io::Result<W> {
    let mut array = Array { to, first: true };
    array.to.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    array.name("process_name", THREADS, 0, &format!("{}: threads", header.scenario))?;
    array.name("process_name", TASKS, 0, "tasks")?;
    let mut threads = BTreeMap::<u32, Option<Run>>::new();
    let mut tasks = BTreeMap::<u64, ()>::new();
    let mut wakes = BTreeMap::<u64, u64>::new();
    let (mut time_ns, mut last, mut arrows) = (None, 0, 0_u64);
    for event in events {
        let Event { step, thread, .. } = event;
        last = step;
        if let Entry::Vacant(new) = threads.entry(thread) {
            new.insert(None);
            let name = format!("thread {thread}");
            array.name("thread_name", THREADS, u64::from(thread), &name)?;
        }
        if time_ns != Some(event.time_ns) {
            time_ns = Some(event.time_ns);
            array.add(&json!({
                "ph": "C", "name": "virtual time (ns)", "pid": THREADS, "tid": 0, "ts": step,
                "args": { "ns": event.time_ns },
            }))?;
        }
        array.add(&json!({
            "ph": "i", "s": "t", "name": event.what.to_string(), "cat": category(&event),
            "pid": THREADS, "tid": thread, "ts": step, "args": args(&event),
        }))?;
        let What::Told { kind, .. } = &event.what else { continue };
        let Some(task) = event.field("task") else { continue };
        if tasks.insert(task, ()).is_none() {
            array.name("thread_name", TASKS, task, &format!("task {task}"))?;
        }
        match &**kind {
            "Scheduled" => {
                let worker = event.field("worker").unwrap_or_default();
                threads.insert(thread, Some(Run { task, worker, since: step }));
                if let Some(from) = wakes.remove(&task) {
                    arrows += 1;
                    arrow(&mut array, arrows, (from, step), (task, thread))?;
                }
            }
            "Woken" => {
                wakes.insert(task, step);
            }
            "Parked" | "Yielded" | "Completed" => {
                if let Some(Some(run)) = threads.insert(thread, None) {
                    end(&mut array, thread, run, step)?;
                }
            }
            _ => {}
        }
    }
    for (thread, run) in threads {
        if let Some(run) = run {
            end(&mut array, thread, run, last)?;
        }
    }
    array.to.write_all(b"\n]}\n")?;
    Ok(array.to)
}

/// Where and when; and what the program told, by name.
fn args(event: &Event) -> Value {
    let mut args = json!({
        "site": &*event.site, "decision": event.decision, "virtual_ns": event.time_ns,
    });
    if let What::Told { fields, .. } = &event.what {
        args["fields"] = contents(fields);
    }
    args
}

/// Fields as an object.
fn contents(fields: &[(Rc<str>, Contents)]) -> Value {
    let value = |contents: &Contents| match contents {
        Contents::Number(number) => json!(number),
        Contents::Text(text) => json!(&**text),
    };
    fields.iter().map(|(name, contents)| (name.to_string(), value(contents))).collect()
}

fn category(event: &Event) -> &'static str {
    match event.what {
        What::Told { ref kind, .. } if **kind == *Observed::FAULT => "fault",
        What::Operation { .. } => "operation",
        What::Told { .. } => "program",
        What::Unknown { .. } => "unknown",
    }
}

/// A task stops running.
fn end<W: Write>(array: &mut Array<W>, thread: u32, run: Run, step: u64) -> io::Result<()> {
    let span = (run.since, step);
    let on_thread = format!("task {}", run.task);
    array.slice(THREADS, u64::from(thread), &on_thread, span)?;
    array.slice(TASKS, run.task, &format!("runs on worker {}", run.worker), span)
}

/// From a wake to the run that it leads to.
fn arrow<W: Write>(
    array: &mut Array<W>,
    id: u64,
    (from, to): (u64, u64),
    (task, thread): (u64, u32),
) -> io::Result<()> {
    array.slice(TASKS, task, "woken", (from, to))?;
    array.add(&json!({
        "ph": "s", "id": id, "name": "wake", "cat": "wake", "pid": TASKS, "tid": task, "ts": from,
    }))?;
    array.add(&json!({
        "ph": "f", "bp": "e", "id": id, "name": "wake", "cat": "wake", "pid": THREADS,
        "tid": thread, "ts": to,
    }))
}
