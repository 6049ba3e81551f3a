//! The network in memory: what completes, when, and which outcomes loom explores.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use raddle_loom::{Loom, Model, Verdict};
use raddle_platform::driver::{Completion, Config, Driver, Handle, Interest, Op, Token};
use raddle_platform::{Instant, Platform};
use raddle_scenarios::scope;

type LoomDriver = <Loom as Platform>::Driver;

const ECANCELED: i32 = 125;

/// The results of one execution each, over all executions.
fn outcomes<T: Ord + Clone + 'static>(program: impl Fn() -> T + 'static) -> Vec<T> {
    let seen = Rc::new(RefCell::new(BTreeSet::new()));
    let theirs = Rc::clone(&seen);
    let report = Model::new().check(move || {
        let outcome = program();
        theirs.borrow_mut().insert(outcome);
    });
    if let Verdict::Failed(failure) = &report.verdict {
        panic!("{failure}");
    }
    assert_eq!(report.verdict, Verdict::Exhausted);
    seen.take().into_iter().collect()
}

fn pair() -> (Handle, Handle) {
    let address = "127.0.0.1:80".parse().expect("an address");
    let listener = LoomDriver::listen(address, 1).expect("a listener");
    let near = LoomDriver::connect(address).expect("a connection");
    let (far, _) = LoomDriver::accept(listener).expect("the same connection");
    (near, far)
}

fn driver() -> LoomDriver {
    LoomDriver::new(&Config::default()).expect("a driver")
}

fn submit(driver: &mut LoomDriver, handle: Handle, buffer: &mut [u8]) {
    let op = Op::Recv { handle, buffer: buffer.as_mut_ptr(), length: buffer.len() as u32 };
    // SAFETY: the callers keep the buffer until the completion.
    unsafe { driver.submit(op, Token(1)) };
}

fn results(completions: &[Completion]) -> Vec<i32> {
    completions.iter().map(|completion| completion.result).collect()
}

#[test]
fn what_the_peer_sends_ends_the_wait() {
    let seen = outcomes(|| {
        let (near, far) = pair();
        let mut driver = driver();
        let mut buffer = [0; 2];
        submit(&mut driver, near, &mut buffer);
        let mut completions = Vec::new();
        scope::<Loom, _>(|threads| {
            threads.spawn(move || assert_eq!(LoomDriver::send(far, &[7]).ok(), Some(1)));
            while completions.is_empty() {
                driver.wait(None, &mut completions);
            }
        });
        (results(&completions), buffer)
    });
    assert_eq!(seen, [(vec![1], [7, 0])]);
}

#[test]
fn a_tick_finds_what_has_come_or_does_not() {
    let seen = outcomes(|| {
        let (near, far) = pair();
        let mut driver = driver();
        let mut buffer = [0; 1];
        submit(&mut driver, near, &mut buffer);
        let mut completions = Vec::new();
        scope::<Loom, _>(|threads| {
            threads.spawn(move || assert_eq!(LoomDriver::send(far, &[7]).ok(), Some(1)));
            driver.tick(&mut completions);
        });
        let found = results(&completions);
        driver.end(&mut completions);
        found
    });
    assert_eq!(seen, [vec![], vec![1]]);
}

#[test]
fn a_cancelled_operation_completes_with_its_own_result_or_as_cancelled() {
    let seen = outcomes(|| {
        let (near, far) = pair();
        let mut driver = driver();
        let mut buffer = [0; 1];
        submit(&mut driver, near, &mut buffer);
        let mut completions = Vec::new();
        scope::<Loom, _>(|threads| {
            threads.spawn(move || assert_eq!(LoomDriver::send(far, &[7]).ok(), Some(1)));
            driver.cancel(Token(1));
            driver.tick(&mut completions);
        });
        assert_eq!(driver.in_flight(), 0);
        results(&completions)
    });
    assert_eq!(seen, [vec![-ECANCELED], vec![1]]);
}

#[test]
fn a_wait_ends_by_its_deadline_or_by_a_completion() {
    let seen = outcomes(|| {
        let (near, far) = pair();
        let mut driver = driver();
        // SAFETY: the operation names no memory.
        unsafe {
            driver.submit(Op::Poll { handle: near, interest: Interest::Readable }, Token(1));
        }
        let mut completions = Vec::new();
        scope::<Loom, _>(|threads| {
            threads.spawn(move || assert_eq!(LoomDriver::send(far, &[7]).ok(), Some(1)));
            driver.wait(Some(Instant::from_nanos(10)), &mut completions);
        });
        let found = results(&completions);
        driver.end(&mut completions);
        found
    });
    assert_eq!(seen, [vec![], vec![0]]);
}

#[test]
fn a_thread_waits_for_room_and_for_the_end() {
    let seen = outcomes(|| {
        let (near, far) = pair();
        let sent = LoomDriver::send(near, &[7; 100]).expect("room for a few");
        assert!(LoomDriver::send(near, &[7]).is_err(), "there is no more room");
        scope::<Loom, _>(|threads| {
            threads.spawn(move || {
                assert_eq!(LoomDriver::recv(far, &mut [0; 100]).ok(), Some(sent));
                LoomDriver::close(far);
            });
            let ready = LoomDriver::block_until_ready(near, Interest::Writable, None);
            assert_eq!(ready.ok(), Some(true));
            let ready = LoomDriver::block_until_ready(near, Interest::Readable, None);
            assert_eq!(ready.ok(), Some(true));
            LoomDriver::recv(near, &mut [0]).ok()
        })
    });
    assert_eq!(seen, [Some(0)]);
}

#[test]
fn a_socket_that_is_closed_under_an_operation_is_reported() {
    let report = Model::new().check(|| {
        let (near, _) = pair();
        let mut driver = driver();
        // SAFETY: the operation names no memory.
        unsafe {
            driver.submit(Op::Poll { handle: near, interest: Interest::Readable }, Token(1));
        }
        LoomDriver::close(near);
    });
    let Verdict::Failed(failure) = report.verdict else { panic!("nothing was reported") };
    assert!(failure.to_string().contains("operations in flight"), "{failure}");
}
