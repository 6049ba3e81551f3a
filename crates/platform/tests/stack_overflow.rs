//! What a process says as it dies of a fault. Each case runs in a child: this test binary again,
//! with the name of the case in the environment.

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use corosensei::{Coroutine, Yielder};
use raddle_platform::native::stack::{
    Guard, Stack, StackPool, install_overflow_handler, prepare_thread,
};

const CASE: &str = "RADDLE_STACK_CASE";

struct OnStack(Stack);
// SAFETY: the pool's stacks have a guard page and at least a page above it.
unsafe impl corosensei::stack::Stack for OnStack {
    fn base(&self) -> std::num::NonZeroUsize {
        self.0.base()
    }
    fn limit(&self) -> std::num::NonZeroUsize {
        self.0.limit()
    }
}

#[expect(unconditional_recursion, reason = "it is to use up the stack")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    recurse(black_box(depth + 1)) + frame[black_box(3)]
}

/// A frame of many pages: the compiler probes each, so that none is skipped over the guard page.
#[inline(never)]
fn large_frame() -> u8 {
    let frame = black_box([1_u8; 1 << 20]);
    frame[black_box(1 << 19)]
}

fn run_on(stack: Stack, body: impl FnOnce() + 'static) {
    let mut fiber = Coroutine::with_stack(OnStack(stack), move |_: &Yielder<(), ()>, ()| body());
    fiber.resume(()).as_return().expect("does not suspend");
}

fn fault_at(address: usize) {
    // SAFETY: it is not: the process is to die here.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
}

fn labelled(kind: Guard, id: u64, name: &'static str) -> (StackPool, Stack) {
    install_overflow_handler().expect("a handler");
    prepare_thread().expect("an alternate stack");
    let mut pool = StackPool::with_guard(128 << 10, kind);
    // Slabs before and after, all in use, so that the right stack has to be found.
    let use_up = |pool: &mut StackPool| {
        for _ in 0..70 {
            let other = pool.take().expect("a stack");
            // SAFETY: a constant.
            unsafe { other.set_label(1, "another") };
            std::mem::forget(other);
        }
    };
    use_up(&mut pool);
    let stack = pool.take().expect("a stack");
    // SAFETY: a constant.
    unsafe { stack.set_label(id, name) };
    use_up(&mut pool);
    (pool, stack)
}

/// Runs `body` on a thread that std knows nothing of, which has no alternate signal stack.
fn foreign_thread(body: fn()) {
    extern "C" fn enter(body: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: `body` is the function passed below.
        let body = unsafe { std::mem::transmute::<*mut libc::c_void, fn()>(body) };
        body();
        std::ptr::null_mut()
    }
    let mut thread = 0;
    // SAFETY: `enter` takes what it is passed; the thread is joined at once.
    unsafe {
        let body = body as *mut libc::c_void;
        assert_eq!(libc::pthread_create(&mut thread, std::ptr::null(), enter, body), 0);
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
}

extern "C" fn previous_handler(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _: *mut libc::c_void,
) {
    // SAFETY: the kernel's siginfo, forwarded.
    let address = unsafe { (*info).si_addr() } as usize;
    let code = if signal == libc::SIGSEGV && address == 0x10 { 42 } else { 43 };
    // SAFETY: async-signal-safe.
    unsafe { libc::_exit(code) };
}

extern "C" fn previous_simple_handler(_: libc::c_int) {
    // SAFETY: async-signal-safe.
    unsafe { libc::_exit(44) };
}

fn handle_segv(handler: usize, flags: libc::c_int) {
    // SAFETY: all-zero is valid, and the handler fits the flags.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut()), 0);
    }
}

fn die(case: &str) {
    match case {
        "recursion" => {
            let (_pool, stack) = labelled(Guard::Madvise, 4711, "reader");
            run_on(stack, || _ = black_box(recurse(0)));
        }
        "recursion with mprotect" => {
            let (_pool, stack) = labelled(Guard::Mprotect, 4712, "writer");
            run_on(stack, || _ = black_box(recurse(0)));
        }
        "large frame" => {
            let (_pool, stack) = labelled(Guard::Madvise, u64::MAX, "");
            run_on(stack, || _ = black_box(large_frame()));
        }
        "reused stack" => {
            let (mut pool, stack) = labelled(Guard::Madvise, 1, "the first");
            pool.give(stack);
            let stack = pool.take().expect("the same");
            // SAFETY: a constant.
            unsafe { stack.set_label(2, "the second") };
            run_on(stack, || _ = black_box(recurse(0)));
        }
        "stack without a label" => {
            let (mut pool, stack) = labelled(Guard::Madvise, 1, "the first");
            pool.give(stack);
            let stack = pool.take().expect("the same");
            run_on(stack, || _ = black_box(recurse(0)));
        }
        "foreign thread" => foreign_thread(|| {
            let (_pool, stack) = labelled(Guard::Madvise, 7, "foreign");
            run_on(stack, || _ = black_box(recurse(0)));
        }),
        "foreign threads come and go" => {
            for _ in 0..100 {
                foreign_thread(|| {
                    prepare_thread().expect("an alternate stack");
                    prepare_thread().expect("and it is still there");
                });
            }
            let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
            println!("mappings: {}", maps.lines().count());
        }
        "wild access" => {
            let (_pool, stack) = labelled(Guard::Madvise, 1, "victim");
            fault_at(stack.limit().get() + 8);
        }
        "wild access from a fiber" => {
            let (mut pool, stack) = labelled(Guard::Madvise, 1, "victim");
            let guard = stack.limit().get() + 8;
            run_on(pool.take().expect("a stack"), move || fault_at(guard));
        }
        "null" => {
            install_overflow_handler().expect("a handler");
            fault_at(0);
        }
        "null without handler" => fault_at(0),
        "null under the default action" => {
            handle_segv(libc::SIG_DFL, 0);
            install_overflow_handler().expect("a handler");
            fault_at(0);
        }
        "null while ignored" => {
            handle_segv(libc::SIG_IGN, 0);
            install_overflow_handler().expect("a handler");
            fault_at(0);
        }
        "null under a handler" => {
            let handler = previous_handler as *const () as usize;
            handle_segv(handler, libc::SA_SIGINFO | libc::SA_ONSTACK);
            install_overflow_handler().expect("a handler");
            install_overflow_handler().expect("still the handler");
            fault_at(0x10);
        }
        "null under a simple handler" => {
            handle_segv(previous_simple_handler as *const () as usize, libc::SA_ONSTACK);
            install_overflow_handler().expect("a handler");
            fault_at(0);
        }
        "sent under the default action" => {
            handle_segv(libc::SIG_DFL, 0);
            install_overflow_handler().expect("a handler");
            // SAFETY: a signal to ourselves.
            unsafe { libc::raise(libc::SIGSEGV) };
        }
        "sent while ignored" => {
            handle_segv(libc::SIG_IGN, 0);
            install_overflow_handler().expect("a handler");
            // SAFETY: signals to ourselves.
            unsafe {
                libc::raise(libc::SIGSEGV);
                libc::raise(libc::SIGSEGV);
            }
        }
        "thread" => {
            let (_pool, _stack) = labelled(Guard::Madvise, 1, "victim");
            let thread = std::thread::Builder::new().name("deep".into()).stack_size(64 << 10);
            let thread = thread.spawn(|| black_box(recurse(0))).expect("a thread");
            drop(thread.join());
        }
        other => panic!("no case {other:?}"),
    }
}

/// Not a test of its own: the entry of the children.
#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid limit; the deaths are on purpose and need no core files.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
    die(&case);
}

fn run(case: &str) -> (Output, String) {
    let binary = std::env::current_exe().expect("own path");
    let output = Command::new(binary)
        .args(["--exact", "child", "--nocapture"])
        .env(CASE, case)
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, text)
}

#[track_caller]
fn dies(case: &str, signal: libc::c_int) -> String {
    let (output, text) = run(case);
    assert_eq!(output.status.signal(), Some(signal), "{case}: {:?}\n{text}", output.status);
    text
}

#[track_caller]
fn names_the_fiber(case: &str, line: &str) {
    let text = dies(case, libc::SIGABRT);
    assert_eq!(text.lines().filter(|&found| found == line).count(), 1, "{case}:\n{text}");
    assert!(!text.contains("another"), "{case}:\n{text}");
}

const REST: &str = "overflowed its stack of 128 KiB; give it more with Builder::stack_size";

#[test]
fn a_fiber_that_recurses_too_deep_is_named() {
    names_the_fiber("recursion", &format!("fiber 'reader' (id 4711) {REST}"));
}

#[test]
fn a_guard_page_made_by_mprotect_is_recognised_as_well() {
    names_the_fiber("recursion with mprotect", &format!("fiber 'writer' (id 4712) {REST}"));
}

#[test]
fn a_frame_larger_than_the_guard_page_does_not_jump_over_it() {
    names_the_fiber("large frame", &format!("fiber (id {}) {REST}", u64::MAX));
}

#[test]
fn a_reused_stack_has_its_last_label() {
    names_the_fiber("reused stack", &format!("fiber 'the second' (id 2) {REST}"));
}

#[test]
fn a_label_ends_when_its_stack_is_given_back() {
    names_the_fiber("stack without a label", &format!("fiber (id 0) {REST}"));
}

#[test]
fn a_thread_that_std_did_not_make_reports_once_it_is_prepared() {
    names_the_fiber("foreign thread", &format!("fiber 'foreign' (id 7) {REST}"));
}

#[test]
fn the_signal_stack_of_a_thread_goes_with_it() {
    let (output, text) = run("foreign threads come and go");
    assert!(output.status.success(), "{text}");
    let text = String::from_utf8_lossy(&output.stdout);
    let count = text.split("mappings: ").nth(1).and_then(|rest| rest.lines().next());
    let count: usize = count.and_then(|count| count.parse().ok()).expect("a number");
    assert!(count < 100, "{count} mappings after 100 threads");
}

#[test]
fn a_wild_access_to_a_guard_page_is_no_overflow() {
    for case in ["wild access", "wild access from a fiber"] {
        let text = dies(case, libc::SIGSEGV);
        assert!(!text.contains("overflow"), "{case}:\n{text}");
    }
}

#[test]
fn other_faults_end_as_they_would_without_the_handler() {
    let plain = dies("null without handler", libc::SIGSEGV);
    for case in ["null", "null under the default action", "null while ignored"] {
        assert_eq!(dies(case, libc::SIGSEGV), plain, "{case}");
    }
}

#[test]
fn a_handler_that_was_there_before_gets_the_other_faults() {
    let cases = [("null under a handler", 42), ("null under a simple handler", 44)];
    for (case, code) in cases {
        let (output, text) = run(case);
        assert_eq!(output.status.code(), Some(code), "{case}: {:?}\n{text}", output.status);
    }
}

#[test]
fn a_signal_that_somebody_sent_does_what_it_did_before() {
    dies("sent under the default action", libc::SIGSEGV);
    let (output, text) = run("sent while ignored");
    assert!(output.status.success(), "{:?}\n{text}", output.status);
}

#[test]
fn a_thread_that_recurses_too_deep_still_gets_the_message_of_std() {
    let text = dies("thread", libc::SIGABRT);
    assert!(text.contains("has overflowed its stack") && text.contains("deep"), "{text}");
    assert!(!text.contains("fiber"), "{text}");
}
