//! What comes at its time without a thread that waits for it.

use std::collections::BTreeMap;

use crate::world::{Failed, State, World};

/// What comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The first segment that an end of a connection has in flight.
    Arrival {
        /// The connection.
        connection: u64,
        /// The end that sent it.
        from: usize,
    },
    /// The network is whole again at the cut of that number.
    Heal(u64),
    /// A paused thread goes on.
    Resume(u32),
    /// A node that a fault has crashed starts again.
    Restart(usize),
    /// An operation on a disk ends.
    Disk(u64),
    /// The faults end.
    Calm,
}

/// Events, by time and then by the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    events: BTreeMap<(u64, u64), Event>,
    added: u64,
}

impl Agenda {
    pub(crate) fn add(&mut self, at: u64, event: Event) {
        self.events.insert((at, self.added), event);
        self.added += 1;
    }

    /// Whether anything is to come.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// When the next one comes.
    pub(crate) fn next(&self) -> Option<u64> {
        self.events.first_key_value().map(|(key, _)| key.0)
    }

    fn take(&mut self, now: u64) -> Option<Event> {
        self.next().filter(|at| *at <= now)?;
        self.events.pop_first().map(|(_, event)| event)
    }
}

impl World {
    /// All that is due by now.
    pub(crate) fn keep_agenda(&mut self) -> Result<(), Failed> {
        while let Some(event) = self.agenda.take(self.now) {
            match event {
                Event::Arrival { connection, from } => self.arrive(connection, from)?,
                Event::Heal(cut) => self.net.heal_one(cut),
                Event::Resume(thread) => {
                    if self.threads[thread as usize].state == State::Paused {
                        self.set_runnable(thread);
                    }
                }
                Event::Restart(node) => self.restart(node)?,
                Event::Disk(number) => self.end_on_disk(number)?,
                Event::Calm => self.calm()?,
            }
        }
        Ok(())
    }
}
