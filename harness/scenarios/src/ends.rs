//! Ends: what somebody did before an end is seen by whoever notices it.

use raddle_platform::{Platform, RaceCell};
use raddle_streams::channel::bounded_in;
use raddle_streams::{oneshot, watch};

use crate::{Needs, Scenario, scope};

/// Something that is done before an end, without other synchronization.
struct Done<P: Platform>(RaceCell<u32, P>);

impl<P: Platform> Done<P> {
    fn new() -> Self {
        Self(RaceCell::new_in(0))
    }

    /// Does it.
    fn write(&self) {
        // SAFETY: nobody reads before the end, and that is the check.
        unsafe { self.0.with_mut(|value| *value = 1) };
    }

    /// After the end.
    fn is_seen(&self) -> bool {
        // SAFETY: as above.
        unsafe { self.0.with(|value| *value == 1) }
    }
}

fn oneshot_sender_goes<P: Platform>() {
    let done = Done::<P>::new();
    let (sender, mut receiver) = oneshot::channel_in::<u32, P>();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            done.write();
            drop(sender);
        });
        if receiver.try_recv() == Err(oneshot::TryRecvError::Disconnected) {
            assert!(done.is_seen());
        }
    });
}

fn oneshot_receiver_goes<P: Platform>() {
    let done = Done::<P>::new();
    let (sender, receiver) = oneshot::channel_in::<u32, P>();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            done.write();
            drop(receiver);
        });
        if sender.send(1).is_err() {
            assert!(done.is_seen());
        }
    });
}

/// What is there when the receiver closes is received whole.
fn oneshot_closed_behind_a_value<P: Platform>() {
    let (sender, mut receiver) = oneshot::channel_in::<_, P>();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let done = Box::new(Done::<P>::new());
            done.write();
            let _given_back = sender.send(done);
        });
        receiver.close();
        if let Ok(done) = receiver.try_recv() {
            assert!(done.is_seen());
        }
    });
}

/// The version alone says that there is a change; nobody looks at the value.
fn watch_change<P: Platform>() {
    let done = Done::<P>::new();
    let (sender, receiver) = watch::channel_in::<_, P>(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            done.write();
            assert!(sender.send(1).is_ok());
        });
        if receiver.has_changed() == Ok(true) {
            assert!(done.is_seen());
        }
    });
}

/// Two ends that go, each after something that its owner has done; `noticed` says whether both
/// have gone.
fn two_go<P: Platform, E: Send>(ends: [E; 2], noticed: impl FnOnce() -> bool) {
    let done = [Done::<P>::new(), Done::<P>::new()];
    scope::<P, _>(|threads| {
        for (done, end) in done.iter().zip(ends) {
            threads.spawn(move || {
                done.write();
                drop(end);
            });
        }
        if noticed() {
            assert!(done.iter().all(Done::is_seen));
        }
    });
}

fn watch_senders_go<P: Platform>() {
    let (sender, receiver) = watch::channel_in::<_, P>(0);
    two_go::<P, _>([sender.clone(), sender], || receiver.has_changed().is_err());
}

fn channel_receivers_go<P: Platform>() {
    let (sender, receiver) = bounded_in::<u32, P>(1);
    two_go::<P, _>([receiver.clone(), receiver], || sender.try_send(1).is_err());
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let (one, two) = (Needs::ATOMICS.threads(1), Needs::ATOMICS.threads(2));
    vec![
        Scenario::new(
            "ends/oneshot_sender_goes",
            "who finds that the sender has gone sees what it did before",
            oneshot_sender_goes::<P>,
        )
        .needs(one)
        .bound(3),
        Scenario::new(
            "ends/oneshot_receiver_goes",
            "who gets its value back sees what the receiver did before it went",
            oneshot_receiver_goes::<P>,
        )
        .needs(one)
        .bound(3),
        Scenario::new(
            "ends/oneshot_closed_behind_a_value",
            "what was sent before the receiver closed is received whole",
            oneshot_closed_behind_a_value::<P>,
        )
        .needs(one)
        .bound(3),
        Scenario::new(
            "ends/watch_change",
            "who learns of a change sees what the sender did before",
            watch_change::<P>,
        )
        .needs(one)
        .bound(3),
        Scenario::new(
            "ends/watch_senders_go",
            "who finds that all senders have gone sees what each did before",
            watch_senders_go::<P>,
        )
        .needs(two)
        .bound(2),
        Scenario::new(
            "ends/channel_receivers_go",
            "whose send fails sees what each receiver did before it went",
            channel_receivers_go::<P>,
        )
        .needs(two)
        .bound(2),
    ]
}
