//! What happens on a kernel that refuses some system calls: seccomp filters, on threads of their
//! own, play that kernel.

use std::thread;
use std::time::Duration;

use crate::support::{Io, Rig, now};
use crate::world::available;
use raddle_platform::Driver;
use raddle_platform::driver::{Config, Kind};
use raddle_platform::native::driver::UringRefused;

/// Makes `call` fail with `errno` on the calling thread, for good. `false` if this machine allows
/// no filters.
fn refuse(call: libc::c_long, errno: i32) -> bool {
    let code = |parts: u32| u16::try_from(parts).expect("16 bits");
    let statement = |parts, k| libc::sock_filter { code: code(parts), jt: 0, jf: 0, k };
    let load = statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0);
    let equal = code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
    let test = libc::sock_filter { code: equal, jt: 0, jf: 1, k: call as u32 };
    let fail = statement(libc::BPF_RET, libc::SECCOMP_RET_ERRNO | errno as u32);
    let allow = statement(libc::BPF_RET, libc::SECCOMP_RET_ALLOW);
    let mut filter = [load, test, fail, allow];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: takes no pointers.
    let promised = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program is valid, and copied by the kernel.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) };
    promised == 0 && set == 0
}

/// Runs `test` on a thread on which `call` fails with `errno`.
fn without(call: libc::c_long, errno: i32, test: fn(errno: i32)) {
    let tested = thread::spawn(move || {
        if refuse(call, errno) {
            test(errno);
        } else {
            eprintln!("left out: no seccomp filters here");
        }
    });
    if let Err(panic) = tested.join() {
        std::panic::resume_unwind(panic);
    }
}

fn io_uring_is_refused(errno: i32) {
    let error = Io::new(&Config { kind: Kind::Uring, ..Config::default() }).expect_err("refused");
    let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<UringRefused>());
    let refused = refused.expect("the error says who refused");
    assert_eq!(refused.cause().raw_os_error(), Some(errno));
    let message = error.to_string();
    assert!(message.contains("Kind::Epoll"), "{message}");
    assert!(message.contains("io_uring_setup"), "{message}");
    let driver = Io::new(&Config::default()).expect("probing goes on to epoll");
    assert_eq!(driver.name(), "epoll");
}

#[test]
fn a_kernel_without_io_uring_gets_epoll() {
    if available(Kind::Uring) {
        without(libc::SYS_io_uring_setup, libc::ENOSYS, io_uring_is_refused);
        without(libc::SYS_io_uring_setup, libc::EPERM, io_uring_is_refused);
    }
}

#[test]
fn a_filter_that_lets_only_the_setup_pass_is_noticed() {
    if available(Kind::Uring) {
        without(libc::SYS_io_uring_register, libc::EPERM, io_uring_is_refused);
        without(libc::SYS_io_uring_enter, libc::EPERM, io_uring_is_refused);
    }
}

#[test]
fn a_kernel_without_epoll_pwait2_still_keeps_deadlines() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        without(libc::SYS_epoll_pwait2, errno, |_| {
            let mut rig = Rig::new(Kind::Epoll);
            for delay_us in [0, 1, 999, 1_001, 3_000] {
                let deadline = now() + Duration::from_micros(delay_us);
                assert_eq!(rig.wait(Some(deadline)), []);
                assert!(now() >= deadline, "it returned before {delay_us} us were over");
            }
        });
    }
}
