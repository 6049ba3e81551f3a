//! `Native` costs what bare `core::sync::atomic` costs: the same number of instructions, counted by
//! valgrind, whatever else the machine is doing.
//!
//! `cargo test --release -p raddle-benches --test native_is_free -- --nocapture` prints the counts.
//! Without optimisation a newtype is a call, so a debug build leaves the test out; so does a
//! machine without valgrind. Both say so.

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::process::Command;
use std::sync::atomic as bare;

use raddle::on::{Atomic, AtomicInt, Native, Ordering, Platform, RaceCell};
use raddle_platform::{Choice, Strand};

const CHILD: &str = "RADDLE_TEST_COUNTED";
const ROUNDS: usize = 1000;

/// A fence, and what a world is told and asked on the way: nothing of that is left.
#[inline(always)]
fn fence<P: Platform>(order: Ordering) {
    let _inside = P::called();
    let strand = P::Strand::child();
    let outer = strand.enter();
    let handshake = P::Handshake::default();
    if P::choose(Choice::NextTask, 4) + P::choose(Choice::Spawn, 2) == 0 {
        P::fence(order, &[&handshake, &handshake]);
    }
    P::Strand::leave(outer);
}

/// One operation of each kind, over whatever `$bool` and the others are.
macro_rules! operations {
    ($name:ident, $bool:ty, $usize:ty, $ptr:ty, $fence:expr, $cell:expr, $write:expr, $tag:expr) => {
        #[inline(never)]
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> usize {
            let flag = <$bool>::new(false);
            let count = <$usize>::new(0);
            let pointer = <$ptr>::new(std::ptr::null_mut());
            let cell = $cell;
            // Two functions that are the same to the instruction would be merged into one.
            let mut sum = black_box($tag);
            for round in 0..ROUNDS {
                let (flag, count, pointer) = black_box((&flag, &count, &pointer));
                flag.store(true, Ordering::Release);
                sum += usize::from(flag.swap(false, Ordering::AcqRel));
                sum += count.fetch_add(round, Ordering::Relaxed);
                sum += count.fetch_or(1, Ordering::Acquire);
                sum += count.load(Ordering::Acquire);
                let _ = count.compare_exchange(round, 0, Ordering::AcqRel, Ordering::Relaxed);
                let _ = count.compare_exchange_weak(0, 1, Ordering::SeqCst, Ordering::Acquire);
                $fence(Ordering::SeqCst);
                pointer.store((&raw mut sum).cast(), Ordering::Relaxed);
                sum += pointer.load(Ordering::Relaxed).addr() & 1;
                // SAFETY: the cell is this function's.
                unsafe { $write(black_box(&cell), round) };
            }
            sum
        }
    };
}

operations!(
    raddle_counts_bare,
    bare::AtomicBool,
    bare::AtomicUsize,
    bare::AtomicPtr<u8>,
    bare::fence,
    UnsafeCell::new(0_usize),
    |cell: &UnsafeCell<usize>, value| *cell.get() = value,
    1
);
operations!(
    raddle_counts_native,
    <Native as Platform>::AtomicBool,
    <Native as Platform>::AtomicUsize,
    <Native as Platform>::AtomicPtr<u8>,
    fence::<Native>,
    RaceCell::<usize, Native>::new_in(0),
    |cell: &RaceCell<usize, Native>, value| cell.with_mut(|place| *place = value),
    2
);

/// The instructions of `function` alone, in a child process under callgrind.
fn instructions(function: &str) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={function}"))
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "native_is_bare", "--test-threads=1"])
        .env(CHILD, function)
        .output()
        .expect("valgrind was found");
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = report.lines().find(|line| line.contains("Collected :"));
    let count = line.and_then(|line| line.split_whitespace().last()?.parse().ok());
    count.unwrap_or_else(|| panic!("no count of {function} in valgrind's report:\n{report}"))
}

#[test]
fn native_is_bare() {
    match std::env::var(CHILD).as_deref() {
        Ok("raddle_counts_bare") => {
            black_box(raddle_counts_bare());
            return;
        }
        Ok("raddle_counts_native") => {
            black_box(raddle_counts_native());
            return;
        }
        Ok(other) => panic!("{CHILD}={other}: it is set by this test alone; unset it"),
        Err(_) => {}
    }
    if cfg!(debug_assertions) {
        println!("left out: only an optimised build inlines; run it with --release");
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("left out: valgrind is not installed (apt-get install valgrind)");
        return;
    }
    let (bare, native) = (instructions("raddle_counts_bare"), instructions("raddle_counts_native"));
    println!("{ROUNDS} rounds: {bare} instructions bare, {native} through Native");
    assert!(bare > ROUNDS as u64, "the function was measured");
    assert_eq!(native, bare, "the platform costs instructions");
}
