//! From a configuration to a running server.

use core::fmt;
use core::time::Duration;
use std::io::{self, Write as _};

use raddle::on::{DriverKind, Platform, runtime};

use crate::config::{Config, Driver};
use crate::server::Server;

/// How long the runtime has to end when the server has ended.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Why the server did not start, or did not end well. What `main` returns is shown by its `Debug`,
/// so that is written for people.
pub struct StartError {
    doing: &'static str,
    cause: Box<dyn core::error::Error + Send + Sync>,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.cause)
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for StartError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

fn while_doing<E>(doing: &'static str) -> impl FnOnce(E) -> StartError
where
    E: Into<Box<dyn core::error::Error + Send + Sync>>,
{
    move |cause| StartError { doing, cause: cause.into() }
}

/// Runs a server until the process is asked to end, and says on standard output where it listens.
///
/// # Errors
/// What kept it from starting or from ending well.
pub fn start<P: Platform>(config: Config) -> Result<(), StartError> {
    let kind = match config.driver {
        Driver::Auto => DriverKind::Probe,
        Driver::Uring => DriverKind::Uring,
        Driver::Epoll => DriverKind::Epoll,
    };
    let mut builder = runtime::Builder::<P>::new_in().driver(kind);
    if let Some(workers) = config.workers {
        builder = builder.workers(workers.into());
    }
    let runtime = builder.build().map_err(while_doing("starting the runtime"))?;
    let serving = runtime.run(move || serve::<P>(config));
    let served = match serving {
        Ok(served) => served.map_err(while_doing("serving")),
        Err(error) => Err(while_doing("serving")(error.to_string())),
    };
    let ended = runtime.shutdown(SHUTDOWN).map_err(while_doing("ending"));
    served.and(ended)
}

fn serve<P: Platform>(config: Config) -> io::Result<()> {
    let server = Server::<P>::bind(config)?;
    server.stop_on_signals()?;
    // A server whose output nobody reads serves all the same.
    let _ = writeln!(io::stdout(), "{}", server.banner()?);
    server.run()
}
