//! What needs a kernel to say: signals, descriptors with other numbers, and races with real time.

use std::sync::mpsc;
use std::thread;

use crate::support::{Io, Rig, Socket, pair, ready, receive, reset, send_all};
use crate::world::{available, over_all_drivers};
use raddle_platform::Driver;
use raddle_platform::driver::{Config, Handle, Interest, Kind};

over_all_drivers! {
    a_send_to_a_closed_peer_fails_without_a_signal,
    a_cancel_that_races_with_data_loses_no_byte,
    a_socket_that_lost_its_number_disturbs_nobody,
}

fn a_send_to_a_closed_peer_fails_without_a_signal(kind: Kind) {
    let (near, far) = pair();
    reset(&near, far);
    ready(near.0, Interest::Readable);
    Io::take_error(near.0).expect_err("it was reset");
    let mut rig = Rig::new(kind);
    // Without MSG_NOSIGNAL this would end the test with SIGPIPE, which is reset to its default.
    // SAFETY: sets a signal's default action.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    rig.send(&near, b"weft", 1);
    assert_eq!(rig.result(), -libc::EPIPE);
    // SAFETY: back to what std set.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

fn a_cancel_that_races_with_data_loses_no_byte(kind: Kind) {
    let (near, far) = pair();
    let far = &far;
    let mut rig = Rig::new(kind);
    let (go, gone) = mpsc::sync_channel::<u8>(0);
    let (sent, arrived) = mpsc::channel();
    let (mut won, mut lost) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(move || {
            for byte in gone {
                send_all(far.0, &[byte]);
                sent.send(()).expect("the test goes on");
            }
        });
        for round in 0..2_000_u32 {
            let mut buffer = [0];
            rig.recv(&near, &mut buffer, 1);
            if round % 2 == 0 {
                assert_eq!(rig.tick(), []);
            }
            let byte = round as u8 | 1;
            go.send(byte).expect("the sender lives");
            for _ in 0..(round % 100) * 20 {
                std::hint::spin_loop();
            }
            // The byte comes before the tick, the cancel or the end of it, or after.
            let mut done = if round % 4 < 2 { rig.tick() } else { Vec::new() };
            let early = round % 3 == 0;
            if early {
                arrived.recv().expect("the sender lives");
            }
            rig.cancel(1);
            done.extend(rig.finish());
            if !early {
                arrived.recv().expect("the sender lives");
            }
            match done[..] {
                [(1, 1)] => {
                    won += 1;
                    assert_eq!(buffer, [byte]);
                }
                [(1, result)] => {
                    lost += 1;
                    assert_eq!(result, -libc::ECANCELED);
                    assert_eq!(buffer, [0]);
                    assert_eq!(receive(near.0, 1), [byte]);
                }
                _ => panic!("one operation completes once, not {done:?}"),
            }
        }
        drop(go);
    });
    eprintln!("data won {won} times, the cancel {lost} times");
}

fn a_socket_that_lost_its_number_disturbs_nobody(kind: Kind) {
    let mut rig = Rig::new(kind);
    let ((old, old_far), (new, new_far)) = (pair(), pair());
    rig.poll(&old, Interest::Readable, 1);
    assert_eq!(rig.tick(), []);
    rig.cancel(1);
    assert_eq!(rig.result(), -libc::ECANCELED);
    // The old socket stays open under another number, and the new one gets its number.
    // SAFETY: take no pointers; both numbers are this test's.
    let kept = Socket(Handle(unsafe { libc::dup(old.0.0) }));
    // SAFETY: as above.
    assert_eq!(unsafe { libc::dup2(new.0.0, old.0.0) }, old.0.0);
    let renumbered = old;
    rig.poll(&renumbered, Interest::Readable, 2);
    assert_eq!(rig.tick(), []);
    send_all(old_far.0, b"x");
    ready(kept.0, Interest::Readable);
    assert_eq!(rig.tick(), [], "the old socket's news are not the new one's");
    send_all(new_far.0, b"x");
    assert_eq!(rig.result(), 0);
}

#[test]
fn probing_gives_a_driver() {
    let driver = Io::new(&Config::default()).expect("a driver");
    let expected = if available(Kind::Uring) { "io_uring" } else { "epoll" };
    assert_eq!(driver.name(), expected);
}
