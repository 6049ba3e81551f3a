//! Operations on files: their completion against parks, cancels and drops.
//!
//! What a disk does when the machine fails is not the subject here, but who waits for it, and how.

use core::any::TypeId;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use std::io;
use std::path::PathBuf;

use raddle_platform::{Native, Platform, Rng};
use raddle_runtime::fs::{self, File, OpenOptions};
use raddle_runtime::internals::{block_on, crew};

use crate::run_loop::{busy, run, run_beside};
use crate::{Needs, Scenario};

/// A name for a file of one run. Other worlds than the machine's have no files but the run's own,
/// and nothing of the machine's must be seen there.
struct Name(PathBuf);

impl Name {
    fn new<P: Platform>() -> Self {
        if TypeId::of::<P>() != TypeId::of::<Native>() {
            return Self(PathBuf::from("file"));
        }
        let number = <Native as Platform>::Rng::u64();
        Self(std::env::temp_dir().join(format!("raddle-scenario-{number:016x}")))
    }

    fn make<P: Platform>(&self) -> File<P> {
        let options = OpenOptions::new().read(true).write(true).create_new(true);
        match options.open(&self.0) {
            Ok(file) => file,
            Err(error) => panic!("no file: {error}"),
        }
    }

    /// What is in the file, which is removed.
    fn take<P: Platform>(&self) -> Vec<u8> {
        let taken = fs::read::<P>(&self.0);
        match taken.and_then(|contents| fs::remove_file::<P>(&self.0).map(|()| contents)) {
            Ok(contents) => contents,
            Err(error) => panic!("no file: {error}"),
        }
    }
}

fn what_a_file_can_do<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (name, other) = (Name::new::<P>(), Name::new::<P>());
    let moved = other.0.with_extension("moved");
    let path = name.0.clone();
    let fiber = handle.spawn(move || {
        let file: File<P> =
            OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        file.write_all_at(&[1, 2, 3], 0)?;
        file.sync_data()?;
        file.set_len(2)?;
        assert_eq!(file.len()?, 2);
        let log: File<P> = OpenOptions::new().append(true).open(&path)?;
        log.append_all(&[4])?;
        log.sync_all()?;
        assert!(OpenOptions::new().create(true).open::<P>(&path).is_err(), "to write nothing");
        assert_eq!(file.read_to_end()?, [1, 2, 4]);
        Ok::<_, io::Error>(())
    });
    let (path, to) = (other.0.with_extension("other"), moved.clone());
    let future = handle.spawn_async(async move {
        let file = OpenOptions::new().read(true).write(true).create_new(true);
        let file: File<P> = file.open_async(&path).await?;
        assert_eq!(file.write_at_async(vec![7, 8], 0).await.0?, 2);
        file.set_len_async(1).await?;
        file.sync_all_async().await?;
        fs::rename_async::<P>(&path, &to).await?;
        let (count, buffer) = file.read_at_async(vec![0; 4], 0).await;
        assert_eq!((count?, buffer), (1, vec![7, 0, 0, 0]));
        Ok::<_, io::Error>(())
    });
    run(seats);
    for end in [fiber.join(), future.join()] {
        match end {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("{error}"),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(name.take::<P>(), [1, 2, 4]);
    assert_eq!(Name(moved).take::<P>(), [7]);
}

/// A fiber that was cancelled writes all the same: nobody wants half of it.
fn a_write_against_a_cancel<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let name = Name::new::<P>();
    let file = name.make::<P>();
    let fiber = handle.spawn(move || file.write_all_at(&[7; 3], 0));
    run_beside(seats, || fiber.cancel());
    let expected = match fiber.join() {
        Ok(written) => {
            assert!(written.is_ok());
            vec![7; 3]
        }
        // It never started.
        Err(_) => Vec::new(),
    };
    assert_eq!(name.take::<P>(), expected);
}

/// The future is dropped with its operation in flight, which keeps file and buffer to its end.
fn a_writing_future_is_cancelled<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let name = Name::new::<P>();
    let file = name.make::<P>();
    let task = handle.spawn_async(async move { file.write_at_async(vec![7; 3], 0).await.0 });
    run_beside(seats, || task.cancel());
    let ended = task.join();
    let contents = name.take::<P>();
    match ended {
        Ok(written) => assert_eq!((written.ok(), contents), (Some(3), vec![7; 3])),
        Err(_) => assert!(contents.is_empty() || contents == [7; 3]),
    }
}

/// A thread without a driver has a worker wait for it.
fn a_thread_writes_through_a_worker<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let name = Name::new::<P>();
    let file = name.make::<P>();
    let (stay, fiber) = busy(&handle);
    run_beside(seats, || {
        let (written, buffer) = block_on(&handle, file.write_at_async(vec![7; 2], 0));
        assert_eq!((written.ok(), buffer), (Some(2), vec![7; 2]));
        stay.add_permits(1);
    });
    assert!(fiber.join().is_ok());
    drop(file);
    assert_eq!(name.take::<P>(), [7; 2]);
}

/// A thread gives up what a worker does for it, and then the file.
fn a_thread_drops_what_a_worker_writes<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let name = Name::new::<P>();
    let file = name.make::<P>();
    let (stay, fiber) = busy(&handle);
    run_beside(seats, || {
        block_on(&handle, async {
            let mut written = pin!(file.write_at_async(vec![7; 2], 0));
            let mut context = Context::from_waker(Waker::noop());
            assert!(written.as_mut().poll(&mut context).is_pending());
        });
        drop(file);
        stay.add_permits(1);
    });
    assert!(fiber.join().is_ok());
    let contents = name.take::<P>();
    assert!(contents.is_empty() || contents == [7; 2]);
}

/// What is opened for a future that is gone is closed; the file may be there or not.
fn an_opening_future_is_cancelled<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let name = Name::new::<P>();
    let path = name.0.clone();
    let task = handle.spawn_async(async move {
        let options = OpenOptions::new().write(true).create_new(true);
        options.open_async::<P>(&path).await.map(drop)
    });
    run_beside(seats, || task.cancel());
    if let Ok(opened) = task.join() {
        assert!(opened.is_ok());
    }
    let made = fs::remove_file::<P>(&name.0);
    assert!(made.is_ok() || File::<P>::open(&name.0).is_err());
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let with = |threads| Needs::ATOMICS.threads(threads).driver().io();
    vec![
        Scenario::new(
            "files/what_a_file_can_do",
            "one worker serves files of fibers and of futures",
            what_a_file_can_do::<P>,
        )
        .needs(with(0)),
        Scenario::new(
            "files/a_write_against_a_cancel",
            "a fiber that is cancelled while it writes has written all",
            a_write_against_a_cancel::<P>,
        )
        .needs(with(1))
        .bound(3),
        Scenario::new(
            "files/a_writing_future_is_cancelled",
            "a future that is dropped while it writes leaves all or nothing in the file, and its \
             buffer with the driver",
            a_writing_future_is_cancelled::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "files/an_opening_future_is_cancelled",
            "a file that is opened for a future that is dropped meanwhile is closed",
            an_opening_future_is_cancelled::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "files/a_thread_writes_through_a_worker",
            "a thread that drives a write has a worker's driver wait for it",
            a_thread_writes_through_a_worker::<P>,
        )
        .needs(with(1).parker())
        .bound(2),
        Scenario::new(
            "files/a_thread_drops_what_a_worker_writes",
            "a write that a thread drops ends on the worker that has it, and then the file is \
             closed",
            a_thread_drops_what_a_worker_writes::<P>,
        )
        .needs(with(1))
        .bound(2),
    ]
}
