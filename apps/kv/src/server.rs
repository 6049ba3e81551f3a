//! The server: listening, one fiber per connection, and the end of it all.
//!
//! # Shutdown
//!
//! 1. The stop token is cancelled, by a signal or by the program. Accepting ends.
//! 2. Every connection has a child of that token. Its fiber finishes the requests that it has
//!    begun to run, sends the replies that the socket takes without waiting, and ends.
//! 3. When all connections have ended, the append-only file is written to its end, synced and
//!    closed; then [`Server::run`] returns. It gives up after a few seconds: a fiber waits for
//!    nothing but its client, its runtime and its disk, so that would be a bug or a broken disk.

use core::time::Duration;
use std::io;

use raddle::is_cancelled_error;
use raddle::on::net::{SocketAddr, TcpListener, TcpStream};
use raddle::on::{
    Arc, Atomic, AtomicInt, CancellationToken, Handle, JoinError, Native, Ordering, Platform,
    WaitGroup, signal, sleep, task,
};

use crate::aof::{self, Writer};
use crate::client::Client;
use crate::config::{Config, Log, Switch};
use crate::connection::{Connection, End, linger};
use crate::keyspace::Sweep;
use crate::log::log;
use crate::outbox::Patience;
use crate::session::Session;
use crate::shared::Shared;

/// How long connections have to end.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// A server that listens.
pub struct Server<P: Platform = Native> {
    listener: TcpListener<P>,
    state: Arc<State<P>, P>,
    /// The append-only file, if there is one.
    writer: Option<Writer<P>>,
}

/// What the server's fibers share.
struct State<P: Platform> {
    shared: Shared<P>,
    stop: CancellationToken<P>,
    /// Fibers that have not ended.
    fibers: WaitGroup<P>,
    /// Fibers of the append-only file that have not ended. They outlive the others.
    files: WaitGroup<P>,
    /// Connections of each worker.
    load: Box<[P::AtomicUsize]>,
}

impl<P: Platform> Server<P> {
    /// Begins to listen, and reads the append-only file, if there is to be one. To be called in a
    /// fiber: the server runs on that fiber's runtime.
    ///
    /// # Errors
    /// The kernel's, if the address cannot be had; an [`aof::OpenError`], if the file cannot be
    /// used.
    pub fn bind(mut config: Config) -> io::Result<Self> {
        let runtime = Handle::<P>::current();
        let listener = TcpListener::bind((config.bind, config.port))?;
        config.port = listener.local_addr()?.port();
        let (workers, driver) = (runtime.workers(), runtime.driver_name());
        let mut shared = Shared::new(config, workers, driver);
        let mut writer = None;
        if shared.config.appendonly == Switch::Yes {
            let opened = aof::open(&shared.keyspace, &shared.config)?;
            let writer = writer.insert(Writer::new(opened, &shared.config));
            shared.keyspace.set_journal(writer.journal().clone());
            aof::expire(&shared.keyspace);
        }
        let state = State {
            shared,
            stop: CancellationToken::new_in(),
            fibers: WaitGroup::new_in(),
            files: WaitGroup::new_in(),
            load: (0..workers).map(|_| P::AtomicUsize::new(0)).collect(),
        };
        Ok(Self { listener, state: Arc::new_in(state), writer })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// One line that says where it listens and how it runs.
    ///
    /// # Errors
    /// The kernel's, if it does not know the address.
    pub fn banner(&self) -> io::Result<String> {
        let Shared { workers, driver, .. } = &self.state.shared;
        let noun = if *workers == 1 { "worker" } else { "workers" };
        Ok(format!("raddle-kv listening on {}, {workers} {noun}, {driver}", self.local_addr()?))
    }

    /// Cancel it to end [`run`](Self::run).
    pub fn stop_token(&self) -> CancellationToken<P> {
        self.state.stop.clone()
    }

    /// Serves until the [stop token](Self::stop_token) is cancelled, or the calling fiber is.
    ///
    /// # Errors
    /// The listener's, if it fails for good; `TimedOut` if connections do not end, or the
    /// append-only file is not written; `Other` if writing that has failed.
    pub fn run(self) -> io::Result<()> {
        let Self { listener, state, writer } = self;
        let log_level = state.shared.config.log;
        if let Some(writer) = writer {
            keep(&state, writer);
        }
        spawn(&state, &state.stop, None, |state| sweep(state));
        let accepting = {
            let state = state.clone();
            let builder = task::Builder::new_in().name("accept").token(&state.stop.clone());
            builder.spawn(move || accept(&listener, &state))
        };
        let result = match accepting.join() {
            Ok(result) => result,
            // It was stopped before it began.
            Err(JoinError::Cancelled) => Ok(()),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        state.stop.cancel();
        let open = state.shared.ledger.count();
        log(log_level, Log::Info, format_args!("ending, {open} connections"));
        let ended = state.fibers.wait_for(SHUTDOWN);
        let kept = finish(&state);
        if !ended {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "connections do not end"));
        }
        result.and(kept)
    }

    /// Cancels the stop token when the process is asked to end.
    ///
    /// # Errors
    /// The kernel's, if signals cannot be caught.
    pub fn stop_on_signals(&self) -> io::Result<()> {
        for signal in [signal::ctrl_c::<P>()?, signal::terminate::<P>()?] {
            spawn(&self.state, &self.state.stop, None, move |state| {
                if signal.wait().is_ok() {
                    state.stop.cancel();
                }
            });
        }
        Ok(())
    }
}

/// Starts the fibers of the append-only file.
fn keep<P: Platform>(state: &Arc<State<P>, P>, writer: Writer<P>) {
    /// Counts the fiber also if it panics.
    struct Counted<P: Platform>(Arc<State<P>, P>);
    impl<P: Platform> Drop for Counted<P> {
        fn drop(&mut self) {
            self.0.files.done();
        }
    }
    state.files.add(2);
    let (writing, rewriting) = (Counted(state.clone()), Counted(state.clone()));
    let builder = task::Builder::<P>::new_in().name("appendonly");
    drop(builder.spawn(move || {
        let _counted = writing;
        writer.run();
    }));
    let builder = task::Builder::<P>::new_in().name("rewrite");
    drop(builder.spawn(move || {
        let Shared { keyspace, config, .. } = &rewriting.0.shared;
        if let Some(journal) = keyspace.journal() {
            aof::rewrite_when_asked(keyspace, journal, config);
        }
    }));
}

/// Writes the append-only file to its end.
fn finish<P: Platform>(state: &State<P>) -> io::Result<()> {
    let Some(journal) = state.shared.keyspace.journal() else { return Ok(()) };
    journal.end();
    if !state.files.wait_for(SHUTDOWN) {
        let message = "the append-only file is not written: the disk does not answer";
        return Err(io::Error::new(io::ErrorKind::TimedOut, message));
    }
    if journal.status().failed {
        return Err(io::Error::other("the append-only file could not be written"));
    }
    Ok(())
}

/// Spawns a fiber that the server waits for, and that ends with it.
fn spawn<P: Platform>(
    state: &Arc<State<P>, P>,
    token: &CancellationToken<P>,
    worker: Option<usize>,
    body: impl FnOnce(&Arc<State<P>, P>) + Send + 'static,
) {
    /// Counts the fiber also if it panics, or is cancelled before it begins.
    struct Counted<P: Platform>(Arc<State<P>, P>);
    impl<P: Platform> Drop for Counted<P> {
        fn drop(&mut self) {
            self.0.fibers.done();
        }
    }
    state.fibers.add(1);
    let counted = Counted(state.clone());
    let mut builder = task::Builder::new_in().token(token);
    if let Some(worker) = worker {
        builder = builder.worker(worker);
    }
    drop(builder.spawn(move || body(&counted.0)));
}

fn sweep<P: Platform>(state: &State<P>) {
    let mut sweep = Sweep::default();
    while sleep::<P>(Sweep::PERIOD).is_ok() {
        state.shared.keyspace.sweep(&mut sweep);
    }
}

fn accept<P: Platform>(listener: &TcpListener<P>, state: &Arc<State<P>, P>) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => spawn_connection(state, stream, peer),
            Err(error) if is_cancelled_error(&error) => return Ok(()),
            Err(error) => {
                // A connection that was reset before it was accepted, or no descriptors left.
                log(state.shared.config.log, Log::Warn, format_args!("accept: {error}"));
                if sleep::<P>(Duration::from_millis(10)).is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Counts a connection of a worker, from its acceptance to its end.
struct Load<P: Platform> {
    state: Arc<State<P>, P>,
    worker: usize,
}

impl<P: Platform> Load<P> {
    /// On the worker that has fewest.
    fn new(state: &Arc<State<P>, P>) -> Self {
        let load = |worker: usize| state.load[worker].load(Ordering::Relaxed);
        let worker = (0..state.load.len()).min_by_key(|worker| load(*worker)).unwrap_or(0);
        state.load[worker].fetch_add(1, Ordering::Relaxed);
        Self { state: state.clone(), worker }
    }
}

impl<P: Platform> Drop for Load<P> {
    fn drop(&mut self) {
        self.state.load[self.worker].fetch_sub(1, Ordering::Relaxed);
    }
}

fn spawn_connection<P: Platform>(state: &Arc<State<P>, P>, stream: TcpStream<P>, peer: SocketAddr) {
    state.shared.stats.connections.fetch_add(1, Ordering::Relaxed);
    let (load, token) = (Load::new(state), state.stop.child());
    let body = {
        let token = token.clone();
        move |load: &Load<P>| converse(&load.state, stream, peer, token)
    };
    spawn(&load.state.clone(), &token, Some(load.worker), move |_| body(&load));
}

/// A connection's fiber.
fn converse<P: Platform>(
    state: &Arc<State<P>, P>,
    stream: TcpStream<P>,
    peer: SocketAddr,
    token: CancellationToken<P>,
) {
    let shared = &state.shared;
    let log_level = shared.config.log;
    let Ok(local) = stream.local_addr() else { return };
    // Replies are written whole; to hold back the last packet of one would gain nothing.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let client = Arc::<_, P>::new_in(Client::new(
        shared.ledger.next_id(),
        peer.to_string(),
        local.to_string(),
        Patience::from(&shared.config),
        task::current_waker::<P>(),
        Box::new(move || token.cancel()),
    ));
    let Some(session) = Session::new(shared, client) else {
        shared.stats.rejected.fetch_add(1, Ordering::Relaxed);
        // One that takes not even this is closed without it.
        let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
        return;
    };
    log(log_level, Log::Debug, format_args!("{peer} connected"));
    let end = Connection::serve(&stream, session);
    let level = if let End::Cut(_) | End::Unsettled = end { Log::Warn } else { Log::Debug };
    log(log_level, level, format_args!("{peer} {end}"));
    if let End::Cut(_) | End::Protocol(_) | End::Unsettled = end {
        // In a fiber of its own, as this one may have been cancelled and can wait no longer.
        spawn(state, &state.stop, None, move |_| linger(&stream));
    }
}
