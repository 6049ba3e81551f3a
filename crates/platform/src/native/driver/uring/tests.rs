//! What cannot be seen from outside: the steps down, and which way a wake takes.

use super::*;
use crate::driver::Handle;
use crate::native::driver::sockets;

fn read(fd: i32) -> Option<u64> {
    let mut count = 0_u64;
    // SAFETY: `count` is 8 writable bytes.
    let read = unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
    (read == 8).then_some(count)
}

fn socket() -> Handle {
    sockets::listen(([127, 0, 0, 1], 0).into(), 1).expect("a listener")
}

fn poll(driver: &mut Uring, handle: Handle, token: u64) {
    let op = Op::Poll { handle, interest: Interest::Readable };
    // SAFETY: a poll names no memory.
    unsafe { driver.submit(op, Token(token)) };
}

/// A driver of each step, or none at all on a machine without io_uring.
fn each_step(mut test: impl FnMut(Uring)) {
    let config = Config { entries: 4, ..Config::default() };
    if let Err(refused) = Uring::new(&config) {
        return eprintln!("left out: {refused}");
    }
    for step in 0..STEPS.len() {
        // Older kernels refuse the first steps, and must then be given the later ones.
        test(Uring::with_steps(&config, &STEPS[step..]).expect("a later step will do"));
    }
}

#[test]
fn every_step_down_gives_a_ring_that_works() {
    each_step(|mut driver| {
        let mut completions = Vec::new();
        let listener = socket();
        for token in 0..200 {
            poll(&mut driver, listener, token);
        }
        driver.tick(&mut completions);
        driver.cancel(Token(7));
        while completions.is_empty() {
            driver.wait(None, &mut completions);
        }
        assert_eq!(completions, [Completion { token: Token(7), result: -libc::ECANCELED }]);
        let addr = sockets::local_addr(listener).expect("an address");
        let caller = sockets::connect(addr).expect("it begins to connect");
        while driver.in_flight() > 0 {
            // Ticks alone suffice, with and without the TASKRUN flag.
            driver.tick(&mut completions);
        }
        assert_eq!(completions.len(), 200);
        assert!(completions[1..].iter().all(|completion| completion.result == 0));
        let notifier = driver.notifier();
        let waking = std::thread::spawn(move || crate::driver::Notify::notify(&notifier));
        driver.wait(None, &mut completions);
        waking.join().expect("notifying does not panic");
        sockets::close(caller);
        sockets::close(listener);
    });
}

#[test]
fn a_wake_rides_with_submissions_and_is_written_without() {
    let config = Config::default();
    let (Ok(mut sender), Ok(receiver)) = (Uring::new(&config), Uring::new(&config)) else {
        return eprintln!("left out: no io_uring");
    };
    if !sender.messages.works {
        return eprintln!("left out: no MSG_RING");
    }
    let (bell, eventfd) = (receiver.bell.clone(), receiver.bell.eventfd());
    let mut receiver = receiver;
    sender.notify_other(&receiver.notifier());
    assert!(bell.rise(), "awake: the word alone tells");
    assert_eq!(read(eventfd), None);

    assert!(bell.doze());
    sender.notify_other(&receiver.notifier());
    assert_eq!(read(eventfd), Some(1), "nothing to submit: the eventfd");
    assert!(bell.rise());

    let listener = socket();
    poll(&mut sender, listener, 1);
    assert!(bell.doze());
    sender.notify_other(&receiver.notifier());
    assert!(sender.ring.submission().is_empty(), "submitted at once");
    assert_eq!(read(eventfd), None, "the message is the wake");
    assert!(bell.rise());
    let mut completions = Vec::new();
    // The kernel has something for the receiver, which means nothing to whoever called.
    receiver.enter(1, None, EnterFlags::GETEVENTS);
    receiver.drain(&mut completions);
    assert_eq!(completions, []);
    assert_ne!(sender.messages.free, u64::MAX);
    sender.tick(&mut completions);
    assert_eq!(sender.messages.free, u64::MAX, "the slot is free again");
    drop(sender);
    sockets::close(listener);
}

#[test]
fn a_message_that_fails_is_followed_by_a_write() {
    let bell = Bell::new(new_eventfd().expect("an eventfd"), new_eventfd().ok());
    let mut messages = Messages::new(true);
    let slots: Vec<_> = std::iter::from_fn(|| messages.address(&bell)).collect();
    assert_eq!(slots.len(), 64, "and then there is no slot");
    messages.sent(slots[3].1, 0);
    assert_eq!(read(bell.eventfd()), None);
    messages.sent(slots[5].1, -libc::ENOMEM);
    assert_eq!(read(bell.eventfd()), Some(1));
    assert_eq!(messages.free.count_ones(), 2);
}

#[test]
fn a_bell_that_is_no_longer_watched_is_watched_again() {
    each_step(|mut driver| {
        let mut completions = Vec::new();
        for _ in 0..3 {
            // What a kernel does that had no memory for the next report: the poll ends.
            driver.cancel_everything();
            driver.tick(&mut completions);
            driver.tick(&mut completions);
            let notifier = driver.notifier();
            let waking = std::thread::spawn(move || crate::driver::Notify::notify(&notifier));
            driver.wait(None, &mut completions);
            waking.join().expect("notifying does not panic");
        }
    });
}

#[test]
fn a_dropped_ring_takes_no_byte_though_a_notifier_keeps_it() {
    each_step(|mut driver| {
        let listener = socket();
        let caller = sockets::connect(sockets::local_addr(listener).expect("an address"));
        let caller = caller.expect("it begins to connect");
        sockets::block_until_ready(listener, Interest::Readable, None).expect("an open socket");
        let (socket, _) = sockets::accept(listener).expect("somebody has come");
        let mut buffer = [7; 4];
        let op = Op::Recv { handle: socket, buffer: buffer.as_mut_ptr(), length: 4 };
        // SAFETY: the buffer outlives the driver.
        unsafe { driver.submit(op, Token(1)) };
        driver.tick(&mut Vec::new());
        assert_eq!(driver.in_flight(), 1);
        let notifier = driver.notifier();
        drop(driver);
        assert_eq!(sockets::send(caller, b"late").expect("there is room"), 4);
        sockets::block_until_ready(socket, Interest::Readable, None).expect("an open socket");
        let mut taken = [0; 4];
        assert_eq!(sockets::recv(socket, &mut taken).expect("the bytes are there"), 4);
        assert_eq!((&buffer, &taken), (&[7; 4], b"late"));
        drop(notifier);
        [listener, caller, socket].into_iter().for_each(sockets::close);
    });
}

#[test]
fn a_kernel_that_knows_not_all_flags_is_given_fewer() {
    if Uring::new(&Config::default()).is_err() {
        return eprintln!("left out: no io_uring");
    }
    // Every kernel refuses this one alone: it needs SINGLE_ISSUER.
    let refused: &[Flag] = &[Builder::setup_defer_taskrun];
    assert!(Uring::with_steps(&Config::default(), &[refused]).is_err());
    let mut driver = Uring::with_steps(&Config::default(), &[refused, &[]]).expect("the second");
    assert!(!driver.ring.params().is_setup_single_issuer());
    driver.tick(&mut Vec::new());
}

#[test]
fn a_drop_waits_for_more_than_one_visit_yields() {
    each_step(|mut driver| {
        let listener = socket();
        // Far more than the completion queue of 64 holds.
        (0..1_000).for_each(|token| poll(&mut driver, listener, token));
        driver.end(&mut Vec::new());
        assert_eq!(driver.in_flight(), 0);
        drop(driver);
        sockets::close(listener);
    });
}

#[test]
fn what_the_kernel_cannot_do_with_files_is_done_by_threads() {
    let name = std::env::temp_dir().join(format!("raddle-offload-{}", std::process::id()));
    let path = std::ffi::CString::new(name.to_str().expect("text")).expect("no zero in it");
    each_step(|mut driver| {
        for supported in [driver.supported, 0] {
            driver.supported = supported;
            let mut run = |op| {
                let mut completions = Vec::new();
                // SAFETY: the memory is valid until the completion.
                unsafe { driver.submit(op, Token(1)) };
                let with_threads = driver.offload.in_flight();
                assert_eq!(with_threads, usize::from(supported == 0), "{op:?}");
                while completions.is_empty() {
                    driver.wait(None, &mut completions);
                }
                assert_eq!((completions.len(), driver.in_flight()), (1, 0));
                completions[0].result
            };
            let options = crate::driver::OpenOptions {
                read: true,
                write: true,
                create: true,
                truncate: true,
                ..Default::default()
            };
            let handle = Handle(run(Op::Open { path: path.as_ptr(), options }));
            let (bytes, mut buffer) = (*b"selvage", [0; 8]);
            let write = Op::WriteAt { handle, buffer: bytes.as_ptr(), length: 7, offset: 1 };
            assert_eq!(run(write), 7);
            assert_eq!(run(Op::Sync { handle, data_only: true }), 0);
            let read = Op::ReadAt { handle, buffer: buffer.as_mut_ptr(), length: 8, offset: 0 };
            assert_eq!(run(read), 8);
            assert_eq!(&buffer, b"\0selvage");
            assert_eq!(run(Op::Remove { path: path.as_ptr() }), 0);
            sockets::close(handle);
        }
    });
}
