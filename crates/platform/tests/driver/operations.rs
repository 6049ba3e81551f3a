//! What each operation does, and what becomes of it when it is cancelled. The simulator's tests
//! include this file.

use std::io;
use std::mem::ManuallyDrop;
use std::net::Shutdown;

use crate::support::{
    Io, Rig, Socket, fill, listener, pair, patience, ready, receive, reset, send_all,
};
use crate::world::{self, over_all_drivers};
use raddle_platform::Driver;
use raddle_platform::driver::{Handle, Interest, Kind};

over_all_drivers! {
    the_driver_is_the_one_that_was_asked_for,
    a_recv_takes_what_is_there,
    a_recv_waits_for_what_is_not_there,
    recvs_of_one_socket_share_its_bytes,
    a_recv_ends_with_the_stream,
    a_recv_tells_of_a_reset,
    a_send_goes_out,
    a_send_to_a_full_peer_waits_for_room,
    an_error_number_is_kept,
    a_poll_waits_for_data,
    polls_of_both_directions_are_independent,
    polls_of_one_direction_all_complete,
    a_connection_is_accepted,
    a_refused_connection_tells_so,
    a_cancelled_recv_completes_once,
    a_cancelled_poll_completes_once,
    a_cancel_before_the_submission_reached_the_kernel_counts,
    a_cancel_after_the_completion_is_harmless,
    a_token_can_be_used_again_after_a_late_cancel,
    a_shutdown_ends_what_is_in_flight,
    a_number_that_is_used_again_is_another_socket,
    random_traffic_with_cancels_loses_nothing,
}

fn the_driver_is_the_one_that_was_asked_for(kind: Kind) {
    let rig = Rig::new(kind);
    assert_eq!(rig.driver.name(), world::name(kind));
    assert_eq!(rig.driver.in_flight(), 0);
}

fn a_recv_takes_what_is_there(kind: Kind) {
    let (near, far) = pair();
    send_all(far.0, b"threads");
    ready(near.0, Interest::Readable);
    let mut rig = Rig::new(kind);
    let mut buffer = [0; 16];
    rig.recv(&near, &mut buffer, 1);
    assert_eq!(rig.result(), 7);
    assert_eq!(&buffer[..7], b"threads");
}

fn a_recv_waits_for_what_is_not_there(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    let mut buffer = [0; 4];
    rig.recv(&near, &mut buffer, 1);
    assert_eq!(rig.tick(), []);
    assert_eq!(rig.driver.in_flight(), 1);
    send_all(far.0, b"loom and more");
    assert_eq!(rig.result(), 4, "as much as fits");
    assert_eq!(&buffer, b"loom");
    assert_eq!(receive(near.0, 9), b" and more");
}

fn recvs_of_one_socket_share_its_bytes(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    let mut buffers = [[0; 3]; 4];
    for (token, buffer) in buffers.iter_mut().enumerate() {
        rig.recv(&near, buffer, token as u64);
        assert_eq!(rig.tick(), []);
    }
    send_all(far.0, b"aaabbbcccddd");
    assert_eq!(rig.finish(), [(0, 3), (1, 3), (2, 3), (3, 3)]);
    // Which gets which is the kernel's choice: io_uring serves the last one first.
    buffers.sort_unstable();
    assert_eq!(buffers.concat(), b"aaabbbcccddd");
}

fn a_recv_ends_with_the_stream(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    let mut buffer = [0; 4];
    rig.recv(&near, &mut buffer, 1);
    assert_eq!(rig.tick(), []);
    drop(far);
    assert_eq!(rig.result(), 0);
    rig.recv(&near, &mut buffer, 2);
    assert_eq!(rig.result(), 0, "and again");
}

fn a_recv_tells_of_a_reset(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    let mut buffer = [0; 4];
    rig.recv(&near, &mut buffer, 1);
    assert_eq!(rig.tick(), []);
    reset(&near, far);
    assert_eq!(rig.result(), -libc::ECONNRESET);
}

fn a_send_goes_out(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    rig.send(&near, b"weft", 1);
    assert_eq!(rig.result(), 4);
    assert_eq!(receive(far.0, 4), b"weft");
}

fn a_send_to_a_full_peer_waits_for_room(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    let mut expected = fill(near.0);
    let block = vec![0xa5; 100_000];
    rig.send(&near, &block, 1);
    assert_eq!(rig.tick(), []);
    // Draining makes room. The send's own bytes come last.
    let mut bytes = Vec::new();
    let mut done = Vec::new();
    while done.is_empty() {
        bytes.extend(receive(far.0, 1 << 12));
        done = rig.tick();
    }
    let sent = usize::try_from(done[0].1).expect("the send succeeds");
    assert!((1..=block.len()).contains(&sent));
    expected += sent;
    bytes.extend(receive(far.0, expected - bytes.len()));
    assert!(bytes[..expected - sent].iter().all(|byte| *byte == 0x5a));
    assert!(bytes[expected - sent..].iter().all(|byte| *byte == 0xa5));
    assert_nothing_to_read(&far);
}

fn assert_nothing_to_read(socket: &Socket) {
    let error = Io::peek(socket.0, &mut [0]).expect_err("nothing is there");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

fn an_error_number_is_kept(kind: Kind) {
    let mut rig = Rig::new(kind);
    let mut buffer = [0; 4];
    // Whoever closes what is not open is wrong, and the simulator says so.
    let nobody = ManuallyDrop::new(Socket(Handle(-1)));
    rig.recv(&nobody, &mut buffer, 1);
    rig.send(&nobody, &buffer, 2);
    rig.poll(&nobody, Interest::Readable, 3);
    let (listener, _) = listener();
    rig.recv(&listener, &mut buffer, 4);
    let closed = world::closed();
    rig.poll_handle(closed, Interest::Readable, 5);
    rig.poll_handle(closed, Interest::Writable, 6);
    let (bad, unconnected) = (-libc::EBADF, -libc::ENOTCONN);
    let results = [(1, bad), (2, bad), (3, bad), (4, unconnected), (5, bad), (6, bad)];
    assert_eq!(rig.finish(), results);
}

fn a_poll_waits_for_data(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    rig.poll(&near, Interest::Readable, 1);
    assert_eq!(rig.tick(), []);
    send_all(far.0, b"x");
    assert_eq!(rig.result(), 0);
    rig.poll(&near, Interest::Readable, 2);
    assert_eq!(rig.result(), 0, "the byte is still there");
    assert_eq!(receive(near.0, 1), b"x");
    rig.poll(&near, Interest::Readable, 3);
    assert_eq!(rig.tick(), [], "the byte is gone");
    drop(far);
    assert_eq!(rig.result(), 0, "the end of the stream is readable");
}

fn polls_of_both_directions_are_independent(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    rig.poll(&near, Interest::Readable, 1);
    rig.poll(&near, Interest::Writable, 2);
    assert_eq!(rig.wait(Some(patience())), [(2, 0)]);
    let sent = fill(near.0);
    rig.poll(&near, Interest::Writable, 3);
    assert_eq!(rig.tick(), []);
    send_all(far.0, b"x");
    assert_eq!(rig.wait(Some(patience())), [(1, 0)], "full, but readable");
    receive(far.0, sent);
    assert_eq!(rig.result(), 0, "room again");
}

fn polls_of_one_direction_all_complete(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    for token in 0..10 {
        rig.poll(&near, Interest::Readable, token);
    }
    rig.cancel(4);
    assert_eq!(rig.wait(Some(patience())), [(4, -libc::ECANCELED)]);
    send_all(far.0, b"x");
    let tokens = [0, 1, 2, 3, 5, 6, 7, 8, 9];
    assert_eq!(rig.finish(), tokens.map(|token| (token, 0)));
}

fn a_connection_is_accepted(kind: Kind) {
    let (listener, addr) = listener();
    let nobody = Io::accept(listener.0).expect_err("nobody has come");
    assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
    let mut rig = Rig::new(kind);
    rig.poll(&listener, Interest::Readable, 1);
    assert_eq!(rig.tick(), []);
    let near = Socket(Io::connect(addr).expect("it begins"));
    rig.poll(&near, Interest::Writable, 2);
    assert_eq!(rig.finish(), [(1, 0), (2, 0)]);
    Io::take_error(near.0).expect("it is connected");
    let (far, peer) = Io::accept(listener.0).expect("somebody has come");
    let far = Socket(far);
    assert_eq!(peer, Io::local_addr(near.0).expect("an address"));
    assert_eq!(Io::peer_addr(near.0).expect("an address"), addr);
    // A fresh connection on either end blocks in the driver, not with EAGAIN.
    let (mut left, mut right) = ([0; 2], [0; 2]);
    rig.recv(&near, &mut left, 3);
    rig.recv(&far, &mut right, 4);
    assert_eq!(rig.tick(), []);
    rig.send(&near, b"ab", 5);
    rig.send(&far, b"cd", 6);
    assert_eq!(rig.finish(), [(3, 2), (4, 2), (5, 2), (6, 2)]);
    assert_eq!((&left, &right), (b"cd", b"ab"));
}

fn a_refused_connection_tells_so(kind: Kind) {
    let (listener, addr) = listener();
    drop(listener);
    let mut rig = Rig::new(kind);
    let near = match Io::connect(addr) {
        Ok(near) => Socket(near),
        Err(error) => return assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED)),
    };
    rig.poll(&near, Interest::Writable, 1);
    assert_eq!(rig.result(), 0);
    let error = Io::take_error(near.0).expect_err("nobody listens");
    assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
}

fn a_cancelled_recv_completes_once(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    let mut buffer = [7; 4];
    rig.recv(&near, &mut buffer, 1);
    assert_eq!(rig.tick(), []);
    rig.cancel(1);
    rig.cancel(1);
    assert_eq!(rig.result(), -libc::ECANCELED);
    send_all(far.0, b"late");
    ready(near.0, Interest::Readable);
    assert_eq!(rig.tick(), []);
    assert_eq!(buffer, [7; 4], "nothing was written after the completion");
    assert_eq!(receive(near.0, 4), b"late");
}

fn a_cancelled_poll_completes_once(kind: Kind) {
    let (near, _far) = pair();
    let mut rig = Rig::new(kind);
    rig.poll(&near, Interest::Readable, 1);
    assert_eq!(rig.tick(), []);
    rig.cancel(1);
    assert_eq!(rig.result(), -libc::ECANCELED);
    assert_eq!(rig.tick(), []);
}

fn a_cancel_before_the_submission_reached_the_kernel_counts(kind: Kind) {
    let (near, _far) = pair();
    let mut rig = Rig::new(kind);
    let mut buffer = [0; 4];
    rig.recv(&near, &mut buffer, 1);
    rig.poll(&near, Interest::Readable, 2);
    rig.cancel(2);
    rig.cancel(1);
    let cancelled = -libc::ECANCELED;
    assert_eq!(rig.finish(), [(1, cancelled), (2, cancelled)]);
}

fn a_cancel_after_the_completion_is_harmless(kind: Kind) {
    let (near, far) = pair();
    send_all(far.0, b"ab");
    ready(near.0, Interest::Readable);
    let mut rig = Rig::new(kind);
    let mut buffer = [0; 2];
    rig.recv(&near, &mut buffer, 1);
    assert_eq!(rig.result(), 2);
    rig.cancel(1);
    assert_eq!(rig.tick(), []);
    rig.cancel(99);
    assert_eq!(rig.tick(), []);
}

fn a_token_can_be_used_again_after_a_late_cancel(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    let mut buffer = [0; 1];
    for round in 0..100 {
        send_all(far.0, &[round]);
        ready(near.0, Interest::Readable);
        rig.recv(&near, &mut buffer, 1);
        assert_eq!(rig.result(), 1);
        rig.cancel(1);
        // The cancel is of the operation before, and must not meet this one.
        rig.recv(&near, &mut buffer, 1);
        assert_eq!(rig.tick(), []);
        send_all(far.0, &[round]);
        assert_eq!(rig.result(), 1);
        assert_eq!(buffer, [round]);
    }
}

fn a_shutdown_ends_what_is_in_flight(kind: Kind) {
    let (near, _far) = pair();
    let mut rig = Rig::new(kind);
    let mut buffer = [0; 4];
    rig.recv(&near, &mut buffer, 1);
    assert_eq!(rig.tick(), []);
    Io::shutdown(near.0, Shutdown::Both).expect("it is connected");
    assert_eq!(rig.result(), 0);
}

fn a_number_that_is_used_again_is_another_socket(kind: Kind) {
    let mut rig = Rig::new(kind);
    for round in 0..50 {
        let (near, far) = pair();
        let mut buffer = [0; 2];
        // A cancelled operation leaves the kernel's registration armed.
        rig.recv(&near, &mut buffer, 1);
        rig.poll(&near, Interest::Writable, 2);
        assert_eq!(rig.wait(Some(patience())), [(2, 0)]);
        rig.cancel(1);
        assert_eq!(rig.result(), -libc::ECANCELED);
        rig.recv(&near, &mut buffer, 3);
        assert_eq!(rig.tick(), []);
        send_all(far.0, &[round, round]);
        assert_eq!(rig.result(), 2);
        assert_eq!(buffer, [round; 2]);
    }
}

/// A stream of numbered bytes through sockets whose reads are cancelled at random: every byte
/// arrives once and in order.
fn random_traffic_with_cancels_loses_nothing(kind: Kind) {
    const SOCKETS: usize = 8;
    const BYTES: usize = 4_000;
    let mut random = Random(0x5eed);
    let mut rig = Rig::with_entries(kind, 4);
    let pairs: Vec<_> = (0..SOCKETS).map(|_| pair()).collect();
    let mut buffers = vec![[0_u8; 64]; SOCKETS];
    let (mut sent, mut received) = ([0; SOCKETS], [0; SOCKETS]);
    let mut reading = [false; SOCKETS];
    while received.iter().sum::<usize>() < SOCKETS * BYTES {
        let index = random.below(SOCKETS);
        let (near, far) = &pairs[index];
        let mut done = match random.below(6) {
            0 | 1 => {
                let count = random.below(100).min(BYTES - sent[index]);
                let bytes: Vec<_> = (0..count).map(|at| (sent[index] + at) as u8).collect();
                send_all(far.0, &bytes);
                sent[index] += count;
                Vec::new()
            }
            2 | 3 if !reading[index] && received[index] < BYTES => {
                reading[index] = true;
                let length = 1 + random.below(64);
                rig.recv(near, &mut buffers[index][..length], index as u64);
                Vec::new()
            }
            4 => {
                rig.cancel(index as u64);
                Vec::new()
            }
            _ => rig.tick(),
        };
        done.extend(rig.tick());
        for (token, result) in done {
            let index = token as usize;
            reading[index] = false;
            if result == -libc::ECANCELED {
                continue;
            }
            let count = usize::try_from(result).expect("a count");
            for byte in &buffers[index][..count] {
                assert_eq!(*byte, received[index] as u8);
                received[index] += 1;
            }
        }
    }
    assert_eq!(received, [BYTES; SOCKETS]);
    (0..SOCKETS as u64).for_each(|token| rig.cancel(token));
    rig.finish();
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
