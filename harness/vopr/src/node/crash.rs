//! How nodes start, and how they crash.

use core::mem;
use core::panic::Location;

use super::host::{Clocks, Host, Main, ROOT, Stage};
use crate::agenda::Event;
use crate::decisions::Kind;
use crate::faults::FaultKind;
use crate::report::FailureKind;
use crate::waits::Waits;
use crate::world::{Failed, State, World};

/// How a node goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The machine loses its power.
    Power,
    /// The program is killed; its kernel lives on.
    Kill,
}

/// How long a node is down that a fault has crashed, in nanoseconds.
const OUTAGES: [u64; 5] = [1_000_000, 20_000_000, 400_000_000, 2_000_000_000, 30_000_000_000];

impl World {
    /// A further node, which is not up yet.
    pub(crate) fn add_host(&mut self, name: &str, main: Main) -> usize {
        let number = self.hosts.len();
        let mut host = Host::new(name, Some(main), Clocks::default());
        host.stage = Stage::Down;
        host.born = self.views[self.current as usize].clock.clone();
        let current = self.current;
        self.views[current as usize].tick(current);
        self.hosts.push(host);
        self.net.add_node();
        self.disks.add();
        number
    }

    /// Starts the main function of a node that is not up.
    pub(crate) fn boot(
        &mut self,
        node: usize,
        site: &'static Location<'static>,
    ) -> Result<(), Failed> {
        // What an earlier start has left when its main function returned goes as if it were killed.
        self.abandon_threads(node);
        self.drop_flights(node)?;
        self.close_sockets(node)?;
        self.net.set_up(node, true);
        let skewed = self.plan.is_on(FaultKind::ClockSkew);
        let (seed, host) = (self.seed, &mut self.hosts[node]);
        let Some(main) = host.main.clone() else { return Ok(()) };
        let again = host.started > 0;
        host.restarts += u32::from(again);
        host.started = 0;
        host.stage = Stage::Up;
        host.restart_due = false;
        let wall_offset_ns = host.clocks.wall_offset_ns;
        host.clocks = Clocks { wall_offset_ns, ..Clocks::of(seed, node, host.restarts, skewed) };
        let (name, born) = (host.name.clone(), host.born.clone());
        match self.add_thread_on(node, name, Box::new(move || main()), site) {
            Ok(number) => {
                self.hosts[node].main_thread = number;
                self.views[number as usize].clock.join(&born);
                Ok(())
            }
            Err(error) => {
                let message = format!("no thread for {}: {error}", self.hosts[node].name);
                Err(self.fail(FailureKind::Misuse, message))
            }
        }
    }

    /// A node goes down, if it is up. When the caller is on it, somebody else is decided on.
    pub(crate) fn crash(&mut self, node: usize, how: Crash) -> Result<(), Failed> {
        if node == ROOT || self.hosts[node].stage == Stage::Down {
            return Ok(());
        }
        if self.held > 0 || self.quiet {
            let message = "a node crashes in the initialisation or the destruction of a global";
            return Err(self.fail(FailureKind::Misuse, message.to_owned()));
        }
        self.abandoned.crashes += 1;
        self.abandon_threads(node);
        self.drop_flights(node)?;
        match how {
            Crash::Power => {
                self.lose_sockets(node);
                self.lose_power(node)?;
            }
            Crash::Kill => self.close_sockets(node)?,
        }
        self.hosts[node].stage = Stage::Down;
        self.ring_watchers(node);
        if self.thread().state != State::Abandoned {
            return Ok(());
        }
        if self.live == 0 {
            // The runner sees that nobody is left.
            self.next = self.current;
            return Ok(());
        }
        self.decide(false)
    }

    /// The threads of a node stop where they stand, and what they had is never touched again.
    fn abandon_threads(&mut self, node: usize) {
        for number in 0..self.threads.len() as u32 {
            if self.threads[number as usize].node == node {
                self.abandon_thread(number);
            }
        }
        self.timers.forget(node, self.now);
        let host = &mut self.hosts[node];
        host.waits = Waits::default();
        host.global_views = Vec::new();
        // A process that ends drops no statics.
        mem::forget(host.globals.replace(Default::default()));
    }

    fn abandon_thread(&mut self, number: u32) {
        if matches!(self.threads[number as usize].state, State::Ended | State::Abandoned) {
            return;
        }
        self.set_abandoned(number);
        self.live -= 1;
        self.abandoned.threads += 1;
        self.abandoned.stack_bytes += crate::machine::STACK_BYTES as u64;
        let thread = &mut self.threads[number as usize];
        mem::forget(mem::take(&mut thread.exits));
        mem::forget(thread.panic.take());
        thread.joiner = None;
    }

    /// Who waits for the end of a node with the thread's own token for such things.
    pub(crate) fn watch_host(&mut self, node: usize) -> u32 {
        let token = self.waiting_token();
        let watchers = &mut self.hosts[node].watchers;
        if !watchers.contains(&token) {
            watchers.push(token);
        }
        token
    }

    /// The node is not up any more.
    pub(crate) fn ring_watchers(&mut self, node: usize) {
        for token in mem::take(&mut self.hosts[node].watchers) {
            self.wake(token);
        }
    }

    /// A node may crash now: `true` if that was the one that the caller is on, so that another
    /// thread runs.
    pub(crate) fn crash_strikes(&mut self) -> Result<bool, Failed> {
        for (kind, how) in [(FaultKind::Crash, Crash::Power), (FaultKind::Kill, Crash::Kill)] {
            if !self.plan.is_on(kind) || self.held > 0 {
                continue;
            }
            let up = |host: &Host| host.fragile && host.stage == Stage::Up;
            let nodes = (1..self.hosts.len()).filter(|node| up(&self.hosts[*node]));
            let nodes: Vec<_> = nodes.collect();
            if nodes.is_empty() {
                return Ok(false);
            }
            let struck = self.strikes(kind, nodes.len() + 1)?;
            if struck == 0 {
                continue;
            }
            let node = nodes[struck - 1];
            let outage = OUTAGES[self.choose(Kind::Disk, OUTAGES.len())?];
            self.agenda.add(self.now + outage, Event::Restart(node));
            self.hosts[node].restart_due = true;
            self.crash(node, how)?;
            if self.thread().state == State::Abandoned {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A node that a fault has crashed starts again, if nobody has started it before.
    pub(crate) fn restart(&mut self, node: usize) -> Result<(), Failed> {
        let host = &self.hosts[node];
        if !host.restart_due || host.stage != Stage::Down {
            return Ok(());
        }
        self.boot(node, Location::caller())
    }

    /// The faults have ended: whatever they have crashed starts again.
    pub(crate) fn restart_all(&mut self) -> Result<(), Failed> {
        (0..self.hosts.len()).try_for_each(|node| self.restart(node))
    }
}
