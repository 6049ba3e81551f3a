//! A fiber that overflows its stack ends the process, and the message says which fiber it was.

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use raddle_runtime::{Runtime, task::Builder};

const CHILD: &str = "RADDLE_TEST_OVERFLOW_CHILD";

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) + frame[7] }
}

#[test]
fn an_overflow_names_the_fiber_and_its_stack() {
    if std::env::var_os(CHILD).is_some() {
        let runtime: Runtime = Runtime::new().expect("a runtime");
        let deep = Builder::new().name("too-deep").stack_size(128 << 10);
        let result = deep.spawn_on_runtime(&runtime.handle(), || recurse(0)).join();
        unreachable!("the process ends before the fiber: {result:?}");
    }
    let test = "an_overflow_names_the_fiber_and_its_stack";
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("the test runs itself");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "it aborts: {message}");
    assert!(message.contains("fiber 'too-deep'"), "{message}");
    assert!(message.contains("128 KiB"), "{message}");
    assert!(message.contains("stack_size"), "it says what to do: {message}");
}
