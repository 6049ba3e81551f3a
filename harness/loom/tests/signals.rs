//! A process that a signal ends says which operations led there.

use std::process::{Command, exit};

use raddle_loom::{Loom, Model, Verdict, report_signals};
use raddle_platform::{Atomic, Ordering, Platform};

/// What the child does wrong; not set in the test itself.
const WRONG: &str = "RADDLE_LOOM_TEST_WRONG";

#[test]
fn the_last_operations_are_told() {
    for (wrong, name) in [("fault", "SIGSEGV"), ("overflow", "SIGSEGV"), ("abort", "SIGABRT")] {
        let program = std::env::current_exe().expect("this program");
        let output = Command::new(program)
            .args(["--exact", "a_child_that_goes_wrong", "--nocapture"])
            .env(WRONG, wrong)
            .output()
            .expect("it starts");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(output.status.code(), Some(7), "{wrong}: {text}");
        assert!(text.contains(name), "{wrong}: {text}");
        assert!(text.contains("AtomicU32#0 swap(Relaxed)"), "{wrong}: {text}");
        assert!(text.contains("tests/signals.rs:"), "{wrong}: {text}");
    }
}

/// Does nothing, unless the test above runs it in a process of its own.
#[test]
fn a_child_that_goes_wrong() {
    if let Ok(wrong) = std::env::var(WRONG) {
        go_wrong(&wrong);
    }
}

/// Runs an execution that ends in a signal.
fn go_wrong(wrong: &str) {
    report_signals(|report| {
        if let Verdict::Failed(failure) = &report.verdict {
            println!("{failure}");
        }
        exit(7);
    });
    let wrong = wrong.to_owned();
    Model::new().check(move || {
        <Loom as Platform>::AtomicU32::new(0).swap(1, Ordering::Relaxed);
        match wrong.as_str() {
            "fault" => {
                let nowhere = std::ptr::without_provenance_mut::<u8>(8);
                // SAFETY: none; the fault is the point.
                unsafe { nowhere.write_volatile(1) };
            }
            "overflow" => assert_ne!(deeper(1), 0),
            _ => std::process::abort(),
        }
    });
}

/// Never returns: each call needs more of the stack.
#[expect(unconditional_recursion, reason = "the point")]
fn deeper(depth: usize) -> usize {
    let kept = std::hint::black_box([depth; 64]);
    deeper(depth + 1) + kept[depth % 64]
}
