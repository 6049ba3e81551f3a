//! Who runs, who waits, and when time advances.

use core::panic::Location;

use raddle_platform::Instant;

use crate::decisions::{Decision, Kind, MAX_OPTIONS, fold};
use crate::history::{Effect, Name, Operation, Place};
use crate::node::ROOT;
use crate::report::FailureKind;
use crate::strategy::Enabled;
use crate::world::{self, Class, Failed, State, Token, Woken, World, enter, stop, switch, with};

/// What a thread adds to the hash of a set.
#[inline]
fn element(thread: u32) -> u64 {
    fold(u64::from(thread) + 0x2545_f491_4f6c_dd1d, 0x9e37_79b9_7f4a_7c15)
}

fn insert(set: &mut Vec<u32>, thread: u32) {
    if let Err(place) = set.binary_search(&thread) {
        set.insert(place, thread);
    }
}

fn remove(set: &mut Vec<u32>, thread: u32) {
    if let Ok(place) = set.binary_search(&thread) {
        set.remove(place);
    }
}

impl World {
    /// Adds a thread to those that can run.
    pub(crate) fn set_runnable(&mut self, thread: u32) {
        let state = core::mem::replace(&mut self.threads[thread as usize].state, State::Runnable);
        if let State::Waiting { token, deadline } = state {
            remove(&mut self.parked, thread);
            self.parked_hash ^= element(thread);
            self.timed -= u32::from(deadline.is_some());
            self.tokens[token as usize].waiter = None;
            let node = self.threads[thread as usize].node;
            self.hosts[node].waits.resumed(thread);
        }
        insert(&mut self.runnable, thread);
        self.runnable_hash ^= element(thread);
    }

    /// A thread never runs again: its node has crashed.
    pub(crate) fn set_abandoned(&mut self, thread: u32) {
        let state = self.threads[thread as usize].state;
        if let State::Waiting { .. } = state {
            self.set_runnable(thread);
        }
        if matches!(state, State::Runnable | State::Waiting { .. }) {
            remove(&mut self.runnable, thread);
            self.runnable_hash ^= element(thread);
        }
        self.threads[thread as usize].state = State::Abandoned;
    }

    /// The current thread no longer runs.
    pub(crate) fn set_blocked(&mut self, state: State) {
        let current = self.current;
        remove(&mut self.runnable, current);
        self.runnable_hash ^= element(current);
        if let State::Waiting { token, deadline } = state {
            insert(&mut self.parked, current);
            self.parked_hash ^= element(current);
            self.timed += u32::from(deadline.is_some());
            self.tokens[token as usize].waiter = Some(current);
        }
        self.thread().state = state;
    }

    /// Decides who runs next, and on the way whether time advances and who wakes for no reason.
    #[inline]
    pub(crate) fn decide(&mut self, yields: bool) -> Result<(), Failed> {
        loop {
            let time = self.time_can_come();
            let runnable = self.runnable.len();
            let parked = if self.spurious_wakes { self.parked.len() } else { 0 };
            let options = runnable + usize::from(time) + parked;
            if options == 1 && runnable == 1 {
                self.next = self.runnable[0];
                return Ok(());
            }
            if runnable == 0 && !time {
                match self.at_rest()? {
                    true => continue,
                    false => return Ok(()),
                }
            }
            let chosen = if options == 1 { 0 } else { self.pick(options, time, yields)? };
            if let Some(next) = self.runnable.get(chosen) {
                self.next = *next;
                return Ok(());
            }
            let chosen = chosen - runnable;
            if time && chosen == 0 {
                self.advance()?;
            } else {
                let thread = self.parked[chosen - usize::from(time)];
                self.threads[thread as usize].woken = Woken::Spuriously;
                self.set_runnable(thread);
                self.remark(Name::Spurious, u64::from(thread));
            }
        }
    }

    #[inline]
    fn pick(&mut self, options: usize, time: bool, yields: bool) -> Result<usize, Failed> {
        if options > MAX_OPTIONS {
            let message = format!("{options} threads at a time are more than the log can say");
            return Err(self.fail(FailureKind::Livelock, message));
        }
        if self.tap.is_some() {
            self.before_decision(Kind::Schedule, options)?;
        }
        let parked = if self.spurious_wakes { self.parked.as_slice() } else { &[] };
        let runnable = &self.runnable;
        let enabled = Enabled { runnable, time, parked, current: self.current, yields };
        let chosen = match self.policy.schedule(&enabled) {
            Ok(chosen) => chosen,
            Err(misfit) => return Err(self.diverged(&misfit)),
        };
        let enabled = fold(self.parked_hash ^ u64::from(time), 0xbf58_476d_1ce4_e5b9);
        let decision = Decision::new(Kind::Schedule, options, chosen);
        self.log(decision, enabled ^ self.runnable_hash);
        Ok(chosen)
    }

    /// Notes what nobody did, at the site where it came in between.
    pub(crate) fn remark(&mut self, name: Name, value: u64) {
        let Some(thread) = self.threads.get(self.current as usize) else { return };
        let site = thread.doing.1;
        self.note(self.current, Operation::plain(name), Effect::Value(value), site);
    }

    /// Whether time can advance: somebody waits for a deadline, or has told of a timer, or something
    /// comes at its time.
    #[inline]
    pub(crate) fn time_can_come(&self) -> bool {
        (self.timed > 0 || !self.agenda.is_empty() || self.timers.next().is_some())
            && (self.plan.calm.is_none() || self.is_idle())
            && self.time_may_come()
    }

    /// When the next deadline is, or when the agenda has something.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let deadlines = self.parked.iter();
        let deadlines =
            deadlines.filter_map(|thread| self.threads[*thread as usize].state.deadline());
        deadlines.chain(self.agenda.next()).chain(self.timers.next()).min()
    }

    /// The next deadline comes, or what the agenda has next.
    fn advance(&mut self) -> Result<(), Failed> {
        match self.next_deadline() {
            Some(next) => self.come_to(next),
            None => Ok(()),
        }
    }

    /// It is `time`, unless it is later already.
    pub(crate) fn come_to(&mut self, time: u64) -> Result<(), Failed> {
        self.now = self.now.max(time);
        self.timers.look(self.now);
        self.plan.time_came = self.steps;
        if self.now > self.limits.virtual_ns() {
            let end = format!("before the virtual time {:?}", self.limits.virtual_time);
            return Err(self.livelock(end));
        }
        self.remark(Name::Advance, self.now);
        self.keep_agenda()?;
        self.wake_the_late();
        Ok(())
    }

    /// Whose deadline has come goes on.
    fn wake_the_late(&mut self) {
        for index in (0..self.parked.len()).rev() {
            let thread = self.parked[index];
            let deadline = self.threads[thread as usize].state.deadline();
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                self.threads[thread as usize].woken = Woken::TimedOut;
                self.set_runnable(thread);
            }
        }
    }

    /// The clocks of a node show `by` more at once, as when the machine was suspended: its deadlines
    /// are so much nearer, and nothing else in the world is.
    pub(crate) fn jump(&mut self, node: usize, by: u64) {
        let clocks = &mut self.hosts[node].clocks;
        clocks.monotonic_ns = clocks.monotonic_ns.saturating_add(by);
        clocks.wall_offset_ns = clocks.wall_offset_ns.saturating_add_unsigned(by);
        self.timers.hasten(node, by, self.now);
        for thread in self.threads.iter_mut().filter(|thread| thread.node == node) {
            if let State::Waiting { deadline: Some(deadline), .. } = &mut thread.state {
                *deadline = deadline.saturating_sub(by);
            }
        }
        self.wake_the_late();
    }

    /// Nobody can go on, and time would change nothing.
    #[cold]
    pub(crate) fn stuck(&mut self) -> Failed {
        let main_ended = self.threads.first().is_some_and(|main| main.state == State::Ended);
        let (kind, mut message) = if main_ended {
            let message = "leak: the main thread has ended, and these threads never will:";
            (FailureKind::Leak, message.to_owned())
        } else {
            (FailureKind::Deadlock, "deadlock: nobody can go on:".to_owned())
        };
        for (number, thread) in self.threads.iter().enumerate() {
            if !matches!(thread.state, State::Ended | State::Abandoned) {
                let (operation, site) = thread.doing;
                let (mut name, site) = (thread.name.clone(), Place(site));
                if thread.node != ROOT {
                    name += &format!(" on {}", self.hosts[thread.node].name);
                }
                message += &format!("\n  thread {number} ({name}) is in {operation} at {site}");
            }
        }
        message += &self.describe_waits();
        self.fail(kind, message)
    }

    /// A new token, which is not there yet.
    pub(crate) fn add_token(&mut self) -> u32 {
        self.tokens.push(Token::default());
        (self.tokens.len() - 1) as u32
    }

    /// Sets a token, and wakes who waits for it.
    pub(crate) fn wake(&mut self, token: u32) {
        self.publish(|world| &mut world.tokens[token as usize].view);
        let token = &mut self.tokens[token as usize];
        token.set = true;
        if let Some(thread) = token.waiter {
            self.threads[thread as usize].woken = Woken::Token;
            self.set_runnable(thread);
        }
    }

    /// Takes a token, if it is there.
    fn take(&mut self, token: u32) -> bool {
        let token = &mut self.tokens[token as usize];
        if !core::mem::take(&mut token.set) {
            return false;
        }
        self.views[self.current as usize].clock.join(&token.view);
        token.view.clear();
        true
    }

    /// Begins to wait for a token: an answer at once, or none and the thread is blocked.
    fn begin_wait(
        &mut self,
        token: u32,
        deadline: Option<Instant>,
    ) -> Result<Option<Woken>, Failed> {
        if self.take(token) {
            return Ok(Some(Woken::Token));
        }
        // Only now: the clock may have jumped before the wait begins.
        let deadline = deadline.filter(|deadline| *deadline != Instant::FAR_FUTURE);
        let deadline = deadline.map(|deadline| self.world_time(deadline.as_nanos()));
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            return Ok(Some(Woken::TimedOut));
        }
        self.block(State::Waiting { token, deadline })?;
        Ok(None)
    }

    /// The current thread waits, and somebody else is decided on.
    pub(crate) fn block(&mut self, state: State) -> Result<(), Failed> {
        if self.held > 0 || self.quiet {
            let message = "a thread waits where nobody else can run: in the initialisation or the \
                           destruction of a global";
            return Err(self.fail(FailureKind::Deadlock, message.to_owned()));
        }
        self.set_blocked(state);
        self.decide(false)
    }

    fn end_wait(&mut self, token: u32) -> Woken {
        if self.take(token) { Woken::Token } else { self.thread().woken }
    }
}

/// Waits until the token is there and takes it, or until the clock of the caller's node shows
/// `deadline`, or for no reason at all.
pub(crate) fn wait(
    operation: Operation,
    site: &'static Location<'static>,
    token: u32,
    deadline: Option<Instant>,
) -> Woken {
    enter(operation, site, Class::Blocking);
    let woken = match with(|world| world.begin_wait(token, deadline)) {
        Ok(Some(woken)) => woken,
        Ok(None) => {
            resume();
            with(|world| world.end_wait(token))
        }
        Err(Failed) => stop(),
    };
    let effect = match woken {
        Woken::Token => Effect::Token,
        Woken::TimedOut => Effect::TimedOut,
        Woken::Spuriously => Effect::Woken,
    };
    with(|world| world.note(world.current, operation, effect, site));
    woken
}

/// Lets the thread that was decided on run, unless it is the caller.
pub(crate) fn resume() {
    if with(|world| world.next != world.current) {
        world::switch();
    }
}

/// Waits for the end of a thread.
pub(crate) fn join(number: u32, site: &'static Location<'static>) {
    let operation = Operation::thread(Name::Join, number);
    enter(operation, site, Class::Blocking);
    let blocked = with(|world| {
        let current = world.current;
        let target = &mut world.threads[number as usize];
        target.joined = true;
        if target.state == State::Ended {
            return Ok(false);
        }
        target.joiner = Some(current);
        world.block(State::Joining).map(|()| true)
    });
    match blocked {
        Ok(false) => {}
        Ok(true) if with(|world| world.next != world.current) => switch(),
        Ok(true) => {}
        Err(Failed) => stop(),
    }
    with(|world| {
        let current = world.current as usize;
        let end = core::mem::take(&mut world.views[number as usize].clock);
        world.views[current].clock.join(&end);
        world.views[number as usize].clock = end;
        world.note(current as u32, operation, Effect::Done, site);
    });
}
