//! Files and signals: what comes from the kernel and from threads that a driver keeps.

use core::time::Duration;
use std::path::PathBuf;

use raddle_ownership::Arc;
use raddle_platform::driver::Kind;
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, Threads};
use raddle_runtime::fs::{self, OpenOptions};
use raddle_runtime::runtime::Builder;
use raddle_runtime::{Runtime, signal, spawn, spawn_async};

use super::{Budget, Stress};

pub(super) fn list<P: Platform>() -> Vec<Stress> {
    vec![
        Stress::new(
            "stress/file_storm",
            "what tasks write into files of their own is what they read, by both drivers",
            &["offload-serve", "offload-end", "completion"],
            file_storm::<P>,
        ),
        Stress::new(
            "stress/signal_storm",
            "signals that come while others stop to listen are heard by who listens on",
            &["signal-handlers"],
            signal_storm::<P>,
        ),
    ]
}

fn path(name: u64) -> PathBuf {
    std::env::temp_dir().join(format!("raddle-file-storm-{}-{name}", std::process::id()))
}

fn write_and_read<P: Platform>(name: u64) -> std::io::Result<u64> {
    const BLOCKS: u64 = 8;
    let path = path(name);
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(true);
    let file = options.open::<P>(&path)?;
    for block in 0..BLOCKS {
        file.write_all_at(&[(name + block) as u8; 100], block * 100)?;
    }
    file.sync_data()?;
    let read = file.read_to_end()?;
    let expected = (0..BLOCKS).flat_map(|block| [(name + block) as u8; 100]);
    assert!(read.into_iter().eq(expected), "the contents of file {name}");
    fs::remove_file::<P>(&path)?;
    Ok(BLOCKS)
}

fn file_storm<P: Platform>(budget: &Budget) -> u64 {
    const FILES: u64 = 12;
    budget.rounds(|| {
        let mut blocks = 0;
        for kind in [Kind::Probe, Kind::Epoll] {
            let runtime: Runtime<P> =
                Builder::new_in().workers(2).driver(kind).build().expect("a runtime");
            blocks += runtime
                .run(|| {
                    let writers: Vec<_> = (0..FILES)
                        .map(|name| spawn::<P, _, _>(move || write_and_read::<P>(name)))
                        .collect();
                    let written = writers.into_iter().map(|it| it.join().expect("no panic"));
                    written.map(|it| it.expect("no error")).sum::<u64>()
                })
                .expect("no panic");
            // Futures that are dropped while their writes are on the way: the driver waits for
            // those that have begun.
            let dropped = runtime.run(|| {
                let options = OpenOptions::new().write(true).create(true).truncate(true);
                let file = options.open::<P>(path(FILES))?;
                let file = Arc::<_, P>::new_in(file);
                for block in 0..6 {
                    let file = file.clone();
                    drop(spawn_async::<P, _>(async move {
                        drop(file.write_at_async(vec![block; 4 << 20], 0).await);
                        drop(file.sync_all_async().await);
                    }));
                }
                Ok::<_, std::io::Error>(())
            });
            dropped.expect("no panic").expect("no error");
            assert_eq!(runtime.shutdown(Duration::from_secs(60)), Ok(()), "no task is left");
            std::fs::remove_file(path(FILES)).expect("the file is there");
        }
        blocks
    })
}

fn signal_storm<P: Platform>(budget: &Budget) -> u64 {
    const LISTENERS: usize = 3;
    // Somebody always listens, or the signal would end the process.
    let steady = signal::terminate::<P>().expect("it can listen");
    let stop = P::AtomicBool::new(false);
    let heard = raddle_scenarios::scope::<P, _>(|threads| {
        let stop = &stop;
        let raised = Arc::<_, P>::new_in(P::AtomicU64::new(0));
        let raiser = threads.spawn({
            let raised = raised.clone();
            move || {
                while !stop.load(Ordering::Relaxed) {
                    // SAFETY: the process listens to its own signal.
                    unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
                    raised.fetch_add(1, Ordering::Relaxed);
                    P::Threads::yield_now();
                }
            }
        });
        for _ in 0..LISTENERS {
            threads.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    drop(signal::terminate::<P>().expect("it can listen"));
                }
            });
        }
        let heard = budget.rounds(|| {
            // Ends only if the storm does not take the steady one along.
            steady.wait().expect("no error");
            1
        });
        stop.store(true, Ordering::Relaxed);
        raiser.join();
        // Several that come at a time count as one.
        assert!(heard <= raised.load(Ordering::Relaxed) + 1, "more heard than raised");
        heard
    });
    drop(steady);
    heard
}
