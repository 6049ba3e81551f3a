//! What the server knows of each client, apart from the connection itself.
//!
//! A connection's fiber owns its buffers and its session. What others touch is here: publishers put
//! messages into the [outbox](Client::deliver), `CLIENT LIST` reads the description, and whoever
//! finds the server short of memory [cuts off](Client::cut) the largest client. None of them waits
//! for the connection.

use core::task::Waker;
use core::time::Duration;

use raddle::on::{Atomic, Clock, Instant, Mutex, Native, Ordering, Platform};

use crate::config::SlowSubscribers;
use crate::memory::Ledger;
use crate::outbox::{Outbox, Patience};
use crate::protocol::Protocol;

/// Why a client is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The clients together need too much memory, and this one has most of it.
    ClientMemory,
    /// It does not read what it subscribed to.
    OutputBuffer,
}

impl Cut {
    const ALL: [Self; 2] = [Self::ClientMemory, Self::OutputBuffer];

    /// What the client is told, if it listens.
    pub fn message(self) -> &'static str {
        match self {
            Self::ClientMemory => "ERR closed: the server's limit of client memory is reached",
            Self::OutputBuffer => "ERR closed: the output buffer is full",
        }
    }
}

/// What a client says about itself.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// By `CLIENT SETNAME`.
    pub name: Box<[u8]>,
    /// By `CLIENT SETINFO LIB-NAME`.
    pub library: Box<[u8]>,
    /// By `CLIENT SETINFO LIB-VER`.
    pub library_version: Box<[u8]>,
}

impl Description {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.name.len() + self.library.len() + self.library_version.len()
    }
}

/// What a connection last did, for `CLIENT LIST`. Approximate: nothing is ordered by it.
pub struct Activity<P: Platform> {
    /// When it last sent something, in nanoseconds of the platform's clock.
    pub last_ns: P::AtomicU64,
    /// Its last command, as an index into the catalogue, plus one.
    pub command: P::AtomicUsize,
    /// How many channels it listens to.
    pub channels: P::AtomicUsize,
    /// How many patterns it listens to.
    pub patterns: P::AtomicUsize,
    /// Bytes in its input buffer.
    pub input: P::AtomicUsize,
    /// Bytes in its output buffer.
    pub output: P::AtomicUsize,
    /// The version of the protocol that it speaks.
    pub protocol: P::AtomicUsize,
}

/// What became of a message for one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whether the subscriber is one of those who got it. It is not if the message was dropped
    /// because it did not fit. It is if older ones were dropped for it, whatever is dropped for
    /// others later; and if the subscriber is cut off, which tells it of the loss.
    pub counts: bool,
    /// How many messages of this subscriber were dropped: this one, or older ones.
    pub dropped: usize,
}

impl Delivery {
    const KEPT: Self = Self { counts: true, dropped: 0 };
}

/// One client.
pub struct Client<P: Platform = Native> {
    /// Unique for the life of the server, and growing.
    pub id: u64,
    /// The client's address.
    pub peer: String,
    /// The server's address, as the client sees it.
    pub local: String,
    /// When it connected.
    pub since: Instant,
    /// What it did.
    pub activity: Activity<P>,
    /// What it says.
    pub description: Mutex<Description, P>,
    /// Bytes that it holds of the [`Ledger`]'s, who alone writes it, under its lock.
    pub(crate) memory: P::AtomicUsize,
    /// 0, or one more than the index of the reason in [`Cut::ALL`].
    fate: P::AtomicU32,
    outbox: Mutex<Outbox, P>,
    policy: SlowSubscribers,
    /// Whether the outbox holds something.
    news: P::AtomicBool,
    waker: Waker,
    interrupt: Box<dyn Fn() + Send + Sync>,
}

impl<P: Platform> core::fmt::Debug for Client<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client").field("id", &self.id).field("peer", &self.peer).finish()
    }
}

impl<P: Platform> Client<P> {
    /// A client whose connection is woken by `waker`. `interrupt` makes the connection's current
    /// and next input or output fail, from any thread and without waiting.
    pub fn new(
        id: u64,
        peer: String,
        local: String,
        patience: Patience,
        waker: Waker,
        interrupt: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let since = P::Clock::now();
        Self {
            id,
            peer,
            local,
            since,
            activity: Activity {
                last_ns: P::AtomicU64::new(since.as_nanos()),
                command: P::AtomicUsize::new(0),
                channels: P::AtomicUsize::new(0),
                patterns: P::AtomicUsize::new(0),
                input: P::AtomicUsize::new(0),
                output: P::AtomicUsize::new(0),
                protocol: P::AtomicUsize::new(2),
            },
            description: Mutex::new_in(Description::default()),
            memory: P::AtomicUsize::new(0),
            fate: P::AtomicU32::new(0),
            outbox: Mutex::new_in(Outbox::new(patience)),
            policy: patience.policy,
            news: P::AtomicBool::new(false),
            waker,
            interrupt,
        }
    }

    /// Bytes of its buffers.
    pub fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Time since it last sent something.
    pub fn idle(&self) -> Duration {
        P::Clock::now() - Instant::from_nanos(self.activity.last_ns.load(Ordering::Relaxed))
    }

    /// Cuts the client off; the first reason counts. Its connection learns of it at once and frees
    /// what it holds soon after. Returns whether this call did it.
    pub fn cut(&self, reason: Cut) -> bool {
        let first = self.decide(reason);
        if first {
            self.tell();
        }
        first
    }

    /// Decides that it is cut off. Returns whether this call did it.
    fn decide(&self, reason: Cut) -> bool {
        let (none, reason) = (0, reason as u32 + 1);
        self.fate.compare_exchange(none, reason, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Tells the connection that it is cut off.
    fn tell(&self) {
        (self.interrupt)();
        self.waker.wake_by_ref();
    }

    /// Why the client is cut off, if it is.
    #[inline]
    pub fn fate(&self) -> Option<Cut> {
        match self.fate.load(Ordering::Relaxed) {
            0 => None,
            reason => Cut::ALL.get(reason as usize - 1).copied(),
        }
    }

    /// Changes the version of the protocol in which messages are put into the outbox.
    pub fn set_protocol(&self, protocol: Protocol) {
        let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
        self.activity.protocol.store(version, Ordering::Relaxed);
        self.outbox.lock().set_protocol(protocol);
    }

    /// Whether messages wait in the outbox. The connection is woken when the first one comes.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.news.load(Ordering::Relaxed)
    }

    /// Puts a message into the outbox: a push whose encoding is `parts`, without the type that
    /// begins it. Never waits. If it does not fit, the [policy](SlowSubscribers) says what happens.
    pub fn deliver(&self, ledger: &Ledger<P>, parts: &[&[u8]]) -> Delivery {
        if self.fate().is_some() {
            return Delivery::KEPT;
        }
        let mut outbox = self.outbox.lock();
        let dropped = match outbox.push(self, ledger, parts) {
            Ok(dropped) => dropped,
            Err(reason) if self.policy == SlowSubscribers::Disconnect => {
                // Before the connection can find the outbox empty.
                let first = self.decide(reason);
                let bytes = outbox.take();
                drop(outbox);
                ledger.release(self, bytes.capacity());
                if first {
                    self.tell();
                }
                return Delivery::KEPT;
            }
            Err(_) => return Delivery { counts: false, dropped: 1 },
        };
        let first = !self.news.load(Ordering::Relaxed);
        self.news.store(true, Ordering::Relaxed);
        drop(outbox);
        if first {
            self.waker.wake_by_ref();
        }
        Delivery { counts: true, dropped }
    }

    /// Lets `take` empty the outbox. It returns how many bytes of messages the connection now
    /// holds unsent, or an error, if it left them all where they are.
    ///
    /// # Errors
    /// That of `take`.
    pub fn collect<E>(
        &self,
        ledger: &Ledger<P>,
        take: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<(), E> {
        let mut outbox = self.outbox.lock();
        outbox.collect(self, ledger, take)?;
        self.news.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// The connection has sent all that it had collected.
    pub fn sent(&self) {
        self.outbox.lock().sent();
    }
}
