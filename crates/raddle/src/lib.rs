//! A runtime of fibers and async tasks whose every source of nondeterminism is a trait.
//!
//! Write ordinary blocking code; a fiber that waits costs a few kilobytes, not a thread:
//!
//! ```
//! use raddle::net::{Shutdown, TcpListener, TcpStream};
//! use std::io::{self, Read, Write};
//!
//! fn main() -> io::Result<()> {
//!     raddle::run(|| {
//!         let listener = TcpListener::bind("127.0.0.1:0")?;
//!         let address = listener.local_addr()?;
//!         let server = raddle::spawn(move || -> io::Result<u64> {
//!             let (stream, _) = listener.accept()?; // parks this fiber only
//!             io::copy(&mut &stream, &mut &stream)
//!         });
//!         let mut client = TcpStream::connect(address)?;
//!         client.write_all(b"hello")?;
//!         client.shutdown(Shutdown::Write)?;
//!         let mut echoed = String::new();
//!         client.read_to_string(&mut echoed)?;
//!         assert_eq!((echoed.as_str(), server.join().unwrap()?), ("hello", 5));
//!         Ok(())
//!     })
//! }
//! ```
//!
//! # Two faces
//!
//! The items of this crate are for programs that only run: no type has a platform parameter.
//! [`on`] has the same items for code that is also to be tested: there they take a
//! `P: `[`Platform`](on::Platform), and a harness runs the very same code in another world. The
//! page [`make_your_program_testable`] turns one into the other.
//!
//! | | here | for testable code |
//! |---|---|---|
//! | tasks | [`spawn`], [`spawn_async`], [`scope`], [`task`] | [`on::spawn`], … |
//! | locks | [`sync`] | [`on::Mutex`], … |
//! | cells, snapshots, transactions | [`versioned`] | [`on::Versioned`], … |
//! | channels, broadcast, watched values | [`stream`] | [`on::stream`] |
//! | time | [`time`] | [`on::sleep`], … |
//! | TCP | [`net`] | [`on::net`] |
//! | files | [`fs`] | [`on::fs`] |
//! | signals | [`signal`] | [`on::signal`] |
//! | the runtime itself | [`runtime`] | [`on::Runtime`] |

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod fs;
pub mod net;
pub mod on;
pub mod runtime;
pub mod signal;
pub mod stream;
pub mod sync;
pub mod task;
pub mod time;
pub mod versioned;

#[doc = include_str!("../../../docs/testable.md")]
pub mod make_your_program_testable {}

pub use raddle_runtime::is_cancelled_error;
pub use task::{Cancelled, block_on, scope, spawn, spawn_async, yield_now};

/// Runs `main` in a fiber of a runtime with the default settings (see
/// [`runtime::Builder`]), and shuts the runtime down when it returns.
///
/// # Panics
/// If the runtime cannot start, with what to do about it; and with what `main` panicked with.
pub fn run<F, T>(main: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let runtime = match runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => panic!("the runtime does not start: {error}"),
    };
    match runtime.run(main) {
        Ok(value) => value,
        Err(error) => error.resume(),
    }
}
