//! Publishing to many: every subscriber receives every item, in order.
//!
//! A channel gives each item to one receiver. Here each [`Subscriber`] sees all that the [`Publisher`]s
//! publish, at its own pace, and each says for itself what happens if that pace is too slow:
//!
//! | [`Policy`] | a subscriber that is too slow | who is harmed |
//! |---|---|---|
//! | [`Block`](Policy::Block) | holds the publishers back | everybody waits, nobody loses |
//! | [`DropOldest`](Policy::DropOldest) | loses the oldest items, and is told how many | itself |
//! | [`DropNewest`](Policy::DropNewest) | misses the newest items, and is told how many | itself |
//! | [`Disconnect`](Policy::Disconnect) | is cut off, and told so | itself |
//!
//! ```
//! use raddle_streams::broadcast::{self, RecvError};
//!
//! let (publisher, mut fast) = broadcast::channel(2);
//! let mut slow = publisher.subscribe();
//! for item in 1..=4 {
//!     publisher.publish(item).unwrap();
//!     assert_eq!(fast.recv().unwrap(), item);
//! }
//! assert_eq!(slow.lag(), 4);
//! assert!(matches!(slow.recv(), Err(RecvError::Lagged(2))));
//! assert_eq!((slow.recv().unwrap(), slow.recv().unwrap()), (3, 4));
//! drop(publisher);
//! assert!(matches!(slow.recv(), Err(RecvError::Closed)));
//! ```
//!
//! # How much a subscriber may lag
//!
//! Items are kept and given up in *chunks*: a quarter of the capacity, rounded down to a power of two,
//! between 1 and 64. Always kept are `capacity` items at least, and at most two chunks more. Where a
//! chunk is one item (a capacity below 8) it is `capacity` exactly, and one more that a subscriber
//! that is too slow has in its hand: the one that it goes on with.
//!
//! A chunk is given up when all have left it, or, when it is the oldest and another one is needed,
//! because those that are still there do not block. The stream keeps nothing that all have received, but
//! for the chunk that is not yet full. A subscriber that lags keeps one chunk alive, or with
//! [`DropNewest`](Policy::DropNewest) as many as the stream itself keeps at most.
//!
//! # The protocol
//!
//! ```text
//!  63                     17      16     15           0
//! +-------------------------+--------+----------------+
//! |  number of last chunk   | CLOSED | claims         |   the tail word
//! +-------------------------+--------+----------------+
//!
//!   retained       number 7       number 8       number 9 (last)
//!   (State)       [r r r r] ---- [r r r r] ---- [r r . r . . . .]    r: ready
//!                  ^      ^        ^                   ^
//!               slow   blocks     fast              claims = 4, one of them not yet written
//! ```
//!
//! **To publish** is to claim a slot of the last chunk by adding 1 to the tail word, to write the item, to
//! set the slot's ready word, and to wake those that sleep. Nobody else writes the slot, and a chunk of
//! which a claimed slot is not ready is never given up: hence the publisher may use the chunk's bare
//! address. Who finds the last chunk full opens the next one, under the lock, and claims its first slot in
//! the same step.
//!
//! A claim is made without a look at the tail word, which would fetch it from another processor once more.
//! In exchange, claims in vain must not add up until they reach CLOSED. Whose claim was void goes to the
//! lock, and there it opens a chunk, which starts the claims anew, or finds the stream full and sets
//! `refusing`; so does who closes. Where that is set, and wherever it tries again, a publisher looks before
//! it claims. So between two chunks a thread claims in vain once before it has been at the lock, once
//! because another was faster between its look and its claim, and once because it sees `refusing` reset
//! before it sees the new chunk.
//!
//! **To receive** is to look at the ready word of the slot at a private index, in a chunk of which the
//! subscriber owns a share. It writes to nothing. After the last slot it leaves the chunk, under the lock,
//! and is counted at the next one, whether that is opened yet or not.
//!
//! **Under the lock** are the list of retained chunks, how many subscribers are at each, and how many of
//! these hold publishers back. A chunk at which nobody is (any more) leaves the list; its items
//! are dropped after the unlocking, by the list or by the last subscriber that has it in its hand.
//!
//! | who | writes | when |
//! |---|---|---|
//! | a publisher | tail + 1 | any time; void unless below the chunk's size, and not CLOSED |
//! | who opens a chunk | its place in the ring, then the tail word | under the lock |
//! | who closes | CLOSED, then `end` | under the lock, once |
//! | who finds the stream full, or closes it; who opens a chunk | `refusing`: true; false | under the lock |
//! | who has claimed a slot | the value, then its ready word | once |
//!
//! Orderings, and the scenarios that fail without them:
//!
//! | release | acquire | orders | scenario |
//! |---|---|---|---|
//! | ready := true | look at ready | the value | `broadcast/publish_against_receive` |
//! | the tail word when a chunk is opened | the claim | the ring, and the chunk | `broadcast/two_publishers` |
//! | look at ready (it acquires) | | the writer's last access before the chunk is freed | `broadcast/publish_against_drop` |
//!
//! Sleeping is `EventCount`'s handshake: a publisher writes ready, fences, looks for sleepers; a subscriber
//! queues, fences, looks at ready, the tail word and `end` (`broadcast/publish_against_receive`,
//! `broadcast/close_against_receive`). Publishers that are held back sleep on another one, which who leaves
//! the last chunk that blocks, or is dropped, notifies (`broadcast/block_against_receive`).
//!
//! # The end of the numbers
//!
//! There are 2^47 chunk numbers. Who finds them used up closes the stream with [`Exhausted`]: its
//! publishers get [`Closed`](PublishError::Closed), and its subscribers all that was published and then
//! [`Failed`](RecvError::Failed). A number is never used twice.
//!
//! # The end
//!
//! `end` is written once, and slots before it are claimed by then. So a subscriber that stands at `end` or
//! beyond will never find its slot ready, and one that stands before it will.

mod chunk;
mod error;
mod publisher;
mod shared;
mod state;
mod stream;
mod subscriber;

pub use error::{Exhausted, Failure, PublishError, RecvError, RecvTimeoutError, TryRecvError};
pub use publisher::{Publish, Publisher};
pub use shared::Start;
pub use stream::{IntoIter, Iter, Recv};
pub use subscriber::Subscriber;

use raddle_platform::Platform;

/// What happens to a subscriber that is too slow: it has not left a chunk that the publishers want to
/// give up because the stream is full. A subscriber *has a chunk in its hand* from the call that looks for
/// the first item of it to the call that receives the last one; the latter takes the next one in hand, too,
/// if that is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The publishers wait for it. Nothing is lost.
    Block,
    /// Loses the items between the chunk in its hand and the oldest one that is kept. After the
    /// rest of the chunk it is told [how many](RecvError::Lagged), and goes on with the oldest.
    #[default]
    DropOldest,
    /// Keeps what it has, which is as much as the stream keeps at most, and misses what comes.
    ///
    /// Exactly: of each chunk that is opened it gets a share, unless it has as many as the stream keeps
    /// at most, the one in its hand included; then it misses that chunk. When it has used up the last
    /// one that it has, it goes on with the next item that is published. Wherever it has missed something
    /// it is told [how much](RecvError::Lagged), between the items before and after.
    DropNewest,
    /// Receives the rest of the chunk in its hand, is then told that it is [cut off](RecvError::CutOff),
    /// and receives nothing more.
    ///
    /// Exactly: it is cut off if it has left a chunk, or looks for its first one, and the next one was given
    /// up by then. The chunk in its hand is given up when it is the oldest of a full stream, and from then
    /// on none is kept for this subscriber. So the next one is there if others still need it, and then the
    /// subscriber was fast enough after all, and goes on.
    Disconnect,
}

/// A stream that keeps `capacity` items for those that have not received them yet, with a publisher and a
/// subscriber that [loses the oldest](Policy::DropOldest) if it is too slow. Others, with other policies, by
/// [`Publisher::subscribe_with`].
///
/// # Panics
/// If `capacity` is 0.
pub fn channel<T>(capacity: usize) -> (Publisher<T>, Subscriber<T>) {
    channel_in(capacity)
}

/// A publisher whose stream ends after `chunks` more chunks, for tests of that end.
#[doc(hidden)]
pub fn publisher_near_the_end<T, P: Platform>(capacity: usize, chunks: u64) -> Publisher<T, P> {
    Publisher::starting_with(capacity, shared::LAST_NUMBER + 1 - chunks)
}

/// As [`channel`], in the world `P`.
///
/// # Panics
/// If `capacity` is 0.
pub fn channel_in<T, P: Platform>(capacity: usize) -> (Publisher<T, P>, Subscriber<T, P>) {
    let publisher = Publisher::new_in(capacity);
    let subscriber = publisher.subscribe();
    (publisher, subscriber)
}
