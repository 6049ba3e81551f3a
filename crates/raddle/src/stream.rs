//! Channels, broadcast and watched values, that fibers, futures and threads wait for alike; see
//! [`raddle_streams`].
//!
//! ```
//! use raddle::stream::channel;
//!
//! raddle::run(|| {
//!     let (sender, receiver) = channel::bounded(16);
//!     let producer = raddle::spawn(move || (1..=100).try_for_each(|item| sender.send(item)));
//!     assert_eq!(receiver.iter().sum::<u32>(), 5050); // parks this fiber until the sender is gone
//!     producer.join().unwrap().unwrap();
//! });
//! ```

pub use raddle_streams::{broadcast, channel, combinators, observable, oneshot, select, watch};
