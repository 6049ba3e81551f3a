//! The world of production, as the lists of properties need it.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use raddle_platform::driver::{Config, Handle, Kind};
use raddle_platform::{Driver, Native, Platform};

pub(crate) type World = Native;
pub(crate) type Io = <World as Platform>::Driver;

/// The length of a file that is not read at once.
pub(crate) const LARGE: usize = 1 << 20;

/// Whether this machine has the driver; says so if not.
pub(crate) fn available(kind: Kind) -> bool {
    match Io::new(&Config { kind, ..Config::default() }) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("left out: {error}");
            assert_eq!(kind, Kind::Uring, "every Linux has epoll");
            false
        }
    }
}

/// Runs each property over each driver, under the name `<driver>::<property>`.
macro_rules! over_all_drivers {
    ($($property:ident,)*) => {
        mod io_uring {
            use raddle_platform::driver::Kind;
            $(#[test]
            fn $property() {
                if crate::world::available(Kind::Uring) {
                    super::$property(Kind::Uring);
                }
            })*
        }
        mod epoll {
            use raddle_platform::driver::Kind;
            $(#[test]
            fn $property() {
                if crate::world::available(Kind::Epoll) {
                    super::$property(Kind::Epoll);
                }
            })*
        }
    };
}
pub(crate) use over_all_drivers;

/// Properties of threads that have no driver.
macro_rules! without_a_driver {
    ($($property:ident,)*) => {
        mod no_driver {
            $(#[test]
            fn $property() {
                super::$property();
            })*
        }
    };
}
pub(crate) use without_a_driver;

/// What a driver of that kind calls itself.
pub(crate) fn name(kind: Kind) -> &'static str {
    if kind == Kind::Uring { "io_uring" } else { "epoll" }
}

/// Runs both at the same time.
pub(crate) fn beside(other: impl FnOnce() + Send, this: impl FnOnce()) {
    std::thread::scope(|threads| {
        threads.spawn(other);
        this();
    });
}

/// Lets others run.
pub(crate) fn yield_now() {
    std::thread::yield_now();
}

pub(crate) fn check_closed_on_exec(handle: Handle) {
    // SAFETY: takes no pointers.
    let flags = unsafe { libc::fcntl(handle.0, libc::F_GETFD) };
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
}

/// A number that no descriptor has.
pub(crate) fn closed() -> Handle {
    // SAFETY: takes no pointers.
    let is_closed = |fd: &i32| unsafe { libc::fcntl(*fd, libc::F_GETFD) } < 0;
    Handle((5_000..).find(is_closed).expect("no process has them all"))
}

/// A directory of the test's own, removed at the end.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("raddle-files-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn itself(&self) -> CString {
        c_path(&self.0)
    }

    pub(crate) fn path(&self, name: &str) -> CString {
        c_path(&self.0.join(name))
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).expect("the file is there")
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).expect("room");
    }

    /// The names in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let all = std::fs::read_dir(&self.0).expect("it is there");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("readable").file_name();
        all.map(|entry| name(entry).to_string_lossy().into_owned()).collect()
    }

    pub(crate) fn check_mode(&self, name: &str, mode: u32) {
        let metadata = std::fs::metadata(self.0.join(name)).expect("it is there");
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
    }

    /// An empty file on a disk without room.
    pub(crate) fn full(&self) -> CString {
        c_path(Path::new("/dev/full"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no zero in it")
}
