//! The timers that programs have told of.
//!
//! Who waits for a deadline asleep is known to the simulator anyway. A worker that is busy waits for
//! none, and looks at the clock now and then: time has to come for it too, or a timer would never
//! fire under constant work.

use std::collections::{BTreeMap, BTreeSet};

use raddle_platform::Event;

use crate::world::World;

/// A timer: the node that it is on, the worker, and the how manieth of that worker's.
type Timer = (usize, usize, u64);

/// Timers that are set, with their deadlines in the world's time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: BTreeMap<Timer, u64>,
    order: BTreeSet<(u64, Timer)>,
    /// The first deadline that has not come yet.
    next: Option<u64>,
}

impl Timers {
    /// The first deadline that is still to come.
    #[inline]
    pub(crate) fn next(&self) -> Option<u64> {
        self.next
    }

    fn set(&mut self, timer: Timer, deadline: u64) {
        self.clear(timer);
        self.deadlines.insert(timer, deadline);
        self.order.insert((deadline, timer));
    }

    fn clear(&mut self, timer: Timer) {
        if let Some(deadline) = self.deadlines.remove(&timer) {
            self.order.remove(&(deadline, timer));
        }
    }

    /// Those of a node that is down ring for nobody.
    pub(crate) fn forget(&mut self, node: usize, now: u64) {
        self.deadlines.retain(|timer, _| timer.0 != node);
        self.order.retain(|(_, timer)| timer.0 != node);
        self.look(now);
    }

    /// The clock of a node has jumped, and with it the deadlines of its timers.
    pub(crate) fn hasten(&mut self, node: usize, by: u64, now: u64) {
        let of_node = (node, 0, 0)..(node + 1, 0, 0);
        let timers = self.deadlines.range(of_node).map(|(timer, deadline)| (*timer, *deadline));
        for (timer, deadline) in timers.collect::<Vec<_>>() {
            self.set(timer, deadline.saturating_sub(by));
        }
        self.look(now);
    }

    /// It is `now`.
    #[inline]
    pub(crate) fn look(&mut self, now: u64) {
        let ahead = (now.saturating_add(1), (0, 0, 0))..;
        self.next = self.order.range(ahead).next().map(|(deadline, _)| *deadline);
    }
}

impl World {
    /// The current thread told `event`.
    pub(crate) fn timer_told(&mut self, event: &Event<'_>) {
        let node = self.node();
        match *event {
            Event::TimerSet { worker, timer, deadline_ns } => {
                let deadline = self.world_time(deadline_ns);
                self.timers.set((node, worker, timer), deadline);
            }
            Event::TimerCleared { worker, timer } | Event::TimerFired { worker, timer } => {
                self.timers.clear((node, worker, timer));
            }
            _ => return,
        }
        self.timers.look(self.now);
    }
}
