//! The subjects: bounded channels between threads.

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

/// Ours.
pub(crate) struct Raddle;

impl Channel for Raddle {
    const NAME: &'static str = "raddle";
    type Sender = raddle_streams::channel::Sender<u64>;
    type Receiver = raddle_streams::channel::Receiver<u64>;
    fn bounded(capacity: usize) -> Option<(Self::Sender, Self::Receiver)> {
        Some(raddle_streams::channel::bounded(capacity))
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

pub(crate) struct Crossbeam;

impl Channel for Crossbeam {
    const NAME: &'static str = "crossbeam";
    type Sender = crossbeam_channel::Sender<u64>;
    type Receiver = crossbeam_channel::Receiver<u64>;
    fn bounded(capacity: usize) -> Option<(Self::Sender, Self::Receiver)> {
        Some(crossbeam_channel::bounded(capacity))
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

pub(crate) struct Flume;

impl Channel for Flume {
    const NAME: &'static str = "flume";
    type Sender = flume::Sender<u64>;
    type Receiver = flume::Receiver<u64>;
    fn bounded(capacity: usize) -> Option<(Self::Sender, Self::Receiver)> {
        Some(flume::bounded(capacity))
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

pub(crate) struct Kanal;

impl Channel for Kanal {
    const NAME: &'static str = "kanal";
    type Sender = kanal::Sender<u64>;
    type Receiver = kanal::Receiver<u64>;
    fn bounded(capacity: usize) -> Option<(Self::Sender, Self::Receiver)> {
        Some(kanal::bounded(capacity))
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
