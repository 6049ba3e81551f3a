//! A driver that sleeps and can be woken, and has no I/O.
//!
//! It has a [token](crate::token) of its own, so a wait on the driver neither takes nor leaves the
//! thread's parking token. What would reach the kernel answers
//! [`Unsupported`](io::ErrorKind::Unsupported), and a submitted operation completes with
//! `EOPNOTSUPP`: a scenario that needs sockets says so, and this harness leaves it out.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use raddle_platform::driver::{
    Completion, Config, Driver, Handle, Interest, Notify, Op, Signal, Token as OpToken,
};
use raddle_platform::{Instant, Platform};

use crate::Loom;
use crate::history::Effect;
use crate::token::Token;
use crate::world::{Kind, Step};

/// See the [module](self).
pub struct LoomDriver {
    token: Arc<Token>,
    /// The ends of operations that were submitted, refused on the spot.
    refused: Vec<Completion>,
}

/// Ends a driver's wait.
pub struct LoomNotifier(Arc<Token>);

/// `EOPNOTSUPP` on Linux, as a completion carries it.
const UNSUPPORTED: i32 = -95;

fn unsupported<T>() -> io::Result<T> {
    let message = "the Loom platform has no I/O: run this scenario under the simulator";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

impl Notify for LoomNotifier {
    fn notify(&self) {
        let step = Step::plain(Kind::Driver, "notify", None);
        self.0.wake();
        step.end(Effect::Done);
    }
}

impl Driver for LoomDriver {
    type Notifier = LoomNotifier;

    fn new(_: &Config) -> io::Result<Self> {
        Ok(Self { token: Arc::new(Token::new()), refused: Vec::new() })
    }

    fn name(&self) -> &'static str {
        "loom"
    }

    fn notifier(&self) -> LoomNotifier {
        LoomNotifier(Arc::clone(&self.token))
    }

    unsafe fn submit(&mut self, _: Op, token: OpToken) {
        self.refused.push(Completion { token, result: UNSUPPORTED });
    }

    // Everything has completed by the time that it could be cancelled.
    fn cancel(&mut self, _: OpToken) {}

    fn tick(&mut self, completions: &mut Vec<Completion>) {
        let batch = self.refused.len().min(Loom::BOUNDS.completion_batch);
        completions.extend(self.refused.drain(..batch));
    }

    fn wait(&mut self, deadline: Option<Instant>, completions: &mut Vec<Completion>) {
        if !self.refused.is_empty() {
            return self.tick(completions);
        }
        let step = Step::plain(Kind::Driver, "wait", None);
        let woken = match deadline {
            None => {
                self.token.park();
                true
            }
            Some(deadline) => {
                // A use of the clock too.
                Step::plain(Kind::Clock, "wait until", None)
                    .end(Effect::Value(deadline.as_nanos()));
                self.token.park_until(deadline)
            }
        };
        step.end(Effect::Value(u64::from(woken)));
    }

    fn end(&mut self, completions: &mut Vec<Completion>) {
        self.tick(completions);
    }

    fn in_flight(&self) -> usize {
        self.refused.len()
    }

    fn listen(_: SocketAddr, _: u32) -> io::Result<Handle> {
        unsupported()
    }
    fn accept(_: Handle) -> io::Result<(Handle, SocketAddr)> {
        unsupported()
    }
    fn connect(_: SocketAddr) -> io::Result<Handle> {
        unsupported()
    }
    fn take_error(_: Handle) -> io::Result<()> {
        unsupported()
    }
    fn recv(_: Handle, _: &mut [u8]) -> io::Result<usize> {
        unsupported()
    }
    fn peek(_: Handle, _: &mut [u8]) -> io::Result<usize> {
        unsupported()
    }
    fn send(_: Handle, _: &[u8]) -> io::Result<usize> {
        unsupported()
    }
    fn shutdown(_: Handle, _: Shutdown) -> io::Result<()> {
        unsupported()
    }
    fn local_addr(_: Handle) -> io::Result<SocketAddr> {
        unsupported()
    }
    fn peer_addr(_: Handle) -> io::Result<SocketAddr> {
        unsupported()
    }
    fn set_nodelay(_: Handle, _: bool) -> io::Result<()> {
        unsupported()
    }
    fn nodelay(_: Handle) -> io::Result<bool> {
        unsupported()
    }
    fn close(_: Handle) {}
    fn block_until_ready(_: Handle, _: Interest, _: Option<Instant>) -> io::Result<bool> {
        unsupported()
    }
    fn signal(_: Signal) -> io::Result<Handle> {
        unsupported()
    }
    fn take_signal(_: Handle) -> io::Result<bool> {
        unsupported()
    }
}
