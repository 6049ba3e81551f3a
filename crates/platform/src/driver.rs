//! Input and output: submissions and completions.
//!
//! A driver belongs to one worker: it is made, used and dropped on that worker's thread. The
//! worker [submits](Driver::submit) operations under a [`Token`] of its choice, and gets exactly
//! one [`Completion`] for each, also for one that it [cancelled](Driver::cancel). The memory that
//! an operation names belongs to the driver until then. Sleeping is the driver's business too:
//! [`wait`](Driver::wait) returns when something completed, the deadline has come, or somebody
//! [notified](Notify::notify) it.
//!
//! What needs no waiting (making sockets, a read that must not block) are associated functions
//! and callable from any thread. So is [`block_on`](Driver::block_on), which does any operation
//! while the calling thread waits.
//!
//! # Files
//!
//! A [write](Op::WriteAt) that has completed is in the system's memory; after a crash of the
//! machine it may be there, or not, or in part. It lasts when a later [`Sync`](Op::Sync) of the
//! same file has succeeded. A name lasts when its directory was synced: after a file was made,
//! [renamed](Op::Rename) or removed, open the directory and sync that. A sync that failed tells
//! once that writes were lost; the next one may succeed although they are. Never repeat it: what
//! was written since the last sync that succeeded is in doubt.

use core::ffi::c_char;
use std::io;

pub use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

use crate::time::Instant;

/// Names an operation in flight. The submitter chooses it: an address or a small number. The
/// values from [`Token::RESERVED`] up belong to the driver, which marks its own operations there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

impl Token {
    /// The first value that a submitter must not use.
    pub const RESERVED: u64 = 1 << 62;
}

/// A kernel object: a file descriptor in production, a number in a simulation. Not owned: whoever
/// made it calls [`Driver::close`] once, when no operation on it is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub i32);

/// What readiness to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Data, an incoming connection, the end of the stream, or an error is there.
    Readable,
    /// There is room, the connection stands, or an error is there.
    Writable,
}

/// An operation. Its result is a [`Completion`].
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// Waits for readiness; the result is 0.
    Poll {
        /// The socket.
        handle: Handle,
        /// What to wait for.
        interest: Interest,
    },
    /// Receives into `buffer`; the result is the number of bytes, 0 at the end of the stream.
    Recv {
        /// The socket.
        handle: Handle,
        /// Where to put the bytes.
        buffer: *mut u8,
        /// How many fit.
        length: u32,
    },
    /// Sends from `buffer`; the result is the number of bytes taken. Never raises SIGPIPE.
    Send {
        /// The socket.
        handle: Handle,
        /// Where the bytes are.
        buffer: *const u8,
        /// How many there are.
        length: u32,
    },
    /// Opens a file; the result is its handle. It is not passed on to programs that are executed.
    Open {
        /// The name, ended by a zero byte; relative to the working directory.
        path: *const c_char,
        /// For what.
        options: OpenOptions,
    },
    /// Reads from a file into `buffer`; the result is the number of bytes, 0 only at its end.
    ReadAt {
        /// The file.
        handle: Handle,
        /// Where to put the bytes.
        buffer: *mut u8,
        /// How many fit.
        length: u32,
        /// Where in the file to begin, in bytes; below 2^63.
        offset: u64,
    },
    /// Writes to a file from `buffer`; the result is the number of bytes taken, fewer if the disk
    /// is full or a limit reached. A file that is open for [append](OpenOptions::append) takes
    /// them at its end, whatever `offset` says.
    WriteAt {
        /// The file.
        handle: Handle,
        /// Where the bytes are.
        buffer: *const u8,
        /// How many there are.
        length: u32,
        /// Where in the file to begin, in bytes; below 2^63.
        offset: u64,
    },
    /// Writes at the end of a file that is open for [append](OpenOptions::append); the result is
    /// the number of bytes taken.
    Append {
        /// The file.
        handle: Handle,
        /// Where the bytes are.
        buffer: *const u8,
        /// How many there are.
        length: u32,
    },
    /// Waits until what was written to a file lasts (fsync); the result is 0. Also for a directory,
    /// whose names are what lasts then.
    Sync {
        /// The file.
        handle: Handle,
        /// Whether its times may be left out (fdatasync). Its length is always kept.
        data_only: bool,
    },
    /// Cuts a file, or fills it up with zeros; the result is 0.
    SetLength {
        /// The file.
        handle: Handle,
        /// In bytes; below 2^63.
        length: u64,
    },
    /// Gives a file another name, in place of the file that has it, at once; the result is 0.
    Rename {
        /// The name that it has, ended by a zero byte.
        from: *const c_char,
        /// The name that it gets, ended by a zero byte.
        to: *const c_char,
    },
    /// Removes a name, and the file with its last one; the result is 0. Not for directories.
    Remove {
        /// The name, ended by a zero byte.
        path: *const c_char,
    },
}

impl Op {
    /// Whether it is on a file or on a name. Such an operation waits for the disk and for nobody
    /// else; once it has begun, a [cancel](Driver::cancel) does not end it early.
    pub fn is_on_files(&self) -> bool {
        !matches!(self, Self::Poll { .. } | Self::Recv { .. } | Self::Send { .. })
    }
}

/// What a file is [opened](Op::Open) for. The names mean what they mean in std's `OpenOptions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpenOptions {
    /// Reading.
    pub read: bool,
    /// Writing anywhere.
    pub write: bool,
    /// Writing at the end, wherever that is at the moment of the write.
    pub append: bool,
    /// Makes it empty. Needs `write`.
    pub truncate: bool,
    /// Makes the file if it is not there. Needs `write` or `append`.
    pub create: bool,
    /// Makes the file, and fails if it is there. Needs `write` or `append`; `create` and
    /// `truncate` have no effect then.
    pub create_new: bool,
    /// Fails if it is no directory. To [sync](Op::Sync) it: only with `read`, and nothing else.
    pub directory: bool,
    /// Who may do what with a file that is made, less the process's umask.
    pub mode: u32,
}

impl OpenOptions {
    /// For nothing yet; a file that is made is for everybody to read and write, less the umask.
    pub const NONE: Self = Self {
        read: false,
        write: false,
        append: false,
        truncate: false,
        create: false,
        create_new: false,
        directory: false,
        mode: 0o666,
    };

    /// Whether they make sense together. What does not is refused with `EINVAL`, everywhere alike.
    pub fn are_valid(&self) -> bool {
        let writes = self.write || self.append;
        let makes = self.create || self.create_new;
        (writes || self.read && !makes)
            && (!self.truncate || self.create_new || (self.write && !self.append))
            && !(self.directory && (writes || makes || self.truncate))
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::NONE
    }
}

/// The end of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The operation's.
    pub token: Token,
    /// As the kernel gives it: 0 or more on success, a negated errno otherwise.
    pub result: i32,
}

impl Completion {
    /// Whether the operation ended because it was [cancelled](Driver::cancel).
    pub fn is_cancelled(self) -> bool {
        self.result == -libc::ECANCELED
    }

    /// The result as std has it, errno kept.
    ///
    /// # Errors
    /// The operation's own.
    pub fn into_result(self) -> io::Result<u32> {
        u32::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

/// Which driver to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// io_uring where the kernel allows it, else epoll.
    #[default]
    Probe,
    /// io_uring or an error.
    Uring,
    /// epoll.
    Epoll,
}

/// How to make a driver.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Which one.
    pub kind: Kind,
    /// Operations that one entry into the kernel can submit; a power of two.
    pub entries: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { kind: Kind::Probe, entries: 256 }
    }
}

/// Ends a driver's [`wait`](Driver::wait), from any thread.
pub trait Notify: Send + Sync + 'static {
    /// Makes the driver's current or next `wait` return at once. Several count as one.
    #[track_caller]
    fn notify(&self);
}

/// A signal that a program can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A polite request to end.
    Terminate,
}

/// Submits I/O and hands back its completions. See the [module](self).
pub trait Driver: Sized + 'static {
    /// Wakes this driver.
    type Notifier: Notify;

    /// A driver for the calling thread.
    ///
    /// # Errors
    /// The kernel's, with what to do about it.
    fn new(config: &Config) -> io::Result<Self>;

    /// `"io_uring"`, `"epoll"`, …
    fn name(&self) -> &'static str;

    /// What wakes this driver; callable while it waits.
    fn notifier(&self) -> Self::Notifier;

    /// Begins an operation. It may reach the kernel only at the next [`tick`](Driver::tick) or
    /// [`wait`](Driver::wait). Several in flight on one handle are served in no particular order
    /// (io_uring takes the last one first): who cares for the order of bytes keeps to one
    /// [`Recv`](Op::Recv) and one [`Send`](Op::Send) at a time. That holds for files too: a
    /// [`Sync`](Op::Sync) covers the writes that have completed when it is submitted.
    ///
    /// # Safety
    /// The memory that `op` names stays valid and unused until the completion; `token` is not in
    /// flight already.
    #[track_caller]
    unsafe fn submit(&mut self, op: Op, token: Token);

    /// Asks for the early end of an operation. Its completion comes all the same, with its own
    /// result or `-ECANCELED`. Nothing happens if it has completed already.
    #[track_caller]
    fn cancel(&mut self, token: Token);

    /// Wakes another driver, in the way that is cheapest from this one.
    #[track_caller]
    fn notify_other(&mut self, other: &Self::Notifier) {
        other.notify();
    }

    /// Submits what waits and collects what completed, without blocking. Cheap when there is
    /// neither.
    #[track_caller]
    fn tick(&mut self, completions: &mut Vec<Completion>);

    /// As [`tick`](Driver::tick), but blocks until a completion, a notification or `deadline`.
    /// May return early.
    #[track_caller]
    fn wait(&mut self, deadline: Option<Instant>, completions: &mut Vec<Completion>);

    /// Cancels all operations and blocks until each has completed: before the driver is dropped,
    /// which would do the same and throw the completions away.
    #[track_caller]
    fn end(&mut self, completions: &mut Vec<Completion>);

    /// Operations submitted and not yet completed.
    fn in_flight(&self) -> usize;

    /// A TCP socket that listens on `addr` (with SO_REUSEADDR, as std's does).
    ///
    /// # Errors
    /// The kernel's.
    fn listen(addr: SocketAddr, backlog: u32) -> io::Result<Handle>;

    /// Takes a waiting connection, without blocking.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    #[track_caller]
    fn accept(listener: Handle) -> io::Result<(Handle, SocketAddr)>;

    /// Begins a TCP connection. When the socket is writable,
    /// [`take_error`](Driver::take_error) tells how it went.
    ///
    /// # Errors
    /// The kernel's, if it refuses at once.
    #[track_caller]
    fn connect(addr: SocketAddr) -> io::Result<Handle>;

    /// The socket's pending error.
    ///
    /// # Errors
    /// That error.
    #[track_caller]
    fn take_error(handle: Handle) -> io::Result<()>;

    /// Receives without blocking.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    #[track_caller]
    fn recv(handle: Handle, buffer: &mut [u8]) -> io::Result<usize>;

    /// Looks at what is there without taking it, without blocking.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    #[track_caller]
    fn peek(handle: Handle, buffer: &mut [u8]) -> io::Result<usize>;

    /// Sends without blocking and without SIGPIPE.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room.
    #[track_caller]
    fn send(handle: Handle, buffer: &[u8]) -> io::Result<usize>;

    /// Ends one or both directions. Operations in flight complete.
    ///
    /// # Errors
    /// The kernel's.
    #[track_caller]
    fn shutdown(handle: Handle, how: Shutdown) -> io::Result<()>;

    /// The socket's own address.
    ///
    /// # Errors
    /// The kernel's.
    fn local_addr(handle: Handle) -> io::Result<SocketAddr>;

    /// The other end's address.
    ///
    /// # Errors
    /// The kernel's.
    fn peer_addr(handle: Handle) -> io::Result<SocketAddr>;

    /// Turns Nagle's algorithm off or on.
    ///
    /// # Errors
    /// The kernel's.
    fn set_nodelay(handle: Handle, on: bool) -> io::Result<()>;

    /// Whether Nagle's algorithm is off.
    ///
    /// # Errors
    /// The kernel's.
    fn nodelay(handle: Handle) -> io::Result<bool>;

    /// Gives the object back.
    #[track_caller]
    fn close(handle: Handle);

    /// Blocks the calling *thread* until the handle is ready; `false` if `deadline` came first.
    /// For threads that have no driver.
    ///
    /// # Errors
    /// The kernel's.
    #[track_caller]
    fn block_until_ready(
        handle: Handle,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> io::Result<bool>;

    /// Does an operation while the calling *thread* waits; the result is as in a [`Completion`].
    /// For threads that have no driver.
    ///
    /// # Safety
    /// The memory that `op` names is valid, and nobody else uses it.
    #[track_caller]
    unsafe fn block_on(op: Op) -> i32;

    /// The length of a file, in bytes.
    ///
    /// # Errors
    /// The kernel's.
    fn file_length(handle: Handle) -> io::Result<u64>;

    /// A handle that becomes readable when the process gets `signal`, from now on instead of the
    /// signal's default effect. Each call gives a handle of its own, to be [closed](Driver::close).
    ///
    /// # Errors
    /// The kernel's.
    fn signal(signal: Signal) -> io::Result<Handle>;

    /// Takes what a [`signal`](Driver::signal) handle has to say: whether the signal came since the
    /// last call.
    ///
    /// # Errors
    /// The kernel's.
    fn take_signal(handle: Handle) -> io::Result<bool>;
}
