//! The subjects: bounded channels between threads.

use raddle_streams::channel;

/// A kind of channel that carries numbers.
pub(crate) trait Channel {
    const NAME: &'static str;
    type Sender: Clone + Send;
    type Receiver: Send;
    /// None if it cannot have this capacity.
    fn bounded(capacity: usize) -> Option<(Self::Sender, Self::Receiver)>;
    fn send(sender: &Self::Sender, number: u64);
    fn receive(receiver: &mut Self::Receiver) -> u64;
    /// Another receiver of the same channel; none if it has but one.
    fn share(receiver: &Self::Receiver) -> Option<Self::Receiver>;
}

/// Channels with the shape of crossbeam's.
macro_rules! like_crossbeam {
    ($($subject:ident $name:literal $sender:ty, $receiver:ty, $bounded:path;)+) => {$(
        pub(crate) struct $subject;

        impl Channel for $subject {
            const NAME: &'static str = $name;
            type Sender = $sender;
            type Receiver = $receiver;
            fn bounded(capacity: usize) -> Option<(Self::Sender, Self::Receiver)> {
                Some($bounded(capacity))
            }
            fn send(sender: &Self::Sender, number: u64) {
                sender.send(number).expect("a receiver is there");
            }
            fn receive(receiver: &mut Self::Receiver) -> u64 {
                receiver.recv().expect("a sender is there")
            }
            fn share(receiver: &Self::Receiver) -> Option<Self::Receiver> {
                Some(receiver.clone())
            }
        }
    )+};
}

like_crossbeam! {
    Raddle "raddle" channel::Sender<u64>, channel::Receiver<u64>, channel::bounded;
    Crossbeam "crossbeam" crossbeam_channel::Sender<u64>, crossbeam_channel::Receiver<u64>,
        crossbeam_channel::bounded;
    Flume "flume" flume::Sender<u64>, flume::Receiver<u64>, flume::bounded;
    Kanal "kanal" kanal::Sender<u64>, kanal::Receiver<u64>, kanal::bounded;
}

pub(crate) struct Std;

impl Channel for Std {
    const NAME: &'static str = "std";
    type Sender = std::sync::mpsc::SyncSender<u64>;
    type Receiver = std::sync::mpsc::Receiver<u64>;
    fn bounded(capacity: usize) -> Option<(Self::Sender, Self::Receiver)> {
        Some(std::sync::mpsc::sync_channel(capacity))
    }
    fn send(sender: &Self::Sender, number: u64) {
        sender.send(number).expect("a receiver is there");
    }
    fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().expect("a sender is there")
    }
    fn share(_receiver: &Self::Receiver) -> Option<Self::Receiver> {
        None
    }
}

/// By its blocking calls.
pub(crate) struct Tokio;

impl Channel for Tokio {
    const NAME: &'static str = "tokio-mpsc";
    type Sender = tokio::sync::mpsc::Sender<u64>;
    type Receiver = tokio::sync::mpsc::Receiver<u64>;
    fn bounded(capacity: usize) -> Option<(Self::Sender, Self::Receiver)> {
        (capacity > 0).then(|| tokio::sync::mpsc::channel(capacity))
    }
    fn send(sender: &Self::Sender, number: u64) {
        sender.blocking_send(number).expect("a receiver is there");
    }
    fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.blocking_recv().expect("a sender is there")
    }
    fn share(_receiver: &Self::Receiver) -> Option<Self::Receiver> {
        None
    }
}
