//! Why io_uring is not to be had, and what to do about it.

use std::error::Error;
use std::{fmt, io};

/// The system-wide switch, which is missing on older kernels.
const SWITCH: &str = "/proc/sys/kernel/io_uring_disabled";

/// The kernel refuses io_uring, or has one that is too old. It is inside the [`io::Error`] that a
/// driver of [`Kind::Uring`](crate::driver::Kind::Uring) gives; its
/// [source](Error::source) is the kernel's own error, errno kept.
#[derive(Debug)]
pub struct UringRefused {
    step: &'static str,
    advice: &'static str,
    cause: io::Error,
}

impl UringRefused {
    /// The call `step` failed with `cause`.
    pub(super) fn new(step: &'static str, cause: io::Error) -> Self {
        let advice = match cause.raw_os_error() {
            Some(libc::ENOSYS) => {
                "the kernel has no io_uring, or a sandbox hides it: use Linux 5.19 or later and \
                 let the seccomp profile allow io_uring_setup, io_uring_enter and \
                 io_uring_register"
            }
            Some(libc::EPERM | libc::EACCES) => {
                forbidden(&std::fs::read_to_string(SWITCH).unwrap_or_default())
            }
            Some(libc::ENOMEM) => {
                "not enough memory for the rings: raise the locked-memory limit (ulimit -l) or \
                 ask for fewer Config::entries"
            }
            Some(libc::EMFILE | libc::ENFILE) => {
                "no file descriptor is left: raise the limit of open files (ulimit -n)"
            }
            _ => "the kernel's io_uring is too old: use Linux 5.19 or later",
        };
        Self { step, advice, cause }
    }

    /// The kernel lacks what `step` needs.
    pub(super) fn too_old(step: &'static str) -> Self {
        Self::new(step, io::Error::from_raw_os_error(libc::EINVAL))
    }

    /// The kernel's own error.
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

/// Who forbids it: the system-wide switch (since Linux 6.6), or a filter of system calls.
fn forbidden(switch: &str) -> &'static str {
    match switch.trim() {
        "2" => {
            "io_uring is switched off on this machine: sysctl kernel.io_uring_disabled=0 switches \
             it on"
        }
        "1" => {
            "io_uring is for privileged processes on this machine: sysctl \
             kernel.io_uring_disabled=0 opens it to all, kernel.io_uring_group to one group"
        }
        _ => {
            "a seccomp profile or security module forbids io_uring: let it allow io_uring_setup, \
             io_uring_enter and io_uring_register"
        }
    }
}

impl fmt::Display for UringRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, advice, cause } = self;
        write!(f, "no io_uring ({step}: {cause}): {advice}; or choose Kind::Epoll")
    }
}

impl Error for UringRefused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl From<UringRefused> for io::Error {
    fn from(refused: UringRefused) -> Self {
        Self::new(refused.cause.kind(), refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_fits_the_reason() {
        let advice =
            |errno| UringRefused::new("io_uring_setup", io::Error::from_raw_os_error(errno)).advice;
        assert!(advice(libc::ENOSYS).contains("Linux 5.19"));
        assert!(advice(libc::EINVAL).contains("too old"));
        assert!(advice(libc::ENOMEM).contains("ulimit -l"));
        assert!(advice(libc::EMFILE).contains("ulimit -n"));
        assert!(forbidden("2\n").contains("switched off"));
        assert!(forbidden("1\n").contains("io_uring_group"));
        assert!(forbidden("0\n").contains("seccomp"));
        assert!(forbidden("").contains("seccomp"));
    }

    #[test]
    fn an_io_error_keeps_kind_and_cause() {
        let refused = UringRefused::new("step", io::Error::from_raw_os_error(libc::EPERM));
        let error = io::Error::from(refused);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let cause = error.get_ref().and_then(|refused| refused.source());
        let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(cause.and_then(io::Error::raw_os_error), Some(libc::EPERM));
    }
}
