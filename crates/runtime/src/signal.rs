//! Waiting for signals.

use core::fmt;
use std::io;

use raddle_ownership::Arc;
use raddle_platform::driver::Interest;
pub use raddle_platform::driver::Signal;
use raddle_platform::{Driver, Native, Platform};

use crate::io::{Readiness, Socket, retry_blocking};

/// Catches a signal from its making on, instead of the signal's default effect.
///
/// ```no_run
/// use raddle_runtime::{Native, signal};
/// // In a fiber: serve until ctrl-C.
/// signal::ctrl_c::<Native>()?.wait()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct SignalStream<P: Platform = Native> {
    socket: Arc<Socket<P>, P>,
}

/// Catches ctrl-C (SIGINT).
///
/// # Errors
/// The kernel's.
pub fn ctrl_c<P: Platform>() -> io::Result<SignalStream<P>> {
    catch(Signal::Interrupt)
}

/// Catches the polite request to end (SIGTERM).
///
/// # Errors
/// The kernel's.
pub fn terminate<P: Platform>() -> io::Result<SignalStream<P>> {
    catch(Signal::Terminate)
}

fn catch<P: Platform>(signal: Signal) -> io::Result<SignalStream<P>> {
    Ok(SignalStream { socket: Socket::new(P::Driver::signal(signal)?) })
}

impl<P: Platform> SignalStream<P> {
    fn try_take(&self) -> io::Result<()> {
        match P::Driver::take_signal(self.socket.handle)? {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Waits for the signal, suspending the calling fiber or thread. Several that came meanwhile
    /// count as one. A cancellation point.
    ///
    /// # Errors
    /// The kernel's, and [cancellation](crate::is_cancelled_error).
    pub fn wait(&self) -> io::Result<()> {
        let handle = self.socket.handle;
        retry_blocking::<P, _>(handle, Interest::Readable, None, || self.try_take())
    }

    /// Waits for the signal without blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn wait_async(&self) -> io::Result<()> {
        loop {
            match self.try_take() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            Readiness::new(&self.socket, Interest::Readable).await?;
        }
    }
}

impl<P: Platform> fmt::Debug for SignalStream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalStream").finish_non_exhaustive()
    }
}

impl<P: Platform> Drop for SignalStream<P> {
    fn drop(&mut self) {
        self.socket.cancel_all();
    }
}
